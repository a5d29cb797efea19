import fs from 'node:fs'
import path from 'node:path'
import { type AtlasCode, AtlasError, errorCode } from '../errors.ts'
import { makePrivateFolder, prepareFile, removeFile, replaceFile } from '../files/atomic.ts'
import { shellQuoted } from '../terminal/shell-quote.ts'
import type { CredentialStore } from './store.ts'

const MAX_RECORD_BYTES = 1024 * 1024
/** Follow no link; without O_NONBLOCK a named pipe in a file's place would be waited for. */
const UNTRICKED = (fs.constants.O_NOFOLLOW ?? 0) | (fs.constants.O_NONBLOCK ?? 0)

export interface FileStoreOptions {
  /** The folder that holds the config file. */
  readonly configFolder: string
  /** The numeric user id that must own the files; undefined on Windows, where modes mean nothing. */
  readonly uid: number | undefined
  readonly debug: (line: string) => void
}

/** A store that can tell what is in it, unlike keychains, where looking for that unlocks everything. */
export interface FileStore extends CredentialStore {
  /**
   * The accounts that it has records of; a file that is not a record is left out.
   * @throws {AtlasError} `store_*`: the folder or a file in it cannot be read.
   */
  accounts(): Promise<string[]>
}

/** Credentials in plain text, one file (0600) an account in a folder (0700) of their own. */
export function createFileStore({ configFolder, uid, debug }: FileStoreOptions): FileStore {
  const folder = path.join(configFolder, 'credentials')

  const fileOf = (account: string): string =>
    path.join(folder, `${new Bun.CryptoHasher('sha256').update(account).digest('hex').slice(0, 32)}.json`)

  const guarded = <T>(operation: string, account: string, work: (file: string) => T): Promise<T> =>
    guardedAt(operation, fileOf(account), work)

  const guardedAt = async <T>(operation: string, file: string, work: (file: string) => T): Promise<T> => {
    const startedAt = performance.now()
    try {
      checkFolder(folder, uid)
      return work(file)
    } catch (error) {
      const code = errorCode(error)
      throw error instanceof AtlasError || code === undefined ? error : unusable(file, code)
    } finally {
      debug(`store file: ${operation} ${file} in ${(performance.now() - startedAt).toFixed(1)} ms`)
    }
  }

  return {
    kind: 'file',
    location: folder,
    lockFolder: folder,
    check: account =>
      guarded('check', account, file => {
        checkWritable(folder)
        checkReplaceable(file, uid)
      }),
    prove: account =>
      guarded('prove', account, file => {
        const record = readPrivateFile(file, uid)
        if (record !== undefined) prepareFile(file, Buffer.byteLength(record)).discard()
      }),
    read: account => guarded('read', account, file => readPrivateFile(file, uid)),
    write: (account, record) =>
      guarded('write', account, file => {
        makePrivateFolder(folder)
        checkFolder(folder, uid)
        readPrivateFile(file, uid)
        replaceFile(file, record)
      }),
    delete: account => guarded('delete', account, removeFile),
    accounts: () =>
      guardedAt('list', folder, () =>
        recordsIn(folder).flatMap(file => {
          const account = accountIn(readPrivateFile(file, uid) ?? '')
          return account !== undefined && fileOf(account) === file ? [account] : []
        }),
      ),
  }
}

const recordsIn = (folder: string): string[] =>
  fs.existsSync(folder)
    ? fs
        .readdirSync(folder)
        .filter(name => /^[0-9a-f]{32}\.json$/.test(name))
        .map(name => path.join(folder, name))
    : []

/** The account that a record names, however damaged it is otherwise. */
function accountIn(record: string): string | undefined {
  try {
    const account: unknown = JSON.parse(record)?.account
    return typeof account === 'string' ? account : undefined
  } catch {
    return undefined
  }
}

/** @throws {AtlasError} `store_denied`: others could put files there, or it leads elsewhere. */
function checkFolder(folder: string, uid: number | undefined): void {
  const found = fs.lstatSync(folder, { throwIfNoEntry: false })
  if (found === undefined) return
  if (found.isSymbolicLink()) throw refused(folder, 'is a symbolic link', `rm ${shellQuoted(folder)}`)
  if (!found.isDirectory()) throw refused(folder, 'is not a folder', `rm ${shellQuoted(folder)}`)
  if (uid === undefined) return
  if (found.uid !== uid) throw foreign(folder, uid)
  if ((found.mode & 0o022) !== 0)
    throw refused(folder, 'can be changed by others', `chmod 700 ${shellQuoted(folder)}`)
}

