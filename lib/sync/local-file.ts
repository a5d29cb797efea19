import fs from 'node:fs'
import path from 'node:path'
import { errorCode } from '../errors.ts'
import { readAcl, writeAcl } from '../files/acl.ts'
import { type Access, createFile, syncFolder, type Temporary, writeTemporary } from '../files/atomic.ts'
import { faultOf } from '../files/faults.ts'
import { type RegularFile, readRegularFile } from '../files/private.ts'
import { overwriteFile, requireMutable } from '../files/replaceable.ts'
import { sameBytes } from './verdict.ts'

/** Far more than a server sends; beyond it a file is not a configuration. */
const MAX_LOCAL_BYTES = 64 * 1024 * 1024
/** Where a file system, or the ownership of a file, allows no second name for it. */
const NO_LINKS = new Set(['EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV', 'EINVAL'])

export type LocalFile = RegularFile

/** Do something with a file. @throws {AtlasError} `file_error`, where it cannot be done. */
export function orFileError<T>(file: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw faultOf(error, file)?.toError('file_error', `${file} cannot be used`, '--dir') ?? error
  }
}

/** A second name for the old file while it is being replaced: what is written to it meanwhile is not lost. */
export const displacedOf = (target: string): string =>
  path.join(path.dirname(target), `.${path.basename(target)}.atlas-old`)

/** @returns undefined where there is no file. @throws {AtlasError} `file_error` */
export const readLocal = (target: string): LocalFile | undefined =>
  orFileError(target, () => readRegularFile(target, MAX_LOCAL_BYTES))

/**
 * Put a text in the place of the one that was seen, whole or not at all. The old file is left behind
 * under `displacedOf(target)` for the caller to settle, with whatever an editor that writes in place put
 * into it up to the last moment. An editor that replaces files by renaming can be overtaken only between
 * this function's last look and its rename, microseconds apart.
 * @param target a path without symbolic links. Its writers exclude each other, and settle what one left.
 * @returns false where the file is no longer as it was seen; nothing was changed then.
 * @throws {AtlasError} `file_error`; the old file is intact then.
 */
export const replaceLocal = (target: string, content: Uint8Array, seen: LocalFile | undefined): boolean =>
  orFileError(target, () => {
    if (seen === undefined) return createLocal(target, content)
    try {
      return exchangeLocal(target, content, seen)
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return false
      throw error
    }
  })

function createLocal(target: string, content: Uint8Array): boolean {
  fs.mkdirSync(path.dirname(target), { recursive: true })
  // The umask decides who may read it, as with an editor's new file.
  using temporary = writeTemporary(target, content, { mode: 0o666 })
  try {
    if (!temporary.isAt(temporary.path)) return false
    requireMutable(temporary.path)
    // Unlike a rename, this fails if another program has created the file meanwhile.
    fs.linkSync(temporary.path, target)
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false
    if (!NO_LINKS.has(errorCode(error) ?? '')) throw error
    if (readLocal(target) !== undefined || !temporary.moveTo(target)) return false
  }
  syncFolder(path.dirname(target))
  return true
}

function exchangeLocal(target: string, content: Uint8Array, seen: LocalFile): boolean {
  // A rename would replace a file that its owner has made read-only.
  fs.accessSync(target, fs.constants.W_OK)
  requireMutable(target)
  const access = accessOf(target, seen)
  using temporary = writeTemporary(target, content, access)
  using undo = new DisposableStack()
  const displaced = displacedOf(target)
  keepDisplaced(target, displaced, seen, access)
  undo.defer(() => fs.rmSync(displaced, { force: true }))

  const isAsSeen = (): boolean => {
    const latest = readLocal(target)
    return latest !== undefined && sameBytes(latest.bytes, seen.bytes)
  }
  if (!isAsSeen()) return false
  const isReplaced = putInPlace(temporary, target, content)
  // Where something else went there, the old file is needed too.
  if (isReplaced || !isAsSeen()) undo.move()
  if (!isReplaced) return false
  syncFolder(path.dirname(target))
  return true
}

/** Who may do what with a file; its list goes to the one that takes its place, which gets none from its folder. */
function accessOf(target: string, { stats }: LocalFile): Access {
  const list = readAcl(target)
  return { mode: stats.mode, uid: stats.uid, gid: stats.gid, prepare: file => writeAcl(file, list) }
}

function putInPlace(temporary: Temporary, target: string, content: Uint8Array): boolean {
  try {
    return temporary.moveTo(target)
  } catch (error) {
    // A mount of its own, which nothing can take the place of.
    if (errorCode(error) !== 'EBUSY') throw error
    overwriteFile(target, content)
    return true
  }
}

function keepDisplaced(target: string, displaced: string, seen: LocalFile, access: Access): void {
  try {
    fs.linkSync(target, displaced)
  } catch (error) {
    if (!NO_LINKS.has(errorCode(error) ?? '')) throw error
    createFile(displaced, seen.bytes, access)
  }
}
