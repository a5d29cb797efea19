import { describe, expect, test } from 'bun:test'
import {
  API_SEARCH,
  API_SEARCH_ROUTE,
  type AtlasServer,
  type AtlasServerOptions,
  startAtlasServer,
} from '../support/atlas-server.ts'
import { createSandbox, LOGIN } from '../support/binary.ts'
import { type InProcess, inProcess } from '../support/in-process.ts'

const PASSWORD = 'correct horse'

/** Log in to a server that is named so. @returns how that ended, and what the server received, in order. */
async function logInTo(atlas: InProcess, server: AtlasServer, apiUrl: string) {
  server.forget()
  const { status, stdout, stderr } = await atlas.run([...LOGIN, '--json'], {
    input: PASSWORD,
    env: { ATLAS_API_URL: apiUrl },
  })
  const told = stdout === '' ? JSON.parse(stderr).error : JSON.parse(stdout)
  const withPassword = server.requests.filter(({ path, body }) => `${path}${body}`.includes('correct'))
  return {
    status,
    told,
    log: server.log(),
    withPassword: withPassword.map(({ method, path }) => `${method} ${path}`),
  }
}

describe('a login that finds the API', () => {
  const ROOT = ['POST /api/v1/auth/login']
  const SERVERS: [
    what: string,
    options: AtlasServerOptions,
    path: string,
    asked: string[],
    login: string[],
  ][] = [
    ['an origin with pages for every path', { webApplication: 'page' }, '', [API_SEARCH], ROOT],
    ['an origin with pages, and a slash', { webApplication: 'page' }, '/', [API_SEARCH], ROOT],
    ['an origin that knows no other path', { webApplication: 'not found' }, '', [API_SEARCH], ROOT],
    ['an origin that forbids other paths', { webApplication: 'forbidden' }, '', [API_SEARCH], ROOT],
    ['an API with nothing around it', { webApplication: 'none' }, '', [API_SEARCH], ROOT],
    ['the path of the API', {}, '/api/v1', [API_SEARCH], ROOT],
    ['the path of the API and a slash', {}, '/api/v1/', [API_SEARCH], ROOT],
    ['the path of the API with more slashes', {}, '//api//v1//', [API_SEARCH], ROOT],
    [
      'a path above the API',
      { apiPath: '/atlas/api/v1' },
      '/atlas',
      ['GET /atlas/api/v1/auth/me'],
      ['POST /atlas/api/v1/auth/login'],
    ],
    [
      'a path that is the API',
      { apiPath: '/atlas' },
      '/atlas/',
      ['GET /atlas/api/v1/auth/me', 'GET /atlas/auth/me'],
      ['POST /atlas/auth/login'],
    ],
    ['an origin that is the API', { apiPath: '' }, '', [API_SEARCH, 'GET /auth/me'], ['POST /auth/login']],
  ]
  test.each(SERVERS)('login: finds the API by %s', async (_, options, path, asked, login) => {
    await using server = await startAtlasServer(options)
    await using atlas = await inProcess()
    const { status, told, log, withPassword } = await logInTo(atlas, server, server.url + path)
    const confirmed = (asked.at(-1) ?? '').replace(/^POST/, 'GET')
    const name = server.url + (options.apiPath?.startsWith('/atlas') ? '/atlas' : '')
    expect({ status, apiUrl: told.api_url, state: told.state, log, withPassword }).toEqual({
      status: 0,
      apiUrl: name,
      state: 'authenticated',
      log: [...asked, ...login, confirmed],
      withPassword: login,
    })
  })

  test('login: by three spellings is one login, and one session', async () => {
    await using atlas = await inProcess()
    const { server } = atlas
    for (const path of ['', '/api/v1', '/api/v1/'])
      expect((await logInTo(atlas, server, server.url + path)).status).toBe(0)
    const { stdout } = await atlas.run(['auth', 'list', '--json'])
    expect(JSON.parse(stdout).profiles).toEqual([
      { name: 'default', api_url: server.url, email: 'ada@example.com', store: 'file' },
    ])
    expect(atlas.filesHolding('refresh_token')).toHaveLength(1)
    for (const path of ['', '/', '/api/v1', '/api/v1/', '//api/./v1'])
      expect((await atlas.run(['auth', 'status', '--api-url', server.url + path])).status).toBe(0)
  })
})

