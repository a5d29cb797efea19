/*
 * The signature inside a Mach-O executable, as far as a program needs one that runs on the machine it is built
 * for: a code directory with the hash of every page, signed by nobody ("ad hoc").
 */
const LC_SEGMENT_64 = 0x19
const LC_CODE_SIGNATURE = 0x1d
const EMBEDDED_SIGNATURE = 0xfade0cc0
const CODE_DIRECTORY = 0xfade0c02
const CODE_DIRECTORY_SLOT = 0
const VERSION_WITH_TEXT_SEGMENT = 0x20400
const HEADER_BYTES = 88
const BLOB_INDEX_BYTES = 20
const SHA256 = 2
const SHA256_BYTES = 32
const PAGE_BITS = 12
const MAIN_BINARY = 1n

export const ADHOC = 0x2
/** Made while the program was put together, so that signing it again asks for no `--force`. */
export const LINKER_SIGNED = 0x20000

export interface CodeSignature {
  readonly adhoc: boolean
  readonly pages: number
}

/**
 * An executable with a signature of its own content. Bun leaves the one of its runtime in what it puts together
 * for x64, which does not match any more.
 * @param identifier what the signature calls the program.
 * @throws where the file has no room that a signature was made in.
 */
export function signAdHoc(executable: Buffer, identifier: string, flags = ADHOC | LINKER_SIGNED): Buffer {
  const { signature, segments } = readCommands(executable)
  const code = Buffer.from(executable.subarray(0, signature.offset))
  const text = segments.get('__TEXT')
  const linkEdit = segments.get('__LINKEDIT')
  if (!text || !linkEdit) throw new Error('the Mach-O file lacks a segment')
  const pages = Math.ceil(code.length / 2 ** PAGE_BITS)
  const hashesAt = HEADER_BYTES + identifier.length + 1
  const directory = Buffer.alloc(hashesAt + pages * SHA256_BYTES)
  const blob = Buffer.alloc(BLOB_INDEX_BYTES)
  const total = blob.length + directory.length

  code.writeUInt32LE(total, signature.commandAt + 12)
  const linkEditBytes = signature.offset + total - linkEdit.fileOffset
  code.writeBigUInt64LE(BigInt(Math.ceil(linkEditBytes / 0x1000) * 0x1000), linkEdit.commandAt + 32)
  code.writeBigUInt64LE(BigInt(linkEditBytes), linkEdit.commandAt + 48)

  for (const [index, value] of [EMBEDDED_SIGNATURE, total, 1, CODE_DIRECTORY_SLOT, blob.length].entries())
    blob.writeUInt32BE(value, index * 4)
  const fields = [CODE_DIRECTORY, directory.length, VERSION_WITH_TEXT_SEGMENT, flags, hashesAt, HEADER_BYTES]
  for (const [index, value] of [...fields, 0, pages, code.length].entries())
    directory.writeUInt32BE(value, index * 4)
  directory.set([SHA256_BYTES, SHA256, 0, PAGE_BITS], 36)
  directory.writeBigUInt64BE(BigInt(text.fileOffset), 64)
  directory.writeBigUInt64BE(BigInt(text.fileBytes), 72)
  directory.writeBigUInt64BE(MAIN_BINARY, 80)
  directory.write(identifier, HEADER_BYTES, 'latin1')
  for (let page = 0; page < pages; page++)
    directory.set(pageHash(code, page, 2 ** PAGE_BITS), hashesAt + page * SHA256_BYTES)
  return Buffer.concat([code, blob, directory])
}

/**
 * Compare the hash of every page in an executable's signature with the file: a mismatch makes macOS end the
 * program at its start. `codesign --verify --strict` on a Mac checks more.
 * @throws says what is wrong.
 */
export function verifyCodeSignature(executable: Buffer): CodeSignature {
  const { offset } = readCommands(executable).signature
  if (executable.readUInt32BE(offset) !== EMBEDDED_SIGNATURE) throw new Error('its signature is malformed')
  const directoryAt = offset + codeDirectoryOffset(executable, offset)
  const field = (index: number): number => executable.readUInt32BE(directoryAt + index * 4)
  if (field(0) !== CODE_DIRECTORY) throw new Error('the code directory of its signature is malformed')
  const [flags, hashesAt, pages, codeLimit] = [field(3), directoryAt + field(4), field(7), field(8)]
  const [hashBytes = 0, method, , pageBits = 0] = executable.subarray(directoryAt + 36, directoryAt + 40)
  if (method !== SHA256) throw new Error(`its pages are hashed by method ${method}, not SHA-256`)
  if (codeLimit !== offset) throw new Error('its signature does not cover all that precedes it')
  if (pages !== Math.ceil(codeLimit / 2 ** pageBits)) throw new Error('its signature has not one hash a page')
  for (let page = 0; page < pages; page++) {
    const expected = executable.subarray(hashesAt + page * hashBytes, hashesAt + (page + 1) * hashBytes)
    if (!expected.equals(pageHash(executable.subarray(0, codeLimit), page, 2 ** pageBits)))
      throw new Error(`page ${page} of ${pages} does not match its signature`)
  }
  return { adhoc: (flags & ADHOC) !== 0, pages }
}

const pageHash = (code: Buffer, page: number, pageBytes: number): Buffer =>
  new Bun.CryptoHasher('sha256').update(code.subarray(page * pageBytes, (page + 1) * pageBytes)).digest()

interface Segment {
  readonly commandAt: number
  readonly fileOffset: number
  readonly fileBytes: number
}

/** Where the load commands say that the segments and the signature are. */
function readCommands(executable: Buffer): {
  segments: Map<string, Segment>
  signature: { commandAt: number; offset: number }
} {
  const segments = new Map<string, Segment>()
  let signature: { commandAt: number; offset: number } | undefined
  let at = 32
  for (let left = executable.readUInt32LE(16); left > 0; left--) {
    const command = executable.readUInt32LE(at)
    if (command === LC_CODE_SIGNATURE) signature = { commandAt: at, offset: executable.readUInt32LE(at + 8) }
    if (command === LC_SEGMENT_64) {
      const name = executable.toString('latin1', at + 8, at + 24).replace(/\0.*$/s, '')
      const fileOffset = Number(executable.readBigUInt64LE(at + 40))
      segments.set(name, {
        commandAt: at,
        fileOffset,
        fileBytes: Number(executable.readBigUInt64LE(at + 48)),
      })
    }
    at += executable.readUInt32LE(at + 4)
  }
  if (!signature) throw new Error('it has no signature')
  return { segments, signature }
}

function codeDirectoryOffset(executable: Buffer, signatureAt: number): number {
  const count = executable.readUInt32BE(signatureAt + 8)
  for (let index = 0; index < count; index++) {
    const at = signatureAt + 12 + index * 8
    if (executable.readUInt32BE(at) === CODE_DIRECTORY_SLOT) return executable.readUInt32BE(at + 4)
  }
  throw new Error('its signature has no code directory')
}
