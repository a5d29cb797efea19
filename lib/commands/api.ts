import fs from 'node:fs'
import type { CAC, Command } from 'cac'
import type { FetchOptions, FetchResponse } from 'ofetch'
import { resolveRequestUrl } from '../api-url.ts'
import { AtlasError, errorCode } from '../errors.ts'
import { answerIn, unwrapFetchError } from '../http/fetch-error.ts'
import { sanitizeBlock } from '../sanitize.ts'
import type { System } from '../system.ts'
import type { Context } from './context.ts'
import { buildObject, type Field, splitField, toQuery, typedValue } from './fields.ts'
import type { Flags } from './flags.ts'
import { JsonIndenter } from './json-indent.ts'

/** Standard input up to this size is kept, so that it can be sent again after a refresh, in bytes. */
const MAX_REPLAYED_BYTES = 8 * 1024 * 1024
/** What atlas itself decides about a request. */
const OWN_HEADERS = new Set([
  'authorization',
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'user-agent',
])

export interface ApiOptions {
  readonly path: string
  /** Undefined where it follows from the body. */
  readonly method: string | undefined
  /** In the order typed; a value that starts with `@` names a file to read. */
  readonly fields: readonly { readonly key: string; readonly value: string; readonly typed: boolean }[]
  readonly headers: readonly (readonly [string, string])[]
  /** A file, or `-` for standard input. */
  readonly input: string | undefined
  readonly include: boolean
  readonly silent: boolean
}

type Needs = Pick<
  System,
  'config' | 'sessions' | 'terminal' | 'interrupts' | 'fixedToken' | 'authenticatedClient' | 'readStdin'
>

/**
 * Make one authenticated request and pass its answer to standard output.
 * @throws {AtlasError} `api_error`: a status of 300 or above, its body printed; `token_rejected` (401).
 */
export async function api(options: ApiOptions, needs: Needs): Promise<void> {
  const { config, sessions, terminal, interrupts, fixedToken } = needs
  // A path that leads elsewhere is refused before any keychain is opened.
  resolveRequestUrl(config.apiUrl.value, options.path)
  const fields = await readFields(options.fields, needs)
  const session = fixedToken === undefined ? await sessions.require() : undefined
  const { client, apiRoot } = needs.authenticatedClient(session)

  const method = options.method ?? (fields.length > 0 || options.input !== undefined ? 'POST' : 'GET')
  const url = resolveRequestUrl(apiRoot, options.path)
  const content = await requestContent(options, method, fields, needs)
  for (const [name, value] of content.query) url.searchParams.append(name, value)

  const headers = new Headers({ accept: '*/*' })
  if (content.type !== undefined) headers.set('content-type', content.type)
  for (const [name, value] of options.headers) headers.set(name, value)

  let response: FetchResponse<ReadableStream<Uint8Array>>
  try {
    response = await terminal.during(
      `${method} ${url.pathname}`,
      client.raw<ReadableStream<Uint8Array>, 'stream'>(url.href, {
        method,
        headers,
        responseType: 'stream',
        guard: { streamed: true },
        signal: interrupts.cancelled,
        ...(content.body !== undefined && { body: content.body }),
      }),
    )
  } catch (thrown) {
    const error = unwrapFetchError(thrown)
    const answered = answerIn<ReadableStream<Uint8Array>>(error)
    if (answered === undefined) throw error
    response = answered
  }
  if (options.include) await terminal.raw(Buffer.from(describeHead(response)))
  if (!options.silent) await printBody(response, terminal)
  if (response.status >= 300) throw refusal(response, method, url, fixedToken !== undefined)
}

async function readFields(fields: ApiOptions['fields'], needs: Pick<Needs, 'readStdin'>): Promise<Field[]> {
  const read: Field[] = []
  for (const { key, value, typed } of fields) {
    if (!typed) read.push({ key, value })
    else if (value.startsWith('@')) read.push({ key, value: await readText(value.slice(1), needs) })
    else read.push({ key, value: typedValue(value) })
  }
  return read
}

interface Content {
  readonly query: readonly (readonly [string, string])[]
  readonly body: FetchOptions['body'] | undefined
  readonly type: string | undefined
}

async function requestContent(
  { input }: ApiOptions,
  method: string,
  fields: readonly Field[],
  needs: Pick<Needs, 'readStdin'>,
): Promise<Content> {
  const json = 'application/json; charset=utf-8'
  if (input !== undefined) {
    const body = input === '-' ? await replayable(needs.readStdin()) : openFile(input)
    return { query: toQuery(fields), body, type: json }
  }
  if (fields.length === 0) return { query: [], body: undefined, type: undefined }
  if (method === 'GET' || method === 'HEAD')
    return { query: toQuery(fields), body: undefined, type: undefined }
  return { query: [], body: JSON.stringify(buildObject(fields)), type: json }
}

/** A file as a body that can be sent twice without being held in memory. */
function openFile(file: string): Blob {
  try {
    fs.accessSync(file, fs.constants.R_OK)
    if (!fs.statSync(file).isFile())
      throw new AtlasError('usage', `${file} is not a file.`, 'Pipe it in instead, with --input -.')
  } catch (error) {
    throw error instanceof AtlasError ? error : unreadable(file, error)
  }
  return Bun.file(file)
}

