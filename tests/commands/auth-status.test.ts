import { Database } from 'bun:sqlite'
import { describe, expect, test } from 'bun:test'
import { lockPath } from '../../lib/files/lock.ts'
import { ADA, type AtlasServer, answer } from '../support/atlas-server.ts'
import { createSandbox } from '../support/binary.ts'
import { inProcess } from '../support/in-process.ts'
import { stage } from '../support/stage.ts'

const ME = 'GET /api/v1/auth/me'
const REFRESH = 'POST /api/v1/auth/refresh'

describe('auth status', () => {
  test('status: --json prints every field of a confirmed login', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { server } = atlas
    const { status, stdout, stderr } = await atlas.run(['auth', 'status', '--json'])
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

  test('status: refreshes an expired token silently', async () => {
    await using atlas = await inProcess({ rotate: true, loggedIn: true })
    const { server } = atlas
    server.expireAccessTokens()
    const { status, stdout } = await atlas.run(['auth', 'status', '--json'])
    expect({ status, state: JSON.parse(stdout).state, log: server.log() }).toEqual({
      status: 0,
      state: 'authenticated',
      log: [ME, REFRESH, ME],
    })
  })

  test('status: prints a table, with what to do where nobody is logged in', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const { status, stdout, stderr } = await atlas.run(['auth', 'status'])
    expect({
      status,
      stderr,
      lines: stdout.replace(/\d{4}-\d\d-\d\d \d\d:\d\d/g, 'DATE').split('\n'),
    }).toEqual({
      status: 0,
      stderr: '',
      lines: [
        `Server        ${atlas.server.url}`,
        'Profile       default',
        'Status        Logged in; the server confirmed it.',
        'Account       ada@example.com (ada, admin)',
        `Credentials   ${atlas.configFolder}/credentials (plain text)`,
        'Access token  valid until DATE (in 30 minutes)',
        'Session       ends DATE (in 7 days)',
        '',
      ],
    })
    await atlas.run(['auth', 'logout'])
    expect(await atlas.run(['auth', 'status'])).toEqual({
      status: 4,
      stdout: [
        `Server        ${atlas.server.url}`,
        'Profile       default',
        'Status        Not logged in. No credentials are stored for this profile and server.',
        '',
      ].join('\n'),
      stderr: 'Log in with: atlas auth login\n',
    })
  })

  test('status: exits with 4 and no error when nobody is logged in', async () => {
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
    ['--offline', () => {}, ['--offline'], 0, 'unverified'],
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
      'a token that stays rejected after a refresh',
      server => server.fault('GET /auth/me', r => answer(r, 401, { detail: 'no' })),
      [],
      4,
      'rejected',
    ],
  ]
  test.each(
    STATES,
  )('status: reports its state and exit status with %s', async (_, arrange, args, status, state) => {
    await using atlas = await inProcess({ loggedIn: true })
    const { server } = atlas
    arrange(server)
    const outcome = await atlas.run(['auth', 'status', '--json', ...args])
    const told = JSON.parse(outcome.stdout)
    expect({ status: outcome.status, stderr: outcome.stderr, state: told.state }).toEqual({
      status,
      stderr: '',
      state,
    })
    expect(told.reason).toBeString()
  })

  test('status: names no store once a refused refresh has deleted the credentials', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const { server } = atlas
    server.expireAccessTokens()
    server.revokeSessions()
    const { stdout } = await atlas.run(['auth', 'status', '--json'])
    const { state, source, email, expires_at } = JSON.parse(stdout)
    expect({ state, source, email, expires_at, left: atlas.filesHolding('access_token') }).toEqual({
      state: 'rejected',
      source: null,
      email: null,
      expires_at: null,
      left: [],
    })
  })

  test('status: prints what is stored when the server is unreachable', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const { url } = atlas.server
    await atlas.server[Symbol.asyncDispose]()
    const { status, stdout } = await atlas.run(['auth', 'status', '--json'])
    expect({ status, ...JSON.parse(stdout) }).toMatchObject({
      status: 5,
      state: 'unverified',
      email: 'ada@example.com',
      reason: `${url} could not be reached: connection refused.`,
    })
  })
})

describe('the answer of GET /auth/me', () => {
  const TYPES: Record<string, string>[] = [{}, { 'content-type': 'text/plain' }]
  test.each(TYPES)('status: a JSON answer confirms the login with the headers %j', async headers => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.server.fault('GET /auth/me', response => {
      response.writeHead(200, headers).end('{"email":"ada@example.com","username":"ada"}')
    })
    const { status, stdout } = await atlas.run(['auth', 'status', '--json'])
    const { state, email, username } = JSON.parse(stdout)
    expect({ status, state, email, username }).toEqual({
      status: 0,
      state: 'authenticated',
      email: 'ada@example.com',
      username: 'ada',
    })
  })

  test('status: hides a short password that the server repeats after a login', async () => {
    const user = { ...ADA, password: 'x7q' }
    await using atlas = await inProcess({ users: [user] })
    const { server } = atlas
    const me = { email: ADA.email, username: 'ada, x7q' }
    server.fault('GET /auth/me', response => answer(response, 200, me))
    const args = ['auth', 'login', '--email', ADA.email, '--password-stdin', '--json']
    const env = { ATLAS_API_URL: server.url }
    const { stdout } = await atlas.run(args, { input: user.password, env })
    expect(JSON.parse(stdout)).toMatchObject({ email: ADA.email, username: '[hidden]' })
  })
})

test.concurrent('status: its five seconds include the wait for the lock', async () => {
  await using atlas = await stage({ loggedIn: true })
  const { server } = atlas
  server.fault('GET /auth/me', async response => {
    await Bun.sleep(4_000)
    answer(response, 401, {})
  })
  using held = new Database(lockPath(`${atlas.configFolder}/credentials`, `default@${server.url}`))
  held.run('BEGIN EXCLUSIVE')
  const startedAt = performance.now()
  const { status, stdout } = await atlas.run(['auth', 'status', '--json'])
  expect({ status, reason: JSON.parse(stdout).reason }).toEqual({
    status: 5,
    reason: expect.stringMatching(
      /^Another atlas process has held the lock .* for more than [01](\.\d)? s\.$/,
    ),
  })
  expect(performance.now() - startedAt).toBeLessThan(7_500)
})

test('status: an unknown profile is named, with the existing ones', async () => {
  await using atlas = await inProcess()
  await atlas.logIn()
  const { status, stderr } = await atlas.run(['auth', 'status', '--profile', 'defualt'])
  expect({ status, stderr }).toEqual({
    status: 4,
    stderr:
      'There is no profile "defualt" yet (--profile). Known profiles: default.\n' +
      'Log in with: atlas auth login --profile defualt\n',
  })
})
