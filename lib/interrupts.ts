import { Cancelled, type EndingSignal, SIGNAL_NUMBER } from './errors.ts'
import { openLibc } from './libc.ts'
import { startTimer } from './timer.ts'

/** How long a request that can cost the session when it is cut off goes on after Ctrl-C, in milliseconds. */
const GRACE_MS = 5_000
/** Signals less than this apart count as one: kernel, shell and npm send the same one twice. In milliseconds. */
const TOGETHER_MS = 100
/** Of signal(2): what the system does by itself. */
const SIG_DFL = null

/** The signals that end atlas, and the work that they must not cut off. */
export interface Interrupts {
  /** Aborted with `Cancelled` when a signal arrives and nothing is shielded. */
  readonly cancelled: AbortSignal
  /**
   * Run work that a signal must not cut off. `hurry` is aborted with `Cancelled` five seconds after a signal,
   * or at a second one, for the part of the work that may be given up.
   * @throws {AtlasError} `cancelled`: a signal arrived; the work was finished first.
   */
  shield<T>(work: (hurry: AbortSignal) => Promise<T>): Promise<T>
  /**
   * Hear what has arrived, and then leave signals to another program: to a child on Windows; elsewhere they end this
   * process as any other, until the program has taken its place. @throws {AtlasError} `cancelled`
   */
  release(): Promise<void>
}

interface Signals {
  on(signal: NodeJS.Signals, listener: () => void): unknown
}

export interface InterruptOptions {
  readonly graceMs?: number
  readonly togetherMs?: number
  /** Signals that this process ignores, as it does below nohup(1). */
  readonly ignored?: ReadonlySet<EndingSignal>
  /** Called at the first signal where shielded work delays the end. */
  readonly onDelay?: () => void
}

export function createInterrupts(
  source: Signals,
  { graceMs = GRACE_MS, togetherMs = TOGETHER_MS, ignored = new Set(), onDelay }: InterruptOptions = {},
): Interrupts {
  const cancelled = new AbortController()
  const shields = new Set<AbortController>()
  let pending: Cancelled | undefined
  let receivedAt = Number.POSITIVE_INFINITY
  let isReleased = false

  const receive = (signal: EndingSignal): void => {
    if (isReleased) return
    const again = performance.now() - receivedAt > togetherMs
    if (pending === undefined) {
      receivedAt = performance.now()
      if (shields.size > 0) onDelay?.()
    }
    pending ??= new Cancelled(signal)
    if (shields.size === 0) cancelled.abort(pending)
    const hurryAll = (): void => {
      for (const shield of shields) shield.abort(pending)
    }
    // An answer that came while the process was stopped is there, and is read first.
    startTimer(again ? 0 : graceMs, hurryAll)
  }
  // Windows knows a few of them.
  const heard = (Object.keys(SIGNAL_NUMBER) as EndingSignal[]).filter(signal => !ignored.has(signal))
  for (const signal of heard) source.on(signal, () => receive(signal))
  // A write beyond the limit on the size of files fails instead, and is reported as any other.
  if (process.platform !== 'win32') source.on('SIGXFSZ', () => {})

  return {
    cancelled: cancelled.signal,
    async release() {
      // The system is told first, and the listeners stay: the runtime tells them of a signal in a later turn.
      if (process.platform !== 'win32') endAtSignals(heard)
      for (let turn = 0; turn < 2; turn++) await new Promise(resolve => setImmediate(resolve))
      cancelled.signal.throwIfAborted()
      isReleased = true
    },
    async shield(work) {
      cancelled.signal.throwIfAborted()
      const hurry = new AbortController()
      shields.add(hurry)
      try {
        return await work(hurry.signal)
      } finally {
        shields.delete(hurry)
        if (pending !== undefined && shields.size === 0) cancelled.abort(pending)
        cancelled.signal.throwIfAborted()
      }
    },
  }
}

/** From here on they end this process without asking it. */
function endAtSignals(signals: readonly EndingSignal[]): void {
  const libc = openLibc({ signal: { args: ['i32', 'ptr'], returns: 'ptr' } } as const)
  for (const signal of signals) libc?.signal(SIGNAL_NUMBER[signal] ?? 0, SIG_DFL)
}

/**
 * Wait for work until the signal is aborted. @throws the signal's reason then.
 * Not by `Promise.race`: a promise that outlives many races would keep the result of each.
 */
export function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

const SIGNALS_IGNORED = '\nSigIgn:\t'

/** @param status the content of /proc/self/status (proc_pid_status(5)) before any listener was set. */
export function ignoredSignals(status: string): ReadonlySet<EndingSignal> {
  // The last 32 bits of it hold all signals but those of real-time programs.
  const start = status.indexOf(SIGNALS_IGNORED)
  const line = start < 0 ? '' : status.slice(start + SIGNALS_IGNORED.length, status.indexOf('\n', start + 1))
  const mask = Number.parseInt(line.slice(-8), 16)
  const signals = Object.entries(SIGNAL_NUMBER) as [EndingSignal, number][]
  return new Set(
    signals.filter(([, number]) => ((mask >>> (number - 1)) & 1) === 1).map(([signal]) => signal),
  )
}
