import fs from 'node:fs'
import { recoverable } from '../errors.ts'
import { readLocal } from './local-file.ts'
import type { SyncMemory, SyncState } from './memory.ts'
import type { Place } from './place.ts'
import { sha256 } from './verdict.ts'

/** Younger changes than this may share their time with one that comes after them, in milliseconds. */
const COARSEST_CLOCK_MS = 2_000

/** What changes with a file: nobody who writes to it can set all of it back. */
const lookOf = ({ size, ino, mtimeMs, ctimeMs }: fs.Stats): string => [size, ino, mtimeMs, ctimeMs].join(' ')

/**
 * Remember that the file is now as the server has it for that account, if that can be: without it a later sync asks once
 * more. Callers hold the file's lock.
 */
export function noteCheck({ target }: Place, memory: SyncMemory, account: string | null, at: Date): void {
  try {
    const state = memory.recall()
    // The look is that of the very file whose text is compared: an editor may have been here since.
    const local = readLocal(target)
    if (local === undefined || sha256(local.bytes) !== state.syncedSha256) return
    memory.remember({ ...state, checked: { at, account, look: lookOf(local.stats) } })
  } catch (error) {
    recoverable(error)
  }
}

/**
 * Whether a file was synced for that account less than so many milliseconds ago and is as it was left then, by what is
 * remembered here alone. A clock that was set back makes it stale.
 */
export function isFresh(
  { target }: Place,
  { syncedSha256, pendingSha256, checked }: SyncState,
  account: string | null,
  maxAgeMs: number,
  now: Date,
): boolean {
  if (syncedSha256 === null || pendingSha256 !== null || checked?.account !== account) return false
  const ageMs = now.getTime() - checked.at.getTime()
  if (ageMs < 0 || ageMs >= maxAgeMs) return false
  const found = fs.statSync(target, { throwIfNoEntry: false })
  if (found === undefined) return false
  const wasSettled = checked.at.getTime() - found.ctimeMs > COARSEST_CLOCK_MS
  if (wasSettled && lookOf(found) === checked.look) return true
  const local = readLocal(target)
  return local !== undefined && sha256(local.bytes) === syncedSha256
}
