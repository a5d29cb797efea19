import { AtlasError } from '../errors.ts'
import { unlessAborted } from '../interrupts.ts'

/** A time limit and a caller's signal in one, for waits that may not end by themselves. */
export class Deadline {
  readonly #controller = new AbortController()
  readonly #timeoutMs: number
  readonly #url: URL
  readonly #outer: AbortSignal | undefined
  #timer: ReturnType<typeof setTimeout> | undefined

  /** Starts at once. @param outer its reason is passed on when it aborts. */
  constructor(timeoutMs: number, url: URL, outer: AbortSignal | undefined) {
    this.#timeoutMs = timeoutMs
    this.#url = url
    this.#outer = outer
    outer?.addEventListener('abort', this.#abortFromOuter, { once: true })
    if (outer?.aborted) this.#abortFromOuter()
    this.restart()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Wait for something, but no longer than the deadline. @throws the signal's reason, `timeout` among them. */
  race<T>(wait: Promise<T>): Promise<T> {
    return unlessAborted(this.#controller.signal, wait)
  }

  /** Give the next step the whole time again. */
  restart(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#controller.abort(
        new AtlasError(
          'timeout',
          `${this.#url.origin} did not answer within ${Math.max(1, Math.round(this.#timeoutMs)) / 1000} s.`,
          'Try again, or allow more time with --timeout.',
        ),
      )
    }, this.#timeoutMs)
  }

  /** Stop the clock while nobody is waiting for the server. */
  pause(): void {
    clearTimeout(this.#timer)
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#outer?.removeEventListener('abort', this.#abortFromOuter)
  }

  readonly #abortFromOuter = (): void => this.#controller.abort(this.#outer?.reason)
}
