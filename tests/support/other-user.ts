import { test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { userLockFolder } from '../../lib/store/lock-folder.ts'
import { type Outcome, outcomeOf, type RunOptions, type Sandbox } from './binary.ts'

const OTHER_UID = 54321

/** A test that acts as two users, for which it must be root. */
export const twoUsersTest: typeof test =
  process.getuid?.() === 0 && Bun.which('setpriv') !== null ? test : (test.skip as typeof test)

/** A user who is neither root nor the one who runs the tests. */
export interface OtherUser extends Disposable {
  readonly uid: number
  /** Run a command as that user. The sandbox's program is at `$ATLAS_BINARY`. */
  run(command: readonly string[], options?: RunOptions): Promise<Outcome>
}

/** Give a sandbox to another user. */
export function handOver(sandbox: Sandbox): OtherUser {
  // The clone may be in a folder that only its owner can enter.
  const binary = path.join(sandbox.home, 'atlas')
  fs.copyFileSync(sandbox.binary, binary, fs.constants.COPYFILE_FICLONE)
  const { exitCode, stderr } = Bun.spawnSync(['chown', '-R', `${OTHER_UID}:${OTHER_UID}`, sandbox.home])
  if (exitCode !== 0) throw new Error(stderr.toString())
  const become = ['setpriv', `--reuid=${OTHER_UID}`, `--regid=${OTHER_UID}`, '--clear-groups', '--']
  return {
    uid: OTHER_UID,
    run(command, { env, input = '' } = {}) {
      const child = Bun.spawn([...become, ...command.map(word => (word === 'atlas' ? binary : word))], {
        cwd: sandbox.cwd,
        env: { ...sandbox.env, ...env, ATLAS_BINARY: binary },
        stdin: 'pipe',
        stdout: 'pipe',
        stderr: 'pipe',
      })
      child.stdin.write(input)
      child.stdin.end()
      return outcomeOf(child)
    },
    [Symbol.dispose]: () => fs.rmSync(userLockFolder(OTHER_UID, '/'), { recursive: true, force: true }),
  }
}
