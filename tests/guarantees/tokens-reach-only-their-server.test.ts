import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { type AtlasServer, startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox, LOGIN, type Machine } from '../support/binary.ts'
import { startRawServer } from '../support/raw-server.ts'
import { stage } from '../support/stage.ts'

const codeIn = (stderr: string): string => (stderr.startsWith('{') ? JSON.parse(stderr).error.code : stderr)

/** All commands that could send a credential, each with its exit status and error code. */
async function askEverything(sandbox: Machine, env: Record<string, string> = {}) {
  const commands = {
    token: ['auth', 'token'],
    refresh: ['auth', 'refresh'],
    api: ['api', '/auth/me'],
    status: ['auth', 'status'],
    doctor: ['doctor'],
    logout: ['auth', 'logout'],
  }
  const told: Record<string, string> = {}
  for (const [name, args] of Object.entries(commands)) {
    const { status, stderr } = await sandbox.run([...args, '--json'], { env })
    told[name] = `${status} ${codeIn(stderr)}`.trim()
  }
  return told
}

const NOT_LOGGED_IN = {
  token: '4 not_logged_in',
  refresh: '4 not_logged_in',
  api: '4 not_logged_in',
  status: '4',
  doctor: '0',
  logout: '0',
}

/** What a server has been given that it could use. */
const credentialsAt = ({ requests }: AtlasServer) =>
  requests.filter(({ headers, body }) => headers['authorization'] || headers['cookie'] || body)

test('origin: a session of one server is not used for another', async () => {
  await using other = await startAtlasServer()
  await using atlas = await stage({ loggedIn: true })
  expect(await askEverything(atlas, { ATLAS_API_URL: other.url })).toEqual(NOT_LOGGED_IN)
  expect(credentialsAt(other)).toEqual([])
  expect((await atlas.run(['auth', 'status'], { env: { ATLAS_API_URL: atlas.server.url } })).status).toBe(0)
})

test('origin: another name, scheme or port of the same machine is another server', async () => {
  await using atlas = await stage({ loggedIn: true })
  const { server } = atlas
  const { port } = new URL(server.url)
  server.forget()
  for (const url of [
    `http://localhost:${port}`,
    `https://127.0.0.1:${port}`,
    `http://127.0.0.2:${port}`,
    'http://127.0.0.1:9',
  ]) {
    const { status, stderr } = await atlas.run(['api', '/auth/me', '--json', '--api-url', url])
    expect({ url, status, code: codeIn(stderr) }).toEqual({ url, status: 4, code: 'not_logged_in' })
  }
  expect(server.log()).toEqual([])
})

describe('paths of atlas api', () => {
  const ELSEWHERE: [name: string, url: (host: string) => string][] = [
    ['an absolute URL', host => `http://${host}/api/v1/auth/me`],
    ['an absolute URL in capitals', host => `HTTP://${host}/api/v1/auth/me`],
    ['another scheme', host => `https://${host}/x`],
    ['an unknown scheme', () => 'gopher://127.0.0.1/x'],
    ['a file', () => 'file:///etc/passwd'],
    ['data', () => 'data:text/plain,x'],
    ['a host without a scheme', host => `//${host}/x`],
    ['a host behind backslashes', host => `http:\\\\${host}\\x`],
    ['a host behind a slash and a backslash', host => `http:/\\${host}/x`],
    ['a host behind three slashes', host => `///${host}/x`],
    ['a host behind a tab and slashes', host => `\t//${host}/x`],
  ]
  test.each(ELSEWHERE)('origin: api sends nothing to %s', async (_, url) => {
    await using elsewhere = await startRawServer(socket => socket.end())
    await using atlas = await stage({ loggedIn: true })
    const { server } = atlas
    const target = url(`127.0.0.1:${elsewhere.port}`)
    const runs = [
      await atlas.run(['api', target, '--json']),
      await atlas.run(['api', target, '--json'], {
        env: { ATLAS_API_URL: server.apiRoot, ATLAS_ACCESS_TOKEN: 'abc' },
      }),
    ]
    expect(runs.map(({ status, stderr }) => [status, codeIn(stderr)])).toEqual([
      [2, 'usage'],
      [2, 'usage'],
    ])
    expect({ here: server.log(), there: elsewhere.connections }).toEqual({ here: [], there: 0 })
  })

  const HERE: [given: string, requested: string][] = [
    ['../../health', '/health'],
    ['/../../health', '/health'],
    ['%2e%2e/%2E%2e/health', '/health'],
    ['../../../../../../health', '/health'],
    ['/\\attacker.example/x', '/api/v1//attacker.example/x'],
    ['\\\\attacker.example\\x', '/api/v1///attacker.example/x'],
    ['@attacker.example/x', '/api/v1/@attacker.example/x'],
    [':80@attacker.example/x', '/api/v1/:80@attacker.example/x'],
    ['.attacker.example', '/api/v1/.attacker.example'],
    ['?next=http://attacker.example', '/api/v1/?next=http://attacker.example'],
    ['/x#@attacker.example', '/api/v1/x'],
  ]
  test.each(HERE)('origin: api %j reaches only the configured server', async (given, requested) => {
    await using atlas = await stage({ loggedIn: true })
    await atlas.run(['api', given])
    expect(atlas.server.log()).toEqual([`GET ${requested}`])
  })
})

