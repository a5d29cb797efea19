/*
 * The standard streams, and all short cuts that start-up takes through interfaces which are private to the runtime or
 * not made for this. Each comment says what one saves; printing the version takes 7 ms of processor time with them.
 */
import { AtlasError, errorCode, usageError } from '../errors.ts'

const STDOUT = 1
const STDERR = 2
/** A pipe that is not full takes this much at once, in characters (pipe(7): 4 KiB is written whole). */
const MAX_SHORT_LENGTH = 4096
const BUSY_PAUSE_MS = 1

/** The reader of standard output has gone (EPIPE), so there is nobody to report to. */
export class OutputClosed extends Error {}

/**
 * Whether a descriptor (0, 1 or 2) is a terminal. Saves the 6 ms that loading `node:tty` takes; `process.stdout` takes
 * 11 ms and makes a pipe non-blocking, also for other programs that write to it.
 */
export function isTerminal(descriptor: number): boolean {
  const { isTTY } = process.binding('tty_wrap') as { isTTY(descriptor: number): boolean }
  return isTTY(descriptor)
}

/**
 * Write everything to standard output, however slow the reader. A short text is written by `Bun.write`, which saves the
 * 2 ms that loading `node:fs` takes; all else is not written on the main thread, which must hear signals.
 * @throws {OutputClosed} the reader has gone.
 * @throws {AtlasError} `internal`: the output could not be written.
 */
export async function writeStdout(data: string | Uint8Array): Promise<void> {
  try {
    if (typeof data === 'string' && data.length <= MAX_SHORT_LENGTH) await Bun.write(Bun.stdout, data)
    else await writeAll(typeof data === 'string' ? Buffer.from(data) : data)
  } catch (error) {
    const code = errorCode(error)
    if (code === 'EPIPE') throw new OutputClosed()
    const hint = code === 'ENOSPC' ? 'The disk is full: make room and try again.' : undefined
    throw new AtlasError('internal', `The output could not be written (${code}).`, hint)
  }
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  const { write } = await import('node:fs')
  let rest = bytes
  while (rest.byteLength > 0) {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    write(STDOUT, rest, (error, written) => (error ? reject(error) : resolve(written)))
    try {
      rest = rest.subarray(await promise)
    } catch (error) {
      if (errorCode(error) !== 'EAGAIN') throw error
      await Bun.sleep(BUSY_PAUSE_MS)
    }
  }
}

/** Write to standard error at once. Errors are ignored, as there is no other place to report them. */
export function writeStderr(text: string): void {
  // Loaded when needed: saves 2 ms, as above.
  const { writeSync } = process.getBuiltinModule('node:fs')
  let rest: Uint8Array = Buffer.from(text)
  while (rest.byteLength > 0) {
    try {
      rest = rest.subarray(writeSync(STDERR, rest))
    } catch (error) {
      if (errorCode(error) !== 'EAGAIN') return
      Bun.sleepSync(BUSY_PAUSE_MS)
    }
  }
}

/** Standard input, piece by piece. @throws {AtlasError} `usage`: it is a folder, or cannot be read. */
export async function* readStdin(): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* Bun.stdin.stream()
  } catch (error) {
    const code = errorCode(error)
    if (code === undefined) throw error
    const fault = code === 'EISDIR' ? 'is a folder' : `cannot be read (${code})`
    throw usageError(`Standard input ${fault}.`, 'Give a file or a pipe.')
  }
}

/** All of an input; undefined where it is longer than `maxBytes`. */
export async function readAll(
  input: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of input) {
    size += piece.byteLength
    if (size > maxBytes) return undefined
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}
