import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createLock, type LockOptions, lockPath } from '../../lib/files/lock.ts'
import { readUntil } from '../support/binary.ts'
import { codeOf } from '../support/session-kit.ts'
import { createSmallDisk, smallDiskTest } from '../support/small-disk.ts'

let folder = ''
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-lock-'))
  fs.writeFileSync(path.join(folder, 'counter'), '0')
})
afterEach(() => fs.rmSync(folder, { recursive: true }))

const NAME = 'contended'
const lockOf = (options: Partial<LockOptions> = {}) =>
  createLock({
    folder,
    name: NAME,
    uid: process.getuid?.(),
    timeoutMs: 60_000,
    cancelled: new AbortController().signal,
    debug() {},
    ...options,
  })

const startContender = (role: 'survivor' | 'victim') =>
  Bun.spawn([process.execPath, path.join(import.meta.dir, '../support/lock-contender.ts'), folder, role], {
    stdout: 'pipe',
    stderr: 'inherit',
  })

describe('between processes', () => {
  test('lock: one process at a time holds it, however many are killed', async () => {
    const statuses = await Promise.all(
      Array.from({ length: 30 }, async (_, index) => {
        const isVictim = index % 3 === 0
        const child = startContender(isVictim ? 'victim' : 'survivor')
        if (isVictim) {
          await readUntil(child.stdout, /inside/)
          child.kill('SIGKILL')
        }
        await child.exited
        return child.signalCode ?? child.exitCode
      }),
    )
    expect(statuses).toEqual(statuses.map((_, index) => (index % 3 === 0 ? 'SIGKILL' : 0)))
    // A count that two had read at once would be lost.
    expect(fs.readFileSync(path.join(folder, 'counter'), 'utf8')).toBe('20')
    expect(fs.existsSync(path.join(folder, 'violation'))).toBe(false)
  })

  test('lock: waiting for another holder ends in time, and at once on a signal', async () => {
    const holder = startContender('victim')
    await readUntil(holder.stdout, /inside/)
    let ran = false
    const work = async (): Promise<void> => {
      ran = true
    }
    expect(await codeOf(lockOf({ timeoutMs: 50 }).hold(work))).toBe('lock_timeout')
    const cancel = new AbortController()
    const waiting = lockOf({
      cancelled: cancel.signal,
      // Once it rests between two looks.
      debug: () => void setTimeout(() => cancel.abort(new Error('stopped'))),
    }).hold(work)
    expect(await waiting.catch(error => error.message)).toBe('stopped')
    expect(ran).toBe(false)
    holder.kill('SIGKILL')
    await lockOf().hold(work)
    expect(ran).toBe(true)
  })

  test('lock: garbage collection does not free it', async () => {
    await lockOf().hold(async () => {
      for (let round = 0; round < 5; round++) {
        Bun.gc(true)
        await Bun.sleep(1)
      }
      const other = startContender('survivor')
      const outcome = await Promise.race([other.exited, Bun.sleep(1_000).then(() => 'waits')])
      expect(outcome).toBe('waits')
      other.kill('SIGKILL')
    })
  })
})

describe('within a process', () => {
  test('lock: two of one name exclude each other, two names do not', async () => {
    const events: string[] = []
    const inside = Promise.withResolvers<void>()
    const first = lockOf().hold(async () => {
      await inside.promise
      events.push('first')
    })
    const second = lockOf().hold(async () => void events.push('second'))
    await lockOf({ name: 'another' }).hold(async () => void events.push('another'))
    inside.resolve()
    await Promise.all([first, second])
    expect(events).toEqual(['another', 'first', 'second'])
  })

  test('lock: is free again after work that failed', async () => {
    const failed = lockOf().hold(async () => {
      throw new Error('no')
    })
    expect(await failed.catch(error => error.message)).toBe('no')
    expect(await lockOf({ timeoutMs: 0 }).hold(async () => 'held')).toBe('held')
  })
})

describe('the file', () => {
  test('lock: its file is empty and private, in a private folder, with nothing beside it', async () => {
    const nested = path.join(folder, 'locks')
    await lockOf({ folder: nested }).hold(async () => {
      expect(fs.readdirSync(nested)).toEqual([path.basename(lockPath(nested, NAME))])
    })
    const [file, inFolder] = [fs.statSync(lockPath(nested, NAME)), fs.statSync(nested)]
    expect({ size: file.size, modes: [file.mode & 0o777, inFolder.mode & 0o777] }).toEqual({
      size: 0,
      modes: [0o600, 0o700],
    })
  })

  test('lock: its file stays young while it is in use, so that no cleaner of old files deletes it', async () => {
    await lockOf().hold(async () => {})
    const weekAgo = new Date(Date.now() - 7 * 86_400_000)
    fs.utimesSync(lockPath(folder, NAME), weekAgo, weekAgo)
    await lockOf().hold(async () => {
      expect(Date.now() - fs.statSync(lockPath(folder, NAME)).mtimeMs).toBeLessThan(60_000)
    })
  })

  smallDiskTest(
    'lock: a read-only disk is the store’s fault in a store, and the lock’s elsewhere',
    async () => {
      using disk = createSmallDisk()
      disk.makeReadOnly()
      for (const [inStore, code] of [
        [true, 'store_denied'],
        [false, 'lock_timeout'],
      ] as const) {
        const attempt = lockOf({ folder: disk.folder, inStore }).hold(async () => {})
        expect(await attempt.catch(error => [error.code, error.message])).toEqual([
          code,
          `The folder ${disk.folder}, where atlas keeps a lock, cannot be used: the file system is read-only.`,
        ])
      }
    },
  )

  test('lock: in a folder that others can change it is refused', async () => {
    for (const mode of [0o770, 0o707, 0o777]) {
      fs.chmodSync(folder, mode)
      const attempt = lockOf().hold(async () => {})
      expect(await attempt.catch(error => [error.code, error.message, error.hint])).toEqual([
        'lock_timeout',
        `The folder ${folder}, where atlas keeps a lock, cannot be used: others can change it.`,
        `Fix it with: chmod go-w ${folder}`,
      ])
    }
  })

  test.skipIf(process.platform === 'win32')(
    'lock: below a folder in which others may rename it is refused where others write too',
    async () => {
      const open = path.join(folder, 'open')
      fs.mkdirSync(path.join(open, 'locks'), { recursive: true })
      fs.chmodSync(open, 0o777)
      const locks = lockOf({ folder: path.join(open, 'locks'), amongOthers: true })
      const attempt = locks.hold(async () => {})
      expect(await attempt.catch(error => [error.code, error.message, error.hint])).toEqual([
        'lock_timeout',
        `The folder ${open}/locks, where atlas keeps a lock, cannot be used: others can replace what is in ${open}.`,
        `Fix it with: chmod +t ${open}`,
      ])
      fs.chmodSync(open, 0o1777)
      expect(await locks.hold(async () => 'held')).toBe('held')
    },
  )
})
