import type { Items } from './items.ts'
import { damagedRecord } from './store-error.ts'

const HEADER = /^atlas-parts:([0-9a-f]{16}):([1-9]\d{0,3}):([0-9a-f]{64})$/
/** A reader that keeps meeting a record in replacement gives up after this many looks. */
const MAX_LOOKS = 20

/**
 * Items of any length on top of items of bounded length. A long value is written as parts under names
 * of their own, then made current by one replacement of the item itself, so that a reader at any
 * moment, and a crash at any moment, sees the old value or the new one.
 * @param maxItemBytes what one item can hold, in UTF-8 bytes.
 */
export function splitItems(items: Items, maxItemBytes: number): Items {
  const partName = (account: string, generation: string, index: number): string =>
    `${account}#${generation}.${index}`

  const removeParts = async (account: string, header: string | undefined): Promise<void> => {
    const parts = header === undefined ? undefined : parseHeader(header)
    for (let index = 0; index < (parts?.count ?? 0); index++) {
      await items.delete(partName(account, parts?.generation ?? '', index))
    }
  }

  const join = async (account: string, { generation, count, digest }: Parts): Promise<string | undefined> => {
    const pieces: string[] = []
    for (let index = 0; index < count; index++) {
      const piece = await items.get(partName(account, generation, index))
      if (piece === undefined) return undefined
      pieces.push(piece)
    }
    const whole = pieces.join('')
    return sha256(whole) === digest ? whole : undefined
  }

  return {
    async get(account) {
      for (let look = 0; look < MAX_LOOKS; look++) {
        const item = await items.get(account)
        const parts = item === undefined ? undefined : parseHeader(item)
        if (parts === undefined) return item
        const whole = await join(account, parts)
        if (whole !== undefined) return whole
        if ((await items.get(account)) === item)
          throw damagedRecord(account, 'a part of it is missing or changed')
      }
      throw damagedRecord(account, 'it changes faster than it can be read')
    },

    async set(account, value) {
      const before = await items.get(account)
      if (Buffer.byteLength(value) <= maxItemBytes && parseHeader(value) === undefined) {
        await items.set(account, value)
      } else {
        const generation = Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString('hex')
        const pieces = cut(value, maxItemBytes)
        for (const [index, piece] of pieces.entries())
          await items.set(partName(account, generation, index), piece)
        await items.set(account, `atlas-parts:${generation}:${pieces.length}:${sha256(value)}`)
      }
      await removeParts(account, before)
    },

    async delete(account) {
      const before = await items.get(account)
      const existed = await items.delete(account)
      await removeParts(account, before)
      return existed
    },
  }
}

interface Parts {
  readonly generation: string
  readonly count: number
  readonly digest: string
}

function parseHeader(item: string): Parts | undefined {
  const [, generation, count, digest] = HEADER.exec(item) ?? []
  if (generation === undefined || count === undefined || digest === undefined) return undefined
  return { generation, count: Number(count), digest }
}

/** Pieces of at most `maxBytes` UTF-8 bytes, no character cut in two. */
function cut(value: string, maxBytes: number): string[] {
  const pieces: string[] = []
  let piece = ''
  let bytes = 0
  for (const character of value) {
    const size = Buffer.byteLength(character)
    if (bytes + size > maxBytes) {
      pieces.push(piece)
      piece = ''
      bytes = 0
    }
    piece += character
    bytes += size
  }
  return [...pieces, piece]
}

const sha256 = (text: string): string => new Bun.CryptoHasher('sha256').update(text).digest('hex')
