import { posixOffset } from './posix-time-zone.ts'

/** What the runtime takes for UTC where it is in the form of POSIX. */
const ZONE = process.env['TZ'] ?? ''

/** A moment as a person reads it: local time and how far away it is. */
export function describeMoment(moment: Date, now: Date, zone = ZONE): string {
  const offsetS = posixOffset(zone, moment) ?? -moment.getTimezoneOffset() * 60
  const [date, time] = new Date(moment.getTime() + offsetS * 1000).toISOString().slice(0, 16).split('T')
  const aheadMs = moment.getTime() - now.getTime()
  const distance = describeDuration(Math.abs(aheadMs))
  return `${date} ${time} (${aheadMs < 0 ? `${distance} ago` : `in ${distance}`})`
}

/** A duration in the largest unit of which there are at least two. */
export function describeDuration(ms: number): string {
  const units = [
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
  ] as const
  const [unit, size] = units.find(([, length]) => ms >= length * 2) ?? ['second', 1000]
  const count = Math.round(ms / size)
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}
