const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const INTERVAL_MS = 80
const CLEAR_LINE = '\r\u001b[K'

/**
 * Show a spinner and a label on one line, once `delayMs` have passed.
 * @param label called each time the line is drawn.
 * @returns call it to stop the spinner and clear the line.
 */
export function startSpinner(
  label: () => string,
  delayMs: number,
  write: (text: string) => void,
  columns: () => number,
): () => void {
  let count = 0
  const draw = (): void => {
    // A line that wraps could not be cleared.
    const text = label().slice(0, Math.max(0, columns() - 3))
    write(`${CLEAR_LINE}${FRAMES[count++ % FRAMES.length]} ${text}`)
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

/** How far a transfer is. */
export interface Progress {
  readonly bytes: number
  /** Undefined where the end is not known. */
  readonly total: number | undefined
  readonly elapsedMs: number
}

/** Bytes, share of the whole and rate of a transfer in words, such as `12.3 MB of 40 MB (31%), 4.1 MB/s`. */
export function describeProgress({ bytes, total, elapsedMs }: Progress): string {
  const known = total !== undefined && total >= bytes && total > 0
  const share = known ? ` of ${describeBytes(total)} (${Math.floor((bytes / total) * 100)}%)` : ''
  return `${describeBytes(bytes)}${share}, ${describeBytes(bytes / Math.max(0.001, elapsedMs / 1000))}/s`
}

/** A size in the largest decimal unit that fits, at three digits. */
export function describeBytes(bytes: number): string {
  const units = ['kB', 'MB', 'GB', 'TB']
  if (bytes < 1000) return `${Math.round(bytes)} B`
  let value = bytes
  let unit = ''
  for (unit of units) {
    value /= 1000
    if (value < 999.5) break
  }
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${unit}`
}
