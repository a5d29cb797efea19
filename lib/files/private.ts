import fs from 'node:fs'
import path from 'node:path'
import { errorCode } from '../errors.ts'
import { shellQuoted } from '../shell-quote.ts'
import { at, FileFault, faultOf } from './faults.ts'

/** Without O_NONBLOCK, a named pipe in the place of a file would be waited for. */
const SAFE_OPEN = fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0)
const NO_FOLLOW = fs.constants.O_NOFOLLOW ?? 0

/** What other users may not do: change a folder or a file; with a secret, read it either. */
const FORBIDDEN_MODE = { folder: 0o022, file: 0o022, secret: 0o077 }

/**
 * See that a folder or file is the user's own and no link.
 * @param kind whether others may read it (`file`) or not (`secret`).
 * @param uid the numeric user id that must own it; undefined on Windows, where modes mean nothing.
 * @throws {FileFault} with the command that puts it right.
 */
export function requirePrivate(
  place: string,
  found: fs.Stats,
  kind: keyof typeof FORBIDDEN_MODE,
  uid: number | undefined,
): void {
  const refuse = (fault: FileFault['kind'], reason: string, command?: string): FileFault =>
    new FileFault(fault, reason, place, command && `${command} ${shellQuoted(place)}`)

  if (found.isSymbolicLink()) throw refuse('unfit', 'it is a symbolic link', 'rm')
  if (kind === 'folder' && !found.isDirectory()) throw refuse('unfit', 'it is not a folder', 'rm')
  if (kind !== 'folder' && !found.isFile()) throw refuse('unfit', 'it is not a regular file', 'rm -r')
  if (uid === undefined) return
  // A run with `sudo` that kept HOME is the usual reason, in one direction or the other.
  if (found.uid !== uid)
    throw refuse('foreign', 'it belongs to another user', uid === 0 ? undefined : `sudo chown -R ${uid}`)
  if ((found.mode & FORBIDDEN_MODE[kind]) === 0) return
  if (kind === 'secret') throw refuse('exposed', 'others can read it', 'chmod 600')
  throw refuse('exposed', 'others can change it', 'chmod go-w')
}

/** See that a folder, if it is there, is the user's own. @throws {FileFault} @returns whether it is there. */
export function checkPrivateFolder(folder: string, uid: number | undefined): boolean {
  const found = at(folder, () => fs.lstatSync(folder, { throwIfNoEntry: false }))
  if (found !== undefined) requirePrivate(folder, found, 'folder', uid)
  return found !== undefined
}

/** Make a folder and those above it (0700); one that is there must be the user's own. @throws {FileFault} */
export function makePrivateFolder(folder: string, uid: number | undefined): void {
  if (checkPrivateFolder(folder, uid)) return
  at(folder, () => fs.mkdirSync(folder, { recursive: true, mode: 0o700 }))
  checkPrivateFolder(folder, uid)
}

/**
 * See that nobody but the user and root can put another file or folder in the place of this one: in each folder above
 * it, and above what links among them lead to, others may rename only what is their own.
 * @throws {FileFault} `exposed`, with the command that changes it, or the file system's own error
 */
export function requireUnmovable(place: string, uid: number | undefined): void {
  if (uid === undefined) return
  // Whoever owns the root is root, under whatever number this process sees it.
  const trusted = [0, uid, fs.statSync('/').uid]
  const names = path.dirname(path.resolve(place)).split(path.sep)
  let reached = '/'
  for (let links = 0; names.length > 0; ) {
    const name = names.shift() ?? ''
    const next = path.join(reached, name)
    const found = fs.lstatSync(next)
    const refuse = (what: string, command: string): FileFault =>
      new FileFault('exposed', `others can replace ${what}`, place, asOwner(command, next, found, uid))
    // Also of a link: in a folder with the sticky bit its owner can make it lead elsewhere.
    if (!trusted.includes(found.uid)) throw refuse(`${next} and what is in it`, `chown -h ${uid}`)
    if (found.isSymbolicLink()) {
      if (++links > MAX_LINKS) throw new FileFault('unfit', 'its symbolic links lead in a circle', place)
      const target = fs.readlinkSync(next)
      if (path.isAbsolute(target)) reached = '/'
      names.unshift(...target.split(path.sep))
    } else {
      const isShared = (found.mode & FORBIDDEN_MODE.folder) !== 0 && (found.mode & STICKY) === 0
      if (isShared) throw refuse(`what is in ${next}`, (found.mode & 0o002) === 0 ? 'chmod g-w' : 'chmod +t')
      reached = next
    }
  }
}

