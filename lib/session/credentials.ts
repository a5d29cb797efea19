import type { StoreKind } from '../config/values.ts'
import { usageError } from '../errors.ts'
import type { BearerSource } from '../http/client.ts'
import { describeMoment } from '../terminal/time.ts'
import { readClaims } from './protocol.ts'
import { endsWithin, FRESH_MS, type Session } from './record.ts'
import type { StoredSession } from './stored-session.ts'

/** A token that was refreshed less than this ago and is rejected would be rejected after another refresh too. */
const JUST_REFRESHED_MS = 10_000

/** A bearer token and what is known of it without asking a server. */
export interface Credential {
  /** Where requests with it go; the origin alone may ever see it. @throws as `findApiRoot`, where it must be found first */
  readonly apiRoot: () => Promise<string>
  readonly accessToken: string
  /** Null where the token does not say whose it is. */
  readonly email: string | null
  /** When the access token expires; null where that is not known. */
  readonly expiresAt: Date | null
  /** When the refresh token expires; null where there is none or that is not known. */
  readonly sessionExpiresAt: Date | null
  /** The tokens for a client: refreshed as needed. */
  readonly bearer: BearerSource
}

/** Where the bearer token of a run comes from: the environment, or else a stored session. */
export interface Credentials {
  readonly source: 'env' | StoreKind
  /** What to do where the server rejects the token. */
  readonly renewHint: string
  /** Why the server is likely to reject the token, without a full stop; undefined where nothing is known. */
  tokenFault(): string | undefined
  /** When the session that was used ends; null where none was, or where that is not known. */
  sessionEnd(): Date | null
  /** The credential as it is now; undefined where nobody is logged in. @throws {AtlasError} `store_*` */
  find(): Promise<Credential | undefined>
  /** @throws {AtlasError} `not_logged_in`, `store_*` */
  require(): Promise<Credential>
  /**
   * The credential, refreshed first if it has less than `ttlMs` to live; the new one may have less too.
   * @throws as `require` and `refresh` do
   */
  fresh(ttlMs: number): Promise<Credential>
  /** Replace the access token now. @throws {AtlasError} `usage`: it cannot be refreshed; `session_expired`, … */
  refresh(): Promise<Credential>
}

/**
 * The token in ATLAS_ACCESS_TOKEN: used as it is, never stored, never refreshed. No keychain is touched.
 * @param findRoot asked once, and only for a request.
 */
export function environmentCredentials(
  accessToken: string,
  findRoot: () => Promise<string>,
  now: () => Date,
): Credentials {
  const { expiresAt, email } = readClaims(accessToken)
  const bearer = fixedBearer(accessToken)
  let root: Promise<string> | undefined
  const apiRoot = (): Promise<string> => {
    root ??= findRoot()
    return root
  }
  const credential: Credential = { apiRoot, accessToken, email, expiresAt, sessionExpiresAt: null, bearer }
  const asItIs = async (): Promise<Credential> => credential
  return {
    source: 'env',
    renewHint: 'Set ATLAS_ACCESS_TOKEN to a valid token, or unset it.',
    tokenFault: () =>
      expiresAt && expiresAt <= now()
        ? `ATLAS_ACCESS_TOKEN expired ${describeMoment(expiresAt, now())}`
        : undefined,
    sessionEnd: () => null,
    find: asItIs,
    require: asItIs,
    fresh: asItIs,
    async refresh() {
      throw usageError(
        'ATLAS_ACCESS_TOKEN is set, and a ready-made token cannot be refreshed.',
        'Unset it to refresh the stored session.',
      )
    },
  }
}

/** A token that is used as it is. */
export const fixedBearer = (accessToken: string): BearerSource => ({
  accessToken: async () => accessToken,
  replace: async () => false,
})

/** Replace a session's tokens under its lock; see `refresh.ts`. */
export type Refresh = (seen: Session) => Promise<Session>

/** A stored session, whose access token is replaced when it is about to expire or is rejected. */
export function storedCredentials(stored: StoredSession, refresh: Refresh): Credentials {
  let sessionEnd: Date | null = null
  const renew = oneAtATime(async seen => {
    const renewed = await refresh(seen)
    sessionEnd = renewed.sessionExpiresAt
    return renewed
  })
  const credentialOf = (session: Session): Credential => {
    const { apiRoot, accessToken, email, expiresAt, sessionExpiresAt } = session
    const bearer = sessionBearer(session, renew, stored.now)
    sessionEnd = sessionExpiresAt
    return { apiRoot: async () => apiRoot, accessToken, email, expiresAt, sessionExpiresAt, bearer }
  }
  return {
    source: stored.store.kind,
    renewHint: `Log in again with: ${stored.loginCommand}`,
    tokenFault: () => undefined,
    sessionEnd: () => sessionEnd,
    async find() {
      const session = await stored.read()
      return session && credentialOf(session)
    },
    require: async () => credentialOf(await stored.require()),
    async fresh(ttlMs) {
      const session = await stored.require()
      const isExpired = endsWithin(session.expiresAt, 0, stored.now())
      const canHelp = session.refreshToken !== null || isExpired
      const isTooShort = endsWithin(session.expiresAt, ttlMs, stored.now())
      return credentialOf(canHelp && isTooShort ? await renew(session) : session)
    },
    refresh: async () => credentialOf(await renew(await stored.require())),
  }
}

/** One refresh at a time in this process; the lock does the same between processes. */
export function oneAtATime(refresh: Refresh): Refresh {
  let refreshing: Promise<Session> | undefined
  return seen => {
    refreshing ??= refresh(seen).finally(() => {
      refreshing = undefined
    })
    return refreshing
  }
}

/** The tokens of a session for a client: replaced when they are about to expire or are rejected. */
export function sessionBearer(session: Session, renew: Refresh, now: () => Date): BearerSource {
  let latest = session
  let refreshedAt: Date | undefined
  const isJustRefreshed = (): boolean =>
    refreshedAt !== undefined && now().getTime() - refreshedAt.getTime() < JUST_REFRESHED_MS
  const replace = async (): Promise<void> => {
    latest = await renew(latest)
    refreshedAt = now()
  }
  return {
    async accessToken() {
      const isExpiring = endsWithin(latest.expiresAt, FRESH_MS, now())
      if (isExpiring && latest.refreshToken !== null && !isJustRefreshed()) await replace()
      return latest.accessToken
    },
    async replace(rejected) {
      if (latest.accessToken !== rejected) return true
      if (isJustRefreshed()) return false
      await replace()
      return true
    },
  }
}
