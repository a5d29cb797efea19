import { isUtf8 } from 'node:buffer'
import type { Flags } from '../cli/flags.ts'
import { type Login, profilesOf, withLogin, withoutRecord } from '../config/file.ts'
import { flagHelp, NAME_YOUR_SERVER, SETTINGS } from '../config/settings.ts'
import { AtlasError, recoverable, usageError } from '../errors.ts'
import { findApiRoot } from '../http/api-root.ts'
import type { Run } from '../run.ts'
import { fixedBearer } from '../session/credentials.ts'
import { whoIs } from '../session/identity.ts'
import type { Session } from '../session/record.ts'
import { logIn } from '../session/session.ts'
import { probeStore, type StoredSession } from '../session/stored-session.ts'
import { shellQuoted } from '../shell-quote.ts'
import { readAll } from '../terminal/streams.ts'
import { styled } from '../terminal/style.ts'
import { reportJson } from './auth-report.ts'
import type { Register } from './context.ts'

/** More is a file sent by mistake. */
const MAX_PASSWORD_BYTES = 64 * 1024
/** The longest e-mail address (RFC 5321 §4.5.3.1: 64 characters, the at sign and 255). */
const MAX_EMAIL_LENGTH = 320

export interface LoginOptions {
  readonly email: string | undefined
  readonly passwordStdin: boolean
}

/**
 * Prompt for e-mail and password if omitted, log in, store the session and make its profile the current one.
 * @throws {AtlasError} `store_*` before anything is asked or sent; `input_required`, `bad_credentials`, …
 */
export async function login({ email: given, passwordStdin }: LoginOptions, run: Run): Promise<void> {
  const { config, configFile, credentials, stored, terminal } = run
  const server = config.apiUrl.value
  if (passwordStdin && terminal.stdinIsTerminal)
    throw usageError(
      '--password-stdin reads a pipe or a file, but standard input is a terminal, which would show the password.',
      'Omit the flag to be prompted, or pipe the password in.',
    )
  if (!passwordStdin && !config.mayAsk.value)
    throw new AtlasError(
      'input_required',
      'Logging in needs a password, and there is no terminal to prompt on (or --no-input is set).',
      `Pipe it in: ${stored.loginCommand}${config.store.source === 'flag' ? ` --store ${config.store.value}` : ''} --email ${given ?? 'you@example.com'} --password-stdin < password-file`,
    )
  if (credentials.source === 'env')
    terminal.notice('ATLAS_ACCESS_TOKEN is set: commands use that token, not this login, until you unset it.')

  await terminal.during(`Checking ${stored.store.location}`, probeStore(stored))
  await configFile.prove()
  const apiRoot = await findServer(run)
  const email = given ?? (await terminal.ask(`E-mail for ${server}`, faultInEmail)).trim()
  const password = passwordStdin ? await readPassword(run) : await terminal.askSecret('Password')

  const entry: Login = {
    profile: config.profile.value,
    apiUrl: server,
    apiRoot,
    store: stored.store.kind,
    email,
  }
  let before: Session | null | undefined
  const loggingIn = logIn({ apiRoot, email, password }, stored, run, found => {
    before = found
    return configFile.update(file => withLogin(file, entry))
  })
  const session = await terminal.during(`Logging in to ${server}`, loggingIn)
  if (terminal.json) await printJson(session, run)
  else await terminal.say([styled('green', `Logged in to ${server} as ${email}`)])
  if (before) noticeReplaced(before, entry, stored, run)
  await removeOlderRecords(entry, run)
  noticeChanges(session, run)
}

/** Where the API is: seen before a person types a password for it. */
async function findServer(run: Run): Promise<string> {
  const { apiUrl } = run.config
  const finding = findApiRoot(apiUrl.value, run, { signal: run.interrupts.cancelled })
  return run.terminal.during(`Looking for ${apiUrl.value}`, finding).catch(error => {
    if (apiUrl.source !== 'default') throw error
    const { code, message } = recoverable(error)
    throw new AtlasError(code, message, NAME_YOUR_SERVER)
  })
}

