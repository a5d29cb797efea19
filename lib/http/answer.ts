import { AtlasError } from '../errors.ts'
import { isJsonObject, parseJsonObject } from '../json-object.ts'

/** What to do where a server does not answer like an Atlas server. */
export const CHECK_SERVER_URL = 'Check the server URL (--api-url or ATLAS_API_URL).'

const MAX_RETRY_AFTER_S = 86_400
const MAX_QUOTE_LENGTH = 200
/** No API sends a longer challenge, in characters. */
const MAX_CHALLENGE_LENGTH = 4_096

/** A server's answer with its whole body, and what was asked. */
export interface Answer {
  /** Method and path, such as `POST /auth/login`. */
  readonly request: string
  readonly url: URL
  readonly status: number
  readonly statusText: string
  readonly headers: Headers
  readonly body: string
  /** Why the body could not be read and is empty, where its status and headers count all the same. */
  readonly bodyFault?: AtlasError
  readonly receivedAt: Date
}

/** What is needed to turn an answer into a message. */
export interface Reader {
  /** Whether a text of the server may be shown: not where it repeats a secret. */
  readonly isSafeToShow: (text: string) => boolean
  /** What to do where the access token is rejected. */
  readonly renewHint?: string | undefined
  /** Why the server is likely to reject it, without a full stop; undefined where nothing is known. */
  readonly tokenFault?: () => string | undefined
}

/** An answer that is not one of an Atlas server. @param reason the end of a sentence. */
export const badResponse = (
  { request, url }: Pick<Answer, 'request' | 'url'>,
  reason: string,
  hint = CHECK_SERVER_URL,
): AtlasError =>
  new AtlasError(
    'bad_response',
    `${url.origin} did not answer ${request} as an Atlas server does: ${reason}.`,
    hint,
  )

/**
 * Whether an answer that refuses something is the API's own, and not that of a proxy or a gateway on the way: a JSON
 * object that says why, and no challenge but for a bearer token. @see RFC 9110 §11.6.1
 */
export function isApiRefusal({ headers, body }: Pick<Answer, 'headers'> & AnyBody): boolean {
  return reasonIn(body) !== undefined && challenges(headers).every(scheme => scheme === 'bearer')
}

type AnyBody = { readonly body: string | Uint8Array }

/** Why an API refuses, in whatever form: its `detail`, or else its `error`. */
function reasonIn(body: AnyBody['body']): unknown {
  const { detail, error } = parseJsonObject(textOf(body)) ?? {}
  return detail || error || undefined
}

const textOf = (body: AnyBody['body']): string =>
  typeof body === 'string' ? body : new TextDecoder().decode(body)

/** The schemes of WWW-Authenticate; each may be followed by parameters, which are separated by commas too. */
function challenges(headers: Headers): string[] {
  const value = headers.get('www-authenticate') ?? ''
  if (value.length > MAX_CHALLENGE_LENGTH) return ['too long']
  const parts = value.replace(/"(?:[^"\\]|\\.)*"/g, '').split(',')
  return parts.flatMap(part => {
    const [, scheme] = /^\s*([^\s=]+)(?!\s*=)(?:\s|$)/.exec(part) ?? []
    return scheme === undefined ? [] : [scheme.toLowerCase()]
  })
}

/** What an unsuccessful answer means, whatever was asked; a redirect is an error. */
export function errorFor(answer: Omit<Answer, 'body'> & AnyBody, reader: Reader): AtlasError {
  const { status, headers, url, request, receivedAt } = answer
  if (status === 401 && !isApiRefusal(answer))
    return badResponse(
      answer,
      'the status is 401, but it comes from a proxy or gateway, or from another kind of server',
      'Check the server URL (--api-url or ATLAS_API_URL), and whether a proxy in between wants a login of its own.',
    )
  if (status === 401)
    return new AtlasError(
      'token_rejected',
      `${url.origin} rejects the access token (401)${ending(reader.tokenFault?.())}`,
      reader.renewHint ?? CHECK_SERVER_URL,
    )
  if (status === 429) {
    const waitS = parseRetryAfter(headers.get('retry-after'), receivedAt)
    const limit = serverWords(answer, reader)?.replace(/^rate limit exceeded\W*/i, '')
    return new AtlasError(
      'rate_limited',
      `Rate limit exceeded (429) on ${url.origin}${ending(limit)}`,
      waitS === undefined ? 'Wait a minute, then try again.' : `Wait ${waitS} s, then try again.`,
    )
  }
  if (status >= 500)
    return new AtlasError(
      'server_error',
      `${url.origin} failed (${status}) on ${request}${ending(serverWords(answer, reader))}`,
      'Try again later.',
    )
  if (status >= 300 && status < 400)
    return badResponse(
      answer,
      `it redirects${redirectTarget(headers, reader)}, which atlas does not follow here`,
    )
  const said = serverWords(answer, reader)
  return badResponse(answer, `the status is ${status}${said ? ` ("${said}")` : ''}`)
}

