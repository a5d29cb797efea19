import { isAscii, isUtf8 } from 'node:buffer'
import { AtlasError } from '../errors.ts'
import { type Answer, apiError, badResponse, errorFor, type Reader } from '../http/answer.ts'
import type { BytesAnswer, Http } from '../http/requests.ts'
import type { Interrupts } from '../interrupts.ts'
import { parseJsonObject } from '../json-object.ts'
import type { Credential } from '../session/credentials.ts'

/** The most that a configuration may hold, in bytes of UTF-8. */
export const MAX_CONTENT_BYTES = 10 * 1024 * 1024
/** In JSON one byte of content takes up to six (`\u0000`); the rest is for the other fields. */
export const MAX_ANSWER_BYTES = 6 * MAX_CONTENT_BYTES + 64 * 1024
const MAX_COMMIT_LENGTH = 128

export interface Configuration {
  /** UTF-8; empty where the user has none, and where the server could not read it but has a commit. */
  readonly content: Uint8Array
  readonly commitSha: string | null
  readonly updatedAt: Date | null
}

export interface ConfigurationDependencies {
  readonly http: Http
  readonly reader: Reader
  readonly interrupts: Interrupts
}

/**
 * One request; more where the session must be refreshed or the API looked for.
 * @throws {AtlasError} `token_rejected` (401), `rate_limited`, `server_error`, `bad_response`, and what
 * a request or a refresh may throw.
 */
export async function fetchConfiguration(
  credential: Credential,
  { http, reader, interrupts }: ConfigurationDependencies,
): Promise<Configuration> {
  const limits = { maxBytes: MAX_ANSWER_BYTES, signal: interrupts.cancelled }
  const answer = await http.get(credential, '/configuration/me', limits)
  if (answer.status !== 200) throw errorFor(answer, reader)
  return parseConfiguration(answer.body, answer)
}

/**
 * Save a text as the user's configuration: the last writer wins.
 * @throws {AtlasError} `api_error`: the server refuses it, in its own words; else as `fetchConfiguration` does.
 */
export async function saveConfiguration(
  content: Uint8Array,
  message: string | undefined,
  credential: Credential,
  { http, reader, interrupts }: ConfigurationDependencies,
): Promise<void> {
  const limits = { maxBytes: MAX_ANSWER_BYTES, signal: interrupts.cancelled }
  const json = { content: Buffer.from(content).toString(), ...(message !== undefined && { message }) }
  const answer = await http.send('PUT', credential, '/configuration/me', json, limits)
  if (answer.status < 200 || answer.status > 299) throw refusalOf(answer, reader)
}

/** Why the server did not do what changes something there. */
export function refusalOf(answer: BytesAnswer, reader: Reader): AtlasError {
  const { status } = answer
  const isRefused = status >= 400 && status < 500 && status !== 401 && status !== 429
  return isRefused ? apiError(answer, reader) : errorFor(answer, reader)
}

type Asked = Pick<Answer, 'request' | 'url'>

/** @throws {AtlasError} `bad_response`: it is not a configuration that can be written as it was meant. */
export function parseConfiguration(body: Uint8Array, asked: Asked): Configuration {
  if (!isUtf8(body)) throw badResponse(asked, 'the answer is not UTF-8')
  const { fields, encoding } = parseFields(body)
  if (fields === undefined) throw badResponse(asked, 'the answer is not a JSON object')
  const { commit_sha: commit = null, updated_at: updatedAt = null } = fields
  // A server that cannot read its store leaves the text out, and still names the commit.
  const { content = commit === null ? undefined : null } = fields
  if (typeof content !== 'string' && content !== null) throw badResponse(asked, '"content" is not a string')
  if (content !== null && !content.isWellFormed())
    throw badResponse(asked, '"content" holds half a character (a lone surrogate), which no file can hold')
  if (commit !== null && (typeof commit !== 'string' || commit.length > MAX_COMMIT_LENGTH))
    throw badResponse(asked, '"commit_sha" is not a commit')

  const bytes = Buffer.from(content ?? '', encoding)
  const commitSha = commit && Buffer.from(commit, encoding).toString()
  if (bytes.byteLength > MAX_CONTENT_BYTES)
    throw badResponse(
      asked,
      `the configuration has ${bytes.byteLength} bytes, and atlas takes ${MAX_CONTENT_BYTES} at most`,
    )
  return { content: bytes, commitSha: commitSha || null, updatedAt: parseMoment(updatedAt, asked) }
}

const BYTE_ORDER_MARK = Buffer.from('\ufeff')
const ESCAPE_BEYOND_ASCII = /\\u(?!00[0-7])/i

/**
 * The fields of a JSON object, and how their text becomes UTF-8. All that JSON means something by is ASCII, so its bytes
 * can be read as Latin-1: in half the memory, as one character beyond Latin-1 makes two bytes of each. Escapes of such
 * characters would not be told from bytes, so they need the text itself.
 */
function parseFields(body: Uint8Array) {
  const isMarked = BYTE_ORDER_MARK.equals(body.subarray(0, BYTE_ORDER_MARK.length))
  const json = Buffer.from(body.buffer, body.byteOffset, body.byteLength).subarray(
    isMarked ? BYTE_ORDER_MARK.length : 0,
  )
  const bytewise = json.toString('latin1')
  if (isAscii(json)) return { fields: parseJsonObject(bytewise), encoding: 'utf8' } as const
  if (ESCAPE_BEYOND_ASCII.test(bytewise))
    return { fields: parseJsonObject(json.toString()), encoding: 'utf8' } as const
  return { fields: parseJsonObject(bytewise), encoding: 'latin1' } as const
}

/** ISO 8601; UTC where no zone is given, as Python servers mean it. Any other text is null, since it decides nothing. */
export function parseMoment(value: unknown, asked: Asked): Date | null {
  if (value === null) return null
  if (typeof value !== 'string') throw badResponse(asked, '"updated_at" is not a time')
  const hasZone = /(Z|[+-]\d\d:?\d\d)$/i.test(value.slice('YYYY-MM-DD'.length))
  const moment = new Date(hasZone ? value : `${value.replace(' ', 'T')}Z`)
  return Number.isNaN(moment.getTime()) ? null : moment
}

/** @returns `remote_unreadable`: the server has a commit and sent no text. */
export const remoteUnreadable = (
  apiUrl: string,
  { commitSha }: Pick<Configuration, 'commitSha'>,
): AtlasError =>
  new AtlasError(
    'remote_unreadable',
    `${apiUrl} keeps a configuration for you (commit ${shortCommit(commitSha ?? '')}), but sent no text with it: the saved text is empty, or the server could not read it.`,
    'No file is changed. Try again later; if that does not help, ask the server’s administrator.',
  )

export const shortCommit = (commitSha: string): string => commitSha.slice(0, 7)
