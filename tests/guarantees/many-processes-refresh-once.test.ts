import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import type { AtlasServer } from '../support/atlas-server.ts'
import { type Outcome, readUntil } from '../support/binary.ts'
import { forRun, secretServiceTest } from '../support/needs.ts'
import { type Stage, stage } from '../support/stage.ts'

const PROCESSES = forRun({ short: 12, full: 40 })
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
async function rejected({ logIn, server }: Stage): Promise<void> {
  expect((await logIn()).status).toBe(0)
  server.expireAccessTokens()
  server.forget()
}

/** The access token has ended by the clock. */
async function ended({ logIn, server }: Stage): Promise<void> {
  server.accessTtlS = 0
  expect((await logIn()).status).toBe(0)
  server.accessTtlS = 1800
  server.forget()
}

describe(`${PROCESSES} processes at once`, () => {
  test('refresh: happens once after a rejected token, in the file store', async () => {
    await using atlas = await stage({ rotate: true })
    const { server } = atlas
    await rejected(atlas)
    const outcomes = await atOnce(() => atlas.run(['api', '/auth/me']))
    expect(told(server, outcomes)).toEqual(ONE_REFRESH)
    const emails = outcomes.map(({ stdout }) => JSON.parse(stdout).email)
    expect(emails).toEqual(Array(PROCESSES).fill('ada@example.com'))
  })

  test('refresh: happens once after the token expired, whatever the commands are', async () => {
    await using atlas = await stage({ rotate: true })
    const { server } = atlas
    await ended(atlas)
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

  secretServiceTest('refresh: happens once with the keychain', async () => {
    await using atlas = await stage({
      rotate: true,
      store: 'keychain',
      env: { ATLAS_KEYCHAIN_TIMEOUT: '30' },
    })
    const { server } = atlas
    await rejected(atlas)
    const outcomes = await atOnce(() => atlas.run(['api', '/auth/me']))
    expect(told(server, outcomes)).toEqual(ONE_REFRESH)
  })

  secretServiceTest(
    'refresh: happens once with one keychain below many home, config and temporary folders',
    async () => {
      await using atlas = await stage({
        rotate: true,
        store: 'keychain',
        env: { ATLAS_KEYCHAIN_TIMEOUT: '30' },
      })
      const { server } = atlas
      await ended(atlas)
      const outcomes = await atOnce(index => {
        const home = path.join(atlas.home, `home-${index}`)
        const [config, temporary] = [path.join(home, 'config'), path.join(home, 'tmp')]
        // The addon is unpacked into the temporary folder, so one for each process would be 120 MB.
        for (const folder of [home, config, ...(index < 4 ? [temporary] : [])]) fs.mkdirSync(folder)
        const env = { HOME: home, XDG_CONFIG_HOME: config, ...(index < 4 && { TMPDIR: temporary }) }
        return atlas.run(['api', '/auth/me'], { env })
      })
      expect(told(server, outcomes)).toEqual(ONE_REFRESH)
    },
  )
})

test.each([
  { rotate: true },
  // The new token may be the same text as the old one.
  {},
])('refresh: processes that all run "auth refresh" share one refresh (%j)', async options => {
  await using atlas = await stage(options)
  const { server } = atlas
  await rejected(atlas)
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

test('refresh: a --min-ttl that no token can have costs one refresh for all processes', async () => {
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
