import { recoverable } from '../errors.ts'
import type { Reader } from '../http/answer.ts'
import type { Http } from '../http/requests.ts'
import { type Interrupts, unlessAborted } from '../interrupts.ts'
import type { Secrets } from '../terminal/secrets.ts'
import { loginError, loginForm, parseAccessToken, parseRefreshToken } from './protocol.ts'
import type { Session } from './record.ts'
import type { StoredSession } from './stored-session.ts'

/** The longest that logout waits for the server, in milliseconds. */
const LOGOUT_TIMEOUT_MS = 5_000

export interface SessionDependencies {
  readonly http: Http
  readonly interrupts: Interrupts
  readonly secrets: Secrets
  readonly reader: Reader
}

/** What a login sends, and where. */
export interface LoginRequest {
  /** Where `findApiRoot` has found the API. */
  readonly apiRoot: string
  readonly email: string
  readonly password: string
}

/**
 * Log in and store the session. @see RFC 6749 §4.3
 * @param remember run once the session is stored, with the one before it; a signal does not come between.
 * @throws {AtlasError} `bad_credentials`, `api_error` (422), or as a request or store does; an older session stays.
 */
export function logIn(
  { apiRoot, email, password }: LoginRequest,
  stored: StoredSession,
  { http, interrupts, secrets, reader }: SessionDependencies,
  remember: (before: Session | null | undefined) => Promise<void> = async () => {},
): Promise<Session> {
  return stored.exclusively(async held => {
    secrets.add(password)
    const before = await stored.readOrDamaged()
    const keep = async (session: Session): Promise<Session> => {
      const written = await stored.write(session, held)
      await remember(before)
      return written
    }
    const answer = await http.ask(apiRoot, '/auth/login', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: loginForm(email, password),
      signal: interrupts.cancelled,
    })
    if (answer.status !== 200) throw loginError(answer, reader)
    const session: Session = {
      apiRoot,
      email,
      ...parseAccessToken(answer),
      ...(parseRefreshToken(answer) ?? { refreshToken: null, sessionExpiresAt: null }),
    }
    return interrupts.shield(hurry => unlessAborted(hurry, keep(session)))
  })
}

export interface EndedSession {
  /** Undefined where what was stored is damaged. */
  readonly session: Session | undefined
  /** Whether the server confirmed the logout. */
  readonly serverTold: boolean
}

/**
 * Tell the server, then delete the session locally whatever it said. @returns undefined if none was stored.
 * @param forget run once it is deleted; neither a signal nor another login comes between.
 * @throws {AtlasError} `store_*`: the credentials could not be deleted and are still there.
 */
export function logOut(
  stored: StoredSession,
  { http, interrupts }: Pick<SessionDependencies, 'http' | 'interrupts'>,
  forget: () => Promise<void> = async () => {},
): Promise<EndedSession | undefined> {
  return stored.exclusively(async () => {
    const session = await stored.readOrDamaged()
    const serverTold = session ? await tellServer(session, http, interrupts.cancelled) : false
    // Where nothing is stored, this removes what a crash while writing left behind.
    await interrupts.shield(hurry => unlessAborted(hurry, stored.delete().then(forget)))
    return session === undefined ? undefined : { session: session ?? undefined, serverTold }
  })
}

async function tellServer(
  { apiRoot, accessToken }: Session,
  http: Http,
  signal: AbortSignal,
): Promise<boolean> {
  const headers = { authorization: `Bearer ${accessToken}` }
  const timeoutMs = LOGOUT_TIMEOUT_MS
  const telling = http.ask(apiRoot, '/auth/logout', { method: 'POST', headers, timeoutMs, signal })
  return telling
    .then(({ status }) => status >= 200 && status < 300)
    .catch(error => {
      recoverable(error)
      return false
    })
}
