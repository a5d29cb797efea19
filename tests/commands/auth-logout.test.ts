import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { leaveTemporary } from '../support/abandoned-file.ts'
import { startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox, createUnprivilegedSandbox, type Machine } from '../support/binary.ts'
import { inProcess } from '../support/in-process.ts'
import { secretServiceTest } from '../support/needs.ts'
import { stage } from '../support/stage.ts'

type Home = Pick<Machine, 'run' | 'configFolder' | 'filesHolding'>

describe('auth logout', () => {
  test('logout: tells the server, deletes the session and says what stays valid', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { server } = atlas
    const { status, stdout, stderr } = await atlas.run(['auth', 'logout'])
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: `Logged out of ${server.url} as ada@example.com\n`,
    })
    expect(stderr).toMatch(
      /^Local credentials deleted\. The server does not revoke tokens: a copied one still works \(the access token until .* and the refresh token until .*\)\.\n$/,
    )
    expect(server.log()).toEqual(['POST /api/v1/auth/logout'])
    expect(atlas.filesHolding('access_token')).toEqual([])
  })

  test('logout: --json lists the ended sessions', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const { expires_at, session_expires_at } = JSON.parse(
      (await atlas.run(['auth', 'status', '--json'])).stdout,
    )
    const { stdout } = await atlas.run(['auth', 'logout', '--json'])
    expect(JSON.parse(stdout)).toEqual({
      logged_out: [
        {
          profile: 'default',
          api_url: atlas.server.url,
          server_told: true,
          access_valid_until: expires_at,
          session_valid_until: session_expires_at,
        },
      ],
    })
    expect(JSON.parse((await atlas.run(['auth', 'logout', '--json'])).stdout)).toEqual({ logged_out: [] })
  })

  test('logout: deletes the session when the server cannot be reached', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    await atlas.server[Symbol.asyncDispose]()
    const { status, stderr } = await atlas.run(['auth', 'logout'])
    expect({ status, first: stderr.split('\n')[0] }).toEqual({
      status: 0,
      first: 'The server did not confirm the logout. The credentials on this machine are deleted anyway.',
    })
    expect(atlas.filesHolding('access_token')).toEqual([])
  })

  test('logout: says so where both tokens have expired', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.advanceClock(8 * 86_400_000)
    expect(await atlas.run(['auth', 'logout'])).toEqual({
      status: 0,
      stdout: `Logged out of ${atlas.server.url} as ada@example.com\n`,
      stderr: 'Its tokens have expired.\n',
    })
  })

  test('logout: a config file that cannot be written is a notice', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const file = path.join(atlas.configFolder, 'config.json')
    const text = fs.readFileSync(file, 'utf8')
    atlas.server.fault('POST /auth/logout', response => {
      fs.writeFileSync(file, 'not JSON')
      response.writeHead(200).end()
    })
    const { status, stderr } = await atlas.run(['auth', 'logout'])
    expect({ status, stored: atlas.filesHolding('access_token') }).toEqual({ status: 0, stored: [] })
    expect(stderr.split('\n')[0]).toEndWith(' It still lists logins that have ended.')
    fs.writeFileSync(file, text)
  })

  test('logout: succeeds when nobody is logged in', async () => {
    using sandbox = createSandbox()
    expect(await sandbox.run(['auth', 'logout'])).toEqual({
      status: 0,
      stdout: 'Not logged in to http://localhost:8000; nothing to do.\n',
      stderr: '',
    })
  })

  test('logout: --all ends every session', async () => {
    await using first = await startAtlasServer()
    await using second = await startAtlasServer()
    using sandbox = createSandbox()
    await sandbox.logIn(first)
    await sandbox.logIn(second)
    await sandbox.logIn(second, { env: { ATLAS_PROFILE: 'work' } })
    const { stdout } = await sandbox.run(['auth', 'logout', '--all', '--json'])
    const ended = JSON.parse(stdout).logged_out.map((entry: Record<string, unknown>) => [
      entry['profile'],
      entry['api_url'],
    ])
    expect(ended).toEqual([
      ['default', first.url],
      ['default', second.url],
      ['work', second.url],
    ])
    expect(sandbox.filesHolding('access_token')).toEqual([])
  })
})

