/*
 * The keychain's calls block their thread, for ever where a D-Bus daemon accepts and never answers, so
 * they are made here, on a thread that can be left behind.
 */

import { type Addon, loadAddon } from './addon.ts'
import { type AddonFolder, UnusableFolder } from './addon-folder.ts'
import { callKeychain, type KeychainRequest } from './call.ts'

/** A call, and where its addon is unpacked to. */
export interface WorkerRequest extends KeychainRequest {
  readonly addonFolder: AddonFolder
}

export type KeychainReply =
  | { readonly id: number; readonly ok: true; readonly value: string | boolean | null }
  | {
      readonly id: number
      readonly ok: false
      readonly stage: 'folder' | 'addon' | 'keychain'
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
      stage: error instanceof UnusableFolder ? 'folder' : stage,
      message: error instanceof Error ? error.message : String(error),
      tookMs: performance.now() - startedAt,
    })
  }
}
