import { expect, test } from 'bun:test'
import { describeDuration, describeMoment } from '../../lib/terminal/time.ts'

test.each([
  [0, '0 seconds'],
  [499, '0 seconds'],
  [1_000, '1 second'],
  [119_000, '119 seconds'],
  [120_000, '2 minutes'],
  [1_799_000, '30 minutes'],
  [7_199_000, '120 minutes'],
  [7_200_000, '2 hours'],
  [172_799_000, '48 hours'],
  [172_800_000, '2 days'],
  [604_800_000, '7 days'],
])('%d ms are %s', (ms, text) => {
  expect(describeDuration(ms)).toBe(text)
})

test('a moment is shown in local time, with how far away it is', () => {
  const now = new Date(2026, 2, 4, 5, 6, 7)
  const at = (ms: number): string => describeMoment(new Date(now.getTime() + ms), now)
  expect(at(0)).toBe('2026-03-04 05:06 (in 0 seconds)')
  expect(at(30 * 60_000)).toBe('2026-03-04 05:36 (in 30 minutes)')
  expect(at(-5_000)).toBe('2026-03-04 05:06 (5 seconds ago)')
  expect(at(7 * 86_400_000)).toStartWith('2026-03-11 0')
})
