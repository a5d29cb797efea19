import { createTerminal, type Device, type Terminal } from '../../lib/terminal/output.ts'
import { createSecrets, type Secrets } from '../../lib/terminal/secrets.ts'

export interface Script {
  /** What a person types, one answer for each question; the question after the last one is left with Ctrl-C. */
  readonly answers?: readonly string[]
  /** Whether the command has --json. */
  readonly json?: boolean
  /** What standard error must not show. */
  readonly secrets?: Secrets
  /** Which streams are terminals; by default standard input and standard error where there are answers. */
  readonly stdinIsTerminal?: boolean
  readonly stdoutIsTerminal?: boolean
  readonly stderrIsTerminal?: boolean
  readonly columns?: number
}

/** A terminal for commands that a test calls in its own process. Nothing is coloured, and nothing spins. */
export interface ScriptedTerminal extends Terminal {
  /** All of standard output so far. */
  readonly stdout: string
  /** All of standard error so far: notices, errors, diagnostics, and why answers were refused. */
  readonly stderr: string
  /** The questions asked so far, as they stand on the screen. */
  readonly questions: readonly string[]
}

export function scriptTerminal({
  answers = [],
  json = false,
  secrets = createSecrets(),
  stdinIsTerminal = answers.length > 0,
  stdoutIsTerminal = false,
  stderrIsTerminal = answers.length > 0,
  columns,
}: Script = {}): ScriptedTerminal {
  const typed = [...answers]
  const decoder = new TextDecoder()
  const shown = { stdout: '', stderr: '', questions: [] as string[] }
  const device: Device = {
    isTerminal: descriptor => [stdinIsTerminal, stdoutIsTerminal, stderrIsTerminal][descriptor] ?? false,
    async writeStdout(data) {
      shown.stdout += typeof data === 'string' ? data : decoder.decode(data, { stream: true })
    },
    writeStderr(text) {
      shown.stderr += text
      return true
    },
    async flush() {},
    columns: () => columns,
    openPrompt: async () => ({
      async ask(question) {
        shown.questions.push(question)
        return typed.shift()
      },
      restore() {},
    }),
  }
  const terminal = createTerminal({ json, env: { TERM: 'dumb' }, secrets, device })
  return Object.defineProperties(terminal as ScriptedTerminal, {
    stdout: { get: () => shown.stdout },
    stderr: { get: () => shown.stderr },
    questions: { value: shown.questions },
  })
}
