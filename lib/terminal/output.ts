import type { Readable } from 'node:stream'
import { AtlasError, Cancelled, errorCode } from '../errors.ts'
import type { PlainPrompts } from './plain-prompt.ts'
import { safeJson, sanitizeLine } from './safe-text.ts'
import type { Secrets } from './secrets.ts'
import { type Line, renderLine, styled } from './style.ts'

const STDOUT = 1
const STDERR = 2
/** A pipe holds as much, at least on the platforms there are (pipe(7): 64 KiB; 4 KiB is written whole). */
const MAX_SHORT_LENGTH = 4096
const SPINNER_FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const SPINNER_INTERVAL_MS = 80
/** Quick answers show no spinner, so that nothing flickers. */
const SPINNER_DELAY_MS = 150
/** Where a terminal does not say how wide it is. */
const DEFAULT_COLUMNS = 80
const CLEAR_LINE = '\r\u001b[K'
const SHOW_CURSOR = '\u001b[?25h'
const BUSY_PAUSE_MS = 1

/**
 * Whether a descriptor (0, 1 or 2) is a terminal. Asked of the function below `node:tty`: `process.stdout`
 * would make a pipe non-blocking, for other programs on it too, and both load stream and socket modules first,
 * which takes longer than everything else at a start.
 */
export function isTerminal(descriptor: number): boolean {
  const { isTTY } = process.binding('tty_wrap') as { isTTY(descriptor: number): boolean }
  return isTTY(descriptor)
}

/** The reader of standard output has gone (EPIPE): there is nobody left to tell. */
export class OutputClosed extends Error {}

export interface TerminalOptions {
  readonly stdinIsTerminal: boolean
  readonly stdoutIsTerminal: boolean
  readonly stderrIsTerminal: boolean
  /** Whether each stream shows colours. */
  readonly colour: Readonly<Record<'stdout' | 'stderr', boolean>>
  /** Whether the terminal lacks cursor movement. */
  readonly dumb: boolean
  /** Results as one JSON object. */
  readonly json: boolean
  readonly secrets: Secrets
}

/** Where results, notices and questions go. Everything but `raw` is made harmless for a terminal first. */
export interface Terminal {
  readonly json: boolean
  readonly stdinIsTerminal: boolean
  readonly stdoutIsTerminal: boolean
  readonly stderrIsTerminal: boolean
  /** How many characters a line of standard output has room for; undefined where that is no terminal. */
  readonly columns: number | undefined
  /** Whether each stream shows colours. */
  readonly colour: Readonly<Record<'stdout' | 'stderr', boolean>>
  /** One line of a result, on standard output. */
  say(line: Line): Promise<void>
  /** A result as one JSON object, on standard output. */
  sayJson(value: unknown): Promise<void>
  /** Bytes as they are, on standard output. Waits for a slow reader. */
  raw(bytes: Uint8Array): Promise<void>
  /** Something worth knowing beside the result, on standard error; with --json it waits for success. */
  notice(line: Line): void
  /** Print the notices that waited. */
  flushNotices(): void
  /** A line of diagnostics, on standard error. */
  diagnose(line: string): void
  /** An error, on standard error: what went wrong, and the next step where there is one. */
  fail(message: string, hint: string | null): void
  /** An error as one JSON object, on standard error. */
  failJson(value: unknown): void
  /** Ask for a line. @throws {AtlasError} `cancelled` */
  ask(question: string, invalid: (answer: string) => string | undefined): Promise<string>
  /** Ask for a line that is not shown. @throws {AtlasError} `cancelled` */
  askSecret(question: string): Promise<string>
  /**
   * Show that something is awaited, where a terminal can show it and results are not JSON.
   * @param label asked for again each time it is shown.
   * @param delayMs work that ends sooner shows nothing.
   */
  during<T>(label: string | (() => string), work: Promise<T>, delayMs?: number): Promise<T>
  /** Leave the terminal as it was found. */
  restore(): void
}

