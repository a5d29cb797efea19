import type { Flags } from '../cli/flags.ts'
import { loginCommand } from '../config/settings.ts'
import { AtlasError, EXIT_CODE } from '../errors.ts'
import type { Run } from '../run.ts'
import { type Confirmation, whoIs } from '../session/identity.ts'
import { endsWithin, SOON_MS } from '../session/record.ts'
import type { Row } from '../terminal/output.ts'
import type { Style } from '../terminal/style.ts'
import { describeMoment } from '../terminal/time.ts'
import { emailOf, type LoginReport, reportJson } from './auth-report.ts'
import type { Register } from './context.ts'

/** The longest wait for the server. */
const BUDGET_MS = 5_000

/**
 * Report who is logged in where, as the server confirms it.
 * @returns the exit status: 4 where there is no valid login, 5 where the server could not be asked, else 0.
 * @throws {AtlasError} `store_*`: whether anybody is logged in is not known.
 */
export async function status({ offline }: { offline: boolean }, run: Run): Promise<number> {
  const { config, credentials, terminal, secrets } = run
  const { source } = credentials
  const credential = await credentials.find().catch(notLoggedIn)
  if (credential === undefined || credential instanceof AtlasError) {
    const reason = credential?.message ?? 'No credentials are stored for this profile and server.'
    await print({ state: 'not_logged_in', source: null, reason }, run, credential?.hint)
    return EXIT_CODE.not_logged_in
  }
  if (offline) {
    const reason = 'The server was not asked (--offline).'
    await print({ state: 'unverified', credential, source, reason }, run)
    return 0
  }
  const confirmation = await terminal.during(`Asking ${config.apiUrl.value}`, whoIs(credential, run))
  const { exitStatus, ...judged } = judge(confirmation, secrets.mask)
  // The request may have refreshed the session, or ended it.
  const latest = await credentials.find().catch(() => credential)
  const report = { ...judged, credential: latest, source: latest ? source : null, user: confirmation.user }
  await print(report, run)
  return exitStatus
}

/** What is stored is another account's login. @throws any other error */
function notLoggedIn(error: unknown): AtlasError {
  if (error instanceof AtlasError && error.code === 'not_logged_in') return error
  throw error
}

/** @throws {AtlasError} an error that says nothing about the login. */
function judge(
  confirmation: Confirmation,
  mask: (text: string) => string,
): Pick<LoginReport, 'state' | 'reason'> & { exitStatus: number } {
  if (confirmation.kind === 'confirmed') return { state: 'authenticated', reason: null, exitStatus: 0 }
  if (confirmation.kind === 'cannot_confirm') {
    const reason = 'This server cannot confirm who is logged in (404).'
    return { state: 'unverified', reason, exitStatus: 0 }
  }
  const { code, message, exitStatus } = confirmation.error
  const reason = mask(message)
  if (code === 'not_logged_in') return { state: code, reason, exitStatus }
  if (exitStatus === EXIT_CODE.token_rejected) return { state: 'rejected', reason, exitStatus }
  if (exitStatus === EXIT_CODE.network) return { state: 'unverified', reason, exitStatus }
  throw confirmation.error
}

async function print(report: LoginReport, run: Run, hint?: string): Promise<void> {
  const { config, credentials, terminal } = run
  if (terminal.json) return terminal.sayJson(reportJson(config, report))
  await terminal.sayRows(describe(report, run))
  if (report.state === 'not_logged_in') terminal.notice(hint ?? `Log in with: ${loginCommand(config)}`)
  if (report.state === 'rejected') terminal.notice(credentials.renewHint)
}

function describe(report: LoginReport, { config, stored, now }: Run): Row[] {
  const { state, credential, user, source, reason } = report
  const { expiresAt = null, sessionExpiresAt = null } = credential ?? {}
  const email = emailOf(report)
  const person = [user?.username, user?.role].filter(Boolean).join(', ')
  const places = { env: 'ATLAS_ACCESS_TOKEN', file: `${stored.store.location} (plain text)` }
  const [style, words] = STATES[state]
  return [
    ['Server', config.apiUrl.value],
    ['Profile', config.profile.value],
    ['Status', reason === null ? words : `${words} ${reason}`, style],
    ['Account', email && person ? `${email} (${person})` : (email ?? undefined)],
    ['Credentials', source === 'keychain' ? stored.store.location : source && places[source]],
    [
      'Access token',
      expiresAt && `${expiresAt < now() ? 'expired' : 'valid until'} ${describeMoment(expiresAt, now())}`,
    ],
    [
      'Session',
      sessionExpiresAt &&
        `${sessionExpiresAt < now() ? 'ended' : 'ends'} ${describeMoment(sessionExpiresAt, now())}`,
      endsWithin(sessionExpiresAt, SOON_MS, now()) ? 'yellow' : undefined,
    ],
  ]
}

const STATES: Record<LoginReport['state'], readonly [Style, string]> = {
  authenticated: ['green', 'Logged in; the server confirmed it.'],
  unverified: ['yellow', 'Not verified.'],
  rejected: ['red', 'Rejected.'],
  not_logged_in: ['yellow', 'Not logged in.'],
}

export const registerStatus: Register = (cli, context) =>
  cli
    .command('auth status', 'Show who is logged in where, as the server confirms it')
    .option('--offline', 'Show what is stored without asking the server')
    .example('  $ atlas auth status')
    .example('  $ atlas auth status --json')
    .action(async (flags: Flags) => {
      const offline = flags.has('offline')
      const options = { budgetMs: BUDGET_MS, worksOffline: offline, saysWhenSessionEnds: true }
      return status({ offline }, await context.run(flags, options))
    })
