import { isLoopback } from '../config/server.ts'
import { type AtlasCode, AtlasError, errorCode } from '../errors.ts'
import { CHECK_SERVER_URL } from './answer.ts'

/** What kept a request from being answered, in words, by the code of the runtime's error. */
export function explainFailure(error: unknown, url: URL): AtlasError {
  if (error instanceof AtlasError) return error
  const { origin } = url
  const code = errorCode(error) ?? (error instanceof Error ? error.name : 'unknown error')
  const failure = (kind: AtlasCode, message: string, hint: string): AtlasError =>
    new AtlasError(kind, message, hint, { cause: error })

  const reason = NETWORK_FAULTS[code]
  if (reason) return failure('network', `${origin} could not be reached: ${reason}.`, checkServer(url))
  if (TLS_CODE.test(code) && code !== 'ERR_TLS_HANDSHAKE_TIMEOUT')
    return failure(
      'tls',
      `No trusted connection to ${origin}: ${TLS_FAULTS[code] ?? code}.`,
      TLS_STEPS[code] ??
        'If your company has a certificate authority of its own, name its file with NODE_EXTRA_CA_CERTS.',
    )
  return HTTP_CODE.test(code)
    ? failure('bad_response', `${origin} sent an answer that cannot be read (${code}).`, CHECK_SERVER_URL)
    : failure('network', `${origin} could not be reached (${code}).`, checkServer(url))
}

const TLS_CODE = /CERT|SSL|TLS|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED|EPROTO/
/** An answer that is not HTTP. */
const HTTP_CODE =
  /Malformed|HPE_|InvalidHTTP|HTTP_RESPONSE|TooManyHeaders|ResponseHeader|ContentLength|UnrequestedUpgrade/i

const checkServer = (url: URL): string =>
  isLoopback(url.hostname)
    ? 'Is the server running? Another one is chosen with --api-url or ATLAS_API_URL.'
    : `${CHECK_SERVER_URL} Is there a network connection?`

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
  ERR_TLS_CERT_ALTNAME_INVALID: CHECK_SERVER_URL,
  EPROTO:
    'Check the port in the server URL (--api-url or ATLAS_API_URL), and whether it begins with http or https.',
}
