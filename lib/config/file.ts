import fs from 'node:fs'
import path from 'node:path'
import { AtlasError, errorCode } from '../errors.ts'
import { rehearseReplacement, replaceFile } from '../files/atomic.ts'
import { faultOf } from '../files/faults.ts'
import { normalizeApiUrl } from './server.ts'
import { isStoreKind, PROFILE_NAME, STORE_KINDS, type StoreKind } from './values.ts'

const MAX_CONFIG_BYTES = 1024 * 1024

/** One login: which account a profile has on a server, and where its credentials are stored. */
export interface Login {
  readonly profile: string
  /** Normalised, as `normalizeApiUrl` gives it. */
  readonly apiUrl: string
  readonly store: StoreKind
  /** Who is logged in; null after a logout, when the profile still remembers its server and store. */
  readonly email: string | null
}

/** The config file's content. It holds no secret. */
export interface ConfigFile {
  readonly currentProfile: string | undefined
  /** One for each profile and server, the newest last. */
  readonly logins: readonly Login[]
}

const EMPTY: ConfigFile = { currentProfile: undefined, logins: [] }

/** What each profile stands for: its newest login. */
export const profilesOf = ({ logins }: ConfigFile): ReadonlyMap<string, Login> =>
  new Map(logins.map(login => [login.profile, login]))

export const loginAt = ({ logins }: ConfigFile, profile: string, apiUrl: string): Login | undefined =>
  logins.findLast(login => login.profile === profile && login.apiUrl === apiUrl)

/** The file after a login, which replaces an older one of the same profile and server and makes its profile current. */
export const withLogin = ({ logins }: ConfigFile, login: Login): ConfigFile => ({
  currentProfile: login.profile,
  logins: [
    ...logins.filter(({ profile, apiUrl }) => profile !== login.profile || apiUrl !== login.apiUrl),
    login,
  ],
})

/** The file after a logout: the profile still remembers its server and store. */
export const withLogoutOf = (file: ConfigFile, profile: string, apiUrl: string): ConfigFile => ({
  ...file,
  logins: file.logins.map(login =>
    login.profile === profile && login.apiUrl === apiUrl ? { ...login, email: null } : login,
  ),
})

export const configFilePath = (folder: string): string => path.join(folder, 'config.json')

/**
 * The config file of a folder, empty where there is none.
 * @throws {AtlasError} `usage`: it cannot be read or is not what atlas writes.
 */
export function readConfigFile(folder: string): ConfigFile {
  const file = configFilePath(folder)
  let text: string
  try {
    const found = fs.statSync(file)
    // A pipe or a device in its place could be read for ever.
    if (!found.isFile()) throw malformed(file, 'it is not a regular file')
    if (found.size > MAX_CONFIG_BYTES) throw malformed(file, `it is larger than ${MAX_CONFIG_BYTES} bytes`)
    text = fs.readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof AtlasError) throw error
    const code = errorCode(error)
    if (code === undefined) throw error
    if (code === 'ENOENT' || code === 'ENOTDIR') return EMPTY
    throw new AtlasError(
      'usage',
      `The config file ${file} cannot be read (${code}).`,
      'Check its permissions.',
    )
  }
  return parseConfigFile(text, file)
}

/**
 * @param file its path, for messages.
 * @throws {AtlasError} `usage`
 */
export function parseConfigFile(text: string, file: string): ConfigFile {
  let root: unknown
  try {
    root = JSON.parse(text)
  } catch {
    throw malformed(file, 'it is not valid JSON')
  }
  if (!isObject(root)) throw malformed(file, 'it is not a JSON object')
  const { current_profile: currentProfile, logins = [] } = root
  if (currentProfile !== undefined && !isProfileName(currentProfile))
    throw malformed(file, '"current_profile" is not a profile name')
  if (!Array.isArray(logins)) throw malformed(file, '"logins" is not a list')
  return { currentProfile, logins: logins.map((login, index) => parseLogin(login, `logins[${index}]`, file)) }
}

