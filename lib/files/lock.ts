import type { Database } from 'bun:sqlite'
import fs from 'node:fs'
import path from 'node:path'
import { AtlasError, errorCode } from '../errors.ts'
import { unlessAborted } from '../interrupts.ts'
import { at, FileFault, faultOf } from './faults.ts'
import { makePrivateFolder, requirePrivate, requireUnmovable, requireWritable } from './private.ts'

const MAX_POLL_MS = 25
/** Cleaners of temporary folders delete what has not changed for days; a lock in use stays younger. */
const TOUCH_AFTER_MS = 3_600_000

export interface Lock {
  /**
   * Run work that at most one process does at a time; wait for another holder first.
   * @throws {AtlasError} before the work runs. `lock_timeout`: the lock was not free in time, or cannot be
   * used; `store_denied`, `store_unavailable`: it cannot, because of the disk or the permissions of a
   * credential store; `cancelled`: a signal came while waiting.
   */
  hold<T>(work: (held: Held) => Promise<T>): Promise<T>
}

/** The lock's file. Whoever deletes it lets a second process in beside the one that holds it. */
export interface Held {
  /** Another one than before where the file was deleted and made again. */
  readonly id: string
  readonly madeAt: Date
  /** Whether it still keeps others out. */
  stillExcludes(): boolean
}

export interface LockOptions {
  readonly folder: string
  /** What the lock guards: an account, the config file, or another file. */
  readonly name: string
  /** Whether the folder is the credential store itself: a full or read-only disk is then a store error. */
  readonly inStore?: boolean
  /** Whether it is below a folder that other users write to, such as a temporary one. */
  readonly amongOthers?: boolean
  /** Where the lock is instead if the folder, one among others, cannot be used. */
  readonly otherFolder?: string
  readonly uid: number | undefined
  /** The longest wait for another holder, in milliseconds. */
  readonly timeoutMs: number
  readonly cancelled: AbortSignal
  readonly debug: (line: string) => void
}

export const lockPath = (folder: string, name: string): string =>
  path.join(folder, `${Bun.SHA256.hash(name, 'hex').slice(0, 32)}.lock`)

/**
 * SQLite's exclusive lock on an empty file, which the kernel frees when its holder dies. The file is never
 * deleted: that would let a second holder in.
 */
export const createLock = (options: LockOptions): Lock => ({
  async hold(work) {
    const { database, file, stillExcludes } = await acquire(options)
    try {
      return await work({ id: `${file.ino}-${file.birthtimeMs}`, madeAt: file.birthtime, stillExcludes })
    } finally {
      database.close()
    }
  },
})

async function acquire(options: LockOptions): Promise<Acquired> {
  const { folder, otherFolder, name, timeoutMs, cancelled, debug } = options
  const file = lockPath(folder, name)
  const startedAt = performance.now()
  for (let looks = 0; ; looks++) {
    cancelled.throwIfAborted()
    const held = await tryLock(file, options).catch((error: unknown) => {
      if (otherFolder === undefined || faultOf(error) === undefined) throw unusable(file, error, options)
      const { otherFolder: _, ...others } = options
      return acquire({ ...others, folder: otherFolder })
    })
    const waitedMs = performance.now() - startedAt
    if (held) {
      debug(`lock ${file}: held after ${waitedMs.toFixed(1)} ms`)
      return held
    }
    if (looks === 0) debug(`lock ${file}: waiting for another process`)
    if (waitedMs >= timeoutMs)
      throw new AtlasError(
        'lock_timeout',
        `Another atlas process has held the lock ${file} for more than ${Math.max(1, Math.round(timeoutMs / 100)) / 10} s.`,
        'Wait for it or end it, then try again.',
      )
    // A signal ends the pause too; the next turn throws for it.
    await unlessAborted(cancelled, Bun.sleep(Math.random() * MAX_POLL_MS)).catch(() => {})
  }
}

interface Acquired extends Pick<Held, 'stillExcludes'> {
  readonly file: fs.Stats
  /** Without a reference to it, the garbage collector would free the lock. */
  readonly database: Database
}

/** @returns undefined while another process holds the lock. @throws {FileFault} it cannot be used. */
async function tryLock(file: string, options: LockOptions): Promise<Acquired | undefined> {
  const { Database } = await import('bun:sqlite')
  const before = prepare(file, options)
  if (before === undefined) return undefined
  const stillExcludes = (): boolean => {
    const now = fs.lstatSync(file, { throwIfNoEntry: false })
    return now?.ino === before.ino && now.dev === before.dev
  }
  let database: Database | undefined
  try {
    database = new Database(file, { readwrite: true, create: false })
    database.run('PRAGMA busy_timeout = 0')
    // A journal on the disk would need room there, and would be left behind by a holder that dies.
    database.run('PRAGMA journal_mode = MEMORY')
    database.run('BEGIN EXCLUSIVE')
    if (stillExcludes()) {
      if (Date.now() - before.mtimeMs > TOUCH_AFTER_MS) fs.utimesSync(file, new Date(), new Date())
      return { file: before, database, stillExcludes }
    }
    database.close()
    return undefined
  } catch (error) {
    database?.close()
    if (errorCode(error)?.startsWith('SQLITE_BUSY')) return undefined
    // Deleted since it was made.
    if (!fs.existsSync(file)) return undefined
    throw faultOf(error, file) ?? error
  }
}

/**
 * See that the lock is a plain file of the user's own, in a folder of the user's own: locking a read-only
 * file would succeed without excluding others, and another user could hold a file of theirs for ever.
 * @returns undefined where somebody deleted it at once.
 */
function prepare(
  file: string,
  { folder, uid, otherFolder, amongOthers = otherFolder !== undefined }: LockOptions,
): fs.Stats | undefined {
  makePrivateFolder(folder, uid)
  if (amongOthers) at(folder, () => requireUnmovable(folder, uid))
  // In a read-only folder the record that the lock is for could not be replaced.
  requireWritable(folder)
  return at(file, () => {
    try {
      fs.closeSync(fs.openSync(file, 'wx', 0o600))
    } catch (error) {
      // It must not be opened then: closing it would drop a lock that this very process holds on it.
      if (errorCode(error) !== 'EEXIST') throw error
    }
    const found = fs.lstatSync(file, { throwIfNoEntry: false })
    if (found === undefined) return undefined
    requirePrivate(file, found, 'file', uid)
    // SQLite would take a few bytes of anything for an empty file.
    if (found.size > 0) throw new FileFault('unfit', 'it holds something that is not a lock', file)
    try {
      fs.accessSync(file, fs.constants.W_OK)
    } catch (error) {
      // Deleted since it was found.
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    }
    return found
  })
}

function unusable(
  file: string,
  error: unknown,
  { inStore = false, amongOthers = false }: LockOptions,
): unknown {
  const fault = faultOf(error)
  if (fault === undefined) return error
  const { kind, message, place, fix, storeCode } = fault
  const what = place === file ? `The lock ${file}` : `The folder ${place}, where atlas keeps a lock,`
  let hint = 'atlas changes nothing without it. Fix or remove that path and try again.'
  // In a temporary folder only its owner and root can remove or change it.
  if (kind === 'foreign' && amongOthers)
    hint = 'Ask its owner or an administrator to remove it, then try again.'
  else if (fix && kind !== 'unfit') hint = `Fix it with: ${fix}`
  const ofDisk = kind === 'denied' || kind === 'full'
  return new AtlasError(
    inStore && ofDisk ? storeCode : 'lock_timeout',
    `${what} cannot be used: ${message}.`,
    hint,
  )
}
