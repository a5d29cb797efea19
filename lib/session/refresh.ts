import { AtlasError } from '../errors.ts'
import { type Answer, badResponse, errorFor } from '../http/answer.ts'
import { isRefusal, parseAccessToken, parseRefreshToken, refreshCookieHeader } from './protocol.ts'
import { endsWithin, type Session } from './record.ts'
import type { SessionDependencies } from './session.ts'
import type { StoredSession } from './stored-session.ts'

/** How often the storing of a refreshed session is tried, and the pause between, in milliseconds. */
const WRITE_ATTEMPTS = 3
const WRITE_PAUSE_MS = 100

/**
 * Replace a session's tokens, or take over those that another process has stored meanwhile. A signal may
 * interrupt the request, after a grace period, but never the storing of its answer: a server that rotates
 * refresh tokens does not accept the old one again.
 * @throws {AtlasError} `session_expired`: the server refused the refresh token, and the credentials are deleted;
 * `not_logged_in`: another process logged out. With any other error the credentials are as they were.
 * @see RFC 6749 §6
 */
export function refresh(
  seen: Session,
  stored: StoredSession,
  { http, interrupts, reader }: Pick<SessionDependencies, 'http' | 'interrupts' | 'reader'>,
): Promise<Session> {
  return stored.exclusively(async stillExcludes => {
    const session = await stored.require()
    // Another process refreshed while this one waited for the lock.
    const isReplaced = session.accessToken !== seen.accessToken
    if (isReplaced && !endsWithin(session.expiresAt, 0, stored.now())) return session
    const { refreshToken, apiRoot } = session
    if (refreshToken === null) throw expired(stored, 'the server gave no refresh token')

    return interrupts.shield(async hurry => {
      const giveRoomBack = await stored.store.prove(stored.account)
      try {
        const answer = await http.ask(apiRoot, '/auth/refresh', {
          method: 'POST',
          headers: { cookie: refreshCookieHeader(refreshToken) },
          signal: hurry,
        })
        const isRefused = isRefusal(answer)
        if (answer.status !== 200 && !isRefused) throw errorFor(answer, reader)
        const renewal = isRefused ? undefined : renew(session, answer)

        // Another machine may share a file, and somebody may have deleted the lock. Otherwise nobody was let
        // in, and reading again would give a crash more time to lose the answer.
        if (stored.store.kind === 'file' || !stillExcludes()) {
          const latest = await stored.require()
          if (!hasSameTokens(latest, session)) return latest
        }
        if (renewal === undefined) {
          await stored.delete()
          throw expired(stored, 'the server refused to renew it')
        }
        await retryWrite(() => stored.write(renewal.session), giveRoomBack)
        if (renewal.fault !== undefined) throw renewal.fault
        return renewal.session
      } finally {
        giveRoomBack()
      }
    })
  })
}

/**
 * The session after a refresh. What the answer does not mention, or clears, stays as it was.
 * @returns with a fault if only a new refresh token could be read, which must be kept all the same.
 * @throws {AtlasError} `bad_response`: there is nothing in the answer to keep.
 */
function renew(session: Session, answer: Answer): { session: Session; fault?: AtlasError } {
  const kept: Session = { ...session, ...parseRefreshToken(answer) }
  try {
    const renewed = parseAccessToken(answer, { mayOmitType: true })
    if (containsToken(renewed.accessToken, session.refreshToken))
      throw badResponse(answer, 'it gives the refresh token back as an access token, which would be printed')
    return { session: { ...kept, ...renewed } }
  } catch (fault) {
    if (!(fault instanceof AtlasError) || kept.refreshToken === session.refreshToken) throw fault
    return { session: { ...kept, expiresAt: answer.receivedAt }, fault }
  }
}

/** A shorter token may be part of another one by chance. */
const MIN_TELLING_LENGTH = 12

const containsToken = (text: string, token: string | null): boolean =>
  token !== null && token.length >= MIN_TELLING_LENGTH && text.includes(token)

const hasSameTokens = (one: Session, other: Session): boolean =>
  one.accessToken === other.accessToken && one.refreshToken === other.refreshToken

/**
 * Store what a server that rotates will not give again. @throws {AtlasError} the store's error, with its meaning.
 * @param giveRoomBack called after the first failure: the disk may have filled up meanwhile.
 */
async function retryWrite(write: () => Promise<void>, giveRoomBack: () => void): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await write()
    } catch (error) {
      if (!(error instanceof AtlasError)) throw error
      if (attempt === WRITE_ATTEMPTS)
        throw new AtlasError(
          error.code,
          `The session was refreshed, but could not be stored. ${error.message}`,
          'Fix this first. If the server then rejects the old session, log in again with: atlas auth login',
          { cause: error },
        )
      giveRoomBack()
      await Bun.sleep(WRITE_PAUSE_MS)
    }
  }
}

const expired = ({ apiUrl, loginCommand }: StoredSession, reason: string): AtlasError =>
  new AtlasError(
    'session_expired',
    `The session on ${apiUrl} has ended: ${reason}.`,
    `Log in again with: ${loginCommand}`,
  )
