/*
 * The standard streams, and all short cuts that start-up takes through interfaces which are private to the runtime or
 * not made for this. Each comment says what one saves; printing the version takes 7 ms of processor time with them.
 */
import { AtlasError, errorCode, usageError } from '../errors.ts'

const STDOUT = 1
const STDERR = 2
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

/** What has been written so far, in order. */
let written: Promise<unknown> = Promise.resolve()

/** Write after all that was written before, to either stream, so that a person sees one after the other. */
function enqueue(descriptor: number, data: string | Uint8Array): Promise<void> {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data
  const writing = written.then(() => writeAll(descriptor, bytes))
  written = writing.catch(() => {})
  return writing
}

/** Wait until everything is written. Where nobody reads, that is never. */
export async function flushOutput(): Promise<void> {
  await written
}

/**
 * Write everything to standard output, however slow the reader.
 * @throws {OutputClosed} the reader has gone.
 * @throws {AtlasError} `internal`: the output could not be written.
 */
export async function writeStdout(data: string | Uint8Array): Promise<void> {
  await enqueue(STDOUT, data).catch(cannotWrite)
}

/**
 * Write a short text to standard output without `node:fs`, which saves 2 ms. It blocks while nobody reads, so it is
 * for when no signal is listened for.
 * @throws as `writeStdout` does.
 */
export async function writeStdoutAtOnce(text: string): Promise<void> {
  await Bun.write(Bun.stdout, text).catch(cannotWrite)
}

function cannotWrite(error: unknown): never {
  const code = errorCode(error)
  if (code === 'EPIPE') throw new OutputClosed()
  const hint = code === 'ENOSPC' ? 'The disk is full: make room and try again.' : undefined
  throw new AtlasError('internal', `The output could not be written (${code}).`, hint)
}

/** Not on the main thread, which would hear no signal while it waits for a reader. */
async function writeAll(descriptor: number, bytes: Uint8Array): Promise<void> {
  const { write } = process.getBuiltinModule('node:fs')
  let rest = bytes
  while (rest.byteLength > 0) {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    write(descriptor, rest, (error, count) => (error ? reject(error) : resolve(count)))
    try {
      rest = rest.subarray(await promise)
    } catch (error) {
      if (errorCode(error) !== 'EAGAIN') throw error
      await Bun.sleep(BUSY_PAUSE_MS)
    }
  }
}

/** Write to standard error, without waiting. Errors are ignored, as there is no other place to report them. */
export function writeStderr(text: string): void {
  enqueue(STDERR, text).catch(() => {})
}

/** Write to standard error before anything else happens, for a process that ends then; it blocks while nobody reads. */
export function writeStderrAtOnce(text: string): void {
  try {
    process.getBuiltinModule('node:fs').writeSync(STDERR, text)
  } catch {}
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
