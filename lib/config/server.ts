import { AtlasError, usageError } from '../errors.ts'

const MAX_SHOWN_LENGTH = 200
const WHAT_IS_ACCEPTED =
  'Give an http or https URL with a host and without user, query or fragment, such as https://atlas.example.com.'

/** No user, query or fragment, and no character that the URL parser would drop or replace. */
const SERVER_URL = /^https?:\/\/[^/@\s\\?#\u0000-\u001f\u007f]+(?:\/[^\s\\?#\u0000-\u001f\u007f]*)?$/i

/**
 * The URL as atlas compares and stores it: lower-case scheme and host, no default port, no trailing slash.
 * @param from where the value came from, for the message.
 * @throws {AtlasError} `usage`
 */
export function normalizeApiUrl(text: string, from: string): string {
  const url = SERVER_URL.test(text) ? URL.parse(text) : null
  if (url !== null) return url.origin + url.pathname.replace(/\/+$/, '')
  const meant = withScheme(text)
  const hint = meant ? `Did you mean ${meant}?` : WHAT_IS_ACCEPTED
  throw usageError(`${from} is not a usable server URL.`, hint)
}

/** The likely URL of a host without a scheme; undefined where the text is something else. */
function withScheme(text: string): string | undefined {
  if (!/^[a-z0-9][a-z0-9.-]*(?::\d+)?(?:\/[\w./-]*)?$/i.test(text)) return undefined
  const host = URL.parse(`http://${text}`)?.hostname
  return host && `${isLoopback(host) ? 'http' : 'https'}://${text}`
}

/** Whether a host name or address (as `URL.hostname` writes it) never leaves this machine. */
export const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)

/** Refuse plain http to another machine. @throws {AtlasError} `insecure_url` */
export function requireSecure(url: URL, allowHttp: boolean): void {
  if (url.protocol === 'https:' || isLoopback(url.hostname) || allowHttp) return
  throw new AtlasError(
    'insecure_url',
    `Refusing to send credentials to ${url.origin} over plain http, where others on the network can read them.`,
    'Use https, or pass --allow-http (ATLAS_ALLOW_HTTP=1) if you trust the network.',
  )
}

/** Whether the URL names a server alone, so that login may look for the API below it. */
export const hasNoPath = (apiUrl: string): boolean => new URL(apiUrl).pathname === '/'

/** Where the API of a server may be. */
export const possibleApiRoots = (apiUrl: string): string[] =>
  hasNoPath(apiUrl) ? [apiUrl, `${apiUrl}/api/v1`] : [apiUrl]

/**
 * @param path relative to the API root, with or without a leading slash, or absolute on the same origin.
 * @throws {AtlasError} `usage`: it leads to another origin, where the token must not go.
 */
export function resolveRequestUrl(apiRoot: string, path: string): URL {
  const absolute = /^[a-z][a-z0-9+.-]*:/i.test(path) || path.startsWith('//')
  const url = absolute ? URL.parse(path, apiRoot) : URL.parse(`${apiRoot}/${path.replace(/^\/+/, '')}`)
  const hint = `Give a path relative to ${apiRoot}, such as /auth/me.`
  if (url === null) throw usageError('PATH is not a valid request path.', hint)
  // Not quoted: a password may be in it.
  if (url.username !== '' || url.password !== '')
    throw usageError('PATH contains a user name or a password, which atlas does not send.', hint)
  const { origin } = new URL(apiRoot)
  const shown = path.slice(0, MAX_SHOWN_LENGTH)
  if (url.origin !== origin)
    throw usageError(`"${shown}" is not on ${origin}; credentials are sent only to that server.`, hint)
  url.hash = ''
  return url
}
