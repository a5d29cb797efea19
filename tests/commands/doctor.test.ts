import { Database } from 'bun:sqlite'
import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { lockPath } from '../../lib/files/lock.ts'
import manifest from '../../package.json' with { type: 'json' }
import type { AtlasServer } from '../support/atlas-server.ts'
import { createSandbox, type Machine, type Outcome } from '../support/binary.ts'
import { certificateTest, createAuthority } from '../support/certificates.ts'
import { inProcess } from '../support/in-process.ts'
import { openTerminal } from '../support/pseudo-terminal.ts'
import { startRawServer } from '../support/raw-server.ts'
import { stage } from '../support/stage.ts'

interface Check {
  readonly name: string
  readonly status: string
  readonly detail: string
  readonly fix: string | null
}

/** The report, with times that differ from run to run made equal. */
function reportOf({ stdout }: Outcome): { ok: boolean; checks: Check[] } {
  return JSON.parse(
    stdout
      .replace(/\d+ ms/g, 'N ms')
      .replace(/\d{4}-\d\d-\d\d \d\d:\d\d/g, 'DATE')
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\dZ/g, 'NOW'),
  )
}

const check = (name: string, status: string, detail: string, fix: string | null = null): Check => ({
  name,
  status,
  detail,
  fix,
})

const VERSION = check('version', 'ok', `atlas ${manifest.version} on ${process.platform}-${process.arch}`)
const SETTINGS = (server: string, from: string, profileFrom = 'default'): string =>
  [
    `server ${server} (${from})`,
    `profile default (${profileFrom})`,
    'store file (ATLAS_CREDENTIAL_STORE)',
    'timeout 30 s (default)',
    'keychain wait 3 s (default)',
    'plain http allowed no (default)',
    'questions allowed no (default)',
    'ready-made token none (default)',
    'folder ~/.config/atlas (default)',
    'diagnostics no (default)',
  ].join('\n')
const TLS = check('tls', 'ok', 'Plain http, which does not leave this machine.')
const STORE = check(
  'store',
  'ok',
  'A probe was written to ~/.config/atlas/credentials, read and deleted in N ms.\nWhat is there is plain text, readable by you alone.',
)
const NOT_LOGGED_IN = check('credentials', 'warn', 'Not logged in.', 'Log in with: atlas auth login')
const LOCK = check('lock', 'ok', 'Taken and released in N ms, in ~/.config/atlas/credentials.')
const PROXY = check('proxy', 'ok', 'No proxy is used.')
const SYNC = check('sync', 'ok', '~/.claude/CLAUDE.md can be written.\nNever synced.')

const doctor = (sandbox: Pick<Machine, 'run'>, env: Record<string, string> = {}): Promise<Outcome> =>
  sandbox.run(['doctor', '--json'], { env })

/** The first check that failed: what the report tells people to begin with. */
const firstFailure = (outcome: Outcome): Check | undefined =>
  reportOf(outcome).checks.find(({ status }) => status === 'fail')

