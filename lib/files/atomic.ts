import fs from 'node:fs'
import path from 'node:path'
import { errorCode } from '../errors.ts'
import { FileFault } from './faults.ts'

/* What the file system refuses is thrown as its own error. */

/** What opening or flushing a folder says where the file system, or the folder's mode, does not offer it. */
const NO_FOLDER_SYNC = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EACCES'])
/** A temporary file this old has no writer any more: writing one takes moments. */
const ABANDONED_AFTER_MS = 600_000
/** How often a file is written anew whose temporary file somebody deleted or replaced. */
export const MAX_ATTEMPTS = 8
/** The machine and the process that write a temporary file are in its name. */
const TEMPORARY = /^\..*\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.atlas-tmp$/s

export interface Access {
  readonly mode: number
  /** Both undefined for a file of the process's own user and group. */
  readonly uid?: number
  readonly gid?: number
  /**
   * Give the file, which nobody but its owner can open yet, what it needs before its mode.
   * @returns false where it must stay closed to everybody else.
   */
  readonly prepare?: (file: string) => boolean
}

/**
 * Replace a file as a whole: readers see the old content or the new, and after a crash one of the two is
 * there. The folder is made where it is missing (0700).
 * @param mode the file's from its first moment.
 * @param isWanted asked before it is written anew because somebody removed what was to take its place.
 * @throws {FileFault} `other`: somebody deletes or replaces each temporary file; `missing`: it is not wanted any more.
 */
export function replaceFile(
  file: string,
  content: string | Uint8Array,
  { mode = 0o600, isWanted = () => true }: { mode?: number; isWanted?: () => boolean } = {},
): void {
  for (let attempt = 1; !tryReplace(file, content, mode); attempt++) {
    if (!isWanted()) throw new FileFault('missing', 'it was deleted meanwhile', file)
    if (attempt === MAX_ATTEMPTS)
      throw new FileFault('other', 'another program removes what atlas writes beside it', file)
  }
  syncFolder(path.dirname(file))
}

/** @returns false where somebody deleted the temporary file or its folder, or put another file in its place. */
function tryReplace(file: string, content: string | Uint8Array, mode: number): boolean {
  try {
    using temporary = writeTemporary(file, content, { mode })
    return temporary.moveTo(file)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}

/** What is to take a file's place. Others may delete its name, or give that to a file of theirs. */
export interface Temporary extends Disposable {
  readonly path: string
  /** Whether a path leads to what was written. */
  isAt(place: string): boolean
  /** Put it in a file's place. @returns false where its name was gone or led to another file. */
  moveTo(place: string): boolean
}

/**
 * Write what is to take a file's place beside it, under a name that no other writer has: only its writer
 * renames or removes it. The folder is made where it is missing (0700).
 */
export function writeTemporary(file: string, content: string | Uint8Array, access: Access): Temporary {
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
  removeAbandoned(file)
  const temporary = temporaryName(file)
  // While it is open, no other file has its inode.
  const descriptor = createOpen(temporary, content, access)
  const own = fs.fstatSync(descriptor)
  const isAt = (place: string): boolean => {
    const found = fs.lstatSync(place, { throwIfNoEntry: false })
    if (found?.isFile() !== true) return false
    // A file system of the network may number a file anew.
    return (
      (found.ino === own.ino && found.dev === own.dev) || fs.readFileSync(place).equals(Buffer.from(content))
    )
  }
  return {
    path: temporary,
    isAt,
    moveTo(place) {
      if (!isAt(temporary)) return false
      fs.renameSync(temporary, place)
      return isAt(place) || wasNamed(descriptor, path.basename(place))
    },
    [Symbol.dispose]() {
      try {
        fs.closeSync(descriptor)
      } finally {
        discard(temporary)
      }
    },
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

/** A name beside a file that no other writer gives. */
export function temporaryName(file: string): string {
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
export function discard(file: string): void {
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
  return Bun.SHA256.hash(process.getBuiltinModule('node:os').hostname() + numbering, 'hex').slice(0, 8)
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

function createOpen(file: string, content: string | Uint8Array, access: Access): number {
  const { mode, uid, gid, prepare } = access
  const owned = uid !== undefined && gid !== undefined
  const descriptor = fs.openSync(file, 'wx', owned ? 0o600 : mode)
  try {
    fs.writeFileSync(descriptor, content)
    if (owned) {
      const isOwners = giveTo(descriptor, uid, gid)
      const isPrepared = prepare?.(file) ?? true
      setMode(descriptor, isPrepared ? (isOwners ? mode & 0o7777 : common(mode)) : mode & 0o700)
    }
    fs.fsyncSync(descriptor)
    return descriptor
  } catch (error) {
    fs.closeSync(descriptor)
    discard(file)
    throw error
  }
}

/** What an ordinary user, a user namespace or a foreign file system answers to a change of owner or mode. */
const NOT_CHANGED = new Set(['EPERM', 'EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'])

/** @returns whether the file has that group; another user's file is ours once it is replaced, as with an editor. */
function giveTo(descriptor: number, uid: number, gid: number): boolean {
  const own = fs.fstatSync(descriptor)
  const isGiven = (toUid: number): boolean =>
    (own.uid === toUid && own.gid === gid) || isDone(() => fs.fchownSync(descriptor, toUid, gid))
  return isGiven(uid) || isGiven(own.uid)
}

/** A file that keeps its first mode is its owner's alone, or its file system has no modes. */
const setMode = (descriptor: number, mode: number): boolean => isDone(() => fs.fchmodSync(descriptor, mode))

function isDone(change: () => void): boolean {
  try {
    change()
    return true
  } catch (error) {
    if (!NOT_CHANGED.has(errorCode(error) ?? '')) throw error
    return false
  }
}

/** What group and others both may: in another group, a person may be either. */
const common = (mode: number): number => {
  const shared = (mode >> 3) & mode & 0o7
  return (mode & 0o700) | (shared << 3) | shared
}

/** Delete a file and its temporary ones. Callers exclude its writers. @returns whether it was there. */
export function removeFile(file: string): boolean {
  // The file goes last: while it is there, whoever stopped half-way tries again.
  const found = [...temporariesOf(file), file].filter(place => fs.lstatSync(place, { throwIfNoEntry: false }))
  for (const place of found) fs.rmSync(place, { force: true })
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
