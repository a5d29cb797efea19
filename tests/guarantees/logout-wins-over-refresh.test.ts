import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { type AtlasServer, startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox, LOGIN, outcomeOf, readUntil } from '../support/binary.ts'
import { forRun, secretServiceTest, traceTest } from '../support/needs.ts'
import { raceRounds } from '../support/race-rounds.ts'
import { type Stage, stage } from '../support/stage.ts'

const REFRESH = 'POST /api/v1/auth/refresh'
const WAITING = /lock .*: waiting/

/** A process whose refresh is on its way, the answer held back. */
async function refreshInFlight({ logIn, server, start }: Stage, command = ['api', '/auth/me']) {
  expect((await logIn()).status).toBe(0)
  server.expireAccessTokens()
  server.forget()
  const held = server.hold('POST /auth/refresh')
  const child = start(command)
  await held.arrived
  return { held, child }
}

describe('a logout while a refresh is in flight', () => {
  test('logout: waits for a refresh in flight, and nothing is stored afterwards', async () => {
    await using atlas = await stage({ rotate: true })
    const { server } = atlas
    const { held, child } = await refreshInFlight(atlas, ['auth', 'refresh'])
    const logout = atlas.start(['auth', 'logout', '--debug'])
    await readUntil(logout.stderr, WAITING)
    held.release()
    expect([await child.exited, await logout.exited]).toEqual([0, 0])
    expect(atlas.filesHolding('refresh_token')).toEqual([])
    expect(server.log()).toEqual([REFRESH, 'POST /api/v1/auth/logout'])
    expect((await atlas.run(['auth', 'token'])).status).toBe(4)
  })

  test('logout: beats every process that is waiting to refresh', async () => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const { server } = atlas
    server.expireAccessTokens()
    server.forget()
    // The logout holds the lock while it tells the server; ten others want to refresh meanwhile.
    const held = server.hold('POST /auth/logout')
    const logout = atlas.start(['auth', 'logout'])
    await held.arrived
    const others = Array.from({ length: 10 }, () => atlas.start(['auth', 'refresh', '--debug']))
    await Promise.all(others.map(child => readUntil(child.stderr, WAITING)))
    held.release()
    expect(await logout.exited).toBe(0)
    expect(await Promise.all(others.map(child => child.exited))).toEqual(Array(10).fill(4))
    expect(atlas.filesHolding('refresh_token')).toEqual([])
    expect(server.log()).toEqual(['POST /api/v1/auth/logout'])
  })

  test('logout: is not undone by a refresh even if the credentials were deleted without the lock', async () => {
    await using atlas = await stage({ rotate: true })
    const { server } = atlas
    const { held, child } = await refreshInFlight(atlas, ['auth', 'refresh'])
    for (const record of atlas.filesHolding('refresh_token')) await Bun.file(record).delete()
    held.release()
    const { status, stderr } = await outcomeOf(child)
    expect({ status, stderr }).toMatchObject({ status: 4 })
    expect(stderr).toStartWith(`atlas: Not logged in to ${server.url}.\n`)
    expect(atlas.filesHolding(server.lastTokens.refresh)).toEqual([])
  })

  traceTest('logout: is not undone by a refresh that is about to rename its record', async () => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const { server, configFolder } = atlas
    const folder = path.join(configFolder, 'credentials')
    const [before] = atlas.filesHolding('refresh_token')
    // The first rename is the proof, the second one puts the new record in place.
    const delay = '--inject=?rename,?renameat,?renameat2:delay_enter=4000000:when=2'
    const via = ['strace', '-f', '-o', '/dev/null', '-e', 'trace=?rename,?renameat,?renameat2', delay]
    const refresh = atlas.start(['auth', 'refresh'], { via, input: '' })
    const isWritten = (name: string): boolean => {
      try {
        return (
          name.endsWith('.atlas-tmp') && fs.readFileSync(path.join(folder, name)).includes('refresh_token')
        )
      } catch {
        // It was the proof's.
        return false
      }
    }
    while (!fs.readdirSync(folder).some(isWritten) && refresh.exitCode === null) await Bun.sleep(5)
    for (const name of fs.readdirSync(folder)) if (name.endsWith('.lock')) fs.rmSync(path.join(folder, name))
    expect((await atlas.run(['auth', 'logout'])).status).toBe(0)
    const { status, stderr } = await outcomeOf(refresh)
    expect({ status, said: stderr.split('\n')[0] }).toEqual({
      status: 4,
      said: `atlas: Not logged in to ${server.url}.`,
    })
    expect({ before: typeof before, left: atlas.filesHolding('refresh_token') }).toEqual({
      before: 'string',
      left: [],
    })
  })

  secretServiceTest('logout: wins over a refresh in the keychain too', async () => {
    await using atlas = await stage({ rotate: true, store: 'keychain' })
    const { held, child } = await refreshInFlight(atlas)
    const logout = atlas.start(['auth', 'logout', '--debug'])
    await readUntil(logout.stderr, WAITING)
    held.release()
    await child.exited
    expect(await logout.exited).toBe(0)
    expect(atlas.keychain.search('atlas-cli')).toEqual([])
  })
})

