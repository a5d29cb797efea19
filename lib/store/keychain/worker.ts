/*
 * The thread on which keychain calls are made: they block it, for ever where a keychain hangs. timeout.ts
 * decides when it is given up.
 */

import type { AddonFolder } from '../../files/user-folder.ts'
import { type Addon, loadAddon } from './addon.ts'
import { callKeychain, type KeychainRequest } from './item.ts'

/** A call, and where its addon is unpacked to. */
export interface WorkerRequest extends KeychainRequest {
  readonly id: number
  readonly addonFolder: AddonFolder
}

export type KeychainReply =
  | { readonly id: number; readonly ok: true; readonly value: string | boolean | null }
  | {
      readonly id: number
      readonly ok: false
      /** What failed, the addon or what it was asked; and why, as the end of a sentence. */
      readonly stage: 'addon' | 'keychain'
      readonly message: string
      readonly tookMs: number
    }

declare const self: {
  onmessage: (event: { data: WorkerRequest }) => void
  postMessage(reply: KeychainReply): void
}

let loading: Promise<Addon> | undefined

self.onmessage = async ({ data: request }) => {
  const { id } = request
  const startedAt = performance.now()
  let stage: 'addon' | 'keychain' = 'addon'
  try {
    loading ??= loadAddon(request.addonFolder)
    const addon = await loading
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
