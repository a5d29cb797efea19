import path from 'node:path'
import { AtlasError } from '../errors.ts'
import {
  type ConfigFile,
  configFilePath,
  isStoreKind,
  loginAt,
  PROFILE_NAME,
  profilesOf,
  readConfigFile,
  type StoreKind,
} from './file.ts'
import { normalizeApiUrl } from './server.ts'

export type SourceKind = 'flag' | 'environment' | 'file' | 'default'

/** A configuration value that knows where it came from. */
export interface Setting<T> {
  readonly value: T
  readonly source: SourceKind
  /** The flag, variable or file that gave it, for messages. */
  readonly from: string
}

/** Everything that steers atlas, read once and frozen. */
export interface Config {
  readonly folder: Setting<string>
  readonly file: ConfigFile
  readonly profile: Setting<string>
  /** Normalised, as `normalizeApiUrl` gives it. */
  readonly apiUrl: Setting<string>
  readonly store: Setting<StoreKind>
  /** `ATLAS_ACCESS_TOKEN`, which beats any store. */
  readonly accessToken: Setting<string | undefined>
  readonly timeoutMs: Setting<number>
  readonly keychainTimeoutMs: Setting<number>
  readonly allowHttp: Setting<boolean>
  /** Whether a person may be asked. */
  readonly mayAsk: Setting<boolean>
  readonly debug: Setting<boolean>
}

/** The flags that every command takes, as typed, and login's `--store`. */
export interface ConfigFlags {
  readonly apiUrl?: string | undefined
  readonly timeout?: string | undefined
  readonly profile?: string | undefined
  readonly store?: string | undefined
  readonly allowHttp?: boolean | undefined
  readonly noInput?: boolean | undefined
  readonly debug?: boolean | undefined
}

export type Environment = Readonly<Record<string, string | undefined>>

/** What configuration is read from, besides the file. */
export interface Surroundings {
  readonly env: Environment
  readonly platform: NodeJS.Platform
  /** Undefined where neither the environment nor the user database says it. */
  readonly homeFolder: string | undefined
  /** Whether standard input and standard error are terminals. */
  readonly interactive: boolean
}

export const DEFAULT_API_URL = 'http://localhost:8000'
const DEFAULT_TIMEOUT_S = 30
const KEYCHAIN_TIMEOUT_S = 3
/** Somebody may have to find and type the keychain's password. */
const KEYCHAIN_TIMEOUT_ASKING_S = 60
const MAX_SECONDS = 86_400
const MAX_TOKEN_LENGTH = 65_536

/** The characters of a bearer token (RFC 6750 §2.1 allows fewer; servers send more). */
export const isToken = (value: string): boolean =>
  value.length <= MAX_TOKEN_LENGTH && /^[\x21-\x7e]+$/.test(value)

/**
 * Configuration by precedence: flag, environment, config file, default. An empty variable counts as unset.
 * @throws {AtlasError} `usage` names the bad value's source and what is accepted.
 */
export function loadConfig(flags: ConfigFlags, surroundings: Surroundings): Config {
  const { env } = surroundings
  const given = (
    flag: string | undefined,
    flagName: string,
    variable: string,
  ): Setting<string> | undefined => {
    if (flag !== undefined) return { value: flag, source: 'flag', from: flagName }
    const value = env[variable]
    return value ? { value, source: 'environment', from: variable } : undefined
  }
  const switched = (flag: boolean | undefined, flagName: string, variable: string): Setting<boolean> => {
    if (flag !== undefined) return { value: flag, source: 'flag', from: flagName }
    const value = env[variable]
    return value
      ? { value: parseSwitch(value, variable), source: 'environment', from: variable }
      : byDefault(false)
  }

  const folder = configFolder(surroundings)
  const file = readConfigFile(folder.value)
  const inFile = <T>(value: T): Setting<T> => ({ value, source: 'file', from: configFilePath(folder.value) })

  const profile =
    map(given(flags.profile, '--profile', 'ATLAS_PROFILE'), parseProfileName) ??
    (file.currentProfile === undefined ? byDefault('default') : inFile(file.currentProfile))
  const remembered = profilesOf(file).get(profile.value)

  const apiUrl = map(
    given(flags.apiUrl, '--api-url', 'ATLAS_API_URL') ??
      (remembered ? inFile(remembered.apiUrl) : byDefault(DEFAULT_API_URL)),
    normalizeApiUrl,
  )
  const allowHttp = switched(flags.allowHttp, '--allow-http', 'ATLAS_ALLOW_HTTP')

  const rememberedStore = (loginAt(file, profile.value, apiUrl.value) ?? remembered)?.store
  const store =
    map(given(flags.store, '--store', 'ATLAS_CREDENTIAL_STORE'), parseStore) ??
    (rememberedStore ? inFile(rememberedStore) : byDefault<StoreKind>('keychain'))

  const noInput = switched(flags.noInput, '--no-input', 'ATLAS_NO_INPUT')
  const mayAsk = { ...noInput, value: !noInput.value && surroundings.interactive }
  const token = given(undefined, '', 'ATLAS_ACCESS_TOKEN')

  return Object.freeze({
    folder,
    file,
    profile,
    apiUrl,
    store,
    accessToken: token ? map(token, parseToken) : byDefault(undefined),
    timeoutMs:
      map(given(flags.timeout, '--timeout', 'ATLAS_TIMEOUT'), parseSeconds) ??
      byDefault(DEFAULT_TIMEOUT_S * 1000),
    keychainTimeoutMs:
      map(given(undefined, '', 'ATLAS_KEYCHAIN_TIMEOUT'), parseSeconds) ??
      byDefault((mayAsk.value ? KEYCHAIN_TIMEOUT_ASKING_S : KEYCHAIN_TIMEOUT_S) * 1000),
    allowHttp,
    mayAsk,
    debug: switched(flags.debug, '--debug', 'ATLAS_DEBUG'),
  })
}

