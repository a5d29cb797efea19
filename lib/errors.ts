/** Every error code, and the exit status of a run that ends with it. */
export const EXIT_CODE = {
  api_error: 1,
  ttl_unavailable: 1,
  local_changes: 1,
  remote_changes: 1,
  file_error: 1,
  internal: 1,
  usage: 2,
  input_required: 2,
  insecure_url: 2,
  not_logged_in: 4,
  session_expired: 4,
  bad_credentials: 4,
  token_rejected: 4,
  network: 5,
  tls: 5,
  timeout: 5,
  rate_limited: 5,
  server_error: 5,
  bad_response: 5,
  lock_timeout: 5,
  remote_unreadable: 5,
  not_kept: 5,
  store_locked: 6,
  store_unavailable: 6,
  store_denied: 6,
  store_timeout: 6,
  cancelled: 130,
} as const

export type AtlasCode = keyof typeof EXIT_CODE

/** A failure that a person can act on: what went wrong, and the next step. */
export class AtlasError extends Error {
  override readonly name = 'AtlasError'
  readonly code: AtlasCode
  /** What to do next, shown on a line of its own. */
  readonly hint: string | undefined
  readonly exitStatus: number

  constructor(code: AtlasCode, message: string, hint?: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.hint = hint
    this.exitStatus = EXIT_CODE[code]
  }
}

/** atlas was used or configured in a way that it does not accept (exit 2). */
export const usageError = (message: string, hint?: string): AtlasError =>
  new AtlasError('usage', message, hint)

/** What people send, and what few do. */
type CommonSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGQUIT'
type RareSignal = 'SIGUSR1' | 'SIGUSR2' | 'SIGALRM' | 'SIGVTALRM' | 'SIGPROF' | 'SIGXCPU' | 'SIGIO'
export type EndingSignal = CommonSignal | RareSignal

const RARE_SIGNALS: Partial<Record<NodeJS.Platform, Partial<Record<RareSignal, number>>>> = {
  linux: { SIGUSR1: 10, SIGUSR2: 12, SIGALRM: 14, SIGVTALRM: 26, SIGPROF: 27, SIGXCPU: 24, SIGIO: 29 },
  darwin: { SIGUSR1: 30, SIGUSR2: 31, SIGALRM: 14, SIGVTALRM: 26, SIGPROF: 27, SIGXCPU: 24 },
}

/** The signals that end a program which does not listen for them, with their numbers; not those that the runtime uses. */
export const SIGNAL_NUMBER: Readonly<Record<CommonSignal, number> & Partial<Record<RareSignal, number>>> = {
  SIGINT: 2,
  SIGTERM: 15,
  SIGHUP: 1,
  SIGQUIT: 3,
  ...RARE_SIGNALS[process.platform],
}

/** The user or the system asked atlas to stop. */
export class Cancelled extends AtlasError {
  override readonly exitStatus: number

  constructor(signal: EndingSignal = 'SIGINT') {
    super('cancelled', signal === 'SIGINT' ? 'Cancelled.' : `Ended by ${signal}.`)
    // As in POSIX shells.
    this.exitStatus = 128 + (SIGNAL_NUMBER[signal] ?? 0)
  }
}

/** An error that leaves other work possible. @throws the error itself where it is a signal or a bug. */
export function recoverable(error: unknown): AtlasError {
  if (error instanceof AtlasError && !(error instanceof Cancelled)) return error
  throw error
}

/** What any error says to a person or a script: the one place where an error becomes text. */
export function report(error: unknown) {
  const { code, message, hint = null, exitStatus } = error instanceof AtlasError ? error : unexpected(error)
  return { code, message, hint, exitStatus }
}

/** Named by class and code alone: the message of such an error may hold what was being sent. */
function unexpected(error: unknown): AtlasError {
  const kind = error instanceof Error ? error.name : typeof error
  const code = errorCode(error)
  return new AtlasError(
    'internal',
    `Something went wrong inside atlas (${code === undefined ? kind : `${kind}, ${code}`}).`,
    'Run the command again with --debug and report what it prints; it holds no secrets.',
  )
}

/** The `code` that Node and Bun put on system errors (`ENOENT`, `ECONNREFUSED`, …), if there is one. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
