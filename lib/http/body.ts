import { AtlasError } from '../errors.ts'

/** What a request says that it can unpack. @see RFC 9110 §12.5.3 */
export const ACCEPT_ENCODING = 'gzip, deflate, br, zstd'

/** What a body is read by. */
export interface BodyReader {
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
export function unpackingReader(
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
          'Check the server URL (--api-url or ATLAS_API_URL).',
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
