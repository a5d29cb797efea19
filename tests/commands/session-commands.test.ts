import { Database } from 'bun:sqlite'
import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { lockPath } from '../../lib/files/lock.ts'
import { ADA, type AtlasServer, answer, signToken, startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox, outcomeOf, type Sandbox } from '../support/binary.ts'
import { secretServiceTest, startSecretService } from '../support/secret-service.ts'
import { createUnprivilegedSandbox } from '../support/unprivileged.ts'

const ME = 'GET /api/v1/auth/me'
const REFRESH = 'POST /api/v1/auth/refresh'

async function loggedIn(sandbox: Sandbox, server: AtlasServer): Promise<void> {
  expect((await sandbox.logIn(server)).status).toBe(0)
  server.forget()
}

describe('auth status', () => {
  test('tells everything of a confirmed login as JSON', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    const { status, stdout, stderr } = await sandbox.run(['auth', 'status', '--json'])
    const told = JSON.parse(stdout)
    expect({ status, stderr, told }).toEqual({
      status: 0,
      stderr: '',
      told: {
        state: 'authenticated',
        profile: 'default',
        api_url: server.url,
        email: 'ada@example.com',
        username: 'ada',
        role: 'admin',
        source: 'file',
        store: 'file',
        expires_at: new Date(told.expires_at).toISOString(),
        session_expires_at: new Date(told.session_expires_at).toISOString(),
        reason: null,
      },
    })
    expect(server.log()).toEqual([ME])
  })

  test('refreshes an expired token unseen', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    server.expireAccessTokens()
    const { status, stdout } = await sandbox.run(['auth', 'status', '--json'])
    expect({ status, state: JSON.parse(stdout).state, log: server.log() }).toEqual({
      status: 0,
      state: 'authenticated',
      log: [ME, REFRESH, ME],
    })
  })

  test('of nobody ends with 4 and is no error', async () => {
    using sandbox = createSandbox()
    const { status, stdout, stderr } = await sandbox.run([
      'auth',
      'status',
      '--json',
      '--api-url',
      'http://127.0.0.1:9',
    ])
    expect({ status, stderr, told: JSON.parse(stdout) }).toEqual({
      status: 4,
      stderr: '',
      told: {
        state: 'not_logged_in',
        profile: 'default',
        api_url: 'http://127.0.0.1:9',
        email: null,
        username: null,
        role: null,
        source: null,
        store: 'file',
        expires_at: null,
        session_expires_at: null,
        reason: 'No credentials are stored for this profile and server.',
      },
    })
  })

  const STATES: [
    what: string,
    arrange: (server: AtlasServer) => void,
    args: string[],
    status: number,
    state: string,
  ][] = [
    [
      'a server that cannot confirm',
      server => server.fault('GET /auth/me', r => answer(r, 404, {})),
      [],
      0,
      'unverified',
    ],
    [
      'a server that fails',
      server => server.fault('GET /auth/me', r => answer(r, 503, {})),
      [],
      5,
      'unverified',
    ],
    [
      'a server that is silent',
      server => server.fault('GET /auth/me', () => {}),
      ['--timeout', '0.3'],
      5,
      'unverified',
    ],
    [
      'a server that sends HTML',
      server => server.fault('GET /auth/me', r => void r.end('<p>')),
      [],
      5,
      'unverified',
    ],
    ['nobody asked', () => {}, ['--offline'], 0, 'unverified'],
    [
      'a refused session',
      server => {
        server.expireAccessTokens()
        server.revokeSessions()
      },
      [],
      4,
      'rejected',
    ],
    [
      'a token rejected for good',
      server => server.fault('GET /auth/me', r => answer(r, 401, {})),
      [],
      4,
      'rejected',
    ],
  ]
  test.each(STATES)('with %s', async (_, arrange, args, status, state) => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    arrange(server)
    const outcome = await sandbox.run(['auth', 'status', '--json', ...args])
    const told = JSON.parse(outcome.stdout)
    expect({ status: outcome.status, stderr: outcome.stderr, state: told.state }).toEqual({
      status,
      stderr: '',
      state,
    })
    expect(told.reason).toBeString()
  })

  test('names no place for credentials that the server’s refusal has ended', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    server.expireAccessTokens()
    server.revokeSessions()
    const { stdout } = await sandbox.run(['auth', 'status', '--json'])
    const { state, source, email, expires_at } = JSON.parse(stdout)
    expect({ state, source, email, expires_at, left: sandbox.filesHolding('access_token') }).toEqual({
      state: 'rejected',
      source: null,
      email: null,
      expires_at: null,
      left: [],
    })
  })

  test('of an unreachable server still tells what is stored', async () => {
    using sandbox = createSandbox()
    let url = ''
    {
      await using server = await startAtlasServer()
      url = server.url
      await loggedIn(sandbox, server)
    }
    const { status, stdout } = await sandbox.run(['auth', 'status', '--json'])
    expect({ status, ...JSON.parse(stdout) }).toMatchObject({
      status: 5,
      state: 'unverified',
      email: 'ada@example.com',
      reason: `${url} could not be reached: connection refused.`,
    })
  })
})

