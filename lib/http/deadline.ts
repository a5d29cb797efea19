import { AtlasError } from '../errors.ts'
import { unlessAborted } from '../interrupts.ts'

/** A time limit and a caller's signal in one, for waits that may not end by themselves. */
export type Deadline = ReturnType<typeof createDeadline>

/** A deadline that runs from now on. @param outer a signal that ends it too, with its own reason. */
export function createDeadline(timeoutMs: number, { origin }: URL, outer: AbortSignal | undefined) {
  const controller = new AbortController()
  const signal = outer ? AbortSignal.any([controller.signal, outer]) : controller.signal
  let timer: ReturnType<typeof setTimeout> | undefined

  const pause = (): void => clearTimeout(timer)
  const restart = (): void => {
    pause()
    timer = setTimeout(() => {
      const seconds = Math.max(1, Math.round(timeoutMs)) / 1000
      const message = `${origin} did not answer within ${seconds} s.`
      const hint = 'Try again, or allow more time with --timeout.'
      controller.abort(new AtlasError('timeout', message, hint))
    }, timeoutMs)
  }
  restart()
  return {
    signal,
    /** Wait for something, but no longer than the deadline. @throws the signal's reason, `timeout` among them. */
    race: <T>(wait: Promise<T>): Promise<T> => unlessAborted(signal, wait),
    /** Give the next step the whole time again. */
    restart,
    /** Stop the clock: nobody is waiting for the server, or the wait is over. */
    pause,
  }
}