describe('a login while a refresh is in flight', () => {
  test('login: waits for a refresh in flight, and its session stays', async () => {
    await using atlas = await stage({ rotate: true })
    const { server } = atlas
    const { held, child } = await refreshInFlight(atlas, ['auth', 'refresh'])
    const login = atlas.start([...LOGIN, '--debug'], {
      input: 'correct horse',
      env: { ATLAS_API_URL: server.url },
    })
    await readUntil(login.stderr, WAITING)
    held.release()
    expect([await child.exited, await login.exited]).toEqual([0, 0])
    expect(server.log().at(-1)).toBe('POST /api/v1/auth/login')
    expect(atlas.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
    expect((await atlas.run(['auth', 'refresh'])).status).toBe(0)
    expect(server.reuses).toBe(0)
  })

  test.each([
    ['granted', (_: AtlasServer) => {}],
    ['refused', (server: AtlasServer) => server.revokeSessions()],
  ])('is not overwritten by a refresh that is %s, even where the lock did not keep it out', async (_, judge) => {
    await using atlas = await stage({ rotate: true })
    const { server } = atlas
    const { held, child } = await refreshInFlight(atlas, ['auth', 'refresh'])
    judge(server)
    const [record = ''] = atlas.filesHolding('refresh_token')
    // As another machine would that shares the folder: its lock may not reach this one.
    await using elsewhere = await startAtlasServer()
    using other = createSandbox()
    await other.logIn(elsewhere)
    const [foreign = ''] = other.filesHolding('refresh_token')
    const login = (await Bun.file(foreign).text()).replaceAll(elsewhere.url, server.url)
    await Bun.write(record, login)
    held.release()
    expect(await child.exited).toBe(0)
    expect(await Bun.file(record).text()).toBe(login)
  })
})

test('races: logins, logouts and refreshes at once leave a valid session or none', async () => {
  const times = forRun({ short: 1, full: 3 })
  expect(await raceRounds({ rounds: times, processes: 24 })).toEqual({
    rounds: times,
    processes: times * 24,
    violations: [],
  })
})

test('races: logins of twenty profiles at once are all remembered', async () => {
  await using atlas = await stage({ loginsPerMinute: Number.POSITIVE_INFINITY })
  const names = Array.from({ length: 20 }, (_, index) => `profile-${index}`)
  const outcomes = await Promise.all(names.map(name => atlas.logIn({ env: { ATLAS_PROFILE: name } })))
  expect(outcomes.filter(({ status }) => status !== 0)).toEqual([])
  const told = JSON.parse((await atlas.run(['auth', 'list', '--json'])).stdout)
  expect(told.profiles.map(({ name }: { name: string }) => name).sort()).toEqual(names.sort())
  const { stdout } = await atlas.run(['auth', 'logout', '--all', '--json'])
  expect(JSON.parse(stdout).logged_out).toHaveLength(20)
  expect(atlas.filesHolding('refresh_token')).toEqual([])
})