describe('auth token', () => {
  test('prints the stored token and a newline, and asks nobody', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    expect(await sandbox.run(['auth', 'token'])).toEqual({
      status: 0,
      stdout: `${server.lastTokens.access}\n`,
      stderr: '',
    })
    expect(server.log()).toEqual([])
  })

  test('refreshes where less than the wanted time is left', async () => {
    await using server = await startAtlasServer({ accessTtlS: 600 })
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    const before = server.lastTokens.access
    expect((await sandbox.run(['auth', 'token', '--min-ttl', '590'])).stdout).toBe(`${before}\n`)
    const fault = await sandbox.run(['auth', 'token', '--min-ttl', '11m', '--json'])
    expect({ status: fault.status, stdout: fault.stdout, code: JSON.parse(fault.stderr).error.code }).toEqual(
      {
        status: 1,
        stdout: '',
        code: 'ttl_unavailable',
      },
    )
    expect(server.log()).toEqual([REFRESH])
  })

  test('of a session without a refresh token is good for what is left, and for no longer', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    server.fault('POST /auth/login', response =>
      answer(response, 200, { access_token: 'alone', token_type: 'bearer', expires_in: 1800 }),
    )
    await loggedIn(sandbox, server)
    expect((await sandbox.run(['auth', 'token', '--min-ttl', '10m'])).stdout).toBe('alone\n')
    const { status, stdout, stderr } = await sandbox.run(['auth', 'token', '--min-ttl', '1h', '--json'])
    expect({ status, stdout, code: JSON.parse(stderr).error.code }).toEqual({
      status: 1,
      stdout: '',
      code: 'ttl_unavailable',
    })
    expect(server.log()).toEqual([])
  })

  test('tells token, end and source as JSON', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    const told = JSON.parse((await sandbox.run(['auth', 'token', '--json'])).stdout)
    expect(told).toEqual({
      access_token: server.lastTokens.access,
      expires_at: new Date(told.expires_at).toISOString(),
      source: 'file',
    })
  })

  const DURATIONS: [text: string, status: number][] = [
    ['90s', 0],
    ['10m', 0],
    ['45', 0],
    ['1h', 1],
    ['soon', 2],
    ['-5', 2],
    ['5d', 2],
    ['', 2],
  ]
  test.each(DURATIONS)('--min-ttl "%s" ends with %d', async (text, status) => {
    await using server = await startAtlasServer({ accessTtlS: 1800 })
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    expect((await sandbox.run(['auth', 'token', '--min-ttl', text])).status).toBe(status)
  })

  test('of nobody says how to log in', async () => {
    using sandbox = createSandbox()
    expect(await sandbox.run(['auth', 'token'])).toEqual({
      status: 4,
      stdout: '',
      stderr: 'atlas: Not logged in to http://localhost:8000.\n       Log in with: atlas auth login\n',
    })
  })

  test('of nobody, on a server and profile that flags name, says so with these flags', async () => {
    using sandbox = createSandbox()
    const flags = ['--api-url', 'https://atlas.example.com', '--profile', 'work']
    for (const command of [
      ['auth', 'token'],
      ['api', '/x'],
      ['auth', 'refresh'],
    ]) {
      const { stderr } = await sandbox.run([...command, ...flags])
      expect(stderr).toBe(
        'atlas: Not logged in to https://atlas.example.com.\n' +
          '       Log in with: atlas auth login --api-url https://atlas.example.com --profile work\n',
      )
    }
    expect((await sandbox.run(['auth', 'status', ...flags])).stderr).toBe(
      'Log in with: atlas auth login --api-url https://atlas.example.com --profile work\n',
    )
  })
})

