import { type Items, proveBeside, splitItems } from '../split.ts'
import type { CredentialStore } from '../store.ts'
import { describeKeychain, itemName } from './names.ts'
import type { CallItem, KeychainCallOptions } from './timeout.ts'

const WINDOWS_MAX_ITEM_BYTES = 2_560

export interface KeychainOptions extends KeychainCallOptions {
  readonly lockFolder: string
  readonly debug: (line: string) => void
}

/** The operating system's own keychain, with a bounded wait for every call. */
export function createKeychainStore(options: KeychainOptions): CredentialStore {
  const { platform, lockFolder, debug } = options
  let calls: Promise<CallItem> | undefined

  const call: CallItem = async (operation, account, value) => {
    const startedAt = performance.now()
    calls ??= import('./timeout.ts').then(module => module.createKeychainCalls(options))
    try {
      return await (await calls)(operation, itemName(account, platform), value)
    } finally {
      debug(`store keychain: ${operation} ${account} in ${(performance.now() - startedAt).toFixed(1)} ms`)
    }
  }
  const items: Items = {
    get: account => call('get', account),
    set: (account, value) => call('set', account, value),
    delete: account => call('delete', account),
    prove: account => call('prove', account),
  }
  const whole = platform === 'win32' ? splitItems(items, WINDOWS_MAX_ITEM_BYTES) : items
  return {
    kind: 'keychain',
    location: describeKeychain(platform),
    lockFolder,
    async check() {},
    async prove(account, isAlone) {
      if (isAlone) await whole.prove(account)
      else await proveBeside(whole, account)
      return () => {}
    },
    read: whole.get,
    write: whole.set,
    delete: whole.delete,
  }
}