describe('a session that the config file does not list', () => {
  const CASES: [args: string[]][] = [[['auth', 'logout']], [['auth', 'logout', '--all']]]
  test.each(CASES)('logout: finds a session that the config file does not list (atlas %j)', async args => {
    await using atlas = await stage({ store: 'unset' })
    const { server } = atlas
    await atlas.logIn({ env: { ATLAS_CREDENTIAL_STORE: 'file' } })
    fs.rmSync(`${atlas.configFolder}/config.json`)
    const { status, stdout } = await atlas.run(args)
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: `Logged out of ${server.url} as ada@example.com\n`,
    })
    expect(atlas.filesHolding('access_token')).toEqual([])
  })
})

describe('files in the folder of the file store', () => {
  const endedBy = async (sandbox: Home, args: string[] = [], options = {}) => {
    const { status, stdout, stderr } = await sandbox.run(['auth', 'logout', '--json', ...args], options)
    const { logged_out = [] } = stdout === '' ? {} : JSON.parse(stdout)
    return {
      status,
      said: stderr === '' ? null : JSON.parse(stderr).error.message,
      ended: logged_out.map((entry: Record<string, unknown>) => entry['profile']),
    }
  }
  const recordOf = (sandbox: Home): string => sandbox.filesHolding('access_token')[0] ?? ''
  const deleteList = (sandbox: Home): void => fs.rmSync(path.join(sandbox.configFolder, 'config.json'))

  test('logout: deletes the temporary file of a killed process', async () => {
    await using atlas = await stage({ loggedIn: true })
    const record = recordOf(atlas)
    leaveTemporary(record, fs.readFileSync(record, 'utf8'))
    fs.rmSync(record)
    deleteList(atlas)
    expect((await atlas.run(['auth', 'logout', '--all'])).status).toBe(0)
    expect(atlas.filesHolding('access_token')).toEqual([])
  })

  test('logout: a file that holds the record of another account is left alone and named', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const stray = path.join(path.dirname(recordOf(atlas)), `${'0'.repeat(32)}.json`)
    fs.copyFileSync(recordOf(atlas), stray)
    deleteList(atlas)
    expect(await endedBy(atlas, ['--all'])).toEqual({
      status: 6,
      said: `The credential file ${stray} does not say whose it is.`,
      ended: ['default'],
    })
    expect(atlas.filesHolding('access_token')).toEqual([stray])
  })

  test.each([
    [[]],
    [['--all']],
  ])('logout: a record that others can read is an error, not "not logged in" (%j)', async args => {
    await using atlas = await stage({ store: 'unset' })
    await atlas.logIn({ env: { ATLAS_CREDENTIAL_STORE: 'file' } })
    fs.chmodSync(recordOf(atlas), 0o644)
    deleteList(atlas)
    expect(await endedBy(atlas, args)).toEqual({
      status: 6,
      said: `The credential store ${recordOf(atlas)} cannot be used: others can read it.`,
      ended: [],
    })
  })

  secretServiceTest(
    'logout: an unreadable file store does not stop the keychain’s session from being ended',
    async () => {
      await using atlas = await stage({ store: 'keychain' })
      const folder = path.join(atlas.configFolder, 'credentials')
      for (const spoil of [
        () => fs.symlinkSync('/nonexistent', folder),
        () => fs.writeFileSync(folder, ''),
      ]) {
        await atlas.logIn()
        spoil()
        const { status, ended } = await endedBy(atlas, ['--all'])
        expect({ status, ended, stored: atlas.keychain.search('atlas-cli') }).toEqual({
          status: 6,
          ended: ['default'],
          stored: [],
        })
        fs.rmSync(folder)
      }
    },
  )

  test('logout: a file store without permission is named', async () => {
    using sandbox = createUnprivilegedSandbox()
    const folder = path.join(sandbox.configFolder, 'credentials')
    fs.mkdirSync(folder, { recursive: true })
    const { uid = process.getuid?.() ?? 0, gid = process.getgid?.() ?? 0 } = sandbox.user ?? {}
    for (const place of [path.dirname(sandbox.configFolder), sandbox.configFolder, folder])
      fs.chownSync(place, uid, gid)
    fs.chmodSync(folder, 0)
    const { status, said } = await endedBy(sandbox, ['--all'])
    expect(status).toBe(6)
    expect(said).toStartWith(`The credential store ${folder}`)
    expect(said).toEndWith('cannot be used: permission denied.')
  })
})

