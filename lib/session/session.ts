import type { Login } from '../config/file.ts'
import { hasNoPath } from '../config/server.ts'
import { PROFILE_NAME } from '../config/values.ts'
import { AtlasError } from '../errors.ts'
import type { Lock } from '../files/lock.ts'
import type { BearerSource } from '../http/client.ts'
import type { GuardedFetch } from '../http/transport.ts'
import { type Interrupts, unlessAborted } from '../interrupts.ts'
import { type CredentialStore, proveStore } from '../store/store.ts'
import { DamagedRecord } from '../store/store-error.ts'
import type { Secrets } from '../terminal/secrets.ts'
import { exchange } from './exchange.ts'
import { createPost } from './post.ts'
import { badResponse, judgeLogin, loginForm, parseTokens, readClaims } from './protocol.ts'
import {
  believed,
  decodeRecord,
  encodeRecord,
  endsWithin,
  FRESH_MS,
  lifetimeFrom,
  type Session,
} from './record.ts'

/** A token that was refreshed less than this ago and is rejected would be rejected after another refresh too. */
const JUST_REFRESHED_MS = 10_000
/** The longest that logout waits for the server, in milliseconds. */
export const LOGOUT_TIMEOUT_MS = 5_000
/** Where the API is below a server's origin, when the origin alone is configured. */
const API_PATH = '/api/v1'

export interface SessionDependencies {
  readonly profile: string
  /** As configured, normalised. */
  readonly apiUrl: string
  readonly store: CredentialStore
  /** The lock of this profile and server. */
  readonly lock: Lock
  readonly guardedFetch: GuardedFetch
  readonly userAgent: string
  readonly interrupts: Interrupts
  readonly secrets: Secrets
  readonly now: () => Date
  /** What a person is told to run to log in; `atlas auth login` unless it needs flags. */
  readonly loginCommand?: string
}

export interface EndedSession {
  readonly session: Session | undefined
  /** Whether the server confirmed that it was told. */
  readonly serverTold: boolean
  /** How long the server was waited for, in milliseconds. */
  readonly waitedMs: number
}

/** The session of one profile on one server. */
export interface Sessions {
  /** @throws {AtlasError} `store_*` */
  current(): Promise<Session | undefined>
  /** @throws {AtlasError} `not_logged_in`, `store_*` */
  require(): Promise<Session>
  /** See that credentials can be stored, before anybody is asked for them. @throws {AtlasError} `store_*`, `lock_timeout` */
  prove(): Promise<void>
  /**
   * Log in and store the session.
   * @param remember run once the session is stored; a signal does not come between.
   * @throws {AtlasError} `bad_credentials`, `api_error` (422), and what a request or a store may throw;
   * an older session is untouched then.
   */
  logIn(email: string, password: string, remember?: () => Promise<void>): Promise<Session>
  /**
   * Replace a session's tokens, or take over the tokens that another process has put in their place.
   * @throws {AtlasError} `session_expired`: the server refused the refresh token, and the credentials
   * are deleted; `not_logged_in`: another process logged out. Whatever else it throws, the credentials
   * are as they were.
   */
  refresh(seen: Session): Promise<Session>
  /**
   * Tell the server, then delete the session locally whatever it said.
   * @param tellMs the longest wait for the server, in milliseconds; 5,000 unless given.
   * @returns undefined where nothing was stored.
   */
  logOut(tellMs?: number): Promise<EndedSession | undefined>
  /** The tokens of a session for a client, refreshed as needed. */
  bearer(session: Session): BearerSource
}

export const accountOf = (profile: string, apiUrl: string): string => `${profile}@${apiUrl}`

/** The profile and the server of an account; undefined where the text is none. */
export function partsOf(account: string): Pick<Login, 'profile' | 'apiUrl'> | undefined {
  const [, profile = '', apiUrl = ''] = /^([^@]*)@(.*)$/s.exec(account) ?? []
  return PROFILE_NAME.test(profile) && URL.canParse(apiUrl) ? { profile, apiUrl } : undefined
}

