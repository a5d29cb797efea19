import { expect, test } from 'bun:test'
import { answer, startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox, type Machine } from '../support/binary.ts'
import { secretServiceTest } from '../support/needs.ts'
import { startSecretService } from '../support/secret-service.ts'
import { stage } from '../support/stage.ts'

/** The lines of diagnostics, with what differs from run to run made equal. */
const linesOf = (stderr: string, sandbox: Machine, url: string): string[] =>
  stderr
    .replaceAll(sandbox.home, '~')
    .replaceAll(url, 'SERVER')
    .replace(/\b\d+(\.\d)? ms\b/g, 'N ms')
    .replace(/[0-9a-f]{32}/g, 'HASH')
    .trimEnd()
    .split('\n')

const SETTINGS = (
  server: string,
  rest: Partial<Record<'profile' | 'timeout' | 'debug', string>> = {},
): string[] => [
  `debug: config server: SERVER (${server})`,
  `debug: config profile: ${rest.profile ?? 'default (default)'}`,
  'debug: config store: file (ATLAS_CREDENTIAL_STORE)',
  `debug: config timeout: ${rest.timeout ?? '30 s (default)'}`,
  'debug: config keychain wait: 3 s (default)',
  'debug: config plain http allowed: no (default)',
  'debug: config questions allowed: no (default)',
  'debug: config ready-made token: none (default)',
  'debug: config folder: ~/.config/atlas (default)',
  `debug: config diagnostics: yes (${rest.debug ?? '--debug'})`,
]
const CONFIG_FILE = '~/.config/atlas/config.json'
const CREDENTIALS = '~/.config/atlas/credentials/HASH'

test('--debug prints the source of each value, each request, store operation and lock, and no secret', async () => {
  await using atlas = await stage({ rotate: true, loggedIn: true })
  const { server } = atlas
  const before = { ...server.lastTokens }
  server.expireAccessTokens()
  const outcome = await atlas.run(['api', '/echo?secret=1', '--debug', '--timeout', '7'], {
    env: { ATLAS_PROFILE: 'default' },
  })
  expect(outcome.status).toBe(0)
  const lines = linesOf(outcome.stderr, atlas, server.url)
  expect(lines.slice(0, 10)).toEqual(
    SETTINGS(CONFIG_FILE, { profile: 'default (ATLAS_PROFILE)', timeout: '7 s (--timeout)' }),
  )
  // The store's own steps may grow in number; requests and locks may not.
  expect(lines.slice(10).filter(line => !line.startsWith('debug: store'))).toEqual([
    'debug: http GET SERVER/api/v1/echo: 401 in N ms',
    `debug: lock ${CREDENTIALS}.lock: held after N ms`,
    'debug: http POST SERVER/api/v1/auth/refresh: 200 in N ms',
    'debug: http GET SERVER/api/v1/echo: 200 in N ms',
  ])
  const stored = lines.filter(line => line.startsWith('debug: store'))
  expect(
    stored.filter(
      line => !/^debug: store file: [a-z]+ ~\/\.config\/atlas\/credentials\/HASH\.json in N ms$/.test(line),
    ),
  ).toEqual([])
  expect(stored[0]).toBe(`debug: store file: read ${CREDENTIALS}.json in N ms`)
  for (const secret of [before.access, before.refresh, server.lastTokens.access, server.lastTokens.refresh])
    expect(outcome.stderr).not.toContain(secret)
})

test('ATLAS_DEBUG=1 does the same, and --debug may stand anywhere', async () => {
  await using atlas = await stage()
  const expected = (debug: string): string[] => [
    ...SETTINGS('ATLAS_API_URL', { debug }),
    `debug: store file: read ${CREDENTIALS}.json in N ms`,
    'Log in with: atlas auth login',
  ]
  const ways: [args: string[], env: Record<string, string>][] = [
    [['auth', 'status'], { ATLAS_DEBUG: '1' }],
    [['--debug', 'auth', 'status'], {}],
    [['auth', '--debug', 'status'], {}],
    [['auth', 'status', '--debug'], {}],
  ]
  for (const [args, env] of ways) {
    const { status, stderr } = await atlas.run(args, { env })
    expect({ status, lines: linesOf(stderr, atlas, atlas.server.url) }).toEqual({
      status: 4,
      lines: expected(env['ATLAS_DEBUG'] ? 'ATLAS_DEBUG' : '--debug'),
    })
  }
})

test('--debug prints the request id that the server gives, and why a request failed', async () => {
  await using atlas = await stage({ store: 'unset', withApiPath: true, env: { ATLAS_ACCESS_TOKEN: 'token' } })
  const { server } = atlas
  const requestLine = async (): Promise<string | undefined> =>
    linesOf((await atlas.run(['api', '/x', '--debug'])).stderr, atlas, server.url).find(line =>
      line.includes('http GET'),
    )
  server.fault('GET /x', response => answer(response, 200, {}, { 'x-request-id': 'a1-\u009b[2J' }), 1)
  expect(await requestLine()).toBe('debug: http GET SERVER/api/v1/x: 200 in N ms, request id a1-\\u009b[2J')
  server.fault('GET /x', response => answer(response, 200, {}, { 'x-request-id': 'for-token-1' }), 1)
  expect(await requestLine()).toBe('debug: http GET SERVER/api/v1/x: 200 in N ms, request id [hidden]')
  server.fault('GET /x', (_, __, socket) => void socket.destroy(), 1)
  expect(await requestLine()).toBe('debug: http GET SERVER/api/v1/x: network after N ms')
})

secretServiceTest('--debug names the account of each keychain operation', async () => {
  await using keychain = await startSecretService()
  await using server = await startAtlasServer()
  using sandbox = createSandbox({ ...keychain.env, ATLAS_API_URL: server.url })
  const { stderr } = await sandbox.run(['auth', 'status', '--debug'])
  expect(linesOf(stderr, sandbox, server.url)).toContain('debug: store keychain: get default@SERVER in N ms')
})
