import type { Flags } from '../cli/flags.ts'
import { apiPathHint, loginCommand } from '../config/settings.ts'
import { AtlasError, EXIT_CODE } from '../errors.ts'
import type { Run } from '../run.ts'
import type { Credential } from '../session/credentials.ts'
import { type Confirmation, whoIs } from '../session/identity.ts'
import { type Row, sayRows } from '../terminal/rows.ts'
import type { Style } from '../terminal/style.ts'
import { describeMoment } from '../terminal/time.ts'
import { emailOf, type LoginReport, type LoginState, reportJson } from './auth-report.ts'
import type { Register } from './context.ts'

/** The longest that the server is waited for, in milliseconds. */
const BUDGET_MS = 5_000

export interface StatusOptions {
  readonly offline: boolean
}

type Needs = Pick<
  Run,
  'config' | 'credentials' | 'stored' | 'http' | 'reader' | 'secrets' | 'terminal' | 'now'
>

/**
 * Report who is logged in where, as the server confirms it.
 * @returns the exit status: 0 where the server confirmed, cannot confirm or was not to be asked, 4 where
 * there is no valid login, 5 where the server could not be asked.
 * @throws {AtlasError} `store_*`: whether anybody is logged in is not known.
 */
export async function status({ offline }: StatusOptions, needs: Needs): Promise<number> {
  const { config, credentials, terminal } = needs
  const credential = await credentials.find()
  const known = { credential, source: credentials.source, user: undefined }
  if (credential === undefined) {
    const reason = 'No credentials are stored for this profile and server.'
    await print({ ...known, state: 'not_logged_in', source: null, reason }, needs)
    return EXIT_CODE.not_logged_in
  }
  if (offline) {
    await print({ ...known, state: 'unverified', reason: 'The server was not asked (--offline).' }, needs)
    return 0
  }
  const confirmation = await terminal.during(`Asking ${config.apiUrl.value}`, whoIs(credential, needs))
  const { exitStatus, ...judged } = judge(confirmation, needs.secrets.mask)
  // The request may have refreshed the session, or ended it.
  const latest = await latestCredential(credential, needs)
  const source = latest === undefined ? null : credentials.source
  await print({ ...judged, source, credential: latest, user: confirmation.user }, needs)
  const hint = confirmation.kind === 'cannot_confirm' ? apiPathHint(config) : undefined
  if (hint !== undefined) terminal.notice(hint)
  return exitStatus
}

function judge(
  confirmation: Confirmation,
  mask: (text: string) => string,
): Pick<LoginReport, 'state' | 'reason'> & { exitStatus: number } {
  if (confirmation.kind === 'confirmed') return { state: 'authenticated', reason: null, exitStatus: 0 }
  if (confirmation.kind === 'cannot_confirm')
    return {
      state: 'unverified',
      reason: 'This server cannot confirm who is logged in (404).',
      exitStatus: 0,
    }
  const { code, message, exitStatus } = confirmation.error
  const reason = mask(message)
  if (exitStatus === EXIT_CODE.not_logged_in)
    return { state: code === 'not_logged_in' ? 'not_logged_in' : 'rejected', reason, exitStatus }
  if (exitStatus === EXIT_CODE.network) return { state: 'unverified', reason, exitStatus }
  throw confirmation.error
}

async function latestCredential(
  credential: Credential,
  { credentials }: Needs,
): Promise<Credential | undefined> {
  try {
    return await credentials.find()
  } catch (error) {
    if (error instanceof AtlasError) return credential
    throw error
  }
}

async function print(report: LoginReport, needs: Needs): Promise<void> {
  const { config, credentials, terminal } = needs
  if (terminal.json) return terminal.sayJson(reportJson(config, report))
  await sayRows(terminal, describe(report, needs))
  if (report.state === 'not_logged_in') terminal.notice(`Log in with: ${loginCommand(config)}`)
  if (report.state === 'rejected') terminal.notice(credentials.renewHint)
}

function describe(report: LoginReport, { config, stored, now }: Needs): Row[] {
  const { state, credential, user, source, reason } = report
  const email = emailOf(report)
  const person = [user?.username, user?.role].filter(Boolean).join(', ')
  const { expiresAt = null, sessionExpiresAt = null } = credential ?? {}
  const expires =
    expiresAt && `${expiresAt < now() ? 'expired' : 'valid until'} ${describeMoment(expiresAt, now())}`
  return [
    ['Server', config.apiUrl.value],
    ['Profile', config.profile.value],
    ['Status', `${DESCRIPTIONS[state]}${reason === null ? '' : ` ${reason}`}`, LOOKS[state]],
    ['Account', email ? (person ? `${email} (${person})` : email) : undefined],
    ['Credentials', source === null ? undefined : locationOf(source, stored.store.location)],
    ['Access token', expires ?? undefined],
    ['Session', sessionExpiresAt ? `ends ${describeMoment(sessionExpiresAt, now())}` : undefined],
  ]
}

function locationOf(source: NonNullable<LoginReport['source']>, storeLocation: string): string {
  if (source === 'env') return 'ATLAS_ACCESS_TOKEN'
  return source === 'file' ? `${storeLocation} (plain text)` : storeLocation
}

const LOOKS: Record<LoginState, Style> = {
  authenticated: 'green',
  unverified: 'yellow',
  rejected: 'red',
  not_logged_in: 'yellow',
}

const DESCRIPTIONS: Record<LoginState, string> = {
  authenticated: 'Logged in; the server confirmed it.',
  unverified: 'Not verified.',
  rejected: 'Rejected.',
  not_logged_in: 'Not logged in.',
}

export const registerStatus: Register = (cli, context) =>
  cli
    .command('auth status', 'Show who is logged in where, as the server confirms it')
    .option('--offline', 'Show what is stored without asking the server')
    .example('  $ atlas auth status')
    .example('  $ atlas auth status --json')
    .action(async (flags: Flags) => {
      const offline = flags.has('offline')
      return status({ offline }, await context.run(flags, { budgetMs: BUDGET_MS, worksOffline: offline }))
    })
