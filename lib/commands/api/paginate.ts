import { isUtf8 } from 'node:buffer'
import { AtlasError } from '../../errors.ts'
import { type Answer, badResponse, errorFor } from '../../http/answer.ts'
import type { Run } from '../../run.ts'
import { bodyForTerminal } from '../../terminal/json.ts'
import type { Filter } from './jq.ts'
import { faultOf, isLast, type Page, type Progress, pageIn, parsePage, withPage } from './pages.ts'
import type { Arrival } from './redirects.ts'

/** What goes through a filter is held in memory, in characters. */
const MAX_COLLECTED_LENGTH = 64 * 1024 * 1024

export interface Pagination {
  readonly first: Arrival
  readonly ask: (url: URL) => Promise<Arrival>
  /** What the list goes through. */
  readonly filter: Filter | undefined
  readonly silent: boolean
  /** What an answer of 300 and above means. */
  readonly refuse: (arrival: Arrival, answer: Answer) => AtlasError
}

/**
 * Print the items of all pages as one JSON array, page by page unless it goes through a filter. Where a page fails,
 * the array is left open, so that nobody takes it for the whole list.
 * @throws {AtlasError} `api_error`: the first answer is no list; `bad_response`: a page repeats or is missing;
 * else why a page could not be had.
 */
export async function printPages(options: Pagination, run: Run): Promise<void> {
  const { first, ask, filter, silent } = options
  const { terminal } = run
  const list = filter ? collect(filter) : silent ? NOWHERE : stream(run)
  const totals = new Set<number | undefined>()
  const begin = pageIn(first.url)
  let arrival = first
  let before: Page | undefined
  let number = begin ?? 1
  let received = 0
  try {
    for (;;) {
      const page = await readPage(arrival, before !== undefined, options, run)
      if (before === undefined) number = page.number ?? number
      received += page.items.length
      totals.add(page.total)
      const leastTotal = Math.min(...[...totals].map(total => total ?? 0))
      const progress: Progress = { page, before, number, received, leastTotal, isWhole: (begin ?? 1) <= 1 }
      const fault = faultOf(progress)
      if (fault !== undefined) throw badResponse(requestOf(arrival), fault)
      await list.add(page.items)
      if (isLast(progress)) break
      before = page
      number++
      const label = `Page ${number}${page.pages === undefined ? '' : ` of ${page.pages}`}`
      arrival = await terminal.during(label, ask(withPage(arrival.url, number)))
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

async function readPage(
  arrival: Arrival,
  isLater: boolean,
  { refuse }: Pagination,
  { reader, now }: Run,
): Promise<Page> {
  const { response } = arrival
  const bytes = await response.bytes()
  const text = Buffer.from(bytes).toString()
  const { status, statusText, headers } = response
  const answer = { ...requestOf(arrival), status, statusText, headers, body: text, receivedAt: now() }
  // What may be gone the next time ends as it does in other commands.
  if (status >= 500 || status === 429) throw errorFor(answer, reader)
  if (status >= 300) throw refuse(arrival, answer)
  if (!isUtf8(bytes)) throw badResponse(answer, 'it is not UTF-8 text')
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
  const pieces: string[] = []
  let length = 0
  return {
    ...NOWHERE,
    async add(items) {
      if (items.length === 0) return
      const piece = items.join()
      length += piece.length
      if (length > MAX_COLLECTED_LENGTH)
        throw new AtlasError(
          'bad_response',
          `The list is longer than ${MAX_COLLECTED_LENGTH} characters, too many for --jq.`,
          'Get it without --jq, into a file.',
        )
      pieces.push(piece)
    },
    end: () => filter.print(`[${pieces.join()}]`),
  }
}

/** An item a line. */
function stream({ terminal }: Run): List {
  const show = terminal.stdoutIsTerminal ? bodyForTerminal(true, terminal.colour.stdout) : undefined
  let hasBegun = false
  const write = (text: string): Promise<void> => {
    hasBegun = true
    return terminal.raw(show ? show(Buffer.from(text)) : text)
  }
  return {
    async add(items) {
      if (items.length > 0) await write(`${hasBegun ? ',' : '['}\n${items.join(',\n')}`)
    },
    end: () => write(hasBegun ? '\n]\n' : '[]\n'),
    async close() {
      if (show && hasBegun) await terminal.raw(`${show()}\n`)
    },
  }
}
