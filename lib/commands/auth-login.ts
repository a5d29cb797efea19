import type { Flags } from '../cli/flags.ts'
import { type Login, loginAt, profilesOf, withLogin } from '../config/file.ts'
import { flagHelp, SETTINGS } from '../config/settings.ts'
import { AtlasError, Cancelled } from '../errors.ts'
import type { Run } from '../run.ts'
import { fixedBearer } from '../session/credentials.ts'
import { whoIs } from '../session/identity.ts'
import type { Session } from '../session/record.ts'
import { logIn } from '../session/session.ts'
import { shellQuoted } from '../shell-quote.ts'
import { styled } from '../terminal/style.ts'
import { reportJson } from './auth-report.ts'
import type { Register } from './context.ts'

/** A longer password is a file sent by mistake, in bytes. */
const MAX_PASSWORD_BYTES = 64 * 1024
/** The longest e-mail address (RFC 5321 §4.5.3.1: 64 characters, the at sign and 255). */
const MAX_EMAIL_LENGTH = 320

export interface LoginOptions {
  readonly email: string | undefined
  readonly passwordStdin: boolean
}

type Needs = Pick<
  Run,
  | 'config'
  | 'configFile'
  | 'credentials'
  | 'stored'
  | 'storedAs'
  | 'http'
  | 'reader'
  | 'secrets'
  | 'terminal'
  | 'interrupts'
  | 'readStdin'
  | 'now'
>

/**
 * Prompt for e-mail and password where they are not given, log in, store the session and make its profile
 * the current one.
 * @throws {AtlasError} `store_*` before anything is asked or sent; `input_required`, `bad_credentials`, …
 */
export async function login({ email: givenEmail, passwordStdin }: LoginOptions, needs: Needs): Promise<void> {
  const { config, configFile, credentials, stored, terminal } = needs
  const server = config.apiUrl.value
  if (!passwordStdin && !config.mayAsk.value) throw cannotAsk(givenEmail)
  if (passwordStdin && terminal.stdinIsTerminal)
    throw new AtlasError(
      'usage',
      '--password-stdin reads a pipe or a file, but standard input is a terminal, which would show the password.',
      'Leave the flag out to be prompted, or pipe the password in.',
    )
  if (credentials.source === 'env')
    terminal.notice('ATLAS_ACCESS_TOKEN is set: commands use that token, not this login, until you unset it.')

  await terminal.during(`Checking ${stored.store.location}`, stored.proveStore())
  await configFile.prove()
  if (config.apiUrl.source === 'default' && !passwordStdin) await reach(server, needs)
  const email = givenEmail ?? (await terminal.ask(`E-mail for ${server}`, faultInEmail)).trim()
  const password = passwordStdin ? await readPassword(needs) : await terminal.askSecret('Password')

  const entry: Login = { profile: config.profile.value, apiUrl: server, store: stored.store.kind, email }
  const remember = (): Promise<void> => configFile.update(file => withLogin(file, entry))
  const session = await terminal.during(
    `Logging in to ${server}`,
    logIn({ email, password }, stored, needs, remember),
  )
  await removeOlderRecord(entry, needs)
  if (terminal.json) await printJson(session, needs)
  else await terminal.say([styled('green', `Logged in to ${server} as ${email}`)])
  noticeConsequences(entry, session, needs)
}

/** A profile has one login on a server: what an earlier one left in another store goes. */
async function removeOlderRecord(entry: Login, { config, storedAs, terminal }: Needs): Promise<void> {
  const older = loginAt(config.file, entry.profile, entry.apiUrl)
  if (older === undefined || older.store === entry.store) return
  const stored = storedAs(older)
  try {
    await stored.exclusively(() => stored.delete())
  } catch (error) {
    if (!(error instanceof AtlasError) || error instanceof Cancelled) throw error
    terminal.notice(`The older login in ${stored.store.location} could not be deleted. ${error.message}`)
  }
}

/**
 * The session is stored and stays so, whatever the server says of it now, and a signal that comes meanwhile
 * does not prevent the output.
 */
