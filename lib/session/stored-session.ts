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
export class StoredSession {
  readonly apiUrl: string
  readonly account: string
  readonly store: CredentialStore
  readonly loginCommand: string
  readonly now: () => Date
  readonly lock: Lock
  readonly #secrets: Secrets

  constructor({ profile, apiUrl, store, lock, secrets, now, loginCommand }: StoredSessionOptions) {
    this.apiUrl = apiUrl
    this.account = accountOf(profile, apiUrl)
    this.store = store
    this.loginCommand = loginCommand
    this.now = now
    this.lock = lock
    this.#secrets = secrets
  }

  /** @returns undefined where nothing is stored. @throws {AtlasError} `store_*` */
  async read(): Promise<Session | undefined> {
    const record = await this.store.read(this.account)
    if (record === undefined) return undefined
    const session = correctForClock(decodeRecord(this.account, this.apiUrl, record), this.now())
    this.#secrets.add(session.accessToken, session.refreshToken)
    return session
  }

  /** @throws {AtlasError} `not_logged_in`, `store_*` */
  async require(): Promise<Session> {
    const session = await this.read()
    if (session !== undefined) return session
    throw new AtlasError(
      'not_logged_in',
      `Not logged in to ${this.apiUrl}.`,
      `Log in with: ${this.loginCommand}`,
    )
  }

  /** Like `read`, but null where something is stored that is not a session. */
  async readOrDamaged(): Promise<Session | null | undefined> {
    try {
      return await this.read()
    } catch (error) {
      if (error instanceof DamagedRecord) return null
      throw error
    }
  }

  /** @throws {AtlasError} `store_*`: what was stored before is intact. */
  async write(session: Session): Promise<void> {
    this.#secrets.add(session.accessToken, session.refreshToken)
    await this.store.write(this.account, encodeRecord(this.account, session))
  }

  /** @returns whether there was something to delete. @throws {AtlasError} `store_*` */
  delete(): Promise<boolean> {
    return this.store.delete(this.account)
  }

  /**
   * Run work that no other process does at the same time for this profile and server. What is wrong with
   * the stored credentials is reported first, and not what is wrong with the lock beside them.
   * @param work is given a question: whether the lock still keeps others out.
   * @throws {AtlasError} `store_*`, `lock_timeout`, `cancelled`
   */
  async exclusively<T>(work: (stillExcludes: () => boolean) => Promise<T>): Promise<T> {
    await this.store.check(this.account)
    return this.lock.hold(work)
  }

  /**
   * See that credentials can be stored, before anybody is asked for them: that what is stored can be reached, and
   * that a probe beside it can be written, read back and deleted. A signal may interrupt it, so that a keychain
   * that hangs does not hold up Ctrl-C; the next probe replaces the one that is left.
   * @throws {AtlasError} `store_*`, `lock_timeout`
   */
  probeStore(): Promise<void> {
    return this.exclusively(async () => {
      await this.readOrDamaged()
      const probeAccount = `${this.account}#probe`
      const probe = `${PROBE} ${this.now().getTime()}`
      await this.store.write(probeAccount, probe)
      const found = await this.store.read(probeAccount)
      await this.store.delete(probeAccount)
      if (found !== probe)
        throw new AtlasError(
          'store_unavailable',
          `What atlas wrote to ${this.store.location} could not be read back.`,
          `Check it, ${ALTERNATIVES}.`,
        )
    })
  }
}
