import fs from 'node:fs'
import path from 'node:path'

/** Create a folder, and what is missing above it, for its owner alone (0700). */
export function makePrivateFolder(folder: string): void {
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
}

/**
 * Replace a file as a whole: readers see the old content or the new, never a part, and after a
 * crash one of the two is there. The file is 0600 from its first moment. Callers exclude each
 * other, so a temporary file found in the way is a dead writer's and is removed.
 * @throws the file system's own error; the old file is intact then.
 */
export function replaceFile(file: string, content: string): void {
  const folder = path.dirname(file)
  const temporary = `${file}.tmp`
  makePrivateFolder(folder)
  fs.rmSync(temporary, { force: true })
  try {
    const descriptor = fs.openSync(temporary, 'wx', 0o600)
    try {
      fs.writeFileSync(descriptor, content)
      fs.fsyncSync(descriptor)
    } finally {
      fs.closeSync(descriptor)
    }
    fs.renameSync(temporary, file)
  } catch (error) {
    fs.rmSync(temporary, { force: true })
    throw error
  }
  syncFolder(folder)
}

/** Delete a file for good; an absent one is fine. */
export function removeFile(file: string): boolean {
  if (fs.lstatSync(file, { throwIfNoEntry: false }) === undefined) return false
  fs.rmSync(file, { force: true })
  syncFolder(path.dirname(file))
  return true
}

/** Make a rename or a deletion outlast a power cut. Windows cannot open folders and needs no such step. */
function syncFolder(folder: string): void {
  if (process.platform === 'win32') return
  const descriptor = fs.openSync(folder, fs.constants.O_RDONLY)
  try {
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}
