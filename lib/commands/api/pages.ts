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
}

/** @returns undefined where an answer is no page of a list. */
export function parsePage(json: string): Page | undefined {
  const answer = parseExactly(json)
  if (!isJsonObject(answer) || !Array.isArray(answer['items'])) return undefined
  const count = (name: string): number | undefined => {
    const number = Number(JSON.stringify(answer[name]))
    return Number.isSafeInteger(number) ? number : undefined
  }
  return {
    items: answer['items'].map(item => JSON.stringify(item)),
    number: count('page'),
    pages: count('pages'),
    total: count('total'),
  }
}

/** A value whose numbers are written again as they came, whatever their length; undefined where it is not JSON. */
function parseExactly(json: string): unknown {
  const keepNumber = (_: string, value: unknown, context?: { source?: string }): unknown =>
    typeof value === 'number' && context?.source !== undefined ? JSON.rawJSON(context.source) : value
  try {
    return JSON.parse(json, keepNumber)
  } catch {
    return undefined
  }
}

/** How a list was gone through. */
export interface Progress {
  /** The newest page. */
  readonly page: Page
  /** Its number as asked for; the first page that was asked for is 1 unless it says otherwise. */
  readonly number: number
  /** How many items have come, this page's included. */
  readonly received: number
}

/** Whether a page is the last one. */
export function isLast({ page, number, received }: Progress): boolean {
  if (page.pages !== undefined) return number >= page.pages
  if (page.total !== undefined) return received >= page.total || page.items.length === 0
  return true
}

/** What is wrong with a page that came after another one; undefined where it may follow. */
export function faultOf(before: Page, { page, number, received }: Progress): string | undefined {
  if (page.number !== undefined && page.number !== number)
    return `it sent page ${page.number} where page ${number} was asked for`
  if (page.items.length > 0 && page.items.join() === before.items.join())
    return `page ${number} repeats the one before`
  const isCutOff = page.pages === undefined && page.items.length === 0 && received < (page.total ?? 0)
  return isCutOff ? `page ${number} is empty after ${received} of ${page.total} items` : undefined
}
