import { AtlasError, recoverable } from '../errors.ts'
import type { Held } from '../files/lock.ts'
import { type Answer, badResponse, errorFor } from '../http/answer.ts'
import { isRefusal, parseAccessToken, parseRefreshToken, refreshCookieHeader } from './protocol.ts'
import { endsWithin, type Session } from './record.ts'
import type { SessionDependencies } from './session.ts'
import { isAloneUnder, type StoredSession } from './stored-session.ts'

/** How often storing a refreshed session is tried, and the first pause in milliseconds; each next one is twice as long. */
const WRITE_ATTEMPTS = 6
const WRITE_PAUSE_MS = 100
/** How often a record is looked for that is not there, before that is taken for a logout. */
const MISSES = 4

/**
 * Replace a session's tokens, or take over those that another process has stored meanwhile. A signal may interrupt
 * the request, after a grace period, but nothing comes between its answer and the storing, except a logout: a server
 * that rotates refresh tokens does not accept the old one again.
 * @throws {AtlasError} `session_expired`: the server refused the refresh token, and the credentials are deleted;
 * `not_logged_in`: another process logged out. With any other error the credentials are as they were.
 * @see RFC 6749 §6
 */
export function refresh(seen: Session, stored: StoredSession, dependencies: Dependencies): Promise<Session> {
  return stored.exclusively(async held => {
    let session = await stored.require()
    // Another process refreshed while this one waited for the lock.
    if (!isSameWriting(session, seen) && !hasEnded(session, stored)) return session
    for (;;) {
      const renewed = await sendRefresh(session, stored, held, dependencies)
      if (renewed !== undefined) return renewed
      session = await endUnlessReplaced(session, stored, held)
      // The other process may have got a refresh token alone.
      if (!hasEnded(session, stored)) return session
    }
  })
}

type Dependencies = Pick<SessionDependencies, 'http' | 'interrupts' | 'reader'>

const hasEnded = ({ expiresAt }: Session, { now }: StoredSession): boolean => endsWithin(expiresAt, 0, now())

/** @returns the session as stored, by this process or another one; undefined where the refresh token was refused. */
async function sendRefresh(
  session: Session,
  stored: StoredSession,
  held: Held,
  { http, interrupts, reader }: Dependencies,
): Promise<Session | undefined> {
  const { refreshToken, apiRoot } = session
  if (refreshToken === null) throw expired(stored, 'the server gave no refresh token')
  const giveRoomBack = await stored.store.prove(stored.account, isAloneUnder(held, session))
  try {
    return await interrupts.shield(async hurry => {
      const answer = await http.ask(apiRoot, '/auth/refresh', {
        method: 'POST',
        headers: { cookie: refreshCookieHeader(refreshToken) },
        irreversible: true,
        signal: hurry,
      })
      if (isRefusal(answer)) return undefined
      if (answer.status < 200 || answer.status > 299) throw errorFor(answer, reader)
      const renewal = renew(session, answer)
      const written = await keep(renewal.session, session, stored, held, giveRoomBack)
      if (renewal.fault !== undefined) throw renewal.fault
      return written
    })
  } finally {
    giveRoomBack()
  }
}

/**
 * Store what a server that rotates will not give again, unless another process has replaced or deleted the session.
 * @param giveRoomBack called after the first failure: the disk may have filled up meanwhile.
 * @returns what is stored. @throws {AtlasError} `store_*`, `not_logged_in`
 */
async function keep(
  renewed: Session,
  session: Session,
  stored: StoredSession,
  held: Held,
  giveRoomBack: () => void,
): Promise<Session> {
  for (let attempt = 1; ; attempt++) {
    try {
      // Somebody may have deleted the lock, or share the file from another machine. A record that cannot be read
      // is no reason to lose what the server gives once.
      const latest = await stored.readOrDamaged().catch(() => null)
      // A logout deletes the record. A folder that is moved or mounted over for a moment hides it.
      if (latest === undefined && attempt < MISSES) {
        await pauseAfter(attempt)
        continue
      }
      if (latest !== null && !(latest && isSameWriting(latest, session))) return await stored.require()
      return await stored.write(renewed, held)
    } catch (error) {
      // Deleted by a logout, or another account's by now.
      if (error instanceof AtlasError && error.code === 'not_logged_in') throw error
      if (attempt === WRITE_ATTEMPTS) throw error instanceof AtlasError ? unstored(error, stored) : error
      giveRoomBack()
      await pauseAfter(attempt)
    }
  }
}

const pauseAfter = (attempt: number): Promise<void> => Bun.sleep(WRITE_PAUSE_MS * 2 ** (attempt - 1))

const isSameWriting = (one: Session, other: Session): boolean => one.writing?.id === other.writing?.id

/**
 * How long after a lock was made anew the session of a process that held the old one is waited for, in milliseconds: not
 * by each of those that wait for the lock meanwhile.
 */
const OTHERS_ANSWER_MS = 5_000
const MIN_WAIT_MS = 500
const LOOK_EVERY_MS = 50

/**
 * Delete a session whose refresh token was refused, if that is the one which is still stored.
 * @returns the session that another process has stored meanwhile.
 * @throws {AtlasError} `session_expired`; `not_logged_in`, `store_*`
 */
async function endUnlessReplaced(session: Session, stored: StoredSession, held: Held): Promise<Session> {
  // Another process that is not kept out may have used up the same refresh token.
  const isAlone = endsWithin(session.sessionExpiresAt, 0, stored.now()) || isAloneUnder(held, session)
  const untilMs = Math.max(held.madeAt.getTime() + OTHERS_ANSWER_MS, Date.now() + MIN_WAIT_MS)
  let latest = await stored.read()
  while (!isAlone && latest && isSameWriting(latest, session) && Date.now() < untilMs) {
    await Bun.sleep(LOOK_EVERY_MS)
    latest = await stored.read()
  }
  if (latest === undefined || !isSameWriting(latest, session)) return stored.require()
  // Its answer may still come. If none does, the next refusal deletes the session.
  if (isAlone) {
    await stored.delete()
    // The session is gone all the same; only `auth list` would still show it.
    await stored.noteEnd().catch(recoverable)
  }
  throw expired(stored, 'the server refused to renew it')
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

const unstored = (cause: AtlasError, { loginCommand }: StoredSession): AtlasError =>
  new AtlasError(
    cause.code,
    `The session was refreshed, but could not be stored. ${cause.message}`,
    `Fix this first. If the server then rejects the old session, log in again with: ${loginCommand}`,
    { cause },
  )

const expired = ({ apiUrl, loginCommand }: StoredSession, reason: string): AtlasError =>
  new AtlasError(
    'session_expired',
    `The session on ${apiUrl} has ended: ${reason}.`,
    `Log in again with: ${loginCommand}`,
  )
