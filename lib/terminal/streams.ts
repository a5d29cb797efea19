/*
 * The standard streams, and all short cuts that start-up takes through interfaces which are private to the runtime or
 * not made for this. Each comment says what one saves; printing the version takes 7 ms of processor time with them.
 */
import { AtlasError, errorCode, usageError } from '../errors.ts'

/** How long a text for standard output waits for texts that came before it on standard error, in milliseconds. */
const ORDER_PATIENCE_MS = 250
/** How long a full pipe that does not block is left alone, in milliseconds: doubled each time. */
const MIN_PAUSE_MS = 1
const MAX_PAUSE_MS = 32

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
 * What is on its way to one standard stream, in order. Nothing is written on the main thread, where a full pipe would
 * stop the signals and the storing of a session. One write at a time: a stream that nobody reads holds one thread of the
 * runtime's pool, which has at least two. The pipe stays as it is, as other programs may share it.
 */
class StreamQueue {
  readonly #descriptor: number
  readonly #goesFirst: StreamQueue | undefined
  #last: Promise<unknown> = Promise.resolve()
  #waitingBytes = 0
  #writingSince = 0

  /** @param goesFirst what is on its way there is written first, unless nobody reads it. */
  constructor(descriptor: number, goesFirst?: StreamQueue) {
    this.#descriptor = descriptor
    this.#goesFirst = goesFirst
  }

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** @throws the system's own error. */
  write(bytes: Uint8Array): Promise<void> {
    if (this.#waitingBytes === 0) this.#writingSince = performance.now()
    this.#waitingBytes += bytes.byteLength
    const written = this.#last.then(() => this.#write(bytes))
    this.#last = written.catch(() => {})
    return written
  }

  /** Wait until all that is queued now has been written, or could not be. */
  async flush(): Promise<void> {
    await this.#last
  }

  /** As `flush`, but no longer than it takes to see that nobody reads. */
  async flushUnlessStalled(): Promise<void> {
    const patienceMs = this.#writingSince + ORDER_PATIENCE_MS - performance.now()
    if (this.#waitingBytes > 0 && patienceMs > 0) await Promise.race([this.#last, Bun.sleep(patienceMs)])
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const isFirst = (this.#goesFirst?.waitingBytes ?? 0) === 0
    const written = isFirst ? writeWhatFits(this.#descriptor, bytes) : 0
    await this.#goesFirst?.flushUnlessStalled()
    this.#writingSince = performance.now()
    try {
      if (written < bytes.byteLength) await writeAll(this.#descriptor, bytes.subarray(written))
    } finally {
      this.#waitingBytes -= bytes.byteLength
    }
  }
}

/** The device that swallows everything, as Linux numbers it (major 1, minor 3). */
const NULL_DEVICE = 0x103

/**
 * Write what a pipe takes without making anybody wait, through a way into it that is our own and does not block.
 * Saves the millisecond that starting a thread for it takes. @returns how many bytes were written: none where it
 * is something else.
 */
function writeWhatFits(descriptor: number, bytes: Uint8Array): number {
  if (process.platform !== 'linux') return 0
  const { closeSync, constants, fstatSync, openSync, writeSync } = process.getBuiltinModule('node:fs')
  try {
    const stats = fstatSync(descriptor)
    if (stats.rdev === NULL_DEVICE) return bytes.byteLength
    if (!stats.isFIFO()) return 0
    const own = openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK)
    try {
      return writeSync(own, bytes)
    } finally {
      closeSync(own)
    }
  } catch {
    // Full, or without a reader: the thread that writes the rest waits, or says so.
    return 0
  }
}

async function writeAll(descriptor: number, bytes: Uint8Array): Promise<void> {
  // Loaded when needed: saves 2 ms where only the version is printed.
  const { write } = process.getBuiltinModule('node:fs')
  let rest = bytes
  let pauseMs = MIN_PAUSE_MS
  while (rest.byteLength > 0) {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    write(descriptor, rest, (error, written) => (error ? reject(error) : resolve(written)))
    try {
      rest = rest.subarray(await promise)
      pauseMs = MIN_PAUSE_MS
    } catch (error) {
      // Somebody else has made the pipe non-blocking.
      if (errorCode(error) !== 'EAGAIN') throw error
      await Bun.sleep(pauseMs)
      pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)
    }
  }
}

const stderr = new StreamQueue(2)
const stdout = new StreamQueue(1, stderr)

/**
 * Write everything to standard output, however slow the reader, and after what came before it on standard error.
 * @throws {OutputClosed} the reader has gone.
 * @throws {AtlasError} `internal`: the output could not be written.
 */
export async function writeStdout(data: string | Uint8Array): Promise<void> {
  await stdout.write(typeof data === 'string' ? Buffer.from(data) : data).catch(refuseOutput)
}

/**
 * Write a short text to standard output on the main thread. While a pipe is full, a signal is not heard: for a process
 * that listens to none, and so is ended by it. Saves the 2 ms that loading `node:fs` takes.
 * @throws as `writeStdout` does.
 */
export async function writeStdoutAtOnce(text: string): Promise<void> {
  await Bun.write(Bun.stdout, text).catch(refuseOutput)
}

function refuseOutput(error: unknown): never {
  const code = errorCode(error)
  if (code === 'EPIPE') throw new OutputClosed()
  const hint = code === 'ENOSPC' ? 'The disk is full: make room and try again.' : undefined
  throw new AtlasError('internal', `The output could not be written (${code}).`, hint)
}

/**
 * Queue a text for standard error, unless more than `maxWaitingBytes` wait there already. Errors are ignored, as there
 * is no other place to report them. @returns whether it was queued.
 */
export function writeStderr(text: string | Uint8Array, maxWaitingBytes = Number.POSITIVE_INFINITY): boolean {
  if (stderr.waitingBytes > maxWaitingBytes) return false
  stderr.write(Buffer.from(text)).catch(() => {})
  return true
}

/** Wait until all that is queued has been written, or could not be: for ever where nobody reads. */
export async function flushOutput(): Promise<void> {
  await Promise.all([stdout.flush(), stderr.flush()])
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
