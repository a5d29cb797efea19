import type { CAC, Command } from 'cac'
import type { Flags } from '../cli/flags.ts'
import { profilesOf, withLogin } from '../config/file.ts'
import { flagHelp, SETTINGS } from '../config/settings.ts'
import { AtlasError, Cancelled } from '../errors.ts'
import type { System } from '../run.ts'
import { shellQuoted } from '../terminal/shell-quote.ts'
import { styled } from '../terminal/style.ts'
import type { Context } from './context.ts'
import { fetchUser, statusJson } from './identity.ts'

/** A password longer than this is a file sent by mistake. */
const MAX_PASSWORD_BYTES = 64 * 1024

export interface LoginOptions {
  readonly email: string | undefined
  readonly passwordStdin: boolean
}

type Needs = Pick<
  System,
  | 'config'
  | 'sessions'
  | 'store'
  | 'terminal'
  | 'secrets'
  | 'readStdin'
  | 'stdinIsTerminal'
  | 'proveConfigFile'
  | 'updateConfigFile'
  | 'unrefreshedClient'
  | 'fixedToken'
  | 'guardedFetch'
  | 'interrupts'
>

/**
 * Ask for e-mail and password where they are not given, log in, store the session and make its profile
 * the current one.
 * @throws {AtlasError} `store_*` before anything is asked or sent; `input_required`, `bad_credentials`, …
 */
export async function login({ email: givenEmail, passwordStdin }: LoginOptions, needs: Needs): Promise<void> {
  const { config, sessions, store, terminal } = needs
  const server = config.apiUrl.value
  if (!passwordStdin && !config.mayAsk.value) throw cannotAsk(givenEmail)
  if (passwordStdin && needs.stdinIsTerminal)
    throw new AtlasError(
      'usage',
      '--password-stdin reads a pipe or a file, but standard input is a terminal, which would show the password.',
      'Leave the flag out to be asked, or pipe the password in.',
    )
  if (needs.fixedToken !== undefined)
    terminal.notice('ATLAS_ACCESS_TOKEN is set: commands use that token, not this login, until you unset it.')

  await terminal.during(`Checking ${store.location}`, sessions.prove())
  await needs.proveConfigFile()
  if (config.apiUrl.source === 'default' && !passwordStdin) await reach(server, needs)
  const email = givenEmail ?? (await terminal.ask(`E-mail for ${server}`, faultInEmail)).trim()
  const password = passwordStdin ? await readPassword(needs) : await terminal.askSecret('Password')
  const target = { profile: config.profile.value, apiUrl: server, store: store.kind }
  const remember = (): Promise<void> => needs.updateConfigFile(file => withLogin(file, { ...target, email }))
  const session = await terminal.during(`Logging in to ${server}`, sessions.logIn(email, password, remember))

  if (terminal.json) {
    // The session is stored and stays so, whatever the server says of it now, and a signal that comes
    // meanwhile does not keep that from being told.
    await needs.interrupts.shield(async hurry => {
      const confirmation = await fetchUser(needs.unrefreshedClient(session, hurry), needs.secrets)
      const doubt = confirmation.kind === 'failed' ? needs.secrets.mask(confirmation.error.message) : null
      await terminal.sayJson(
        statusJson(config, {
          state: doubt === null ? 'authenticated' : 'unverified',
          session,
          source: store.kind,
          user: confirmation.known,
          reason: doubt,
        }),
      )
    })
  } else {
    await terminal.say([styled('green', `Logged in to ${server} as ${email}`)])
  }
  for (const line of describeChange(target, config)) terminal.notice(line)
  if (store.kind === 'file')
    terminal.notice([
      styled('yellow', `The credentials are in plain text in ${store.location}, readable by you alone.`),
    ])
  if (config.file.logins.length === 0 && config.mayAsk.value)
    terminal.notice([styled('dim', 'Try: atlas api /auth/me')])
  if (session.refreshToken === null)
    terminal.notice('The server gave no refresh token, so this session ends with its access token.')
}

/** What a login changes beside itself: the current profile, and the server that its profile stands for. */
function describeChange(
  { profile, apiUrl }: { profile: string; apiUrl: string },
  { file }: Needs['config'],
): string[] {
  const before = profilesOf(file).get(profile)
  const moved = before?.email != null && before.apiUrl !== apiUrl
  const switched = file.logins.length > 0 && (file.currentProfile ?? 'default') !== profile
  return [
    ...(switched ? [`The profile ${profile} is the current one now.`] : []),
    ...(moved
      ? [
          `The profile ${profile} stood for ${before.apiUrl} before; that login is kept.`,
          `End it with: atlas auth logout --profile ${profile} --api-url ${shellQuoted(before.apiUrl)}`,
        ]
      : []),
  ]
}

/**
 * See that a server which nobody has named is there, before a person types a password for it.
 * @throws {AtlasError} `network`, `timeout`, …
 */
async function reach(server: string, { guardedFetch, terminal, interrupts }: Needs): Promise<void> {
  try {
    const health = guardedFetch(`${server}/health`, { signal: interrupts.cancelled })
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

/** The longest there is (RFC 5321 §4.5.3.1: 64 characters, the at sign and 255). */
const MAX_EMAIL_LENGTH = 320

const faultInEmail = (value: string): string | undefined =>
  /^\S+@\S+$/.test(value.trim()) && value.trim().length <= MAX_EMAIL_LENGTH
    ? undefined
    : 'Type an e-mail address, such as ada@example.com.'

const cannotAsk = (email: string | undefined): AtlasError =>
  new AtlasError(
    'input_required',
    'Logging in needs a password, and there is no terminal to ask on (or --no-input is set).',
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
        `Standard input holds more than ${MAX_PASSWORD_BYTES} bytes, which is no password.`,
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
      `--email is "${email.slice(0, 80)}", which is no e-mail address.`,
      'Give one such as ada@example.com.',
    )
  return { email, passwordStdin }
}

export const registerLogin = (cli: CAC, context: Context): Command =>
  cli
    .command('auth login', 'Log in to an Atlas server and keep the session in the keychain')
    .option('--email <email>', 'Who logs in; asked for where left out')
    .option('--password-stdin', 'Read the password from standard input')
    .option(SETTINGS.store.flag, flagHelp(SETTINGS.store))
    .example('  $ atlas auth login --api-url https://atlas.example.com')
    .example('  $ atlas auth login --email ada@example.com --password-stdin < password.txt')
    .action(async (flags: Flags) => {
      const options = parseLogin(flags)
      await login(options, await context.system(flags, { mayBeNewProfile: true }))
    })
