import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { errorCode } from '../errors.ts'

/* Every function here throws the file system's own error. */

/** What opening or flushing a folder says where the file system, or the folder's mode, does not offer it. */
const NO_FOLDER_SYNC = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EACCES'])
/** A temporary file this old has no writer any more: writing one takes moments. */
const ABANDONED_AFTER_MS = 600_000
/** The machine and the process that write a temporary file are in its name. */
const TEMPORARY = /^\..*\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.atlas-tmp$/s

export interface Access {
  readonly mode: number
  /** Both undefined for a file of the process's own user and group. */
  readonly uid?: number
  readonly gid?: number
}

/**
 * Replace a file as a whole: readers see the old content or the new, and after a crash one of the two is
 * there. The folder is made where it is missing (0700).
 * @param mode the file's from its first moment.
 */
export function replaceFile(file: string, content: string | Uint8Array, mode = 0o600): void {
  const temporary = writeTemporary(file, content, { mode })
  try {
    fs.renameSync(temporary, file)
  } finally {
    discard(temporary)
  }
  syncFolder(path.dirname(file))
}

/**
 * See that a file could be replaced by one with that content, by writing such a file beside it.
 * @returns what deletes that file again, which until then keeps its room on the disk.
 */
export function rehearseReplacement(file: string, content: string | Uint8Array): () => void {
  const temporary = writeTemporary(file, content, { mode: 0o600 })
  return () => discard(temporary)
}

/**
 * Write what is to take a file's place beside it, under a name that no other writer has: only its writer
 * renames or removes it. The folder is made where it is missing (0700).
 */
export function writeTemporary(file: string, content: string | Uint8Array, access: Access): string {
  const folder = path.dirname(file)
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
  removeAbandoned(file)
  const writer = `${machine()}-${process.pid}-${crypto.randomUUID().slice(0, 8)}`
  const temporary = path.join(folder, `.${path.basename(file)}.${writer}.atlas-tmp`)
  createFile(temporary, content, access)
  return temporary
}

/** The temporary files of a file, its writers dead or alive; none in a folder that may not be listed. */
export function temporariesOf(file: string): string[] {
  const folder = path.dirname(file)
  try {
    return fs
      .readdirSync(folder)
      .filter(name => name.startsWith(`.${path.basename(file)}.`) && TEMPORARY.test(name))
      .map(name => path.join(folder, name))
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'EACCES') return []
    throw error
  }
}

/** Delete the temporary files of a file whose writers were killed. */
export function removeAbandoned(file: string): void {
  for (const temporary of temporariesOf(file).filter(isAbandoned)) discard(temporary)
}

/** Delete a file that nothing reads, if it can be: what else was done counts, and the next writer tries again. */
function discard(file: string): void {
  try {
    fs.rmSync(file, { force: true })
  } catch {}
}

function isAbandoned(temporary: string): boolean {
  const [, writtenOn, pid] = TEMPORARY.exec(path.basename(temporary)) ?? []
  if (writtenOn === machine() && !isRunning(Number(pid))) return true
  const mtimeMs = fs.lstatSync(temporary, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()
  return Date.now() - mtimeMs > ABANDONED_AFTER_MS
}

/** By its name: containers share folders, and each has process numbers of its own. */
const machine = (): string => Bun.SHA256.hash(os.hostname(), 'hex').slice(0, 8)

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return errorCode(error) !== 'ESRCH'
  }
}

/**
 * Create a file (`EEXIST` where it is there) with its whole content on the disk, or nothing of it; its name
 * may still be lost in a power cut (`syncFolder`).
 * @param access the mode, less the process's umask; with an owner, exactly that mode and, if allowed, owner.
 */
export function createFile(file: string, content: string | Uint8Array, { mode, uid, gid }: Access): void {
  const owned = uid !== undefined && gid !== undefined
  const descriptor = fs.openSync(file, 'wx', owned ? 0o600 : mode)
  try {
    try {
      fs.writeFileSync(descriptor, content)
      if (owned) giveAccess(descriptor, mode, uid, gid)
      fs.fsyncSync(descriptor)
    } finally {
      fs.closeSync(descriptor)
    }
  } catch (error) {
    discard(file)
    throw error
  }
}

function giveAccess(descriptor: number, mode: number, uid: number, gid: number): void {
  const found = fs.fstatSync(descriptor)
  try {
    if (found.uid !== uid || found.gid !== gid) fs.fchownSync(descriptor, uid, gid)
  } catch (error) {
    // Another user's file is ours once it is replaced, as with an editor.
    if (errorCode(error) !== 'EPERM') throw error
  }
  fs.fchmodSync(descriptor, mode & 0o7777)
}

/** Delete a file and its temporary ones. Callers exclude its writers. @returns whether it was there. */
export function removeFile(file: string): boolean {
  // The file goes last: while it is there, whoever stopped half-way tries again.
  const found = [...temporariesOf(file), file].filter(place => fs.lstatSync(place, { throwIfNoEntry: false }))
  for (const place of found) fs.rmSync(place)
  if (found.length > 0) syncFolder(path.dirname(file))
  return found.includes(file)
}

/** Make a rename or a deletion outlast a power cut, where folders can be flushed. */
export function syncFolder(folder: string): void {
  // Windows cannot open folders and needs no such step.
  if (process.platform === 'win32') return
  let descriptor: number | undefined
  try {
    descriptor = fs.openSync(folder, fs.constants.O_RDONLY)
    fs.fsyncSync(descriptor)
  } catch (error) {
    if (!NO_FOLDER_SYNC.has(errorCode(error) ?? '')) throw error
  } finally {
    if (descriptor !== undefined) fs.closeSync(descriptor)
  }
}
