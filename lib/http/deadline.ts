import { AtlasError } from '../errors.ts'
import { unlessAborted } from '../interrupts.ts'
import { startTimer } from '../timer.ts'
import type { Way } from './failures.ts'

/** What is left of the time that a command has for all requests and waits that may be given up. */
export type Budget = ReturnType<typeof createBudget>

/** A budget that begins with its first use. @param budgetMs in milliseconds; `Infinity` for no limit. */
export function createBudget(budgetMs: number) {
  let endsAt: number | undefined
  return {
    /** How long something may take that begins now and would take so many milliseconds. */
    within(ms: number): number {
      endsAt ??= performance.now() + budgetMs
      return Math.max(1, Math.round(Math.min(ms, endsAt - performance.now())))
    },
    /** Not to count so many milliseconds that have passed: they could not be given up. */
    exclude(ms: number): void {
      if (endsAt !== undefined) endsAt += ms
    },
  }
}

/** A time limit and a caller's signal in one, for waits that may not end by themselves. */
export type Deadline = ReturnType<typeof createDeadline>

/** A deadline that runs from now on. @param outer a signal that ends it too, with its own reason. */
export function createDeadline(
  timeoutMs: number,
  { url, proxy }: Pick<Way, 'url' | 'proxy'>,
  outer: AbortSignal | undefined,
) {
  const through = proxy ? ` through the proxy ${proxy.origin}` : ''
  const controller = new AbortController()
  const signal = outer ? AbortSignal.any([controller.signal, outer]) : controller.signal
  let pause = (): void => {}
  const restart = (): void => {
    pause()
    pause = startTimer(timeoutMs, () => {
      const seconds = Math.max(1, Math.round(timeoutMs)) / 1000
      const message = `${url.origin} did not answer${through} within ${seconds} s.`
      const hint = 'Try again, or allow more time with --timeout.'
      controller.abort(new AtlasError('timeout', message, hint))
    })
  }
  restart()
  return {
    signal,
    /** Wait for something, but no longer than the deadline. @throws the signal's reason, `timeout` among them. */
    race: <T>(wait: Promise<T>): Promise<T> => unlessAborted(signal, wait),
    /** Give the next step the whole time again. */
    restart,
    /** Stop the clock: nobody is waiting for the server, or the wait is over. */
    pause: () => pause(),
  }
}
