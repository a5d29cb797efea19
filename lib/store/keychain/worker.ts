import type { AddonFolder } from '../../files/user-folder.ts'
import { type Addon, loadAddon } from './addon.ts'
import { SERVICE } from './failures.ts'

/** What each operation on an item gives. */
export interface Answers {
  readonly get: string | undefined
  readonly set: undefined
  /** Replace the item, if there is one, by what it holds. */
  readonly prove: undefined
  readonly exists: boolean
  /** Whether there was something to delete. */
  readonly delete: boolean
}

export interface WorkerRequest {
  readonly id: number
  readonly operation: keyof Answers
  readonly account: string
  /** What to store; empty for another operation. */
  readonly value: string
  readonly platform: NodeJS.Platform
  readonly addonFolders: readonly AddonFolder[]
}

export type WorkerReply =
  | { readonly id: number; readonly ok: true; readonly answer: Answers[keyof Answers] }
  /** What failed, the addon or what it was asked; and why, as the end of a sentence. */
  | { readonly id: number; readonly ok: false; readonly stage: 'addon' | 'keychain'; readonly reason: string }

/** @throws what the addon throws: an Error with a message for people, and no code. */
export function callKeychain(
  { Entry }: Addon,
  { operation, account, value, platform }: Omit<WorkerRequest, 'id' | 'addonFolders'>,
): Answers[keyof Answers] {
  // Unpinned, the library falls back to the kernel's keys, which are gone at the next reboot.
  const entry = new Entry(SERVICE, account, { linux: { store: 'secret-service' } })
  // Windows limits an item in bytes and stores passwords as UTF-16; bytes hold twice as much.
  const asBytes = platform === 'win32'
  const read = () => (asBytes ? entry.getSecret() : entry.getPassword())
  const write = (content: string | ArrayLike<number>) => {
    if (typeof content === 'string') entry.setPassword(content)
    else entry.setSecret(Uint8Array.from(content))
  }
  switch (operation) {
    case 'get': {
      const content = read()
      // Bytes that are not text are not a record either, whatever stands for them.
      return content === null || typeof content === 'string'
        ? (content ?? undefined)
        : Buffer.from(content).toString()
    }
    case 'set':
      write(asBytes ? new TextEncoder().encode(value) : value)
      return undefined
    case 'prove': {
      // In one go: what another process stores in between would be lost.
      const content = read()
      if (content !== null) write(content)
      return undefined
    }
    case 'exists':
      return entry.getSecret() !== null
    case 'delete': {
      const existed = entry.deleteCredential()
      // The addon reports no failure to delete on macOS.
      if (existed && platform === 'darwin' && entry.getPassword() !== null)
        throw new Error('access denied: the item could not be deleted')
      return existed
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
      self.postMessage({ id, ok: true, answer: callKeychain(addon, request) })
    } catch (error) {
      self.postMessage({ id, ok: false, stage, reason: messageOf(error) })
    }
  }
}
