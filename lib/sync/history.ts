import { badResponse, errorFor } from '../http/answer.ts'
import { isJsonObject, parseJsonObject } from '../json-object.ts'
import type { Credential } from '../session/credentials.ts'
import {
  type Configuration,
  type ConfigurationDependencies,
  MAX_ANSWER_BYTES,
  parseConfiguration,
  parseMoment,
  refusalOf,
} from './remote.ts'

/** As many as the server lists at once. */
export const MAX_VERSIONS = 100
/** A hundred of the longest messages that a command line can hold are fewer. */
const MAX_LIST_BYTES = 16 * 1024 * 1024
/** Of a commit, so that it can be a part of a path. */
const COMMIT = /^[0-9a-zA-Z]{7,128}$/

/** One text that the server has kept. */
export interface Version {
  readonly commitSha: string
  readonly message: string
  readonly author: string
  readonly timestamp: Date | null
}

/**
 * The versions of the user's configuration, newest first.
 * @param limit 1 to 100.
 * @throws {AtlasError} `bad_response`, and as `fetchConfiguration` does.
 */
export async function fetchHistory(
  limit: number,
  credential: Credential,
  { http, reader, interrupts }: ConfigurationDependencies,
): Promise<{ versions: Version[]; total: number }> {
  const limits = { maxBytes: MAX_LIST_BYTES, signal: interrupts.cancelled }
  const answer = await http.get(credential, `/configuration/me/history?limit=${limit}`, limits)
  if (answer.status !== 200) throw errorFor(answer, reader)
  const { versions, total } = parseJsonObject(Buffer.from(answer.body).toString()) ?? {}
  if (!Array.isArray(versions)) throw badResponse(answer, '"versions" is not a list')
  const listed = versions.map((version: unknown): Version => {
    const { commit_sha: commitSha, message, author, timestamp = null } = isJsonObject(version) ? version : {}
    if (typeof commitSha !== 'string' || !COMMIT.test(commitSha))
      throw badResponse(answer, 'a version has no commit')
    const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
    return {
      commitSha,
      message: textOf(message),
      author: textOf(author),
      timestamp: parseMoment(timestamp, answer),
    }
  })
  return { versions: listed.slice(0, limit), total: typeof total === 'number' ? total : listed.length }
}

/**
 * Let the server make a listed version the newest one again.
 * @returns the configuration after it. @throws {AtlasError} as `fetchConfiguration` does.
 */
export async function rollBack(
  { commitSha }: Pick<Version, 'commitSha'>,
  credential: Credential,
  { http, reader, interrupts }: ConfigurationDependencies,
): Promise<Configuration> {
  const limits = { maxBytes: MAX_ANSWER_BYTES, signal: interrupts.cancelled }
  const path = `/configuration/me/rollback/${commitSha}`
  const answer = await http.send('POST', credential, path, undefined, limits)
  if (answer.status < 200 || answer.status > 299) throw refusalOf(answer, reader)
  return parseConfiguration(answer.body, answer)
}
