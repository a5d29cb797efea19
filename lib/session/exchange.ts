import { AtlasError } from '../errors.ts'
import type { Interrupts } from '../interrupts.ts'
import type { CredentialStore } from '../store/store.ts'
import type { Post } from './post.ts'
import {
  type Answer,
  type Asked,
  badResponse,
  isRefusal,
  judge,
  parseRefreshCookie,
  parseTokens,
  readClaims,
  refreshCookieHeader,
} from './protocol.ts'
import { lifetimeFrom, type Session } from './record.ts'

/** How often the storing of a refreshed session is tried, and how long it rests between, in milliseconds. */
const WRITE_ATTEMPTS = 3
const WRITE_PAUSE_MS = 100

export interface ExchangeDependencies {
  readonly apiUrl: string
  readonly account: string
  readonly store: CredentialStore
  readonly interrupts: Interrupts
  readonly loginCommand: string
  readonly post: Post
  /** Whether a text of the server may be shown: not where it repeats a secret. */
  readonly quotable: (text: string) => boolean
  readonly encode: (session: Session) => string
  /** The session as stored. @throws {AtlasError} `not_logged_in`, `store_*` */
  readonly stored: () => Promise<Session>
}

/**
 * Get new tokens for a session and store them. The caller holds the lock. A signal may tear off the
 * request, after a grace period, but never the storing of its answer: a server that rotates accepts the
 * old token no more.
 * @param stillExcludes whether the lock still keeps others out.
 * @returns the new session, or the one that somebody has put in its place meanwhile.
 * @throws {AtlasError} as `Sessions.refresh` does.
 */
export async function exchange(
  session: Session,
  stillExcludes: () => boolean,
  { apiUrl, account, store, interrupts, loginCommand, post, quotable, encode, stored }: ExchangeDependencies,
): Promise<Session> {
  const { refreshToken, apiRoot } = session
  if (refreshToken === null) throw expired(apiUrl, 'the server gave no refresh token', loginCommand)
  await store.prove(account)
  return interrupts.shield(async hurry => {
    const { answer, asked } = await post(apiRoot, '/auth/refresh', {
      headers: { cookie: refreshCookieHeader(refreshToken) },
      signal: hurry,
    })
    if (answer.status !== 200 && !isRefusal(answer)) throw judge(answer, asked, quotable)
    const next = answer.status === 200 ? renewed(session, answer, asked) : undefined
    // Another machine may share a file, and somebody may have deleted the lock. Otherwise nobody was let
    // in, and looking again would give a crash more time to lose the answer.
    if (store.kind === 'file' || !stillExcludes()) {
      const latest = await stored()
      if (!hasSameTokens(latest, session)) return latest
    }
    if (next === undefined) {
      await store.delete(account)
      throw expired(apiUrl, 'the server refused to renew it', loginCommand)
    }
    const record = encode(next.session)
    await insist(() => store.write(account, record))
    if (next.fault !== undefined) throw next.fault
    return next.session
  })
}

/**
 * Store what a server that rotates will not give again: one fault does not end the session.
 * @throws {AtlasError} the store's own error, with what it means.
 */
async function insist(write: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await write()
    } catch (error) {
      if (!(error instanceof AtlasError)) throw error
      if (attempt === WRITE_ATTEMPTS)
        throw new AtlasError(
          error.code,
          `The session was refreshed, but could not be stored. ${error.message}`,
          'Mend that; if the server then accepts the old session no more, log in again with: atlas auth login',
          { cause: error },
        )
      await Bun.sleep(WRITE_PAUSE_MS)
    }
  }
}

const hasSameTokens = (one: Session, other: Session): boolean =>
  one.accessToken === other.accessToken && one.refreshToken === other.refreshToken

/**
 * The session after a refresh; what the answer does not mention stays as it was, and a refresh token that
 * it clears stays too: a server that means to end the session refuses it.
 * @returns with a fault where nothing but a new refresh token could be read, which a server that rotates
 * will not give again.
 * @throws {AtlasError} `bad_response`: there is nothing in the answer to keep.
 */
function renewed(session: Session, answer: Answer, asked: Asked): { session: Session; fault?: AtlasError } {
  const refresh = parseRefreshCookie(answer, asked)
  const kept: Session = refresh
    ? {
        ...session,
        refreshToken: refresh.token,
        sessionExpiresAt: refresh.expiresAt ?? readClaims(refresh.token).expiresAt,
      }
    : session
  try {
    const { accessToken, expiresAt } = parseTokens(answer, asked, { mayOmitType: true })
    if (holdsWhole(accessToken, session.refreshToken))
      throw badResponse(asked, 'it gives the refresh token back as an access token, which would be printed')
    return { session: { ...kept, accessToken, expiresAt, lifetimeMs: lifetimeFrom(asked.now, expiresAt) } }
  } catch (fault) {
    if (!(fault instanceof AtlasError) || kept.refreshToken === session.refreshToken) throw fault
    return { session: { ...kept, expiresAt: asked.now }, fault }
  }
}

/** Shorter ones may be part of another token by chance. */
const MIN_TELLING_LENGTH = 12

const holdsWhole = (text: string, token: string | null): boolean =>
  token !== null && token.length >= MIN_TELLING_LENGTH && text.includes(token)

const expired = (apiUrl: string, reason: string, loginCommand: string): AtlasError =>
  new AtlasError(
    'session_expired',
    `The session on ${apiUrl} has ended: ${reason}.`,
    `Log in again with: ${loginCommand}`,
  )
