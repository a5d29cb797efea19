import type { Charset } from './charset.ts'

const FRAMES: readonly string[] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const ASCII_FRAMES = ['|', '/', '-', '\\']
const INTERVAL_MS = 80
const CLEAR_LINE = '\r\u001b[K'

/** The frames that a terminal can show. */
export const framesFor = (charset: Charset): readonly string[] => (charset === 'utf8' ? FRAMES : ASCII_FRAMES)

/**
 * Show a spinner and a label once `delayMs` have passed. What it returns stops the spinner and clears the line.
 * @param write is told how much may wait already: a frame that a stopped terminal does not take is out of date later.
 */
export function startSpinner(
  label: () => string,
  delayMs: number,
  write: (text: string, maxWaitingBytes?: number) => unknown,
  columns: () => number,
  frames = FRAMES,
): () => void {
  let count = 0
  const draw = (): void => {
    // A line that wraps could not be cleared.
    const text = label().slice(0, Math.max(0, columns() - 3))
    write(`${CLEAR_LINE}${frames[count++ % frames.length]} ${text}`, 0)
  }
  let ticking: ReturnType<typeof setInterval> | undefined
  const starting = setTimeout(() => {
    draw()
    ticking = setInterval(draw, INTERVAL_MS)
  }, delayMs)
  return () => {
    clearTimeout(starting)
    clearInterval(ticking)
    if (count > 0) write(CLEAR_LINE)
    count = 0
  }
}

/** How far a transfer is, such as `12 MB of 40 MB (31%)`, or `12 MB` where the end is not known. */
export function describeProgress(bytes: number, total: number | undefined): string {
  if (!total || total < bytes) return describeBytes(bytes)
  return `${describeBytes(bytes)} of ${describeBytes(total)} (${Math.floor((bytes / total) * 100)}%)`
}

/** A size in the largest decimal unit that fits, at two or three digits. */
function describeBytes(bytes: number): string {
  let value = bytes
  let unit = 'B'
  for (const larger of ['kB', 'MB', 'GB', 'TB']) {
    if (value < 999.5) break
    value /= 1000
    unit = larger
  }
  return `${unit !== 'B' && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${unit}`
}
