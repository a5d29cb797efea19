import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { BINARY, createSandbox, type RunOptions, type Sandbox, type User } from './binary.ts'
import { testWith } from './needs.ts'

const NOBODY: User = { uid: 65_534, gid: 65_534 }

/** Whether files can be given to somebody else and programs be run as somebody else. */
const isRoot = process.getuid?.() === 0

/** A test in which a second user takes part. */
export const twoUsersTest = testWith('root, to act as two users', isRoot)

/** A sandbox of a user whom permissions bind. Root is not such a one, and continuous integration is root. */
export interface UnprivilegedSandbox extends Sandbox {
  readonly user: User | undefined
}

/** @param env as for `createSandbox`. */
export function createUnprivilegedSandbox(
  env?: Record<string, string>,
  user: User | undefined = isRoot ? NOBODY : undefined,
): UnprivilegedSandbox {
  const sandbox = createSandbox(env)
  if (user === undefined) return { ...sandbox, user }
  for (const place of [sandbox.home, sandbox.cwd]) fs.chownSync(place, user.uid, user.gid)
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-bin-'))
  fs.chmodSync(folder, 0o755)
  const binary = path.join(folder, 'atlas')
  reachableCopy(BINARY, binary)
  const asUser = (options: RunOptions = {}): RunOptions => ({ binary, user, ...options })
  return {
    ...sandbox,
    user,
    binary,
    run: (args, options) => sandbox.run(args, asUser(options)),
    start: (args, options) => sandbox.start(args, asUser(options)),
    logIn: (server, options) => sandbox.logIn(server, asUser(options)),
    [Symbol.dispose]() {
      fs.rmSync(folder, { recursive: true, force: true })
      sandbox[Symbol.dispose]()
    },
  }
}

/** The clone may lie in a folder that others cannot enter. */
function reachableCopy(file: string, copy: string): void {
  try {
    fs.linkSync(file, copy)
  } catch {
    fs.copyFileSync(file, copy)
  }
}
