import fs from 'node:fs'
import path from 'node:path'
import { replaceFile } from '../../files/atomic.ts'
import { at, FileFault } from '../../files/faults.ts'
import { makePrivateFolder, requirePrivate, requireUnmovable } from '../../files/private.ts'
import type { AddonFolder } from '../../files/user-folder.ts'

/*
 * The addon is imported by its own name: the package's loader would look into the current directory
 * and obey NAPI_RS_NATIVE_LIBRARY_PATH. The build sets platform, architecture and libc, which leaves
 * exactly one of these lines.
 */
export type Addon = Pick<typeof import('@napi-rs/keyring'), 'Entry'>

/**
 * The addon inside the compiled program, unpacked to the first folder that can be used; from source, the installed one.
 * @throws {FileFault} the last folder cannot be used; or another error: the system cannot load the addon from there.
 */
export async function loadAddon(folders: readonly AddonFolder[]): Promise<Addon> {
  const embedded = (Bun.embeddedFiles as readonly File[]).find(({ name }) => name.endsWith('.node'))
  if (embedded === undefined) return requireAddon()
  let failure: unknown
  for (const folder of folders) {
    try {
      const file = await unpackAddon(embedded, folder)
      const loaded: { exports: Partial<Addon> } = { exports: {} }
      process.dlopen(loaded, file)
      return loaded.exports as Addon
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

/**
 * Put the addon where the system's loader can map it, unless it is there already. Its name holds a hash of its content,
 * and nobody else can change it or put another file in its place; in a folder that a variable names, or where a file
 * says nothing of its owner, it is compared byte by byte.
 */
async function unpackAddon(addon: File, folder: AddonFolder): Promise<string> {
  const { path: place, below, from, uid } = folder
  // A relative path could be a folder with files of an attacker.
  if (!path.isAbsolute(place)) throw new FileFault('unfit', `${from} is not an absolute path`, place)
  if (!fs.existsSync(below)) throw new FileFault('missing', `${below} does not exist`, place)
  makePrivateFolder(place, uid)
  at(place, () => requireUnmovable(place, uid))
  const file = path.join(place, path.basename(addon.name))
  if (await isUnpacked(file, addon, folder)) return file
  const content = new Uint8Array(await addon.arrayBuffer())
  at(place, () => replaceFile(file, content, { mode: 0o700 }))
  return file
}

async function isUnpacked(file: string, addon: File, { from, uid }: AddonFolder): Promise<boolean> {
  const found = at(file, () => fs.lstatSync(file, { throwIfNoEntry: false }))
  if (found?.size !== addon.size) return false
  try {
    requirePrivate(file, found, 'file', uid)
  } catch {
    return false
  }
  if (from === undefined && uid !== undefined) return true
  return Buffer.from(await addon.arrayBuffer()).equals(fs.readFileSync(file))
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
