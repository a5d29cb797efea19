import { describe, expect } from 'bun:test'
import fs from 'node:fs'
import { type AtlasServer, answer, signToken, startAtlasServer } from '../../support/atlas-server.ts'
import { createSandbox } from '../../support/binary.ts'
import { secretServiceTest } from '../../support/needs.ts'
import { type SecretService, startSecretService } from '../../support/secret-service.ts'
import { stage } from '../../support/stage.ts'

const ME = 'GET /api/v1/auth/me'
const REFRESH = 'POST /api/v1/auth/refresh'
const LOGOUT = 'POST /api/v1/auth/logout'

/** The records that atlas keeps, as another program sees them. */
const records = (keychain: SecretService) =>
  keychain.search('atlas-cli').map(({ account, secret }) => ({ account, ...JSON.parse(secret) }))

const tokens = ({ lastTokens }: AtlasServer) => ({
  access_token: lastTokens.access,
  refresh_token: lastTokens.refresh,
})

secretServiceTest('keychain: holds the session alone, from login over refresh to logout', async () => {
  await using atlas = await stage({ rotate: true, store: 'keychain' })
  const { keychain, server } = atlas
  const account = `default@${server.url}`
  const inFiles = () => Object.values(tokens(server)).flatMap(token => atlas.filesHolding(token))

  expect(await atlas.logIn()).toEqual({
    status: 0,
    stdout: `Logged in to ${server.url} as ada@example.com\n`,
    stderr: '',
  })
  expect(records(keychain)).toMatchObject([{ account, ...tokens(server) }])
  expect(inFiles()).toEqual([])

  const status = await atlas.run(['auth', 'status', '--json'])
  expect({ status: status.status, ...JSON.parse(status.stdout) }).toMatchObject({
    status: 0,
    state: 'authenticated',
    source: 'keychain',
    store: 'keychain',
  })
  expect(await atlas.run(['auth', 'token'])).toEqual({
    status: 0,
    stdout: `${server.lastTokens.access}\n`,
    stderr: '',
  })

  server.expireAccessTokens()
  server.forget()
  expect((await atlas.run(['api', '/auth/me'])).status).toBe(0)
  expect(server.log()).toEqual([ME, REFRESH, ME])
  expect(records(keychain)).toMatchObject([{ account, ...tokens(server) }])

  expect((await atlas.run(['auth', 'refresh'])).status).toBe(0)
  expect(records(keychain)).toMatchObject([{ account, ...tokens(server) }])
  expect(inFiles()).toEqual([])

  server.forget()
  const logout = await atlas.run(['auth', 'logout'])
  expect({ status: logout.status, stdout: logout.stdout, log: server.log() }).toEqual({
    status: 0,
    stdout: `Logged out of ${server.url} as ada@example.com\n`,
    log: [LOGOUT],
  })
  expect(keychain.search('atlas-cli')).toEqual([])
  expect((await atlas.run(['auth', 'status'])).status).toBe(4)
})

secretServiceTest('keychain: a refused refresh deletes the item', async () => {
  await using atlas = await stage({ store: 'keychain' })
  const { server } = atlas
  await atlas.logIn()
  server.expireAccessTokens()
  server.revokeSessions()
  expect((await atlas.run(['api', '/auth/me'])).status).toBe(4)
  expect(atlas.keychain.search('atlas-cli')).toEqual([])
})

secretServiceTest(
  'keychain: each profile and server has one item, and logout --all deletes them all',
  async () => {
    await using first = await startAtlasServer()
    await using second = await startAtlasServer()
    await using keychain = await startSecretService()
    using sandbox = createSandbox(keychain.env)
    await sandbox.logIn(first, { env: { ATLAS_PROFILE: 'home' } })
    await sandbox.logIn(first, { env: { ATLAS_PROFILE: 'work' } })
    await sandbox.logIn(second, { env: { ATLAS_PROFILE: 'work' } })
    const accounts = () =>
      keychain
        .search('atlas-cli')
        .map(({ account }) => account)
        .sort()
    const all = [`home@${first.url}`, `work@${first.url}`, `work@${second.url}`].sort()
    expect(accounts()).toEqual(all)
    expect((await sandbox.run(['auth', 'logout', '--profile', 'home'])).status).toBe(0)
    expect(accounts()).toEqual(all.filter(account => !account.startsWith('home')))
    expect((await sandbox.run(['auth', 'logout', '--all'])).status).toBe(0)
    expect(accounts()).toEqual([])
  },
)

secretServiceTest('keychain: stores tokens of 16 KiB whole', async () => {
  await using atlas = await stage({ store: 'keychain', withApiPath: true })
  const { keychain, server } = atlas
  const access = 'a'.repeat(16_384)
  const refresh = 'r'.repeat(16_384)
  server.fault('POST /auth/login', response =>
    answer(
      response,
      200,
      { access_token: access, token_type: 'bearer', expires_in: 1800 },
      { 'set-cookie': `refresh_token=${refresh}; Path=/` },
    ),
  )
  expect((await atlas.logIn({ env: { ATLAS_API_URL: server.apiRoot } })).status).toBe(0)
  expect(records(keychain)).toMatchObject([{ access_token: access, refresh_token: refresh }])
  expect((await atlas.run(['auth', 'token'])).stdout).toBe(`${access}\n`)
})

