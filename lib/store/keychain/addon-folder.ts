import fs from 'node:fs'
import path from 'node:path'
import { errorCode } from '../../errors.ts'

/** Nobody takes this long to write the addon, in milliseconds. */
const STALE_MS = 60_000

/** Where the keychain addon is unpacked to, and what decided that. */
export interface AddonFolder {
  readonly path: string
  /** The variable that named the temporary folder; undefined where none did. */
  readonly from: string | undefined
  /** The numeric user id that must own it; undefined on Windows. */
  readonly uid: number | undefined
}

/** A folder of the user's own in the temporary folder. */
export function addonFolder(
  env: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform,
  uid: number | undefined,
): AddonFolder {
  const variables = platform === 'win32' ? ['TEMP', 'TMP'] : ['TMPDIR']
  const from = variables.find(name => env[name])
  const parent = (from && env[from]) || (platform === 'win32' ? 'C:\\Windows\\Temp' : '/tmp')
  const { join } = platform === 'win32' ? path.win32 : path.posix
  return { path: join(parent, uid === undefined ? 'atlas' : `atlas-${uid}`), from, uid }
}

/** Why the addon cannot be unpacked, as the end of a sentence. */
export class UnusableFolder extends Error {}

/**
 * Write the addon where the system's loader can map it. What is there already is compared byte by byte
 * first: the runtime's own unpacking takes any file of the right size for the addon.
 * @returns its path.
 * @throws {UnusableFolder}
 */
export function unpackAddon(name: string, content: Uint8Array, folder: AddonFolder): string {
  const file = path.join(folder.path, name)
  try {
    checkFolder(folder)
    if (!holds(file, content, folder.uid)) place(file, content)
    return file
  } catch (error) {
    if (error instanceof UnusableFolder) throw error
    const code = errorCode(error) ?? 'unknown error'
    throw new UnusableFolder(REASONS[code] ?? code)
  }
}

function checkFolder({ path: folder, from, uid }: AddonFolder): void {
  // A relative one may be a folder that somebody else has filled.
  if (!path.isAbsolute(folder)) throw new UnusableFolder(`${from} is not an absolute path`)
  try {
    fs.mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
  }
  const found = fs.lstatSync(folder)
  if (!found.isDirectory()) throw new UnusableFolder('it is not a folder')
  if (uid === undefined) return
  if (found.uid !== uid) throw new UnusableFolder('it belongs to another user')
  if ((found.mode & 0o022) !== 0) throw new UnusableFolder('others can change it')
}

function holds(file: string, content: Uint8Array, uid: number | undefined): boolean {
  const found = fs.lstatSync(file, { throwIfNoEntry: false })
  if (!found?.isFile() || found.size !== content.byteLength) return false
  if (uid !== undefined && (found.uid !== uid || (found.mode & 0o022) !== 0)) return false
  // Mapped where that can be done: reading 3 MB takes as long as asking the keychain.
  const held = process.platform === 'win32' ? fs.readFileSync(file) : Bun.mmap(file, { shared: false })
  return Buffer.compare(held, content) === 0
}

/** Processes that do this at once each write the same file; the last one's stays. */
function place(file: string, content: Uint8Array): void {
  const temporary = `${file}.${process.pid}.tmp`
  removeStale(path.dirname(file))
  fs.rmSync(temporary, { force: true })
  try {
    fs.writeFileSync(temporary, content, { flag: 'wx', mode: 0o700 })
    fs.renameSync(temporary, file)
  } catch (error) {
    fs.rmSync(temporary, { force: true })
    throw error
  }
}

/** What writers that were killed have left. */
function removeStale(folder: string): void {
  for (const name of fs.readdirSync(folder)) {
    const place = path.join(folder, name)
    const found = name.endsWith('.tmp') && fs.lstatSync(place, { throwIfNoEntry: false })
    if (found && Date.now() - found.mtimeMs > STALE_MS) fs.rmSync(place, { force: true })
  }
}

const REASONS: Record<string, string> = {
  ENOENT: 'the temporary folder does not exist',
  ENOTDIR: 'the temporary folder is not a folder',
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
}
