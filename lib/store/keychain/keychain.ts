import type { AddonFolder } from '../../files/user-folder.ts'
import { type Items, splitItems } from '../split.ts'
import type { CredentialStore } from '../store.ts'
import { describeKeychain } from './failures.ts'
import { KeychainThread } from './timeout.ts'

/** The service name of every item that atlas keeps in a keychain. */
export const SERVICE = 'atlas-cli'

const WINDOWS_MAX_ITEM_BYTES = 2_560

export interface KeychainOptions {
  readonly platform: NodeJS.Platform
  /** The longest that one call to the keychain is waited for, in milliseconds. */
  readonly timeoutMs: number
  readonly lockFolder: string
  readonly addonFolder: AddonFolder
  readonly debug: (line: string) => void
  /** What one item can hold, in bytes; the platform's limit unless given. */
  readonly maxItemBytes?: number
}

/** The operating system's own keychain, with a bounded wait for every call. */
export function createKeychainStore(options: KeychainOptions): CredentialStore {
  const { platform, timeoutMs, lockFolder, addonFolder, debug } = options
  const thread = new KeychainThread({ platform, service: SERVICE }, timeoutMs, addonFolder)

  const call = async (operation: 'get' | 'set' | 'delete', account: string, value?: string) => {
    const startedAt = performance.now()
    try {
      return await thread.call({
        operation,
        account: itemName(account, platform),
        ...(value !== undefined && { value }),
      })
    } finally {
      debug(`store keychain: ${operation} ${account} in ${(performance.now() - startedAt).toFixed(1)} ms`)
    }
  }
  const items: Items = {
    async get(account) {
      const value = await call('get', account)
      return typeof value === 'string' ? value : undefined
    },
    async set(account, value) {
      await call('set', account, value)
    },
    async delete(account) {
      return (await call('delete', account)) === true
    },
  }
  const limit = options.maxItemBytes ?? (platform === 'win32' ? WINDOWS_MAX_ITEM_BYTES : undefined)
  const whole = limit === undefined ? items : splitItems(items, limit)
  return {
    kind: 'keychain',
    location: describeKeychain(platform),
    lockFolder,
    async check() {},
    async prove(account) {
      const item = await items.get(account)
      if (item !== undefined) await items.set(account, item)
    },
    read: whole.get,
    write: whole.set,
    delete: whole.delete,
  }
}

/**
 * The name of an item that belongs to one account alone. Windows compares names without regard to case,
 * so there an account with capitals gets a name that tells it from the one without.
 */
export const itemName = (account: string, platform: NodeJS.Platform): string =>
  platform === 'win32' && account !== account.toLowerCase()
    ? `${account}#${new Bun.CryptoHasher('sha256').update(account).digest('hex').slice(0, 8)}`
    : account
