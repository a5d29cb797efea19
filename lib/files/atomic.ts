import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { errorCode } from '../errors.ts'
import { FileFault } from './faults.ts'

/* What the file system refuses is thrown as its own error. */

/** What opening or flushing a folder says where the file system, or the folder's mode, does not offer it. */
const NO_FOLDER_SYNC = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EACCES'])
/** A temporary file this old has no writer any more: writing one takes moments. */
const ABANDONED_AFTER_MS = 600_000
/** How often a file is written anew whose temporary file somebody deleted or replaced. */
const MAX_ATTEMPTS = 8
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
 * @throws {FileFault} `other`: somebody deletes or replaces each temporary file.
 */
export function replaceFile(file: string, content: string | Uint8Array, mode = 0o600): void {
  for (let attempt = 1; !tryReplace(file, content, mode); attempt++)
    if (attempt === MAX_ATTEMPTS)
      throw new FileFault('other', 'another program removes what atlas writes beside it', file)
  syncFolder(path.dirname(file))
}

/** @returns false where somebody deleted the temporary file or its folder, or put another file in its place. */
function tryReplace(file: string, content: string | Uint8Array, mode: number): boolean {
  const { temporary, descriptor } = openTemporary(file, content, { mode })
  try {
    // It is open, so no other file has its inode.
    const own = fs.fstatSync(descriptor)
    const isAt = (place: string): boolean => {
      const found = fs.lstatSync(place, { throwIfNoEntry: false })
      return found?.ino === own.ino && found.dev === own.dev
    }
    if (!isAt(temporary)) return false
    fs.renameSync(temporary, file)
    return isAt(file) || wasNamed(descriptor, path.basename(file))
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  } finally {
    fs.closeSync(descriptor)
    discard(temporary)
  }
}

/**
 * Whether the last name of an open file was that one, as Linux knows: it was in place, and somebody has put newer
 * content there since, which is not to be written over.
 */
function wasNamed(descriptor: number, name: string): boolean {
  try {
    return path.basename(fs.readlinkSync(`/proc/self/fd/${descriptor}`)) === `${name} (deleted)`
  } catch {
    return false
  }
}

/**
 * See that a file could be replaced by one with that content: write such a file beside it, and rename that.
 * @returns what deletes that file again, which until then keeps its room on the disk.
 * @throws {FileFault} `unfit`: it is a mount of its own.
 */
export function rehearseReplacement(file: string, content: string | Uint8Array): () => void {
  if (isMount(file))
    throw new FileFault('unfit', 'it is mounted alone and cannot be replaced; mount its folder instead', file)
  for (let attempt = 1; ; attempt++) {
    const temporary = writeTemporary(file, content, { mode: 0o600 })
    const renamed = temporaryName(file)
    try {
      // In a folder that only grows, files can be made and not renamed.
      fs.renameSync(temporary, renamed)
      return () => discard(renamed)
    } catch (error) {
      discard(temporary)
      // Somebody deleted it.
      if (errorCode(error) !== 'ENOENT' || attempt === MAX_ATTEMPTS) throw error
    }
  }
}

/** Whether something is mounted on a file, as containers do, so that no other file can take its name; Linux alone says so. */
function isMount(file: string): boolean {
  const mountOf = (place: string): string | undefined => {
    const descriptor = fs.openSync(place, fs.constants.O_RDONLY)
    try {
      return /^mnt_id:\s*(\d+)$/m.exec(fs.readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8'))?.[1]
    } finally {
      fs.closeSync(descriptor)
    }
  }
  try {
    return process.platform === 'linux' && mountOf(file) !== mountOf(path.dirname(file))
  } catch {
    return false
  }
}

/**
 * Write what is to take a file's place beside it, under a name that no other writer has: only its writer
 * renames or removes it. The folder is made where it is missing (0700).
 */
export function writeTemporary(file: string, content: string | Uint8Array, access: Access): string {
  const { temporary, descriptor } = openTemporary(file, content, access)
  fs.closeSync(descriptor)
  return temporary
}

function openTemporary(file: string, content: string | Uint8Array, access: Access) {
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
  removeAbandoned(file)
  const temporary = temporaryName(file)
  return { temporary, descriptor: createOpen(temporary, content, access) }
}

function temporaryName(file: string): string {
  const writer = `${machine()}-${process.pid}-${crypto.randomUUID().slice(0, 8)}`
  return path.join(path.dirname(file), `.${path.basename(file)}.${writer}.atlas-tmp`)
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

/** By its name and its process numbers: containers share folders and names, and each numbers from 1. */
function machine(): string {
  let numbering = ''
  try {
    numbering = fs.readlinkSync('/proc/self/ns/pid')
  } catch {}
  return Bun.SHA256.hash(os.hostname() + numbering, 'hex').slice(0, 8)
}

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
export const createFile = (file: string, content: string | Uint8Array, access: Access): void =>
  fs.closeSync(createOpen(file, content, access))

function createOpen(file: string, content: string | Uint8Array, { mode, uid, gid }: Access): number {
  const owned = uid !== undefined && gid !== undefined
  const descriptor = fs.openSync(file, 'wx', owned ? 0o600 : mode)
  try {
    fs.writeFileSync(descriptor, content)
    if (owned) giveAccess(descriptor, mode, uid, gid)
    fs.fsyncSync(descriptor)
    return descriptor
  } catch (error) {
    fs.closeSync(descriptor)
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
