import type { StoreKind } from '../config-file.ts'
import { type AtlasCode, AtlasError } from '../errors.ts'
import type { Items } from './items.ts'
import type { KeychainReply, KeychainRequest } from './keychain-worker.ts'
import { splitItems } from './split.ts'
import type { CredentialStore } from './store.ts'
import { ALTERNATIVES } from './store-error.ts'

/** The service name of every item that atlas keeps in a keychain. */
export const SERVICE = 'atlas-cli'

const WINDOWS_MAX_ITEM_BYTES = 2_560
/** The kernel's limit for a key of type "user" is 32,767 bytes (keyrings(7)). */
const KERNEL_MAX_ITEM_BYTES = 32_000

export interface KeychainOptions {
  readonly kind: Extract<StoreKind, 'keychain' | 'kernel'>
  readonly platform: NodeJS.Platform
  /** The longest that one call to the keychain is waited for, in milliseconds. */
  readonly timeoutMs: number
  readonly lockFolder: string
  readonly debug: (line: string) => void
  /** What one item can hold, in bytes; the platform's limit unless given. */
  readonly maxItemBytes?: number
}

/** The operating system's own keychain, or the kernel's key store, with a bounded wait for every call. */
export function createKeychainStore(options: KeychainOptions): CredentialStore {
  const { kind, platform, timeoutMs, lockFolder, debug } = options
  const keychain = describeKeychain(kind, platform)
  const thread = new KeychainThread(keychain, platform, timeoutMs)
  const linuxStore = kind === 'kernel' ? 'keyutils' : 'secret-service'

  const timed = async (request: Omit<KeychainRequest, 'id' | 'service' | 'linuxStore'>) => {
    if (kind === 'kernel' && platform !== 'linux') throw noKernelStore()
    const startedAt = performance.now()
    try {
      return await thread.call({ ...request, service: SERVICE, linuxStore })
    } finally {
      const elapsedMs = (performance.now() - startedAt).toFixed(1)
      debug(`store ${kind}: ${request.operation} ${request.account} in ${elapsedMs} ms`)
    }
  }
  const items: Items = {
    async get(account) {
      const value = await timed({ operation: 'get', account })
      return typeof value === 'string' ? value : undefined
    },
    async set(account, value) {
      await timed({ operation: 'set', account, value })
    },
    async delete(account) {
      return (await timed({ operation: 'delete', account })) === true
    },
  }
  const limit = options.maxItemBytes ?? maxItemBytes(kind, platform)
  const whole = limit === undefined ? items : splitItems(items, limit)
  return {
    kind,
    location: keychain,
    lockFolder,
    async check() {},
    read: whole.get,
    write: whole.set,
    reserve: async account => ({ write: record => whole.set(account, record), release() {} }),
    delete: whole.delete,
    close: () => thread.close(),
  }
}

function maxItemBytes(kind: StoreKind, platform: NodeJS.Platform): number | undefined {
  if (platform === 'win32') return WINDOWS_MAX_ITEM_BYTES
  return kind === 'kernel' ? KERNEL_MAX_ITEM_BYTES : undefined
}

const noKernelStore = (): AtlasError =>
  new AtlasError(
    'store_unavailable',
    'The kernel store exists on Linux only.',
    `To store credentials, leave --store out, or ${ALTERNATIVES}.`,
  )

function describeKeychain(kind: StoreKind, platform: NodeJS.Platform): string {
  if (kind === 'kernel') return 'the kernel key store (gone at reboot)'
  if (platform === 'darwin') return 'the macOS Keychain'
  if (platform === 'win32') return 'the Windows Credential Manager'
  return 'the Secret Service keychain'
}

/** One thread for all calls of a process; it is left behind at the first call that does not return in time. */
class KeychainThread {
  #worker: Worker | undefined
  #nextId = 0
  #stuck: AtlasError | undefined
  readonly #waiting = new Map<
    number,
    { resolve(reply: KeychainReply): void; reject(error: AtlasError): void }
  >()
  readonly #keychain: string
  readonly #platform: NodeJS.Platform
  readonly #timeoutMs: number

