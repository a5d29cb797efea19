import type { AddonFolder } from '../../files/user-folder.ts'
import { type Addon, loadAddon } from './addon.ts'
import { isAddonTimeout, SERVICE } from './failures.ts'

/** What each operation on an item gives; of `delete`, whether there was something to delete. */
export interface Answers {
  readonly get: string | undefined
  readonly set: undefined
  readonly delete: boolean
}

export interface WorkerRequest {
  readonly id: number
  readonly operation: keyof Answers
  readonly account: string
  /** What to store; empty for another operation. */
  readonly value: string
  readonly platform: NodeJS.Platform
  /** The longest wait for the call, in milliseconds. */
  readonly timeoutMs: number
  readonly addonFolders: readonly AddonFolder[]
}

export type WorkerReply =
  | { readonly id: number; readonly ok: true; readonly answer: Answers[keyof Answers] }
  /** What failed, the addon or what it was asked; and why, as the end of a sentence. */
  | { readonly id: number; readonly ok: false; readonly stage: 'addon' | 'keychain'; readonly reason: string }

/** @throws what the addon throws: an Error with a message for people, and no code. */
export function callKeychain(
  { Entry }: Addon,
  { operation, account, value, platform }: Omit<WorkerRequest, 'id' | 'addonFolders' | 'timeoutMs'>,
): Answers[keyof Answers] {
  // Unpinned, the library falls back to the kernel's keys, which are gone at the next reboot.
  const entry = new Entry(SERVICE, account, { linux: { store: 'secret-service' } })
  // Windows limits an item in bytes and stores passwords as UTF-16; bytes hold twice as much.
  const asBytes = platform === 'win32'
  switch (operation) {
    case 'get': {
      if (!asBytes) return entry.getPassword() ?? undefined
      const bytes = entry.getSecret()
      // Bytes that are not text are not a record either, whatever stands for them.
      return bytes === null ? undefined : Buffer.from(bytes).toString()
    }
    case 'set':
      if (asBytes) entry.setSecret(new TextEncoder().encode(value))
      else entry.setPassword(value)
      return undefined
    case 'delete': {
      const existed = entry.deleteCredential()
      // The addon reports no failure to delete on macOS.
      if (existed && platform === 'darwin' && entry.getPassword() !== null)
        throw new Error('access denied: the item could not be deleted')
      return existed
    }
  }
}

/** Call again and again while the addon has given up sooner than was asked for. @throws as `callKeychain` does */
function callPatiently(addon: Addon, request: WorkerRequest): Answers[keyof Answers] {
  const until = performance.now() + request.timeoutMs
  for (let attempt = 1; ; attempt++) {
    const startedAt = performance.now()
    try {
      const answer = callKeychain(addon, request)
      // The first attempt may have deleted it after all.
      return request.operation === 'delete' && attempt > 1 ? true : answer
    } catch (error) {
      const now = performance.now()
      if (now >= until || !isAddonTimeout(messageOf(error), now - startedAt)) throw error
    }
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

declare const self: {
  onmessage: (event: { data: WorkerRequest }) => void
  postMessage(reply: WorkerReply): void
}

// Each request blocks this thread, for ever if the keychain hangs: timeout.ts gives it up then.
if (!Bun.isMainThread) {
  let loading: Promise<Addon> | undefined
  self.onmessage = async ({ data: request }) => {
    const { id, addonFolders } = request
    let stage: 'addon' | 'keychain' = 'addon'
    try {
      loading ??= loadAddon(addonFolders)
      const addon = await loading
      stage = 'keychain'
      self.postMessage({ id, ok: true, answer: callPatiently(addon, request) })
    } catch (error) {
      self.postMessage({ id, ok: false, stage, reason: messageOf(error) })
    }
  }
}
