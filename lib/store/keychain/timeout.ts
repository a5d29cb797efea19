import type { AddonFolder } from '../../files/user-folder.ts'
import { startTimer } from '../../timer.ts'
import { keychainFailure, noAnswer, unloadable } from './failures.ts'
import type { Answers, WorkerReply, WorkerRequest } from './worker.ts'

/** @throws {AtlasError} `store_timeout`: no answer in time, now or to an earlier call; `store_*` */
export type CallItem = <Operation extends keyof Answers>(
  operation: Operation,
  account: string,
  value?: string,
) => Promise<Answers[Operation]>

/**
 * The thread for all keychain calls of a store. It is given up, with every call that waits for it, at the
 * first call that does not return in time: the library blocks its thread for ever where a keychain hangs.
 */
export function createKeychainThread(
  platform: NodeJS.Platform,
  timeoutMs: number,
  addonFolders: readonly AddonFolder[],
): CallItem {
  const waiting = new Map<number, (reply: WorkerReply) => void>()
  const givenUp = Promise.withResolvers<never>()
  // Nobody may be waiting for it.
  givenUp.promise.catch(() => {})
  let worker: Worker | undefined
  let nextId = 0

  const start = (): Worker => {
    const started = new Worker(new URL('./worker.ts', import.meta.url))
    started.onmessage = ({ data }: MessageEvent<WorkerReply>) => waiting.get(data.id)?.(data)
    started.onerror = ({ message }) => givenUp.reject(unloadable(message, addonFolders))
    return started
  }

  return async (operation, account, value = '') => {
    const request: WorkerRequest = {
      id: nextId++,
      operation,
      account,
      value,
      platform,
      timeoutMs,
      addonFolders,
    }
    const { promise, resolve } = Promise.withResolvers<WorkerReply>()
    waiting.set(request.id, resolve)
    const startedAt = performance.now()
    const stopClock = startTimer(timeoutMs, () => givenUp.reject(noAnswer(timeoutMs, platform)))
    try {
      worker ??= start()
      worker.postMessage(request)
      const reply = await Promise.race([givenUp.promise, promise])
      if (reply.ok) return reply.answer as Answers[typeof operation]
      if (reply.stage === 'addon') throw unloadable(reply.reason, addonFolders)
      throw keychainFailure(reply.reason, performance.now() - startedAt, account, platform)
    } finally {
      stopClock()
      waiting.delete(request.id)
    }
  }
}
