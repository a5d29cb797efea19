import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { testWith } from './needs.ts'

/** A file system of its own, small enough to be filled. */
export interface SmallDisk extends Disposable {
  readonly folder: string
  /** Use up all that is left. */
  fill(): void
  empty(): void
  makeReadOnly(): void
  makeWritable(): void
}

const mount = (...args: string[]): void => {
  const { exitCode, stderr } = Bun.spawnSync(['mount', ...args])
  if (exitCode !== 0) throw new Error(`mount ${args.join(' ')}: ${stderr}`)
}

/** @throws where this process may not mount. */
export function createSmallDisk(): SmallDisk {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-disk-'))
  mount('-t', 'tmpfs', '-o', 'size=256k,mode=0700', 'tmpfs', folder)
  const filler = path.join(folder, 'filler')
  return {
    folder,
    fill() {
      const descriptor = fs.openSync(filler, 'w')
      try {
        for (;;) fs.writeSync(descriptor, Buffer.alloc(4096))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      } finally {
        fs.closeSync(descriptor)
      }
    },
    empty: () => fs.rmSync(filler),
    makeReadOnly: () => mount('-o', 'remount,ro', folder),
    makeWritable: () => mount('-o', 'remount,rw', folder),
    [Symbol.dispose]() {
      Bun.spawnSync(['umount', folder])
      fs.rmdirSync(folder)
    },
  }
}

const mayMount = ((): boolean => {
  try {
    createSmallDisk()[Symbol.dispose]()
    return true
  } catch {
    return false
  }
})()

/** A test that needs a disk of its own. */
export const smallDiskTest = testWith('the right to mount', mayMount)
