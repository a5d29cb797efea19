import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { testWith } from './needs.ts'

/** Run a command that must succeed. */
export function mustRun(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command)
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr}`)
  return stdout.toString()
}

/** Mount one file or folder over another until it is disposed of. */
export function bindMount(source: string, place: string): Disposable {
  mustRun('mount', '--bind', source, place)
  return { [Symbol.dispose]: () => mustRun('umount', place) }
}

/** A folder that shows another one and refuses changes of owner and mode, as foreign file systems do. */
export function mountWithoutModes(source: string, place: string): Disposable {
  mustRun('bindfs', '--chmod-deny', '--chown-deny', source, place)
  return { [Symbol.dispose]: () => mustRun('umount', place) }
}

const works = (attempt: (folder: string) => void): boolean => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-mounts-'))
  try {
    attempt(folder)
    return true
  } catch {
    return false
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}

const isRoot = process.platform === 'linux' && process.getuid?.() === 0

export const mountTest = testWith(
  'root on Linux, with the right to mount',
  isRoot &&
    works(folder => {
      fs.mkdirSync(path.join(folder, 'a'))
      bindMount(folder, path.join(folder, 'a'))[Symbol.dispose]()
    }),
)

export const bindfsTest = testWith(
  'root on Linux, bindfs and FUSE',
  isRoot &&
    works(folder => {
      fs.mkdirSync(path.join(folder, 'a'))
      mountWithoutModes(os.tmpdir(), path.join(folder, 'a'))[Symbol.dispose]()
    }),
)

export const userNamespaceTest = testWith(
  'root on Linux, and the right to make user namespaces',
  isRoot && works(() => mustRun('unshare', '--user', '--map-root-user', 'true')),
)

export const aclTest = testWith(
  'root on Linux, setfacl, and a file system with access control lists',
  isRoot &&
    works(folder => {
      mustRun('setfacl', '-m', 'u:65534:r', folder)
    }),
)