describe('a user and a password in a URL', () => {
  const PLACES: [name: string, args: string[], env?: Record<string, string>][] = [
    ['in ATLAS_API_URL', ['auth', 'status'], { ATLAS_API_URL: 'https://ada:Canary-7421@atlas.example.com' }],
    ['of --api-url', ['auth', 'status', '--api-url', 'https://ada:Canary-7421@atlas.example.com']],
    [
      'of --api-url, the password alone',
      ['auth', 'status', '--api-url', 'https://:Canary-7421@atlas.example.com'],
    ],
    [
      'of --api-url, escaped',
      ['auth', 'status', '--api-url', 'https://ada%3ACanary-7421%40@atlas.example.com'],
    ],
    ['in a path of api', ['api', 'http://ada:Canary-7421@127.0.0.1:9/x', '--api-url', 'http://127.0.0.1:9']],
    [
      'in a path of api to another server',
      ['api', 'http://ada:Canary-7421@127.0.0.2:9/x', '--api-url', 'http://127.0.0.1:9'],
    ],
    [
      'in a path of api without a scheme',
      ['api', '//ada:Canary-7421@127.0.0.1:9/x', '--api-url', 'http://127.0.0.1:9'],
    ],
  ]
  test.each(
    PLACES,
  )('origin: a user and password %s are refused and not repeated', async (_, args, env = {}) => {
    using sandbox = createSandbox()
    const { status, stdout, stderr } = await sandbox.run([...args, '--json'], { env })
    expect({ status, stdout, code: codeIn(stderr), repeated: stderr.includes('Canary') }).toEqual({
      status: 2,
      stdout: '',
      code: 'usage',
      repeated: false,
    })
  })
})

describe('plain http', () => {
  const FAR = [
    'http://atlas.example.com',
    'http://192.0.2.1',
    'http://10.0.0.1:8000',
    'http://[2001:db8::1]',
    'http://[::ffff:192.0.2.1]',
    'http://localhost.example.com',
    'http://127.0.0.1.example.com',
    'http://xn--lcalhost-13a.example.com',
    'http://localhost.',
  ]
  test.each(FAR)('plain http: to %s is refused by every command that would send something', async url => {
    using sandbox = createSandbox()
    const commands = [LOGIN, ['auth', 'status'], ['auth', 'token'], ['auth', 'refresh'], ['api', '/auth/me']]
    const runs = await Promise.all(
      commands.map(args =>
        sandbox.run([...args, '--json'], { input: 'a password\n', env: { ATLAS_API_URL: url } }),
      ),
    )
    expect(runs.map(({ status, stdout, stderr }) => [status, stdout, codeIn(stderr)])).toEqual(
      commands.map(() => [2, '', 'insecure_url']),
    )
    const withToken = { ATLAS_API_URL: url, ATLAS_ACCESS_TOKEN: 'abc' }
    expect(codeIn((await sandbox.run(['api', '/x', '--json'], { env: withToken })).stderr)).toBe(
      'insecure_url',
    )
  })

  test('plain http: to this machine is allowed however it is written', async () => {
    await using server = await startAtlasServer()
    const { port } = new URL(server.url)
    using sandbox = createSandbox()
    const numbers = ['127.0.0.1', '127.1', '2130706433', '0x7f.1', '0.0.0.0', '[::ffff:127.0.0.1]']
    const hosts = ['localhost', 'LOCALHOST', 'atlas.localhost', ...numbers]
    for (const host of hosts) {
      const env = { ATLAS_API_URL: `http://${host}:${port}/api/v1`, ATLAS_ACCESS_TOKEN: 'abc' }
      expect({ host, status: (await sandbox.run(['api', '/auth/me'], { env })).status }).toEqual({
        host,
        status: 4,
      })
    }
    expect(server.log()).toEqual(hosts.map(() => 'GET /api/v1/auth/me'))
    expect(server.requests[2]?.headers['host']).toBe(`atlas.localhost:${port}`)
  })
})

