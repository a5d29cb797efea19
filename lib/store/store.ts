import type { StoreKind } from '../config/values.ts'
import { AtlasError } from '../errors.ts'

/**
 * A place for credentials. A store that cannot be read never answers "absent": every method may throw an
 * AtlasError with `store_locked` (it must be unlocked), `store_denied` (access was refused), `store_timeout`
 * (no answer in time) or `store_unavailable` (it does not exist, or failed); nothing was deleted then.
 */
export interface CredentialStore {
  readonly kind: StoreKind
  /** Where the credentials are, for messages. */
  readonly location: string
  /** A folder with the scope of the credentials: two processes that share one share the other. */
  readonly lockFolder: string
  /**
   * Check that other users cannot reach the record, and that it can be replaced, as far as that shows
   * without calling a keychain. Cheap, to be called before a lock is taken.
   */
  check(account: string): Promise<void>
  /**
   * Prove that the record, if there is one, can be replaced: to be called under the lock, before a request
   * whose answer must be stored.
   * @param isAlone whether no other process can be storing another one at the same time; if one can, a record that
   * cannot be proved without writing it again is not written.
   * @returns what gives back the room that is set aside for the new record; it may be called twice.
   */
  prove(account: string, isAlone: boolean): Promise<() => void>
  read(account: string): Promise<string | undefined>
  /** Replace the account's record as a whole; readers see the old one or the new one. */
  write(account: string, record: string): Promise<void>
  /** @returns whether there was something to delete. */
  delete(account: string): Promise<boolean>
}

/** How the content of a probe begins, which is not a secret. */
export const PROBE = 'atlas probe'

/** What to do instead of using a store that cannot be used, with the command that logs in there. */
export const alternatives = (loginCommand: string): string =>
  `use "${loginCommand} --store file" (plain text, readable by you alone), or set ATLAS_ACCESS_TOKEN`

/** What is stored is not what atlas wrote. It is kept, since it is no proof of being logged out. */
export class DamagedRecord extends AtlasError {
  constructor(account: string, reason: string) {
    super(
      'store_unavailable',
      `The stored credentials of ${account} cannot be used: ${reason}.`,
      'Replace them with "atlas auth login", or delete them with "atlas auth logout".',
    )
  }
}