/**
 * The content of a file that its owner alone can read, undefined where there is none.
 * @throws {AtlasError} `store_denied`
 */
function readPrivateFile(file: string, uid: number | undefined): string | undefined {
  const descriptor = openPrivateFile(file, uid)
  if (descriptor === undefined) return undefined
  try {
    return fs.readFileSync(descriptor, 'utf8')
  } finally {
    fs.closeSync(descriptor)
  }
}

/**
 * See that files can be put into a folder, or into the nearest one above it that exists.
 * @throws {AtlasError} `store_denied`
 */
function checkWritable(folder: string, nearest = folder): void {
  try {
    fs.accessSync(nearest, fs.constants.W_OK | fs.constants.X_OK)
  } catch (error) {
    const code = errorCode(error)
    const above = path.dirname(nearest)
    if (code === 'ENOENT' && above !== nearest) checkWritable(folder, above)
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') throw unusable(folder, code)
  }
}

/** @throws {AtlasError} `store_denied`; the system's own error where an attribute of the file forbids it. */
function checkReplaceable(file: string, uid: number | undefined): void {
  const descriptor = openPrivateFile(file, uid)
  if (descriptor === undefined) return
  fs.closeSync(descriptor)
  try {
    fs.closeSync(fs.openSync(file, fs.constants.O_WRONLY | UNTRICKED))
  } catch (error) {
    // An immutable file can neither be written nor replaced; one that is read-only by its mode can be replaced.
    if (errorCode(error) === 'EPERM') throw error
  }
}

/** Open a file that its owner alone can read. @throws {AtlasError} `store_denied` */
function openPrivateFile(file: string, uid: number | undefined): number | undefined {
  const there = fs.lstatSync(file, { throwIfNoEntry: false })
  if (there?.isSymbolicLink()) throw refused(file, 'is a symbolic link', `rm ${shellQuoted(file)}`)
  // Somebody else's private file cannot be opened to be asked whose it is.
  if (there !== undefined && uid !== undefined && there.uid !== uid) throw foreign(file, uid)
  let descriptor: number
  try {
    descriptor = fs.openSync(file, fs.constants.O_RDONLY | UNTRICKED)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    const found = fs.fstatSync(descriptor)
    if (!found.isFile()) throw refused(file, 'is not a regular file', `rm -r ${shellQuoted(file)}`)
    if (uid !== undefined && found.uid !== uid) throw foreign(file, uid)
    if (uid !== undefined && (found.mode & 0o077) !== 0)
      throw refused(file, 'can be read by others', `chmod 600 ${shellQuoted(file)}`)
    if (found.size > MAX_RECORD_BYTES) throw refused(file, 'is too large', `rm ${shellQuoted(file)}`)
    return descriptor
  } catch (error) {
    fs.closeSync(descriptor)
    throw error
  }
}

/** A run with `sudo` that kept HOME is the usual reason, in one direction or the other. */
const foreign = (place: string, uid: number): AtlasError =>
  uid === 0
    ? new AtlasError(
        'store_denied',
        `The credential store ${place} belongs to another user, so atlas does not use it.`,
        'Run atlas as that user, or choose another folder with ATLAS_CONFIG_DIR.',
      )
    : refused(place, 'belongs to another user', `sudo chown -R ${uid} ${shellQuoted(place)}`)

const refused = (file: string, reason: string, command: string): AtlasError =>
  new AtlasError(
    'store_denied',
    `The credential store ${file} ${reason}, so atlas does not use it.`,
    `If that was not meant, mend it with: ${command}`,
  )

function unusable(file: string, code: string): AtlasError {
  const denied = code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
  const kind: AtlasCode = denied ? 'store_denied' : 'store_unavailable'
  return new AtlasError(
    kind,
    `The credential store ${file} cannot be used: ${REASONS[code] ?? code}.`,
    denied
      ? 'Check its permissions, or choose another folder with ATLAS_CONFIG_DIR.'
      : 'Mend that and try again.',
  )
}

const REASONS: Record<string, string> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
}