describe('a login that finds no API', () => {
  const CHECK = 'Check the server URL (--api-url or ATLAS_API_URL).'
  const page = (status: number, type = 'text/html') =>
    new Response('{"access_token":"abc","token_type":"bearer"}', {
      status,
      headers: { 'content-type': type },
    })
  const moved = (location: string) => new Response(null, { status: 301, headers: { location } })
  const refusal = (body: string, challenge: string) =>
    new Response(body, { status: 401, headers: { 'www-authenticate': challenge } })
  const OTHERS: [what: string, answer: () => Response, said: string, code: string, hint: string][] = [
    ['a page', () => page(200), '200 with a web page', 'bad_response', CHECK],
    ['a token for everybody', () => page(200, 'application/json'), '200', 'bad_response', CHECK],
    ['no such page', () => page(404), '404 with a web page', 'bad_response', CHECK],
    ['a firewall', () => page(403), '403 with a web page', 'bad_response', CHECK],
    ['a method that is not allowed', () => page(405), '405 with a web page', 'bad_response', CHECK],
    ['an error', () => page(500, 'text/plain'), '500', 'server_error', 'Try again later.'],
    ['a limit', () => page(429, 'text/plain'), '429', 'rate_limited', 'Wait a minute, then try again.'],
    ['a file', () => moved('file:///auth/me'), '301, a redirect to file:///auth/me', 'bad_response', CHECK],
    ['a login page', () => moved('/login'), '301, a redirect to /login', 'bad_response', CHECK],
    [
      'a server that has moved',
      () => moved('https://atlas.example.com/api/v1/auth/me'),
      '301, a redirect to https://atlas.example.com/api/v1/auth/me',
      'bad_response',
      'The server redirects to https://atlas.example.com. If you trust that one, name it with --api-url.',
    ],
    [
      'a proxy that wants a login',
      () => refusal('{"detail":"no"}', 'Basic realm="x"'),
      '401, but not as an API does',
      'bad_response',
      'Check the server URL (--api-url or ATLAS_API_URL), and whether a proxy in between wants a login of its own.',
    ],
    [
      'a gateway',
      () => refusal('Jwt is missing', 'Bearer'),
      '401, but not as an API does',
      'bad_response',
      'Check the server URL (--api-url or ATLAS_API_URL), and whether a proxy in between wants a login of its own.',
    ],
  ]
  test.each(OTHERS)('login: sends no password to %s', async (_, answer, said, code, hint) => {
    const received: string[] = []
    using server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      async fetch(request) {
        const { pathname } = new URL(request.url)
        received.push(
          `${request.method} ${pathname} ${await request.text()}${request.headers.get('authorization') ?? ''}`,
        )
        return answer()
      },
    })
    const { origin } = server.url
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: origin })
    const { status, stdout, stderr } = await sandbox.run([...LOGIN, '--json'], { input: PASSWORD })
    expect({ status, stdout, error: JSON.parse(stderr).error }).toEqual({
      status: 5,
      stdout: '',
      error: {
        code,
        message: `No Atlas API was found at ${origin}: ${origin}/api/v1/auth/me answered ${said}; ${origin}/auth/me answered ${said}.`,
        hint,
      },
    })
    expect(received).toEqual(['GET /api/v1/auth/me ', 'GET /auth/me '])
  })

  test('login: a redirected question is no answer, even within the server', async () => {
    await using atlas = await inProcess()
    const { server } = atlas
    server.fault(
      API_SEARCH_ROUTE,
      response => void response.writeHead(307, { location: '/api/v1/auth/me/' }).end(),
    )
    const { status, told, withPassword } = await logInTo(atlas, server, server.url)
    expect({ status, code: told.code, withPassword }).toEqual({
      status: 5,
      code: 'bad_response',
      withPassword: [],
    })
  })

  test('login: at a terminal asks for nothing before the API is found', async () => {
    await using atlas = await inProcess({ apiPath: '/elsewhere' })
    const { status } = await atlas.run(['auth', 'login'], { answers: ['ada@example.com', PASSWORD] })
    expect({ status, questions: atlas.questions }).toEqual({ status: 5, questions: [] })
  })
})
