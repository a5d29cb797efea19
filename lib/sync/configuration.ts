import type { $Fetch } from 'ofetch'
import { AtlasError } from '../errors.ts'
import { answerIn, unwrapFetchError } from '../http/fetch-error.ts'
import { type Asked, badResponse, judge, parseJsonObject } from '../session/protocol.ts'

/** The most that a configuration may hold, in bytes of UTF-8. */
export const MAX_CONTENT_BYTES = 10 * 1024 * 1024
/** In JSON one byte of content takes up to six (`\u0000`); the rest is for the other fields. */
const MAX_ANSWER_BYTES = 6 * MAX_CONTENT_BYTES + 64 * 1024
const MAX_COMMIT_LENGTH = 128
const PATH = '/configuration/me'

/** The configuration that the server keeps for the user. */
export interface Configuration {
  /** UTF-8; empty where the user has none. */
  readonly content: Uint8Array
  readonly commitSha: string | null
  readonly updatedAt: Date | null
}

export interface FetchConfigurationOptions {
  readonly client: $Fetch
  readonly apiRoot: string
  readonly now: () => Date
  /** Whether the token came ready-made, for advice where it is refused. */
  readonly fixedToken: boolean
  /** Whether a text of the server may be shown: not where it repeats a secret. */
  readonly quotable: (text: string) => boolean
  /** What may be wrong with the URL where the answer is 404. */
  readonly notFoundHint: string | undefined
  readonly signal: AbortSignal
}

/**
 * Ask the server for the user's configuration: one request, and two more where the session must be refreshed.
 * @throws {AtlasError} `token_rejected` (401), `rate_limited`, `server_error`, `bad_response`, and what
 * a request or a refresh may throw.
 */
export async function fetchConfiguration(options: FetchConfigurationOptions): Promise<Configuration> {
  const { client, apiRoot, now, fixedToken, quotable, notFoundHint, signal } = options
  const asked = (): Asked => ({ what: `GET ${PATH}`, url: new URL(apiRoot), now: now() })
  try {
    // As bytes: a text decoder would put U+FFFD in the place of what is not UTF-8.
    const { status, headers, _data } = await client.raw<ArrayBuffer, 'arrayBuffer'>(PATH, {
      headers: { accept: 'application/json' },
      responseType: 'arrayBuffer',
      guard: { maxBytes: MAX_ANSWER_BYTES },
      signal,
    })
    if (status !== 200) throw judge({ status, headers, body: '' }, asked(), quotable)
    return parseConfiguration(new Uint8Array(_data ?? new ArrayBuffer(0)), asked())
  } catch (thrown) {
    const error = unwrapFetchError(thrown)
    const answered = answerIn(error)
    if (answered === undefined) throw error
    if (answered.status === 404)
      throw badResponse(asked(), 'there is no configuration there (404)', notFoundHint)
    if (answered.status !== 401)
      throw judge({ status: answered.status, headers: answered.headers, body: '' }, asked(), quotable)
    throw new AtlasError(
      'token_rejected',
      `${new URL(apiRoot).origin} rejects the access token (401).`,
      fixedToken
        ? 'Set ATLAS_ACCESS_TOKEN to a valid token, or unset it.'
        : 'Log in again with: atlas auth login',
    )
  }
}

/**
 * The configuration in the body of an answer, byte for byte.
 * @throws {AtlasError} `bad_response`: it is not one that can be written as it was meant.
 */
export function parseConfiguration(body: Uint8Array, asked: Asked): Configuration {
  const fields = parseJsonObject(decode(body, asked))
  if (fields === undefined) throw badResponse(asked, 'the answer is not a JSON object')
  const { content, commit_sha: commitSha = null, updated_at: updatedAt = null } = fields
  if (typeof content !== 'string' && content !== null) throw badResponse(asked, '"content" is not a string')
  if (content !== null && !content.isWellFormed())
    throw badResponse(asked, '"content" holds half a character (a lone surrogate), which no file can hold')
  if (commitSha !== null && (typeof commitSha !== 'string' || commitSha.length > MAX_COMMIT_LENGTH))
    throw badResponse(asked, '"commit_sha" is not a commit')

  const bytes = Buffer.from(content ?? '')
  if (bytes.byteLength > MAX_CONTENT_BYTES)
    throw badResponse(
      asked,
      `the configuration has ${bytes.byteLength} bytes, and atlas takes ${MAX_CONTENT_BYTES} at most`,
    )
  return { content: bytes, commitSha: commitSha || null, updatedAt: parseMoment(updatedAt, asked) }
}

function decode(body: Uint8Array, asked: Asked): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    throw badResponse(asked, 'the answer is not UTF-8')
  }
}

/**
 * A moment in ISO 8601; one without a zone is UTC, as Python servers mean it. It is told to people and
 * decides nothing, so a text that is no time is no fault.
 */
function parseMoment(value: unknown, asked: Asked): Date | null {
  if (value === null) return null
  if (typeof value !== 'string') throw badResponse(asked, '"updated_at" is not a time')
  const hasZone = /(Z|[+-]\d\d:?\d\d)$/i.test(value.slice('YYYY-MM-DD'.length))
  const moment = new Date(hasZone ? value : `${value.replace(' ', 'T')}Z`)
  return Number.isNaN(moment.getTime()) ? null : moment
}
