/*
 * The keychain's calls block their thread, for ever where a D-Bus daemon accepts and never answers, so
 * they are made here, on a thread that can be left behind.
 */
import { type Addon, loadAddon } from './keyring-addon.ts'

export interface KeychainRequest {
  readonly id: number
  readonly operation: 'get' | 'set' | 'delete'
  readonly service: string
  readonly account: string
  readonly value?: string
  readonly linuxStore: 'secret-service' | 'keyutils'
}

export type KeychainReply =
  | { readonly id: number; readonly ok: true; readonly value: string | boolean | null }
  | {
      readonly id: number
      readonly ok: false
      readonly stage: 'addon' | 'keychain'
      readonly message: string
    }

declare const self: {
  onmessage: (event: { data: KeychainRequest }) => void
  postMessage(reply: KeychainReply): void
}

let addon: Addon | undefined

self.onmessage = ({ data: request }) => {
  const { id } = request
  let stage: 'addon' | 'keychain' = 'addon'
  try {
    addon ??= loadAddon()
    stage = 'keychain'
    self.postMessage({ id, ok: true, value: perform(addon, request) })
  } catch (error) {
    self.postMessage({
      id,
      ok: false,
      stage,
      message: error instanceof Error ? error.message : String(error),
    })
  }
}

function perform({ Entry }: Addon, { operation, service, account, value = '', linuxStore }: KeychainRequest) {
  const entry = new Entry(service, account, { linux: { store: linuxStore } })
  // Windows bounds an item in bytes and stores passwords as UTF-16; bytes hold twice as much.
  const asBytes = process.platform === 'win32'
  switch (operation) {
    case 'get': {
      if (!asBytes) return entry.getPassword()
      const bytes = entry.getSecret()
      return bytes && new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes))
    }
    case 'set':
      if (asBytes) entry.setSecret(new TextEncoder().encode(value))
      else entry.setPassword(value)
      return true
    case 'delete':
      return entry.deleteCredential()
  }
}
