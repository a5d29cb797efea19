import type { Flags } from '../../cli/flags.ts'
import { resolveRequestUrl } from '../../config/server.ts'
import { apiPathHint } from '../../config/settings.ts'
import { AtlasError } from '../../errors.ts'
import { apiError } from '../../http/answer.ts'
import type { Run } from '../../run.ts'
import type { Credential } from '../../session/credentials.ts'
import { shellQuoted } from '../../shell-quote.ts'
import { describeBytes } from '../../terminal/spinner.ts'
import { OutputClosed } from '../../terminal/streams.ts'
import type { Register } from '../context.ts'
import { printBody, printHead, type StreamedResponse } from './answer.ts'
import { splitField } from './fields.ts'
import { parseMethod } from './method.ts'
import { type Content, requestContent, type TypedField } from './request.ts'

/** What atlas itself decides about a request. */
const OWN_HEADERS = new Set([
  'authorization',
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'user-agent',
])

/** One byte a character, none of them a control. @see RFC 9110 §5.5 */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

export interface ApiOptions {
  readonly path: string
  /** Undefined where it follows from the body. */
  readonly method: string | undefined
  /** Strings first, typed ones after them. */
  readonly fields: readonly TypedField[]
  readonly headers: readonly (readonly [string, string])[]
  /** A file, or `-` for standard input. */
  readonly input: string | undefined
  readonly include: boolean
  readonly silent: boolean
}

type Needs = Pick<
  Run,
  'config' | 'credentials' | 'http' | 'reader' | 'terminal' | 'interrupts' | 'readStdin' | 'now'
>

/**
 * Make one authenticated request and pass its answer to standard output.
 * @throws {AtlasError} `api_error`: a status of 300 or above, its body printed; `token_rejected` (401).
 */
export async function api(options: ApiOptions, needs: Needs): Promise<void> {
  const { config, credentials, terminal } = needs
  // A path that leads elsewhere is refused before any keychain is opened.
  resolveRequestUrl(config.apiUrl.value, options.path)
  const method = options.method ?? (options.fields.length > 0 || options.input !== undefined ? 'POST' : 'GET')
  let sent = 0
  const content = await requestContent({ ...options, method }, needs, bytes => {
    sent += bytes
  })
  const credential = await credentials.require()
  const url = resolveRequestUrl(credential.apiRoot, options.path)
  for (const [name, value] of content.query) url.searchParams.append(name, value)

  const what = `${method} ${url.pathname}`
  const response = await terminal.during(
    () => (sent > 0 ? `${what}  ${describeBytes(sent)} sent` : what),
    send({ method, url, content, headers: options.headers }, credential, needs),
  )
  try {
    if (options.include) await printHead(response, terminal)
    await printBody(response, { silent: options.silent, what }, terminal)
  } catch (error) {
    // That nobody reads a refusal makes it no success.
    if (!(error instanceof OutputClosed && response.status >= 300)) throw error
  }
  const { status, statusText, headers } = response
  if (status >= 300)
    throw apiError(
      { request: what, url, status, statusText, headers, receivedAt: needs.now() },
      needs.reader,
      apiPathHint(config) ?? doubledPathHint(url, credential.apiRoot),
    )
}

interface OutgoingRequest {
  readonly method: string
  readonly url: URL
  readonly content: Content
  readonly headers: ApiOptions['headers']
}

async function send(
  { method, url, content, headers: given }: OutgoingRequest,
  credential: Credential,
  { http, interrupts }: Needs,
): Promise<StreamedResponse> {
  const headers = new Headers({ accept: '*/*' })
  if (content.type !== undefined) headers.set('content-type', content.type)
  for (const [name, value] of given) headers.set(name, value)
  const [{ answered }, client] = await Promise.all([import('../../http/client.ts'), http.client(credential)])
  return answered(
    client.raw<ReadableStream<Uint8Array>, 'stream'>(url.href, {
      method,
      headers,
      responseType: 'stream',
      guard: { streamed: true },
      signal: interrupts.cancelled,
      ...(content.body !== undefined && { body: content.body }),
    }),
  )
}

/** What to do about a 404 where the path repeats that of the API root. */
function doubledPathHint(url: URL, apiRoot: string): string | undefined {
  const { pathname: root } = new URL(apiRoot)
  if (root === '/' || !url.pathname.startsWith(`${root}${root}/`)) return undefined
  return `PATH is relative to ${apiRoot}: try atlas api ${shellQuoted(url.pathname.slice(root.length * 2))}`
}

/** @throws {AtlasError} `usage` */
export async function parseApi(path: string, flags: Flags): Promise<ApiOptions> {
  const typed = flags.text('method')
  const method = typed === undefined ? undefined : await parseMethod(typed)
  const field = (name: string, typed: boolean) =>
    flags.all(name).map(text => ({ ...splitField(text, `--${name}`), typed }))
  const fields = [...field('raw-field', false), ...field('field', true)]
  const input = flags.text('input')
  if (input !== undefined && (method === 'GET' || method === 'HEAD'))
    throw new AtlasError('usage', `${method} carries no body.`, 'Leave --input out, or use another method.')
  const readsStdin = [input === '-', ...fields.map(({ typed, value }) => typed && value === '@-')]
  if (readsStdin.filter(Boolean).length > 1)
    throw new AtlasError('usage', 'Standard input can be read only once.', 'Use "-" for one flag alone.')
  return {
    path,
    method,
    fields,
    headers: flags.all('header').map(parseHeader),
    input,
    include: flags.has('include'),
    silent: flags.has('silent'),
  }
}

function parseHeader(text: string): [string, string] {
  const [, name, value = ''] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)$/.exec(text) ?? []
  if (name === undefined) throw new AtlasError('usage', '--header needs "Name: value" on one line.')
  if (!FIELD_VALUE.test(value))
    throw new AtlasError(
      'usage',
      `The value of --header ${name} holds a character that no header can carry.`,
      'Encode it as the server expects, for example in percent escapes.',
    )
  if (OWN_HEADERS.has(name.toLowerCase()))
    throw new AtlasError('usage', `--header cannot set ${name}: atlas does that itself.`)
  return [name, value]
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
      const options = await parseApi(path, flags)
      await api(options, await context.run(flags))
    })
