import type { Login } from '../config/file.ts'
import { PROFILE_NAME } from '../config/values.ts'
import { AtlasError } from '../errors.ts'
import type { Lock } from '../files/lock.ts'
import { ALTERNATIVES, type CredentialStore, DamagedRecord, PROBE } from '../store/store.ts'
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
  const { profile, apiUrl, store, lock, secrets, now, loginCommand } = options
  const account = accountOf(profile, apiUrl)

  /** @returns undefined where nothing is stored. @throws {AtlasError} `store_*` */
  const read = async (): Promise<Session | undefined> => {
    const record = await store.read(account)
    if (record === undefined) return undefined
    const session = correctForClock(decodeRecord(account, apiUrl, record), now())
    secrets.add(session.accessToken, session.refreshToken)
    return session
  }
  return {
    apiUrl,
    account,
    store,
    lock,
    now,
    loginCommand,
    read,

    /** @throws {AtlasError} `not_logged_in`, `store_*` */
    async require(): Promise<Session> {
      const session = await read()
      if (session !== undefined) return session
      throw new AtlasError('not_logged_in', `Not logged in to ${apiUrl}.`, `Log in with: ${loginCommand}`)
    },

    /** Like `read`, but null where something is stored that is not a session. */
    readOrDamaged: (): Promise<Session | null | undefined> =>
      read().catch(error => {
        if (error instanceof DamagedRecord) return null
        throw error
      }),

    /** @throws {AtlasError} `store_*`: what was stored before is intact. */
    async write(session: Session): Promise<void> {
      secrets.add(session.accessToken, session.refreshToken)
      await store.write(account, encodeRecord(account, session))
    },

    /** @returns whether there was something to delete. @throws {AtlasError} `store_*` */
    delete: (): Promise<boolean> => store.delete(account),

    /**
     * Run work that no other process does at the same time for this profile and server; a fault of what is stored
     * is reported before one of the lock. @param work is given a question: does the lock still keep others out?
     * @throws {AtlasError} `store_*`, `lock_timeout`, `cancelled`
     */
    async exclusively<T>(work: (stillExcludes: () => boolean) => Promise<T>): Promise<T> {
      await store.check(account)
      return lock.hold(work)
    },
  }
}

/**
 * See that credentials can be stored, before anybody is asked for them: write, read back and delete a probe. A
 * signal may interrupt it, as where a keychain hangs; the next probe replaces the one that is left.
 * @throws {AtlasError} `store_*`, `lock_timeout`
 */
export function probeStore({
  store,
  account,
  now,
  readOrDamaged,
  exclusively,
}: StoredSession): Promise<void> {
  return exclusively(async () => {
    await readOrDamaged()
    const probeAccount = `${account}#probe`
    const probe = `${PROBE} ${now().getTime()}`
    await store.write(probeAccount, probe)
    const found = await store.read(probeAccount)
    await store.delete(probeAccount)
    if (found === probe) return
    const message = `What atlas wrote to ${store.location} could not be read back.`
    throw new AtlasError('store_unavailable', message, `Check it, ${ALTERNATIVES}.`)
  })
}
