import { withoutQuery } from '../config/server.ts'
import { isToken } from '../config/values.ts'
import { AtlasError } from '../errors.ts'
import { isCookieValue } from './record.ts'

/** The name of the cookie that carries the refresh token. */
export const REFRESH_COOKIE = 'refresh_token'

const MAX_LIFETIME_S = 10 * 365 * 86_400
const MAX_RETRY_AFTER_S = 86_400
const MAX_QUOTE_LENGTH = 200

/** An answer as it came: status, headers and the whole body. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: string
}

/** The tokens that a login or a refresh gave. */
export interface Tokens {
  readonly accessToken: string
  /** Null where the server did not say or said something that is no lifetime. */
  readonly expiresAt: Date | null
  /** Undefined where the answer gave none. */
  readonly refresh: RefreshCookie | undefined
}

export interface RefreshCookie {
  readonly token: string
  readonly expiresAt: Date | null
}

/** What was asked, for messages. */
export interface Asked {
  /** `POST /auth/login` of which server, as shown to a person. */
  readonly what: string
  readonly url: URL
  readonly now: Date
}

/** The body of a login request. @see RFC 6749 §4.3.2 */
export const loginForm = (email: string, password: string): URLSearchParams =>
  new URLSearchParams({ grant_type: 'password', username: email, password })

/** The Cookie header of a refresh request. @see RFC 6265 §4.2.1 */
export const refreshCookieHeader = (refreshToken: string): string => `${REFRESH_COOKIE}=${refreshToken}`

/**
 * The tokens in a successful answer to a login or a refresh.
 * @param mayOmitType take a token without a type for a bearer token, which the one that it replaces was.
 * @throws {AtlasError} `bad_response`: the answer is not one that an Atlas server gives.
 * @see RFC 6749 §5.1
 */
export function parseTokens(answer: Answer, asked: Asked, { mayOmitType = false } = {}): Tokens {
  const fields = parseJsonObject(answer.body)
  if (fields === undefined) throw badResponse(asked, 'the answer is not a JSON object')
  const { access_token: accessToken, token_type: tokenType, expires_in: expiresIn } = fields
  if (typeof accessToken !== 'string' || !isToken(accessToken))
    throw badResponse(asked, 'the answer holds no usable access token')
  const omitted = mayOmitType && (tokenType === undefined || tokenType === null)
  if (!omitted && (typeof tokenType !== 'string' || tokenType.toLowerCase() !== 'bearer'))
    throw badResponse(asked, 'the token is not of type "bearer"')
  const lifetimeS = parseLifetime(expiresIn)
  return {
    accessToken,
    expiresAt: lifetimeS === undefined ? null : after(asked.now, lifetimeS),
    refresh: parseRefreshCookie(answer, asked),
  }
}

/** Seconds, or undefined for what is no lifetime: such an answer still holds a good token. */
function parseLifetime(value: unknown): number | undefined {
  const seconds = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value
  if (typeof seconds !== 'number' || !(seconds >= 0 && seconds <= MAX_LIFETIME_S)) return undefined
  return seconds
}

/**
 * The refresh token among an answer's cookies; undefined where there is none, or where it is cleared. The
 * last of several counts; one for another domain is not ours. The path is not looked at: it says where a
 * browser sends a cookie, while atlas sends this one to the refresh address of the server that set it and
 * nowhere else.
 * @throws {AtlasError} `bad_response`: a refresh token that cannot be sent back.
 * @see RFC 6265 §5.2, §5.3
 */
export function parseRefreshCookie({ headers }: Pick<Answer, 'headers'>, asked: Asked): Tokens['refresh'] {
  let found: Tokens['refresh']
  for (const line of headers.getSetCookie()) {
    const [pair = '', ...attributes] = line.split(';')
    const equals = pair.indexOf('=')
    if (equals < 0 || pair.slice(0, equals).trim() !== REFRESH_COOKIE) continue
    const token = pair.slice(equals + 1).trim()

    const values = new Map<string, string>()
    for (const attribute of attributes) {
      const [name = '', ...rest] = attribute.split('=')
      values.set(name.trim().toLowerCase(), rest.join('=').trim())
    }
    if (!domainMatches(values.get('domain'), asked.url.hostname)) continue

    const life = cookieLife(values, headers.get('date'), asked.now)
    if (token === '' || token === '""' || life === 'cleared') {
      found = undefined
    } else if (isCookieValue(token)) {
      found = { token, expiresAt: life }
    } else {
      throw badResponse(asked, 'the refresh token holds characters that no cookie can carry, or is too long')
    }
  }
  return found
}

/** @see RFC 6265 §5.1.3 */
function domainMatches(attribute: string | undefined, hostname: string): boolean {
  const domain = attribute?.replace(/^\./, '').toLowerCase()
  if (!domain || domain === hostname) return true
  return hostname.endsWith(`.${domain}`) && !/^[\d.]+$|:/.test(hostname)
}

/** No cookie that was meant to live has ended this long ago; a server clears one by such a date. */
const LONG_PAST_MS = Date.UTC(2020)

/**
 * When a cookie ends by our clock, null where that is not known. Max-Age beats Expires, which is a time of
 * the server's clock: ours may run ahead by more than the cookie's life.
 * @see RFC 6265 §5.3
 */
