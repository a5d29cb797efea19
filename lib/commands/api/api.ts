import { isUtf8 } from 'node:buffer'
import type { FetchResponse } from 'ofetch'
import type { Flags } from '../../cli/flags.ts'
import { resolveRequestUrl } from '../../config/server.ts'
import { type AtlasError, usageError } from '../../errors.ts'
import { type Answer, apiError, badResponse, quote, type Reader } from '../../http/answer.ts'
import type { Run } from '../../run.ts'
import type { Credential } from '../../session/credentials.ts'
import { OutputClosed } from '../../terminal/streams.ts'
import type { Register } from '../context.ts'
import type { Filter } from './jq.ts'
import { printBody, printHead } from './print.ts'
import { type Arrival, follow, redirectError } from './redirects.ts'
import { type Content, parseRequest, readContent, type TypedRequest } from './request.ts'

/** An answer that is read before any of it is printed is held in memory, in bytes. */
const MAX_READ_BYTES = 256 * 1024 * 1024

export interface ApiOptions extends TypedRequest {
  readonly path: string
  readonly include: boolean
  readonly silent: boolean
  /** Get all pages of a list. */
  readonly paginate: boolean
  /** An expression of jq that the answer goes through. */
  readonly jq: string | undefined
}

/**
 * Make one authenticated request and pass its answer to standard output.
 * @throws {AtlasError} `api_error`: a status of 300 or above, its body printed; `token_rejected` (401).
 */
export async function api(options: ApiOptions, run: Run): Promise<void> {
  const { config, credentials, reader, terminal, now } = run
  const filter = options.jq === undefined ? undefined : await openJq(options.jq, run)
  // A path that leads elsewhere is refused before any keychain is opened.
  resolveRequestUrl(config.apiRoot ?? config.apiUrl.value, options.path)
  const content = await readContent(options, run)
  const credential = await credentials.require()
  mentionFault(run)
  const apiRoot = await credential.apiRoot()
  const asked = resolveRequestUrl(apiRoot, options.path)
  const typedQuery = asked.search
  for (const [name, value] of content.query) asked.searchParams.append(name, value)

  const ask = (url: URL): Promise<Arrival> =>
    follow(options.method, url, apiRoot, target => send(options, target, content, credential, run))
  const first = await terminal.during(`${options.method} ${asked.pathname}`, ask(asked))
  const { url, response } = first
  const { status, statusText, headers } = response
  // A server may put anything into the path that it redirects to.
  const redirected = url === asked ? '' : `, redirected to ${quote(url.pathname, reader)},`
  const request = `${options.method} ${asked.pathname}${redirected}`
  // What went wrong is shown as it came.
  const isUsed = status < 300
  if (isUsed && options.paginate) {
    const { printPages } = await import('./paginate.ts')
    const refuse = (arrival: Arrival, answer: Answer): AtlasError =>
      refusal(answer, arrival, { apiRoot, typedQuery }, reader)
    return printPages({ first, ask, filter, silent: options.silent, refuse }, run)
  }
  let body: Uint8Array = new Uint8Array()
  try {
    if (options.include) await printHead(response, terminal)
    if (isUsed && filter) return await printFiltered(response, { request, url }, filter)
    body = await printBody(response, request, options.silent, terminal)
  } catch (error) {
    // A refusal that nobody reads is still a refusal.
    if (!(error instanceof OutputClosed && status >= 300)) throw error
  }
  const answer = { request, url, status, statusText, headers, body, receivedAt: now() }
  if (status >= 300) throw refusal(answer, first, { apiRoot, typedQuery }, reader)
}

/** What an answer of 300 and above means. */
function refusal(
  answer: Omit<Answer, 'body'> & { body: string | Uint8Array },
  { unfollowed }: Arrival,
  place: { apiRoot: string; typedQuery: string },
  reader: Reader,
): AtlasError {
  return unfollowed ? redirectError(answer, unfollowed, place, reader) : apiError(answer, reader)
}