describe('logins to two stores', () => {
  secretServiceTest('logout: a login to another store replaces the first one', async () => {
    await using atlas = await stage({ store: 'keychain' })
    for (const store of ['keychain', 'file']) await atlas.logIn({ env: { ATLAS_CREDENTIAL_STORE: store } })
    const before = JSON.parse((await atlas.run(['auth', 'status', '--json', '--offline'])).stdout)
    const ended = JSON.parse((await atlas.run(['auth', 'logout', '--json'])).stdout)
    const after = JSON.parse((await atlas.run(['auth', 'status', '--json', '--offline'])).stdout)
    expect({ before: before.source, ended: ended.logged_out.length, after: after.state }).toEqual({
      before: 'file',
      ended: 1,
      after: 'not_logged_in',
    })
  })

  secretServiceTest(
    'logout: ends an older login too that could not be deleted when its store was away',
    async () => {
      await using atlas = await stage({ store: 'keychain' })
      const stored = (): number =>
        atlas.keychain.search('atlas-cli').length + atlas.filesHolding('access_token').length
      const away = { DBUS_SESSION_BUS_ADDRESS: undefined, XDG_RUNTIME_DIR: undefined }
      await atlas.logIn()
      const { status, stdout, stderr } = await atlas.logIn({
        env: { ...away, ATLAS_CREDENTIAL_STORE: 'file' },
      })
      expect({ status, stdout, said: stderr.split('\n')[0]?.slice(0, 46), stored: stored() }).toEqual({
        status: 0,
        stdout: `Logged in to ${atlas.server.url} as ada@example.com\n`,
        said: 'The older login in the Secret Service keychain',
        stored: 2,
      })
      const ended = JSON.parse((await atlas.run(['auth', 'logout', '--json'])).stdout)
      expect({ ended: ended.logged_out.length, stored: stored() }).toEqual({ ended: 2, stored: 0 })
    },
  )

  secretServiceTest('logout: the next login ends an older one that could not be deleted', async () => {
    await using atlas = await stage({ store: 'keychain' })
    const file = { ATLAS_CREDENTIAL_STORE: 'file' }
    await atlas.logIn()
    await atlas.logIn({ env: { ...file, DBUS_SESSION_BUS_ADDRESS: undefined, XDG_RUNTIME_DIR: undefined } })
    await atlas.logIn({ env: file })
    const { logins } = JSON.parse(fs.readFileSync(`${atlas.configFolder}/config.json`, 'utf8'))
    expect({
      stores: logins.map((login: Record<string, unknown>) => login['store']),
      keychain: atlas.keychain.search('atlas-cli').length,
    }).toEqual({ stores: ['file'], keychain: 0 })
  })

  test('logout: --all ends the other sessions when one store is unavailable', async () => {
    await using atlas = await stage({ store: 'unset' })
    const { server } = atlas
    await atlas.logIn({ env: { ATLAS_CREDENTIAL_STORE: 'file' } })
    const file = `${atlas.configFolder}/config.json`
    const config = JSON.parse(fs.readFileSync(file, 'utf8'))
    config.logins.unshift({
      profile: 'work',
      api_url: server.url,
      store: 'keychain',
      email: 'ada@example.com',
    })
    fs.writeFileSync(file, JSON.stringify(config))
    const { status, stdout, stderr } = await atlas.run(['auth', 'logout', '--all', '--json'])
    expect({
      status,
      ended: JSON.parse(stdout).logged_out.map((entry: Record<string, unknown>) => entry['profile']),
      code: JSON.parse(stderr).error.code,
    }).toEqual({ status: 6, ended: ['default'], code: 'store_unavailable' })
    expect(atlas.filesHolding('access_token')).toEqual([])
  })
})

