import fs from 'node:fs'
import { recoverable } from '../errors.ts'
import { orFileError, readLocal } from './local-file.ts'
import type { SyncMemory, SyncState } from './memory.ts'
import type { Place } from './place.ts'
import { sha256 } from './verdict.ts'

/**
 * Remember that the file is now as the server has it, if that can be: without it a later sync asks once more. Callers
 * hold the file's lock.
 */
export function noteCheck({ target }: Place, memory: SyncMemory, now: () => Date): void {
  try {
    const { size, mtimeMs } = orFileError(target, () => fs.statSync(target))
    memory.remember({ ...memory.recall(), checked: { at: now(), size, mtimeMs } })
  } catch (error) {
    recoverable(error)
  }
}

/**
 * Whether a file was synced less than so many milliseconds ago and is as it was left then, by what is remembered here
 * alone. A clock that was set back makes it stale.
 */
export function isFresh(
  { target }: Place,
  { syncedSha256, pendingSha256, syncedAt, checked }: SyncState,
  maxAgeMs: number,
  now: Date,
): boolean {
  const at = checked?.at ?? syncedAt
  if (syncedSha256 === null || pendingSha256 !== null || at === null) return false
  const ageMs = now.getTime() - at.getTime()
  if (ageMs < 0 || ageMs >= maxAgeMs) return false
  const found = fs.statSync(target, { throwIfNoEntry: false })
  if (found === undefined) return false
  if (found.size === checked?.size && found.mtimeMs === checked.mtimeMs) return true
  const local = readLocal(target)
  return local !== undefined && sha256(local.bytes) === syncedSha256
}
