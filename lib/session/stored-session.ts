import type { Login } from '../config/file.ts'
import { PROFILE_NAME } from '../config/values.ts'
import { AtlasError } from '../errors.ts'
import type { Held, Lock } from '../files/lock.ts'
import { shellQuoted } from '../shell-quote.ts'
import { alternatives, type CredentialStore, DamagedRecord, PROBE } from '../store/store.ts'
import type { Secrets } from '../terminal/secrets.ts'
import { correctForClock, decodeRecord, encodeRecord, type Session } from './record.ts'

export interface StoredSessionOptions {
  readonly profile: string
  /** As configured, normalised. */
  readonly apiUrl: string
  readonly store: CredentialStore
  /** The lock of this profile and server. */
  readonly lock: Lock
  readonly secrets: Secrets
  readonly now: () => Date
  /** What a person is told to run to log in. */
  readonly loginCommand: string
  /** Whose login the config file says this is, read anew; null where it has ended, undefined where none is listed. */
  readonly listedEmail: () => string | null | undefined
  /** A login here in another store than this one, by the config file. */
  readonly elsewhere: () => Login | undefined
  /** Let the config file say that nobody is logged in here any more. */
  readonly noteEnd: () => Promise<void>
}

/** The name under which a profile's session on a server is stored. */
export const accountOf = (profile: string, apiUrl: string): string => `${profile}@${apiUrl}`

/** The profile and the server of an account; undefined where the text is not an account. */
export function partsOf(account: string): Pick<Login, 'profile' | 'apiUrl'> | undefined {
  const [, profile = '', apiUrl = ''] = /^([^@]*)@(.*)$/s.exec(account) ?? []
  return PROFILE_NAME.test(profile) && URL.canParse(apiUrl) ? { profile, apiUrl } : undefined
}

/** The session of one profile on one server, as it is in its store: a record, replaced as a whole. */
export type StoredSession = ReturnType<typeof createStoredSession>

export function createStoredSession(options: StoredSessionOptions) {
  const { profile, apiUrl, store, lock, secrets, now, loginCommand, noteEnd } = options
  const account = accountOf(profile, apiUrl)
  const hide = hidden(secrets)
  const requireOwn = refuseOthers(options)
  let isHeld = false
  const readAny = async (): Promise<Session | undefined> => {
    const record = await store.read(account)
    if (record === undefined) return undefined
    return hide(correctForClock(decodeRecord(account, apiUrl, record), now()))
  }

  const exclusively = async <T>(work: (held: Held) => Promise<T>): Promise<T> => {
    await store.check(account)
    return lock.hold(async held => {
      isHeld = true
      try {
        return await work(held)
      } finally {
        isHeld = false
      }
    })
  }

  const read = async (): Promise<Session | undefined> => {
    const session = await readAny()
    try {
      return requireOwn(session)
    } catch {
      // A login stores its session before it says so in the config file, both while it holds the lock.
      return requireOwn(isHeld ? await readAny() : await exclusively(readAny))
    }
  }

  return {
    apiUrl,
    account,
    store,
    lock,
    now,
    loginCommand,
    noteEnd,

    /** @returns undefined where nothing is stored. @throws {AtlasError} `not_logged_in`: another's; `store_*` */
    read,

    /** @throws {AtlasError} `not_logged_in`, `store_*` */
    async require(): Promise<Session> {
      const session = await read()
      if (session === undefined) throw notLoggedIn(options)
      return session
    },

    /** What is stored, whoever it belongs to; null where it is not a session. @throws {AtlasError} `store_*` */
    readOrDamaged: (): Promise<Session | null | undefined> =>
      readAny().catch(error => {
        if (error instanceof DamagedRecord) return null
        throw error
      }),

    /** @returns the session as stored. @throws {AtlasError} `store_*`: what was stored before is intact. */
    async write(session: Session, { id: lockId }: Held): Promise<Session> {
      const written = hide({ ...session, writing: { id: crypto.randomUUID(), lockId } })
      await store.write(account, encodeRecord(account, written))
      return written
    },

    /** @returns whether there was something to delete. @throws {AtlasError} `store_*` */
    delete: (): Promise<boolean> => store.delete(account),

    /**
     * Run work that no other process does at the same time for this profile and server; a fault of what is stored
     * is reported before one of the lock. @throws {AtlasError} `store_*`, `lock_timeout`, `cancelled`
     */
    exclusively,
  }
}

