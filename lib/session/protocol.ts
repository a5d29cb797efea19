import { isToken } from '../config/values.ts'
import { AtlasError } from '../errors.ts'
import {
  type Answer,
  badResponse,
  errorFor,
  isApiRefusal,
  type Reader,
  servedAtMs,
  serverWords,
} from '../http/answer.ts'
import { parseJsonObject } from '../json-object.ts'
import { isCookieValue, type Session } from './record.ts'

/** The name of the cookie that carries the refresh token. */
const REFRESH_COOKIE = 'refresh_token'

const MAX_LIFETIME_S = 10 * 365 * 86_400

/** The access token that a login or a refresh gave. */
export type AccessToken = Pick<Session, 'accessToken' | 'expiresAt' | 'lifetimeMs'>

/** The refresh token that came with it. */
export type RefreshToken = Pick<Session, 'sessionExpiresAt'> & { readonly refreshToken: string }

/** The body of a login request. @see RFC 6749 §4.3.2 */
export const loginForm = (email: string, password: string): URLSearchParams =>
  new URLSearchParams({ grant_type: 'password', username: email, password })

/** The Cookie header of a refresh request. @see RFC 6265 §4.2.1 */
export const refreshCookieHeader = (refreshToken: string): string => `${REFRESH_COOKIE}=${refreshToken}`

/**
 * The access token in a successful answer to a login or a refresh. @see RFC 6749 §5.1
 * @param mayOmitType take a token without a type for a bearer token, as the one that it replaces was.
 * @throws {AtlasError} `bad_response`: the answer is not one that an Atlas server gives; or why it has no body.
 */
export function parseAccessToken(answer: Answer, { mayOmitType = false } = {}): AccessToken {
  if (answer.bodyFault !== undefined) throw answer.bodyFault
  const fields = parseJsonObject(answer.body)
  if (fields === undefined) throw badResponse(answer, 'the answer is not a JSON object')
  const { access_token: accessToken, token_type: tokenType, expires_in: expiresIn } = fields
  if (typeof accessToken !== 'string' || !isToken(accessToken))
    throw badResponse(answer, 'the answer holds no usable access token')
  const omitted = mayOmitType && (tokenType === undefined || tokenType === null)
  if (!omitted && (typeof tokenType !== 'string' || tokenType.toLowerCase() !== 'bearer'))
    throw badResponse(answer, 'the token is not of type "bearer"')
  const lifetimeS = parseLifetime(expiresIn)
  // A claim is a server's time, which may differ from ours; it is better than nothing.
  return lifetimeS === null
    ? { accessToken, expiresAt: readClaims(accessToken).expiresAt, lifetimeMs: null }
    : { accessToken, expiresAt: after(answer.receivedAt, lifetimeS), lifetimeMs: lifetimeS * 1000 }
}

/** Seconds, or null for what is not a lifetime: such an answer still holds a good token. */
function parseLifetime(value: unknown): number | null {
  const seconds = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value
  return typeof seconds === 'number' && seconds >= 0 && seconds <= MAX_LIFETIME_S ? seconds : null
}

/**
 * The refresh token among an answer's cookies, and when the cookie, or else the token's claim, says that it
 * expires; undefined where there is none. Cookies of one name, domain and path are one, the last of which counts.
 * Of several, the one counts that a client would send to the refresh address; a lone one whatever its path, since
 * proxies strip prefixes. `Secure` is ignored: servers set it on plain http://localhost too.
 * @throws {AtlasError} `bad_response`: a refresh token that cannot be sent back.
 * @see RFC 6265 §5.3, §5.4
 */
export function parseRefreshToken(answer: Omit<Answer, 'body'>): RefreshToken | undefined {
  const { headers, url, receivedAt } = answer
  const found = new Map<string, Cookie>()
  for (const line of headers.getSetCookie()) {
    const cookie = readCookie(line, answer)
    if (cookie.name !== REFRESH_COOKIE || !domainMatches(cookie.domain, url.hostname)) continue
    const key = `${cookie.domain}|${cookie.path}`
    // Deleted first, so that the last one that came is the last one here.
    found.delete(key)
    found.set(key, cookie)
  }
  const refreshPath = `${defaultPath(url)}/refresh`
  const [chosen] = [...found.values()]
    .reverse()
    .filter(({ value, lifetimeS }) => value !== '' && value !== '""' && (lifetimeS ?? 1) > 0)
    .sort((a, b) => matchedLength(b.path, refreshPath) - matchedLength(a.path, refreshPath))
  if (chosen === undefined) return undefined
  const { value: refreshToken, lifetimeS } = chosen
  if (!isCookieValue(refreshToken))
    throw badResponse(answer, 'the refresh token holds characters that no cookie can carry, or is too long')
  const sessionExpiresAt =
    lifetimeS === null
      ? readClaims(refreshToken).expiresAt
      : after(receivedAt, Math.min(lifetimeS, MAX_LIFETIME_S))
  return { refreshToken, sessionExpiresAt }
}

interface Cookie {
  readonly name: string
  readonly value: string
  /** The host that was asked where the cookie names none. */
  readonly domain: string
  readonly path: string
  /** In seconds; 0 or less where the server clears the cookie, null where it does not say. */
  readonly lifetimeS: number | null
}

/** A Set-Cookie line; attributes that cannot be read are ignored. @see RFC 6265 §5.2 */
function readCookie(line: string, { headers, url, receivedAt }: Omit<Answer, 'body'>): Cookie {
  const [[name, value] = ['', ''], ...rest] = line.split(';').map(splitAtEquals)
  const attributes = new Map(rest.map(([key, text]) => [key.toLowerCase(), text]))
  const path = attributes.get('path') ?? ''
  return {
    name,
    value,
    domain: (attributes.get('domain') ?? '').replace(/^\./, '').toLowerCase() || url.hostname,
    path: path.startsWith('/') ? path : defaultPath(url),
    lifetimeS: cookieLifetime(attributes, servedAtMs(headers), receivedAt),
  }
}

