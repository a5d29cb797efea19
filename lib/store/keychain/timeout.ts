import { AtlasError } from '../../errors.ts'
import type { AddonFolder } from '../../files/user-folder.ts'
import { startTimer } from '../../timer.ts'
import {
  anotherUsersBus,
  isAddonTimeout,
  isItemGone,
  type KeychainUser,
  keychainFailure,
  noAnswer,
  unloadable,
} from './failures.ts'
import type { AskSecretService, SecretServiceOptions } from './secret-service.ts'
import type { Answers, WorkerReply, WorkerRequest } from './worker.ts'

/** How often an item is looked for that others delete and make again meanwhile. */
const MAX_ATTEMPTS = 5

/** @throws {AtlasError} `store_timeout`: no answer in time, now or to an earlier call; `store_*` */
export type CallItem = <Operation extends keyof Answers>(
  operation: Operation,
  account: string,
  value?: string,
) => Promise<Answers[Operation]>

export interface KeychainCallOptions extends KeychainUser, SecretServiceOptions {
  /** The longest wait for one call, in milliseconds. */
  readonly timeoutMs: number
  /** Where the addon may be unpacked; asked when it is needed. */
  readonly addonFolders: () => readonly AddonFolder[]
}

/**
 * All keychain calls of a store. They are given up, with every one that waits, at the first call that is not
 * answered in time. On Linux the Secret Service is read without the addon; where the addon gives up, it is asked without
 * it for the rest of the time, and from then on.
 */
export function createKeychainCalls(options: KeychainCallOptions): CallItem {
  const { platform, timeoutMs, mayOpenDialogue } = options
  const givenUp = Promise.withResolvers<never>()
  // Nobody may be waiting for it.
  givenUp.promise.catch(() => {})
  const askAddon = createAddonThread(options, givenUp.reject)
  let service: Promise<AskSecretService | undefined> | undefined
  const openService = () => {
    service ??= import('./secret-service.ts').then(module => module.openSecretService(options))
    return service
  }
  // The addon cannot be kept from asking the person.
  let avoidsAddon = platform === 'linux' && !mayOpenDialogue

  const ask: AskSecretService = async (operation, account, value) => {
    // The addon and its thread take longer to load than such a reading takes.
    const isReading = platform === 'linux' && operation === 'get'
    const askService = avoidsAddon || isReading ? await openService() : undefined
    if (askService) return askService(operation, account, value)
    // A deletion that was given up may still be carried out, and then finds nothing when it is repeated.
    const existed = platform === 'linux' && operation === 'delete' && (await ask('exists', account, ''))
    const startedAt = performance.now()
    try {
      return await askAddon(operation, account, value)
    } catch (error) {
      const { message } = error as Error
      if (platform !== 'linux' || !isAddonTimeout(message, performance.now() - startedAt)) throw error
      const askPatiently = await openService()
      if (!askPatiently) throw error
      avoidsAddon = true
      const answer = await askPatiently(operation, account, value)
      return existed ? (existed as typeof answer) : answer
    }
  }

  const askUntilThere: AskSecretService = async (operation, account, value) => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await ask(operation, account, value)
      } catch (error) {
        if (attempt === MAX_ATTEMPTS || !(error instanceof Error) || !isItemGone(error.message)) throw error
      }
    }
  }

  return async (operation, account, value = '') => {
    const startedAt = performance.now()
    const stopClock = startTimer(timeoutMs, () => givenUp.reject(noAnswer(timeoutMs, options)))
    try {
      return await Promise.race([givenUp.promise, askUntilThere(operation, account, value)])
    } catch (error) {
      if (error instanceof AtlasError || !(error instanceof Error)) throw error
      if (await isAnotherUsersBus(options)) throw anotherUsersBus(options)
      throw keychainFailure(error.message, performance.now() - startedAt, account, options)
    } finally {
      stopClock()
    }
  }
}

async function isAnotherUsersBus({ platform, env, uid }: KeychainCallOptions): Promise<boolean> {
  if (platform !== 'linux') return false
  const { sessionBusOwner } = await import('./bus.ts')
  const owner = sessionBusOwner(env)
  return owner !== undefined && owner !== uid
}

/** The addon's own thread: it blocks for ever where a keychain hangs. @param giveUp told if it cannot run. */
function createAddonThread(
  options: KeychainCallOptions,
  giveUp: (reason: AtlasError) => void,
): AskSecretService {
  const waiting = new Map<number, (reply: WorkerReply) => void>()
  const { platform } = options
  const addonFolders = options.addonFolders()
  let worker: Worker | undefined
  let nextId = 0

  const start = (): Worker => {
    const started = new Worker(new URL('./worker.ts', import.meta.url))
    started.onmessage = ({ data }: MessageEvent<WorkerReply>) => waiting.get(data.id)?.(data)
    started.onerror = ({ message }) => giveUp(unloadable(message, addonFolders, options))
    return started
  }

  return async (operation, account, value) => {
    const request: WorkerRequest = { id: nextId++, operation, account, value, platform, addonFolders }
    const { promise, resolve } = Promise.withResolvers<WorkerReply>()
    waiting.set(request.id, resolve)
    worker ??= start()
    worker.postMessage(request)
    const reply = await promise
    waiting.delete(request.id)
    if (reply.ok) return reply.answer as Answers[typeof operation]
    if (reply.stage === 'addon') throw unloadable(reply.reason, addonFolders, options)
    throw new Error(reply.reason)
  }
}
