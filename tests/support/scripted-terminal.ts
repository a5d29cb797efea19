import { Cancelled } from '../../lib/errors.ts'
import type { Terminal } from '../../lib/terminal/output.ts'
import { safeJson, sanitizeLine } from '../../lib/terminal/safe-text.ts'
import { createSecrets, type Secrets } from '../../lib/terminal/secrets.ts'
import { type Line, renderLine } from '../../lib/terminal/style.ts'

export interface Script {
  /** What a person types, one answer for each question; the question after the last one is left with Ctrl-C. */
  readonly answers?: readonly string[]
  /** Whether the command has --json. */
  readonly json?: boolean
  /** What standard error must not show. Standard output is not masked, as in the real terminal. */
  readonly secrets?: Secrets
  /** Which streams are terminals; by default standard input and standard error where there are answers. */
  readonly stdinIsTerminal?: boolean
  readonly stdoutIsTerminal?: boolean
  readonly stderrIsTerminal?: boolean
  readonly columns?: number
}

/** A terminal for commands that a test calls in its own process. Nothing is coloured. */
export interface ScriptedTerminal extends Terminal {
  /** All of standard output so far. */
  readonly stdout: string
  /** All of standard error so far: notices, errors, diagnostics and what answers were refused. */
  readonly stderr: string
  /** The questions asked so far. */
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
  const questions: string[] = []
  const waitingNotices: Line[] = []
  const decoder = new TextDecoder()
  let stdout = ''
  let stderr = ''
  const tell = (line: Line): void => {
    stderr += `${renderLine(line, false, secrets.mask)}\n`
  }
  const ask = (question: string, invalid: (answer: string) => string | undefined): string => {
    for (;;) {
      questions.push(sanitizeLine(question))
      const answer = typed.shift()
      if (answer === undefined) throw new Cancelled()
      const fault = invalid(answer)
      if (fault === undefined) return answer
      tell(fault)
    }
  }
  return {
    get stdout() {
      return stdout
    },
    get stderr() {
      return stderr
    },
    questions,
    json,
    stdinIsTerminal,
    stdoutIsTerminal,
    stderrIsTerminal,
    columns,
    colour: { stdout: false, stderr: false },
    async say(line) {
      stdout += `${renderLine(line, false)}\n`
    },
    async sayJson(value) {
      stdout += `${safeJson(value)}\n`
    },
    async raw(bytes) {
      stdout += decoder.decode(bytes, { stream: true })
    },
    notice: line => (json ? void waitingNotices.push(line) : tell(line)),
    flushNotices: () => waitingNotices.splice(0).forEach(tell),
    diagnose: line => tell(`debug: ${line}`),
    fail(message, hint) {
      tell(`atlas: ${message}`)
      if (hint !== null) tell(`       ${hint}`)
    },
    failJson: value => tell(safeJson(value)),
    ask: async (question, invalid) => ask(question, invalid),
    askSecret: async question => ask(question, answer => (answer ? undefined : 'Type your password.')),
    during: (_, work) => work,
    restore() {},
  }
}
