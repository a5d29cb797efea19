import type { Flags } from '../cli/flags.ts'
import { profilesOf } from '../config/file.ts'
import type { Run } from '../run.ts'
import { styled } from '../terminal/style.ts'
import type { Register } from './context.ts'

/** List the profiles that have logged in, and which one is current. Neither server nor keychain is used. */
export async function list({ config, terminal }: Run): Promise<void> {
  const current = config.profile.value
  const profiles = [...profilesOf(config.file)]
  if (terminal.json)
    return terminal.sayJson({
      current,
      profiles: profiles.map(([name, { apiUrl, email, store }]) => ({ name, api_url: apiUrl, email, store })),
    })
  if (profiles.length === 0) return terminal.say('No profiles yet. Log in with: atlas auth login')
  const rows = profiles.map(([name, login]) => [
    name,
    login.apiUrl,
    login.email ?? '(logged out)',
    login.store,
  ])
  const widths = [0, 1, 2].map(column => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  for (const row of rows) {
    const line = row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')
    await terminal.say(row[0] === current ? [styled('green', `* ${line}`)] : `  ${line}`)
  }
}

export const registerList: Register = (cli, context) =>
  cli
    .command('auth list', 'List the profiles and which one is current')
    .example('  $ atlas auth list')
    .action(async (flags: Flags) => list(await context.run(flags, { worksOffline: true })))
