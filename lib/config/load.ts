import fs from 'node:fs'
import path from 'node:path'
import { type AtlasError, recoverable, usageError } from '../errors.ts'
import {
  apiRootOf,
  type ConfigFile,
  configFilePath,
  EMPTY,
  loginAt,
  profilesOf,
  readConfigFile,
} from './file.ts'
import { givenApiRoot } from './server.ts'
import { flagOf, SETTINGS, type Setting, type SettingDefinition, type Settings } from './settings.ts'

/** Everything that steers atlas, read once and frozen: every setting with its source, and the config file. */
export interface Config extends Settings {
  readonly file: ConfigFile
  /** Why nothing is known of the config file, for a command that can do without; undefined where all is. */
  readonly fileFault: AtlasError | undefined
  /**
   * Where the server's API is: as a login found it, or as given; undefined where that is not known. A stored session
   * has its own.
   */
  readonly apiRoot: string | undefined
  /** Whether a keychain may open a dialogue: it needs no terminal to do so. */
  readonly keychainMayAsk: boolean
}

/** The values of each flag on a command line, by its long name without dashes; a switch has none. */
export type GivenFlags = ReadonlyMap<string, readonly string[]>

export type Environment = Readonly<Record<string, string | undefined>>

export interface Surroundings {
  readonly env: Environment
  readonly platform: NodeJS.Platform
  /** Undefined where neither the environment nor the user database says it. */
  readonly homeFolder: string | undefined
  /** Whether standard input and standard error are terminals. */
  readonly interactive: boolean
}

/**
 * Each value from the first of flag, environment, config file and default. An empty variable counts as unset.
 * @param mayLackFile a config file that cannot be used counts as empty.
 * @throws {AtlasError} `usage`: names the source of a bad value and what is accepted.
 */
export function loadConfig(flags: GivenFlags, surroundings: Surroundings, mayLackFile = false): Config {
  const { env, interactive } = surroundings
  const folder = configFolder(surroundings)
  const { file, fileFault } = readFile(folder.value, mayLackFile)

  const given = (entry: SettingDefinition<unknown>): Setting<string> | undefined => {
    const flag = flagOf(entry)
    const typed = flag && flags.get(flag.slice('--'.length))
    if (typed) return { value: typed.at(-1) ?? '1', source: 'flag', from: flag }
    const text = env[entry.variable]
    return text ? { value: text, source: 'environment', from: entry.variable } : undefined
  }
  const find = <T>(entry: SettingDefinition<T>, inFile?: T, byDefault = entry.default): Setting<T> => {
    const { parse } = entry
    const text = given(entry)
    if (text) return { ...text, value: parse(text.value, text.from) }
    if (inFile !== undefined) return { value: inFile, source: 'file', from: configFilePath(folder.value) }
    return { value: parse(byDefault, 'default'), source: 'default', from: 'default' }
  }

  const profile = find(SETTINGS.profile, file.currentProfile)
  const newest = profilesOf(file).get(profile.value)
  const apiUrl = find(SETTINGS.apiUrl, newest?.apiUrl)
  const login = loginAt(file, profile.value, apiUrl.value) ?? newest
  const allowed = find(SETTINGS.mayAsk)
  const mayAsk = { ...allowed, value: allowed.value && interactive }
  const keychainDefault = mayAsk.value ? SETTINGS.keychainTimeoutMs.defaultIfAsking : undefined
  return Object.freeze({
    folder,
    file,
    fileFault,
    profile,
    apiUrl,
    apiRoot: apiRootOf(file, apiUrl.value) ?? givenApiRoot(given(SETTINGS.apiUrl)?.value ?? ''),
    store: find(SETTINGS.store, login?.store),
    accessToken: find(SETTINGS.accessToken),
    timeoutMs: find(SETTINGS.timeoutMs),
    keychainTimeoutMs: find(SETTINGS.keychainTimeoutMs, undefined, keychainDefault),
    allowHttp: find(SETTINGS.allowHttp),
    mayAsk,
    keychainMayAsk: allowed.value,
    debug: find(SETTINGS.debug),
  })
}

function readFile(folder: string, mayLackFile: boolean): Pick<Config, 'file' | 'fileFault'> {
  try {
    return { file: readConfigFile(folder), fileFault: undefined }
  } catch (error) {
    const fileFault = recoverable(error)
    if (mayLackFile) return { file: EMPTY, fileFault }
    throw error
  }
}

/** The folder of the config file. @throws {AtlasError} `usage`: it is relative or not known. */
export function configFolder(surroundings: Surroundings): Setting<string> {
  const { env, platform } = surroundings
  const windows = platform === 'win32'
  const { join } = windows ? path.win32 : path.posix
  const own = SETTINGS.folder.variable
  const from = [own, windows ? 'APPDATA' : 'XDG_CONFIG_HOME'].find(name => env[name])
  if (from) {
    const folder = absolutePath(env[from] ?? '', from, platform)
    return { value: behindLink(join(folder, from === own ? '' : 'atlas')), source: 'environment', from }
  }
  const home = requireHome(surroundings, own)
  const value = windows ? join(home, 'AppData', 'Roaming', 'atlas') : join(home, '.config', 'atlas')
  return { value: behindLink(value), source: 'default', from: 'default' }
}

/** Where a link leads that dotfile managers make; another user's link stays one, which is refused later. */
function behindLink(folder: string): string {
  try {
    const link = fs.lstatSync(folder)
    if (!link.isSymbolicLink()) return folder
    const target = fs.realpathSync(folder)
    return link.uid === 0 || link.uid === fs.statSync(target).uid ? target : folder
  } catch {
    return folder
  }
}

/**
 * The home folder.
 * @param instead a variable to set, for the hint.
 * @throws {AtlasError} `usage`: it is not known, not absolute or not UTF-8.
 */
export function requireHome({ homeFolder, platform }: Surroundings, instead: string): string {
  if (homeFolder !== undefined) return absolutePath(homeFolder, 'The home folder', platform)
  throw usageError(
    'HOME is not set, and the user database has no home folder for this user.',
    `Set HOME or ${instead} to a folder of this user.`,
  )
}

/** @throws {AtlasError} `usage`: it is relative, so it would depend on the current directory; or it is not UTF-8. */
export function absolutePath(value: string, from: string, platform: NodeJS.Platform): string {
  const { isAbsolute } = platform === 'win32' ? path.win32 : path.posix
  if (value.includes('\ufffd'))
    throw usageError(`${from} is not UTF-8 text: "${value}".`, 'Choose a folder whose name is UTF-8.')
  if (isAbsolute(value)) return value
  throw usageError(`${from} is not an absolute path: "${value}".`, 'Give a path that starts at the root.')
}
