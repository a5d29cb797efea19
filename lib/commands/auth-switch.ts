import type { Flags } from '../cli/flags.ts'
import { nearest } from '../cli/suggest.ts'
import { profilesOf } from '../config/file.ts'
import type { Config } from '../config/load.ts'
import { usageError } from '../errors.ts'
import type { Run } from '../run.ts'
import { styled } from '../terminal/style.ts'
import type { Register } from './context.ts'

/** Make another profile the current one. @throws {AtlasError} `usage`: there is no such profile. */
export async function switchProfile(name: string, { config, configFile, terminal }: Run): Promise<void> {
  const profiles = profilesOf(config.file)
  const profile = profiles.get(name)
  if (profile === undefined) {
    const meant = await nearest(name, [...profiles.keys()])
    throw usageError(
      `There is no profile "${name.slice(0, 80)}".`,
      meant
        ? `Did you mean "${meant}"?`
        : 'See: atlas auth list. Create one with: atlas auth login --profile NAME',
    )
  }
  await configFile.update(file => ({ ...file, currentProfile: name }))
  for (const variable of overriding(config))
    terminal.notice(`${variable} is set and overrides what this changes, until you unset it.`)
  const { apiUrl, email } = profile
  if (terminal.json) return terminal.sayJson({ current: name, api_url: apiUrl, email })
  return terminal.say([
    styled('green', `Switched to profile ${name} (${email ?? 'logged out'} on ${apiUrl})`),
  ])
}

/** The variables that later commands would follow instead of the current profile. */
const overriding = ({ profile, apiUrl, accessToken }: Config): string[] =>
  [profile, apiUrl, accessToken].filter(({ source }) => source === 'environment').map(({ from }) => from)

export const registerSwitch: Register = (cli, context) =>
  cli
    .command('auth switch <name>', 'Make another profile the current one')
    .example('  $ atlas auth switch work')
    .action(async (name: string, flags: Flags) =>
      switchProfile(name, await context.run(flags, { worksOffline: true })),
    )
