import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Items } from '../../lib/store/split.ts'
import { splitItems } from '../../lib/store/split.ts'
import { DamagedRecord } from '../../lib/store/store.ts'
import { Crash, createCrashingItems } from '../support/crashing-items.ts'

const LIMIT = 120
const ACCOUNT = 'default@https://atlas.example.com'
const MAX_PARTS = 6

/** Values of up to six parts, most of them of several, in characters of one to four bytes. */
const longValue = fc
  .record({ character: fc.constantFrom('x', 'y', 'ß', '€', '🔑'), length: fc.nat({ max: 120 }) })
  .map(({ character, length }) => `${character}${length}`.repeat(length).slice(0, 5 * length))
  .filter(value => value.isWellFormed() && Buffer.byteLength(value) <= LIMIT * MAX_PARTS - 4 * MAX_PARTS)

describe('a value of any length', () => {
  const LENGTHS = [0, 1, LIMIT - 1, LIMIT, LIMIT + 1, 2 * LIMIT, 2 * LIMIT + 1, 40 * LIMIT]
  test.each(LENGTHS)('of %d bytes is kept whole, within the limit of each item', async length => {
    const items = createCrashingItems(LIMIT)
    const split = splitItems(items, LIMIT)
    await split.set(ACCOUNT, 'x'.repeat(length))
    expect(await split.get(ACCOUNT)).toBe('x'.repeat(length))
    expect(await split.delete(ACCOUNT)).toBe(true)
    expect(items.content.size).toBe(0)
    expect(await split.get(ACCOUNT)).toBeUndefined()
  })

  test('in any script comes back as it was', () =>
    fc.assert(
      fc.asyncProperty(longValue, async value => {
        const items = createCrashingItems(LIMIT)
        const split = splitItems(items, LIMIT)
        await split.set(ACCOUNT, value)
        expect(await split.get(ACCOUNT)).toBe(value)
      }),
    ))

  test('that looks like a header is kept as a value', async () => {
    const split = splitItems(createCrashingItems(), 2_560)
    const forged = `atlas-parts:a:1:${crypto.randomUUID()}:${'0'.repeat(64)}`
    await split.set(ACCOUNT, forged)
    expect(await split.get(ACCOUNT)).toBe(forged)
  })

  test('that fits is one item, readable by others', async () => {
    const items = createCrashingItems(LIMIT)
    await splitItems(items, LIMIT).set(ACCOUNT, 'short')
    expect([...items.content]).toEqual([[ACCOUNT, 'short']])
  })
})

/** What a process does to an account before it ends or crashes. */
const step = fc.record({
  value: fc.option(longValue, { nil: undefined }),
  crashAfter: fc.option(fc.nat({ max: MAX_PARTS + 2 }), { nil: undefined }),
})

test('at every crash point a reader sees the old value or the new one, and leftovers stay few', () =>
  fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async steps => {
      const items = createCrashingItems(LIMIT)
      const split = splitItems(items, LIMIT)
      let current: string | undefined
      for (const { value, crashAfter } of steps) {
        if (crashAfter !== undefined) items.crashAfter(crashAfter)
        const crashed = await (value === undefined ? split.delete(ACCOUNT) : split.set(ACCOUNT, value)).then(
          () => false,
          error => {
            if (error instanceof Crash) return true
            throw error
          },
        )
        items.neverCrash()
        const seen = await split.get(ACCOUNT)
        expect(crashed ? [current, value] : [value]).toContain(seen)
        current = seen
        // The header and a row of parts in each of two places.
        expect(items.content.size).toBeLessThanOrEqual(1 + 2 * MAX_PARTS)
      }
      // Whatever has happened, one undisturbed change leaves nothing that is not needed.
      await split.set(ACCOUNT, 'short')
      expect([...items.content]).toEqual([[ACCOUNT, 'short']])
      await split.delete(ACCOUNT)
      expect(items.content.size).toBe(0)
    }),
    { numRuns: 500 },
  ))

test('a value for which there is no room leaves the old one and nothing of itself', async () => {
  const items = createCrashingItems(LIMIT)
  const room = 4
  const full: Items = {
    ...items,
    set: (account, value) =>
      items.content.size < room ? items.set(account, value) : Promise.reject(new Error('no room')),
  }
  const split = splitItems(full, LIMIT)
  await split.set(ACCOUNT, 'x'.repeat(2 * LIMIT))
  expect(split.set(ACCOUNT, 'y'.repeat(3 * LIMIT))).rejects.toThrow('no room')
  expect({ seen: await split.get(ACCOUNT), size: items.content.size }).toEqual({
    seen: 'x'.repeat(2 * LIMIT),
    size: 3,
  })
})

test('deleting what a crash left without a header leaves nothing', async () => {
  const items = createCrashingItems(LIMIT)
  const split = splitItems(items, LIMIT)
  items.crashAfter(3)
  await split.set(ACCOUNT, 'x'.repeat(5 * LIMIT)).catch(() => {})
  items.neverCrash()
  expect({ left: items.content.size, seen: await split.get(ACCOUNT) }).toEqual({ left: 3, seen: undefined })
  expect(await split.delete(ACCOUNT)).toBe(false)
  expect(items.content.size).toBe(0)
})

/** The same items, every call taking its turn in an order that fast-check chooses. */
const scheduled = (items: Items, scheduler: fc.Scheduler): Items => ({
  get: account => scheduler.schedule(Promise.resolve()).then(() => items.get(account)),
  set: (account, value) => scheduler.schedule(Promise.resolve()).then(() => items.set(account, value)),
  delete: account => scheduler.schedule(Promise.resolve()).then(() => items.delete(account)),
  prove: account => scheduler.schedule(Promise.resolve()).then(() => items.prove(account)),
})

