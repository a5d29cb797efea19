import type { CAC, Command } from 'cac'
import type { Flags } from '../cli/flags.ts'
import { nearest } from '../cli/suggest.ts'
import { profilesOf } from '../config/file.ts'
import { AtlasError } from '../errors.ts'
import type { System } from '../run.ts'
import { styled } from '../terminal/style.ts'
import type { Context } from './context.ts'

type Needs = Pick<System, 'config' | 'terminal' | 'updateConfigFile'>

/** List the profiles that have logged in, and which one is current. Asks neither server nor keychain. */
export async function list({ config, terminal }: Pick<Needs, 'config' | 'terminal'>): Promise<void> {
  const current = config.profile.value
  const profiles = [...profilesOf(config.file)].map(([name, { apiUrl, email, store }]) => ({
    name,
    api_url: apiUrl,
    email,
    store,
  }))
  if (terminal.json) return terminal.sayJson({ current, profiles })
  if (profiles.length === 0) return terminal.say('No profiles yet. Log in with: atlas auth login')
  const rows = profiles.map(({ name, api_url, email, store }) => [
    name,
    api_url,
    email ?? '(logged out)',
    store,
  ])
  const widths = [0, 1, 2].map(column => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  for (const row of rows) {
    const isCurrent = row[0] === current
    const line = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
    await terminal.say(isCurrent ? [styled('green', `* ${line}`)] : `  ${line}`)
  }
}

/**
 * Make another profile the current one.
 * @throws {AtlasError} `usage`: there is no such profile.
 */
export async function switchProfile(
  name: string,
  { config, terminal, updateConfigFile }: Needs,
): Promise<void> {
  const profiles = profilesOf(config.file)
  const profile = profiles.get(name)
  if (profile === undefined) {
    const names = [...profiles.keys()]
    const meant = await nearest(name, names)
    throw new AtlasError(
      'usage',
      `There is no profile "${name.slice(0, 80)}".`,
      meant
        ? `Did you mean "${meant}"?`
        : `See: atlas auth list. A new one is made with: atlas auth login --profile NAME`,
    )
  }
  await updateConfigFile(file => ({ ...file, currentProfile: name }))
  if (terminal.json) return terminal.sayJson({ current: name, api_url: profile.apiUrl, email: profile.email })
  return terminal.say([
    styled('green', `Switched to profile ${name} (${profile.email ?? 'logged out'} on ${profile.apiUrl})`),
  ])
}

export const registerList = (cli: CAC, context: Context): Command =>
  cli
    .command('auth list', 'List the profiles and which one is current')
    .example('  $ atlas auth list')
    .action(async (flags: Flags) => list(await context.system(flags, { worksOffline: true })))

export const registerSwitch = (cli: CAC, context: Context): Command =>
  cli
    .command('auth switch <name>', 'Make another profile the current one')
    .example('  $ atlas auth switch work')
    .action(async (name: string, flags: Flags) =>
      switchProfile(name, await context.system(flags, { worksOffline: true })),
    )
