import { isLoopback, requireSecure } from '../config/server.ts'
import { AtlasError, errorCode } from '../errors.ts'
import { unlessAborted } from '../interrupts.ts'
import { ACCEPT_ENCODING, type BodyReader, unpackingReader } from './body.ts'

/** The most that an answer which is parsed may hold, in bytes after decompression. */
export const MAX_ANSWER_BYTES = 1024 * 1024

declare global {
  interface RequestInit {
    guard?: Guard
  }
}

/** What one request may take and give. */
export interface Guard {
  /**
   * A tighter limit than the policy's, in milliseconds: for the whole answer; for a streamed one until its
   * headers, and then between two pieces.
   */
  readonly timeoutMs?: number
  /** The most that the body may hold, in bytes; more is an error. Not for streamed ones. */
  readonly maxBytes?: number
  /** Hand the body through as it comes instead of reading it first. */
  readonly streamed?: boolean
}

export interface TransportPolicy {
  /** What a request that starts now may take, in milliseconds, where it does not say otherwise. */
  readonly timeoutMs: () => number
  readonly allowHttp: boolean
  /** The proxy for a server, undefined for none. @throws {AtlasError} `usage`: it cannot be used. */
  readonly proxyOf: (server: URL) => URL | undefined
  readonly debug: (line: string) => void
  /** Whether a text of the server may be shown: not where it repeats a secret. */
  readonly quotable: (text: string) => boolean
}

export type GuardedFetch = (
  input: string | URL | Request,
  init?: RequestInit & { guard?: Guard },
) => Promise<Response>

/**
 * Fetch under atlas's transport policy: http and https alone, plain http to other machines only where
 * allowed, no redirect followed, certificates always verified, loopback never through a proxy, every
 * wait and every parsed body bounded.
 *
 * @throws {AtlasError} `network`, `tls`, `timeout`, `bad_response`, `insecure_url`; the reason of the
 * caller's signal where that ended it.
 */
export function createGuardedFetch(policy: TransportPolicy): GuardedFetch {
  return async (input, { guard = {}, signal, ...init } = {}) => {
    const url = new URL(input instanceof Request ? input.url : input)
    if (url.protocol !== 'http:' && url.protocol !== 'https:')
      throw new AtlasError(
        'usage',
        `"${url.protocol}" is not a protocol that atlas speaks.`,
        'Use http or https.',
      )
    requireSecure(url, policy.allowHttp)
    const proxy = policy.proxyOf(url)

    const timeoutMs = Math.min(guard.timeoutMs ?? Number.POSITIVE_INFINITY, policy.timeoutMs())
    const deadline = new Deadline(timeoutMs, url, signal ?? undefined)
    const startedAt = performance.now()
    let settled = false
    const body = withoutBlame(init.body, deadline, () => settled)
    const elapsed = (): string => `${Math.round(performance.now() - startedAt)} ms`
    const label = `${init.method ?? 'GET'} ${url.origin}${url.pathname}`
    try {
      const response = await deadline.race(
        fetch(input, {
          ...init,
          ...(body && { body }),
          headers: withAcceptEncoding(init.headers ?? (input instanceof Request ? input.headers : {})),
          ...transport(url, proxy),
          signal: deadline.signal,
        }),
      )
      settled = true
      policy.debug(`http ${label}: ${response.status} in ${elapsed()}${requestId(response, policy.quotable)}`)
      return guard.streamed
        ? streamThrough(response, deadline, url)
        : await readWhole(response, deadline, guard.maxBytes ?? MAX_ANSWER_BYTES, url)
    } catch (error) {
      settled = true
      const failure = deadline.signal.aborted ? deadline.signal.reason : explain(error, url)
      deadline.end()
      policy.debug(
        `http ${label}: ${failure instanceof AtlasError ? failure.code : 'failed'} after ${elapsed()}`,
      )
      throw failure
    }
  }
}

/**
 * A body that is a stream, so that the time it takes to give its pieces is not the server's: the clock stands
 * still meanwhile, and each piece gives the server the whole time again.
 */
function withoutBlame(
  body: RequestInit['body'],
  deadline: Deadline,
  isSettled: () => boolean,
): RequestInit['body'] {
  if (!(body instanceof ReadableStream)) return body
  const reader = (body as ReadableStream<Uint8Array>).getReader()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!isSettled()) deadline.pause()
        const { done, value } = await reader.read()
        if (!isSettled()) deadline.restart()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: reason => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}

/** How the server's log names this request, where the server says it. */
function requestId({ headers }: Response, quotable: TransportPolicy['quotable']): string {
  const id = headers.get('x-request-id') ?? headers.get('x-correlation-id')
  return id ? `, request id ${quotable(id) ? id.slice(0, 100) : '[hidden]'}` : ''
}

/** The runtime says what it can unpack only where it unpacks by itself. */
function withAcceptEncoding(given: RequestInit['headers']): Headers {
  const headers = new Headers(given)
  if (!headers.has('accept-encoding')) headers.set('accept-encoding', ACCEPT_ENCODING)
  return headers
}

