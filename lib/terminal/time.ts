import { posixOffset } from './posix-time-zone.ts'

let zoneOfRun = ''

/** Tell times in the zone of `TZ`, which the runtime takes for UTC where it is in the form of POSIX. */
export function useTimeZone(zone = ''): void {
  zoneOfRun = zone
}

/** A moment as a person reads it: local time and how far away it is. */
export function describeMoment(moment: Date, now: Date, zone = zoneOfRun): string {
  const two = (value: number): string => String(value).padStart(2, '0')
  const offsetS = posixOffset(zone, moment) ?? -moment.getTimezoneOffset() * 60
  const local = new Date(moment.getTime() + offsetS * 1000)
  const date = `${local.getUTCFullYear()}-${two(local.getUTCMonth() + 1)}-${two(local.getUTCDate())}`
  const time = `${two(local.getUTCHours())}:${two(local.getUTCMinutes())}`
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
