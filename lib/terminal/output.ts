import { Cancelled } from '../errors.ts'
import type { Prompt } from './prompt.ts'
import { safeJson, sanitizeLine } from './safe-text.ts'
import type { Secrets } from './secrets.ts'
import { startSpinner } from './spinner.ts'
import { writeStderr, writeStdout } from './streams.ts'
import { type Line, renderLine, styled } from './style.ts'

/** Quick answers show no spinner, so that nothing flickers. */
const SPINNER_DELAY_MS = 150
/** The width of a terminal that does not say how wide it is. */
const DEFAULT_COLUMNS = 80

/** Which streams are terminals, and what they can show. */
export interface TerminalLook {
  readonly stdinIsTerminal: boolean
  readonly stdoutIsTerminal: boolean
  readonly stderrIsTerminal: boolean
  /** Whether each stream shows colours. */
  readonly colour: Readonly<Record<'stdout' | 'stderr', boolean>>
  /** Whether results and errors are JSON. */
  readonly json: boolean
}

/** What is wrong with an answer; undefined where it is valid. */
type Validate = (answer: string) => string | undefined

/** Where results, notices and questions go. Everything but `raw` is made harmless for a terminal first. */
export interface Terminal extends TerminalLook {
  /** How many characters fit on a line of standard output; undefined where that is not a terminal. */
  readonly columns: number | undefined
  /** One line of a result, on standard output. */
  say(line: Line): Promise<void>
  /** A result as one JSON object, on standard output. */
  sayJson(value: unknown): Promise<void>
  /** Bytes as they are, on standard output. Waits for a slow reader. */
  raw(bytes: Uint8Array): Promise<void>
  /** A remark beside the result, on standard error; with --json it waits for success. */
  notice(line: Line): void
  /** Print the notices that waited. */
  flushNotices(): void
  /** A line of diagnostics, on standard error. */
  diagnose(line: string): void
  /** An error, on standard error: what went wrong, and the next step where there is one. */
  fail(message: string, hint: string | null): void
  /** An error as one JSON object, on standard error. */
  failJson(value: unknown): void
  /** Ask for a line, again and again until it is valid. @throws {AtlasError} `cancelled` */
  ask(question: string, invalid: Validate): Promise<string>
  /** Ask for a line that is not shown and not empty. @throws {AtlasError} `cancelled` */
  askSecret(question: string): Promise<string>
  /**
   * Show a spinner while work goes on, on a terminal that can, unless results are JSON.
   * @param label called each time the spinner is drawn.
   * @param delayMs no spinner is shown for work that ends sooner.
   */
  during<T>(label: string | (() => string), work: Promise<T>, delayMs?: number): Promise<T>
  /** Leave the terminal as it was found. */
  restore(): void
}

type Prompter = Pick<Prompt, 'ask' | 'restore'>

/** What a terminal writes to and reads from. */
export interface Device {
  writeStdout(data: string | Uint8Array): Promise<void>
  writeStderr(text: string): void
  /** The width of each stream, in characters; 0 or undefined where it does not say. */
  columns(stream: 'stdout' | 'stderr'): number | undefined
  openPrompt(): Promise<Prompter>
}

const processDevice: Device = {
  writeStdout,
  writeStderr,
  // Called late, and for a terminal only, because it loads the stream: see `isTerminal`.
  columns: stream => process[stream].columns,
  async openPrompt() {
    const { Prompt } = await import('./prompt.ts')
    return new Prompt(process.stdin, writeStderr)
  },
}

export interface TerminalOptions extends TerminalLook {
  /** Whether the terminal cannot move its cursor. */
  readonly dumb: boolean
  readonly secrets: Secrets
  readonly device?: Device
}

/** The terminal of a run: the process's own streams, unless `device` says otherwise. */
export function createTerminal({
  device = processDevice,
  dumb,
  secrets: { mask },
  ...look
}: TerminalOptions): Terminal {
  const { json, colour } = look
  const waitingNotices: Line[] = []
  let prompt: Prompter | undefined
  let stopSpinner = (): void => {}

  const tell = (line: Line): void => {
    stopSpinner()
    device.writeStderr(`${renderLine(line, colour.stderr, mask)}\n`)
  }
  const askUntilValid = async (question: string, hidden: boolean, invalid: Validate): Promise<string> => {
    prompt ??= await device.openPrompt()
    for (;;) {
      const answer = await prompt.ask(sanitizeLine(question), { hidden })
      if (answer === undefined) throw new Cancelled()
      const fault = invalid(answer)
      if (fault === undefined) return answer
      tell(fault)
    }
  }

  return {
    ...look,
    get columns() {
      return (look.stdoutIsTerminal && device.columns('stdout')) || undefined
    },
    say: line => device.writeStdout(`${renderLine(line, colour.stdout)}\n`),
    sayJson: value => device.writeStdout(`${safeJson(value)}\n`),
    raw: device.writeStdout,
    notice: line => (json ? void waitingNotices.push(line) : tell(line)),
    flushNotices: () => waitingNotices.splice(0).forEach(tell),
    diagnose: line => tell([styled('dim', `debug: ${line}`)]),
    fail(message, hint) {
      tell([styled('red', 'atlas:'), ` ${message}`])
      if (hint !== null) tell(`       ${hint}`)
    },
    failJson: value => tell(safeJson(value)),
    ask: (question, invalid) => askUntilValid(`${question}: `, false, invalid),
    askSecret: question => askUntilValid(`${question} (not shown): `, true, isEmpty),
    async during(label, work, delayMs = SPINNER_DELAY_MS) {
      if (!look.stderrIsTerminal || dumb || json) return work
      const text = (): string => sanitizeLine(mask(typeof label === 'string' ? label : label()))
      const columns = (): number => device.columns('stderr') || DEFAULT_COLUMNS
      stopSpinner = startSpinner(text, delayMs, device.writeStderr, columns)
      return work.finally(() => stopSpinner())
    },
    restore() {
      stopSpinner()
      prompt?.restore()
    },
  }
}

const isEmpty: Validate = answer => (answer === '' ? 'Type your password.' : undefined)