/** The parts of the policy that the runtime carries out. */
const transport = (url: URL, proxy: URL | undefined): BunFetchRequestInit & { verbose: false } =>
  ({
    redirect: 'manual',
    decompress: false,
    // A kept connection that has gone stale would make the runtime send a request twice.
    keepalive: false,
    // The variable that switches this on would print tokens.
    verbose: false,
    tls: { rejectUnauthorized: true },
    ...(isLoopback(url.hostname) ? { proxy: false as unknown as string } : proxy && { proxy: proxy.href }),
  }) as const

/** A time limit and a caller's signal in one, for waits that may not end by themselves. */
class Deadline {
  readonly #controller = new AbortController()
  readonly #timeoutMs: number
  readonly #url: URL
  readonly #outer: AbortSignal | undefined
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(timeoutMs: number, url: URL, outer: AbortSignal | undefined) {
    this.#timeoutMs = timeoutMs
    this.#url = url
    this.#outer = outer
    outer?.addEventListener('abort', this.#abortFromOuter, { once: true })
    if (outer?.aborted) this.#abortFromOuter()
    this.restart()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Wait for something, but no longer than the deadline. */
  race<T>(wait: Promise<T>): Promise<T> {
    return unlessAborted(this.#controller.signal, wait)
  }

  /** Give the next step the whole time again. */
  restart(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#controller.abort(
        new AtlasError(
          'timeout',
          `${this.#url.origin} did not answer within ${Math.max(1, Math.round(this.#timeoutMs)) / 1000} s.`,
          'Try again, or allow more time with --timeout.',
        ),
      )
    }, this.#timeoutMs)
  }

  /** Stop the clock while nobody is waiting. */
  pause(): void {
    clearTimeout(this.#timer)
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#outer?.removeEventListener('abort', this.#abortFromOuter)
  }

  readonly #abortFromOuter = (): void => this.#controller.abort(this.#outer?.reason)
}

const readerOf = ({ body, headers }: Response, { origin }: URL): BodyReader | undefined =>
  body ? unpackingReader(body, headers.get('content-encoding'), origin) : undefined

async function readWhole(
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

function streamThrough(response: Response, deadline: Deadline, url: URL): Response {
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
            controller.error(deadline.signal.aborted ? deadline.signal.reason : explain(error, url))
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

/** A failure of the runtime in words, by its code. */
function explain(error: unknown, url: URL): AtlasError {
  if (error instanceof AtlasError) return error
  const code = errorCode(error) ?? (error instanceof Error ? error.name : 'unknown error')
  const told = NETWORK_FAULTS[code]
  if (told)
    return new AtlasError('network', `${url.origin} could not be reached: ${told}.`, checkServer(url), {
      cause: error,
    })
  if (
    /CERT|SSL|TLS|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED|EPROTO/.test(code) &&
    code !== 'ERR_TLS_HANDSHAKE_TIMEOUT'
  ) {
    return new AtlasError(
      'tls',
      `No trusted connection to ${url.origin}: ${TLS_FAULTS[code] ?? code}.`,
      TLS_STEPS[code] ??
        'If your company has a certificate authority of its own, name its file with NODE_EXTRA_CA_CERTS.',
      { cause: error },
    )
  }
  if (
    /Malformed|HPE_|InvalidHTTP|HTTP_RESPONSE|TooManyHeaders|ResponseHeader|ContentLength|UnrequestedUpgrade/i.test(
      code,
    )
  ) {
    return new AtlasError(
      'bad_response',
      `${url.origin} sent an answer that cannot be read (${code}).`,
      'Check the server URL (--api-url or ATLAS_API_URL).',
      { cause: error },
    )
  }
  return new AtlasError('network', `${url.origin} could not be reached (${code}).`, checkServer(url), {
    cause: error,
  })
}

const checkServer = (url: URL): string =>
  isLoopback(url.hostname)
    ? 'Is the server running? Another one is chosen with --api-url or ATLAS_API_URL.'
    : 'Check your connection and the server URL (--api-url or ATLAS_API_URL).'

const NETWORK_FAULTS: Record<string, string> = {
  ECONNREFUSED: 'connection refused',
  ConnectionRefused: 'connection refused',
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'the host name could not be looked up',
  ECONNRESET: 'the connection was closed before the answer was complete',
  ConnectionClosed: 'the connection was closed before the answer was complete',
  EPIPE: 'the connection was closed before the answer was complete',
  ETIMEDOUT: 'the connection timed out',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no network',
  ERR_PROXY_TUNNEL: 'the proxy refused the connection',
}

const TLS_FAULTS: Record<string, string> = {
  CERT_HAS_EXPIRED: 'its certificate, or that of the authority behind it, has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate comes from an unknown authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate comes from an unknown authority',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate comes from an unknown authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate comes from an unknown authority',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
  EPROTO: 'it does not speak TLS there',
}

const CHECK_CLOCK =
  'Check the clock of this machine; where it is right, the server needs another certificate.'

const TLS_STEPS: Record<string, string> = {
  CERT_HAS_EXPIRED: CHECK_CLOCK,
  CERT_NOT_YET_VALID: CHECK_CLOCK,
  ERR_TLS_CERT_ALTNAME_INVALID: 'Check the server URL (--api-url or ATLAS_API_URL).',
  EPROTO:
    'Check the port in the server URL (--api-url or ATLAS_API_URL), and whether it begins with http or https.',
}
