import type { StoreKind } from '../../config/file.ts'
import type { AtlasError } from '../../errors.ts'
import type { Items } from '../items.ts'
import { splitItems } from '../split.ts'
import type { CredentialStore } from '../store.ts'
import type { AddonFolder } from './addon-folder.ts'
import type { KeychainRequest } from './call.ts'
import {
  describeKeychain,
  type KeychainPlace,
  keychainFailure,
  loadFault,
  noKernelStore,
  silent,
  unloadable,
} from './failure.ts'
import type { KeychainReply, WorkerRequest } from './worker.ts'

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
  readonly addonFolder: AddonFolder
  readonly debug: (line: string) => void
  /** What one item can hold, in bytes; the platform's limit unless given. */
  readonly maxItemBytes?: number
}

/** The operating system's own keychain, or the kernel's key store, with a bounded wait for every call. */
export function createKeychainStore(options: KeychainOptions): CredentialStore {
  const { kind, platform, timeoutMs, lockFolder, addonFolder, debug } = options
  const thread = new KeychainThread({ kind, platform, service: SERVICE }, timeoutMs, addonFolder)

  const timed = async (request: Pick<KeychainRequest, 'operation' | 'account' | 'value'>) => {
    if (kind === 'kernel' && platform !== 'linux') throw noKernelStore()
    const startedAt = performance.now()
    try {
      return await thread.call({ ...request, account: itemName(request.account, platform) })
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
    location: describeKeychain({ kind, platform }),
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

/**
 * The name of an item that belongs to one account alone. Windows compares names without regard to case,
 * so there an account with capitals gets a name that tells it from the one without.
 */
export const itemName = (account: string, platform: NodeJS.Platform): string =>
  platform === 'win32' && account !== account.toLowerCase()
    ? `${account}#${new Bun.CryptoHasher('sha256').update(account).digest('hex').slice(0, 8)}`
    : account

/** One thread for all calls of a process; it is left behind at the first call that does not return in time. */
class KeychainThread {
  #worker: Worker | undefined
  #nextId = 0
  #stuck: AtlasError | undefined
  readonly #waiting = new Map<
    number,
    { resolve(reply: KeychainReply): void; reject(error: AtlasError): void }
  >()
  readonly #place: KeychainPlace
  readonly #timeoutMs: number
  readonly #addonFolder: AddonFolder

  constructor(place: KeychainPlace, timeoutMs: number, addonFolder: AddonFolder) {
    this.#place = place
    this.#timeoutMs = timeoutMs
    this.#addonFolder = addonFolder
  }

  async call(
    request: Pick<KeychainRequest, 'operation' | 'account' | 'value'>,
  ): Promise<string | boolean | null> {
    if (this.#stuck) throw this.#stuck
    const id = this.#nextId++
    const reply = await new Promise<KeychainReply>((resolve, reject) => {
      const timer = setTimeout(() => this.#giveUp(silent(this.#timeoutMs, this.#place)), this.#timeoutMs)
      const settle =
        <T>(settled: (value: T) => void) =>
        (value: T): void => {
          clearTimeout(timer)
          this.#waiting.delete(id)
          settled(value)
        }
      this.#waiting.set(id, { resolve: settle(resolve), reject: settle(reject) })
      const { kind, platform, service } = this.#place
      const linuxStore = kind === 'kernel' ? 'keyutils' : 'secret-service'
      const addonFolder = this.#addonFolder
      this.#start().postMessage({
        ...request,
        id,
        service,
        linuxStore,
        platform,
        addonFolder,
      } satisfies WorkerRequest)
    })
    if (reply.ok) return reply.value
    throw reply.stage === 'keychain'
      ? keychainFailure(reply.message, reply.tookMs, request.account, this.#place)
      : unloadable(reply.stage === 'folder' ? reply.message : loadFault(reply.message), this.#addonFolder)
  }

  close(): void {
    this.#worker?.terminate()
    this.#worker = undefined
  }

  #start(): Worker {
    if (this.#worker) return this.#worker
    const worker = new Worker(new URL('./worker.ts', import.meta.url))
    worker.onmessage = ({ data }: MessageEvent<KeychainReply>) => this.#waiting.get(data.id)?.resolve(data)
    worker.onerror = ({ message }) => this.#giveUp(unloadable(message, this.#addonFolder))
    this.#worker = worker
    return worker
  }

  #giveUp(error: AtlasError): void {
    this.#stuck = error
    for (const { reject } of this.#waiting.values()) reject(error)
  }
}
