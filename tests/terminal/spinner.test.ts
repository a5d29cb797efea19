import { expect, test } from 'bun:test'
import { describeProgress, framesFor, startSpinner } from '../../lib/terminal/spinner.ts'

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

test('a spinner waits for no reader: its frames only go where nothing waits, and the end always clears the line', async () => {
  const { promise: drawn, resolve } = Promise.withResolvers<void>()
  const written: [text: string, maxWaitingBytes?: number | undefined][] = []
  const stop = startSpinner(
    () => 'Working',
    0,
    (...args) => {
      written.push(args)
      resolve()
    },
    () => 80,
  )
  await drawn
  stop()
  expect(written[0]).toEqual(['\r\u001b[K⠋ Working', 0])
  expect(written.at(-1)).toEqual(['\r\u001b[K', undefined])
})

test.each([
  ['utf8', '⠋'],
  ['latin1', '|'],
  ['ascii', '|'],
] as const)('in the character set %s a spinner begins with %s', (charset, frame) => {
  expect(framesFor(charset)[0]).toBe(frame)
})
