import fs from 'node:fs'
import path from 'node:path'
import { syncFolder } from '../files/atomic.ts'
import { orFileError } from './file-error.ts'
import { displacedOf, readLocal } from './local-file.ts'
import { isKnown, type Known, sameBytes, sha256 } from './verdict.ts'

export const MAX_BACKUPS = 5

/**
 * Settle what a replacement left behind under its second name: a text that came from the server is
 * removed, any other becomes a dated backup beside the file, and the newest five backups are kept. This works the
 * same after a replacement and after one that was cut off because its process ended.
 * @param target a path without symbolic links.
 * @returns the backup's path; undefined where there was nothing to keep.
 * @throws {AtlasError} `file_error`; what was left behind is still there.
 */
export function settleDisplaced(target: string, known: Known, now: Date): string | undefined {
  const displaced = displacedOf(target)
  return orFileError(displaced, () => {
    const left = readLocal(displaced)
    if (left === undefined) return undefined
    // The same text is still in its place where the replacement was cut off before it happened.
    const latest = readLocal(target)
    const isInPlace = latest !== undefined && sameBytes(latest.bytes, left.bytes)
    if (!isInPlace && !isKnown(sha256(left.bytes), known)) return makeBackup(target, displaced, now)
    fs.rmSync(displaced)
    return undefined
  })
}

function makeBackup(target: string, displaced: string, now: Date): string {
  const folder = path.dirname(target)
  const older = listBackups(target)
  const backup = path.join(folder, backupName(target, dateAfter(older.at(-1), now)))
  fs.renameSync(displaced, backup)
  for (const surplus of older.slice(0, Math.max(0, older.length - (MAX_BACKUPS - 1))))
    fs.rmSync(path.join(folder, surplus))
  syncFolder(folder)
  return backup
}

/** Now, but later than the newest backup: a clock that was set back must not make the new one the oldest. */
function dateAfter(newest: string | undefined, now: Date): Date {
  const [, date, hour, minute, second, ms] = DATED.exec(newest ?? '') ?? []
  if (date === undefined) return now
  const newestMs = Date.parse(`${date}T${hour}:${minute}:${second}.${ms}Z`)
  return newestMs < now.getTime() || Number.isNaN(newestMs) ? now : new Date(newestMs + 1)
}

/** `CLAUDE.md.2026-01-02T030405678Z.bak`; Windows allows no colon. */
const backupName = (target: string, moment: Date): string =>
  `${path.basename(target)}.${moment.toISOString().replaceAll(/[:.]/g, '')}.bak`

const DATED = /\.(\d{4}-\d\d-\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z\.bak$/

/** The names of a file's backups, oldest first. */
export function listBackups(target: string): string[] {
  const base = path.basename(target)
  return fs
    .readdirSync(path.dirname(target))
    .filter(name => name !== base && name.replace(DATED, '') === base)
    .sort()
}
