const NAME = /(?:[A-Za-z]{3,}|<[+\-A-Za-z0-9]{3,}>)/.source
const OFFSET = /[+-]?\d{1,3}(?::\d\d){0,2}/.source
const RULE = /(?:M\d{1,2}\.\d\.\d|J?\d{1,3})(?:\/[+-]?\d{1,3}(?::\d\d){0,2})?/.source
const FORM = new RegExp(`^:?${NAME}(${OFFSET})(?:(${NAME})(${OFFSET})?(?:,(${RULE}),(${RULE}))?)?$`)
/** Where a zone has summer time and does not say when: that of the United States. */
const USUAL_RULES = ['M3.2.0', 'M11.1.0'] as const
const HOUR_S = 3600
const DAY_S = 86_400

/**
 * Seconds to add to UTC at a moment, by a zone such as `CET-1CEST,M3.5.0,M10.5.0/3`.
 * @returns undefined for a text in another form. @see POSIX.1-2024, XBD §8.3
 */
export function posixOffset(zone: string, moment: Date): number | undefined {
  const [, standard, summerName, summer, start, end] = FORM.exec(zone) ?? []
  if (standard === undefined) return undefined
  // West is positive there.
  const standardS = 0 - seconds(standard)
  if (summerName === undefined) return standardS
  const summerS = summer === undefined ? standardS + HOUR_S : 0 - seconds(summer)
  const nowS = moment.getTime() / 1000
  const year = new Date((nowS + standardS) * 1000).getUTCFullYear()
  const startS = changeOf(start ?? USUAL_RULES[0], year) - standardS
  const endS = changeOf(end ?? USUAL_RULES[1], year) - summerS
  const isSummer = startS < endS ? nowS >= startS && nowS < endS : nowS >= startS || nowS < endS
  return isSummer ? summerS : standardS
}

function seconds(text: string): number {
  const [hours = 0, minutes = 0, rest = 0] = text.replace(/^[+-]/, '').split(':').map(Number)
  return (hours * HOUR_S + minutes * 60 + rest) * (text.startsWith('-') ? -1 : 1)
}

/** When a rule takes effect in a year, in seconds of local time as if that were UTC. */
function changeOf(rule: string, year: number): number {
  const [day = '', time = '2'] = rule.split('/')
  return dayOf(day, year) / 1000 + seconds(time)
}

/** `Mm.w.d`: weekday d, 0 for Sunday, in week w of month m, 5 for its last; `Jn`: day n without 29 February; `n`: from 0. */
function dayOf(day: string, year: number): number {
  const [, month, week, weekday] = (/^M(\d+)\.(\d)\.(\d)$/.exec(day) ?? []).map(Number)
  if (month === undefined || week === undefined || weekday === undefined) {
    if (!day.startsWith('J')) return Date.UTC(year, 0, 1 + Number(day))
    // 2001 had no such day.
    const counted = new Date(Date.UTC(2001, 0, Number(day.slice(1))))
    return Date.UTC(year, counted.getUTCMonth(), counted.getUTCDate())
  }
  const first = new Date(Date.UTC(year, month - 1, 1)).getUTCDay()
  const found = 1 + ((weekday - first + 7) % 7) + (week - 1) * 7
  const daysInMonth = (Date.UTC(year, month, 1) - Date.UTC(year, month - 1, 1)) / (DAY_S * 1000)
  return Date.UTC(year, month - 1, found > daysInMonth ? found - 7 : found)
}
