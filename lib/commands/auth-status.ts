import type { CAC, Command } from 'cac'
import type { Flags } from '../cli/flags.ts'
import { apiPathHint, loginCommand } from '../config/settings.ts'
import { AtlasError, EXIT_CODE } from '../errors.ts'
import type { System } from '../run.ts'
import { readClaims } from '../session/protocol.ts'
import type { Session } from '../session/record.ts'
import { type Row, sayRows } from '../terminal/rows.ts'
import type { Style } from '../terminal/style.ts'
import { describeMoment } from '../terminal/time.ts'
import type { Context } from './context.ts'
import { type Confirmation, fetchUser, type Status, statusJson } from './identity.ts'

/** The longest that the server is waited for, in milliseconds. */
const BUDGET_MS = 5_000

export interface StatusOptions {
  readonly offline: boolean
}

type Needs = Pick<
  System,
  'config' | 'sessions' | 'store' | 'terminal' | 'secrets' | 'now' | 'fixedToken' | 'authenticatedClient'
>

/**
 * Report who is logged in where, as the server confirms it.
 * @returns the exit status: 0 where the server confirmed, cannot confirm or was not to be asked, 4 where
 * there is no valid login, 5 where the server could not be asked.
 * @throws {AtlasError} `store_*`: whether anybody is logged in is not known.
 */
export async function status({ offline }: StatusOptions, needs: Needs): Promise<number> {
  const { config, sessions, store, terminal, secrets, fixedToken } = needs
  const session = fixedToken === undefined ? await sessions.current() : undefined
  if (fixedToken === undefined && session === undefined) {
    const reason = 'No credentials are stored for this profile and server.'
    await print({ state: 'not_logged_in', session: undefined, source: null, user: undefined, reason }, needs)
    return EXIT_CODE.not_logged_in
  }

  const credentials = {
    source: fixedToken === undefined ? store.kind : ('env' as const),
    expiresAt: fixedToken === undefined ? null : readClaims(fixedToken).expiresAt,
  }
  if (offline) {
    await print(
      {
        ...credentials,
        state: 'unverified',
        session,
        user: undefined,
        reason: 'The server was not asked (--offline).',
      },
      needs,
    )
    return 0
  }
  const { client } = needs.authenticatedClient(session)
  const confirmation = await terminal.during(`Asking ${config.apiUrl.value}`, fetchUser(client, secrets))
  const judged = judge(confirmation, secrets.mask)
  // The request may have refreshed the session, or ended it.
  const latest = await latestSession(session, needs)
  const source = fixedToken === undefined && latest === undefined ? null : credentials.source
  await print({ ...credentials, ...judged, source, session: latest, user: confirmation.known }, needs)
  const hint = confirmation.kind === 'cannot_confirm' ? apiPathHint(config) : undefined
  if (hint !== undefined) terminal.notice(hint)
  return judged.exitStatus
}

function judge(
  confirmation: Confirmation,
  mask: Needs['secrets']['mask'],
): Pick<Status, 'state' | 'reason'> & { exitStatus: number } {
  if (confirmation.kind === 'confirmed') return { state: 'authenticated', reason: null, exitStatus: 0 }
  if (confirmation.kind === 'cannot_confirm')
    return {
      state: 'unverified',
      reason: 'This server cannot confirm who is logged in (404).',
      exitStatus: 0,
    }
  const { code, message, exitStatus } = confirmation.error
  const reason = mask(message)
  if (exitStatus === EXIT_CODE.not_logged_in) {
    return { state: code === 'not_logged_in' ? 'not_logged_in' : 'rejected', reason, exitStatus }
  }
  if (exitStatus === EXIT_CODE.network) return { state: 'unverified', reason, exitStatus }
  throw confirmation.error
}

async function latestSession(
  session: Session | undefined,
  { sessions }: Needs,
): Promise<Session | undefined> {
  if (session === undefined) return undefined
  try {
    return await sessions.current()
  } catch (error) {
    if (error instanceof AtlasError) return session
    throw error
  }
}

async function print(status: Status, { config, terminal, store, now }: Needs): Promise<void> {
  if (terminal.json) return terminal.sayJson(statusJson(config, status))
  const { state, session, user, source, reason } = status
  const email = user?.email ?? session?.email
  const person = [user?.username, user?.role].filter(Boolean).join(', ')
  const where = { env: 'ATLAS_ACCESS_TOKEN', file: `${store.location} (plain text)` }
  const expiresAt = session?.expiresAt ?? status.expiresAt
  const rows: Row[] = [
    ['Server', config.apiUrl.value],
    ['Profile', config.profile.value],
    ['Status', `${SAYS[state]}${reason === null ? '' : ` ${reason}`}`, LOOKS[state]],
    ['Account', email && (person ? `${email} (${person})` : email)],
    ['Credentials', source === null ? undefined : (where[source as keyof typeof where] ?? store.location)],
    [
      'Access token',
      expiresAt
        ? `${expiresAt < now() ? 'ended' : 'valid until'} ${describeMoment(expiresAt, now())}`
        : undefined,
    ],
    [
      'Session',
      session?.sessionExpiresAt ? `ends ${describeMoment(session.sessionExpiresAt, now())}` : undefined,
    ],
  ]
  await sayRows(terminal, rows)
  if (state === 'not_logged_in') terminal.notice(`Log in with: ${loginCommand(config)}`)
  if (state === 'rejected')
    terminal.notice(
      source === 'env'
        ? 'Set ATLAS_ACCESS_TOKEN to a valid token, or unset it.'
        : `Log in again with: ${loginCommand(config)}`,
    )
}

const LOOKS: Record<Status['state'], Style> = {
  authenticated: 'green',
  unverified: 'yellow',
  rejected: 'red',
  not_logged_in: 'yellow',
}

const SAYS: Record<Status['state'], string> = {
  authenticated: 'Logged in; the server confirmed it.',
  unverified: 'Not verified.',
  rejected: 'Rejected.',
  not_logged_in: 'Not logged in.',
}

export const registerStatus = (cli: CAC, context: Context): Command =>
  cli
    .command('auth status', 'Show who is logged in where, as the server confirms it')
    .option('--offline', 'Show what is stored without asking the server')
    .example('  $ atlas auth status')
    .example('  $ atlas auth status --json')
    .action(async (flags: Flags) => {
      const offline = flags.has('offline')
      return status({ offline }, await context.system(flags, { budgetMs: BUDGET_MS, worksOffline: offline }))
    })