describe('a config file that is lost or cannot be used', () => {
  const END_ONE = 'End one with: atlas auth logout --profile NAME --api-url URL'
  /** The keychain is not looked at while the variable names the other store. */
  const HINT = `${END_ONE} (unset ATLAS_CREDENTIAL_STORE first)`
  const MISSING =
    'The config file is missing or lists no login. Without it, logins in the keychain cannot be listed.'

  /** What has become of the file, and the reason that is given; null where it is missing or lists nobody. */
  const STATES: [state: string, spoil: (file: string) => void, reason: string | null][] = [
    ['missing', () => {}, null],
    ['emptied of logins', file => fs.writeFileSync(file, '{}'), null],
    ['empty', file => fs.writeFileSync(file, ''), 'it is not a JSON object'],
    ['malformed', file => fs.writeFileSync(file, '{"logins": [{'), 'it is not a JSON object'],
    ['of another shape', file => fs.writeFileSync(file, '{"logins": {}}'), '"logins" is not a list'],
    ['a folder', file => fs.mkdirSync(file), 'a folder is in its place'],
    ['too large', file => fs.writeFileSync(file, ' '.repeat(1_048_577)), 'it is too large (1048577 bytes)'],
  ]
  const unusable = (file: string, reason: string): string =>
    `The config file ${file} cannot be used: ${reason}. Without it, logins in the keychain cannot be listed.`
  const spoiled = (
    { configFolder }: Pick<Machine, 'configFolder'>,
    spoil: (file: string) => void,
  ): string => {
    const file = path.join(configFolder, 'config.json')
    fs.rmSync(file, { recursive: true })
    spoil(file)
    return file
  }

  test.each(
    STATES,
  )('logout: --all ends what it finds and says what cannot be listed where the config file is %s', async (_, spoil, reason) => {
    await using atlas = await inProcess({ loggedIn: true })
    const file = spoiled(atlas, spoil)
    const { status, stdout, stderr } = await atlas.run(['auth', 'logout', '--all'])
    const said = stderr.split('\n').filter(line => line.includes('listed') || line.includes(END_ONE))
    expect({ status, stdout, said, left: atlas.filesHolding('access_token') }).toEqual({
      status: reason ? 2 : 0,
      stdout: `Logged out of ${atlas.server.url} as ada@example.com\n`,
      said: reason ? [`atlas: ${unusable(file, reason)}`, `       ${HINT}`] : [MISSING, HINT],
      left: [],
    })
  })

  test.each(
    STATES,
  )('logout: --all does not claim that nobody was logged in where the config file is %s', async (_, spoil, reason) => {
    await using atlas = await inProcess({ loggedIn: true })
    await atlas.run(['auth', 'logout'])
    const file = spoiled(atlas, spoil)
    const text = await atlas.run(['auth', 'logout', '--all'])
    const json = await atlas.run(['auth', 'logout', '--all', '--json'])
    if (reason === null) {
      const stderr = `${MISSING}\n${HINT}\n`
      expect(text).toEqual({ status: 0, stdout: 'No login was found.\n', stderr })
      expect(json).toEqual({ status: 0, stdout: '{"logged_out":[]}\n', stderr })
      return
    }
    const message = unusable(file, reason)
    expect(text).toEqual({ status: 2, stdout: '', stderr: `atlas: ${message}\n       ${HINT}\n` })
    expect({ ...json, stderr: JSON.parse(json.stderr) }).toEqual({
      status: 2,
      stdout: '',
      stderr: { error: { code: 'usage', message, hint: HINT } },
    })
  })

  test('logout: --all says that nobody was logged in where the config file says so', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    await atlas.run(['auth', 'logout'])
    expect(await atlas.run(['auth', 'logout', '--all'])).toEqual({
      status: 0,
      stdout: 'Nobody was logged in.\n',
      stderr: '',
    })
  })

  test.each(
    STATES,
  )('logout: the command that is named ends a login where the config file is %s', async (_, spoil) => {
    await using atlas = await inProcess({ loggedIn: true })
    const { url } = atlas.server
    spoiled(atlas, spoil)
    const named = ['auth', 'logout', '--profile', 'default', '--api-url', url]
    expect(await atlas.run(named)).toMatchObject({
      status: 0,
      stdout: `Logged out of ${url} as ada@example.com\n`,
    })
    expect(atlas.filesHolding('access_token')).toEqual([])
    expect(await atlas.run(named)).toEqual({
      status: 0,
      stdout: `Not logged in to ${url}; nothing to do.\n`,
      stderr: '',
    })
  })

  test('logout: without the names of profile and server, a config file that cannot be used is an error', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const file = spoiled(atlas, file => fs.writeFileSync(file, '{'))
    const error = {
      status: 2,
      stdout: '',
      stderr: `atlas: ${unusable(file, 'it is not a JSON object')}\n       ${HINT}\n`,
    }
    expect(await atlas.run(['auth', 'logout'])).toEqual(error)
    expect(await atlas.run(['auth', 'logout', '--api-url', 'http://127.0.0.1:1'])).toEqual(error)
    expect(atlas.filesHolding('access_token')).toHaveLength(1)
    expect((await atlas.run(['auth', 'logout', '--api-url', atlas.server.url])).status).toBe(0)
    expect(fs.readFileSync(file, 'utf8')).toBe('{')
  })

  test.skipIf(process.platform === 'win32')('logout: names a config file without permission', async () => {
    await using atlas = await stage({ loggedIn: true, unprivileged: true })
    const file = path.join(atlas.configFolder, 'config.json')
    fs.chmodSync(file, 0)
    const { status, stdout, stderr } = await atlas.run(['auth', 'logout', '--all'])
    expect({ status, stdout, said: stderr.split('\n').at(-3) }).toEqual({
      status: 2,
      stdout: `Logged out of ${atlas.server.url} as ada@example.com\n`,
      said: `atlas: ${unusable(file, 'permission denied')}`,
    })
  })

  secretServiceTest(
    'logout: the sessions in the keychain of a lost config file can be ended by name',
    async () => {
      await using atlas = await stage({ store: 'keychain', loggedIn: true })
      const { url } = atlas.server
      await atlas.logIn({ env: { ATLAS_PROFILE: 'work' } })
      const file = spoiled(atlas, () => {})
      for (const spoil of [() => {}, () => fs.writeFileSync(file, '{')]) {
        spoil()
        const all = await atlas.run(['auth', 'logout', '--all'])
        expect(all.stdout).toBe(fs.existsSync(file) ? '' : 'No login was found.\n')
        expect(all.stderr).toContain(END_ONE)
      }
      for (const profile of ['default', 'work']) {
        const { status, stdout } = await atlas.run(['auth', 'logout', '--profile', profile, '--api-url', url])
        expect({ status, stdout }).toEqual({ status: 0, stdout: `Logged out of ${url} as ada@example.com\n` })
      }
      expect(atlas.keychain.search('atlas-cli')).toEqual([])
    },
  )

  secretServiceTest('logout: without a config file, ends the login in either store', async () => {
    await using atlas = await stage({ store: 'keychain' })
    await atlas.logIn()
    await atlas.logIn({ env: { ATLAS_CREDENTIAL_STORE: 'file', ATLAS_CONFIG_DIR: `${atlas.home}/other` } })
    const { status, stdout } = await atlas.run(['auth', 'logout', '--json'], {
      env: { ATLAS_CONFIG_DIR: `${atlas.home}/other` },
    })
    expect({ status, ended: JSON.parse(stdout).logged_out.length }).toEqual({ status: 0, ended: 1 })
    expect(atlas.keychain.search('atlas-cli')).toHaveLength(1)

    await atlas.logIn({ env: { ATLAS_CREDENTIAL_STORE: 'file', ATLAS_CONFIG_DIR: `${atlas.home}/other` } })
    fs.rmSync(`${atlas.home}/other/config.json`)
    const both = await atlas.run(['auth', 'logout', '--json'], {
      env: { ATLAS_CONFIG_DIR: `${atlas.home}/other` },
    })
    expect({ status: both.status, ended: JSON.parse(both.stdout).logged_out.length }).toEqual({
      status: 0,
      ended: 2,
    })
    expect(atlas.keychain.search('atlas-cli')).toEqual([])
  })
})

test.concurrent('logout: --all has one time limit, and a hanging server leaves time for the others', async () => {
  await using hung = await startAtlasServer()
  await using well = await startAtlasServer()
  using sandbox = createSandbox()
  for (const profile of ['a', 'b', 'c']) await sandbox.logIn(hung, { env: { ATLAS_PROFILE: profile } })
  await sandbox.logIn(well)
  hung.fault('POST /auth/logout', () => {})
  const startedAt = performance.now()
  const { status, stdout } = await sandbox.run(['auth', 'logout', '--all', '--json'])
  const told = JSON.parse(stdout).logged_out.map((entry: { server_told: boolean }) => entry.server_told)
  expect({ status, told }).toEqual({ status: 0, told: [false, false, false, true] })
  expect(performance.now() - startedAt).toBeLessThan(10_000)
})