test('a reader between the steps of a writer sees a value that was current meanwhile', () =>
  fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.option(longValue, { nil: undefined }), { minLength: 1, maxLength: 4 }),
      longValue,
      async (scheduler, values, first) => {
        const items = createCrashingItems(LIMIT)
        await splitItems(items, LIMIT).set(ACCOUNT, first)
        const split = splitItems(scheduled(items, scheduler), LIMIT)
        const write = async (): Promise<void> => {
          for (const value of values)
            await (value === undefined ? split.delete(ACCOUNT) : split.set(ACCOUNT, value))
        }
        const readers = [split.get(ACCOUNT), split.get(ACCOUNT)]
        const done = Promise.all([write(), ...readers])
        await scheduler.waitFor(done)
        for (const reader of readers) expect([first, ...values]).toContain(await reader)
      },
    ),
    { numRuns: 500 },
  ))

test('a value replaced by the same one under a reader’s hands is no damage', async () => {
  const items = createCrashingItems(LIMIT)
  const writer = splitItems(items, LIMIT)
  const value = 'x'.repeat(3 * LIMIT)
  await writer.set(ACCOUNT, value)
  // Before the reader's third and fourth look into the keychain: its second part, and the header again.
  let looks = 0
  const interrupted: Items = {
    ...items,
    get: async account => {
      looks++
      if (looks === 3 || looks === 4) await writer.set(ACCOUNT, value)
      return items.get(account)
    },
  }
  expect(await splitItems(interrupted, LIMIT).get(ACCOUNT)).toBe(value)
})

describe('a record whose parts are not what its header says', () => {
  const HARM: [what: string, harm: (items: ReturnType<typeof createCrashingItems>) => Promise<unknown>][] = [
    ['a part is missing', items => items.delete(`${ACCOUNT}#a.1`)],
    ['a part is another', items => items.set(`${ACCOUNT}#a.1`, 'x'.repeat(LIMIT - 1))],
    ['a part is empty', items => items.set(`${ACCOUNT}#a.0`, '')],
  ]
  test.each(HARM)('%s: is neither absent nor believed, and can be replaced and deleted', async (_, harm) => {
    const items = createCrashingItems(LIMIT)
    const split = splitItems(items, LIMIT)
    await split.set(ACCOUNT, 'x'.repeat(3 * LIMIT))
    await harm(items)
    expect(split.get(ACCOUNT)).rejects.toBeInstanceOf(DamagedRecord)
    await split.set(ACCOUNT, 'y'.repeat(2 * LIMIT))
    expect(await split.get(ACCOUNT)).toBe('y'.repeat(2 * LIMIT))
    await harm(items)
    await split.delete(ACCOUNT)
    expect(await split.get(ACCOUNT)).toBeUndefined()
  })

  test('an item that cannot be read is replaced', async () => {
    const items = createCrashingItems(LIMIT)
    const unreadable: Items = {
      ...items,
      get: async account => {
        if (items.content.get(account) === 'unreadable') throw new DamagedRecord(account, 'they are not text')
        return items.get(account)
      },
    }
    await items.set(ACCOUNT, 'unreadable')
    const split = splitItems(unreadable, LIMIT)
    expect(split.get(ACCOUNT)).rejects.toBeInstanceOf(DamagedRecord)
    await split.set(ACCOUNT, 'x'.repeat(2 * LIMIT))
    expect(await split.get(ACCOUNT)).toBe('x'.repeat(2 * LIMIT))
  })
})

describe('proving that an account can be replaced', () => {
  test('split: a value in one item is written again, one in parts is left alone and tried beside itself', async () => {
    const items = createCrashingItems(LIMIT)
    const split = splitItems(items, LIMIT)
    const written: string[] = []
    const watched = splitItems(
      {
        ...items,
        set: async (account, value) => {
          written.push(`${account} ${Buffer.byteLength(value)}`)
          await items.set(account, value)
        },
        prove: async account => {
          written.push(`${account} again`)
        },
      },
      LIMIT,
    )
    await watched.prove(ACCOUNT)
    expect(written).toEqual([`${ACCOUNT} again`])
    await split.set(ACCOUNT, 'short')
    await watched.prove(ACCOUNT)
    expect(written).toEqual([`${ACCOUNT} again`, `${ACCOUNT} again`])

    await split.set(ACCOUNT, 'x'.repeat(3 * LIMIT))
    const before = new Map(items.content)
    written.length = 0
    await watched.prove(ACCOUNT)
    const header = Buffer.byteLength(items.content.get(ACCOUNT) ?? '')
    expect(written).toEqual([
      ...[0, 1, 2].map(index => `${ACCOUNT}#probe#a.${index} ${LIMIT}`),
      `${ACCOUNT}#probe ${header}`,
    ])
    expect(items.content).toEqual(before)
  })

  test('split: a lack of room for the parts is found, and leaves what there was', async () => {
    const items = createCrashingItems(LIMIT)
    await splitItems(items, LIMIT).set(ACCOUNT, 'x'.repeat(3 * LIMIT))
    const before = new Map(items.content)
    const full: Items = {
      ...items,
      set: async (account, value) => {
        if (items.content.size >= before.size + 2) throw new Error('no room')
        await items.set(account, value)
      },
    }
    await expect(splitItems(full, LIMIT).prove(ACCOUNT)).rejects.toThrow('no room')
    expect(items.content).toEqual(before)
  })
})
