/** Random choices that a seed repeats. */
export interface Chance {
  /** A number from 0 up to, but not including, the limit. */
  below(limit: number): number
  /** A whole number of a range, both ends included. */
  between(low: number, high: number): number
  happens(probability: number): boolean
  pick<T>(list: readonly T[]): T
}

/** @param seed any text. @see mulberry32, by Tommy Ettinger */
export function createChance(seed: string): Chance {
  let state = Bun.hash.crc32(seed)
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number): number => next() * limit
  const between = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1))
  return {
    below,
    between,
    happens: probability => next() < probability,
    pick(list) {
      const chosen = list[Math.floor(next() * list.length)]
      if (chosen === undefined) throw new Error('there is nothing to pick from')
      return chosen
    },
  }
}
