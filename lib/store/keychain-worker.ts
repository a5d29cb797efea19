/*
 * The keychain's calls block their thread, for ever where a D-Bus daemon accepts and never answers, so
 * they are made here, on a thread that can be left behind.
 */
import { callKeychain, type KeychainRequest } from './keychain-call.ts'
import { type Addon, loadAddon } from './keyring-addon.ts'

export type KeychainReply =
  | { readonly id: number; readonly ok: true; readonly value: string | boolean | null }
  | {
      readonly id: number
      readonly ok: false
      readonly stage: 'addon' | 'keychain'
      readonly message: string
      readonly tookMs: number
    }

declare const self: {
  onmessage: (event: { data: KeychainRequest }) => void
  postMessage(reply: KeychainReply): void
}

let addon: Addon | undefined

self.onmessage = ({ data: request }) => {
  const { id } = request
  const startedAt = performance.now()
  let stage: 'addon' | 'keychain' = 'addon'
  try {
    addon ??= loadAddon()
    stage = 'keychain'
    self.postMessage({ id, ok: true, value: callKeychain(addon, request) })
  } catch (error) {
    self.postMessage({
      id,
      ok: false,
      stage,
      message: error instanceof Error ? error.message : String(error),
      tookMs: performance.now() - startedAt,
    })
  }
}
