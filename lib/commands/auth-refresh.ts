import type { CAC, Command } from 'cac'
import type { Flags } from '../cli/flags.ts'
import { AtlasError } from '../errors.ts'
import type { System } from '../run.ts'
import { styled } from '../terminal/style.ts'
import { describeMoment } from '../terminal/time.ts'
import type { Context } from './context.ts'
import { statusJson } from './identity.ts'

type Needs = Pick<System, 'config' | 'sessions' | 'store' | 'terminal' | 'now' | 'fixedToken'>

/**
 * Replace the session's tokens now.
 * @throws {AtlasError} `usage`: ATLAS_ACCESS_TOKEN is set; `session_expired`, `not_logged_in`, …
 */
export async function refresh({ config, sessions, store, terminal, now, fixedToken }: Needs): Promise<void> {
  if (fixedToken !== undefined)
    throw new AtlasError(
      'usage',
      'ATLAS_ACCESS_TOKEN is set, and a ready-made token cannot be refreshed.',
      'Unset it to refresh the stored session.',
    )
  const session = await terminal.during(
    `Refreshing the session on ${config.apiUrl.value}`,
    sessions.refresh(await sessions.require()),
  )
  if (terminal.json)
    return terminal.sayJson(
      statusJson(config, {
        state: 'authenticated',
        session,
        source: store.kind,
        user: undefined,
        reason: null,
      }),
    )
  const until =
    session.expiresAt && `; the access token is valid until ${describeMoment(session.expiresAt, now())}`
  return terminal.say([styled('green', `Refreshed the session on ${config.apiUrl.value}${until ?? ''}`)])
}

export const registerRefresh = (cli: CAC, context: Context): Command =>
  cli
    .command('auth refresh', 'Replace the access token now')
    .example('  $ atlas auth refresh')
    .action(async (flags: Flags) => refresh(await context.system(flags)))