function splitAtEquals(text: string): [name: string, value: string] {
  const [name = '', ...value] = text.split('=')
  return [name.trim(), value.join('=').trim()]
}

/** No cookie that was meant to live has ended this long ago; a server clears one by such a date. */
const LONG_PAST_MS = Date.UTC(2020)

/** Max-Age beats Expires, which is a time of the server's clock; ours may differ. @see RFC 6265 §5.3 */
function cookieLifetime(attributes: ReadonlyMap<string, string>, servedMs: number, now: Date): number | null {
  const maxAge = attributes.get('max-age') ?? ''
  if (/^-?\d+$/.test(maxAge)) return Number(maxAge)
  const expires = attributes.get('expires') ?? ''
  const expiresAtMs = parseCookieDate(expires)
  if (Number.isNaN(expiresAtMs)) return null
  if (expiresAtMs < LONG_PAST_MS) return 0
  if (!Number.isNaN(servedMs)) return (expiresAtMs - servedMs) / 1000
  return expiresAtMs > now.getTime() ? (expiresAtMs - now.getTime()) / 1000 : null
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

/** Milliseconds since 1970, or NaN; the platform's own parser takes other years and zones. @see RFC 6265 §5.1.1 */
function parseCookieDate(text: string): number {
  const found: { time?: RegExpExecArray; day?: number; month?: number; year?: number } = {}
  for (const token of text.split(/[\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+/)) {
    const time = /^(\d{1,2}):(\d{1,2}):(\d{1,2})(?!\d)/.exec(token)
    const [, digits = ''] = /^(\d{1,4})(?!\d)/.exec(token) ?? []
    const month = MONTHS.indexOf(token.slice(0, 3).toLowerCase())
    if (!found.time && time) found.time = time
    else if (found.day === undefined && (digits.length === 1 || digits.length === 2))
      found.day = Number(digits)
    else if (found.month === undefined && month >= 0) found.month = month
    else if (found.year === undefined && digits.length >= 2) found.year = fullYear(Number(digits))
  }
  const { time, day = 0, month = -1, year = 0 } = found
  const [hour, minute, second] = (time?.slice(1) ?? ['99', '99', '99']).map(Number) as [
    number,
    number,
    number,
  ]
  const isValid =
    day >= 1 && day <= 31 && month >= 0 && year >= 1601 && hour <= 23 && minute <= 59 && second <= 59
  return isValid ? Date.UTC(year, month, day, hour, minute, second) : Number.NaN
}

function fullYear(year: number): number {
  if (year >= 70 && year <= 99) return year + 1900
  return year <= 69 ? year + 2000 : year
}

/** @see RFC 6265 §5.1.3 */
function domainMatches(domain: string, hostname: string): boolean {
  if (domain === hostname) return true
  return hostname.endsWith(`.${domain}`) && !/^[\d.]+$|:/.test(hostname)
}

/** The folder of the address that was asked. @see RFC 6265 §5.1.4 */
const defaultPath = ({ pathname }: URL): string => pathname.replace(/\/[^/]*$/, '')

/** How much of a request's path a cookie's path covers; -1 where it does not match. @see RFC 6265 §5.1.4 */
function matchedLength(cookiePath: string, requestPath: string): number {
  const folder = cookiePath.endsWith('/') ? cookiePath : `${cookiePath}/`
  return `${requestPath}/`.startsWith(folder) ? cookiePath.length : -1
}

/** The unverified claims of a token, to show and to decide nothing; null without a JWT. @see RFC 7519 §4.1.4 */
export function readClaims(token: string): { expiresAt: Date | null; email: string | null } {
  const none = { expiresAt: null, email: null }
  const [, payload] = token.split('.')
  if (payload === undefined) return none
  const claims = parseJsonObject(Buffer.from(payload, 'base64url').toString())
  if (claims === undefined) return none
  const { exp, email } = claims
  const plausible = typeof exp === 'number' && exp > 0 && exp * 1000 <= MAX_DATE_MS
  return {
    expiresAt: plausible ? new Date(exp * 1000) : null,
    email: typeof email === 'string' ? email : null,
  }
}

/** The last moment of the year 9999: beyond it ISO 8601 needs another form. */
const MAX_DATE_MS = 253_402_300_799_999

/** Whether an answer definitely refuses the refresh token, and is no fault on the way. @see RFC 6749 §5.2 */
export function isRefusal(answer: Answer): boolean {
  if (!isApiRefusal(answer)) return false
  if (answer.status === 401) return true
  const { error, detail } = parseJsonObject(answer.body) ?? {}
  return answer.status === 400 && (error === 'invalid_grant' || detail === 'invalid_grant')
}

/** What an unsuccessful answer to a login means. */
export function loginError(answer: Answer, reader: Reader): AtlasError {
  const { status, url } = answer
  if (!isApiRefusal(answer)) return errorFor(answer, reader)
  const said = serverWords(answer, reader)
  if (status === 400 || status === 401 || status === 403)
    return new AtlasError(
      'bad_credentials',
      `${url.origin} refused the login${said ? `: ${said}` : '.'}`,
      'Check e-mail and password, and that this is the right server, then try again.',
    )
  if (status === 422)
    return new AtlasError(
      'api_error',
      `${url.origin} does not accept what was typed${said ? `: ${said}` : '.'}`,
      'Check that the e-mail is complete, such as ada@example.com.',
    )
  return errorFor(answer, reader)
}

const after = (now: Date, seconds: number): Date => new Date(now.getTime() + seconds * 1000)
