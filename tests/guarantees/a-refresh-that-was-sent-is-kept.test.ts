import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { lockPath } from '../../lib/files/lock.ts'
import { accountOf } from '../../lib/session/stored-session.ts'
import { answer, type Fault, type Held } from '../support/atlas-server.ts'
import { outcomeOf } from '../support/binary.ts'
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

  test.skipIf(process.platform === 'win32')(
    'refresh: an answer that came while the process was stopped is kept after its time',
    async () => {
      await using atlas = await stage({ rotate: true, loggedIn: true })
      const { server } = atlas
      const held = server.hold('POST /auth/refresh')
      const child = atlas.start(['auth', 'refresh', '--timeout', '1'])
      await held.arrived
      child.kill('SIGSTOP')
      held.release()
      await held.answered
      await Bun.sleep(1_500)
      child.kill('SIGCONT')
      expect((await outcomeOf(child)).status).toBe(0)
      expect(atlas.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
    },
  )

  test.each([
    ['before', 0],
    ['after', 1],
  ])('refresh: two processes beside a deleted lock keep the session (the refusal comes %s the answer)', async (_, order) => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const { server } = atlas
    const lock = lockPath(path.join(atlas.configFolder, 'credentials'), accountOf('default', server.url))
    const first = server.hold('POST /auth/refresh')
    const winner = atlas.start(['auth', 'refresh'])
    await first.arrived
    fs.rmSync(lock)
    const second = refusal()
    server.fault('POST /auth/refresh', second.fault, 1)
    const loser = atlas.start(['auth', 'refresh'])
    await second.arrived
    for (const request of order === 0 ? [second, first] : [first, second]) {
      request.release()
      await request.answered
    }
    const outcomes = await Promise.all([winner, loser].map(outcomeOf))
    expect(outcomes.map(({ status, stderr }) => [status, stderr])).toEqual([
      [0, ''],
      [0, ''],
    ])
    expect(atlas.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
    expect(server.log()).toEqual([REFRESH, REFRESH])
  })

  test('refresh: a process whose lock was deleted is refused, and leaves the session to the one that was let in', async () => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const { server } = atlas
    const lock = lockPath(path.join(atlas.configFolder, 'credentials'), accountOf('default', server.url))
    const first = refusal()
    server.fault('POST /auth/refresh', first.fault, 1)
    const loser = atlas.start(['auth', 'refresh'])
    await first.arrived
    fs.rmSync(lock)
    const second = server.hold('POST /auth/refresh')
    const winner = atlas.start(['auth', 'refresh'])
    await second.arrived
    first.release()
    await first.answered
    second.release()
    const outcomes = await Promise.all([winner, loser].map(outcomeOf))
    expect(outcomes.map(({ status, stderr }) => [status, stderr])).toEqual([
      [0, ''],
      [0, ''],
    ])
    expect(atlas.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
  })
})

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
