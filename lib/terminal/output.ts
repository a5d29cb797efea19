import { type AtlasCode, Cancelled } from '../errors.ts'
import { type Charset, charsetOf, encode } from './charset.ts'
import type { Prompt } from './prompt.ts'
import { safeJson, sanitizeLine } from './safe-text.ts'
import type { Secrets } from './secrets.ts'
import { framesFor, startSpinner } from './spinner.ts'
import { flushOutput, isTerminal, writeStderr, writeStdout } from './streams.ts'
import { type Line, renderLine, type Style, styled, wantsColour } from './style.ts'

/** Quick answers show no spinner, so that nothing flickers. */
const SPINNER_DELAY_MS = 150
/** The width of a terminal that does not say how wide it is. */
const DEFAULT_COLUMNS = 80
/** More diagnostics than this are not kept for a reader who does not come. */
const MAX_UNREAD_BYTES = 1024 * 1024

/** What is wrong with an answer; undefined where it is valid. */
type Validate = (answer: string) => string | undefined

/** A name and its value; a row without a value is left out. */
export type Row = readonly [name: string, value: string | null | undefined, look?: Style | undefined]

type Prompter = Pick<Prompt, 'ask' | 'restore'>

export interface Device {
  /** Whether a standard stream is a terminal, by its descriptor (0, 1 or 2). */
  isTerminal(descriptor: number): boolean
  writeStdout(data: string | Uint8Array): Promise<void>
  /** Queue a text, unless more than `maxWaitingBytes` wait already. @returns whether it was queued. */
  writeStderr(text: string | Uint8Array, maxWaitingBytes?: number): boolean
  flush(): Promise<void>
  /** The width of a terminal, in characters; 0 or undefined where it does not say. */
  columns(stream: 'stdout' | 'stderr'): number | undefined
  /** @param encoding of what is typed. */
  openPrompt(write: (text: string) => void, encoding: BufferEncoding): Promise<Prompter>
}

const processDevice: Device = {
  isTerminal,
  writeStdout,
  writeStderr,
  flush: flushOutput,
  // Called late, and for a terminal only, because it loads the stream: see `isTerminal`.
  columns: stream => process[stream].columns,
  async openPrompt(write, encoding) {
    const { Prompt } = await import('./prompt.ts')
    return new Prompt(process.stdin, write, flushOutput, encoding)
  },
}

/**
 * Where results, notices and questions go. Everything but `raw` is made harmless for a terminal first. What goes to
 * standard error is queued: whether it is read or not, it holds nothing up.
 */
export interface Terminal {
  readonly stdinIsTerminal: boolean
  readonly stdoutIsTerminal: boolean
  readonly stderrIsTerminal: boolean
  readonly colour: Readonly<Record<'stdout' | 'stderr', boolean>>
  /** Whether results and errors are JSON. */
  readonly json: boolean
  /** How many characters fit on a line of standard output; undefined where that is not a terminal. */
  readonly columns: number | undefined
  /** One line of a result, on standard output. */
  say(line: Line): Promise<void>
  /** A result as rows with their values aligned. */
  sayRows(rows: readonly Row[]): Promise<void>
  /** A result as one JSON object. */
  sayJson(value: unknown): Promise<void>
  /** Text or bytes as they are, on standard output. Waits for a slow reader. */
  raw(data: string | Uint8Array): Promise<void>
  /** A remark beside the result, on standard error; with --json it waits for success. */
  notice(line: Line): void
  flushNotices(): void
  /**
   * A remark that is made up when the command has succeeded, for a person: only where standard output and standard
   * error are terminals, and not beside JSON.
   */
  atEnd(remark: () => Line | undefined): void
  /** A line of diagnostics, on standard error; left out and counted while a MiB waits there to be read. */
  diagnose(line: string): void
  /** An error and the next step, on standard error, as text or JSON. */
  fail(error: { readonly code: AtlasCode; readonly message: string; readonly hint: string | null }): void
  /** Ask for a line, again and again until it is valid. @throws {AtlasError} `cancelled` */
  ask(question: string, invalid: Validate): Promise<string>
  /** Ask for a line that is not shown and not empty. @throws {AtlasError} `cancelled` */
  askSecret(question: string): Promise<string>
  /** Show a spinner, on a terminal that can, for work that takes longer than `delayMs`; not beside JSON. */
  during<T>(label: string | (() => string), work: Promise<T>, delayMs?: number): Promise<T>
  /** Wait until everything is written; for ever where nobody reads. */
  flush(): Promise<void>
  /** Leave the terminal as it was found. */
  restore(): void
}

export interface TerminalOptions {
  readonly json: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  readonly secrets: Secrets
  /** The process's own streams unless given. */
  readonly device?: Device
}

/** The outputs of a device, whose terminals get texts in their own character set. */
function inCharset(charset: Charset, { isTerminal, writeStdout, writeStderr }: Device) {
  const encoded = (data: string | Uint8Array, descriptor: number): string | Uint8Array =>
    typeof data === 'string' && isTerminal(descriptor) ? encode(data, charset) : data
  return {
    charset,
    writeStdout: (data: string | Uint8Array) => writeStdout(encoded(data, 1)),
    writeStderr: (text: string, maxWaitingBytes?: number) => writeStderr(encoded(text, 2), maxWaitingBytes),
  }
}