  constructor(keychain: string, platform: NodeJS.Platform, timeoutMs: number) {
    this.#keychain = keychain
    this.#platform = platform
    this.#timeoutMs = timeoutMs
  }

  async call(request: Omit<KeychainRequest, 'id'>): Promise<string | boolean | null> {
    if (this.#stuck) throw this.#stuck
    const id = this.#nextId++
    const reply = await new Promise<KeychainReply>((resolve, reject) => {
      const timer = setTimeout(() => this.#giveUp(this.#silent()), this.#timeoutMs)
      const settle =
        <T>(settled: (value: T) => void) =>
        (value: T): void => {
          clearTimeout(timer)
          this.#waiting.delete(id)
          settled(value)
        }
      this.#waiting.set(id, { resolve: settle(resolve), reject: settle(reject) })
      this.#start().postMessage({ ...request, id } satisfies KeychainRequest)
    })
    if (reply.ok) return reply.value
    throw reply.stage === 'addon' ? this.#unloadable(reply.message) : this.#failed(reply.message)
  }

  close(): void {
    this.#worker?.terminate()
    this.#worker = undefined
  }

  #start(): Worker {
    if (this.#worker) return this.#worker
    const worker = new Worker(new URL('./keychain-worker.ts', import.meta.url))
    worker.onmessage = ({ data }: MessageEvent<KeychainReply>) => this.#waiting.get(data.id)?.resolve(data)
    worker.onerror = ({ message }) => this.#giveUp(this.#failed(message))
    this.#worker = worker
    return worker
  }

  #giveUp(error: AtlasError): void {
    this.#stuck = error
    for (const { reject } of this.#waiting.values()) reject(error)
  }

  #silent(): AtlasError {
    return new AtlasError(
      'store_timeout',
      `${sentence(this.#keychain)} did not answer within ${this.#timeoutMs / 1000} s.`,
      `Check it, wait longer with ATLAS_KEYCHAIN_TIMEOUT=60, ${ALTERNATIVES}.`,
    )
  }

  #unloadable(detail: string): AtlasError {
    return new AtlasError(
      'store_unavailable',
      `The keychain support could not be loaded (${detail}).`,
      `atlas unpacks it into the temporary folder: set TMPDIR to a folder that exists, has room and allows programs, ${ALTERNATIVES}.`,
    )
  }

  #failed(detail: string): AtlasError {
    const code = classifyKeychainFailure(detail)
    return new AtlasError(
      code,
      `${sentence(this.#keychain)} ${SAYS[code]} (${detail}).`,
      nextStep(code, this.#platform),
    )
  }
}

type KeychainCode = Extract<AtlasCode, 'store_locked' | 'store_denied' | 'store_unavailable'>

const SAYS: Record<KeychainCode, string> = {
  store_locked: 'is locked',
  store_denied: 'refused access',
  store_unavailable: 'cannot be used',
}

/**
 * Which of the store's answers a failure is. The addon gives prose alone: that of the keyring library
 * and, inside it, of the platform.
 */
export function classifyKeychainFailure(message: string): KeychainCode {
  if (/prompt was dismissed|is ?locked|IsLocked|interaction is not allowed/i.test(message))
    return 'store_locked'
  if (
    /denied|not permitted|user canceled|user cancelled|passphrase you entered is not correct/i.test(message)
  )
    return 'store_denied'
  return 'store_unavailable'
}

function nextStep(code: KeychainCode, platform: NodeJS.Platform): string {
  switch (code) {
    case 'store_locked':
      return `Unlock it and try again${platform === 'linux' ? ' (log in to the desktop, or run gnome-keyring-daemon --unlock)' : ''}, ${ALTERNATIVES}.`
    case 'store_denied':
      return `Allow atlas to use it, ${ALTERNATIVES}.`
    case 'store_unavailable':
      return `${platform === 'linux' ? 'Start one (gnome-keyring, KWallet, KeePassXC)' : 'Check it'}, ${ALTERNATIVES}.`
  }
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
