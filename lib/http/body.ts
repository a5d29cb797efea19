import { AtlasError } from '../errors.ts'
import { CHECK_SERVER_URL } from './answer.ts'
import type { Deadline } from './deadline.ts'
import { explainFailure, type Way } from './failures.ts'

/** What a request says that it can unpack. @see RFC 9110 §12.5.3 */
export const ACCEPT_ENCODING = 'gzip, deflate, br, zstd'

/** What a body is read by. */
export interface BodyReader {
  read(): Promise<{ done: false; value: Uint8Array } | { done: true; value?: Uint8Array | undefined }>
  cancel(reason?: unknown): Promise<void>
}

/** The runtime knows more formats than its types do. */
const FORMATS: Readonly<Record<string, string>> = {
  gzip: 'gzip',
  'x-gzip': 'gzip',
  deflate: 'deflate',
  br: 'brotli',
  zstd: 'zstd',
}

/**
 * A reader of the unpacked body; a coding that atlas did not ask for is left as it is. The runtime's own
 * fetch would print a line about a body that is packed wrongly.
 * @throws {AtlasError} `bad_response` on reading: the body is not packed as it says. @see RFC 9110 §8.4
 */
function readerOf({ body, headers }: Response, { origin }: URL): BodyReader | undefined {
  const packed = body?.getReader()
  const codings = (headers.get('content-encoding') ?? '').toLowerCase().split(/[\s,]+/)
  const [coding = '', ...others] = codings.filter(name => name !== '' && name !== 'identity')
  const format = others.length === 0 ? FORMATS[coding] : undefined
  if (packed === undefined || format === undefined) return packed

  let torn: unknown
  const next = () =>
    packed.read().catch(error => {
      torn = error
      throw error
    })
  const unpack = async (): Promise<BodyReader> => {
    let first: Awaited<ReturnType<typeof next>> | undefined = await next()
    // An answer to HEAD names a coding and has no body.
    if (first.done) return packed
    const used = format === 'deflate' ? deflateFormat(first.value) : format
    const decompression = new DecompressionStream(
      used as ConstructorParameters<typeof DecompressionStream>[0],
    )
    const source = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = first ?? (await next())
          first = undefined
          if (done) controller.close()
          else controller.enqueue(value)
        },
      },
      { highWaterMark: 0 },
    )
    return source.pipeThrough(decompression as TransformStream<Uint8Array, Uint8Array>).getReader()
  }
  let unpacked: Promise<BodyReader> | undefined
  return {
    async read() {
      unpacked ??= unpack()
      try {
        return await (await unpacked).read()
      } catch (error) {
        if (torn !== undefined) throw torn
        const reason = `it is not packed with ${coding} as it says, or was cut off`
        throw unreadable(`${origin} sent an answer that cannot be read: ${reason}.`, error)
      }
    },
    // Below the pipe, so that one that waits for its first piece ends too.
    cancel: reason => packed.cancel(reason),
  }
}

/** Some servers send the bare format where the zlib one is meant, as if its two bytes of header were not. */
const deflateFormat = ([first = 0, second = 0]: Uint8Array): string =>
  (first & 0x0f) === 8 && (first * 256 + second) % 31 === 0 ? 'deflate' : 'deflate-raw'

const unreadable = (message: string, cause?: unknown): AtlasError =>
  new AtlasError('bad_response', message, CHECK_SERVER_URL, { cause })

/**
 * An answer with its body read, which is then one piece: nothing of it is copied.
 * @throws {AtlasError} `bad_response`: over `maxBytes` unpacked; `timeout`.
 */
export async function readWhole(
  response: Response,
  deadline: Deadline,
  maxBytes: number,
  url: URL,
): Promise<Response> {
  // It grows in place: many small pieces would take a hundred times as much, copies twice as much.
  const whole = new ArrayBuffer(0, { maxByteLength: maxBytes })
  const reader = readerOf(response, url)
  while (reader) {
    const { done, value } = await deadline.race(reader.read())
    if (done) break
    const size = whole.byteLength
    if (size + value.byteLength > maxBytes) {
      reader.cancel().catch(() => {})
      throw unreadable(`${url.origin} sent an answer of more than ${maxBytes} bytes.`)
    }
    whole.resize(size + value.byteLength)
    new Uint8Array(whole).set(value, size)
  }
  deadline.pause()
  if (whole.byteLength === 0) return rebuild(response, null)
  return rebuild(
    response,
    new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new Uint8Array(whole))
        controller.close()
      },
    }),
  )
}

/** An answer whose body comes piece by piece, each within the deadline's time. */
export function streamThrough(response: Response, deadline: Deadline, way: Way): Response {
  deadline.pause()
  const reader = readerOf(response, way.url)
  if (!reader) return rebuild(response, null)
  return rebuild(
    response,
    new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          deadline.restart()
          try {
            const { done, value } = await deadline.race(reader.read())
            deadline.pause()
            if (done) controller.close()
            else controller.enqueue(value)
          } catch (error) {
            deadline.pause()
            controller.error(deadline.signal.aborted ? deadline.signal.reason : explainFailure(error, way))
          }
        },
        async cancel() {
          deadline.pause()
          await reader.cancel()
        },
      },
      { highWaterMark: 0 },
    ),
  )
}

/** An answer whose body fails when it is read. */
export const withoutBody = (response: Response, fault: AtlasError): Response =>
  rebuild(response, new ReadableStream({ start: controller => controller.error(fault) }))

/** The same answer with another body. Statuses outside 200 to 599 cannot be represented and are refused. */
function rebuild({ status, statusText, headers }: Response, body: ReadableStream | null): Response {
  if (status < 200 || status > 599) throw unreadable(`The server answered with the unknown status ${status}.`)
  const bodyless = status === 204 || status === 205 || status === 304
  return new Response(bodyless ? null : body, { status, statusText, headers })
}