export function createTerminal({
  stdinIsTerminal,
  stdoutIsTerminal,
  stderrIsTerminal,
  colour,
  dumb,
  json,
  secrets,
}: TerminalOptions): Terminal {
  const waitingNotices: Line[] = []
  let asking = false
  let plain: PlainPrompts | undefined
  let stopSpinner: (() => void) | undefined

  const tell = (line: Line): void => {
    stopSpinner?.()
    writeStderr(`${renderLine(line, colour.stderr, secrets.mask)}\n`)
  }

  const asked = async (answer: Promise<string | symbol | undefined>): Promise<string> => {
    asking = true
    const given = await answer
    asking = false
    if (typeof given !== 'string') throw new Cancelled()
    return given
  }
  /** What was typed ahead of a question. */
  const typedAhead: string[] = []
  type Streams = { input: Readable; output: NodeJS.WriteStream; withGuide: false }
  const prompt = async (ask: (streams: Streams) => Promise<string | symbol>): Promise<string> => {
    const { PromptInput } = await import('./prompt-input.ts')
    const input = new PromptInput(process.stdin, typedAhead)
    try {
      return await asked(ask({ input, output: process.stderr, withGuide: false }))
    } finally {
      input.close()
    }
  }
  // The others redraw themselves by moving the cursor over lines whose width they must know.
  const isPlain = (): boolean => dumb || !process.stderr.columns
  const plainPrompts = async (): Promise<PlainPrompts> => {
    const { createPlainPrompts } = await import('./plain-prompt.ts')
    plain ??= createPlainPrompts(process.stdin, process.stderr)
    return plain
  }

  return {
    json,
    stdinIsTerminal,
    stdoutIsTerminal,
    stderrIsTerminal,
    get columns() {
      // Asked late: the stream takes longer to load than everything else at a start.
      return (stdoutIsTerminal && process.stdout.columns) || undefined
    },
    colour,
    say: line => writeShort(`${renderLine(line, colour.stdout)}\n`),
    sayJson: value => writeShort(`${safeJson(value)}\n`),
    raw: writeStdout,
    notice: line => (json ? void waitingNotices.push(line) : tell(line)),
    flushNotices: () => waitingNotices.splice(0).forEach(tell),
    diagnose: line => tell([styled('dim', `debug: ${line}`)]),
    fail(message, hint) {
      tell([styled('red', 'atlas:'), ` ${message}`])
      if (hint !== null) tell(`       ${hint}`)
    },
    failJson: value => tell(safeJson(value)),
    async ask(message, invalid) {
      if (!isPlain()) {
        const { text } = await import('@clack/prompts')
        return prompt(streams => text({ ...streams, message, validate: value => invalid(value ?? '') }))
      }
      const { ask } = await plainPrompts()
      for (;;) {
        const answer = await asked(ask(sanitizeLine(message)))
        const fault = invalid(answer)
        if (fault === undefined) return answer
        tell(fault)
      }
    },
    async askSecret(message) {
      const empty = 'Type your password.'
      if (!isPlain()) {
        const { password } = await import('@clack/prompts')
        return prompt(streams =>
          password({ ...streams, message, validate: value => (value ? undefined : empty) }),
        )
      }
      const { askSecret } = await plainPrompts()
      return asked(askSecret(sanitizeLine(message), empty))
    },

    async during(label, work, delayMs = SPINNER_DELAY_MS) {
      if (!stderrIsTerminal || dumb || json) return work
      let frame = 0
      let drawn = false
      const draw = (): void => {
        drawn = true
        const text = sanitizeLine(secrets.mask(typeof label === 'string' ? label : label()))
        // A line that wraps could not be cleared.
        const room = (process.stderr.columns || DEFAULT_COLUMNS) - 3
        writeStderr(`${CLEAR_LINE}${SPINNER_FRAMES[frame++ % SPINNER_FRAMES.length]} ${text.slice(0, room)}`)
      }
      let ticking: ReturnType<typeof setInterval> | undefined
      const starting = setTimeout(() => {
        draw()
        ticking = setInterval(draw, SPINNER_INTERVAL_MS)
      }, delayMs)
      stopSpinner = () => {
        clearTimeout(starting)
        clearInterval(ticking)
        if (drawn) writeStderr(CLEAR_LINE)
        stopSpinner = undefined
      }
      try {
        return await work
      } finally {
        stopSpinner?.()
      }
    },

    restore() {
      stopSpinner?.()
      if (!asking) return
      process.stdin.setRawMode?.(false)
      writeStderr(isPlain() ? '\n' : `${SHOW_CURSOR}\n`)
    },
  }
}

/**
 * Write a short text to standard output, and at once: it fits into a pipe's buffer. Not by `node:fs`, which takes a quarter of
 * the time of a start to load.
 * @throws as `writeStdout` does.
 */
export async function writeShort(text: string): Promise<void> {
  if (text.length > MAX_SHORT_LENGTH) return writeStdout(Buffer.from(text))
  try {
    await Bun.write(Bun.stdout, text)
  } catch (error) {
    throw unwritable(error)
  }
}

/**
 * Write everything, however slow the reader. Off the main thread, so that signals are heard meanwhile.
 * @throws {OutputClosed} the reader has gone.
 * @throws {AtlasError} `internal`: the output could not be written.
 */
async function writeStdout(bytes: Uint8Array): Promise<void> {
  const { default: fs } = await import('node:fs')
  const write = (piece: Uint8Array): Promise<number> =>
    new Promise((resolve, reject) => {
      fs.write(STDOUT, piece, (error, written) => (error ? reject(error) : resolve(written)))
    })
  let rest = bytes
  while (rest.byteLength > 0) {
    try {
      rest = rest.subarray(await write(rest))
    } catch (error) {
      if (errorCode(error) !== 'EAGAIN') throw unwritable(error)
      await Bun.sleep(BUSY_PAUSE_MS)
    }
  }
}

function unwritable(error: unknown): Error {
  const code = errorCode(error)
  if (code === 'EPIPE') return new OutputClosed()
  return new AtlasError(
    'internal',
    `The output could not be written (${code}).`,
    code === 'ENOSPC' ? 'The disk is full: make room and try again.' : undefined,
  )
}

/** Errors here have nowhere to go: a closed standard error takes no message about itself. */
function writeStderr(text: string): void {
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
