import { expect, test } from 'bun:test'
import { posixOffset } from '../../lib/terminal/posix-time-zone.ts'
import { describeMoment } from '../../lib/terminal/time.ts'
import { testWithTools } from '../support/needs.ts'

const ZONES = [
  'UTC0',
  'UTC+3',
  'EST5',
  'EST5EDT',
  ':EST5EDT',
  'CET-1CEST,M3.5.0,M10.5.0/3',
  '<+0530>-5:30',
  '<-03>3<-02>,M3.5.0/-2,M10.5.0/-1',
  'IST-1GMT0,M10.5.0,M3.5.0/1',
  'AEST-10AEDT,M10.1.0,M4.1.0/3',
  'XXX3YYY,J60/4,J300',
  'XXX3YYY,59,299/1:30',
]
/** Around each change of the year, and between them. */
const MOMENTS = Array.from(
  { length: 366 * 4 },
  (_, quarter) => new Date(Date.UTC(2028, 0, 1, quarter * 6, 59, 59)),
)

/** The system's own answer. */
function systemOffsets(zone: string): number[] {
  const input = MOMENTS.map(moment => `@${moment.getTime() / 1000}`).join('\n')
  const { stdout } = Bun.spawnSync(['date', '-f', '-', '+%z'], {
    env: { TZ: zone },
    stdin: Buffer.from(input),
  })
  return stdout
    .toString()
    .trim()
    .split('\n')
    .map(
      text =>
        (Number(text.slice(1, 3)) * 3600 + Number(text.slice(3)) * 60) * (text.startsWith('-') ? -1 : 1),
    )
}

testWithTools('date').each(ZONES)('time zone: %s has the offsets that the system gives it', zone => {
  expect(MOMENTS.map(moment => posixOffset(zone, moment))).toEqual(systemOffsets(zone))
})

test.each([
  '',
  'UTC',
  'Europe/Berlin',
  ':Europe/Berlin',
  'Etc/GMT+3',
  '/etc/localtime',
  'CET-1CEST,M3.5',
  '5',
])('time zone: %j is left to the runtime', zone => {
  expect(posixOffset(zone, new Date())).toBeUndefined()
})

test('time zone: a moment is told in it', () => {
  const moment = new Date('2026-07-01T22:30:00Z')
  expect(describeMoment(moment, moment, 'CET-1CEST,M3.5.0,M10.5.0/3')).toBe('2026-07-02 00:30 (in 0 seconds)')
})
