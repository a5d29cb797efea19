import { isLoopback } from '../config/server.ts'
import { type AtlasCode, AtlasError, errorCode } from '../errors.ts'
import { CHECK_SERVER_URL } from './answer.ts'

/** On which way a request goes. */
export interface Way {
  readonly url: URL
  /** Undefined where there is none. */
  readonly proxy: URL | undefined
  /** Why the file of certificate authorities that is named adds none, without a full stop. */
  readonly authoritiesFault?: (() => string | undefined) | undefined
}

/** What kept a request from being answered, in words, by the code of the runtime's error. */
export function explainFailure(error: unknown, way: Way): AtlasError {
  if (error instanceof AtlasError) return error
  const { url, proxy } = way
  const { origin } = url
  const code = errorCode(error) ?? (error instanceof Error ? error.name : 'unknown error')
  const failure = (kind: AtlasCode, message: string, hint: string): AtlasError =>
    new AtlasError(kind, message, hint, { cause: error })

  if (proxy && code === 'ERR_PROXY_TUNNEL')
    return proxyRefusal((error as { status?: number }).status, url, proxy)
  if (CLOSED.has(code)) {
    const who = proxy ? `${origin}, or the proxy ${proxy.origin} before it,` : origin
    return failure('network', `${who} closed the connection before the answer was complete.`, 'Try again.')
  }
  const reason = NETWORK_FAULTS[code]
  if (reason) {
    const what = proxy ? `The proxy ${proxy.origin}, on the way to ${origin},` : origin
    return failure(
      'network',
      `${what} could not be reached: ${reason}.`,
      proxy ? CHECK_PROXY : checkServer(url),
    )
  }
  if (TLS_CODE.test(code) && code !== 'ERR_TLS_HANDSHAKE_TIMEOUT') return tlsFailure(code, way, error)
  return HTTP_CODE.test(code)
    ? failure('bad_response', `${origin} sent an answer that cannot be read (${code}).`, CHECK_SERVER_URL)
    : failure('network', `${origin} could not be reached (${code}).`, checkServer(url))
}

/** @param reason the end of a sentence, where more is known than the code says. */
export function tlsFailure(
  code: string,
  { url, authoritiesFault }: Way,
  cause: unknown,
  reason?: string,
): AtlasError {
  const message = `No trusted connection to ${url.origin}: ${reason ?? TLS_FAULTS[code] ?? code}.`
  const fault = UNKNOWN_AUTHORITY.has(code) ? authoritiesFault?.() : undefined
  const hint = reason
    ? 'Ask the server’s administrator.'
    : fault
      ? `${fault}. Correct the path.`
      : (TLS_STEPS[code] ??
        'If your company has a certificate authority of its own, name its file with NODE_EXTRA_CA_CERTS.')
  return new AtlasError('tls', message, hint, { cause })
}

/** What a proxy that opens no way to a server has said. */
export function proxyRefusal(status: number | undefined, { origin }: URL, proxy: URL): AtlasError {
  if (status === 407)
    return new AtlasError(
      'network',
      `The proxy ${proxy.origin}, on the way to ${origin}, ${proxy.username ? 'rejects the user and password of its URL' : 'wants a user and password'} (407).`,
      'Put them into its URL, as in HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT, in percent escapes where needed.',
    )
  return new AtlasError(
    'network',
    `The proxy ${proxy.origin} does not lead to ${origin}${status === undefined ? '' : ` (${status})`}.`,
    'Try again later, ask whoever runs the proxy, or name the server in NO_PROXY.',
  )
}

const CHECK_PROXY = 'Check the proxy (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY), or name the server in NO_PROXY.'

const TLS_CODE = /CERT|SSL|TLS|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED|EPROTO/
/** An answer that is not HTTP. */
const HTTP_CODE =
  /Malformed|HPE_|InvalidHTTP|HTTP_RESPONSE|TooManyHeaders|ResponseHeader|ContentLength|UnrequestedUpgrade/i

const checkServer = (url: URL): string =>
  isLoopback(url.hostname)
    ? 'Is the server running? Another one is chosen with --api-url or ATLAS_API_URL.'
    : `${CHECK_SERVER_URL} Is there a network connection?`

const CLOSED = new Set(['ECONNRESET', 'ConnectionClosed', 'EPIPE'])

const NETWORK_FAULTS: Record<string, string> = {
  ECONNREFUSED: 'connection refused',
  ConnectionRefused: 'connection refused',
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'the host name could not be looked up',
  ETIMEDOUT: 'the connection timed out',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no network',
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

/** What another file of authorities may change. */
const UNKNOWN_AUTHORITY = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
])

const CHECK_CLOCK =
  'Check the clock of this machine; where it is right, the server needs another certificate.'

const TLS_STEPS: Record<string, string> = {
  CERT_HAS_EXPIRED: CHECK_CLOCK,
  CERT_NOT_YET_VALID: CHECK_CLOCK,
  ERR_TLS_CERT_ALTNAME_INVALID: CHECK_SERVER_URL,
  EPROTO:
    'Check the port in the server URL (--api-url or ATLAS_API_URL), and whether it begins with http or https.',
}
