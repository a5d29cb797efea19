import fs from 'node:fs'
import path from 'node:path'
import { AtlasError, errorCode } from '../errors.ts'
import { shellQuoted } from '../terminal/shell-quote.ts'
import { makePrivateFolder } from './atomic.ts'

const MIN_POLL_MS = 2
const MAX_POLL_MS = 25
/** Cleaners of temporary folders delete what has not changed for days; a lock in use stays younger. */
const TOUCH_AFTER_MS = 3_600_000

/** Work that at most one process does at a time. */
export interface Lock {
  /**
   * Run the work while holding the lock; wait for another holder first. The work can ask whether the lock
   * still keeps others out: not after somebody has deleted its file.
   * @throws {AtlasError} `lock_timeout`: the lock was not to be had, in time or at all; the work did
   * not run. `cancelled`: a signal came while waiting.
   */
  hold<T>(work: (stillExcludes: () => boolean) => Promise<T>): Promise<T>
}

export interface LockOptions {
  readonly folder: string
  /** What the lock guards: an account, the config file, or another file. */
  readonly name: string
  /** Whether the folder is the credential store's own: a disk that is full or read-only is then the store's fault. */
  readonly inStore?: boolean
  /** The numeric user id that must own folder and file; undefined on Windows. */
  readonly uid: number | undefined
  /** The longest wait for another holder, in milliseconds. */
  readonly timeoutMs: number
  readonly cancelled: AbortSignal
  readonly debug: (line: string) => void
}

export const lockPath = (folder: string, name: string): string =>
  path.join(folder, `${new Bun.CryptoHasher('sha256').update(name).digest('hex').slice(0, 32)}.lock`)

/**
 * A lock between processes that the kernel frees when its holder dies: SQLite's exclusive lock on an
 * empty file. The file is never deleted, since that would let a second holder in.
 */
export function createLock({
  folder,
  name,
  inStore = false,
  uid,
  timeoutMs,
  cancelled,
  debug,
}: LockOptions): Lock {
  const file = lockPath(folder, name)

  const acquire = async (): Promise<Held> => {
    const startedAt = performance.now()
    for (let looks = 0; ; looks++) {
      cancelled.throwIfAborted()
      const held = await tryLock(file, uid, inStore)
      const waitedMs = performance.now() - startedAt
      if (held) {
        debug(`lock ${file}: held after ${waitedMs.toFixed(1)} ms`)
        return held
      }
      if (looks === 0) debug(`lock ${file}: waiting for another process`)
      if (waitedMs >= timeoutMs) throw busy(file, timeoutMs)
      await pause(MIN_POLL_MS + Math.random() * (MAX_POLL_MS - MIN_POLL_MS), cancelled)
    }
  }

  return {
    async hold(work) {
      const held = await acquire()
      try {
        return await work(held.stillExcludes)
      } finally {
        held.release()
      }
    },
  }
}

interface Held {
  stillExcludes(): boolean
  release(): void
}

/** @returns undefined while somebody else holds the lock. */
async function tryLock(file: string, uid: number | undefined, inStore: boolean): Promise<Held | undefined> {
  const { Database } = await import('bun:sqlite')
  let database: InstanceType<typeof Database> | undefined
  try {
    prepare(file, uid)
    const before = fs.lstatSync(file)
    database = new Database(file, { readwrite: true, create: false })
    database.run('PRAGMA busy_timeout = 0')
    // A journal on the disk would need room there, and would be left behind by a holder that dies.
    database.run('PRAGMA journal_mode = MEMORY')
    database.run('BEGIN EXCLUSIVE')
    const stillExcludes = (): boolean => {
      const now = fs.lstatSync(file, { throwIfNoEntry: false })
      return now?.ino === before.ino && now.dev === before.dev
    }
    if (stillExcludes()) {
      if (Date.now() - before.mtimeMs > TOUCH_AFTER_MS) fs.utimesSync(file, new Date(), new Date())
      // What nobody refers to is collected, and the lock with it.
      const held = database
      return { stillExcludes, release: () => held.close() }
    }
    database.close()
    return undefined
  } catch (error) {
    database?.close()
    if (errorCode(error)?.startsWith('SQLITE_BUSY')) return undefined
    throw error instanceof AtlasError ? error : faulty(file, errorCode(error) ?? 'unknown error', inStore)
  }
}

