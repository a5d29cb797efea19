import type { AtlasError } from '../../errors.ts'
import type { AddonFolder } from '../../files/user-folder.ts'
import { type Keychain, keychainFailure, noAnswer, unloadable } from './failures.ts'
import type { KeychainRequest } from './item.ts'
import type { KeychainReply, WorkerRequest } from './worker.ts'

/**
 * The thread for all keychain calls of a store. It is given up, with every call that waits for it, at the
 * first call that does not return in time: the library blocks its thread for ever where a keychain hangs.
 */
export class KeychainThread {
  #worker: Worker | undefined
  #nextId = 0
  #givenUp: AtlasError | undefined
  readonly #waiting = new Map<
    number,
    { resolve(reply: KeychainReply): void; reject(error: AtlasError): void }
  >()
  readonly #keychain: Keychain
  readonly #timeoutMs: number
  readonly #addonFolder: AddonFolder

  /** @param timeoutMs the longest that one call is waited for. */
  constructor(keychain: Keychain, timeoutMs: number, addonFolder: AddonFolder) {
    this.#keychain = keychain
    this.#timeoutMs = timeoutMs
    this.#addonFolder = addonFolder
  }

  /** @throws {AtlasError} `store_timeout`: no answer in time, now or in an earlier call; `store_*` */
  async call(
    request: Pick<KeychainRequest, 'operation' | 'account' | 'value'>,
  ): Promise<string | boolean | null> {
    if (this.#givenUp) throw this.#givenUp
    const reply = await this.#ask({
      ...request,
      ...this.#keychain,
      id: this.#nextId++,
      addonFolder: this.#addonFolder,
    })
    if (reply.ok) return reply.value
    const { stage, message, tookMs } = reply
    throw stage === 'keychain'
      ? keychainFailure(message, tookMs, request.account, this.#keychain)
      : unloadable(message, this.#addonFolder)
  }

  async #ask(request: WorkerRequest): Promise<KeychainReply> {
    const { promise, resolve, reject } = Promise.withResolvers<KeychainReply>()
    this.#waiting.set(request.id, { resolve, reject })
    const timer = setTimeout(
      () => this.#giveUp(noAnswer(this.#timeoutMs, this.#keychain.platform)),
      this.#timeoutMs,
    )
    try {
      this.#start().postMessage(request)
      return await promise
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(request.id)
    }
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
    this.#givenUp = error
    for (const { reject } of this.#waiting.values()) reject(error)
  }
}