function notLoggedIn({ apiUrl, store, loginCommand, elsewhere }: StoredSessionOptions): AtlasError {
  const other = elsewhere()
  if (other === undefined)
    return new AtlasError('not_logged_in', `Not logged in to ${apiUrl}.`, `Log in with: ${loginCommand}`)
  return new AtlasError(
    'not_logged_in',
    `Not logged in to ${apiUrl} in ${store.location}. ${other.email} is logged in there with the store "${other.store}".`,
    `Use that login with ATLAS_CREDENTIAL_STORE=${other.store}, or log in here with: ${loginCommand}`,
  )
}

const hidden =
  ({ add }: Secrets) =>
  (session: Session): Session => {
    add(session.accessToken, session.refreshToken)
    return session
  }

/**
 * Refuse a session of another account than the config file names, or than the one which this run has used so far.
 * One keychain may serve several config folders, and holds the session of the newest login.
 */
function refuseOthers(options: StoredSessionOptions) {
  const { profile, apiUrl, store, loginCommand, listedEmail } = options
  let user: string | undefined
  /** @throws {AtlasError} `not_logged_in` */
  return (session: Session | undefined): Session | undefined => {
    if (session === undefined) return undefined
    const { email } = session
    const expected = user ?? listedEmail()
    if (expected === undefined || expected === email) {
      user = email
      return session
    }
    const whoIsHere = expected === null ? 'nobody is logged in' : `${expected} is logged in`
    throw new AtlasError(
      'not_logged_in',
      `The session of profile ${profile} on ${apiUrl} in ${store.location} belongs to ${email}, but here ${whoIsHere}. It is not used.`,
      `Log in again with: ${loginCommand}. To keep both, use another profile: atlas auth login --profile NAME --api-url ${shellQuoted(apiUrl)}`,
    )
  }
}

/** A refresh lasts no longer than this with the default timeouts, in milliseconds. */
const LONGEST_REFRESH_MS = 60_000

/**
 * Whether no other process can hold a lock of the same session: one can where the lock was deleted after the session
 * was stored, for as long as a refresh lasts.
 */
export const isAloneUnder = ({ id, madeAt, stillExcludes }: Held, { writing }: Session): boolean =>
  (id === writing?.lockId || Date.now() - madeAt.getTime() > LONGEST_REFRESH_MS) && stillExcludes()

const PROBE_ATTEMPTS = 3

/**
 * See that credentials can be stored, before anybody is asked for them: write, read back and delete a probe, and
 * prove that a session which is there can be replaced. A signal may interrupt it, as where a keychain hangs; the
 * next probe replaces the one that is left.
 * @throws {AtlasError} `store_*`, `lock_timeout`
 */
export function probeStore({
  store,
  account,
  now,
  loginCommand,
  readOrDamaged,
  exclusively,
}: StoredSession): Promise<void> {
  return exclusively(async held => {
    const before = await readOrDamaged()
    const giveRoomBack = await store.prove(account, before ? isAloneUnder(held, before) : false)
    giveRoomBack()
    const probeAccount = `${account}#probe`
    const probe = `${PROBE} ${now().getTime()}`
    // Another login whose lock was deleted uses the same probe.
    for (let attempt = 0; attempt < PROBE_ATTEMPTS; attempt++) {
      await store.write(probeAccount, probe)
      const found = await store.read(probeAccount)
      await store.delete(probeAccount)
      if (found === probe) return
    }
    const message = `What atlas wrote to ${store.location} could not be read back.`
    throw new AtlasError('store_unavailable', message, `Check it, ${alternatives(loginCommand)}.`)
  })
}