function parseLogin(value: unknown, where: string, file: string): Login {
  if (!isObject(value)) throw malformed(file, `"${where}" is not an object`)
  const { profile, api_url: apiUrl, store, email = null } = value
  if (!isProfileName(profile)) throw malformed(file, `"${where}.profile" is not a profile name`)
  if (typeof apiUrl !== 'string') throw malformed(file, `"${where}.api_url" is not a string`)
  if (!isStoreKind(store)) throw malformed(file, `"${where}.store" is not one of ${STORE_KINDS.join(', ')}`)
  if (email !== null && typeof email !== 'string') throw malformed(file, `"${where}.email" is not a string`)
  return { profile, apiUrl: parseApiUrl(apiUrl, where, file), store, email }
}

function parseApiUrl(text: string, where: string, file: string): string {
  try {
    return normalizeApiUrl(text, file)
  } catch {
    throw malformed(file, `"${where}.api_url" is not a usable server URL`)
  }
}

/** Room for some more profiles than anybody has, in bytes. */
const ROOM_BYTES = 16 * 1024

/**
 * See that the config file can be written. Callers hold the lock of the config folder.
 * @throws {AtlasError} `file_error`
 */
export const proveConfigFile = (folder: string): void =>
  writing(folder, file => rehearseReplacement(file, Buffer.alloc(ROOM_BYTES)))

/**
 * Write the config file as a whole. Callers hold the lock of the config folder.
 * @throws {AtlasError} `file_error`: it could not be written; the old one is intact.
 */
export function writeConfigFile(folder: string, { currentProfile, logins }: ConfigFile): void {
  const content = {
    current_profile: currentProfile,
    logins: logins.map(({ profile, apiUrl, store, email }) => ({ profile, api_url: apiUrl, store, email })),
  }
  const text = `${JSON.stringify(content, null, 2)}\n`
  // What could not be read again would keep every command from working.
  if (Buffer.byteLength(text) > MAX_CONFIG_BYTES)
    throw new AtlasError(
      'file_error',
      `The config file ${configFilePath(folder)} would be larger than ${MAX_CONFIG_BYTES} bytes.`,
      'Remove logins that you no longer need from it.',
    )
  writing(folder, file => replaceFile(file, text))
}

function writing(folder: string, work: (file: string) => void): void {
  const file = configFilePath(folder)
  try {
    work(behindLink(file))
  } catch (error) {
    const fault = faultOf(error)
    if (fault === undefined) throw error
    throw new AtlasError(
      'file_error',
      `The config file ${file} could not be written: ${fault.reason}.`,
      fault.kind === 'full'
        ? 'Make room and try again.'
        : 'Fix this, or choose another folder with ATLAS_CONFIG_DIR.',
    )
  }
}

/**
 * Where to write a file that may be a link to one elsewhere, as dotfile managers do it: the link stays.
 * @throws {AtlasError} `file_error`: it leads to a file of somebody else.
 */
function behindLink(file: string): string {
  if (!fs.lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink()) return file
  // One that leads nowhere is replaced: nothing is read through it.
  if (!fs.existsSync(file)) return file
  const target = fs.realpathSync(file)
  const found = fs.lstatSync(target)
  // The config folder is the user's own, which its lock has checked.
  if (found.isFile() && found.uid === fs.lstatSync(path.dirname(file)).uid) return target
  throw new AtlasError(
    'file_error',
    `The config file ${file} is a link to ${target}, which is not a file of yours, so atlas does not replace it.`,
    'Put a file of your own in its place, or choose another folder with ATLAS_CONFIG_DIR.',
  )
}

const isProfileName = (value: unknown): value is string =>
  typeof value === 'string' && PROFILE_NAME.test(value)

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const malformed = (file: string, reason: string): AtlasError =>
  new AtlasError(
    'usage',
    `The config file ${file} cannot be used: ${reason}.`,
    'Fix it, or delete it and log in again.',
  )