describe('auth refresh', () => {
  test('replaces the token now', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    const { status, stdout } = await sandbox.run(['auth', 'refresh'])
    expect(status).toBe(0)
    expect(stdout).toStartWith(`Refreshed the session on ${server.url}; the access token is valid until `)
    expect(server.log()).toEqual([REFRESH])
    expect((await sandbox.run(['auth', 'token'])).stdout).toBe(`${server.lastTokens.access}\n`)
  })

  test('that is refused deletes the credentials and says to log in again', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    server.revokeSessions()
    expect(await sandbox.run(['auth', 'refresh'])).toEqual({
      status: 4,
      stdout: '',
      stderr:
        `atlas: The session on ${server.url} has ended: the server refused to renew it.\n` +
        '       Log in again with: atlas auth login\n',
    })
    expect(sandbox.filesHolding('access_token')).toEqual([])
  })

  test('that meets a failing server keeps the credentials', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    server.fault('POST /auth/refresh', response => answer(response, 503, {}))
    expect(await sandbox.run(['auth', 'refresh'])).toEqual({
      status: 5,
      stdout: '',
      stderr: `atlas: ${server.url} failed (503) on POST /auth/refresh.\n       Try again later.\n`,
    })
    expect(sandbox.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
  })

  test('of a ready-made token is a usage error', async () => {
    using sandbox = createSandbox()
    const { status, stderr } = await sandbox.run(['auth', 'refresh', '--json'], {
      env: { ATLAS_ACCESS_TOKEN: 'ready' },
    })
    expect({ status, code: JSON.parse(stderr).error.code }).toEqual({ status: 2, code: 'usage' })
  })
})

describe('auth logout', () => {
  test('tells the server, deletes the session and says what stays valid', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    const { status, stdout, stderr } = await sandbox.run(['auth', 'logout'])
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: `Logged out of ${server.url} as ada@example.com\n`,
    })
    expect(stderr).toMatch(
      /^No copy is left on this machine\. The server itself ends no tokens: it would accept a copy of the access token until .* and of the refresh token until .*\n$/,
    )
    expect(server.log()).toEqual(['POST /api/v1/auth/logout'])
    expect(sandbox.filesHolding('access_token')).toEqual([])
  })

  test('tells it as JSON', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    const { expires_at, session_expires_at } = JSON.parse(
      (await sandbox.run(['auth', 'status', '--json'])).stdout,
    )
    const { stdout } = await sandbox.run(['auth', 'logout', '--json'])
    expect(JSON.parse(stdout)).toEqual({
      logged_out: [
        {
          profile: 'default',
          api_url: server.url,
          server_told: true,
          access_valid_until: expires_at,
          session_valid_until: session_expires_at,
        },
      ],
    })
    expect(JSON.parse((await sandbox.run(['auth', 'logout', '--json'])).stdout)).toEqual({ logged_out: [] })
  })

  test('deletes the session of a server that is gone', async () => {
    using sandbox = createSandbox()
    {
      await using server = await startAtlasServer()
      await loggedIn(sandbox, server)
    }
    const { status, stderr } = await sandbox.run(['auth', 'logout'])
    expect({ status, first: stderr.split('\n')[0] }).toEqual({
      status: 0,
      first: 'The server could not be told; the credentials on this machine are deleted all the same.',
    })
    expect(sandbox.filesHolding('access_token')).toEqual([])
  })

  test('of nobody says so and is no failure', async () => {
    using sandbox = createSandbox()
    expect(await sandbox.run(['auth', 'logout'])).toEqual({
      status: 0,
      stdout: 'Not logged in to http://localhost:8000; nothing to do.\n',
      stderr: '',
    })
  })

  test('--all ends every session there is', async () => {
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

describe('a session that the config file does not know', () => {
  const CASES: [args: string[]][] = [[['auth', 'logout']], [['auth', 'logout', '--all']]]
  test.each(CASES)('is ended by atlas %j', async args => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox({ ATLAS_API_URL: server.url })
    await sandbox.logIn(server, { env: { ATLAS_CREDENTIAL_STORE: 'file' } })
    fs.rmSync(`${sandbox.configFolder}/config.json`)
    const { status, stdout } = await sandbox.run(args)
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: `Logged out of ${server.url} as ada@example.com\n`,
    })
    expect(sandbox.filesHolding('access_token')).toEqual([])
  })
})

