import type { StoreKind } from '../config/file.ts'
import { AtlasError } from '../errors.ts'
import { ALTERNATIVES, DamagedRecord } from './store-error.ts'

/**
 * A place for credentials. An account is found, absent, or the call throws: a store that cannot be
 * read never answers "absent".
 *
 * Every method may throw an AtlasError with one of `store_locked` (somebody must unlock it),
 * `store_denied` (access was refused), `store_timeout` (no answer in time) or `store_unavailable`
 * (there is none, or it failed); nothing was deleted then.
 */
export interface CredentialStore {
  readonly kind: StoreKind
  /** Where the credentials are, as told to a person. */
  readonly location: string
  /** A folder with the scope of the credentials: two processes that share one share the other. */
  readonly lockFolder: string
  /**
   * See that nobody else can reach what the store keeps, and that the account's record can be replaced, as
   * far as that shows without asking a keychain.
   */
  check(account: string): Promise<void>
  read(account: string): Promise<string | undefined>
  /** Replace the account's record as a whole; readers see the old one or the new one. */
  write(account: string, record: string): Promise<void>
  /**
   * See that a record of that length can be written, before something is done that only writing it makes
   * good. Where the store can set room aside for the record, it does.
   * @throws {AtlasError} `lock_timeout`: it cannot be; nothing has happened.
   */
  reserve(account: string, bytes: number): Promise<Reservation>
  /** @returns whether there was something to delete. */
  delete(account: string): Promise<boolean>
  /** Release what the store holds open. */
  close(): void
}

/** Room for one record. */
export interface Reservation {
  /** What the store's `write` does; it may be tried again. */
  write(record: string): Promise<void>
  /** Give back what is not used. */
  release(): void
}

const PROBE = 'atlas probe'

/** Whether a record is what a proof that was killed has left: it holds no secret. */
export const isProbe = (record: string): boolean => record.startsWith(PROBE)

/**
 * Prove that a store keeps what it is given: see that what is there for the account can be reached, then write,
 * read back and delete a probe beside it.
 * @throws {AtlasError} `store_*`
 */
export async function proveStore(store: CredentialStore, account: string): Promise<void> {
  await store.read(account).catch((error: unknown) => {
    // A damaged record can be replaced.
    if (!(error instanceof DamagedRecord)) throw error
  })
  const probeAccount = `${account}#probe`
  const probe = `${PROBE} ${Date.now()}`
  await store.write(probeAccount, probe)
  const found = await store.read(probeAccount)
  await store.delete(probeAccount)
  if (found !== probe)
    throw new AtlasError(
      'store_unavailable',
      `What atlas wrote to ${store.location} could not be read back.`,
      `Check it, ${ALTERNATIVES}.`,
    )
}
