/** How long what has arrived gets to be read once the time is over, in milliseconds. */
const LAST_LOOK_MS = 200

/**
 * Call `expired` after so many milliseconds, but not before what arrived in time could be read: in a process that
 * was stopped or on a machine that slept, the timer is seen before the answer that has lain in the socket since.
 * @returns what stops the clock.
 */
export function startTimer(ms: number, expired: () => void): () => void {
  let timer = setTimeout(lookAgain, ms)
  function lookAgain(): void {
    const startedAt = performance.now()
    timer = setTimeout(() => {
      // Stopped again during the look itself.
      if (performance.now() - startedAt > 2 * LAST_LOOK_MS) lookAgain()
      else expired()
    }, LAST_LOOK_MS)
  }
  return () => clearTimeout(timer)
}
