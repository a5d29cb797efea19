import { expect, test } from 'bun:test'
import { describeProgress, type Progress } from '../../lib/terminal/spinner.ts'

const CASES: [progress: Progress, said: string][] = [
  [{ bytes: 0, total: undefined, elapsedMs: 0 }, '0 B, 0 B/s'],
  [{ bytes: 999, total: undefined, elapsedMs: 1000 }, '999 B, 999 B/s'],
  [{ bytes: 1000, total: 4000, elapsedMs: 500 }, '1.0 kB of 4.0 kB (25%), 2.0 kB/s'],
  [{ bytes: 999_600, total: 1_073_741_824, elapsedMs: 1000 }, '1.0 MB of 1.1 GB (0%), 1.0 MB/s'],
  [{ bytes: 123_456_789, total: 123_456_789, elapsedMs: 10_000 }, '123 MB of 123 MB (100%), 12 MB/s'],
  [{ bytes: 2000, total: 1000, elapsedMs: 1000 }, '2.0 kB, 2.0 kB/s'],
  [{ bytes: 5, total: 0, elapsedMs: 1000 }, '5 B, 5 B/s'],
]
test.each(CASES)('%j', (progress, said) => {
  expect(describeProgress(progress)).toBe(said)
})
