import { expect, test } from 'bun:test'
import fs from 'node:fs'
import { isFresh } from '../../lib/sync/freshness.ts'
import { createSyncKit, NOW } from '../support/sync-kit.ts'

const HOUR_MS = 3_600_000
const ADA = 'ada@example.com'

/** A file that was synced now, and long after its text was written. */
async function synced() {
  const kit = createSyncKit()
  kit.remote = 'one\n'
  kit.clock = new Date()
  await kit.sync()
  kit.clock = new Date(Date.now() + 10_000)
  await kit.sync()
  const fresh = (account: string | null = ADA, after = 1000): boolean =>
    isFresh(kit.place, kit.memory.recall(), account, HOUR_MS, new Date(kit.clock.getTime() + after))
  return Object.assign(kit, { fresh, target: kit.place.target })
}

test('fresh: for an hour, and for the account whose text it is', async () => {
  using kit = await synced()
  expect([kit.fresh(), kit.fresh('bob@example.com'), kit.fresh(null)]).toEqual([true, false, false])
  expect([kit.fresh(ADA, HOUR_MS - 1), kit.fresh(ADA, HOUR_MS), kit.fresh(ADA, -1)]).toEqual([
    true,
    false,
    false,
  ])
})

test('fresh: a file that was written anew with the same text is, whatever its time', async () => {
  using kit = await synced()
  fs.rmSync(kit.target)
  kit.edit('one\n')
  expect(kit.fresh()).toBeTrue()
})

test('fresh: not an edit that has the length and the time of the text', async () => {
  using kit = await synced()
  const { atime, mtime } = fs.statSync(kit.target)
  kit.edit('ONE\n')
  fs.utimesSync(kit.target, atime, mtime)
  expect(kit.fresh()).toBeFalse()
})

test('fresh: not an edit in the same tick of a coarse clock as the sync', async () => {
  using kit = createSyncKit()
  kit.remote = 'one\n'
  kit.clock = new Date()
  await kit.sync()
  // A file system whose times are those of the sync, whatever is written.
  const state = kit.memory.recall()
  kit.edit('ONE\n')
  const { size, ino, mtimeMs, ctimeMs } = fs.statSync(kit.place.target)
  const look = [size, ino, mtimeMs, ctimeMs].join(' ')
  const checked = state.checked && { ...state.checked, look }
  expect(isFresh(kit.place, { ...state, checked }, ADA, HOUR_MS, new Date())).toBeFalse()
})

test('fresh: nothing is before a first sync, or while one is under way', async () => {
  using kit = await synced()
  kit.memory.remember({ ...kit.memory.recall(), pendingSha256: 'f'.repeat(64) })
  expect(kit.fresh()).toBeFalse()
  using other = createSyncKit()
  expect(isFresh(other.place, other.memory.recall(), ADA, HOUR_MS, NOW)).toBeFalse()
})
