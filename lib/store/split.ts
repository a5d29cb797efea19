import { DamagedRecord, PROBE } from './store.ts'

/** Named strings, as a keychain holds them for one service. */
export interface Items {
  get(account: string): Promise<string | undefined>
  set(account: string, value: string): Promise<void>
  /** @returns whether there was something to delete. */
  delete(account: string): Promise<boolean>
  /** Replace the item, if there is one, by what it holds. @throws where it cannot be replaced. */
  prove(account: string): Promise<void>
}

const HEADER = /^atlas-parts:([ab]):([1-9]\d{0,3}):[0-9a-f-]{36}:([0-9a-f]{64})$/
/** A reader that keeps meeting a record in replacement gives up after this many looks. */
const MAX_LOOKS = 20

/** The two places for the parts of a value, used in turn. */
type Slot = 'a' | 'b'

/**
 * Items of any length on top of items of at most `maxItemBytes` of UTF-8. A long value is written as parts
 * beside the current ones, then made current by one replacement of the item itself: a reader, also after a
 * crash, sees the old value or the new one. Callers that change an account exclude each other.
 *
 * A crash can leave parts that no header names. Written in ascending and deleted in descending order, they
 * are an unbroken row from the first on, which the next `set` or `delete` finds and removes.
 */
export function splitItems(items: Items, maxItemBytes: number): Items {
  const partName = (account: string, slot: Slot, index: number): string => `${account}#${slot}.${index}`

  /** Delete a slot's parts from an index on. */
  const clear = async (account: string, slot: Slot, from: number): Promise<void> => {
    let end = from
    while ((await readDamaged(items, partName(account, slot, end))) !== undefined) end++
    for (let index = end - 1; index >= from; index--) await items.delete(partName(account, slot, index))
  }

  const join = async (account: string, { slot, count, digest }: Header): Promise<string | undefined> => {
    const pieces: string[] = []
    for (let index = 0; index < count; index++) {
      const piece = await items.get(partName(account, slot, index))
      if (piece === undefined) return undefined
      pieces.push(piece)
    }
    const whole = pieces.join('')
    return Bun.SHA256.hash(whole, 'hex') === digest ? whole : undefined
  }

  const whole: Items = {
    async get(account) {
      for (let look = 0; look < MAX_LOOKS; look++) {
        const item = await items.get(account)
        const header = item === undefined ? undefined : parseHeader(item)
        if (header === undefined) return item
        const whole = await join(account, header)
        if (whole !== undefined) return whole
        if ((await items.get(account)) === item)
          throw new DamagedRecord(account, 'a part of them is missing or changed')
      }
      throw new DamagedRecord(account, 'they change faster than they can be read')
    },

    async set(account, value) {
      const slot: Slot = parseHeader((await readDamaged(items, account)) ?? '')?.slot === 'a' ? 'b' : 'a'
      const fits = Buffer.byteLength(value) <= maxItemBytes && parseHeader(value) === undefined
      const pieces = fits ? [] : cut(value, maxItemBytes)
      try {
        for (const [index, piece] of pieces.entries()) await items.set(partName(account, slot, index), piece)
      } catch (error) {
        // Parts of a value for which there is no room must not go on taking what room there is.
        await clear(account, slot, 0).catch(() => {})
        throw error
      }
      await items.set(account, fits ? value : formatHeader(slot, pieces.length, value))
      await clear(account, slot, pieces.length)
      await clear(account, slot === 'a' ? 'b' : 'a', 0)
    },

    async delete(account) {
      const existed = await items.delete(account)
      await clear(account, 'a', 0)
      await clear(account, 'b', 0)
      return existed
    },

    async prove(account) {
      const item = await items.get(account)
      if (item === undefined || parseHeader(item) === undefined) return items.prove(account)
      // A header that is put back after somebody has replaced it names parts that are gone.
      await proveBeside(whole, account)
    },
  }
  return whole
}

/**
 * Write and delete an item as large as that of the account, if there is one: it proves that this one can be replaced
 * where items have no access rights of their own, and never puts an older value over a newer one.
 */
export async function proveBeside(items: Items, account: string): Promise<void> {
  const value = await items.get(account)
  if (value === undefined) return
  const probe = `${account}#probe`
  await items.set(probe, PROBE.padEnd(value.length))
  await items.delete(probe)
}

/** An item for those who want to replace it: what cannot be read is there all the same. */
async function readDamaged(items: Items, name: string): Promise<string | undefined> {
  try {
    return await items.get(name)
  } catch (error) {
    if (error instanceof DamagedRecord) return ''
    throw error
  }
}

interface Header {
  readonly slot: Slot
  readonly count: number
  readonly digest: string
}

/** No two headers are equal, so that a reader can tell that a value was replaced by the same one. */
const formatHeader = (slot: Slot, count: number, value: string): string =>
  `atlas-parts:${slot}:${count}:${crypto.randomUUID()}:${Bun.SHA256.hash(value, 'hex')}`

function parseHeader(item: string): Header | undefined {
  const [, slot, count, digest] = HEADER.exec(item) ?? []
  if ((slot !== 'a' && slot !== 'b') || digest === undefined) return undefined
  return { slot, count: Number(count), digest }
}

/** Pieces of at most `maxBytes` UTF-8 bytes, no character cut in two. */
function cut(value: string, maxBytes: number): string[] {
  const bytes = Buffer.from(value)
  const pieces: string[] = []
  for (let start = 0, end = 0; start < bytes.length; start = end) {
    end = Math.min(start + maxBytes, bytes.length)
    // Not inside a character.
    while (((bytes[end] ?? 0) & 0b1100_0000) === 0b1000_0000) end--
    pieces.push(bytes.toString('utf8', start, end))
  }
  return pieces
}
