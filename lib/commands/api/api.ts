import type { FetchResponse } from 'ofetch'
import type { Flags } from '../../cli/flags.ts'
import { resolveRequestUrl } from '../../config/server.ts'
import { apiPathHint } from '../../config/settings.ts'
import { apiError } from '../../http/answer.ts'
import type { Run } from '../../run.ts'
import type { Credential } from '../../session/credentials.ts'
import { shellQuoted } from '../../shell-quote.ts'
import { OutputClosed } from '../../terminal/streams.ts'
import type { Register } from '../context.ts'
import { printBody, printHead } from './print.ts'
import { type Content, parseRequest, readContent, type TypedRequest } from './request.ts'

export interface ApiOptions extends TypedRequest {
  readonly path: string
  readonly include: boolean
  readonly silent: boolean
}

/**
 * Make one authenticated request and pass its answer to standard output.
 * @throws {AtlasError} `api_error`: a status of 300 or above, its body printed; `token_rejected` (401).
 */
export async function api(options: ApiOptions, run: Run): Promise<void> {
  const { config, credentials, reader, terminal, now } = run
  // A path that leads elsewhere is refused before any keychain is opened.
  resolveRequestUrl(config.apiUrl.value, options.path)
  const content = await readContent(options, run)
  const credential = await credentials.require()
  const url = resolveRequestUrl(credential.apiRoot, options.path)
  for (const [name, value] of content.query) url.searchParams.append(name, value)
  const request = `${options.method} ${url.pathname}`

  const response = await terminal.during(request, send(options, url, content, credential, run))
  try {
    if (options.include) await printHead(response, terminal)
    await printBody(response, request, options.silent, terminal)
  } catch (error) {
    // A refusal that nobody reads is still a refusal.
    if (!(error instanceof OutputClosed && response.status >= 300)) throw error
  }
  const { status, statusText, headers } = response
  if (status >= 300)
    throw apiError(
      { request, url, status, statusText, headers, receivedAt: now() },
      reader,
      apiPathHint(config) ?? repeatedPathHint(url, credential.apiRoot),
    )
}

async function send(
  { method, headers: given }: ApiOptions,
  url: URL,
  { body }: Content,
  credential: Credential,
  { http, interrupts }: Run,
): Promise<FetchResponse<unknown>> {
  const headers = new Headers({ accept: '*/*' })
  if (body !== undefined) headers.set('content-type', 'application/json; charset=utf-8')
  for (const [name, value] of given) headers.set(name, value)
  const [{ answered }, client] = await Promise.all([import('../../http/client.ts'), http.client(credential)])
  return answered(
    client.raw(url.href, {
      method,
      headers,
      responseType: 'stream',
      guard: { streamed: true },
      signal: interrupts.cancelled,
      ...(body !== undefined && { body }),
    }),
  )
}

/** What to do about a 404 where the path repeats that of the API root. */
function repeatedPathHint(url: URL, apiRoot: string): string | undefined {
  const { pathname: root } = new URL(apiRoot)
  if (root === '/' || !url.pathname.startsWith(`${root}${root}/`)) return undefined
  return `PATH is relative to ${apiRoot}: try atlas api ${shellQuoted(url.pathname.slice(root.length * 2))}`
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
    .example('  $ atlas api /auth/me')
    .example('  $ atlas api /notes -f title=Hello -F pinned=true')
    .example('  $ atlas api /notes -X GET -f tag=work')
    .example("  $ atlas api /notes -F 'author[name]=Ada' -F 'tags[]=a' -F 'tags[]=b' -F text=@note.md")
    .example('  $ atlas api /notes/7 -X PUT --input note.json')
    .example('  $ atlas api /notes/7 -X DELETE -i')
    .action(async (path: string, flags: Flags) => {
      const typed = await parseRequest(flags)
      const options = { ...typed, path, include: flags.has('include'), silent: flags.has('silent') }
      await api(options, await context.run(flags))
    })