/** In such a folder people rename and delete what is theirs alone. */
const STICKY = 0o1000
/** As Linux has it. */
const MAX_LINKS = 40

const asOwner = (command: string, place: string, { uid: owner }: fs.Stats, uid: number): string =>
  `${uid === 0 || (owner === uid && command.startsWith('chmod')) ? '' : 'sudo '}${command} ${shellQuoted(place)}`

/** What is said of a file or folder that nobody may change, not even its owner. */
export function immutable(place: string): FileFault {
  const [command, sudo] =
    process.platform === 'darwin' ? ['chflags nouchg,nouappnd', ''] : ['chattr -i -a', 'sudo ']
  const prefix = process.getuid?.() === 0 ? '' : sudo
  return new FileFault(
    'denied',
    'it is immutable or append-only',
    place,
    `${prefix}${command} ${shellQuoted(place)}`,
  )
}

/** See that files can be put into a folder, or the nearest one above it that exists. @throws {FileFault} */
export function requireWritable(folder: string): void {
  const nearest = nearestFolder(folder)
  try {
    fs.accessSync(nearest, fs.constants.W_OK | fs.constants.X_OK)
  } catch (error) {
    if (errorCode(error) === 'EPERM') throw immutable(nearest)
    throw faultOf(error, folder) ?? error
  }
}

/** Why no file can be made and deleted in a folder, or the nearest one above it that exists; undefined where it can. */
export function writeFault(folder: string): FileFault | undefined {
  const nearest = nearestFolder(folder)
  try {
    fs.rmdirSync(fs.mkdtempSync(path.join(nearest, '.atlas-probe-')))
    return undefined
  } catch (error) {
    return errorCode(error) === 'EPERM' ? immutable(nearest) : faultOf(error, folder)
  }
}

const nearestFolder = (folder: string): string =>
  fs.existsSync(folder) || path.dirname(folder) === folder ? folder : nearestFolder(path.dirname(folder))

export interface RegularFile {
  readonly bytes: Buffer
  readonly stats: fs.Stats
}

/**
 * Follows symbolic links unless the flags forbid it; undefined where there is no file.
 * @throws {FileFault} `unfit`: it is not a regular file, or too large.
 */
export function readRegularFile(file: string, maxBytes: number, flags = 0): RegularFile | undefined {
  let descriptor: number | undefined
  try {
    descriptor = fs.openSync(file, SAFE_OPEN | flags)
    const stats = fs.fstatSync(descriptor)
    if (stats.isDirectory()) throw new FileFault('unfit', 'a folder is in its place', file)
    if (!stats.isFile()) throw new FileFault('unfit', 'it is not a regular file', file)
    if (stats.size > maxBytes) throw new FileFault('unfit', `it is too large (${stats.size} bytes)`, file)
    return { bytes: readToEnd(descriptor, stats.size), stats }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw faultOf(error, file) ?? error
  } finally {
    if (descriptor !== undefined) fs.closeSync(descriptor)
  }
}

/** All of a file whose size is known, unless it grows; the runtime's own way takes a buffer of 256 KiB for each. */
function readToEnd(descriptor: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size + 1)
  let length = 0
  for (;;) {
    const read = fs.readSync(descriptor, bytes, length, bytes.length - length, null)
    length += read
    if (read === 0) return bytes.subarray(0, length)
    if (length === bytes.length) return Buffer.concat([bytes, fs.readFileSync(descriptor)])
  }
}

/** Undefined where there is no file. @throws {FileFault} with the command that makes it private. */
export function readPrivateFile(file: string, uid: number | undefined, maxBytes: number): string | undefined {
  const found = at(file, () => fs.lstatSync(file, { throwIfNoEntry: false }))
  if (found === undefined) return undefined
  // Checked before it is opened too: another user's private file cannot be opened to see its owner.
  requirePrivate(file, found, 'secret', uid)
  const opened = readRegularFile(file, maxBytes, NO_FOLLOW)
  if (opened !== undefined) requirePrivate(file, opened.stats, 'secret', uid)
  return opened?.bytes.toString()
}