describe('a healthy machine', () => {
  test('doctor: every check passes in two seconds, and no secret is printed', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { server } = atlas
    const startedAt = performance.now()
    const outcome = await doctor(atlas)
    expect(performance.now() - startedAt).toBeLessThan(2_000)
    expect({ status: outcome.status, stderr: outcome.stderr, report: reportOf(outcome) }).toEqual({
      status: 0,
      stderr: '',
      report: {
        ok: true,
        checks: [
          VERSION,
          check(
            'config',
            'ok',
            `It can be used.\n${SETTINGS(server.url, '~/.config/atlas/config.json', '~/.config/atlas/config.json')}`,
          ),
          check('server', 'ok', `${server.apiRoot} answers, its health check in N ms.`),
          TLS,
          check('clock', 'ok', 'It agrees with the server’s.'),
          STORE,
          check(
            'credentials',
            'ok',
            'Logged in as a…@example.com.\nThe server accepts it.\nThe session ends DATE (in 7 days).',
          ),
          LOCK,
          PROXY,
          SYNC,
        ],
      },
    })
    for (const secret of [server.lastTokens.access, server.lastTokens.refresh, 'ada@', atlas.home])
      expect(outcome.stdout).not.toContain(secret)
    expect(server.log().sort()).toEqual(['GET /api/v1/auth/me', 'GET /api/v1/auth/me', 'GET /health'])
  })

  test('doctor: prints one line a check, with details below it', async () => {
    await using atlas = await inProcess()
    const { server } = atlas
    const { status, stdout } = await atlas.run(['doctor'])
    const lines = stdout.split('\n')
    expect({ status, first: lines.slice(0, 3), last: lines.slice(-3) }).toEqual({
      status: 0,
      first: [
        `ok    version      ${VERSION.detail}`,
        'ok    config       It can be used.',
        `                   server ${server.url} (ATLAS_API_URL)`,
      ],
      last: ['                   Never synced.', 'Nothing is broken.', ''],
    })
    expect(lines).toContain('warn  credentials  Not logged in.')
    expect(lines).toContain('                   Next: Log in with: atlas auth login')
  })

  test('doctor: colours its words on a terminal and wraps long lines', async () => {
    await using atlas = await stage()
    const terminal = openTerminal(atlas, ['doctor'], {}, { columns: 60 })
    expect(await terminal.ended()).toBe(0)
    expect(terminal.transcript).toContain('\u001b[32mok\u001b[39m    version')
    expect(terminal.transcript).toContain('\u001b[33mwarn\u001b[39m  credentials')
    const report = Bun.stripANSI(terminal.transcript).split('speed ')[0] ?? ''
    const breakable = report.split('\r\n').filter(line => line.slice(19).includes(' '))
    expect(Math.max(...breakable.map(line => line.length))).toBeLessThanOrEqual(60)
  })
})

