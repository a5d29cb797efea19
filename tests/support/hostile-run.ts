import { BINARY, createSandbox, LOGIN, type Outcome } from './binary.ts'
import { type Answer, behindApi } from './hostile-answers.ts'
import { measured } from './measured.ts'
import { startRawServer } from './raw-server.ts'
import { CANARY, storeSession } from './stored-session.ts'

/** The commands that talk to a server, each as a script would call it. */
export const COMMANDS = {
  /** A login that asks where the API is, and is not told. */
  find: LOGIN,
  login: LOGIN,
  refresh: ['auth', 'refresh'],
  status: ['auth', 'status'],
  api: ['api', '/notes'],
  sync: ['sync'],
} as const

export type Command = keyof typeof COMMANDS

/** Long enough that no answer that comes is late on a busy machine, in seconds. */
const TIMEOUT_S = 10
/** Commands make at most three requests; the rest is room for a busy machine, in milliseconds. */
const MAX_OVERHEAD_MS = 15_000
export const MAX_MEMORY_BYTES = 150 * 1024 * 1024

/** How a command came through. */
export interface Met extends Outcome {
  /** The exit status, and the error code or the state that was reported. */
  readonly result: string
  /** Whether what was stored is byte for byte what it was. */
  readonly untouched: boolean
  /** What is stored afterwards. */
  readonly stored: string | undefined
  /** Whether a secret was printed. */
  readonly leaked: boolean
  /** Whether it took more time or memory than is allowed. */
  readonly excessive: boolean
}

/** Run a command against a server that does the same with every connection, once the API is found. */
export async function meet(command: Command, answer: Answer, timeoutS = TIMEOUT_S): Promise<Met> {
  await using server = await startRawServer(command === 'find' ? answer : behindApi(answer))
  return await ask(command, `http://127.0.0.1:${server.port}/api/v1`, timeoutS)
}

/** Run a command against a server for which a session is stored. */
export async function ask(command: Command, apiRoot: string, timeoutS = TIMEOUT_S): Promise<Met> {
  using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: apiRoot })
  const stored = await storeSession(sandbox, apiRoot)
  const before = stored.bytes()
  const startedAt = performance.now()
  const { status, stdout, stderr, peakMemoryBytes } = await measured({
    command: [BINARY, ...COMMANDS[command], '--json', '--debug', '--timeout', String(timeoutS)],
    cwd: sandbox.cwd,
    env: sandbox.env,
    input: `${CANARY.password}\n`,
  })
  const elapsedMs = performance.now() - startedAt
  return {
    status,
    stdout,
    stderr,
    result: `${status} ${command === 'status' ? stateIn(stdout) : codeIn(stderr)}`.trim(),
    untouched: stored.bytes() === before,
    stored: stored.bytes(),
    leaked: Object.values(CANARY).some(secret => (stdout + stderr).includes(secret)),
    excessive: elapsedMs > 2_000 * timeoutS + MAX_OVERHEAD_MS || peakMemoryBytes > MAX_MEMORY_BYTES,
  }
}

const stateIn = (stdout: string): string => (stdout === '' ? '' : JSON.parse(stdout).state)

/** Of the error object, which follows the lines of diagnostics. */
const codeIn = (stderr: string): string => {
  const last = stderr.trim().split('\n').at(-1) ?? ''
  return last.startsWith('{') ? JSON.parse(last).error.code : ''
}
