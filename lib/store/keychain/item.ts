import type { Addon } from './addon.ts'

export interface KeychainRequest {
  readonly operation: 'get' | 'set' | 'delete'
  readonly service: string
  readonly account: string
  readonly value?: string
  readonly platform: NodeJS.Platform
}

/**
 * Get, set or delete one item, on the thread that this may block.
 * @returns the value or null; true for a value that was stored; whether there was something to delete.
 * @throws what the addon throws: an Error with a message for people, and no code.
 */
export function callKeychain(
  { Entry }: Addon,
  { operation, service, account, value = '', platform }: KeychainRequest,
): string | boolean | null {
  // Unpinned, the library falls back to the kernel's keys, which are gone at the next reboot.
  const entry = new Entry(service, account, { linux: { store: 'secret-service' } })
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
