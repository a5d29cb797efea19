import type { Addon } from './addon.ts'

export interface KeychainRequest {
  readonly id: number
  readonly operation: 'get' | 'set' | 'delete'
  readonly service: string
  readonly account: string
  readonly value?: string
  readonly linuxStore: 'secret-service' | 'keyutils'
  readonly platform: NodeJS.Platform
}

/**
 * One call to the keychain, on the thread that it may block.
 * @returns the value or null, whether there was something to delete, or true for a value that was stored.
 * @throws what the addon throws: an Error whose message alone tells what happened.
 */
export function callKeychain(
  { Entry }: Addon,
  { operation, service, account, value = '', linuxStore, platform }: KeychainRequest,
): string | boolean | null {
  const open = () => new Entry(service, account, { linux: { store: linuxStore } })
  // A process without a key ring of its own is joined to its user's by its first question, whose answer is a
  // false "absent" therefore; an entry goes on asking where it asked first.
  if (linuxStore === 'keyutils') open().getPassword()
  const entry = open()
  // Windows bounds an item in bytes and stores passwords as UTF-16; bytes hold twice as much.
  const asBytes = platform === 'win32'
  switch (operation) {
    case 'get':
      return asBytes ? decodeUtf8(entry.getSecret()) : entry.getPassword()
    case 'set':
      if (asBytes) entry.setSecret(new TextEncoder().encode(value))
      else entry.setPassword(value)
      return true
    case 'delete': {
      const existed = entry.deleteCredential()
      // The addon reports no failure to delete on macOS.
      if (existed && platform === 'darwin' && entry.getPassword() !== null)
        throw new Error('access denied: the item could not be deleted')
      return existed
    }
  }
}

function decodeUtf8(bytes: ArrayLike<number> | null): string | null {
  if (bytes === null) return null
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes))
  } catch {
    throw new Error('Password data is not valid UTF-8')
  }
}
