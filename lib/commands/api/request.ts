import { isUtf8 } from 'node:buffer'
import fs from 'node:fs'
import type { FetchOptions } from 'ofetch'
import type { Flags } from '../../cli/flags.ts'
import { nearest } from '../../cli/suggest.ts'
import { AtlasError, errorCode, usageError } from '../../errors.ts'
import { sendableMethods, USUAL_METHODS } from '../../http/methods.ts'
import type { Run } from '../../run.ts'
import { readAll } from '../../terminal/streams.ts'
import { buildObject, type Field, splitField, toQuery, typedValue } from './fields.ts'

/** Standard input up to this size is kept, so that it can be sent again after a refresh. */
const MAX_REPLAYED_BYTES = 8 * 1024 * 1024
/** More in one field is a file given by mistake, or one without end. */
const MAX_FIELD_BYTES = 16 * 1024 * 1024
/** Headers that atlas itself sets. */
const OWN_HEADERS = new Set([
  'authorization',
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'user-agent',
])

export interface TypedRequest {
  readonly method: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** In the order given. */
  readonly fields: readonly TypedField[]
  /** A file, or `-` for standard input. */
  readonly input: string | undefined
}

interface TypedField {
  readonly key: string
  /** Undefined for an empty list. */
  readonly value: string | undefined
  /** Whether the value may mean something other than the text; one that starts with `@` names a file. */
  readonly typed: boolean
}

/** What a request carries. */
export interface Content {
  readonly query: readonly (readonly [name: string, value: string])[]
  /** JSON, unless a header says otherwise. */
  readonly body: FetchOptions['body'] | undefined
}

/** @throws {AtlasError} `usage`: the flags ask for a request that cannot be made. */
export async function parseRequest(flags: Flags): Promise<TypedRequest> {
  const fields = flags
    .inOrder('raw-field', 'field')
    .map(({ name, value }): TypedField => ({ ...splitField(value, `--${name}`), typed: name === 'field' }))
  const input = flags.text('input')
  const method = await parseMethod(
    flags.text('method') ?? (fields.length > 0 || input !== undefined ? 'POST' : 'GET'),
  )
  if (input !== undefined && !canHaveBody(method))
    throw usageError(`${method} carries no body.`, 'Omit --input, or use another method.')
  const readsStdin = [input === '-', ...fields.map(({ typed, value }) => typed && value === '@-')]
  if (readsStdin.filter(Boolean).length > 1)
    throw usageError('Standard input can be read only once.', 'Use "-" for one flag only.')
  return { method, headers: flags.all('header').map(parseHeader), fields, input }
}

async function parseMethod(text: string): Promise<string> {
  const method = text.toUpperCase()
  if (USUAL_METHODS.includes(method)) return method
  const methods = await sendableMethods()
  if (methods.includes(method)) return method
  const meant = await nearest(method, methods)
  throw usageError(
    `--method is "${text.slice(0, 80)}", which is not an HTTP method that atlas sends.`,
    meant ? `Did you mean ${meant}?` : 'Give one such as GET, POST or DELETE.',
  )
}

function parseHeader(text: string): [name: string, value: string] {
  const [, name, value = ''] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)$/.exec(text) ?? []
  if (name === undefined) throw usageError('--header needs "Name: value" on one line.')
  // One byte a character, none of them a control (RFC 9110 §5.5).
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value))
    throw usageError(
      `The value of --header ${name} holds a character that no header can carry.`,
      'Encode it as the server expects, for example in percent escapes.',
    )
  if (OWN_HEADERS.has(name.toLowerCase()))
    throw usageError(`--header cannot set ${name}: atlas does that itself.`)
  return [name, value]
}

const canHaveBody = (method: string): boolean => method !== 'GET' && method !== 'HEAD'

/** @throws {AtlasError} `usage`: a file cannot be read, or fields contradict each other. */
export async function readContent(
  { method, fields: typed, input }: TypedRequest,
  { readStdin }: Run,
): Promise<Content> {
  const fields: Field[] = []
  for (const field of typed) fields.push({ key: field.key, value: await readValue(field, readStdin) })
  if (input !== undefined) return { query: toQuery(fields), body: await openInput(input, readStdin) }
  return fields.length > 0 && canHaveBody(method)
    ? { query: [], body: JSON.stringify(buildObject(fields)) }
    : { query: toQuery(fields), body: undefined }
}

async function readValue({ value, typed }: TypedField, readStdin: Run['readStdin']): Promise<Field['value']> {
  if (value === undefined || !typed) return value
  if (!value.startsWith('@')) return typedValue(value)
  const file = value.slice(1)
  // Piece by piece: a pipe or a device may have no end, and a signal must get in between.
  const source = file === '-' ? readStdin() : fs.createReadStream(file)
  const bytes = await readAll(source, MAX_FIELD_BYTES).catch(error => {
    throw unreadable(file, error)
  })
  if (bytes !== undefined && !isUtf8(bytes))
    throw usageError(
      `${file === '-' ? 'Standard input' : file} is not UTF-8 text, which a field of JSON cannot hold.`,
      'Send it as the whole body, with --input and its Content-Type.',
    )
  if (bytes !== undefined) return bytes.toString()
  throw usageError(
    `${file === '-' ? 'Standard input' : file} holds more than ${MAX_FIELD_BYTES} bytes, which is too much for a field.`,
    'Send it as the whole body, with --input.',
  )
}

/** A file as a body that can be sent twice without being held in memory; a pipe in its place, like standard input. */
async function openInput(file: string, readStdin: Run['readStdin']): Promise<Content['body']> {
  if (file === '-') return replayable(readStdin())
  try {
    fs.accessSync(file, fs.constants.R_OK)
    const found = fs.statSync(file)
    if (found.isFile()) return Bun.file(file)
    if (!found.isDirectory()) return replayable(fs.createReadStream(file))
  } catch (error) {
    throw unreadable(file, error)
  }
  throw usageError(`${file} is a folder.`, 'Name a file, or - for standard input.')
}

function unreadable(file: string, error: unknown): unknown {
  if (error instanceof AtlasError) return error
  return usageError(`${file} cannot be read (${errorCode(error)}).`, 'Check the path and its permissions.')
}

/** A pipe as bytes where it is small enough to be kept for a second sending, else as a stream. */
async function replayable(input: AsyncIterable<Uint8Array>): Promise<Content['body']> {
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
      const piece = pieces.shift() ?? (await iterator.next()).value
      if (piece === undefined) return controller.close()
      controller.enqueue(piece)
    },
  })
}