async function readText(file: string, { readStdin }: Pick<Needs, 'readStdin'>): Promise<string> {
  if (file === '-') return Buffer.concat(await Array.fromAsync(readStdin())).toString()
  try {
    return fs.readFileSync(file, 'utf8')
  } catch (error) {
    throw unreadable(file, error)
  }
}

const unreadable = (file: string, error: unknown): AtlasError =>
  new AtlasError(
    'usage',
    `${file} cannot be read (${errorCode(error)}).`,
    'Check the path and its permissions.',
  )

/** A pipe as bytes where it is small enough to be kept for a second sending, else as a stream. */
async function replayable(
  input: AsyncIterable<Uint8Array>,
): Promise<Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>> {
  const iterator = input[Symbol.asyncIterator]()
  const pieces: Uint8Array[] = []
  let size = 0
  while (size <= MAX_REPLAYED_BYTES) {
    const { done, value } = await iterator.next()
    if (done) return new Uint8Array(Buffer.concat(pieces))
    pieces.push(value)
    size += value.byteLength
  }
  return new ReadableStream({
    async pull(controller) {
      const kept = pieces.shift()
      if (kept) return controller.enqueue(kept)
      const { done, value } = await iterator.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
  })
}

/** Status line and headers, as they are written on the wire. */
function describeHead({ status, statusText, headers }: Response): string {
  const lines = [...headers].map(([name, value]) => `${name}: ${value}`)
  return `${sanitizeBlock([`HTTP/1.1 ${status} ${statusText}`.trimEnd(), ...lines].join('\n'))}\n\n`
}

/** The body as it comes; made readable and harmless where it goes to a terminal. */
async function printBody(
  response: FetchResponse<ReadableStream<Uint8Array>>,
  terminal: Needs['terminal'],
): Promise<void> {
  const body = response._data ?? response.body
  if (!body) return
  const reader = body.getReader()
  const show = terminal.stdoutIsTerminal
    ? terminalForm(response.headers.get('content-type') ?? '')
    : undefined
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      await terminal.raw(show ? Buffer.from(show(value)) : value)
    }
  } catch (error) {
    await reader.cancel().catch(() => {})
    throw error
  }
  if (show) await terminal.raw(Buffer.from(`${show()}\n`))
}

function terminalForm(contentType: string): (bytes?: Uint8Array) => string {
  const decoder = new TextDecoder()
  const indenter = /\bjson\b/i.test(contentType) ? new JsonIndenter() : undefined
  return bytes => {
    const text = bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode()
    return sanitizeBlock(indenter ? indenter.push(text) : text)
  }
}

function refusal(
  { status, statusText, headers }: Response,
  method: string,
  url: URL,
  fixed: boolean,
): AtlasError {
  const what = `${method} ${url.pathname}`
  const answered = `${what} answered ${`${status} ${statusText}`.trim()}`
  if (status === 401) {
    return new AtlasError(
      'token_rejected',
      `${answered}: the server rejects the access token.`,
      fixed ? 'Set ATLAS_ACCESS_TOKEN to a valid token, or unset it.' : 'Log in again with: atlas auth login',
    )
  }
  const target = headers.get('location')
  if (status < 400) {
    return new AtlasError(
      'api_error',
      `${answered}${target ? `: a redirect to ${target.slice(0, 200)}, which is not followed` : ''}.`,
    )
  }
  return new AtlasError('api_error', `${answered}.`)
}

export function parseApi(path: string, flags: Flags): ApiOptions {
  const method = flags.text('method')
  if (method !== undefined && !/^[A-Za-z]{1,20}$/.test(method))
    throw new AtlasError(
      'usage',
      `--method is "${method.slice(0, 80)}", which is no HTTP method.`,
      'Give one such as GET, POST or DELETE.',
    )
  const field = (name: string, typed: boolean) =>
    flags.all(name).map(text => ({ ...splitField(text, `--${name}`), typed }))
  const fields = [...field('raw-field', false), ...field('field', true)]
  const input = flags.text('input')
  if (input !== undefined && (method?.toUpperCase() === 'GET' || method?.toUpperCase() === 'HEAD'))
    throw new AtlasError('usage', `${method} carries no body.`, 'Leave --input out, or use another method.')
  const readsStdin = [input === '-', ...fields.map(({ typed, value }) => typed && value === '@-')]
  if (readsStdin.filter(Boolean).length > 1)
    throw new AtlasError('usage', 'Standard input can be read only once.', 'Use "-" for one flag alone.')
  return {
    path,
    method: method?.toUpperCase(),
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
  if (OWN_HEADERS.has(name.toLowerCase()))
    throw new AtlasError('usage', `--header cannot set ${name}: atlas does that itself.`)
  return [name, value]
}

export const registerApi = (cli: CAC, context: Context): Command =>
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
    .example('  $ atlas api /notes/7 -X DELETE')
    .action(async (path: string, flags: Flags) => {
      const options = parseApi(path, flags)
      await api(options, await context.system(flags))
    })
