import { verifyCodeSignature } from './code-signature.ts'
import { type Executable, readExecutable } from './executables.ts'
import type { Target } from './targets.ts'

/** The most that a program and its archive may weigh, in bytes: growth is to be noticed, not to happen. */
export const MAX_BINARY_BYTES = 130_000_000
export const MAX_ARCHIVE_BYTES = 65_000_000

/** Bun ends the part that it appends to its runtime with this line; the four bytes before are switches. */
const APPENDED_END = '\n---- Bun! ----\n'
/** .env, bunfig.toml, tsconfig.json and package.json of the current directory are left alone. */
const NO_AUTOLOAD = 0b1111

const FORMATS: Record<Target['platform'], Executable['format']> = {
  linux: 'ELF',
  darwin: 'Mach-O',
  win32: 'PE',
}
const INTERPRETERS: Record<string, string> = {
  'linux-x64': '/lib64/ld-linux-x86-64.so.2',
  'linux-arm64': '/lib/ld-linux-aarch64.so.1',
  'linux-x64-musl': '/lib/ld-musl-x86_64.so.1',
  'linux-arm64-musl': '/lib/ld-musl-aarch64.so.1',
}

/**
 * See that a compiled program is what its target needs before it counts as built.
 * @param addon the bytes of the target's keyring addon.
 * @returns what was found, in a line.
 * @throws says what is wrong with it.
 */
export function inspect(binary: Buffer, target: Target, addon: Uint8Array, version: string): string {
  const { format, arch, interpreter } = readExecutable(binary)
  if (format !== FORMATS[target.platform] || arch !== target.arch)
    throw new Error(`it is ${format} for ${arch}, not ${FORMATS[target.platform]} for ${target.arch}`)
  if (interpreter !== INTERPRETERS[target.name])
    throw new Error(`its loader is ${interpreter}, not ${INTERPRETERS[target.name]}`)

  const first = binary.indexOf(addon)
  if (first < 0) throw new Error(`it does not hold ${target.addon.file} of ${target.addon.package}`)
  if (binary.indexOf(addon, first + addon.length) >= 0) throw new Error('it holds its addon twice')
  // The bundler puts a hash into the name: keyring.linux-x64-gnu-7mnrhpfc.node.
  const own = new RegExp(`^${target.addon.file.replace(/\.node$/, '')}(-[a-z0-9]{8})?\\.node$`)
  const others = addonNames(binary).filter(name => !own.test(name))
  if (others.length > 0) throw new Error(`it names other addons: ${others.join(', ')}`)

  const end = binary.lastIndexOf(APPENDED_END)
  if (end < 0) throw new Error('it holds a runtime but no program')
  if ((binary.readUInt32LE(end - 4) & NO_AUTOLOAD) !== NO_AUTOLOAD)
    throw new Error('it would load .env or bunfig.toml from the current directory')
  if (!binary.includes(`version:"${version}"`)) throw new Error(`it does not hold the version ${version}`)
  if (binary.length > MAX_BINARY_BYTES)
    throw new Error(`it weighs ${binary.length} bytes, more than ${MAX_BINARY_BYTES}`)

  const signature = format === 'Mach-O' ? verifyCodeSignature(binary) : undefined
  const signed = signature && `, ${signature.pages} pages signed${signature.adhoc ? ' ad hoc' : ''}`
  return `${format} ${arch}${interpreter ? `, ${interpreter}` : ''}${signed ?? ''}, ${target.addon.file}`
}

/** The names of all keyring addons that a program mentions. */
function addonNames(binary: Buffer): string[] {
  const names = new Set<string>()
  for (let at = binary.indexOf('keyring.'); at >= 0; at = binary.indexOf('keyring.', at + 1)) {
    const [name] = /^keyring\.[a-z0-9-]+\.node/.exec(binary.toString('latin1', at, at + 80)) ?? []
    if (name) names.add(name)
  }
  return [...names]
}