describe('the cause of a failure', () => {
  test('doctor: names a server that is not running', async () => {
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: 'http://127.0.0.1:1' })
    const outcome = await doctor(sandbox)
    expect({ status: outcome.status, stderr: outcome.stderr, report: reportOf(outcome) }).toEqual({
      status: 1,
      stderr: '',
      report: {
        ok: false,
        checks: [
          VERSION,
          check('config', 'ok', `It can be used.\n${SETTINGS('http://127.0.0.1:1', 'ATLAS_API_URL')}`),
          check(
            'server',
            'fail',
            'http://127.0.0.1:1 could not be reached: connection refused.',
            'Is the server running? Another one is chosen with --api-url or ATLAS_API_URL.',
          ),
          TLS,
          check('clock', 'warn', 'Not checked: the server was not reached. Here it is NOW.'),
          STORE,
          NOT_LOGGED_IN,
          LOCK,
          PROXY,
          SYNC,
        ],
      },
    })
    expect((await sandbox.run(['doctor'])).stdout).toEndWith('\nOne thing is broken; begin with server.\n')
  })

  const noApi = (url: string, below: string, at: string): string =>
    `No Atlas API was found at ${url}: ${url}/api/v1/auth/me answered ${below}; ${url}/auth/me answered ${at}.`

  const PATHS: [what: string, content: (server: AtlasServer) => string][] = [
    ['a wrong path', server => `${server.url}/wrong`],
    ['an extra path', server => `${server.url}/app/login`],
  ]
  test.each(PATHS)('doctor: names %s in the server URL', async (_, urlOf) => {
    await using atlas = await inProcess()
    const { server } = atlas
    expect(firstFailure(await doctor(atlas, { ATLAS_API_URL: urlOf(server) }))).toEqual(
      check(
        'server',
        'fail',
        noApi(urlOf(server).replace('/api/v1', ''), '200 with a web page', '200 with a web page'),
        `Check the server URL (--api-url or ATLAS_API_URL). Most servers have no path: ${server.url}`,
      ),
    )
  })

  test('doctor: tells a web page from a server that is down behind its proxy', async () => {
    const answers: [status: number, type: string][] = [
      [200, 'text/html'],
      [503, 'application/json'],
    ]
    for (const [status, type] of answers) {
      const fetch = () => new Response('{}', { status, headers: { 'content-type': type } })
      using server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch })
      using sandbox = createSandbox()
      expect(firstFailure(await doctor(sandbox, { ATLAS_API_URL: server.url.origin }))).toEqual(
        status === 503
          ? check('server', 'fail', noApi(server.url.origin, '503', '503'), 'Try again later.')
          : check(
              'server',
              'fail',
              noApi(server.url.origin, '200 with a web page', '200 with a web page'),
              'Check the server URL (--api-url or ATLAS_API_URL).',
            ),
      )
    }
  })

  const CERTIFICATES: [what: string, authority: boolean, server: boolean][] = [
    ['an expired certificate', false, true],
    ['an expired authority', true, false],
  ]
  certificateTest.each(CERTIFICATES)('doctor: names %s', async (_, authorityExpired, serverExpired) => {
    using authority = createAuthority({ expired: authorityExpired })
    await using server = await startRawServer(() => {}, { tls: authority.issue({ expired: serverExpired }) })
    using sandbox = createSandbox()
    const url = `https://localhost:${server.port}`
    const outcome = await doctor(sandbox, { ATLAS_API_URL: url, NODE_EXTRA_CA_CERTS: authority.file })
    expect(firstFailure(outcome)).toEqual(
      check(
        'tls',
        'fail',
        `No trusted connection to ${url}: its certificate, or that of the authority behind it, has expired.`,
        'Check the clock of this machine; where it is right, the server needs another certificate.',
      ),
    )
    expect(reportOf(outcome).checks.filter(({ status }) => status === 'fail')).toHaveLength(1)
  })

  test('doctor: an old date of a cache, with its age, is no wrong clock', async () => {
    using server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: () =>
        Response.json(
          { detail: 'Not authenticated' },
          { status: 401, headers: { date: new Date(Date.now() - 3_600_000).toUTCString(), age: '3600' } },
        ),
    })
    using sandbox = createSandbox()
    const { checks } = reportOf(await doctor(sandbox, { ATLAS_API_URL: server.url.origin }))
    expect(checks.find(({ name }) => name === 'clock')).toEqual(
      check('clock', 'ok', 'It agrees with the server’s.'),
    )
  })

  const SKEWS: [aheadS: number, status: string, said: string][] = [
    [3600, 'fail', 'The clock of this machine is 60 minutes behind the server’s.'],
    [-7200, 'fail', 'The clock of this machine is 2 hours ahead of the server’s.'],
    [150, 'warn', 'The clock of this machine is 2 minutes behind the server’s.'],
  ]
  test.each(SKEWS)('doctor: names a clock that differs by %d s', async (aheadS, status, said) => {
    using server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: ({ url }) =>
        Response.json(
          { detail: 'Not authenticated' },
          {
            status: url.endsWith('/health') ? 200 : 401,
            headers: { date: new Date(Date.now() + aheadS * 1000).toUTCString() },
          },
        ),
    })
    using sandbox = createSandbox()
    const { checks } = reportOf(await doctor(sandbox, { ATLAS_API_URL: server.url.origin }))
    expect(checks.filter(({ status: found }) => found !== 'ok')).toEqual([
      check('clock', status, said, 'Set the clock, or switch on its synchronisation.'),
      NOT_LOGGED_IN,
    ])
  })

  test.skipIf(process.platform !== 'linux')('doctor: names a missing keychain', async () => {
    await using atlas = await stage({ store: 'unset' })
    const { checks } = reportOf(await doctor(atlas))
    expect(checks.filter(({ status }) => status !== 'ok')).toEqual([
      check(
        'store',
        'fail',
        'The Secret Service keychain cannot be used (there is no D-Bus session, as over ssh and in containers).',
        'Start one (gnome-keyring, KWallet, KeePassXC), use "atlas auth login --store file" (plain text, readable by you alone), or set ATLAS_ACCESS_TOKEN.',
      ),
      check('credentials', 'warn', 'Not checked: the store cannot be used; see store.'),
    ])
  })

  test.skipIf(process.platform === 'win32')('doctor: names a config folder that is read-only', async () => {
    await using atlas = await stage({ unprivileged: true })
    const { server } = atlas
    fs.mkdirSync(atlas.configFolder, { recursive: true })
    for (const folder of [atlas.configFolder, path.dirname(atlas.configFolder)]) fs.chmodSync(folder, 0o555)
    const outcome = await doctor(atlas)
    for (const folder of [atlas.configFolder, path.dirname(atlas.configFolder)]) fs.chmodSync(folder, 0o755)
    expect(outcome.stderr).toBe('')
    expect(firstFailure(outcome)).toEqual(
      check(
        'config',
        'fail',
        `The config folder ~/.config/atlas cannot be written, so a login cannot be remembered: permission denied, as ~/.config belongs to root.\n${SETTINGS(server.url, 'ATLAS_API_URL')}`,
        'If that was not meant, fix it with: sudo chown -R 65534 ~/.config',
      ),
    )
  })

  test.skipIf(process.platform === 'win32')(
    'doctor: names a config folder that others can change',
    async () => {
      await using atlas = await inProcess()
      await atlas.logIn()
      fs.chmodSync(atlas.configFolder, 0o775)
      const outcome = await doctor(atlas)
      expect({ status: outcome.status, failure: firstFailure(outcome) }).toEqual({
        status: 1,
        failure: check(
          'lock',
          'fail',
          'The folder ~/.config/atlas, where atlas keeps a lock, cannot be used: others can change it.',
          'Fix it with: chmod go-w ~/.config/atlas',
        ),
      })
    },
  )

  test('doctor: names a file in place of the config folder', async () => {
    using sandbox = createSandbox({ ATLAS_API_URL: 'http://127.0.0.1:1', ATLAS_CREDENTIAL_STORE: 'file' })
    fs.mkdirSync(path.dirname(sandbox.configFolder))
    fs.writeFileSync(sandbox.configFolder, '')
    expect(firstFailure(await doctor(sandbox))?.detail).toStartWith(
      'The config folder ~/.config/atlas cannot be written, so a login cannot be remembered: a file is in the place of its folder.',
    )
  })

  test('doctor: sends nothing over plain http, and checks everything else', async () => {
    using sandbox = createSandbox()
    const unchecked = 'Not checked: nothing is sent over plain http; see config.'
    const { checks } = reportOf(await doctor(sandbox, { ATLAS_API_URL: 'http://atlas.example.com' }))
    expect(checks).toEqual([
      VERSION,
      check(
        'config',
        'fail',
        `Refusing to send credentials to http://atlas.example.com over plain http, where others on the network can read them.\n${SETTINGS('http://atlas.example.com', 'ATLAS_API_URL')}`,
        'Use https, or pass --allow-http (ATLAS_ALLOW_HTTP=1) if you trust the network.',
      ),
      check('server', 'warn', unchecked),
      check('tls', 'warn', unchecked),
      check('clock', 'warn', unchecked),
      STORE,
      NOT_LOGGED_IN,
      LOCK,
      PROXY,
      SYNC,
    ])
  })

  test('doctor: names an invalid setting and skips the other checks', async () => {
    using sandbox = createSandbox()
    const outcome = await doctor(sandbox, { ATLAS_TIMEOUT: 'soon' })
    const unchecked = (name: string): Check =>
      check(name, 'warn', 'Not checked: the configuration cannot be used; see config.')
    expect({ ...outcome, stdout: reportOf(outcome) }).toEqual({
      status: 1,
      stderr: '',
      stdout: {
        ok: false,
        checks: [
          VERSION,
          check(
            'config',
            'fail',
            'ATLAS_TIMEOUT is "soon", which is not a time in seconds.',
            'Give a number above 0 and up to 86400, such as 30 or 2.5.',
          ),
          ...['server', 'tls', 'clock', 'store', 'credentials', 'lock', 'proxy', 'sync'].map(unchecked),
        ],
      },
    })
  })
})

