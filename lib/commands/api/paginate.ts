import { AtlasError } from '../../errors.ts'
import { type Answer, apiError, badResponse, errorFor } from '../../http/answer.ts'
import type { Run } from '../../run.ts'
import { bodyForTerminal } from '../../terminal/json.ts'
import { readAll } from '../../terminal/streams.ts'
import type { Filter } from './jq.ts'
import { faultOf, isLast, type Page, type Progress, parsePage } from './pages.ts'
import type { Arrival } from './redirects.ts'

/** No page of a list is longer, in bytes. */
const MAX_PAGE_BYTES = 64 * 1024 * 1024

export interface Pagination {
  readonly first: Arrival
  readonly ask: (url: URL) => Promise<Arrival>
  /** What the list goes through. */
  readonly filter: Filter | undefined
  readonly silent: boolean
}

/**
 * Print the items of all pages as one JSON array, page by page unless it goes through a filter. Where a page fails,
 * the array is left open, so that nobody takes it for the whole list.
 * @throws {AtlasError} `api_error`: the first answer is no list; `bad_response`: a page repeats or is missing;
 * else why a page could not be had.
 */
export async function printPages({ first, ask, filter, silent }: Pagination, run: Run): Promise<void> {
  const { terminal } = run
  const list = filter ? collect(filter) : silent ? NOWHERE : stream(run)
  const totals = new Set<number | undefined>()
  let arrival = first
  let before: Page | undefined
  let number = 1
  let received = 0
  try {
    for (;;) {
      const page = await readPage(arrival, before !== undefined, run)
      if (before === undefined) number = page.number ?? number
      received += page.items.length
      totals.add(page.total)
      const progress: Progress = { page, number, received }
      const fault = before && faultOf(before, progress)
      if (fault !== undefined) throw badResponse(requestOf(arrival), fault)
      await list.add(page.items)
      if (isLast(progress)) break
      before = page
      number++
      const next = new URL(arrival.url)
      next.searchParams.set('page', String(number))
      const label = `Page ${number}${page.pages === undefined ? '' : ` of ${page.pages}`}`
      arrival = await terminal.during(label, ask(next))
    }
    await list.end()
  } finally {
    await list.close()
  }
  if (totals.size > 1)
    terminal.notice('The list changed while it was read: an item may be missing, or be there twice.')
}

const requestOf = ({ url }: Arrival): Pick<Answer, 'request' | 'url'> => ({
  request: `GET ${url.pathname}${url.search}`,
  url,
})

async function readPage(arrival: Arrival, isLater: boolean, { reader, now }: Run): Promise<Page> {
  const { response } = arrival
  const body = response.body && (await readAll(response.body, MAX_PAGE_BYTES))
  if (body === undefined) throw badResponse(requestOf(arrival), `it is longer than ${MAX_PAGE_BYTES} bytes`)
  const text = body?.toString() ?? ''
  const { status, statusText, headers } = response
  const answer = { ...requestOf(arrival), status, statusText, headers, body: text, receivedAt: now() }
  // What may be gone the next time ends as it does in other commands.
  if (status >= 500 || status === 429) throw errorFor(answer, reader)
  if (status >= 300) throw apiError(answer, reader)
  const page = parsePage(text)
  if (page !== undefined) return page
  if (isLater) throw badResponse(requestOf(arrival), 'it is no page of a list')
  throw new AtlasError(
    'api_error',
    `The answer to ${requestOf(arrival).request} has no "items", so it is no list of pages.`,
    'Run the command without --paginate.',
  )
}

/** Where the items go. */
interface List {
  add(items: readonly string[]): Promise<void>
  /** All have come. */
  end(): Promise<void>
  /** Whether all have come or not. */
  close(): Promise<void>
}

const NOWHERE: List = { async add() {}, async end() {}, async close() {} }

function collect(filter: Filter): List {
  const all: string[] = []
  return {
    ...NOWHERE,
    add: async items => void all.push(...items),
    end: () => filter.print(`[${all.join()}]`),
  }
}

/** An item a line. */
function stream({ terminal }: Run): List {
  const show = terminal.stdoutIsTerminal ? bodyForTerminal(true, terminal.colour.stdout) : undefined
  const write = (text: string): Promise<void> => terminal.raw(show ? show(Buffer.from(text)) : text)
  let isEmpty = true
  return {
    async add(items) {
      const text = items.map((item, index) => `${isEmpty && index === 0 ? '[\n' : ',\n'}${item}`).join('')
      if (items.length === 0) return
      isEmpty = false
      await write(text)
    },
    end: () => write(isEmpty ? '[]\n' : '\n]\n'),
    close: async () => (show ? terminal.raw(`${show()}\n`) : undefined),
  }
}
