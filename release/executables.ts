/** What an executable file says about the machine it is for. */
export interface Executable {
  readonly format: 'ELF' | 'Mach-O' | 'PE'
  readonly arch: 'x64' | 'arm64'
  /** The dynamic loader that Linux starts it with. */
  readonly interpreter: string | undefined
}

const ELF_MACHINES: Record<number, Executable['arch']> = { 62: 'x64', 183: 'arm64' }
const MACH_O_CPUS: Record<number, Executable['arch']> = { 16777223: 'x64', 16777228: 'arm64' }
const PE_MACHINES: Record<number, Executable['arch']> = { 34404: 'x64', 43620: 'arm64' }

const ELF_64_BIT_LITTLE_ENDIAN = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1])
const ELF_PROGRAM_INTERPRETER = 3
const MACH_O_64_BIT = 0xfeedfacf
const MACH_O_EXECUTABLE = 2
const PE_SIGNATURE = 'PE\0\0'
const PE_CONSOLE = 3

/**
 * The format and machine of an executable, by its headers.
 * @throws says what is wrong: not an executable of those formats, for another kind of machine, or cut short.
 */
export function readExecutable(bytes: Buffer): Executable {
  try {
    if (bytes.subarray(0, 6).equals(ELF_64_BIT_LITTLE_ENDIAN)) return readElf(bytes)
    if (bytes.readUInt32LE(0) === MACH_O_64_BIT) return readMachO(bytes)
    if (bytes.toString('latin1', 0, 2) === 'MZ') return readPe(bytes)
  } catch (error) {
    if (error instanceof RangeError) throw new Error('the file is cut short', { cause: error })
    throw error
  }
  throw new Error('the file is no 64-bit ELF, Mach-O or PE executable')
}

/** @see elf(5) */
function readElf(bytes: Buffer): Executable {
  const headersAt = Number(bytes.readBigUInt64LE(32))
  const headerSize = bytes.readUInt16LE(54)
  const count = bytes.readUInt16LE(56)
  let interpreter: string | undefined
  for (let index = 0; index < count; index++) {
    const at = headersAt + index * headerSize
    if (bytes.readUInt32LE(at) !== ELF_PROGRAM_INTERPRETER) continue
    const offset = Number(bytes.readBigUInt64LE(at + 8))
    const size = Number(bytes.readBigUInt64LE(at + 32))
    interpreter = bytes.toString('latin1', offset, offset + size).replace(/\0.*$/s, '')
  }
  return { format: 'ELF', arch: archOf(ELF_MACHINES, bytes.readUInt16LE(18)), interpreter }
}

function readMachO(bytes: Buffer): Executable {
  if (bytes.readUInt32LE(12) !== MACH_O_EXECUTABLE) throw new Error('the Mach-O file is no executable')
  return { format: 'Mach-O', arch: archOf(MACH_O_CPUS, bytes.readUInt32LE(4)), interpreter: undefined }
}

function readPe(bytes: Buffer): Executable {
  const at = bytes.readUInt32LE(0x3c)
  if (bytes.toString('latin1', at, at + 4) !== PE_SIGNATURE) throw new Error('the PE signature is missing')
  const subsystem = bytes.readUInt16LE(at + 24 + 68)
  if (subsystem !== PE_CONSOLE) throw new Error(`the PE file is no console program (subsystem ${subsystem})`)
  return { format: 'PE', arch: archOf(PE_MACHINES, bytes.readUInt16LE(at + 4)), interpreter: undefined }
}

function archOf(known: Record<number, Executable['arch']>, machine: number): Executable['arch'] {
  const arch = known[machine]
  if (arch) return arch
  throw new Error(`the file is for machine 0x${machine.toString(16)}`)
}