describe('waits that are bounded', () => {
  const MAX_MS = 12_000

  test.concurrent('doctor: gives up on a silent server', async () => {
    await using server = await startRawServer(() => {})
    using sandbox = createSandbox({
      ATLAS_CREDENTIAL_STORE: 'file',
      ATLAS_API_URL: `http://127.0.0.1:${server.port}`,
    })
    const startedAt = performance.now()
    expect(firstFailure(await doctor(sandbox))).toMatchObject({
      name: 'server',
      detail: expect.stringMatching(/did not answer within [\d.]+ s\.$/),
    })
    expect(performance.now() - startedAt).toBeLessThan(MAX_MS)
  })

  test.concurrent('doctor: gives up on a silent keychain, even on a terminal', async () => {
    await using atlas = await stage({ store: 'unset' })
    const socket = path.join(atlas.home, 'bus')
    const silent = net.createServer(() => {}).listen(socket)
    const startedAt = performance.now()
    const terminal = openTerminal(atlas, ['doctor', '--json'], {
      DBUS_SESSION_BUS_ADDRESS: `unix:path=${socket}`,
      ATLAS_API_URL: atlas.server.url,
    })
    await terminal.see('did not answer within 5 s.')
    expect(await terminal.ended()).toBe(1)
    expect(performance.now() - startedAt).toBeLessThan(MAX_MS)
    silent.close()
  }, 20_000)

  test.concurrent('doctor: gives up on a lock that another process holds', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { server } = atlas
    const file = lockPath(path.join(atlas.configFolder, 'credentials'), `default@${server.url}`)
    using held = new Database(file)
    held.run('BEGIN EXCLUSIVE')
    const { checks } = reportOf(await doctor(atlas))
    // The wait began with that for the server, a moment earlier.
    const told = checks.map(one => ({ ...one, detail: one.detail.replace(/ 4\.\d s\.$/, ' 5 s.') }))
    expect(told.filter(({ status }) => status !== 'ok')).toEqual([
      check('store', 'warn', 'Not checked: without the lock nothing is written; see lock.'),
      check('credentials', 'warn', 'Not checked: the store cannot be used; see store.'),
      check(
        'lock',
        'fail',
        `Another atlas process has held the lock ${file.replace(atlas.home, '~')} for more than 5 s.`,
        'Wait for it or end it, then try again.',
      ),
    ])
  })
})

test('doctor: says whether a sync can write, and what the last one took', async () => {
  await using atlas = await inProcess({ loggedIn: true })
  const check = async () => {
    const { stdout } = await atlas.run(['doctor', '--json'])
    return JSON.parse(stdout).checks.find(({ name }: { name: string }) => name === 'sync')
  }
  expect(await check()).toEqual({
    name: 'sync',
    status: 'ok',
    detail: '~/.claude/CLAUDE.md can be written.\nNever synced.',
    fix: null,
  })
  await atlas.run(['sync'])
  const { detail } = await check()
  expect(detail).toMatch(
    /^~\/\.claude\/CLAUDE\.md can be written\.\nLast in sync at commit 0123456, \d{4}-\d\d-\d\d \d\d:\d\d \(.*\)\.$/,
  )
  fs.rmSync(atlas.claude.folder, { recursive: true })
  fs.writeFileSync(atlas.claude.folder, 'in the way')
  expect(await check()).toEqual({
    name: 'sync',
    status: 'fail',
    detail: '~/.claude/CLAUDE.md cannot be used: a file is in the place of its folder.',
    fix: 'Fix this, or choose another folder with --dir.',
  })
})
