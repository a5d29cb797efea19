import { AtlasError } from '../errors.ts'
import { CHECK_SERVER_URL } from './answer.ts'
import type { Deadline } from './deadline.ts'
import { explainFailure } from './failures.ts'

/** What a request says that it can unpack. @see RFC 9110 §12.5.3 */
export const ACCEPT_ENCODING = 'gzip, deflate, br, zstd'

/** What a body is read by. */
interface BodyReader {
  read(): Promise<{ done: false; value: Uint8Array } | { done: true; value?: Uint8Array | undefined }>
  cancel(reason?: unknown): Promise<void>
}

/** The runtime knows more formats than its types do. */
type Format = 'gzip' | 'deflate' | 'deflate-raw' | 'brotli' | 'zstd'

const FORMATS: Readonly<Record<string, Format>> = {
  gzip: 'gzip',
  'x-gzip': 'gzip',
  deflate: 'deflate',
  br: 'brotli',
  zstd: 'zstd',
}

/**
 * A reader of what a body holds once it is unpacked, piece by piece. The runtime's own fetch would print a
 * line of its own about a body that is packed wrongly. A coding that atlas did not ask for is left as it is.
 * @param origin whose body it is, for the message.
 * @throws {AtlasError} `bad_response` on reading: the body is not packed as it says; or what the body throws.
 * @see RFC 9110 §8.4
 */
function unpackingReader(
  body: ReadableStream<Uint8Array>,
  contentEncoding: string | null,
  origin: string,
): BodyReader {
  const packed = body.getReader()
  const codings = (contentEncoding ?? '')
    .toLowerCase()
    .split(',')
    .map(coding => coding.trim())
  const [coding = '', ...others] = codings.filter(name => name !== 'identity')
  const format = others.length === 0 ? FORMATS[coding] : undefined
  if (format === undefined) return packed

  let failure: { readonly error: unknown } | undefined
  const unpack = async (): Promise<BodyReader> => {
    const first = await packed.read()
    // An answer to HEAD names a coding and has no body.
    if (first.done) return packed
    let next: typeof first | undefined = first
    const source = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          try {
            const { done, value } = next ?? (await packed.read())
            next = undefined
            if (done) controller.close()
            else controller.enqueue(value)
          } catch (error) {
            failure = { error }
            throw error
          }
        },
        cancel: reason => packed.cancel(reason),
      },
      { highWaterMark: 0 },
    )
    const decompression = new DecompressionStream(
      (format === 'deflate' ? deflateFormat(first.value) : format) as ConstructorParameters<
        typeof DecompressionStream
      >[0],
    )
    return source.pipeThrough(decompression as TransformStream<Uint8Array, Uint8Array>).getReader()
  }

  let unpacked: Promise<BodyReader> | undefined
  return {
    async read() {
      unpacked ??= unpack()
      const reader = await unpacked
      try {
        return await reader.read()
      } catch (error) {
        if (failure !== undefined) throw failure.error
        throw new AtlasError(
          'bad_response',
          `${origin} sent an answer that cannot be read: it is not packed with ${coding} as it says.`,
          CHECK_SERVER_URL,
          { cause: error },
        )
      }
    },
    // Below the pipe, so that one that waits for its first piece ends too.
    cancel: reason => packed.cancel(reason),
  }
}

/** Some servers send the bare format where the zlib one is meant, as if its two bytes of header were not. */
const deflateFormat = ([first = 0, second = 0]: Uint8Array): Format =>
  (first & 0x0f) === 8 && (first * 256 + second) % 31 === 0 ? 'deflate' : 'deflate-raw'

const readerOf = ({ body, headers }: Response, { origin }: URL): BodyReader | undefined =>
  body ? unpackingReader(body, headers.get('content-encoding'), origin) : undefined

/**
 * An answer whose body has been read.
 * @throws {AtlasError} `bad_response`: it is longer than `maxBytes` after decompression; `timeout`.
 */
export async function readWhole(
  response: Response,
  deadline: Deadline,
  maxBytes: number,
  url: URL,
): Promise<Response> {
  const pieces: Uint8Array[] = []
  let size = 0
  const reader = readerOf(response, url)
  while (reader) {
    const { done, value } = await deadline.race(reader.read())
    if (done) break
    size += value.byteLength
    if (size > maxBytes) {
      reader.cancel().catch(() => {})
      throw new AtlasError(
        'bad_response',
        `${url.origin} sent an answer of more than ${maxBytes} bytes.`,
        'Check the server URL (--api-url or ATLAS_API_URL).',
      )
    }
    pieces.push(value)
  }
  deadline.end()
  return rebuild(response, size === 0 ? null : new Blob(pieces as Uint8Array<ArrayBuffer>[]))
}

/** An answer whose body comes piece by piece, each within the deadline's time. */
export function streamThrough(response: Response, deadline: Deadline, url: URL): Response {
  deadline.pause()
  const reader = readerOf(response, url)
  if (!reader) {
    deadline.end()
    return rebuild(response, null)
  }
  return rebuild(
    response,
    new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          deadline.restart()
          try {
            const { done, value } = await deadline.race(reader.read())
            deadline.pause()
            if (!done) return controller.enqueue(value)
            deadline.end()
            controller.close()
          } catch (error) {
            deadline.end()
            controller.error(deadline.signal.aborted ? deadline.signal.reason : explainFailure(error, url))
          }
        },
        async cancel() {
          deadline.end()
          await reader.cancel()
        },
      },
      { highWaterMark: 0 },
    ),
  )
}

/** The same answer with another body. Statuses outside 200 to 599 cannot be represented and are refused. */
function rebuild({ status, statusText, headers }: Response, body: Blob | ReadableStream | null): Response {
  if (status < 200 || status > 599)
    throw new AtlasError(
      'bad_response',
      `The server answered with the unknown status ${status}.`,
      'Check the server URL (--api-url or ATLAS_API_URL).',
    )
  const bodyless = status === 204 || status === 205 || status === 304
  return new Response(bodyless ? null : body, { status, statusText, headers })
}
