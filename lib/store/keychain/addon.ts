import fs from 'node:fs'
import path from 'node:path'
import { replaceFile } from '../../files/atomic.ts'
import { at, FileFault } from '../../files/faults.ts'
import { makePrivateFolder, requirePrivate } from '../../files/private.ts'
import type { AddonFolder } from '../../files/user-folder.ts'

/*
 * The addon is imported by its own name: the package's loader would look into the current directory
 * and obey NAPI_RS_NATIVE_LIBRARY_PATH. The build sets platform, architecture and libc, which leaves
 * exactly one of these lines.
 */
export type Addon = Pick<typeof import('@napi-rs/keyring'), 'Entry'>

/**
 * The addon inside the compiled program, unpacked to a folder; from source, the installed one.
 * @throws {FileFault} it cannot be unpacked there; or another error: the system cannot load it.
 */
export async function loadAddon(folder: AddonFolder): Promise<Addon> {
  const embedded = (Bun.embeddedFiles as readonly File[]).find(({ name }) => name.endsWith('.node'))
  if (embedded === undefined) return requireAddon()
  const content = new Uint8Array(await embedded.arrayBuffer())
  const file = at(folder.path, () => unpackAddon(embedded.name, content, folder))
  const loaded: { exports: Partial<Addon> } = { exports: {} }
  process.dlopen(loaded, file)
  return loaded.exports as Addon
}

/**
 * Write the addon where the system's loader can map it. What is there already is compared byte by byte
 * first: the runtime's own unpacking takes any file of the right size for the addon.
 */
function unpackAddon(name: string, content: Uint8Array, { path: folder, from, uid }: AddonFolder): string {
  const file = path.join(folder, name)
  // A relative path could be a folder with files of an attacker.
  if (!path.isAbsolute(folder)) throw new FileFault('unfit', `${from} is not an absolute path`, folder)
  // A temporary folder that does not exist is a mistake, and is not made.
  if (!fs.existsSync(path.dirname(folder)))
    throw new FileFault('missing', 'the temporary folder does not exist', folder)
  makePrivateFolder(folder, uid)
  if (!holds(file, content, uid)) replaceFile(file, content, 0o700)
  return file
}

function holds(file: string, content: Uint8Array, uid: number | undefined): boolean {
  const found = fs.lstatSync(file, { throwIfNoEntry: false })
  if (found?.size !== content.byteLength) return false
  try {
    requirePrivate(file, found, 'file', uid)
  } catch {
    return false
  }
  // Mapped where that can be done: reading 3 MB takes as long as asking the keychain.
  const held = process.platform === 'win32' ? fs.readFileSync(file) : Bun.mmap(file, { shared: false })
  return Buffer.compare(held, content) === 0
}

function requireAddon(): Addon {
  const musl = process.env['ATLAS_BUILD_LIBC'] === 'musl'
  if (process.platform === 'linux' && process.arch === 'x64')
    return musl
      ? require('@napi-rs/keyring-linux-x64-musl/keyring.linux-x64-musl.node')
      : require('@napi-rs/keyring-linux-x64-gnu/keyring.linux-x64-gnu.node')
  if (process.platform === 'linux' && process.arch === 'arm64')
    return musl
      ? require('@napi-rs/keyring-linux-arm64-musl/keyring.linux-arm64-musl.node')
      : require('@napi-rs/keyring-linux-arm64-gnu/keyring.linux-arm64-gnu.node')
  if (process.platform === 'darwin' && process.arch === 'x64')
    return require('@napi-rs/keyring-darwin-x64/keyring.darwin-x64.node')
  if (process.platform === 'darwin' && process.arch === 'arm64')
    return require('@napi-rs/keyring-darwin-arm64/keyring.darwin-arm64.node')
  if (process.platform === 'win32' && process.arch === 'x64')
    return require('@napi-rs/keyring-win32-x64-msvc/keyring.win32-x64-msvc.node')
  if (process.platform === 'win32' && process.arch === 'arm64')
    return require('@napi-rs/keyring-win32-arm64-msvc/keyring.win32-arm64-msvc.node')
  throw new Error(`there is no keychain support for ${process.platform}-${process.arch}`)
}
