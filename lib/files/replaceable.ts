import fs from 'node:fs'
import path from 'node:path'
import { errorCode } from '../errors.ts'
import { discard, MAX_ATTEMPTS, replaceFile, temporaryName, writeTemporary } from './atomic.ts'
import { at, FileFault } from './faults.ts'
import { immutable } from './private.ts'

/**
 * See that a file could be replaced by one with that content: write such a file beside it, and put it in the place
 * of another one. The file itself is not written: whoever has lost its lock would write over newer content.
 * @returns what deletes that file again, which until then keeps its room on the disk.
 * @throws {FileFault} as `requireReplaceable`, or the file system's own error
 */
export function rehearseReplacement(file: string, content: string | Uint8Array): () => void {
  requireReplaceable(file)
  for (let attempt = 1; ; attempt++) {
    const replaced = temporaryName(file)
    try {
      using temporary = writeTemporary(file, content, { mode: 0o600 })
      fs.writeFileSync(replaced, '', { flag: 'wx', mode: 0o600 })
      fs.renameSync(temporary.path, replaced)
      return () => discard(replaced)
    } catch (error) {
      discard(replaced)
      if (errorCode(error) !== 'ENOENT') throw error
      // Somebody deletes each of them: then the file can only be written over.
      if (attempt === MAX_ATTEMPTS) return overwritable(file)
    }
  }
}

/** @returns nothing to do afterwards. @throws {FileFault} */
function overwritable(file: string): () => void {
  at(file, () => fs.accessSync(file, fs.constants.W_OK))
  return () => {}
}

/**
 * See that a file, if it is there, can be replaced, as far as that shows without writing anything.
 * @throws {FileFault} `mounted`; as `requireMutable`
 */
export function requireReplaceable(file: string): void {
  requireMutable(file)
  if (isMounted(file)) throw new FileFault('mounted', 'it is mounted by itself and cannot be replaced', file)
}

/** See that no attribute of a file, if it is there, or of its folder forbids a change. @throws {FileFault} `denied` */
export function requireMutable(file: string): void {
  // A file that is read-only by its mode alone can be replaced: that is EACCES.
  if (isDenied(() => fs.closeSync(fs.openSync(file, WRITE_NOTHING)))) throw immutable(file)
  // Deletes no file. Linux says that names may not be removed there before it says that this is not a folder.
  if (process.platform === 'linux' && isDenied(() => fs.rmdirSync(file))) throw immutable(path.dirname(file))
}

/** Without O_NONBLOCK, a named pipe would be waited for. */
const WRITE_NOTHING = fs.constants.O_WRONLY | (fs.constants.O_NONBLOCK ?? 0)

function isDenied(attempt: () => void): boolean {
  try {
    attempt()
    return false
  } catch (error) {
    return errorCode(error) === 'EPERM'
  }
}

/** Whether a file is a mount of its own, as containers make them, whose name no other file can take; Linux alone tells. */
export function isMounted(file: string): boolean {
  const mountOf = (place: string): string | undefined => {
    const descriptor = fs.openSync(place, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
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
 * Replace a file (`replaceFile`), or write over it where nothing can take its place: it is a mount, or somebody has
 * closed its folder or deletes each new file there. Text and file are as `overwriteFile` wants them.
 * @throws what kept it from being replaced.
 */
export function replaceOrOverwrite(
  file: string,
  text: string,
  { isWanted = () => true, mayOverwrite = () => true }: ReplaceOptions = {},
): void {
  if (isMounted(file)) {
    overwriteFile(file, text, mayOverwrite)
    return
  }
  try {
    replaceFile(file, text, { isWanted })
  } catch (error) {
    try {
      overwriteFile(file, text, mayOverwrite)
    } catch {
      throw error
    }
  }
}

interface ReplaceOptions {
  readonly isWanted?: () => boolean
  /** Whether the file that is there, as it was opened, may be written over. */
  readonly mayOverwrite?: (found: fs.Stats) => boolean
}

/**
 * Write over a file, which keeps its access rights; it must be there. Its text must be one that blanks at its end do
 * not change: they keep a reader, and a crash, from finding the end of a longer older text.
 */
export function overwriteFile(
  file: string,
  text: string | Uint8Array,
  mayOverwrite = (_: fs.Stats): boolean => true,
): void {
  const content = Buffer.from(text)
  const descriptor = fs.openSync(file, fs.constants.O_RDWR | (fs.constants.O_NOFOLLOW ?? 0))
  const write = (bytes: Buffer, from: number): void => {
    for (let done = 0; done < bytes.length; )
      done += fs.writeSync(descriptor, bytes, done, bytes.length - done, from + done)
  }
  try {
    const found = fs.fstatSync(descriptor)
    if (!found.isFile() || !mayOverwrite(found))
      throw new FileFault('unfit', 'another file has taken its place', file)
    const { size } = found
    try {
      // Room for what it grows by comes first.
      write(Buffer.alloc(Math.max(0, content.length - size), ' '), size)
    } catch (error) {
      fs.ftruncateSync(descriptor, size)
      throw error
    }
    write(Buffer.concat([content, Buffer.alloc(Math.max(0, size - content.length), ' ')]), 0)
    fs.ftruncateSync(descriptor, content.length)
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}
