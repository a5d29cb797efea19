import type { Flags } from '../cli/flags.ts'
import type { Run } from '../run.ts'
import { styled } from '../terminal/style.ts'
import { describeMoment } from '../terminal/time.ts'
import { reportJson } from './auth-report.ts'
import type { Register } from './context.ts'

/**
 * Replace the session's access token now.
 * @throws {AtlasError} `usage`: ATLAS_ACCESS_TOKEN is set; `session_expired`, `not_logged_in`, …
 */
export async function refresh({ config, credentials, terminal, now }: Run): Promise<void> {
  const server = config.apiUrl.value
  const credential = await terminal.during(`Refreshing the session on ${server}`, credentials.refresh())
  if (terminal.json)
    return terminal.sayJson(
      reportJson(config, { state: 'authenticated', credential, source: credentials.source, reason: null }),
    )
  const { expiresAt } = credential
  const until = expiresAt ? `; the access token is valid until ${describeMoment(expiresAt, now())}` : ''
  return terminal.say([styled('green', `Refreshed the session on ${server}${until}`)])
}

export const registerRefresh: Register = (cli, context) =>
  cli
    .command('auth refresh', 'Replace the access token now')
    .example('  $ atlas auth refresh')
    .action(async (flags: Flags) => refresh(await context.run(flags)))