async function openJq(expression: string, run: Run): Promise<Filter> {
  const { openFilter } = await import('./jq.ts')
  return openFilter(expression, run)
}

/** Some paths answer a token that has expired as if there were none, with less and without an error. */
function mentionFault({ credentials, terminal }: Run): void {
  const fault = credentials.tokenFault()
  if (fault !== undefined)
    terminal.notice(`${fault}; the server may answer as to somebody who is not logged in.`)
}

async function printFiltered(
  response: Response,
  request: Pick<Answer, 'request' | 'url'>,
  filter: Filter,
): Promise<void> {
  const bytes = await response.bytes()
  if (!isUtf8(bytes)) throw badResponse(request, 'it is not UTF-8 text, which --jq needs')
  if (bytes.byteLength > 0) await filter.print(Buffer.from(bytes).toString())
}

async function send(
  { method, headers: given, paginate, jq }: ApiOptions,
  url: URL,
  { body }: Content,
  credential: Credential,
  { http, interrupts }: Run,
): Promise<FetchResponse<unknown>> {
  const headers = new Headers({ accept: '*/*' })
  if (body !== undefined) headers.set('content-type', 'application/json; charset=utf-8')
  // The first of a name takes the place of atlas's own; each further one is sent too.
  for (const name of new Set(given.map(([name]) => name.toLowerCase()))) headers.delete(name)
  for (const [name, value] of given) headers.append(name, value)
  const [{ answered }, client] = await Promise.all([import('../../http/client.ts'), http.client(credential)])
  return answered(
    client.raw(url.href, {
      method,
      headers,
      responseType: 'stream',
      guard: paginate || jq !== undefined ? { maxBytes: MAX_READ_BYTES } : { streamed: true },
      signal: interrupts.cancelled,
      ...(body !== undefined && { body }),
    }),
  )
}

export const registerApi: Register = (cli, context) =>
  cli
    .command('api <path>', 'Make one authenticated request and print the answer')
    .option('-X, --method <method>', 'The HTTP method (default: GET, or POST where there is a body)')
    .option('-f, --raw-field <key=value>', 'A string field of the JSON body; a query parameter for GET')
    .option('-F, --field <key=value>', 'A typed field: true, false, null, whole numbers, @file')
    .option('-H, --header <name:value>', 'A request header')
    .option('--input <file>', 'The request body from a file; - is standard input')
    .option('-i, --include', "Print the answer's status and headers too")
    .option('--silent', 'Print no body')
    .option('--paginate', 'Get all pages of a list, and print their items as one JSON array')
    .option('-q, --jq <expression>', 'Print what an expression of jq makes of the JSON answer')
    .example('  $ atlas api /auth/me')
    .example('  $ atlas api /notes -f title=Hello -F pinned=true')
    .example('  $ atlas api /notes -X GET -f tag=work')
    .example("  $ atlas api /notes -F 'author[name]=Ada' -F 'tags[]=a' -F 'tags[]=b' -F text=@note.md")
    .example('  $ atlas api /notes/7 -X PUT --input note.json')
    .example('  $ atlas api /notes/7 -X DELETE -i')
    .example("  $ atlas api /catalog --paginate --jq '.[].name'")
    .action(async (path: string, flags: Flags) => {
      const typed = await parseRequest(flags)
      const options = {
        ...typed,
        path,
        include: flags.has('include'),
        silent: flags.has('silent'),
        paginate: flags.has('paginate'),
        jq: flags.text('jq'),
      }
      refuseContradictions(options)
      await api(options, await context.run(flags))
    })

/** @throws {AtlasError} `usage` */
function refuseContradictions({ method, input, include, silent, paginate, jq }: ApiOptions): void {
  if (paginate && (method !== 'GET' || input !== undefined))
    throw usageError('--paginate works for a GET without a body only.', 'For fields in the query add: -X GET')
  if (paginate && include)
    throw usageError('--paginate and --include contradict each other: many answers have many headers.')
  if (silent && jq !== undefined)
    throw usageError('--silent and --jq contradict each other.', 'Leave one of them out.')
}