/**
 * See that the lock is a plain file of our own, in a folder of our own: locking a read-only file would
 * succeed without excluding anybody, and somebody else's file could be held by them for ever. In a
 * read-only folder the record that the lock is for could not be replaced.
 */
function prepare(file: string, uid: number | undefined): void {
  const folder = path.dirname(file)
  makePrivateFolder(folder)
  const foundFolder = fs.lstatSync(folder)
  if (!foundFolder.isDirectory()) throw faultyFolder(folder, 'it is not a folder')
  // In a temporary folder nobody but its owner and root can remove it.
  if (uid !== undefined && foundFolder.uid !== uid)
    throw faultyFolder(
      folder,
      'it belongs to another user',
      'Ask its owner or an administrator to remove it, then try again.',
    )
  if (uid !== undefined && (foundFolder.mode & 0o022) !== 0)
    throw faultyFolder(folder, 'others can change it', `Mend it with: chmod go-w ${shellQuoted(folder)}`)
  fs.accessSync(folder, fs.constants.W_OK)
  try {
    fs.closeSync(fs.openSync(file, 'wx', 0o600))
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
  }
  const found = fs.lstatSync(file)
  if (!found.isFile()) throw faulty(file, 'it is not a regular file')
  // SQLite would take a few bytes of anything for an empty file.
  if (found.size > 0) throw faulty(file, 'it holds something that is not a lock')
  if (uid !== undefined && found.uid !== uid) throw faulty(file, 'it belongs to another user')
  fs.accessSync(file, fs.constants.W_OK)
}

const pause = (ms: number, cancelled: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      cancelled.removeEventListener('abort', abort)
      resolve()
    }, ms)
    const abort = (): void => {
      clearTimeout(timer)
      reject(cancelled.reason)
    }
    cancelled.addEventListener('abort', abort, { once: true })
  })

const busy = (file: string, timeoutMs: number): AtlasError =>
  new AtlasError(
    'lock_timeout',
    `Another atlas process has held the lock ${file} for more than ${Math.max(1, Math.round(timeoutMs / 100)) / 10} s.`,
    'Wait for it or end it, then try again.',
  )

const MEND = 'atlas changes nothing without it. Mend or remove that path and try again.'

const faulty = (file: string, reason: string, inStore = false): AtlasError =>
  new AtlasError(
    inStore ? (STORE_CODES[reason] ?? 'lock_timeout') : 'lock_timeout',
    `The lock ${file} cannot be used: ${REASONS[reason] ?? reason}.`,
    MEND,
  )

const faultyFolder = (folder: string, reason: string, hint = MEND): AtlasError =>
  new AtlasError(
    'lock_timeout',
    `The folder ${folder}, where atlas keeps a lock, cannot be used: ${reason}.`,
    hint,
  )

const STORE_CODES: Record<string, 'store_denied' | 'store_unavailable'> = {
  EACCES: 'store_denied',
  EPERM: 'store_denied',
  EROFS: 'store_denied',
  ENOSPC: 'store_unavailable',
  EDQUOT: 'store_unavailable',
  SQLITE_READONLY: 'store_denied',
  SQLITE_FULL: 'store_unavailable',
}

const REASONS: Record<string, string> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  ENOENT: 'it leads nowhere',
  ELOOP: 'it is a loop of symbolic links',
  EEXIST: 'a file is in the way of the folder',
  ENOTDIR: 'a file is in the way of the folder',
  SQLITE_CANTOPEN: 'it cannot be opened',
  SQLITE_READONLY: 'it is read-only',
  SQLITE_FULL: 'the disk is full',
  SQLITE_IOERR_LOCK: 'its file system has no locks',
}