describe('what logout finds in the folder of the file store, and the config file does not list,', () => {
  const endedBy = async (sandbox: Sandbox, args: string[] = [], options = {}) => {
    const { status, stdout, stderr } = await sandbox.run(['auth', 'logout', '--json', ...args], options)
    const { logged_out = [] } = stdout === '' ? {} : JSON.parse(stdout)
    return {
      status,
      said: stderr === '' ? null : JSON.parse(stderr).error.message,
      ended: logged_out.map((entry: Record<string, unknown>) => entry['profile']),
    }
  }
  const recordOf = (sandbox: Sandbox): string => sandbox.filesHolding('access_token')[0] ?? ''
  const deleteList = (sandbox: Sandbox): void => fs.rmSync(path.join(sandbox.configFolder, 'config.json'))

  test('and a killed writer has left without a record, is deleted', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    fs.renameSync(recordOf(sandbox), `${recordOf(sandbox)}.tmp`)
    deleteList(sandbox)
    expect((await sandbox.run(['auth', 'logout', '--all'])).status).toBe(0)
    expect(sandbox.filesHolding('access_token')).toEqual([])
  })

  test('and does not say whose it is, is named and keeps no other from being ended', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    const stray = path.join(path.dirname(recordOf(sandbox)), `${'0'.repeat(32)}.json`)
    fs.copyFileSync(recordOf(sandbox), stray)
    deleteList(sandbox)
    expect(await endedBy(sandbox, ['--all'])).toEqual({
      status: 6,
      said: `The credential file ${stray} does not say whose it is.`,
      ended: ['default'],
    })
    expect(sandbox.filesHolding('access_token')).toEqual([stray])
  })

  test.each([[[]], [['--all']]])('and others can read, is no nobody (%j)', async args => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox({ ATLAS_API_URL: server.url })
    await sandbox.logIn(server, { env: { ATLAS_CREDENTIAL_STORE: 'file' } })
    fs.chmodSync(recordOf(sandbox), 0o644)
    deleteList(sandbox)
    expect(await endedBy(sandbox, args)).toEqual({
      status: 6,
      said: `The credential store ${recordOf(sandbox)} can be read by others, so atlas does not use it.`,
      ended: [],
    })
  })

  secretServiceTest('keeps no session in the keychain from being ended where it cannot be read', async () => {
    await using server = await startAtlasServer()
    await using keychain = await startSecretService()
    using sandbox = createSandbox({ ...keychain.env, ATLAS_API_URL: server.url })
    const folder = path.join(sandbox.configFolder, 'credentials')
    for (const spoil of [() => fs.symlinkSync('/nonexistent', folder), () => fs.writeFileSync(folder, '')]) {
      await loggedIn(sandbox, server)
      spoil()
      const { status, ended } = await endedBy(sandbox, ['--all'])
      expect({ status, ended, stored: keychain.search('atlas-cli') }).toEqual({
        status: 6,
        ended: ['default'],
        stored: [],
      })
      fs.rmSync(folder)
    }
  })

  test('cannot be looked at without permission, which is said', async () => {
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

test('what is there already is proven before a login asks and sends', async () => {
  await using server = await startAtlasServer()
  using sandbox = createSandbox()
  await loggedIn(sandbox, server)
  const [record = ''] = sandbox.filesHolding('access_token')
  fs.chmodSync(record, 0o644)
  const { status, stderr } = await sandbox.logIn(server)
  expect({ status, log: server.log(), hint: stderr.split('\n')[1] }).toEqual({
    status: 6,
    log: [],
    hint: `       If that was not meant, mend it with: chmod 600 ${record}`,
  })
})

test('a login told as JSON keeps the session, whatever the server says of it then', async () => {
  await using server = await startAtlasServer()
  using sandbox = createSandbox()
  server.fault('GET /auth/me', response => answer(response, 401, {}))
  server.fault('POST /auth/refresh', response => answer(response, 401, {}))
  const { status, stdout } = await sandbox.run(
    ['auth', 'login', '--email', 'ada@example.com', '--password-stdin', '--json'],
    { input: 'correct horse', env: { ATLAS_API_URL: server.url } },
  )
  expect({ status, ...JSON.parse(stdout) }).toMatchObject({
    status: 0,
    state: 'unverified',
    reason: 'The server does not accept the access token (401).',
  })
  expect(sandbox.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
})

test('a login told as JSON is told although a signal comes before the server’s word on it', async () => {
  await using server = await startAtlasServer()
  using sandbox = createSandbox()
  const held = server.hold('GET /auth/me')
  const child = sandbox.start(['auth', 'login', '--email', 'ada@example.com', '--password-stdin', '--json'], {
    input: 'correct horse',
    env: { ATLAS_API_URL: server.apiRoot },
  })
  await held.arrived
  child.kill('SIGINT')
  const { status, stdout } = await outcomeOf(child)
  held.release()
  const { state, email, source } = JSON.parse(stdout)
  expect({ status, state, email, source }).toEqual({
    status: 130,
    state: 'unverified',
    email: 'ada@example.com',
    source: 'file',
  })
  expect(sandbox.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
})

describe('an answer to who is logged in', () => {
  const TYPES: Record<string, string>[] = [{}, { 'content-type': 'text/plain' }]
  test.each(TYPES)('that is JSON confirms it with the headers %j too', async headers => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    server.fault('GET /auth/me', response => {
      response.writeHead(200, headers).end('{"email":"ada@example.com","username":"ada"}')
    })
    const { status, stdout } = await sandbox.run(['auth', 'status', '--json'])
    const { state, email, username } = JSON.parse(stdout)
    expect({ status, state, email, username }).toEqual({
      status: 0,
      state: 'authenticated',
      email: 'ada@example.com',
      username: 'ada',
    })
  })

  test('that repeats a short password shows it to nobody', async () => {
    const user = { ...ADA, password: 'x7q' }
    await using server = await startAtlasServer({ users: [user] })
    using sandbox = createSandbox()
    const me = { email: ADA.email, username: 'ada, x7q' }
    server.fault('GET /auth/me', response => answer(response, 200, me))
    const args = ['auth', 'login', '--email', ADA.email, '--password-stdin', '--json']
    const env = { ATLAS_API_URL: server.url }
    const { stdout } = await sandbox.run(args, { input: user.password, env })
    expect(JSON.parse(stdout)).toMatchObject({ email: ADA.email, username: '[hidden]' })
  })
})

describe('the five seconds that a server may take are', () => {
  test.concurrent('for a status all of it, a wait for the lock included', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    server.fault('GET /auth/me', async response => {
      await Bun.sleep(4_000)
      answer(response, 401, {})
    })
    using held = new Database(lockPath(`${sandbox.configFolder}/credentials`, `default@${server.url}`))
    held.run('BEGIN EXCLUSIVE')
    const startedAt = performance.now()
    const { status, stdout } = await sandbox.run(['auth', 'status', '--json'])
    expect({ status, reason: JSON.parse(stdout).reason }).toEqual({
      status: 5,
      reason: expect.stringMatching(
        /^Another atlas process has held the lock .* for more than [01](\.\d)? s\.$/,
      ),
    })
    expect(performance.now() - startedAt).toBeLessThan(7_500)
  })

  test.concurrent('for a logout all servers together, and one that hangs leaves time for the others', async () => {
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
})

describe('a login to another store', () => {
  const testWithKeys = Bun.which('keyctl') !== null || process.env['CI'] === 'true' ? test : test.skip

  testWithKeys('is the one that counts, and a logout ends both', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox({ ATLAS_API_URL: server.url })
    const script = `
      for store in kernel file; do
        "$0" auth login --email ada@example.com --password-stdin --store $store < password >/dev/null 2>&1
      done
      "$0" auth status --json --offline; "$0" auth logout --json; "$0" auth status --json --offline; exit 0`
    fs.writeFileSync(`${sandbox.cwd}/password`, 'correct horse')
    const child = Bun.spawn(['keyctl', 'session', '-', 'sh', '-c', script, sandbox.binary], {
      cwd: sandbox.cwd,
      env: sandbox.env,
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'pipe',
    })
    const [before, ended, after] = (await outcomeOf(child)).stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    expect({ before: before.source, ended: ended.logged_out.length, after: after.state }).toEqual({
      before: 'file',
      ended: 2,
      after: 'not_logged_in',
    })
  })

  test('that cannot be ended does not keep the others', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox({ ATLAS_API_URL: server.url })
    await sandbox.logIn(server, { env: { ATLAS_CREDENTIAL_STORE: 'file' } })
    const file = `${sandbox.configFolder}/config.json`
    const config = JSON.parse(fs.readFileSync(file, 'utf8'))
    config.sessions.unshift({ profile: 'work', api_url: server.url, store: 'keychain' })
    fs.writeFileSync(file, JSON.stringify(config))
    const { status, stdout, stderr } = await sandbox.run(['auth', 'logout', '--all', '--json'])
    expect({
      status,
      ended: JSON.parse(stdout).logged_out.map((entry: Record<string, unknown>) => entry['profile']),
      code: JSON.parse(stderr).error.code,
    }).toEqual({ status: 6, ended: ['default'], code: 'store_unavailable' })
    expect(sandbox.filesHolding('access_token')).toEqual([])
  })
})

describe('a ready-made token', () => {
  test('beats the store, is sent as it is and is never refreshed', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    const env = { ATLAS_ACCESS_TOKEN: 'ready-made', ATLAS_API_URL: server.apiRoot }
    const outcome = await sandbox.run(['api', '/auth/me'], { env })
    expect(outcome).toEqual({
      status: 4,
      stdout: '{"detail":"Could not validate credentials"}',
      stderr:
        'atlas: GET /api/v1/auth/me answered 401 Unauthorized: the server rejects the access token.\n' +
        '       Set ATLAS_ACCESS_TOKEN to a valid token, or unset it.\n',
    })
    expect(server.requests.map(({ headers }) => headers['authorization'])).toEqual(['Bearer ready-made'])
  })

  test('needs no keychain', async () => {
    using sandbox = createSandbox({})
    const soon = signToken({ sub: 'ada' }, 60)
    const { status, stdout } = await sandbox.run(['auth', 'token', '--json'], {
      env: { ATLAS_ACCESS_TOKEN: soon },
    })
    const told = JSON.parse(stdout)
    expect({ status, told }).toEqual({
      status: 0,
      told: { access_token: soon, expires_at: new Date(told.expires_at).toISOString(), source: 'env' },
    })
  })

  test('is told by status, with the server’s word on it', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox({})
    const { status, stdout } = await sandbox.run(['auth', 'status', '--json'], {
      env: { ATLAS_ACCESS_TOKEN: 'nonsense', ATLAS_API_URL: server.apiRoot },
    })
    expect({ status, ...JSON.parse(stdout) }).toMatchObject({
      status: 4,
      state: 'rejected',
      source: 'env',
      email: null,
    })
  })

  test('of an origin alone is told what its URL needs, by every command', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox({})
    const env = { ATLAS_ACCESS_TOKEN: 'ready-made', ATLAS_API_URL: server.url }
    const hint = `With ATLAS_ACCESS_TOKEN the server URL needs the API's path too: ${server.url}/api/v1`
    const outcomes = await Promise.all(
      [['auth', 'status'], ['api', '/auth/me'], ['sync'], ['status']].map(args => sandbox.run(args, { env })),
    )
    expect(outcomes.map(({ status, stderr }) => [status, stderr.includes(hint)])).toEqual([
      [0, true],
      [1, true],
      [5, true],
      [5, true],
    ])
    const { stdout } = await sandbox.run(['doctor', '--json'], { env })
    const checks: { name: string; status: string }[] = JSON.parse(stdout).checks
    expect(checks.find(({ name }) => name === 'server')?.status).toBe('fail')
  })
})
