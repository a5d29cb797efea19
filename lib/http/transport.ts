import { isLocalName, requireSecure } from '../config/server.ts'
import { AtlasError, errorCode, usageError } from '../errors.ts'
import { ACCEPT_ENCODING, readWhole, streamThrough, withoutBody } from './body.ts'
import { type Budget, createDeadline } from './deadline.ts'
import { explainFailure, proxyRefusal, tlsFailure, type Way } from './failures.ts'
import { startUpload } from './upload.ts'

/** The most that an answer which is parsed may hold, in bytes after decompression. */
export const MAX_ANSWER_BYTES = 1024 * 1024

/** Of a path that a server may have made up by a redirect, in characters. */
const MAX_LOGGED_LENGTH = 200

declare global {
  interface RequestInit {
    guard?: Guard
  }
}

/** What one request may take and give. */
export interface Guard {
  /** A tighter limit in milliseconds: for the whole answer, or until the headers and between two pieces of a stream. */
  readonly timeoutMs?: number
  /** The most that the body may hold, in bytes; more is an error. Not for streamed ones. */
  readonly maxBytes?: number
  /** Hand the body through as it comes instead of reading it first. */
  readonly streamed?: boolean
  /**
   * What the server does with the request cannot be taken back: it gets the whole configured time, whatever limit the
   * command has, and once its headers have come it succeeds, with a body that fails where it could not be read.
   */
  readonly irreversible?: boolean
}

export interface TransportPolicy {
  /** The configured time limit of a request, in milliseconds. */
  readonly timeoutMs: number
  readonly budget: Budget
  readonly allowHttp: boolean
  /** The proxy for a server, undefined for none. @throws {AtlasError} `usage`: it cannot be used. */
  readonly proxyOf: (server: URL) => URL | undefined
  /** Why the file of certificate authorities that is named adds none, without a full stop. */
  readonly authoritiesFault?: () => string | undefined
  readonly debug: (line: string) => void
  /** Whether a text of the server may be shown: not where it repeats a secret. */
  readonly isSafeToShow: (text: string) => boolean
}

/** `fetch` under atlas's policy. */
export type Transport = (
  input: string | URL | Request,
  init?: RequestInit & { guard?: Guard },
) => Promise<Response>

/**
 * Fetch under atlas's transport policy: http and https alone, plain http to other machines only if allowed,
 * no redirect followed, certificates always verified, loopback never through a proxy, every wait and every
 * parsed body bounded.
 * @throws {AtlasError} `network`, `tls`, `timeout`, `bad_response`, `insecure_url`; the signal's reason.
 */
export function createTransport(policy: TransportPolicy): Transport {
  return async (input, { guard = {}, signal, ...init } = {}) => {
    const url = new URL(input instanceof Request ? input.url : input)
    if (url.protocol !== 'http:' && url.protocol !== 'https:')
      throw usageError(`Unsupported protocol "${url.protocol}"; use http or https.`)
    requireSecure(url, policy.allowHttp)
    const proxy = policy.proxyOf(url)
    const way = { url, proxy, authoritiesFault: policy.authoritiesFault }

    const wholeMs = Math.min(guard.timeoutMs ?? Number.POSITIVE_INFINITY, policy.timeoutMs)
    const timeoutMs = guard.irreversible ? wholeMs : policy.budget.within(wholeMs)
    const headers = new Headers(init.headers ?? (input instanceof Request ? input.headers : {}))
    // The runtime says what it can unpack only where it unpacks by itself.
    if (!headers.has('accept-encoding')) headers.set('accept-encoding', ACCEPT_ENCODING)
    const deadline = createDeadline(timeoutMs, way, signal ?? undefined)
    const startedAt = performance.now()
    const upload = startUpload(init.body, deadline, timeoutMs)
    if (upload.length !== undefined) headers.set('content-length', String(upload.length))
    const path = policy.isSafeToShow(url.pathname) ? url.pathname.slice(0, MAX_LOGGED_LENGTH) : '/[hidden]'
    const log = (outcome: string): void =>
      policy.debug(`http ${init.method ?? 'GET'} ${url.origin}${path}: ${outcome}`)
    const elapsed = (): string => `${Math.round(performance.now() - startedAt)} ms`
    try {
      const response = await deadline.race(
        fetch(reachable(input, url, headers), {
          ...init,
          ...(upload.body && { body: upload.body }),
          headers,
          ...runtimePolicy(proxy),
          signal: deadline.signal,
        }),
      )
      upload.end()
      if (proxy && response.status === 407) throw proxyRefusal(407, url, proxy)
      log(`${response.status} in ${elapsed()}${requestId(response, policy.isSafeToShow)}`)
      if (guard.streamed) return streamThrough(response, deadline, way)
      const whole = readWhole(response, deadline, guard.maxBytes ?? MAX_ANSWER_BYTES, url)
      if (!guard.irreversible) return await whole
      return await whole.catch(error => withoutBody(response, explainFailure(error, way)))
    } catch (error) {
      upload.end()
      const failure = deadline.signal.aborted ? deadline.signal.reason : await explain(error, way)
      deadline.pause()
      log(`${failure instanceof AtlasError ? failure.code : 'failed'} after ${elapsed()}`)
      throw failure
    } finally {
      if (guard.irreversible) policy.budget.exclude(performance.now() - startedAt)
    }
  }
}

/** A name below localhost at its address: a name server must not send a token elsewhere. */
function reachable(input: string | URL | Request, url: URL, headers: Headers): string | URL | Request {
  if (url.protocol !== 'http:' || url.hostname === 'localhost' || !isLocalName(url.hostname)) return input
  headers.set('host', url.host)
  const place = new URL(url)
  place.hostname = '127.0.0.1'
  return place
}

async function explain(error: unknown, way: Way): Promise<unknown> {
  if (errorCode(error) !== 'EPROTO' || way.proxy) return explainFailure(error, way)
  const { handshakeFault } = await import('./handshake.ts')
  return tlsFailure('EPROTO', way, error, await handshakeFault(way.url))
}

/** How the server's log names this request, where the server says it. */
function requestId({ headers }: Response, isSafeToShow: TransportPolicy['isSafeToShow']): string {
  const id = headers.get('x-request-id') ?? headers.get('x-correlation-id')
  return id ? `, request id ${isSafeToShow(id) ? id.slice(0, 100) : '[hidden]'}` : ''
}

/** The parts of the policy that the runtime carries out. */
const runtimePolicy = (proxy: URL | undefined): BunFetchRequestInit & { verbose: false } =>
  ({
    redirect: 'manual',
    decompress: false,
    // A kept connection that has gone stale would make the runtime send a request twice.
    keepalive: false,
    // The variable that switches this on would print tokens.
    verbose: false,
    tls: { rejectUnauthorized: true },
    // Without it, the runtime would choose one by itself.
    proxy: proxy?.href ?? (false as unknown as string),
  }) as const
