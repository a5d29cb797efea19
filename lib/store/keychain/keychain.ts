import type { AddonFolder } from '../../files/user-folder.ts'
import { type Items, splitItems } from '../split.ts'
import type { CredentialStore } from '../store.ts'
import { describeKeychain, itemName } from './names.ts'
import type { CallItem } from './timeout.ts'

const WINDOWS_MAX_ITEM_BYTES = 2_560

export interface KeychainOptions {
  readonly platform: NodeJS.Platform
  /** The longest wait for one call, in milliseconds. */
  readonly timeoutMs: number
  readonly lockFolder: string
  readonly addonFolders: readonly AddonFolder[]
  readonly debug: (line: string) => void
}

/** The operating system's own keychain, with a bounded wait for every call. */
export function createKeychainStore(options: KeychainOptions): CredentialStore {
  const { platform, timeoutMs, lockFolder, addonFolders, debug } = options
  let thread: Promise<CallItem> | undefined

  const call: CallItem = async (operation, account, value) => {
    const startedAt = performance.now()
    thread ??= import('./timeout.ts').then(module =>
      module.createKeychainThread(platform, timeoutMs, addonFolders),
    )
    try {
      return await (await thread)(operation, itemName(account, platform), value)
    } finally {
      debug(`store keychain: ${operation} ${account} in ${(performance.now() - startedAt).toFixed(1)} ms`)
    }
  }
  const items: Items = {
    get: account => call('get', account),
    set: (account, value) => call('set', account, value),
    delete: account => call('delete', account),
  }
  const whole = platform === 'win32' ? splitItems(items, WINDOWS_MAX_ITEM_BYTES) : items
  return {
    kind: 'keychain',
    location: describeKeychain(platform),
    lockFolder,
    async check() {},
    async prove(account) {
      const item = await items.get(account)
      if (item !== undefined) await items.set(account, item)
      return () => {}
    },
    read: whole.get,
    write: whole.set,
    delete: whole.delete,
  }
}
