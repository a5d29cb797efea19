import { type AddonFolder, unpackAddon } from './addon-folder.ts'

/*
 * The addon is imported by its own name: the package's loader would look into the current directory
 * and obey NAPI_RS_NATIVE_LIBRARY_PATH. The build sets platform, architecture and libc, which leaves
 * exactly one of these lines.
 */
export type Addon = Pick<typeof import('@napi-rs/keyring'), 'Entry'>

/**
 * The addon inside the compiled program, unpacked to a folder; from source, the installed one.
 * @throws {UnusableFolder} it cannot be unpacked there.
 * @throws where the system cannot load it, or there is no build of it.
 */
export async function loadAddon(folder: AddonFolder): Promise<Addon> {
  const embedded = Bun.embeddedFiles.find(isAddon)
  if (embedded === undefined) return requireAddon()
  const content = new Uint8Array(await embedded.arrayBuffer())
  const loaded: { exports: Partial<Addon> } = { exports: {} }
  process.dlopen(loaded, unpackAddon(embedded.name, content, folder))
  return loaded.exports as Addon
}

const isAddon = (file: Blob): file is Blob & { name: string } =>
  'name' in file && typeof file.name === 'string' && file.name.endsWith('.node')

function requireAddon(): Addon {
  const musl = process.env['ATLAS_BUILD_LIBC'] === 'musl'
  if (process.platform === 'linux' && process.arch === 'x64' && !musl)
    return require('@napi-rs/keyring-linux-x64-gnu/keyring.linux-x64-gnu.node')
  if (process.platform === 'linux' && process.arch === 'x64' && musl)
    return require('@napi-rs/keyring-linux-x64-musl/keyring.linux-x64-musl.node')
  if (process.platform === 'linux' && process.arch === 'arm64' && !musl)
    return require('@napi-rs/keyring-linux-arm64-gnu/keyring.linux-arm64-gnu.node')
  if (process.platform === 'linux' && process.arch === 'arm64' && musl)
    return require('@napi-rs/keyring-linux-arm64-musl/keyring.linux-arm64-musl.node')
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
