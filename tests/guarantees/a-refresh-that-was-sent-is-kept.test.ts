import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { lockPath } from '../../lib/files/lock.ts'
import { userLockFolder } from '../../lib/files/user-folder.ts'
import { accountOf } from '../../lib/session/stored-session.ts'
import { answer, type Fault, type Held } from '../support/atlas-server.ts'
import { outcomeOf, readUntil } from '../support/binary.ts'
import { posixTest, secretServiceTest, twoUsersTest } from '../support/needs.ts'
import { stage } from '../support/stage.ts'

const REFRESH = 'POST /api/v1/auth/refresh'

describe('a refresh that was sent', () => {
  test('refresh: "auth status" waits for it longer than for anything else', async () => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const { server } = atlas
    server.expireAccessTokens()
    const held = server.hold('POST /auth/refresh')
    const child = atlas.start(['auth', 'status', '--json'])
    await held.arrived
    await Bun.sleep(5_500)
    held.release()
    const { status, stdout } = await outcomeOf(child)
    expect({ status, state: JSON.parse(stdout).state }).toEqual({ status: 0, state: 'authenticated' })
    expect(atlas.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
  })

  test('refresh: "auth status" has time for it after a slow answer that asks for it', async () => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const { server } = atlas
    server.fault(
      'GET /auth/me',
      async response => {
        await Bun.sleep(4_500)
        answer(response, 401, { detail: 'expired' }, { 'www-authenticate': 'Bearer' })
      },
      1,
    )
    const held = server.hold('POST /auth/refresh')
    const child = atlas.start(['auth', 'status', '--json'])
    await held.arrived
    await Bun.sleep(1_000)
    held.release()
    await outcomeOf(child)
    expect(atlas.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
  })

  const STOPS: [
    when: string,
    signal: NodeJS.Signals | undefined,
    args: string[],
    stoppedMs: number,
    status: number,
  ][] = [
    ['is kept after its time', undefined, ['--timeout', '1'], 1_500, 0],
    ['is kept after a signal', 'SIGTERM', [], 5_500, 143],
  ]
  posixTest.each(STOPS)(
    'refresh: an answer that came while the process was stopped %s',
    async (_, signal, args, stoppedMs, status) => {
      await using atlas = await stage({ rotate: true, loggedIn: true })
      const { server } = atlas
      const held = server.hold('POST /auth/refresh')
      const child = atlas.start(['auth', 'refresh', ...args])
      await held.arrived
      if (signal !== undefined) child.kill(signal)
      await Bun.sleep(200)
      child.kill('SIGSTOP')
      held.release()
      await held.answered
      await Bun.sleep(stoppedMs)
      child.kill('SIGCONT')
      expect((await outcomeOf(child)).status).toBe(status)
      expect(atlas.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
    },
  )
})

describe('a credential file that cannot be replaced any more when the answer comes', () => {
  const CHANGES: [what: string, change: (folder: string) => unknown][] = [
    ['others may change its folder', folder => fs.chmodSync(folder, 0o777)],
    ['nobody may change its folder', folder => fs.chmodSync(folder, 0o500)],
    ['nobody may look into its folder', folder => fs.chmodSync(folder, 0o000)],
    [
      'neither it nor its folder may be changed',
      folder => {
        fs.chmodSync(recordIn(folder), 0o400)
        fs.chmodSync(folder, 0o500)
      },
    ],
    ['it is read by others', folder => fs.chmodSync(recordIn(folder), 0o644)],
    ['it is not one any more', folder => fs.writeFileSync(recordIn(folder), 'not a record')],
  ]
  posixTest.each(CHANGES)('refresh: is stored although %s', async (_, change) => {
    await using atlas = await stage({ rotate: true, loggedIn: true, unprivileged: true })
    const { server } = atlas
    const held = server.hold('POST /auth/refresh')
    const child = atlas.start(['auth', 'refresh'])
    await held.arrived
    const folder = path.join(atlas.configFolder, 'credentials')
    change(folder)
    held.release()
    expect((await outcomeOf(child)).status).toBe(0)
    fs.chmodSync(folder, 0o700)
    expect(atlas.filesHolding(server.lastTokens.refresh)).toEqual([recordIn(folder)])
    fs.chmodSync(recordIn(folder), 0o600)
    expect((await atlas.run(['auth', 'refresh'])).status).toBe(0)
  })

  posixTest('refresh: is stored although its folder was away for a moment', async () => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const folder = path.join(atlas.configFolder, 'credentials')
    const held = atlas.server.hold('POST /auth/refresh')
    const child = atlas.start(['auth', 'refresh'], { input: '' })
    await held.arrived
    fs.renameSync(folder, `${folder}-away`)
    held.release()
    await held.answered
    await Bun.sleep(200)
    fs.renameSync(`${folder}-away`, folder)
    expect((await outcomeOf(child)).status).toBe(0)
    expect(atlas.filesHolding(atlas.server.lastTokens.refresh)).toEqual([recordIn(folder)])
  })

  twoUsersTest.each([0o666, 0o600])(
    'refresh: is not written into a file of another user (%o)',
    async mode => {
      await using atlas = await stage({ rotate: true, loggedIn: true, unprivileged: true })
      const { server } = atlas
      const held = server.hold('POST /auth/refresh')
      const child = atlas.start(['auth', 'refresh'], { input: '' })
      await held.arrived
      const folder = path.join(atlas.configFolder, 'credentials')
      const record = recordIn(folder)
      fs.copyFileSync(record, `${record}.theirs`)
      fs.chownSync(`${record}.theirs`, 0, 0)
      fs.chmodSync(`${record}.theirs`, mode)
      fs.renameSync(`${record}.theirs`, record)
      fs.chownSync(folder, 0, 0)
      fs.chmodSync(folder, 0o755)
      held.release()
      const outcome = await outcomeOf(child)
      expect({ status: outcome.status, files: atlas.filesHolding(server.lastTokens.refresh) }).toEqual({
        status: 6,
        files: [],
      })
    },
  )

  posixTest('refresh: is stored although a program deletes each file beside it at once', async () => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const folder = path.join(atlas.configFolder, 'credentials')
    const cleaner = Bun.spawn([process.execPath, '-e', CLEANER, folder], { stdout: 'pipe' })
    try {
      await readUntil(cleaner.stdout, /cleaning/)
      for (let round = 0; round < 3; round++) {
        expect((await atlas.run(['auth', 'refresh'])).status).toBe(0)
        expect(atlas.filesHolding(atlas.server.lastTokens.refresh)).toEqual([recordIn(folder)])
      }
    } finally {
      cleaner.kill('SIGKILL')
      await cleaner.exited
    }
  })
})

