import { possibleApiRoots } from '../config/server.ts'
import { isToken } from '../config/values.ts'
import { isJsonObject, parseJsonObject } from '../json-object.ts'
import { DamagedRecord } from '../store/store.ts'

/** What atlas knows of a login: one record, replaced as a whole. */
export interface Session {
  /** Where its requests go; the origin alone may ever see the tokens. */
  readonly apiRoot: string
  readonly email: string
  readonly accessToken: string
  /** Null where the server gave none; the session then ends with its access token. */
  readonly refreshToken: string | null
  /** When the access token ends by our clock; null where the server did not say. */
  readonly expiresAt: Date | null
  /** How long the access token lived when it was given, in milliseconds; none where that is unknown. */
  readonly lifetimeMs?: number | null
  /** When the refresh token ends; null where that is unknown. */
  readonly sessionExpiresAt: Date | null
  /** Which writing of the record it comes from; none before it was stored. */
  readonly writing?: Writing
}

/** Tells one writing of a record from another, also where a server gives the same tokens again. */
export interface Writing {
  readonly id: string
  /** The lock that it was written under, as `Held` names it. */
  readonly lockId: string
}

/** An access token with less life than this is refreshed before it is used, in milliseconds. */
export const FRESH_MS = 30_000

/** A session with less life than this is said to end, in milliseconds. */
export const SOON_MS = 24 * 3_600_000

/** Whether a moment is known and less than so many milliseconds away. */
export const endsWithin = (moment: Date | null, ms: number, now: Date): moment is Date =>
  moment !== null && moment.getTime() - now.getTime() < ms

/** More than what passes between the answer of a server and the reading of the clock, in milliseconds. */
const CLOCK_TOLERANCE_MS = 60_000

/**
 * A session whose expiry fits a clock that says `now`: an access token that seems to have more life left
 * than it ever had was stored while the clock ran ahead, and counts as expired.
 */
export function correctForClock(session: Session, now: Date): Session {
  const { expiresAt, lifetimeMs } = session
  if (expiresAt === null || lifetimeMs == null) return session
  return expiresAt.getTime() - now.getTime() > lifetimeMs + CLOCK_TOLERANCE_MS
    ? { ...session, expiresAt: now }
    : session
}

const VERSION = 1

/** @param account the account the record is stored under, which it repeats. */
export const encodeRecord = (account: string, session: Session): string =>
  JSON.stringify({
    version: VERSION,
    account,
    api_root: session.apiRoot,
    email: session.email,
    access_token: session.accessToken,
    refresh_token: session.refreshToken,
    expires_at: session.expiresAt,
    expires_in: session.lifetimeMs == null ? undefined : session.lifetimeMs / 1000,
    session_expires_at: session.sessionExpiresAt,
    writing: session.writing && { id: session.writing.id, lock_id: session.writing.lockId },
  })

/** The session in a record of that account and server. @throws {AtlasError} `store_unavailable`: it is not one. */
export function decodeRecord(account: string, apiUrl: string, text: string): Session {
  const broken = (reason: string): Error => new DamagedRecord(account, reason)
  const fields = parseJsonObject(text)
  if (fields === undefined) throw broken('they are not an atlas record')
  if (fields['version'] !== VERSION) throw broken('another version of atlas wrote them')
  if (fields['account'] !== account) throw broken('they belong to another account')

  const apiRoot = possibleApiRoots(apiUrl).find(root => root === fields['api_root'])
  if (apiRoot === undefined) throw broken(`they belong to another server than ${apiUrl}`)

  const { email, access_token: accessToken, refresh_token: refreshToken } = fields
  if (typeof email !== 'string') throw broken('the e-mail is missing')
  if (typeof accessToken !== 'string' || !isToken(accessToken)) throw broken('the access token is damaged')
  if (refreshToken !== null && (typeof refreshToken !== 'string' || !isCookieValue(refreshToken)))
    throw broken('the refresh token is damaged')

  const time = (name: string): Date | null => {
    const value = fields[name]
    if (value === null) return null
    const date = typeof value === 'string' ? new Date(value) : undefined
    if (!date || Number.isNaN(date.getTime())) throw broken(`${name} is not a time`)
    return date
  }
  const lifetimeS = fields['expires_in']
  return {
    apiRoot,
    email,
    accessToken,
    refreshToken,
    expiresAt: time('expires_at'),
    ...(typeof lifetimeS === 'number' && { lifetimeMs: lifetimeS * 1000 }),
    sessionExpiresAt: time('session_expires_at'),
    ...decodeWriting(fields['writing']),
  }
}

function decodeWriting(value: unknown): Pick<Session, 'writing'> {
  if (!isJsonObject(value)) return {}
  const { id, lock_id: lockId } = value
  return typeof id === 'string' && typeof lockId === 'string' ? { writing: { id, lockId } } : {}
}

/** A token that can be sent back in a Cookie header without ending it (RFC 6265 §4.1.1). */
export const isCookieValue = (value: string): boolean => isToken(value) && !value.includes(';')