export function createSessions(dependencies: SessionDependencies): Sessions {
  const {
    profile,
    apiUrl,
    store,
    lock,
    guardedFetch,
    userAgent,
    interrupts,
    secrets,
    now,
    loginCommand = 'atlas auth login',
  } = dependencies
  const account = accountOf(profile, apiUrl)
  /** One refresh at a time in this process; the lock does the same between processes. */
  let refreshing: Promise<Session> | undefined

  const quotable = secrets.isSafeToShow
  const post = createPost({ guardedFetch, userAgent, now })

  const current = async (): Promise<Session | undefined> => {
    const record = await store.read(account)
    if (record === undefined) return undefined
    const session = believed(decodeRecord(account, apiUrl, record), now())
    secrets.add(session.accessToken, session.refreshToken)
    return session
  }

  /** What is wrong with the credentials is said before anything is done, and not what is wrong with the lock beside them. */
  const locked = async <T>(work: (stillExcludes: () => boolean) => Promise<T>): Promise<T> => {
    await store.check(account)
    return lock.hold(work)
  }

  /** Null where something is stored that is no session. */
  const currentOrDamaged = async (): Promise<Session | null | undefined> => {
    try {
      return await current()
    } catch (error) {
      if (error instanceof DamagedRecord) return null
      throw error
    }
  }

  const encode = (session: Session): string => {
    secrets.add(session.accessToken, session.refreshToken)
    return encodeRecord(account, session)
  }

  const refreshUnderLock = (seen: Session): Promise<Session> =>
    locked(async stillExcludes => {
      const stored = await sessions.require()
      // A token that came while the lock was waited for is as fresh as one to be had now.
      const replacedMeanwhile = stored.accessToken !== seen.accessToken
      return replacedMeanwhile && !endsWithin(stored.expiresAt, 0, now())
        ? stored
        : exchange(stored, stillExcludes, {
            loginCommand,
            apiUrl,
            account,
            store,
            interrupts,
            post,
            quotable,
            encode,
            stored: sessions.require,
          })
    })

  const sessions: Sessions = {
    current,

    async require() {
      const session = await current()
      if (session === undefined) throw notLoggedIn(apiUrl, loginCommand)
      return session
    },

    // Not shielded: a keychain that hangs must not hold up Ctrl-C. A probe left behind is overwritten and
    // deleted by the next one.
    prove: () => locked(() => proveStore(store, account)),

    logIn: (email, password, remember = async () => {}) =>
      locked(async () => {
        secrets.add(password)
        const roots = hasNoPath(apiUrl) ? [apiUrl, apiUrl + API_PATH] : [apiUrl]
        let notFound: AtlasError | undefined
        for (const apiRoot of roots) {
          const { answer, asked } = await post(apiRoot, '/auth/login', {
            headers: { 'content-type': 'application/x-www-form-urlencoded' },
            body: loginForm(email, password),
            signal: interrupts.cancelled,
          })
          if (answer.status === 200) {
            const { accessToken, expiresAt, refresh } = parseTokens(answer, asked)
            const refreshToken = refresh?.token ?? null
            const session: Session = {
              apiRoot,
              email,
              accessToken,
              refreshToken,
              expiresAt,
              lifetimeMs: lifetimeFrom(asked.now, expiresAt),
              sessionExpiresAt: refresh ? (refresh.expiresAt ?? readClaims(refresh.token).expiresAt) : null,
            }
            const keep = (): Promise<void> => store.write(account, encode(session)).then(remember)
            await interrupts.shield(hurry => unlessAborted(hurry, keep()))
            return session
          }
          if (answer.status !== 404) throw judgeLogin(answer, asked, quotable)
          notFound = badResponse(asked, 'there is no login there (404)')
        }
        throw notFound
      }),

    async refresh(seen) {
      refreshing ??= refreshUnderLock(seen).finally(() => {
        refreshing = undefined
      })
      return refreshing
    },

    logOut: (tellMs = LOGOUT_TIMEOUT_MS) =>
      locked(async () => {
        const session = await currentOrDamaged()
        const startedAt = performance.now()
        const serverTold = session ? await tellServer(session, tellMs) : false
        const waitedMs = performance.now() - startedAt
        // Where nothing is stored, what a crash while writing left behind goes all the same.
        await interrupts.shield(hurry => unlessAborted(hurry, store.delete(account)))
        return session === undefined ? undefined : { session: session ?? undefined, serverTold, waitedMs }
      }),

    bearer(session) {
      let latest = session
      let refreshedAt: Date | undefined
      const renew = async (): Promise<void> => {
        latest = await sessions.refresh(latest)
        refreshedAt = now()
      }
      return {
        async accessToken() {
          const ending = endsWithin(latest.expiresAt, FRESH_MS, now())
          if (ending && latest.refreshToken !== null && !justRefreshed()) await renew()
          return latest.accessToken
        },
        async replace(rejected) {
          if (latest.accessToken !== rejected) return true
          if (justRefreshed()) return false
          await renew()
          return true
        },
      }
      function justRefreshed(): boolean {
        return refreshedAt !== undefined && now().getTime() - refreshedAt.getTime() < JUST_REFRESHED_MS
      }
    },
  }

  const tellServer = async ({ apiRoot, accessToken }: Session, timeoutMs: number): Promise<boolean> => {
    try {
      const { answer } = await post(apiRoot, '/auth/logout', {
        headers: { authorization: `Bearer ${accessToken}` },
        timeoutMs,
        signal: interrupts.cancelled,
      })
      return answer.status >= 200 && answer.status < 300
    } catch (error) {
      interrupts.cancelled.throwIfAborted()
      if (error instanceof AtlasError) return false
      throw error
    }
  }

  return sessions
}

const notLoggedIn = (apiUrl: string, loginCommand: string): AtlasError =>
  new AtlasError('not_logged_in', `Not logged in to ${apiUrl}.`, `Log in with: ${loginCommand}`)