const CLEANER = `
  const fs = require('node:fs')
  console.log('cleaning')
  for (;;)
    for (const name of fs.readdirSync(process.argv[1]))
      if (name.endsWith('.atlas-tmp')) fs.rmSync(process.argv[1] + '/' + name, { force: true })
`

const recordIn = (folder: string): string =>
  path.join(folder, fs.readdirSync(folder).find(name => /^[0-9a-f]+\.json$/.test(name)) ?? '')

/** Who holds the lock when it is deleted, and who is answered first, him or the one who is let in then. */
const RACES = (['granted', 'refused'] as const).flatMap(holder =>
  (['holder', 'newcomer'] as const).map(first => [holder, first] as const),
)
for (const [store, storeTest] of [
  ['file', test],
  ['keychain', secretServiceTest],
] as const) {
  storeTest.each(RACES)(
    `refresh: two processes beside a deleted lock (${store}) keep the session: the holder is %s, the %s is answered first`,
    async (holder, first) => {
      await using atlas = await stage({ rotate: true, loggedIn: true, store })
      const { server } = atlas
      const folder =
        store === 'file'
          ? path.join(atlas.configFolder, 'credentials')
          : userLockFolder(process.getuid?.(), undefined)
      const letIn = async (outcome: 'granted' | 'refused') => {
        const refused = refusal()
        const held = outcome === 'granted' ? server.hold('POST /auth/refresh') : refused
        if (held === refused) server.fault('POST /auth/refresh', refused.fault, 1)
        const child = atlas.start(['auth', 'refresh'])
        await held.arrived
        return { child, held }
      }
      const one = await letIn(holder)
      fs.rmSync(lockPath(folder, accountOf('default', server.url)))
      const other = await letIn(holder === 'granted' ? 'refused' : 'granted')
      for (const { held } of first === 'holder' ? [one, other] : [other, one]) {
        held.release()
        await held.answered
      }
      const outcomes = await Promise.all([one, other].map(({ child }) => outcomeOf(child)))
      expect(outcomes.map(({ status, stderr }) => [status, stderr])).toEqual([
        [0, ''],
        [0, ''],
      ])
      expect(server.log()).toEqual([REFRESH, REFRESH])
      const records =
        store === 'keychain'
          ? atlas.keychain.search('atlas-cli').map(({ secret }) => secret)
          : atlas.filesHolding(server.lastTokens.refresh).map(file => fs.readFileSync(file, 'utf8'))
      expect(records.map(record => JSON.parse(record).refresh_token)).toEqual([server.lastTokens.refresh])
    },
  )
}

/** An answer, held back until it is released, that refuses a refresh token. */
function refusal(): Held & { readonly fault: Fault } {
  const arrived = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const answered = Promise.withResolvers<void>()
  return {
    arrived: arrived.promise,
    release: released.resolve,
    answered: answered.promise,
    async fault(response) {
      arrived.resolve()
      await released.promise
      response.once('finish', answered.resolve)
      answer(response, 401, { detail: 'Used already' }, { 'www-authenticate': 'Bearer' })
    },
  }
}
