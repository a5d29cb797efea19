import { shellQuoted } from '../shell-quote.ts'
import { normalizeApiUrl } from './server.ts'
import { parseProfileName, parseStore, SECONDS, STORE_KINDS, SWITCH, TOKEN } from './values.ts'

/*
 * Every setting of atlas, once. Flags, help, the manual, completion, `doctor` and `--debug` read this table; a new one
 * is an entry here and a line in load.ts. A flag of a single command stands in that command's file.
 */

export interface SettingDefinition<T> {
  /** What `doctor` and `--debug` call it. */
  readonly name: string
  /** As cac takes it: `--timeout <seconds>`, or `--debug` for a switch. */
  readonly flag?: string
  /** The only command that has the flag; otherwise every command has it. */
  readonly onlyFor?: string
  readonly variable: string
  readonly description: string
  /** As a user would type it. */
  readonly default: string
  /** The default where a person can be asked, who may have to unlock a keychain first. */
  readonly defaultIfAsking?: string
  /** The default as help explains it. */
  readonly defaultInWords?: string
  /** The values that completion offers. */
  readonly choices?: readonly string[]
  /** @throws {AtlasError} `usage`: names `from`, a flag or variable, and what is accepted. */
  parse(text: string, from: string): T
  /** The value in words; not needed for a text. */
  show?(value: T): string
}

export const SETTINGS = {
  apiUrl: {
    name: 'server',
    flag: '--api-url <url>',
    variable: 'ATLAS_API_URL',
    description: 'The server',
    default: 'http://localhost:8000',
    defaultInWords: 'where this profile last logged in',
    parse: normalizeApiUrl,
  },
  profile: {
    name: 'profile',
    flag: '--profile <name>',
    variable: 'ATLAS_PROFILE',
    description: 'The profile, for several accounts or servers',
    default: 'default',
    defaultInWords: 'the current one',
    parse: parseProfileName,
  },
  store: {
    name: 'store',
    flag: '--store <store>',
    onlyFor: 'auth login',
    variable: 'ATLAS_CREDENTIAL_STORE',
    description: 'Where credentials are kept: auto (= keychain), keychain, or file in plain text',
    default: 'auto',
    defaultInWords: 'as at the last login, else auto',
    choices: ['auto', ...STORE_KINDS],
    parse: parseStore,
  },
  timeoutMs: {
    name: 'timeout',
    flag: '--timeout <seconds>',
    variable: 'ATLAS_TIMEOUT',
    description: 'The longest wait for an answer, in seconds',
    default: '30',
    defaultInWords: '30',
    ...SECONDS,
  },
  keychainTimeoutMs: {
    name: 'keychain wait',
    variable: 'ATLAS_KEYCHAIN_TIMEOUT',
    description: 'The longest wait for the keychain, in seconds',
    default: '3',
    defaultIfAsking: '60',
    defaultInWords: '3, or 60 at a terminal',
    ...SECONDS,
  },
  allowHttp: {
    name: 'plain http allowed',
    flag: '--allow-http',
    variable: 'ATLAS_ALLOW_HTTP',
    description: 'Allow plain http to other machines',
    ...SWITCH,
  },
  mayAsk: {
    name: 'questions allowed',
    flag: '--no-input',
    variable: 'ATLAS_NO_INPUT',
    description: 'Never prompt; fail instead',
    ...SWITCH,
    parse: (text: string, from: string) => !SWITCH.parse(text, from),
  },
  accessToken: {
    name: 'ready-made token',
    variable: 'ATLAS_ACCESS_TOKEN',
    description: 'A ready-made token: it overrides any stored session, and is never stored or refreshed',
    default: '',
    ...TOKEN,
  },
  folder: {
    name: 'folder',
    variable: 'ATLAS_CONFIG_DIR',
    description: 'The folder of the config file',
    default: '',
    defaultInWords: '~/.config/atlas, or %APPDATA%\\atlas on Windows',
    // What an absolute path is depends on the platform: see configFolder in load.ts.
    parse: (text: string) => text,
  },
  debug: {
    name: 'diagnostics',
    flag: '--debug',
    variable: 'ATLAS_DEBUG',
    description: 'Print diagnostics to standard error, without secrets',
    ...SWITCH,
  },
} satisfies Record<string, SettingDefinition<unknown>>

export const ALL_SETTINGS: readonly SettingDefinition<unknown>[] = Object.values(SETTINGS)

export interface Setting<T> {
  readonly value: T
  readonly source: 'flag' | 'environment' | 'file' | 'default'
  /** The flag, variable or file that gave it, for messages. */
  readonly from: string
}

export type Settings = {
  readonly [Key in keyof typeof SETTINGS]: Setting<ReturnType<(typeof SETTINGS)[Key]['parse']>>
}

/** The flag as it is typed: `--timeout`. */
export const flagOf = ({ flag }: SettingDefinition<unknown>): string | undefined => flag?.split(' ')[0]

/** What help says beside the flag. */
export const flagHelp = ({ description, defaultInWords }: SettingDefinition<unknown>): string =>
  defaultInWords ? `${description} (default: ${defaultInWords})` : description

/** What help says beside the variable. */
export function variableHelp(definition: SettingDefinition<unknown>): string {
  const { flag, description, defaultInWords } = definition
  const notes = [flagOf(definition), defaultInWords && `default: ${defaultInWords}`].filter(Boolean)
  const isSwitch = flag !== undefined && !flag.includes('<')
  return `${isSwitch ? '1: ' : ''}${description}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`
}

/** Every setting with its value in words and what gave it, the token itself left out. */
export const describeSettings = (settings: Settings): { name: string; value: string; from: string }[] =>
  Object.entries<SettingDefinition<unknown>>(SETTINGS).map(([key, definition]) => {
    const { value, from } = settings[key as keyof Settings]
    return { name: definition.name, value: definition.show?.(value) ?? String(value), from }
  })

/** What to do where the default server is not there. */
export const NAME_YOUR_SERVER = 'Name your server: atlas auth login --api-url https://atlas.example.com'

/** The command that logs in to what this run was pointed at by flags, which a later one would not know. */
export function loginCommand({ apiUrl, profile }: Settings): string {
  const server = apiUrl.source === 'flag' ? ` --api-url ${shellQuoted(apiUrl.value)}` : ''
  const name = profile.source === 'flag' ? ` --profile ${shellQuoted(profile.value)}` : ''
  return `atlas auth login${server}${name}`
}
