import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { type AtlasCode, EXIT_CODE } from '../lib/errors.ts'
import { type AtlasServer, answer, startAtlasServer } from './support/atlas-server.ts'
import {
  createSandbox,
  LOGIN,
  type Machine,
  type Outcome,
  outcomeOf,
  type RunOptions,
} from './support/binary.ts'
import { inProcess } from './support/in-process.ts'
import { stage } from './support/stage.ts'

/** See that a failure is told as scripts are promised: one object on standard error, nothing else anywhere. */
function expectError({ status, stdout, stderr }: Outcome, code: AtlasCode): void {
  const { error, ...others } = JSON.parse(stderr)
  expect({
    status,
    stdout,
    lines: stderr.split('\n').length,
    others,
    keys: Object.keys(error),
    code: error.code,
  }).toEqual({
    status: EXIT_CODE[code],
    stdout: '',
    lines: 2,
    others: {},
    keys: ['code', 'message', 'hint'],
    code,
  })
  expect(error.message).toMatch(/^\S.*\S$/)
  if (error.hint !== null) expect(error.hint).toMatch(/^\S.*\S$/)
}

const COMMANDS: string[][] = [
  ['auth', 'login'],
  ['auth', 'logout'],
  ['auth', 'status'],
  ['auth', 'token'],
  ['auth', 'refresh'],
  ['auth', 'list'],
  ['auth', 'switch', 'x'],
  ['api', '/x'],
  ['doctor'],
  ['completion', 'bash'],
]
/** Those that need the stored session to do anything. */
const ON_SESSION = COMMANDS.filter(([, second]) =>
  ['logout', 'status', 'token', 'refresh', '/x'].includes(second ?? ''),
)
describe('usage errors', () => {
  test.each(
    COMMANDS,
  )('errors: a usage error is one JSON object wherever --json stands: atlas %s %s', async (...command) => {
    using sandbox = createSandbox()
    const words = command.filter(word => word !== undefined)
    const ways = [
      ['--json', ...words, '--bogus'],
      [...words, '--bogus', '--json'],
      [...words.slice(0, 1), '--json', ...words.slice(1), '--bogus'],
    ]
    for (const args of ways) expectError(await sandbox.run(args), 'usage')
  })
})

