import fs from 'node:fs'
import path from 'node:path'
import { AtlasError, errorCode } from '../errors.ts'
import { removeFile, temporariesOf } from '../files/atomic.ts'
import { faultOf } from '../files/faults.ts'
import { checkPrivateFolder, makePrivateFolder, readPrivateFile, requireWritable } from '../files/private.ts'
import { rehearseReplacement, replaceOrOverwrite, requireReplaceable } from '../files/replaceable.ts'
import { parseJsonObject } from '../json-object.ts'
import { shellQuoted } from '../shell-quote.ts'
import { type CredentialStore, PROBE } from './store.ts'

const MAX_RECORD_BYTES = 1024 * 1024

export interface FileStoreOptions {
  readonly configFolder: string
  readonly uid: number | undefined
  readonly debug: (line: string) => void
}

/** Keychains cannot list what is in them: looking for that unlocks everything. */
interface FileStore extends CredentialStore {
  /** The account of each record; for a record that cannot be read as one, why it cannot. */
  accounts(): Promise<(string | AtlasError)[]>
}

/** What a record may grow by in a refresh and is still certain to find room on the disk: two tokens of 16 KiB, in bytes. */
const MAX_GROWTH_BYTES = 40 * 1024

/** Credentials in plain text, one file (0600) an account in a folder (0700) of their own. */
export function createFileStore({ configFolder, uid, debug }: FileStoreOptions): FileStore {
  const folder = path.join(configFolder, 'credentials')
  const fileOf = (account: string): string => path.join(folder, fileNameOf(account))
  const readRecord = (file: string): string | undefined => readPrivateFile(file, uid, MAX_RECORD_BYTES)

  const attempt = async <T>(operation: string, place: string, work: (place: string) => T): Promise<T> => {
    const startedAt = performance.now()
    try {
      return work(place)
    } catch (error) {
      const fault = faultOf(error, place)
      if (fault === undefined) throw error
      const failure = `The credential store ${fault.place} cannot be used`
      throw fault.toError(fault.storeCode, failure, 'ATLAS_CONFIG_DIR')
    } finally {
      debug(`store file: ${operation} ${place} in ${(performance.now() - startedAt).toFixed(1)} ms`)
    }
  }

  // Somebody may have put a file of theirs there, or hold it open since others could read it.
  const isPrivateRecord = (found: fs.Stats): boolean =>
    found.uid === (uid ?? found.uid) &&
    (uid === undefined || (found.mode & 0o077) === 0) &&
    found.size <= MAX_RECORD_BYTES

  const use = <T>(operation: string, place: string, work: (place: string) => T): Promise<T> =>
    attempt(operation, place, () => {
      checkPrivateFolder(folder, uid)
      return work(place)
    })

  return {
    kind: 'file',
    location: folder,
    lockFolder: folder,
    check: account =>
      use('check', fileOf(account), file => {
        requireWritable(folder)
        if (readRecord(file) !== undefined) requireReplaceable(file)
      }),
    prove: account =>
      use('prove', fileOf(account), file => {
        const record = readRecord(file)
        if (record === undefined) return () => {}
        return rehearseReplacement(file, Buffer.alloc(Buffer.byteLength(record) + MAX_GROWTH_BYTES))
      }),
    read: account => use('read', fileOf(account), readRecord),
    write: (account, record) =>
      attempt('write', fileOf(account), file =>
        reopening(folder, uid, () => {
          const isThere = (): boolean => fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined
          const wasThere = isThere()
          // What must be kept is not lost because others can change its folder by now, or read what it replaces.
          if (!wasThere) makePrivateFolder(folder, uid)
          // A logout deletes the record, and what was to take its place.
          replaceOrOverwrite(file, record, {
            isWanted: () => !wasThere || isThere(),
            mayOverwrite: isPrivateRecord,
          })
        }),
      ),
    delete: account => use('delete', fileOf(account), removeFile),
    async accounts() {
      const files = await use('list', folder, recordsIn).catch(asAtlasError)
      if (files instanceof AtlasError) return [files]
      const read = (file: string) => use('read', file, () => accountOf(file, readRecord)).catch(asAtlasError)
      return (await Promise.all(files.map(read))).filter(account => account !== undefined)
    },
  }
}

/** Do something in a folder of atlas's own, which is opened again if its owner has closed it meanwhile. */
function reopening(folder: string, uid: number | undefined, work: () => void): void {
  try {
    work()
  } catch (error) {
    if (errorCode(error) !== 'EACCES') throw error
    const found = fs.lstatSync(folder, { throwIfNoEntry: false })
    if (!found?.isDirectory() || found.uid !== uid) throw error
    fs.chmodSync(folder, 0o700)
    work()
  }
}

const fileNameOf = (account: string): string => `${Bun.SHA256.hash(account, 'hex').slice(0, 32)}.json`

/** The account that a file, or what a killed writer left of it, belongs to; undefined without a secret. */
function accountOf(file: string, read: (file: string) => string | undefined): string | undefined {
  const record = [file, ...temporariesOf(file)].map(read).find(text => text !== undefined)
  // A proof that was killed left zeros.
  if (record === undefined || record.startsWith(PROBE) || record.startsWith('\0')) return undefined
  const account = accountIn(record)
  if (account !== undefined && fileNameOf(account) === path.basename(file)) return account
  throw new AtlasError(
    'store_unavailable',
    `The credential file ${file} does not say whose it is.`,
    `If nothing else needs it, delete it with: rm -f ${shellQuoted(file)}`,
  )
}

/** The files of all records, or where they would be: a writer that was killed left another name. */
function recordsIn(folder: string): string[] {
  const names = fs.existsSync(folder) ? fs.readdirSync(folder) : []
  const records = names.map(name => /^\.?([0-9a-f]{32}\.json)(?=$|\..*\.atlas-tmp$)/.exec(name)?.[1])
  return [...new Set(records.filter(name => name !== undefined))].map(name => path.join(folder, name))
}

function asAtlasError(error: unknown): AtlasError {
  if (error instanceof AtlasError) return error
  throw error
}

/** However damaged the record is otherwise. */
function accountIn(record: string): string | undefined {
  const account = parseJsonObject(record)?.['account']
  return typeof account === 'string' ? account : undefined
}
