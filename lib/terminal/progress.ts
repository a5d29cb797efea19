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
