/*
 * The whole story against an API on the framework of the real server: npm run test:fastapi. It needs Python 3.10 or
 * later with venv and pip, and is skipped without them, but not in CI.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import { createSandbox, LOGIN, type Outcome, type Sandbox } from '../support/binary.ts'
import { type FastApiServer, prepareEnvironment, startFastApiServer, type Told } from './fastapi-server.ts'

const PASSWORD = 'correct horse'
const PROCESSES = 32

const missing = prepareEnvironment()
if (missing !== undefined) {
  if (process.env['CI'] === 'true') throw new Error(`The tests against FastAPI cannot run: ${missing}.`)
  process.stderr.write(`Skipping the tests against FastAPI: ${missing}.\n`)
}

const requestsOf = (told: readonly Told[]): string[] =>
  told.map(({ request, status }) => `${request} ${status}`)
const json = ({ status, stdout }: Outcome) => ({ status, told: JSON.parse(stdout) })

describe.skipIf(missing !== undefined)('against FastAPI', () => {
  let server: FastApiServer
  let atlas: Sandbox
  beforeAll(async () => {
    server = await startFastApiServer()
    atlas = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file' })
  })
  afterAll(async () => {
    atlas[Symbol.dispose]()
    await server[Symbol.asyncDispose]()
  })
  const logIn = (apiUrl: string, input = PASSWORD): Promise<Outcome> =>
    atlas.run(LOGIN, { input, env: { ATLAS_API_URL: apiUrl } })
  const expired = async (token: string): Promise<void> => {
    const headers = { authorization: `Bearer ${token}` }
    while ((await fetch(`${server.url}/api/v1/auth/me`, { headers })).ok) await Bun.sleep(100)
    server.forget()
  }

  test('login: on the bare origin and with the path of the API is one login', async () => {
    for (const path of ['', '/api/v1', '/api/v1/']) {
      server.forget()
      const { status, stdout } = await logIn(server.url + path)
      expect({ status, stdout, told: server.told }).toEqual({
        status: 0,
        stdout: `Logged in to ${server.url} as ada@example.com\n`,
        told: [
          { request: 'GET /api/v1/auth/me', status: 401, password: false, bearer: false },
          { request: 'POST /api/v1/auth/login', status: 200, password: true, bearer: false },
        ],
      })
    }
    expect(json(await atlas.run(['auth', 'list', '--json'])).told.profiles).toEqual([
      { name: 'default', api_url: server.url, email: 'ada@example.com', store: 'file' },
    ])
  })

  test('login: a wrong password is refused, and the sixth login in a minute too', async () => {
    expect(await logIn(server.url, 'wrong')).toEqual({
      status: 4,
      stdout: '',
      stderr:
        `atlas: ${server.url} refused the login: Incorrect email or password\n` +
        '       Check e-mail and password, and that this is the right server, then try again.\n',
    })
    await logIn(server.url, 'wrong again')
    expect(await logIn(server.url)).toEqual({
      status: 5,
      stdout: '',
      stderr:
        `atlas: Rate limit exceeded (429) on ${server.url}: 5 per 1 minute.\n` +
        '       Wait a minute, then try again.\n',
    })
  })

  test('status: reads a user without a role, and times without a zone', async () => {
    const { status, told } = json(await atlas.run(['auth', 'status', '--json']))
    expect({ status, ...told }).toMatchObject({
      status: 0,
      state: 'authenticated',
      email: 'ada@example.com',
      username: 'ada',
      role: null,
    })
    const days = (Date.parse(told.session_expires_at) - Date.now()) / 86_400_000
    expect(days).toBeWithin(6.9, 7.001)
  })

  test('refresh: a token that has expired is replaced once, for 32 processes', async () => {
    // The server announces half an hour, as one whose clock is wrong does.
    await server.control({ access_ttl_s: 1 })
    expect((await atlas.run(['auth', 'refresh'])).status).toBe(0)
    const { told } = json(await atlas.run(['auth', 'token', '--json']))
    await server.control({})
    await expired(told.access_token)
    const commands = [['api', '/auth/me'], ['auth', 'status'], ['status']]
    const outcomes = await Promise.all(
      Array.from({ length: PROCESSES }, (_, index) => atlas.run(commands[index % commands.length] ?? [])),
    )
    const asked = requestsOf(server.told)
    expect({
      failures: outcomes.filter(({ status }) => status !== 0),
      refreshes: asked.filter(line => line.startsWith('POST')),
    }).toEqual({ failures: [], refreshes: ['POST /api/v1/auth/refresh 200'] })
    expect(asked).toContain('GET /api/v1/auth/me 401')
  })

  const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
  test.each(METHODS)('api: %s arrives, and is redirected to a slash as it should be', async method => {
    const hasBody = method !== 'GET' && method !== 'HEAD'
    const args = ['-X', method, '-f', 'a=1']
    const told = { method, query: hasBody ? '' : 'a=1', body: hasBody ? '{"a":"1"}' : '' }
    const direct = await atlas.run(['api', '/echo/', ...args])
    expect([direct.status, direct.stdout]).toEqual([0, method === 'HEAD' ? '' : JSON.stringify(told)])
    server.forget()
    const { status, stdout, stderr } = await atlas.run(['api', '/echo', ...args])
    if (!hasBody) expect([status, stdout, stderr]).toEqual([0, direct.stdout, ''])
    else
      expect([status, stderr]).toEqual([
        1,
        `atlas: ${method} /api/v1/echo answered 307 Temporary Redirect: a redirect to ${server.url}/api/v1/echo/, which atlas follows for GET and HEAD only.\n` +
          '       Run the command with that path: atlas api /echo/ …\n',
      ])
    const first = `${method} /api/v1/echo 307`
    expect(requestsOf(server.told)).toEqual(hasBody ? [first] : [first, `${method} /api/v1/echo/ 200`])
  })

  const FAILURES: [what: string, args: string[], status: number, said: string][] = [
    [
      'a field that is too long',
      ['/notes/', '-f', 'title=much too long'],
      1,
      '422 Unprocessable WORD: title: String should have at most 10 characters.',
    ],
    [
      'a field that is missing',
      ['/notes/', '-F', 'x=1'],
      1,
      '422 Unprocessable WORD: title: Field required.',
    ],
    [
      'a parameter that is too large',
      ['/catalog', '-X', 'GET', '-f', 'size=101'],
      1,
      '422 Unprocessable WORD: size: Input should be less than or equal to 100.',
    ],
    ['a bug of the server', ['/broken'], 1, '500 Internal Server Error.'],
    ['a path that is not there', ['/nowhere'], 1, '404 Not Found.'],
    ['a method that is not there', ['/auth/me', '-X', 'DELETE'], 1, '405 Method Not Allowed.'],
  ]
  test.each(FAILURES)('api: %s is said in the server’s words', async (_, args, status, said) => {
    const outcome = await atlas.run(['api', ...args])
    expect([outcome.status, outcome.stderr]).toEqual([
      status,
      expect.stringMatching(new RegExp(`answered ${RegExp.escape(said).replace('WORD', '\\w+')}\n$`)),
    ])
  })

  test('api: all pages of a list, through jq', async () => {
    const args = ['api', '/catalog?size=2', '--paginate', '--jq', '.[].name']
    const names = [1, 2, 3, 4, 5].map(number => `rule ${number}\n`).join('')
    expect(await atlas.run(args)).toEqual({ status: 0, stdout: names, stderr: '' })
    const { stdout } = await atlas.run(['api', '/admin/users', '--paginate', '--jq', 'map(.email)'])
    expect(stdout).toBe('["ada@example.com"]\n')
  })

  test('sync: writes the text, and tells a text that is empty from none', async () => {
    const file = `${atlas.home}/.claude/CLAUDE.md`
    expect((await atlas.run(['sync'])).status).toBe(0)
    expect(fs.readFileSync(file, 'utf8')).toBe('# Rules\n')
    await server.control({ content: '' })
    expect((await atlas.run(['sync', '-f'])).status).toBe(5)
    expect(json(await atlas.run(['status', '--json']))).toMatchObject({
      status: 5,
      told: { verdict: 'remote_unreadable' },
    })
    await server.control({ content: '', commit_sha: '' })
    expect((await atlas.run(['sync'])).stdout).toContain('has no configuration for you yet')
    expect(json(await atlas.run(['status', '--json']))).toMatchObject({
      status: 0,
      told: { verdict: 'remote_empty' },
    })
    expect(fs.readFileSync(file, 'utf8')).toBe('# Rules\n')
    await server.control({})
    expect(json(await atlas.run(['status', '--json'])).told.verdict).toBe('in_sync')
  })

  test('push, history, rollback: an edit goes to the server, and an older text comes back', async () => {
    const file = `${atlas.home}/.claude/CLAUDE.md`
    const push = async (text: string, message: string): Promise<string> => {
      fs.writeFileSync(file, text)
      const { status, told } = json(await atlas.run(['push', '-m', message, '--json']))
      expect([status, told.result]).toEqual([0, 'pushed'])
      return told.commit_sha
    }
    const first = await push('# Rules\r\nErste Fassung: ü\n', 'First')
    const second = await push('# Rules\nsecond\n', 'Second')
    const { told } = json(await atlas.run(['history', '--json']))
    expect(told.versions).toEqual(
      [
        { commit_sha: second, message: 'Second', synced: true },
        { commit_sha: first, message: 'First', synced: false },
      ].map(version => ({ ...version, author: 'ada@example.com', timestamp: expect.any(String) })),
    )
    expect((await atlas.run(['rollback', first.slice(0, 7), '--yes'])).status).toBe(0)
    expect((await atlas.run(['sync'])).status).toBe(0)
    expect(fs.readFileSync(file, 'utf8')).toBe('# Rules\r\nErste Fassung: ü\n')
    expect(json(await atlas.run(['history', '--limit', '1', '--json'])).told).toMatchObject({
      total: 3,
      versions: [{ message: `Roll back to ${first.slice(0, 7)}`, synced: true }],
    })
  })

  test('push: a server that may not write says so, and a newer text is not overwritten', async () => {
    const file = `${atlas.home}/.claude/CLAUDE.md`
    await server.control({ may_write: false })
    await atlas.run(['sync', '-f'])
    fs.writeFileSync(file, '# Mine\n')
    const refused = await atlas.run(['push'])
    expect([refused.status, refused.stderr]).toEqual([
      1,
      expect.stringContaining('The repository is read-only'),
    ])
    await server.control({ content: '# Theirs\n' })
    const outdated = await atlas.run(['push', '--json'])
    expect([outdated.status, JSON.parse(outdated.stderr).error.code]).toEqual([1, 'remote_changes'])
    expect(fs.readFileSync(file, 'utf8')).toBe('# Mine\n')
  })

  test('a ready-made token: works on the bare origin, and is said to have expired once it has', async () => {
    await server.control({ access_ttl_s: 1 })
    await atlas.run(['auth', 'refresh'])
    const { told } = json(await atlas.run(['auth', 'token', '--json']))
    await server.control({})
    await expired(told.access_token)
    const env = {
      ATLAS_ACCESS_TOKEN: told.access_token,
      ATLAS_API_URL: server.url,
      ATLAS_CONFIG_DIR: `${atlas.home}/none`,
    }
    const { status, stderr } = await atlas.run(['sync'], { env })
    expect([status, stderr]).toEqual([4, expect.stringContaining('(401): ATLAS_ACCESS_TOKEN expired ')])
    await atlas.run(['auth', 'refresh'])
    const fresh = json(await atlas.run(['auth', 'token', '--json'])).told.access_token
    expect(
      (await atlas.run(['api', '/auth/me'], { env: { ...env, ATLAS_ACCESS_TOKEN: fresh } })).status,
    ).toBe(0)
  })

  test('doctor: finds nothing broken', async () => {
    const { status, told } = json(await atlas.run(['doctor', '--json']))
    expect({
      status,
      broken: told.checks.filter((check: { status: string }) => check.status === 'fail'),
    }).toEqual({
      status: 0,
      broken: [],
    })
  })

  test('logout: tells the server and deletes the session', async () => {
    server.forget()
    expect(json(await atlas.run(['auth', 'logout', '--json']))).toMatchObject({
      status: 0,
      told: { logged_out: [{ profile: 'default', api_url: server.url, server_told: true }] },
    })
    expect(requestsOf(server.told)).toEqual(['POST /api/v1/auth/logout 200'])
    expect(atlas.filesHolding('refresh_token')).toEqual([])
    expect((await atlas.run(['api', '/auth/me'])).status).toBe(4)
  })
})
