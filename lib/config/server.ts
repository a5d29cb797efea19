import { AtlasError, usageError } from '../errors.ts'
import { overlookedIn } from './values.ts'

const MAX_SHOWN_LENGTH = 200
const WHAT_IS_ACCEPTED =
  'Give an http or https URL with a host and without user, query or fragment, such as https://atlas.example.com.'

/** No user, query or fragment, and no character that the URL parser would drop or replace. */
const SERVER_URL = /^https?:\/\/[^/@\s\\?#\u0000-\u001f\u007f]+(?:\/[^\s\\?#\u0000-\u001f\u007f]*)?$/i

/** Where the API usually is, below the URL of its server. */
const API_PATH = '/api/v1'

/**
 * One name for a server, however its URL is written, with or without the path of the API.
 * @param from where the value came from, for the message.
 * @throws {AtlasError} `usage`
 * @see RFC 3986 §6.2
 */
export function normalizeApiUrl(text: string, from: string): string {
  const url = parseServerUrl(text)
  if (url !== undefined) return url.replace(new RegExp(`(${API_PATH})+$`), '')
  const meant = withScheme(text)
  const hint = meant ? `Did you mean ${meant}?` : WHAT_IS_ACCEPTED
  const overlooked = overlookedIn(text)
  throw usageError(`${from} is not a usable server URL${overlooked ? `: it ${overlooked}` : ''}.`, hint)
}

/** The API root of a URL that was given with it; undefined where the URL names a server alone. */
export function givenApiRoot(text: string): string | undefined {
  const url = parseServerUrl(text)
  return url?.endsWith(API_PATH) ? normalizeApiUrl(url, 'the URL') + API_PATH : undefined
}

/** Where the API of a server may be, by its name; the likely place first. */
export const possibleApiRoots = (apiUrl: string): string[] => [apiUrl + API_PATH, apiUrl]

/**
 * A usable URL without what makes no difference: capitals in scheme and host, a default port, surplus slashes, dots and
 * escapes.
 */
function parseServerUrl(text: string): string | undefined {
  const url = SERVER_URL.test(text) && overlookedIn(text) === undefined ? URL.parse(text) : null
  if (url === null) return undefined
  // Where a server listens is no place to reach it at; from here it is this machine.
  url.hostname = LISTENING[url.hostname] ?? url.hostname
  const name =
    url.origin +
    decodeUnreserved(url.pathname)
      .replace(/\/{2,}/g, '/')
      .replace(/\/$/, '')
  // What was escaped twice may mean something once it is decoded.
  return name === text ? name : parseServerUrl(name)
}

const LISTENING: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '[::]': '[::1]' }

const decodeUnreserved = (path: string): string =>
  path.replace(/%[0-9a-f]{2}/gi, code => {
    const character = String.fromCharCode(Number.parseInt(code.slice(1), 16))
    return /[\w.~-]/.test(character) ? character : code.toUpperCase()
  })

/** The likely URL of a host without a scheme; undefined where the text is something else. */
function withScheme(text: string): string | undefined {
  if (!/^[a-z0-9][a-z0-9.-]*(?::\d+)?(?:\/[\w./-]*)?$/i.test(text)) return undefined
  const host = URL.parse(`http://${text}`)?.hostname
  return host && `${isLoopback(host) ? 'http' : 'https'}://${text}`
}

/** Whether a host name or address (as `URL.hostname` writes it) never leaves this machine. */
export const isLoopback = (hostname: string): boolean =>
  isLocalName(hostname) ||
  hostname === '[::1]' ||
  /^127\.\d+\.\d+\.\d+$/.test(hostname) ||
  /^\[::ffff:7f[0-9a-f]{2}:[0-9a-f]+\]$/.test(hostname)

/** A name that means this machine, whatever a name server says. @see RFC 6761 §6.3 */
export const isLocalName = (hostname: string): boolean => /^(?:.+\.)?localhost$/.test(hostname)

/** Refuse plain http to another machine. @throws {AtlasError} `insecure_url` */
export function requireSecure(url: URL, allowHttp: boolean): void {
  if (url.protocol === 'https:' || isLoopback(url.hostname) || allowHttp) return
  throw new AtlasError(
    'insecure_url',
    `Refusing to send credentials to ${url.origin} over plain http, where others on the network can read them.`,
    'Use https, or pass --allow-http (ATLAS_ALLOW_HTTP=1) if you trust the network.',
  )
}

/** A URL with a scheme; `notes:search` is a path. */
const ABSOLUTE = /^(?:[a-z][a-z0-9+.-]*:\/\/|(?:https?|file|data|javascript|blob|about|ftp|wss?):)/i

/**
 * @param path relative to the API root, with or without a leading slash or the API's own path; or absolute on the same
 * origin.
 * @throws {AtlasError} `usage`: it leads to another origin, where the token must not go.
 */
export function resolveRequestUrl(apiRoot: string, path: string): URL {
  const hint = `Give a path relative to ${apiRoot}, such as /auth/me.`
  // The URL parser would remove line breaks and tabs, and so name another resource.
  if (/\p{Cc}/u.test(path)) throw usageError('PATH contains a control character, such as a line break.', hint)
  if (/^[a-z]:[\\/]/i.test(path))
    throw usageError(
      `"${path.slice(0, MAX_SHOWN_LENGTH)}" is a path of Windows, which Git Bash makes of one with a leading slash.`,
      'Leave the leading slash out, as in: atlas api auth/me',
    )
  const absolute = ABSOLUTE.test(path) || path.startsWith('//')
  const url = absolute
    ? URL.parse(path, apiRoot)
    : URL.parse(`${apiRoot}/${withoutApiPath(apiRoot, path.replace(/^\/+/, ''))}`)
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

/** Documentation gives paths from the server's root, such as `api/v1/auth/me`. */
function withoutApiPath(apiRoot: string, path: string): string {
  if (!apiRoot.endsWith(API_PATH)) return path
  const prefixes = [new URL(apiRoot).pathname, API_PATH].map(prefix => prefix.slice(1))
  const given = prefixes.find(
    prefix => path.startsWith(prefix) && /^(?:[/?]|$)/.test(path.slice(prefix.length)),
  )
  return given === undefined ? path : path.slice(given.length).replace(/^\/+/, '')
}