describe('other errors', () => {
  test.each(
    ON_SESSION,
  )('errors: a store that others can read is one JSON object: atlas %s %s', async (...command) => {
    await using atlas = await inProcess({ loggedIn: true })
    const folder = path.join(atlas.configFolder, 'credentials')
    for (const file of fs.readdirSync(folder).filter(name => name.endsWith('.json')))
      fs.chmodSync(path.join(folder, file), 0o644)
    expectError(await atlas.run([...command, '--json']), 'store_denied')
  })

  test.each([
    ...ON_SESSION,
    LOGIN,
  ])('errors: a missing keychain is one JSON object: atlas %s %s', async (...command) => {
    if (process.platform !== 'linux') return
    using sandbox = createSandbox({ ATLAS_API_URL: 'http://127.0.0.1:1' })
    expectError(await sandbox.run([...command, '--json'], { input: 'x' }), 'store_unavailable')
  })

  test.each([
    ...ON_SESSION.filter(([, word]) => word !== 'logout'),
    LOGIN,
  ])('errors: plain http to another machine is one JSON object: atlas %s %s', async (...command) => {
    using sandbox = createSandbox({ ATLAS_API_URL: 'http://atlas.example.com' })
    expectError(await sandbox.run([...command, '--json']), 'insecure_url')
  })

  type Way = (sandbox: Pick<Machine, 'run'>, server: AtlasServer) => Promise<Outcome> | Outcome
  const run =
    (args: string[], options?: RunOptions): Way =>
    sandbox =>
      sandbox.run([...args, '--json'], options)
  const logInAgainst =
    (status: number, body: unknown, headers?: Record<string, string>): Way =>
    (sandbox, server) => {
      server.fault('POST /auth/login', response => answer(response, status, body, headers))
      return sandbox.run([...LOGIN, '--json'], { input: 'x' })
    }
  const CAUSES: [code: AtlasCode, cause: string, way: Way][] = [
    [
      'api_error',
      'a status of 404 whose body is empty',
      (sandbox, server) => {
        server.fault('GET /x', response => void response.writeHead(404).end())
        return sandbox.run(['api', '/x', '--json'])
      },
    ],
    ['ttl_unavailable', 'a token that lives too short', run(['auth', 'token', '--min-ttl', '9h'])],
    [
      'usage',
      'a ready-made token that is to be refreshed',
      run(['auth', 'refresh'], { env: { ATLAS_ACCESS_TOKEN: 'x' } }),
    ],
    ['usage', 'a profile that does not exist', run(['auth', 'switch', 'nobody'])],
    ['input_required', 'a password that cannot be asked for', run(['auth', 'login'])],
    ['not_logged_in', 'no session, for a token', run(['auth', 'token'], { env: { ATLAS_PROFILE: 'other' } })],
    [
      'not_logged_in',
      'no session, for a refresh',
      run(['auth', 'refresh'], { env: { ATLAS_PROFILE: 'other' } }),
    ],
    ['not_logged_in', 'no session, for a request', run(['api', '/x'], { env: { ATLAS_PROFILE: 'other' } })],
    [
      'session_expired',
      'a session that the server ends',
      (sandbox, server) => {
        server.revokeSessions()
        return sandbox.run(['auth', 'refresh', '--json'])
      },
    ],
    ['bad_credentials', 'a wrong password', run(LOGIN, { input: 'wrong' })],
    [
      'token_rejected',
      'a ready-made token that is refused',
      (sandbox, server) => {
        server.fault('GET /x', response => void response.writeHead(401).end())
        return sandbox.run(['api', '/x', '--json'], {
          env: { ATLAS_ACCESS_TOKEN: 'x', ATLAS_API_URL: server.apiRoot },
        })
      },
    ],
    [
      'network',
      'a server that is not there',
      run(LOGIN, { input: 'x', env: { ATLAS_API_URL: 'http://127.0.0.1:1' } }),
    ],
    [
      'timeout',
      'a server that does not answer',
      (sandbox, server) => {
        server.fault('GET /x', () => {})
        return sandbox.run(['api', '/x', '--json', '--timeout', '0.3'])
      },
    ],
    ['rate_limited', 'one login too many', logInAgainst(429, {}, { 'retry-after': '60' })],
    ['server_error', 'a server in trouble', logInAgainst(503, {})],
    ['bad_response', 'an answer that is not from Atlas', logInAgainst(200, [])],
    ['api_error', 'an e-mail that the server does not take', logInAgainst(422, { detail: [{ msg: 'no' }] })],
  ]
  test.each(CAUSES)('errors: %s for %s', async (code, _, way) => {
    await using atlas = await inProcess()
    const { server } = atlas
    await atlas.logIn()
    expectError(await way(atlas, server), code)
  })

  test('errors: a signal is one JSON object with its own exit status', async () => {
    await using atlas = await stage({
      store: 'unset',
      withApiPath: true,
      env: { ATLAS_ACCESS_TOKEN: 'token' },
    })
    const asked = Promise.withResolvers<void>()
    atlas.server.fault('GET /x', () => asked.resolve())
    const child = atlas.start(['api', '/x', '--json'], { input: '' })
    await asked.promise
    child.kill('SIGTERM')
    expect(await outcomeOf(child)).toEqual({
      status: 143,
      stdout: '',
      stderr: '{"error":{"code":"cancelled","message":"Ended by SIGTERM.","hint":null}}\n',
    })
  })
})

describe('reports', () => {
  const REPORTS: [args: string[], status: number][] = [
    [['auth', 'status'], 5],
    [['auth', 'status', '--profile', 'other'], 4],
    [['doctor'], 1],
  ]
  test.each(
    REPORTS,
  )('errors: a report that fails prints no error object beside it: atlas %j', async (args, status) => {
    const server = await startAtlasServer()
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url })
    await sandbox.logIn(server)
    await server[Symbol.asyncDispose]()
    const outcome = await sandbox.run([...args, '--json'])
    expect({ status: outcome.status, stderr: outcome.stderr }).toEqual({ status, stderr: '' })
    expect(typeof JSON.parse(outcome.stdout)).toBe('object')
  })
})