function cookieLife(
  attributes: ReadonlyMap<string, string>,
  serverDate: string | null,
  now: Date,
): Date | null | 'cleared' {
  const maxAge = attributes.get('max-age')
  if (maxAge !== undefined && /^-?\d+$/.test(maxAge)) {
    const seconds = Math.min(Number(maxAge), MAX_LIFETIME_S)
    return seconds > 0 ? after(now, seconds) : 'cleared'
  }
  // The platform's parser also takes "0" for a date, and the session would be given up.
  const text = attributes.get('expires') ?? ''
  const expires = Date.parse(/\d:\d\d/.test(text) ? text : '')
  if (Number.isNaN(expires)) return null
  if (expires < LONG_PAST_MS) return 'cleared'
  const servedAt = Date.parse(serverDate ?? '')
  if (Number.isNaN(servedAt)) return expires > now.getTime() ? new Date(expires) : null
  const lifeMs = Math.min(expires - servedAt, MAX_LIFETIME_S * 1000)
  return lifeMs > 0 ? new Date(now.getTime() + lifeMs) : 'cleared'
}

/**
 * What a person can be told of a token: its `exp` and `email` claims, unverified. Nothing is decided
 * by them, and a token that is no JWT has none.
 * @see RFC 7519 §4.1.4
 */
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

/**
 * Whether an answer to a refresh is a definite refusal of the refresh token, and no trouble of
 * network, proxy or server.
 * @see RFC 6749 §5.2
 */
export function isRefusal({ status, body }: Answer): boolean {
  if (status === 401) return true
  if (status !== 400) return false
  const { error, detail } = parseJsonObject(body) ?? {}
  return error === 'invalid_grant' || detail === 'invalid_grant'
}

/**
 * What an unsuccessful answer to a login means.
 * @param quotable whether a text of the server may be shown: not where it repeats the password.
 */
export function judgeLogin(answer: Answer, asked: Asked, quotable: (text: string) => boolean): AtlasError {
  const { status } = answer
  const said = quote(answer, quotable)
  if (status === 400 || status === 401 || status === 403) {
    return new AtlasError(
      'bad_credentials',
      `${asked.url.origin} refused the login${said ? `: ${said}` : '.'}`,
      'Check e-mail and password, and that this is the right server, then try again.',
    )
  }
  if (status === 422) {
    return new AtlasError(
      'api_error',
      `${asked.url.origin} does not accept what was typed${said ? `: ${said}` : '.'}`,
      'Check that the e-mail is complete, such as ada@example.com.',
    )
  }
  return judge(answer, asked, quotable)
}

/**
 * What an unsuccessful answer means that says nothing about the credentials.
 * @param quotable whether a text of the server may be shown: not where it repeats a secret.
 */
export function judge(
  { status, headers }: Answer,
  asked: Asked,
  quotable: (text: string) => boolean,
): AtlasError {
  if (status === 429) {
    const waitS = parseRetryAfter(headers.get('retry-after'), asked.now)
    return new AtlasError(
      'rate_limited',
      `${asked.url.origin} has had too many requests (429).`,
      waitS === undefined ? 'Wait a minute, then try again.' : `Wait ${waitS} s, then try again.`,
    )
  }
  if (status >= 500) {
    return new AtlasError(
      'server_error',
      `${asked.url.origin} failed (${status}) on ${asked.what}.`,
      'Try again later.',
    )
  }
  if (status >= 300 && status < 400) {
    const target = withoutQuery(headers.get('location') ?? '')
    return badResponse(
      asked,
      `it redirects${target && quotable(target) ? ` to ${target.slice(0, MAX_QUOTE_LENGTH)}` : ''}, which is not followed with credentials`,
    )
  }
  return badResponse(asked, `the status is ${status}`)
}

/** Seconds to wait, from either form of Retry-After. @see RFC 9110 §10.2.3 */
export function parseRetryAfter(value: string | null, now: Date): number | undefined {
  if (value === null) return undefined
  const seconds = /^\d+$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - now.getTime()) / 1000)
  if (Number.isNaN(seconds) || seconds < 0) return undefined
  return Math.min(seconds, MAX_RETRY_AFTER_S)
}

export const badResponse = (
  asked: Asked,
  reason: string,
  hint = 'Check the server URL (--api-url or ATLAS_API_URL).',
): AtlasError =>
  new AtlasError(
    'bad_response',
    `${asked.url.origin} did not answer ${asked.what} as an Atlas server does: ${reason}.`,
    hint,
  )

/** A server's own words, from either form of FastAPI's `detail`; undefined where there are none to show. */
function quote({ body }: Answer, quotable: (text: string) => boolean): string | undefined {
  const detail = parseJsonObject(body)?.['detail']
  const text =
    typeof detail === 'string' ? detail : Array.isArray(detail) ? detail.map(describeFault).join('; ') : ''
  if (text === '' || !quotable(text)) return undefined
  return text.length > MAX_QUOTE_LENGTH ? `${text.slice(0, MAX_QUOTE_LENGTH)}…` : text
}

/** One entry of a validation answer: the field and the message; what was typed is left out. */
function describeFault(fault: unknown): string {
  if (typeof fault !== 'object' || fault === null) return 'a field is not valid'
  const { loc, msg } = fault as Record<string, unknown>
  const field = Array.isArray(loc) ? loc.at(-1) : undefined
  const message = typeof msg === 'string' ? msg : 'not valid'
  return typeof field === 'string' ? `${field}: ${message}` : message
}

export function parseJsonObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

const after = (now: Date, seconds: number): Date => new Date(now.getTime() + seconds * 1000)