function printJson(session: Session, needs: Needs): Promise<void> {
  const { config, stored, secrets, terminal, interrupts } = needs
  return interrupts.shield(async hurry => {
    const confirmation = await whoIs(
      { apiRoot: session.apiRoot, bearer: fixedBearer(session.accessToken) },
      needs,
      hurry,
    )
    const doubt = confirmation.kind === 'failed' ? secrets.mask(confirmation.error.message) : null
    await terminal.sayJson(
      reportJson(config, {
        state: doubt === null ? 'authenticated' : 'unverified',
        credential: session,
        source: stored.store.kind,
        user: confirmation.user,
        reason: doubt,
      }),
    )
  })
}

/** What a login changes beside itself, and what is worth knowing of it. */
function noticeConsequences(
  { profile, apiUrl }: Login,
  session: Session,
  { config, stored, terminal }: Needs,
): void {
  const { file } = config
  const profiles = profilesOf(file)
  const before = profiles.get(profile)
  if (profiles.size > 0 && (file.currentProfile ?? 'default') !== profile)
    terminal.notice(`The profile ${profile} is the current one now.`)
  if (before?.email != null && before.apiUrl !== apiUrl) {
    terminal.notice(`The profile ${profile} was logged in to ${before.apiUrl} before; that login is kept.`)
    terminal.notice(
      `End it with: atlas auth logout --profile ${profile} --api-url ${shellQuoted(before.apiUrl)}`,
    )
  }
  if (stored.store.kind === 'file')
    terminal.notice([
      styled(
        'yellow',
        `The credentials are in plain text in ${stored.store.location}, readable by you alone.`,
      ),
    ])
  if (profiles.size === 0 && config.mayAsk.value) terminal.notice([styled('dim', 'Try: atlas api /auth/me')])
  if (session.refreshToken === null)
    terminal.notice('The server gave no refresh token, so this session ends with its access token.')
}

/**
 * See that the default server is there before a person types a password for it.
 * @throws {AtlasError} `network`, `timeout`, …
 */
async function reach(server: string, { http, terminal, interrupts }: Needs): Promise<void> {
  try {
    const health = http.fetch(`${server}/health`, { signal: interrupts.cancelled })
    await terminal.during(`Looking for ${server}`, health)
  } catch (error) {
    if (!(error instanceof AtlasError) || error instanceof Cancelled) throw error
    throw new AtlasError(
      error.code,
      error.message,
      'Name your server: atlas auth login --api-url https://atlas.example.com',
    )
  }
}

const faultInEmail = (value: string): string | undefined =>
  /^\S+@\S+$/.test(value.trim()) && value.trim().length <= MAX_EMAIL_LENGTH
    ? undefined
    : 'Type an e-mail address, such as ada@example.com.'

const cannotAsk = (email: string | undefined): AtlasError =>
  new AtlasError(
    'input_required',
    'Logging in needs a password, and there is no terminal to prompt on (or --no-input is set).',
    `Pipe it in: atlas auth login --email ${email ?? 'you@example.com'} --password-stdin < password-file`,
  )

/** The whole of standard input less one line ending. */
async function readPassword({ readStdin }: Pick<Needs, 'readStdin'>): Promise<string> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of readStdin()) {
    size += piece.byteLength
    if (size > MAX_PASSWORD_BYTES)
      throw new AtlasError(
        'usage',
        `Standard input holds more than ${MAX_PASSWORD_BYTES} bytes, which cannot be a password.`,
      )
    pieces.push(piece)
  }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(pieces))
  } catch {
    throw new AtlasError('usage', 'The password on standard input is not UTF-8 text.')
  }
  const password = text.replace(/\r?\n$/, '')
  if (password === '')
    throw new AtlasError(
      'usage',
      'The password on standard input is empty.',
      'Check the command or file before the pipe.',
    )
  return password
}

export function parseLogin(flags: Flags): LoginOptions {
  const email = flags.text('email')
  const passwordStdin = flags.has('password-stdin')
  if (passwordStdin && email === undefined)
    throw new AtlasError('usage', '--password-stdin needs --email as well.', 'Add --email you@example.com.')
  if (email !== undefined && (faultInEmail(email) !== undefined || email !== email.trim()))
    throw new AtlasError(
      'usage',
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