/** The folder of the config file; relative ones are refused, so that nothing depends on the current directory. */
export function configFolder({ env, platform, homeFolder }: Surroundings): Setting<string> {
  const { join } = platform === 'win32' ? path.win32 : path.posix
  const absolute = (value: string, from: string): string => absolutePath(value, from, platform)
  const home = (): string => requireHome(homeFolder, platform, 'ATLAS_CONFIG_DIR')
  const fromVariable = (variable: string, ...below: string[]): Setting<string> | undefined => {
    const value = env[variable]
    if (!value) return undefined
    return { value: join(absolute(value, variable), ...below), source: 'environment', from: variable }
  }
  return (
    fromVariable('ATLAS_CONFIG_DIR') ??
    (platform === 'win32' ? fromVariable('APPDATA', 'atlas') : fromVariable('XDG_CONFIG_HOME', 'atlas')) ??
    byDefault(
      platform === 'win32' ? join(home(), 'AppData', 'Roaming', 'atlas') : join(home(), '.config', 'atlas'),
    )
  )
}

/**
 * The home folder, for what has its place there.
 * @param instead what may be given in its stead.
 * @throws {AtlasError} `usage`: nobody knows it, or it is relative.
 */
export function requireHome(
  homeFolder: string | undefined,
  platform: NodeJS.Platform,
  instead: string,
): string {
  if (homeFolder !== undefined) return absolutePath(homeFolder, 'The home folder', platform)
  throw new AtlasError(
    'usage',
    'HOME is not set, and the user database knows no home folder for this user.',
    `Set HOME or ${instead} to a folder of this user.`,
  )
}

/**
 * A path that does not depend on the current directory.
 * @throws {AtlasError} `usage`: it is relative.
 */
export function absolutePath(value: string, from: string, platform: NodeJS.Platform): string {
  const { isAbsolute } = platform === 'win32' ? path.win32 : path.posix
  if (isAbsolute(value)) return value
  throw new AtlasError(
    'usage',
    `${from} is not an absolute path: "${value}".`,
    'Give a path that starts at the root.',
  )
}

const byDefault = <T>(value: T): Setting<T> => ({ value, source: 'default', from: 'default' })

function map<T, U>(setting: Setting<T>, parse: (value: T, from: string) => U): Setting<U>
function map<T, U>(
  setting: Setting<T> | undefined,
  parse: (value: T, from: string) => U,
): Setting<U> | undefined
function map<T, U>(
  setting: Setting<T> | undefined,
  parse: (value: T, from: string) => U,
): Setting<U> | undefined {
  return setting && { ...setting, value: parse(setting.value, setting.from) }
}

/** Only what the user typed is shown; a value longer than this is cut. */
const shown = (value: string): string => (value.length > 80 ? `${value.slice(0, 80)}…` : value)

/** Seconds as a person writes them, to milliseconds. */
function parseSeconds(value: string, from: string): number {
  const seconds = /^(\d+(\.\d*)?|\.\d+)$/.test(value) ? Number(value) : 0
  if (seconds > 0 && seconds <= MAX_SECONDS) return Math.max(1, Math.round(seconds * 1000))
  throw new AtlasError(
    'usage',
    `${from} is "${shown(value)}", which is not a time in seconds.`,
    `Give a number above 0 and up to ${MAX_SECONDS}, such as 30 or 2.5.`,
  )
}

function parseSwitch(value: string, from: string): boolean {
  if (['1', 'true', 'yes', 'on'].includes(value.toLowerCase())) return true
  if (['0', 'false', 'no', 'off'].includes(value.toLowerCase())) return false
  throw new AtlasError('usage', `${from} is "${shown(value)}".`, 'Give 1 or 0.')
}

export function parseProfileName(value: string, from: string): string {
  if (PROFILE_NAME.test(value)) return value
  throw new AtlasError(
    'usage',
    `${from} is "${shown(value)}", which is not a profile name.`,
    'Use 1 to 64 letters, digits, ".", "_" and "-".',
  )
}

function parseStore(value: string, from: string): StoreKind {
  if (value === 'auto') return 'keychain'
  if (isStoreKind(value)) return value
  throw new AtlasError(
    'usage',
    `${from} is "${shown(value)}", which is no credential store.`,
    'Use auto, keychain or file.',
  )
}

function parseToken(value: string, from: string): string {
  if (isToken(value)) return value
  throw new AtlasError(
    'usage',
    `${from} is not a token: it is longer than ${MAX_TOKEN_LENGTH} characters or holds one that is not printable ASCII.`,
    'Check for a line break or a space at its end.',
  )
}
