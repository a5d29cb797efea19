import fs from 'node:fs'
import path from 'node:path'
import { type AtlasError, usageError } from '../errors.ts'
import { FileFault, faultOf } from '../files/faults.ts'
import type { Lock } from '../files/lock.ts'
import { readRegularFile } from '../files/private.ts'
import { isMounted, rehearseReplacement, replaceOrOverwrite } from '../files/replaceable.ts'
import { isJsonObject, parseJsonObject } from '../json-object.ts'
import { normalizeApiUrl, possibleApiRoots } from './server.ts'
import { parseProfileName, parseStore, type StoreKind } from './values.ts'

const MAX_CONFIG_BYTES = 1024 * 1024
/** Room for some more profiles than anybody has, in bytes. */
const ROOM_BYTES = 16 * 1024

/** Which account a profile has on a server, and where its credentials are stored. */
export interface Login {
  readonly profile: string
  /** As `normalizeApiUrl` gives it. */
  readonly apiUrl: string
  /** Where the server's API was found; undefined where that is not known. */
  readonly apiRoot?: string | undefined
  readonly store: StoreKind
  /** Who is logged in; null after a logout, when the profile still remembers its server and store. */
  readonly email: string | null
}

export type LoginPlace = Omit<Login, 'email' | 'apiRoot'>

/** The config file's content. It holds no secret. */
export interface ConfigFile {
  readonly currentProfile: string | undefined
  /** The newest last. */
  readonly logins: readonly Login[]
}

export const EMPTY: ConfigFile = { currentProfile: undefined, logins: [] }

/** What each profile stands for: its newest login. */
export const profilesOf = ({ logins }: ConfigFile): ReadonlyMap<string, Login> =>
  new Map(logins.map(login => [login.profile, login]))

export const loginAt = ({ logins }: ConfigFile, profile: string, apiUrl: string): Login | undefined =>
  logins.findLast(login => login.profile === profile && login.apiUrl === apiUrl)

/** Where a login of any profile has found the API of that server. */
export const apiRootOf = ({ logins }: ConfigFile, apiUrl: string): string | undefined =>
  logins.findLast(login => login.apiUrl === apiUrl && login.apiRoot !== undefined)?.apiRoot

const isAt = (login: LoginPlace, { profile, apiUrl, store }: LoginPlace): boolean =>
  login.profile === profile && login.apiUrl === apiUrl && login.store === store

/** Whose login a place has by the file: null where it has ended, undefined where the file lists none. */
export const emailAt = (file: ConfigFile, place: LoginPlace): string | null | undefined =>
  (file.logins.find(login => isAt(login, place)) ?? loginAt(file, place.profile, place.apiUrl))?.email

/** A login of the same profile on the same server in another store. */
export const loginElsewhere = ({ logins }: ConfigFile, place: LoginPlace): Login | undefined =>
  logins.findLast(
    login =>
      isAt({ ...login, store: place.store }, place) && login.store !== place.store && login.email !== null,
  )

/** The file after a login. One in another store stays until its record there is deleted. */
export const withLogin = ({ logins }: ConfigFile, login: Login): ConfigFile => ({
  currentProfile: login.profile,
  logins: [...logins.filter(other => !isAt(other, login)), login],
})

/** The file after a record was deleted: the newest login still says which server and store its profile has. */
export const withoutRecord = (file: ConfigFile, place: LoginPlace): ConfigFile => ({
  ...file,
  logins: file.logins.flatMap(login => {
    if (!isAt(login, place)) return [login]
    return loginAt(file, place.profile, place.apiUrl) === login ? [{ ...login, email: null }] : []
  }),
})

export const configFilePath = (folder: string): string => path.join(folder, 'config.json')

/**
 * The config file of a folder, empty if there is none.
 * @throws {AtlasError} `usage`: it cannot be read or is not what atlas writes.
 */
export function readConfigFile(folder: string): ConfigFile {
  const file = configFilePath(folder)
  try {
    const found = readRegularFile(file, MAX_CONFIG_BYTES)
    return found ? parseConfigFile(found.bytes.toString(), file) : EMPTY
  } catch (error) {
    const fault = faultOf(error)
    if (fault === undefined) throw error
    if (fault.kind === 'missing') return EMPTY
    throw unusable(file, fault.message, fault.fix && `Fix it with: ${fault.fix}`)
  }
}

