import type { Items } from '../../lib/store/split.ts'

/** The process has ended in the middle of its work. */
export class Crash extends Error {}

/** A keychain in memory that can end its user before any step. */
export interface CrashingItems extends Items {
  readonly content: ReadonlyMap<string, string>
  /** How many changes have been made. */
  readonly changes: number
  /** Throw `Crash` instead of making a change, once so many more have been made. */
  crashAfter(changes: number): void
  neverCrash(): void
}

/** @param maxBytes what one item can hold. */
export function createCrashingItems(maxBytes = Number.POSITIVE_INFINITY): CrashingItems {
  const content = new Map<string, string>()
  let changes = 0
  let left = Number.POSITIVE_INFINITY
  const change = <T>(make: () => T): T => {
    if (left === 0) throw new Crash()
    left--
    changes++
    return make()
  }
  return {
    content,
    get changes() {
      return changes
    },
    crashAfter: count => {
      left = count
    },
    neverCrash: () => {
      left = Number.POSITIVE_INFINITY
    },
    get: async account => content.get(account),
    set: async (account, value) => {
      if (Buffer.byteLength(value) > maxBytes) throw new Error(`${account} is longer than an item can be`)
      change(() => content.set(account, value))
    },
    prove: async account => {
      if (content.has(account)) change(() => {})
    },
    delete: async account => (content.has(account) ? change(() => content.delete(account)) : false),
  }
}
