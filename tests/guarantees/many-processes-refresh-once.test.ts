import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import type { AtlasServer } from '../support/atlas-server.ts'
import { type Machine, type Outcome, readUntil } from '../support/binary.ts'
import { rounds } from '../support/needs.ts'
import { secretServiceTest } from '../support/secret-service.ts'
import { stage } from '../support/stage.ts'

const PROCESSES = rounds({ short: 16, full: 40 })
const REFRESH = 'POST /api/v1/auth/refresh'

const atOnce = <T>(start: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: PROCESSES }, (_, index) => start(index)))

/** What matters of a run of many processes against a server that rotates. */
const told = (server: AtlasServer, outcomes: readonly Outcome[]) => ({
  failures: outcomes.filter(({ status }) => status !== 0),
  refreshes: server.log().filter(line => line === REFRESH).length,
  reuses: server.reuses,
})
const ONE_REFRESH = { failures: [], refreshes: 1, reuses: 0 }

/** The server rejects the access token, while its end by the clock is far away. */
async function rejected(sandbox: Machine, server: AtlasServer): Promise<void> {
  expect((await sandbox.logIn(server)).status).toBe(0)
  server.expireAccessTokens()
  server.forget()
}

/** The access token has ended by the clock. */
async function ended(sandbox: Machine, server: AtlasServer): Promise<void> {
  server.accessTtlS = 0
  expect((await sandbox.logIn(server)).status).toBe(0)
  server.accessTtlS = 1800
  server.forget()
}

describe(`${PROCESSES} processes at once are one refresh`, () => {
  test('after a rejected token, with the file store', async () => {
    await using atlas = await stage({ rotate: true })
    const { server } = atlas
    await rejected(atlas, server)
    const outcomes = await atOnce(() => atlas.run(['api', '/auth/me']))
    expect(told(server, outcomes)).toEqual(ONE_REFRESH)
    const emails = outcomes.map(({ stdout }) => JSON.parse(stdout).email)
    expect(emails).toEqual(Array(PROCESSES).fill('ada@example.com'))
  })

  test('after the end of the token, whatever they do with it', async () => {
    await using atlas = await stage({ rotate: true })
    const { server } = atlas
    await ended(atlas, server)
    const commands = [
      ['api', '/auth/me'],
      ['api', '/echo', '-f', 'a=b'],
      ['auth', 'status'],
      ['auth', 'token'],
      ['auth', 'token', '--min-ttl', '10m'],
    ]
    const outcomes = await atOnce(index => atlas.run(commands[index % commands.length] ?? []))
    expect(told(server, outcomes)).toEqual(ONE_REFRESH)
    const printed = outcomes.filter((_, index) => commands[index % commands.length]?.[1] === 'token')
    expect(new Set(printed.map(({ stdout }) => stdout))).toEqual(new Set([`${server.lastTokens.access}\n`]))
  })

  secretServiceTest('with the keychain', async () => {
    await using atlas = await stage({
      rotate: true,
      store: 'keychain',
      env: { ATLAS_KEYCHAIN_TIMEOUT: '30' },
    })
    const { server } = atlas
    await rejected(atlas, server)
    const outcomes = await atOnce(() => atlas.run(['api', '/auth/me']))
    expect(told(server, outcomes)).toEqual(ONE_REFRESH)
  })

  secretServiceTest('with one keychain and a home folder, config and temporary folder each', async () => {
    await using atlas = await stage({
      rotate: true,
      store: 'keychain',
      env: { ATLAS_KEYCHAIN_TIMEOUT: '30' },
    })
    const { server } = atlas
    await ended(atlas, server)
    const outcomes = await atOnce(index => {
      const home = path.join(atlas.home, `home-${index}`)
      const [config, temporary] = [path.join(home, 'config'), path.join(home, 'tmp')]
      // The addon is unpacked into the temporary folder, so one for each process would be 120 MB.
      for (const folder of [home, config, ...(index < 4 ? [temporary] : [])]) fs.mkdirSync(folder)
      const env = { HOME: home, XDG_CONFIG_HOME: config, ...(index < 4 && { TMPDIR: temporary }) }
      return atlas.run(['api', '/auth/me'], { env })
    })
    expect(told(server, outcomes)).toEqual(ONE_REFRESH)
  })
})

test(`${PROCESSES} refreshes that are asked for go one after the other and share their outcome`, async () => {
  await using atlas = await stage({ rotate: true })
  const { server } = atlas
  await rejected(atlas, server)
  const held = server.hold('POST /auth/refresh')
  const children = Array.from({ length: PROCESSES }, () => atlas.start(['auth', 'refresh', '--debug']))
  await held.arrived
  // All of them have seen the old token before the first gets its answer.
  const reading = children.map(child => readUntil(child.stderr, /lock .*: (waiting|held)/))
  await Promise.all(reading)
  held.release()
  const statuses = await Promise.all(children.map(child => child.exited))
  expect({
    statuses: new Set(statuses),
    refreshes: server.log(),
    reuses: server.reuses,
  }).toEqual({ statuses: new Set([0]), refreshes: [REFRESH], reuses: 0 })
  expect((await atlas.run(['auth', 'token'])).stdout).toBe(`${server.lastTokens.access}\n`)
})

test('a life that no token has is asked for once, however many ask for it', async () => {
  await using atlas = await stage({ rotate: true, accessTtlS: 60, loggedIn: true })
  const { server } = atlas
  const held = server.hold('POST /auth/refresh')
  const children = Array.from({ length: 8 }, () =>
    atlas.start(['auth', 'token', '--min-ttl', '1h', '--debug'], { input: '' }),
  )
  await held.arrived
  await Promise.all(children.map(child => readUntil(child.stderr, /lock .*: (waiting|held)/)))
  held.release()
  const statuses = await Promise.all(children.map(child => child.exited))
  expect({ statuses: new Set(statuses), log: server.log() }).toEqual({
    statuses: new Set([1]),
    log: [REFRESH],
  })
})
