import fs from 'node:fs'
import path from 'node:path'
import { errorCode } from '../errors.ts'

/** What opening or flushing a folder says where the file system, or the folder's mode, does not offer it. */
const NO_FOLDER_SYNC = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EACCES'])

/** A file that is about to take another's place. */
export interface PendingFile {
  /**
   * Put the content in the other's place, as a whole and for good.
   * @throws the file system's own error; the old file is intact then.
   */
  commit(content: string): void
  /** Nothing came of it, or it is committed: leave nothing behind. */
  discard(): void
}

/** Create a folder, and what is missing above it, for its owner alone (0700). */
export function makePrivateFolder(folder: string): void {
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
}

/**
 * Replace a file as a whole: readers see the old content or the new, never a part, and after a
 * crash one of the two is there. The file is 0600 from its first moment.
 * @throws the file system's own error; the old file is intact then.
 */
export const replaceFile = (file: string, content: string): void => prepareFile(file).commit(content)

/**
 * Begin to replace a file. Callers exclude each other, so a temporary file found in the way is a dead
 * writer's and is removed.
 * @param roomBytes disk space to set aside, so that a content of that size is certain to fit.
 * @throws the file system's own error; the old file is intact then.
 */
export function prepareFile(file: string, roomBytes = 0): PendingFile {
  const temporary = temporaryOf(file)
  makePrivateFolder(path.dirname(file))
  fs.rmSync(temporary, { force: true })
  let descriptor: number | undefined = fs.openSync(temporary, 'wx', 0o600)

  const close = (): void => {
    if (descriptor !== undefined) fs.closeSync(descriptor)
    descriptor = undefined
  }
  const discard = (): void => {
    if (descriptor === undefined) return
    close()
    fs.rmSync(temporary, { force: true })
  }
  const write = (bytes: Uint8Array): void => {
    if (descriptor === undefined) throw new Error('the file is committed or discarded')
    for (let done = 0; done < bytes.length; )
      done += fs.writeSync(descriptor, bytes, done, bytes.length - done, done)
    fs.ftruncateSync(descriptor, bytes.length)
    fs.fsyncSync(descriptor)
  }
  const orDiscard = (work: () => void): void => {
    try {
      work()
    } catch (error) {
      discard()
      throw error
    }
  }

  if (roomBytes > 0) orDiscard(() => write(Buffer.alloc(roomBytes)))
  return {
    commit(content) {
      orDiscard(() => {
        write(Buffer.from(content))
        // Windows renames no file that is open.
        close()
        try {
          fs.renameSync(temporary, file)
        } catch (error) {
          fs.rmSync(temporary, { force: true })
          throw error
        }
      })
      syncFolder(path.dirname(file))
    },
    discard,
  }
}

export interface Access {
  readonly mode: number
  /** Both undefined for a file of the process's own user and group. */
  readonly uid?: number
  readonly gid?: number
}

/**
 * Create a file with its whole content on the disk; the name may still be lost in a power cut (`syncFolder`).
 * @param access the mode, less the process's umask; with an owner, exactly that mode and, where the
 * process may give files away, that owner.
 * @throws the file system's own error, `EEXIST` where the file is there; no part of it is left then.
 */
export function createFile(file: string, content: Uint8Array, { mode, uid, gid }: Access): void {
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
    fs.rmSync(file, { force: true })
    throw error
  }
}

function giveAccess(descriptor: number, mode: number, uid: number, gid: number): void {
  const found = fs.fstatSync(descriptor)
  if (found.uid !== uid || found.gid !== gid) {
    try {
      fs.fchownSync(descriptor, uid, gid)
    } catch (error) {
      // Another user's file is ours once it is replaced, as with an editor.
      if (errorCode(error) !== 'EPERM') throw error
    }
  }
  fs.fchmodSync(descriptor, mode)
}

/**
 * Delete a file for good, and what a writer that died left beside it; absent ones are fine.
 * @returns whether the file was there.
 */
export function removeFile(file: string): boolean {
  // The file goes last: while it is there, whoever stopped half-way tries again.
  const found = [temporaryOf(file), file].map(place => {
    if (fs.lstatSync(place, { throwIfNoEntry: false }) === undefined) return false
    fs.rmSync(place, { force: true })
    return true
  })
  if (found.includes(true)) syncFolder(path.dirname(file))
  return found.at(-1) === true
}

/** Where a file is written before it is put in place; a writer that was killed leaves it. */
export const temporaryOf = (file: string): string => `${file}.tmp`

/**
 * Make a rename or a deletion outlast a power cut, where folders can be flushed. Windows cannot open
 * folders and needs no such step.
 */
export function syncFolder(folder: string): void {
  if (process.platform === 'win32') return
  try {
    const descriptor = fs.openSync(folder, fs.constants.O_RDONLY)
    try {
      fs.fsyncSync(descriptor)
    } finally {
      fs.closeSync(descriptor)
    }
  } catch (error) {
    if (!NO_FOLDER_SYNC.has(errorCode(error) ?? '')) throw error
  }
}
