import { isJsonObject } from '../../json-object.ts'

/** One page of a list, as a server sent it. A number is undefined where the server does not say it. */
export interface Page {
  /** JSON texts, in which numbers are as the server wrote them. */
  readonly items: readonly string[]
  readonly number: number | undefined
  /** How many pages there are. */
  readonly pages: number | undefined
  /** How many items there are on all of them. */
  readonly total: number | undefined
  /** What the server says of itself that cannot be, such as a page -1. */
  readonly oddity: string | undefined
}

/** @returns undefined where an answer is no page of a list. */
export function parsePage(json: string): Page | undefined {
  const answer = parseExactly(json)
  if (!isJsonObject(answer) || !Array.isArray(answer['items'])) return undefined
  const [number, pages, total] = ['page', 'pages', 'total'].map(name => countIn(answer[name]))
  const counts = { page: number, pages, total }
  const odd = Object.entries(counts).find(([, count]) => Number.isNaN(count))
  return {
    items: answer['items'].map(item => JSON.stringify(item)),
    number,
    pages,
    total,
    oddity: odd && `"${odd[0]}" is ${JSON.stringify(answer[odd[0]])?.slice(0, 40)}`,
  }
}

/** A count, which some servers write as a text; undefined where there is none, NaN where it is none. */
function countIn(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined
  const number = Number(typeof value === 'string' ? value : JSON.stringify(value))
  return Number.isSafeInteger(number) && number >= 0 ? number : Number.NaN
}

/** A value whose numbers are written again as they came, whatever their length; undefined where it is not JSON. */
function parseExactly(json: string): unknown {
  const keepNumber = (_: string, value: unknown, context?: { source?: string }): unknown =>
    typeof value === 'number' && context?.source !== undefined ? JSON.rawJSON(context.source) : value
  try {
    return JSON.parse(json.replace(/^\ufeff/, ''), keepNumber)
  } catch {
    return undefined
  }
}

/** How a list was gone through. */
export interface Progress {
  /** The newest page, and the one before it. */
  readonly page: Page
  readonly before: Page | undefined
  /** Its number as asked for. */
  readonly number: number
  /** How many items have come, this page's included. */
  readonly received: number
  /** The lowest total that a page has named: where items go meanwhile, it falls, and no more are missing than that. */
  readonly leastTotal: number
  /** Whether the first page of all was the first that was asked for. */
  readonly isWhole: boolean
}

/** Whether a page is the last one. */
export function isLast({ page, number, received }: Progress): boolean {
  if (page.pages !== undefined) return number >= page.pages
  if (page.total !== undefined) return received >= page.total || page.items.length === 0
  return true
}

/** Why a page cannot be what was asked for, or the list not all; undefined where nothing speaks against it. */
export function faultOf(progress: Progress): string | undefined {
  const { page, before, number, received, leastTotal, isWhole } = progress
  if (page.oddity !== undefined) return page.oddity
  if (before !== undefined) {
    if (page.number !== undefined && page.number !== number)
      return `it sent page ${page.number} where page ${number} was asked for`
    if (page.items.join() === before.items.join()) return `page ${number} repeats the one before`
  }
  if (!isLast(progress) || !isWhole || received >= leastTotal) return undefined
  return `it speaks of ${leastTotal} items, and sent ${received}`
}

/** The address of a page: all else of its query is as it was typed. */
export function withPage(url: URL, number: number): URL {
  const others = url.search.slice(1).split('&')
  const query = others.filter(pair => pair !== '' && pair.split('=')[0] !== 'page')
  const next = new URL(url)
  next.search = [...query, `page=${number}`].join('&')
  return next
}

/** The page that an address names; undefined where it names none. */
export function pageIn(url: URL): number | undefined {
  const number = countIn(url.searchParams.get('page'))
  return Number.isNaN(number) ? undefined : number
}