/** All of standard input without its last line ending, and without a byte-order mark. */
async function readPassword({ readStdin, terminal }: Run): Promise<string> {
  const bytes = await readAll(readStdin(), MAX_PASSWORD_BYTES)
  if (bytes === undefined)
    throw usageError(
      `Standard input holds more than ${MAX_PASSWORD_BYTES} bytes, which cannot be a password.`,
    )
  if (!isUtf8(bytes)) throw usageError('The password on standard input is not UTF-8 text.')
  const password = bytes
    .toString()
    .replace(/^\ufeff/, '')
    .replace(/\r?\n$/, '')
  if (/^(["']).+\1$/s.test(password))
    terminal.notice(
      'The password on standard input begins and ends with quotes, which are taken as part of it.',
    )
  if (password !== '') return password
  throw usageError('The password on standard input is empty.', 'Check the command or file before the pipe.')
}

/** One keychain may serve several config folders, so the account that is replaced may be new to this one. */
function noticeReplaced(
  before: Session,
  { email }: Login,
  { store }: StoredSession,
  { terminal }: Run,
): void {
  if (before.email === email) return
  const said = `This login replaces that of ${before.email} in ${store.location}.`
  terminal.notice([styled('yellow', said)])
}

/** Delete an older login's record in another store; it is listed until then, so that a logout can end it too. */
async function removeOlderRecords(entry: Login, run: Run): Promise<void> {
  const { configFile, storedAs, terminal } = run
  const isEntrys = ({ profile, apiUrl }: Login): boolean =>
    profile === entry.profile && apiUrl === entry.apiUrl
  const older = configFile.read().logins.filter(login => isEntrys(login) && login.store !== entry.store)
  for (const login of older) {
    const stored = storedAs(login)
    const removal = stored.exclusively(async () => {
      // Another process may have logged in there meanwhile.
      if (configFile.read().logins.findLast(isEntrys)?.store !== entry.store) return
      if (login.email !== null) {
        const before = await stored.readOrDamaged()
        if ((await stored.delete()) && before) noticeReplaced(before, entry, stored, run)
      }
      await configFile.update(file => withoutRecord(file, login))
    })
    await terminal.during(`Deleting the older login in ${stored.store.location}`, removal).catch(error => {
      const { message } = recoverable(error)
      terminal.notice(`The older login in ${stored.store.location} could not be deleted. ${message}`)
      terminal.notice('atlas auth logout ends both.')
    })
  }
}

/**
 * Print the login even if the server does not confirm it, or a signal arrives: the session is stored. A reader who does
 * not read is not waited for then.
 */
async function printJson({ apiRoot, accessToken, ...session }: Session, run: Run): Promise<void> {
  const { config, stored, secrets, terminal, interrupts } = run
  let printed = Promise.resolve()
  await interrupts.shield(async hurry => {
    const confirmation = await whoIs(
      { apiRoot: async () => apiRoot, bearer: fixedBearer(accessToken) },
      run,
      hurry,
    )
    const { kind, user } = confirmation
    const reason = kind === 'failed' ? secrets.mask(confirmation.error.message) : null
    const state = kind === 'failed' ? 'unverified' : 'authenticated'
    const { kind: source } = stored.store
    printed = terminal.sayJson(reportJson(config, { state, credential: session, source, user, reason }))
    printed.catch(() => {})
  })
  return printed
}

function noticeChanges({ refreshToken }: Session, { config, stored, terminal }: Run): void {
  const { file, mayAsk } = config
  const profile = config.profile.value
  const profiles = profilesOf(file)
  const before = profiles.get(profile)
  if (profiles.size > 0 && (file.currentProfile ?? 'default') !== profile)
    terminal.notice(`The profile ${profile} is the current one now.`)
  if (before?.email != null && before.apiUrl !== config.apiUrl.value) {
    terminal.notice(`The profile ${profile} was logged in to ${before.apiUrl} before; that login is kept.`)
    const logoutCommand = `atlas auth logout --profile ${profile} --api-url ${shellQuoted(before.apiUrl)}`
    terminal.notice(`End it with: ${logoutCommand}`)
  }
  if (stored.store.kind === 'file') {
    const warning = `The credentials are in plain text in ${stored.store.location}, readable by you alone.`
    terminal.notice([styled('yellow', warning)])
  }
  if (profiles.size === 0 && mayAsk.value) terminal.notice([styled('dim', 'Try: atlas api /auth/me')])
  if (refreshToken === null)
    terminal.notice('The server gave no refresh token, so this session ends with its access token.')
}

const faultInEmail = (value: string): string | undefined =>
  /^\S+@\S+$/.test(value.trim()) && value.trim().length <= MAX_EMAIL_LENGTH
    ? undefined
    : 'Type an e-mail address, such as ada@example.com.'

function parseLogin(flags: Flags): LoginOptions {
  const email = flags.text('email')
  const passwordStdin = flags.has('password-stdin')
  if (passwordStdin && email === undefined)
    throw usageError('--password-stdin needs --email as well.', 'Add --email you@example.com.')
  if (email !== undefined && (faultInEmail(email) !== undefined || email !== email.trim()))
    throw usageError(
      `--email is "${email.slice(0, 80)}", which is not an e-mail address.`,
      'Give one such as ada@example.com.',
    )
  return { email, passwordStdin }
}

export const registerLogin: Register = (cli, context) =>
  cli
    .command('auth login', 'Log in to an Atlas server and keep the session in the keychain')
    .option('--email <email>', 'Who logs in; prompted for if omitted')
    .option('--password-stdin', 'Read the password from standard input')
    .option(SETTINGS.store.flag, flagHelp(SETTINGS.store))
    .example('  $ atlas auth login --api-url https://atlas.example.com')
    .example('  $ atlas auth login --email ada@example.com --password-stdin < password.txt')
    .action(async (flags: Flags) => {
      const options = parseLogin(flags)
      await login(options, await context.run(flags, { mayBeNewProfile: true }))
    })
