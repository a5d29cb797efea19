import fs from 'node:fs'
import path from 'node:path'
import { errorCode } from '../errors.ts'
import { rehearseReplacement, removeFile, replaceFile } from '../files/atomic.ts'
import { faultOf } from '../files/faults.ts'
import { checkPrivateFolder, makePrivateFolder, readPrivateFile, requireWritable } from '../files/private.ts'
import type { CredentialStore } from './store.ts'

const MAX_RECORD_BYTES = 1024 * 1024

export interface FileStoreOptions {
  /** The folder that holds the config file. */
  readonly configFolder: string
  /** The numeric user id that must own the files; undefined on Windows, where modes mean nothing. */
  readonly uid: number | undefined
  readonly debug: (line: string) => void
}

/** A store that can list what is in it, unlike keychains, where looking for that unlocks everything. */
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
    path.join(folder, `${Bun.SHA256.hash(account, 'hex').slice(0, 32)}.json`)
  const readRecord = (file: string): string | undefined => readPrivateFile(file, uid, MAX_RECORD_BYTES)

  const use = async <T>(operation: string, place: string, work: (place: string) => T): Promise<T> => {
    const startedAt = performance.now()
    try {
      checkPrivateFolder(folder, uid)
      return work(place)
    } catch (error) {
      const fault = faultOf(error, place)
      throw (
        fault?.toError(
          fault.storeCode,
          `The credential store ${fault.place} cannot be used`,
          'ATLAS_CONFIG_DIR',
        ) ?? error
      )
    } finally {
      debug(`store file: ${operation} ${place} in ${(performance.now() - startedAt).toFixed(1)} ms`)
    }
  }

  return {
    kind: 'file',
    location: folder,
    lockFolder: folder,
    check: account =>
      use('check', fileOf(account), file => {
        requireWritable(folder)
        if (readRecord(file) !== undefined) requireMutable(file)
      }),
    prove: account =>
      use('prove', fileOf(account), file => {
        const record = readRecord(file)
        if (record !== undefined) rehearseReplacement(file, record)
      }),
    read: account => use('read', fileOf(account), readRecord),
    write: (account, record) =>
      use('write', fileOf(account), file => {
        makePrivateFolder(folder, uid)
        readRecord(file)
        replaceFile(file, record)
      }),
    delete: account => use('delete', fileOf(account), removeFile),
    accounts: () =>
      use('list', folder, () => {
        const names = fs.existsSync(folder) ? fs.readdirSync(folder) : []
        const files = names.filter(name => name.endsWith('.json')).map(name => path.join(folder, name))
        return files.flatMap(file => {
          const account = accountIn(readRecord(file) ?? '')
          return account !== undefined && fileOf(account) === file ? [account] : []
        })
      }),
  }
}

/** The account that a record names, however damaged it is otherwise. */
function accountIn(record: string): string | undefined {
  try {
    const account: unknown = JSON.parse(record)?.account
    return typeof account === 'string' ? account : undefined
  } catch {
    return undefined
  }
}

/** @throws the system's own error where an attribute of the file forbids both to write and to replace it. */
function requireMutable(file: string): void {
  try {
    fs.closeSync(fs.openSync(file, fs.constants.O_WRONLY))
  } catch (error) {
    // A file that is read-only by its mode alone can be replaced.
    if (errorCode(error) === 'EPERM') throw error
  }
}
