import fs from 'node:fs'
import path from 'node:path'
import { createFile, removeAbandoned, syncFolder } from '../files/atomic.ts'
import { displacedOf, orFileError, readLocal } from './local-file.ts'
import { isKnown, type Known, sameBytes, sha256 } from './verdict.ts'

const MAX_BACKUPS = 5

/**
 * Settle what a replacement left behind, be it complete or killed in the act. The old file, under its second
 * name, is removed if its text came from the server; any other text becomes a dated backup beside the file,
 * and the newest five backups are kept.
 * @param target a path without symbolic links.
 * @returns the backup's path; undefined where there was nothing to keep.
 * @throws {AtlasError} `file_error`; the old file is still there.
 */
export const settleDisplaced = (target: string, known: Known, now: Date): string | undefined =>
  orFileError(target, () => {
    removeAbandoned(target)
    const displaced = displacedOf(target)
    const left = readLocal(displaced)
    if (left === undefined) return undefined
    // The same text is still in its place where the replacement was cut off before it happened.
    const latest = readLocal(target)
    const isInPlace = latest !== undefined && sameBytes(latest.bytes, left.bytes)
    if (!isInPlace && !isKnown(sha256(left.bytes), known)) {
      const backup = makeBackup(target, now, left.bytes, name => fs.renameSync(displaced, name))
      dropOldBackups(target)
      return backup
    }
    fs.rmSync(displaced)
    return undefined
  })

/**
 * Keep a text of the server that is about to be overwritten there, as a dated backup beside the local file. No other
 * backup makes room for it before it is: see `dropOldBackups`.
 * @returns its path. @throws {AtlasError} `file_error`
 */
export const backUpRemote = (target: string, content: Uint8Array, now: Date): string =>
  orFileError(target, () =>
    makeBackup(target, now, content, backup => createFile(backup, content, { mode: 0o600 })),
  )

/** A text that is among the backups already is kept once, as the newest. */
function makeBackup(target: string, now: Date, content: Uint8Array, make: (backup: string) => void): string {
  const folder = path.dirname(target)
  const older = listBackups(target)
  const backup = path.join(folder, `${path.basename(target)}.${dateAfter(older.at(-1), now)}.bak`)
  make(backup)
  for (const file of older.map(name => path.join(folder, name))) if (holds(file, content)) fs.rmSync(file)
  syncFolder(folder)
  return backup
}

function holds(file: string, content: Uint8Array): boolean {
  try {
    return sameBytes(readLocal(file)?.bytes ?? new Uint8Array(), content)
  } catch {
    return false
  }
}

/** Keep the newest five. What cannot be deleted stays. */
export function dropOldBackups(target: string): void {
  for (const surplus of listBackups(target).slice(0, -MAX_BACKUPS))
    try {
      fs.rmSync(path.join(path.dirname(target), surplus))
    } catch {
      return
    }
}

/** As in `CLAUDE.md.2026-01-02T030405678Z.bak`: Windows allows no colon. */
const DATED = /\.(\d{4}-\d\d-\d\dT\d\d)(\d\d)(\d\d)(\d{3}Z)\.bak$/

/** Now, but later than the newest backup: a clock that was set back must not make the new one the oldest. */
function dateAfter(newest: string | undefined, now: Date): string {
  const [, hour, minute, second, ms] = DATED.exec(newest ?? '') ?? []
  const newestMs = Date.parse(`${hour}:${minute}:${second}.${ms}`)
  const date = newestMs >= now.getTime() ? new Date(newestMs + 1) : now
  return date.toISOString().replaceAll(/[:.]/g, '')
}

/** The names of a file's backups, oldest first. */
export function listBackups(target: string): string[] {
  const base = path.basename(target)
  return fs
    .readdirSync(path.dirname(target), { withFileTypes: true })
    .filter(entry => !entry.isDirectory())
    .map(({ name }) => name)
    .filter(name => name !== base && name.replace(DATED, '') === base)
    .sort()
}
