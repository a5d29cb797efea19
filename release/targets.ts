/** A machine that atlas is built for: what of each npm package its binary is put together from. */
export interface Target {
  readonly name: string
  readonly platform: 'linux' | 'darwin' | 'win32'
  readonly arch: 'x64' | 'arm64'
  readonly libc: 'glibc' | 'musl' | undefined
  /** The package that holds Bun for that machine, and the file in it. */
  readonly runtime: PackageFile
  /** The package that holds the keyring addon for that machine, and the file in it. */
  readonly addon: PackageFile
  /** What the program is called there. */
  readonly executable: 'atlas' | 'atlas.exe'
  /** Bytecode that another operating system's runtime was given has crashed at start; these were seen to run. */
  readonly bytecode: boolean
}

export interface PackageFile {
  readonly package: string
  readonly file: string
}

const linux = (arch: Target['arch'], libc: 'glibc' | 'musl'): Target => {
  const addon = `linux-${arch}-${libc === 'musl' ? 'musl' : 'gnu'}`
  const suffix = libc === 'musl' ? '-musl' : ''
  return {
    name: `linux-${arch}${suffix}`,
    platform: 'linux',
    arch,
    libc,
    runtime: { package: `@oven/bun-linux-${bunArch(arch)}${suffix}`, file: 'bin/bun' },
    addon: { package: `@napi-rs/keyring-${addon}`, file: `keyring.${addon}.node` },
    executable: 'atlas',
    bytecode: true,
  }
}

const darwin = (arch: Target['arch']): Target => ({
  name: `darwin-${arch}`,
  platform: 'darwin',
  arch,
  libc: undefined,
  runtime: { package: `@oven/bun-darwin-${bunArch(arch)}`, file: 'bin/bun' },
  addon: { package: `@napi-rs/keyring-darwin-${arch}`, file: `keyring.darwin-${arch}.node` },
  executable: 'atlas',
  bytecode: false,
})

const windows = (arch: Target['arch']): Target => ({
  name: `windows-${arch}`,
  platform: 'win32',
  arch,
  libc: undefined,
  runtime: { package: `@oven/bun-windows-${bunArch(arch)}`, file: 'bin/bun.exe' },
  addon: { package: `@napi-rs/keyring-win32-${arch}-msvc`, file: `keyring.win32-${arch}-msvc.node` },
  executable: 'atlas.exe',
  bytecode: false,
})

const bunArch = (arch: Target['arch']): string => (arch === 'arm64' ? 'aarch64' : arch)

export const TARGETS: readonly Target[] = [
  linux('x64', 'glibc'),
  linux('arm64', 'glibc'),
  linux('x64', 'musl'),
  linux('arm64', 'musl'),
  darwin('x64'),
  darwin('arm64'),
  windows('x64'),
  windows('arm64'),
]

/** @throws where there is no target of that name. */
export function targetNamed(name: string): Target {
  const target = TARGETS.find(known => known.name === name)
  if (target) return target
  throw new Error(`no such target: ${name}; there are ${TARGETS.map(known => known.name).join(', ')}`)
}

/** The machine that this runs on. @throws where atlas is not built for it. */
export function hostTarget(): Target {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  const musl = process.platform === 'linux' && header?.glibcVersionRuntime === undefined
  return targetNamed(`${platform}-${process.arch}${musl ? '-musl' : ''}`)
}
