import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/**
 * Forbid any change of a file or folder, to everybody, or allow it again.
 * @returns whether it could be done: not on every file system, nor by everybody.
 */
export function setImmutable(file: string, on: boolean): boolean {
  if (Bun.which('chattr') === null) return false
  return Bun.spawnSync(['chattr', on ? '+i' : '-i', file]).exitCode === 0
}

export const hasImmutableFiles = ((): boolean => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-immutable-'))
  try {
    return setImmutable(folder, true)
  } finally {
    setImmutable(folder, false)
    fs.rmdirSync(folder)
  }
})()