/** The end of a sentence that may give a reason. */
const ending = (reason: string | undefined): string => (reason ? `: ${reason.replace(/\.$/, '')}.` : '.')

/** What a status of 300 or above means to `atlas api`, which has printed the body already; redirects aside. */
export function apiError(answer: Omit<Answer, 'body'> & AnyBody, reader: Reader): AtlasError {
  const { status, statusText } = answer
  const said = serverWords(answer, reader)
  if (status !== 401)
    return new AtlasError(
      'api_error',
      `${requestAndStatus(answer, reader)}${ending(said === statusText ? undefined : said)}`,
    )
  const reasons = [said, reader.tokenFault?.()].filter(Boolean).join('; ')
  const reason = reasons || 'the server rejects the access token'
  return new AtlasError(
    'token_rejected',
    `${requestAndStatus(answer, reader)}${ending(reason)}`,
    reader.renewHint,
  )
}

/** The beginning of a sentence: what was asked, and the status. */
export const requestAndStatus = (
  { request, status, statusText }: Omit<Answer, 'body'>,
  reader: Reader,
): string => `${request} answered ${`${status} ${quote(statusText, reader)}`.trim()}`

/** Where a redirect leads, without the parts that may carry what was sent. */
export function redirectTarget(headers: Headers, reader: Reader): string {
  const location = headers.get('location')?.replace(/[?#].*$/s, '')
  return location ? ` to ${quote(location, reader)}` : ''
}

/** Text of a server for a message: shortened, and hidden where it repeats a secret. */
export const quote = (text: string, { isSafeToShow }: Reader): string =>
  isSafeToShow(text) ? text.slice(0, MAX_QUOTE_LENGTH) : '[hidden]'

/** Without the input that a validation error repeats if it was made a string. By search: a pattern could take minutes. */
function withoutInput(words: string): string {
  const input = words.indexOf('input_value=')
  if (input < 0) return words
  const head = words.slice(0, input)
  const bracket = head.lastIndexOf('[type=')
  const isOpen = bracket >= 0 && !head.includes(']', bracket)
  return (isOpen ? head.slice(0, bracket) : head).trimEnd()
}

/** The server's own words, from either form of FastAPI's `detail`, or from `error`; undefined where there are none to show. */
export function serverWords({ body }: AnyBody, { isSafeToShow }: Reader): string | undefined {
  const reason = reasonIn(body)
  const details = (Array.isArray(reason) ? reason : [reason])
    .map(describeReason)
    .filter(words => words !== undefined)
  const text = details.map(withoutInput).join('; ')
  if (text === '' || !isSafeToShow(text)) return undefined
  return text.length > MAX_QUOTE_LENGTH ? `${text.slice(0, MAX_QUOTE_LENGTH)}…` : text
}

/** A text, or the field and message of a validation error, without `input`, which repeats what was typed. */
function describeReason(entry: unknown): string | undefined {
  if (typeof entry === 'string') return entry
  if (!isJsonObject(entry)) return undefined
  const { loc, msg, message = msg } = entry
  const field = Array.isArray(loc) ? loc.at(-1) : undefined
  if (typeof message !== 'string') return typeof field === 'string' ? `${field}: not valid` : undefined
  return typeof field === 'string' ? `${field}: ${message}` : message
}

/** Seconds to wait, from either form of Retry-After. @see RFC 9110 §10.2.3 */
export function parseRetryAfter(value: string | null, now: Date): number | undefined {
  if (value === null) return undefined
  const seconds = /^\d+$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - now.getTime()) / 1000)
  if (Number.isNaN(seconds) || seconds < 0) return undefined
  return Math.min(seconds, MAX_RETRY_AFTER_S)
}

/** What time it was at the server, in milliseconds; NaN where it does not say. A cache sends an older date. @see RFC 9111 §5.1 */
export function servedAtMs(headers: Headers): number {
  const age = headers.get('age') ?? ''
  return Date.parse(headers.get('date') ?? '') + (/^\d{1,9}$/.test(age) ? Number(age) * 1000 : 0)
}
