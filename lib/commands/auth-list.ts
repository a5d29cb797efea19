import type { Flags } from '../cli/flags.ts'
import { profilesOf } from '../config/file.ts'
import type { Run } from '../run.ts'
import { styled } from '../terminal/style.ts'
import type { Register } from './context.ts'

/** List the profiles that have logged in, and which one is current. Asks neither server nor keychain. */
export async function list({ config, terminal }: Pick<Run, 'config' | 'terminal'>): Promise<void> {
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

export const registerList: Register = (cli, context) =>
  cli
    .command('auth list', 'List the profiles and which one is current')
    .example('  $ atlas auth list')
    .action(async (flags: Flags) => list(await context.run(flags, { worksOffline: true })))
