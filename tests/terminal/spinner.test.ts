import { expect, test } from 'bun:test'
import { describeProgress } from '../../lib/terminal/spinner.ts'

const CASES: [bytes: number, total: number | undefined, said: string][] = [
  [0, undefined, '0 B'],
  [999, undefined, '999 B'],
  [1000, 4000, '1.0 kB of 4.0 kB (25%)'],
  [999_600, 1_073_741_824, '1.0 MB of 1.1 GB (0%)'],
  [12_345_678, 123_456_789, '12 MB of 123 MB (9%)'],
  [123_456_789, 123_456_789, '123 MB of 123 MB (100%)'],
  [9_000_000_000_000_000, undefined, '9000 TB'],
  [2000, 1000, '2.0 kB'],
  [5, 0, '5 B'],
]
test.each(CASES)('%d of %p bytes are %s', (bytes, total, said) => {
  expect(describeProgress(bytes, total)).toBe(said)
})