describe('foreign items', () => {
  const FOREIGN: [what: string, secret: string | Uint8Array][] = [
    ['no JSON', 'hunter2'],
    ['another JSON object', '{"version":1}'],
    ['no text', new Uint8Array([0xff, 0xfe, 0x41])],
    ['an empty value', ' '],
  ]
  secretServiceTest(
    'keychain: a foreign item is kept, named, and changed only by login and logout',
    async () => {
      await using atlas = await stage({ store: 'keychain' })
      const { keychain, server } = atlas
      const account = `default@${server.url}`
      await atlas.logIn()
      for (const [what, secret] of FOREIGN) {
        keychain.store('atlas-cli', account, secret)
        server.forget()
        for (const args of [
          ['auth', 'status'],
          ['auth', 'token'],
          ['auth', 'refresh'],
          ['api', '/auth/me'],
        ]) {
          const { status, stderr } = await atlas.run([...args, '--json'])
          const { error } = JSON.parse(stderr)
          expect({ what, args, status, code: error.code, hint: error.hint }).toEqual({
            what,
            args,
            status: 6,
            code: 'store_unavailable',
            hint: 'Replace them with "atlas auth login", or delete them with "atlas auth logout".',
          })
          expect(error.message).toContain(account)
        }
        expect(keychain.search('atlas-cli')).toHaveLength(1)
        expect(server.log()).toEqual([])
      }
      expect((await atlas.logIn()).status).toBe(0)
      expect(records(keychain)).toMatchObject([{ account, ...tokens(server) }])

      for (const [, secret] of FOREIGN) {
        keychain.store('atlas-cli', account, secret)
        expect((await atlas.run(['auth', 'logout'])).status).toBe(0)
        expect(keychain.search('atlas-cli')).toEqual([])
      }
      expect(server.log().filter(line => line === LOGOUT)).toEqual([])
    },
  )

  secretServiceTest('keychain: a record of another account is never sent', async () => {
    await using other = await startAtlasServer()
    await using atlas = await stage({ loggedIn: true, store: 'keychain' })
    const { keychain } = atlas
    const [record] = keychain.search('atlas-cli')
    keychain.store('atlas-cli', `default@${other.url}`, record?.secret ?? '')
    const { status } = await atlas.run(['api', '/auth/me'], { env: { ATLAS_API_URL: other.url } })
    expect({ status, log: other.log() }).toEqual({ status: 6, log: [] })
  })

  secretServiceTest(
    'keychain: two items of one name are reported with the command that fixes it',
    async () => {
      await using atlas = await stage({ store: 'keychain' })
      const { keychain } = atlas
      const account = `default@${atlas.server.url}`
      await atlas.logIn()
      keychain.store('atlas-cli', account, 'another program’s', { made: 'elsewhere' })
      const { status, stderr } = await atlas.run(['auth', 'status'])
      expect({ status, stderr }).toEqual({
        status: 6,
        stderr:
          `atlas: The Secret Service keychain holds 2 items for "atlas-cli" and ${account}, and atlas wrote at most one of them.\n` +
          `       Delete them with: secret-tool clear service atlas-cli username ${account}, then log in again.\n`,
      })
      expect(keychain.search('atlas-cli')).toHaveLength(2)
      const env = { ...process.env, ...keychain.env }
      Bun.spawnSync(['sh', '-c', / (secret-tool .*), then/.exec(stderr)?.[1] ?? ''], { env })
      expect(keychain.search('atlas-cli')).toEqual([])
      expect((await atlas.logIn()).status).toBe(0)
    },
  )
})

secretServiceTest('keychain: Ctrl-C after a refresh stores the new token first', async () => {
  await using atlas = await stage({ store: 'keychain', withApiPath: true })
  const { keychain, server } = atlas
  await atlas.logIn({ env: { ATLAS_API_URL: server.apiRoot } })
  const access = signToken({}, 1800)
  const answered = Promise.withResolvers<void>()
  server.fault('POST /auth/refresh', response => {
    keychain.freeze()
    const headers = { 'set-cookie': 'refresh_token=rotated; Path=/' }
    answer(response, 200, { access_token: access, token_type: 'bearer', expires_in: 1800 }, headers)
    response.on('close', answered.resolve)
  })
  const child = atlas.start(['auth', 'refresh'])
  await answered.promise
  child.kill('SIGINT')
  keychain.thaw()
  expect(await child.exited).toBe(130)
  expect(records(keychain)).toMatchObject([{ access_token: access, refresh_token: 'rotated' }])
})

secretServiceTest('keychain: the config file names the store and holds no secret', async () => {
  await using atlas = await stage({ loggedIn: true, store: 'keychain' })
  const { server } = atlas
  const config = fs.readFileSync(`${atlas.configFolder}/config.json`, 'utf8')
  expect(JSON.parse(config)).toEqual({
    current_profile: 'default',
    logins: [
      {
        profile: 'default',
        api_url: server.url,
        api_root: server.apiRoot,
        store: 'keychain',
        email: 'ada@example.com',
      },
    ],
  })
})