/** @param file its path, for messages. @throws {AtlasError} `usage` */
export function parseConfigFile(text: string, file: string): ConfigFile {
  const parse = <T>(name: string, value: unknown, parser: (text: string, from: string) => T): T => {
    if (typeof value !== 'string') throw unusable(file, `"${name}" is not a string`)
    return parser(value, `"${name}" in ${file}`)
  }
  // As editors of Windows begin a file.
  const root = parseJsonObject(text.replace(/^\ufeff/, ''))
  if (root === undefined) throw unusable(file, 'it is not a JSON object')
  const { current_profile: current, logins = [] } = root
  if (!Array.isArray(logins)) throw unusable(file, '"logins" is not a list')
  return {
    currentProfile: current === undefined ? undefined : parse('current_profile', current, parseProfileName),
    logins: logins.map((login: unknown, index) => {
      const name = `logins[${index}]`
      if (!isJsonObject(login)) throw unusable(file, `"${name}" is not an object`)
      const { profile, api_url, api_root, store, email = null } = login
      const apiUrl = parse(`${name}.api_url`, api_url, normalizeApiUrl)
      const apiRoot = possibleApiRoots(apiUrl).find(root => root === api_root)
      // A token must not be led elsewhere by this file.
      if (apiRoot === undefined && api_root !== undefined)
        throw unusable(file, `"${name}.api_root" is not an API root of ${apiUrl}`)
      return {
        profile: parse(`${name}.profile`, profile, parseProfileName),
        apiUrl,
        apiRoot,
        store: parse(`${name}.store`, store, parseStore),
        email: email === null ? null : parse(`${name}.email`, email, text => text),
      }
    }),
  }
}

const unusable = (
  file: string,
  reason: string,
  hint = 'Fix it, or delete it and log in again.',
): AtlasError => usageError(`The config file ${file} cannot be used: ${reason}.`, hint)

/** The config file, for several processes at once. */
export interface SharedConfigFile {
  readonly lock: Lock
  /** As it is now; `config.file` is as it was when the run began. @throws {AtlasError} `usage` */
  read(): ConfigFile
  /** See that it can be written. @throws {AtlasError} `file_error`, `lock_timeout` */
  prove(): Promise<void>
  /** Change it; two processes that do so at once lose nothing. @throws {AtlasError} as `prove` does */
  update(change: (file: ConfigFile) => ConfigFile): Promise<void>
}

export const shareConfigFile = (folder: string, lock: Lock): SharedConfigFile => ({
  lock,
  read: () => readConfigFile(folder),
  prove: () => lock.hold(async () => proveConfigFile(folder)),
  update: change => lock.hold(async () => writeConfigFile(folder, change(readConfigFile(folder)))),
})

/** See that the file can be written. Callers hold the folder's lock. @throws {AtlasError} `file_error` */
export const proveConfigFile = (folder: string): void =>
  writing(folder, file => {
    if (isMounted(file)) fs.closeSync(fs.openSync(file, 'r+'))
    else rehearseReplacement(file, Buffer.alloc(ROOM_BYTES))()
  })

/** Replace the file. Callers hold the folder's lock. @throws {AtlasError} `file_error`: the old one is intact. */
export function writeConfigFile(folder: string, { currentProfile, logins }: ConfigFile): void {
  const content = {
    current_profile: currentProfile,
    logins: logins.map(({ profile, apiUrl, apiRoot, store, email }) => ({
      profile,
      api_url: apiUrl,
      api_root: apiRoot,
      store,
      email,
    })),
  }
  const text = `${JSON.stringify(content, null, 2)}\n`
  writing(folder, file => {
    // A file that could not be read again would keep every command from working.
    if (Buffer.byteLength(text) > MAX_CONFIG_BYTES)
      throw new FileFault('unfit', `it would be larger than ${MAX_CONFIG_BYTES} bytes`)
    replaceOrOverwrite(file, text)
  })
}

function writing(folder: string, write: (file: string) => void): void {
  const file = configFilePath(folder)
  try {
    write(behindLink(file))
  } catch (error) {
    const failure = `The config file ${file} could not be written`
    throw faultOf(error, file)?.toError('file_error', failure, 'ATLAS_CONFIG_DIR') ?? error
  }
}

/** Where to write: a link, as dotfile managers make them, stays; one that leads nowhere is replaced. */
function behindLink(file: string): string {
  if (!fs.lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() || !fs.existsSync(file)) return file
  const target = fs.realpathSync(file)
  // The config folder is the user's own, which its lock has checked.
  if (fs.statSync(target).uid === fs.lstatSync(path.dirname(file)).uid) return target
  throw new FileFault('foreign', `it is a link to ${target}, which belongs to another user`)
}