describe('edited files', () => {
  const configFile = ({ configFolder }: Machine): string => path.join(configFolder, 'config.json')
  const recordFile = ({ configFolder }: Machine): string => {
    const folder = path.join(configFolder, 'credentials')
    return path.join(folder, fs.readdirSync(folder).find(name => name.endsWith('.json')) ?? '')
  }
  const edit = (file: string, from: string, to: string): void => {
    const text = fs.readFileSync(file, 'utf8')
    expect(text).toContain(from)
    fs.writeFileSync(file, text.replaceAll(from, to))
  }

  test('edited config: nobody is logged in to the server that was put there', async () => {
    await using other = await startAtlasServer()
    await using atlas = await stage({ loggedIn: true })
    edit(configFile(atlas), atlas.server.url, other.url)
    expect(await askEverything(atlas)).toEqual(NOT_LOGGED_IN)
    expect(credentialsAt(other)).toEqual([])
  })

  const CONFIGURED: [url: string, code: string][] = [
    ['http://atlas.example.com', 'insecure_url'],
    ['http://ada:Canary-7421@127.0.0.1', 'usage'],
    ['file:///etc', 'usage'],
    ['javascript:alert(1)', 'usage'],
    ['', 'usage'],
  ]
  test.each(CONFIGURED)('edited config: the server %j is refused', async (url, code) => {
    await using atlas = await stage({ loggedIn: true })
    edit(configFile(atlas), atlas.server.url, url)
    const { status, stdout, stderr } = await atlas.run(['api', '/auth/me', '--json'])
    expect({ status, stdout, code: codeIn(stderr), repeated: stderr.includes('Canary') }).toEqual({
      status: 2,
      stdout: '',
      code,
      repeated: false,
    })
  })

  const RECORDS: [name: string, edited: (record: Record<string, unknown>, other: string) => object][] = [
    ['API root leads elsewhere', (record, other) => ({ ...record, api_root: `${other}/api/v1` })],
    ['account is another', (record, other) => ({ ...record, account: `default@${other}` })],
    ['API root is not a URL', record => ({ ...record, api_root: 'x' })],
    [
      'API root has a user',
      record => ({ ...record, api_root: String(record['api_root']).replace('://', '://ada@') }),
    ],
  ]
  test.each(RECORDS)('edited record: nothing is sent when its %s', async (_, edited) => {
    await using other = await startAtlasServer()
    await using atlas = await stage({ loggedIn: true })
    const { server } = atlas
    const file = recordFile(atlas)
    const record: Record<string, unknown> = JSON.parse(fs.readFileSync(file, 'utf8'))
    fs.writeFileSync(file, JSON.stringify(edited(record, other.url)))
    server.forget()
    const before = fs.readFileSync(file, 'utf8')
    for (const args of [
      ['api', '/auth/me'],
      ['auth', 'refresh'],
      ['auth', 'status'],
    ]) {
      const { status, stderr } = await atlas.run([...args, '--json'])
      expect({ args, status, code: codeIn(stderr) }).toEqual({ args, status: 6, code: 'store_unavailable' })
    }
    expect({
      here: server.log(),
      there: other.log(),
      same: fs.readFileSync(file, 'utf8') === before,
    }).toEqual({
      here: [],
      there: [],
      same: true,
    })
  })

  test('edited record: nothing is sent when it was copied from another server’s', async () => {
    await using other = await startAtlasServer()
    await using atlas = await stage({ loggedIn: true })
    const { server } = atlas
    const first = recordFile(atlas)
    const record = fs.readFileSync(first)
    fs.rmSync(first)
    await atlas.logIn({ server: other })
    fs.writeFileSync(recordFile(atlas), record)
    server.forget()
    other.forget()
    const { status, stderr } = await atlas.run(['api', '/auth/me', '--json'], {
      env: { ATLAS_API_URL: other.url },
    })
    expect({ status, code: codeIn(stderr) }).toEqual({ status: 6, code: 'store_unavailable' })
    expect({ here: server.log(), there: other.log() }).toEqual({ here: [], there: [] })
  })
})

test('origin: api cannot replace the headers that atlas sets', async () => {
  await using atlas = await stage({ loggedIn: true })
  for (const header of [
    'Host: attacker.example',
    'authorization: Bearer x',
    'Content-Length: 1',
    'X: a\r\nHost: b',
  ]) {
    expect((await atlas.run(['api', '/auth/me', '-H', header])).status).toBe(2)
  }
  expect(atlas.server.log()).toEqual([])
})