export function createTerminal({ json, env, secrets, device = processDevice }: TerminalOptions): Terminal {
  const { mask } = secrets
  const stdoutIsTerminal = device.isTerminal(1)
  const stderrIsTerminal = device.isTerminal(2)
  const { charset, writeStdout, writeStderr } = inCharset(charsetOf(env), device)
  const colour = { stdout: wantsColour(env, stdoutIsTerminal), stderr: wantsColour(env, stderrIsTerminal) }
  let prompt: Prompter | undefined
  let stopSpinner = (): void => {}

  const say = (...lines: readonly Line[]): Promise<void> =>
    writeStdout(lines.map(line => `${renderLine(line, colour.stdout)}\n`).join(''))
  const tell = (lines: readonly Line[], maxWaitingBytes?: number): boolean => {
    stopSpinner()
    const text = lines.map(line => `${renderLine(line, colour.stderr, mask)}\n`).join('')
    return text === '' || writeStderr(text, maxWaitingBytes)
  }
  const diagnostics = createDiagnostics(tell)
  const askUntilValid = async (question: string, hidden: boolean, invalid: Validate): Promise<string> => {
    prompt ??= await device.openPrompt(writeStderr, charset === 'latin1' ? charset : 'utf8')
    for (;;) {
      const answer = await prompt.ask(sanitizeLine(question), { hidden })
      if (answer === undefined) throw new Cancelled()
      const fault = invalid(answer)
      if (fault === undefined) return answer
      tell([fault])
    }
  }

  return {
    stdinIsTerminal: device.isTerminal(0),
    stdoutIsTerminal,
    stderrIsTerminal,
    colour,
    json,
    get columns() {
      return (stdoutIsTerminal && device.columns('stdout')) || undefined
    },
    say: line => say(line),
    sayRows: rows => say(...alignRows(rows)),
    sayJson: value => writeStdout(`${safeJson(value)}\n`),
    raw: writeStdout,
    ...createNotices(tell, json, stdoutIsTerminal && stderrIsTerminal && !json),
    diagnose: diagnostics.print,
    fail({ code, message, hint }) {
      // Masked before: a text that is hidden as a whole must not be the JSON.
      if (json) tell([safeJson({ error: { code, message: mask(message), hint: hint && mask(hint) } })])
      else tell([[styled('red', 'atlas:'), ` ${message}`], ...(hint === null ? [] : [`       ${hint}`])])
    },
    ask: (question, invalid) => askUntilValid(`${question}: `, false, invalid),
    async askSecret(question) {
      const answer = await askUntilValid(`${question} (not shown): `, true, isEmpty)
      // By then the prompt has left raw mode, in which a Ctrl-Z during the work that follows would do nothing.
      await new Promise(resolve => setImmediate(resolve))
      return answer
    },
    async during(label, work, delayMs = SPINNER_DELAY_MS) {
      if (!stderrIsTerminal || env['TERM'] === 'dumb' || env['CI'] || json) return work
      const text = (): string => sanitizeLine(mask(typeof label === 'string' ? label : label()))
      const columns = (): number => device.columns('stderr') || DEFAULT_COLUMNS
      stopSpinner = startSpinner(text, delayMs, writeStderr, columns, framesFor(charset))
      return work.finally(() => stopSpinner())
    },
    async flush() {
      diagnostics.end()
      await device.flush()
    },
    restore() {
      stopSpinner()
      prompt?.restore()
    },
  }
}

const isEmpty: Validate = answer => (answer === '' ? 'Type your password.' : undefined)

/** Remarks beside the result, and those that wait for its end. */
function createNotices(
  tell: (lines: readonly Line[]) => boolean,
  json: boolean,
  isForPerson: boolean,
): Pick<Terminal, 'notice' | 'flushNotices' | 'atEnd'> {
  const waiting: Line[] = []
  const remarks: (() => Line | undefined)[] = []
  return {
    notice: line => void (json ? waiting.push(line) : tell([line])),
    flushNotices() {
      const said = remarks.splice(0).map(remark => remark())
      tell([...waiting.splice(0), ...said.filter(line => line !== undefined)])
    },
    atEnd: remark => void (isForPerson && remarks.push(remark)),
  }
}

/** Lines of diagnostics for a reader who may be slow, or gone for good; those left out are counted. */
function createDiagnostics(tell: (lines: readonly Line[], maxWaitingBytes?: number) => boolean) {
  let leftOut = 0
  const styledLine = (line: string): Line => [styled('dim', `debug: ${line}`)]
  const omission = (): Line[] =>
    leftOut > 0 ? [styledLine(`lines left out, as nobody read them: ${leftOut}`)] : []
  return {
    print(line: string): void {
      const isQueued = tell([...omission(), styledLine(line)], MAX_UNREAD_BYTES)
      leftOut = isQueued ? 0 : leftOut + 1
    },
    end(): void {
      tell(omission())
      leftOut = 0
    },
  }
}

function alignRows(rows: readonly Row[]): Line[] {
  const width = Math.max(...rows.map(([name]) => name.length)) + 2
  return rows.flatMap(([name, value, look]): Line[] => {
    if (typeof value !== 'string') return []
    const gap = ' '.repeat(width - name.length)
    return [[styled('dim', name), gap, look ? styled(look, value) : value]]
  })
}
