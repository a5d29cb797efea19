import fs from 'node:fs'
import type { FetchOptions } from 'ofetch'
import { AtlasError, errorCode } from '../../errors.ts'
import type { Run } from '../../run.ts'
import { buildObject, type Field, toQuery, typedValue } from './fields.ts'

/** Standard input up to this size is kept, so that it can be sent again after a refresh, in bytes. */
const MAX_REPLAYED_BYTES = 8 * 1024 * 1024

/** More than this in one field is a file given by mistake, or one without end, in bytes. */
const MAX_FIELD_BYTES = 16 * 1024 * 1024

type Stdin = Pick<Run, 'readStdin'>

/** A field as typed; without a value it is an empty list. */
export interface TypedField {
  readonly key: string
  readonly value: string | undefined
  /** Whether its value may mean something other than the text; one that starts with `@` names a file. */
  readonly typed: boolean
}

/** What a request carries. */
export interface Content {
  readonly query: readonly (readonly [string, string])[]
  readonly body: FetchOptions['body'] | undefined
  readonly type: string | undefined
}

export interface ContentSource {
  readonly method: string
  readonly fields: readonly TypedField[]
  /** A file, or `-` for standard input. */
  readonly input: string | undefined
}

/**
 * Read what a request carries from fields, files and standard input.
 * @param onSent told of each piece of a long standard input that has been handed on, in bytes.
 * @throws {AtlasError} `usage`: a file cannot be read, or fields contradict each other.
 */
export async function requestContent(
  { method, fields: typed, input }: ContentSource,
  stdin: Stdin,
  onSent: (bytes: number) => void,
): Promise<Content> {
  const json = 'application/json; charset=utf-8'
  const fields = await readFields(typed, stdin)
  if (input !== undefined) {
    const body = input === '-' ? await replayable(stdin.readStdin(), onSent) : await openFile(input, onSent)
    return { query: toQuery(fields), body, type: json }
  }
  if (fields.length === 0) return { query: [], body: undefined, type: undefined }
  const object = buildObject(fields)
  if (method === 'GET' || method === 'HEAD')
    return { query: toQuery(fields), body: undefined, type: undefined }
  return { query: [], body: JSON.stringify(object), type: json }
}

async function readFields(fields: readonly TypedField[], stdin: Stdin): Promise<Field[]> {
  const read: Field[] = []
  for (const { key, value, typed } of fields) {
    if (value === undefined || !typed) read.push({ key, value })
    else if (value.startsWith('@')) read.push({ key, value: await readText(value.slice(1), stdin) })
    else read.push({ key, value: typedValue(value) })
  }
  return read
}

/** A file as a body that can be sent twice without being held in memory; a pipe in its place, like standard input. */
async function openFile(file: string, onSent: (bytes: number) => void): Promise<Content['body']> {
  try {
    fs.accessSync(file, fs.constants.R_OK)
    const found = fs.statSync(file)
    if (found.isFile()) return Bun.file(file)
    if (found.isDirectory())
      throw new AtlasError('usage', `${file} is a folder.`, 'Name a file, or - for standard input.')
  } catch (error) {
    throw error instanceof AtlasError ? error : unreadable(file, error)
  }
  return replayable(fs.createReadStream(file), onSent)
}

/** Piece by piece: a pipe or a device may come to no end, and a signal must get in between. */
async function readText(file: string, { readStdin }: Stdin): Promise<string> {
  const pieces: Uint8Array[] = []
  let size = 0
  try {
    for await (const piece of file === '-' ? readStdin() : fs.createReadStream(file)) {
      size += piece.byteLength
      if (size > MAX_FIELD_BYTES) throw tooLong(file)
      pieces.push(piece)
    }
  } catch (error) {
    throw error instanceof AtlasError ? error : unreadable(file, error)
  }
  return Buffer.concat(pieces).toString()
}

const tooLong = (file: string): AtlasError =>
  new AtlasError(
    'usage',
    `${file === '-' ? 'Standard input' : file} holds more than ${MAX_FIELD_BYTES} bytes, which is too much for a field.`,
    'Send it as the whole body, with --input.',
  )

const unreadable = (file: string, error: unknown): AtlasError =>
  new AtlasError(
    'usage',
    `${file} cannot be read (${errorCode(error)}).`,
    'Check the path and its permissions.',
  )

/** A pipe as bytes where it is small enough to be kept for a second sending, else as a stream. */
async function replayable(
  input: AsyncIterable<Uint8Array>,
  onSent: (bytes: number) => void,
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
      const piece = pieces.shift() ?? (await iterator.next()).value
      if (piece === undefined) return controller.close()
      onSent(piece.byteLength)
      controller.enqueue(piece)
    },
  })
}
