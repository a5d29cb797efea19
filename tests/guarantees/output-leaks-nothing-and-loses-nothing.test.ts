import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { answer, type Fault, startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox, LOGIN, type Machine } from '../support/binary.ts'
import { forRun } from '../support/needs.ts'
import { openTerminal } from '../support/pseudo-terminal.ts'
import { startRawServer } from '../support/raw-server.ts'
import { stage } from '../support/stage.ts'
import { storeSession } from '../support/stored-session.ts'

/** All that can act on a terminal or make a text read as another, besides line breaks and tabs. */
const HARMFUL =
  /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]/u

const range = (from: number, to: number): string =>
  String.fromCodePoint(...Array.from({ length: to - from + 1 }, (_, index) => from + index))

/** One of each, between plain words. */
const HOSTILE = [
  'start',
  range(0, 0x1f),
  range(0x7f, 0x9f),
  '\u00ad\u034f\u061c\ufdd0',
  range(0x180b, 0x180f),
  range(0x200b, 0x200f),
  range(0x2028, 0x202e),
  range(0x2060, 0x206f),
  '\ufeff\ufe0f',
  range(0x1d173, 0x1d17a),
  range(0xe0020, 0xe007f),
  range(0xe0100, 0xe01ef),
  '\ud800',
  'end',
].join('|')
/** What of it fits into a header. */
const HOSTILE_BYTES = Buffer.from([0x41, 0x9b, 0x33, 0x31, 0x6d, 0x80, 0xad, 0x85, 0x42]).toString('latin1')

describe('foreign text', () => {
  const hostileUser: Fault = response =>
    answer(response, 200, { email: HOSTILE, username: HOSTILE, role: HOSTILE })
  const hostileDetail =
    (status: number, detail: unknown): Fault =>
    response =>
      answer(response, status, { detail })
  const hostileConfiguration: Fault = response =>
    answer(response, 200, {
      content: HOSTILE.toWellFormed(),
      commit_sha: 'start\n\u202e\u034f',
      updated_at: HOSTILE,
    })
  const CONFIGURATION = 'GET /configuration/me'
  const PLACES: [name: string, route: string, fault: Fault, args: string[]][] = [
    ['the user of auth status', 'GET /auth/me', hostileUser, ['auth', 'status']],
    ['the user of auth login', 'GET /auth/me', hostileUser, [...LOGIN, '--json']],
    ['the detail of a refused login', 'POST /auth/login', hostileDetail(401, HOSTILE), LOGIN],
    [
      'the details of a login that is not accepted',
      'POST /auth/login',
      hostileDetail(422, [{ loc: [HOSTILE], msg: HOSTILE }]),
      LOGIN,
    ],
    ['the same in JSON', 'POST /auth/login', hostileDetail(401, HOSTILE), [...LOGIN, '--json']],
    ['the same with diagnostics', 'POST /auth/login', hostileDetail(401, HOSTILE), [...LOGIN, '--debug']],
    ['the text and commit of sync --dry-run', CONFIGURATION, hostileConfiguration, ['sync', '-n']],
    ['the same in JSON', CONFIGURATION, hostileConfiguration, ['sync', '-n', '--json']],
    ['the commit of sync', CONFIGURATION, hostileConfiguration, ['sync']],
    ['the commit of status', CONFIGURATION, hostileConfiguration, ['status']],
  ]
  test.each(PLACES)('foreign text: %s cannot act on a terminal', async (_, route, fault, args) => {
    await using atlas = await stage({ withApiPath: true })
    await atlas.logIn()
    atlas.server.fault(route, fault)
    const { stdout, stderr } = await atlas.run(args, { input: 'correct horse' })
    expect(stdout + stderr).toContain('start')
    expect(stdout + stderr).not.toMatch(HARMFUL)
  })

  const HEADS: [name: string, args: string[]][] = [
    ['the reason phrase and target of a redirect', ['api', '/x']],
    ['the headers of api -i', ['api', '/x', '-i']],
    ['the target of a redirected refresh', ['auth', 'refresh']],
    ['the target of a redirected login', LOGIN],
    ['the same in JSON', [...LOGIN, '--json']],
  ]
  test.each(HEADS)('foreign text: %s cannot act on a terminal', async (_, args) => {
    await using server = await startRawServer(socket =>
      socket.end(
        Buffer.from(
          `HTTP/1.1 302 ${HOSTILE_BYTES}\r\nLocation: /${HOSTILE_BYTES}\r\nX-Odd: ${HOSTILE_BYTES}\r\nContent-Length: 0\r\n\r\n`,
          'latin1',
        ),
      ),
    )
    const url = `http://127.0.0.1:${server.port}`
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: url })
    await storeSession(sandbox, url)
    const { status, stdout, stderr } = await sandbox.run(args, { input: 'pw' })
    expect(status).toBeGreaterThan(0)
    expect(stdout + stderr).toContain('31m')
    expect(stdout + stderr).not.toMatch(HARMFUL)
  })

  test('foreign text: what was typed cannot act on a terminal', async () => {
    using sandbox = createSandbox()
    const typed = '\u001b]0;x\u0007\u202e\u200b'
    for (const args of [
      [typed],
      ['auth', typed],
      ['auth', 'status', `--${typed}`],
      ['auth', 'switch', typed],
      ['api', `//${typed}`],
      [...LOGIN, '--store', typed],
    ]) {
      const { stdout, stderr } = await sandbox.run(args)
      expect(stderr).toStartWith('atlas: ')
      expect(stdout + stderr).not.toMatch(HARMFUL)
    }
  })

  test('foreign text: JSON escapes it and keeps its value', async () => {
    await using atlas = await stage({ withApiPath: true })
    await atlas.logIn()
    atlas.server.fault('GET /auth/me', hostileUser)
    const { stdout } = await atlas.run(['auth', 'status', '--json'])
    expect(stdout).not.toMatch(HARMFUL)
    const { email, username, role } = JSON.parse(stdout)
    expect({ email, username, role }).toEqual({ email: HOSTILE, username: HOSTILE, role: HOSTILE })
  })

  const BODIES: [name: string, type: string, body: string][] = [
    ['JSON', 'application/json', JSON.stringify({ [HOSTILE]: HOSTILE, emoji: '👩🏽‍💻 ok' }, null, 1)],
    ['JSON with raw controls', 'application/json', `{"a":"${HOSTILE}"}`],
    ['text', 'text/plain', HOSTILE],
  ]
  test.each(
    BODIES,
  )('foreign text: a body of api (%s) is escaped on a terminal and unchanged in a pipe', async (_, type, body) => {
    await using atlas = await stage({ withApiPath: true })
    await atlas.logIn()
    const bytes = Buffer.from(body)
    atlas.server.fault('GET /x', response => {
      response.writeHead(200, { 'content-type': type })
      // In pieces, so that characters are torn.
      for (const byte of bytes) response.write(Uint8Array.of(byte))
      response.end()
    })
    const child = atlas.start(['api', '/x'], { input: '' })
    expect(Buffer.from(await new Response(child.stdout).arrayBuffer()).equals(bytes)).toBe(true)

    const terminal = openTerminal(atlas, ['api', '/x'], { TERM: 'dumb', NO_COLOR: '1' })
    await terminal.ended()
    const shown = terminal.transcript.split('speed ')[0]?.replaceAll('\r\n', '\n') ?? ''
    expect(shown).toContain('end')
    expect(shown).not.toMatch(HARMFUL)
  })
})

/** Secrets with every kind of character that some encoding changes, and no part of anything else. */
const SECRETS = {
  password: 'Qk7 "canary" <&> ü \\ % + pass-3391',
  access: 'QkAccess.canary_7c41-e90b52d1/+=~',
  refresh: 'QkRefresh.canary_51be-02aa77f3/+=~',
  fixed: 'QkFixed.canary_94d0-6b1d38ce/+=~',
}

/** The pieces of every secret, in the forms a server may give it back, that are long enough to be one. */
const PIECES = Object.values(SECRETS).flatMap(secret =>
  [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)].flatMap(form =>
    Array.from({ length: form.length - 11 }, (_, index) => form.slice(index, index + 12)),
  ),
)
const leaksIn = (text: string): string[] => PIECES.filter(piece => text.includes(piece))

describe('secrets', () => {
  /**
   * Gives back all it has received, everywhere that an answer has room.
   * @param padding what comes first, so that a text that is cut is cut within a secret.
   */
  const echo =
    (status: number, padding: string): Fault =>
    (response, { headers, body }) => {
      const password = new URLSearchParams(body).get('password') ?? ''
      const token = (headers['authorization'] ?? '').replace('Bearer ', '')
      const cookie = (headers['cookie'] ?? '').replace('refresh_token=', '')
      const heard = `${padding}${[password, token, cookie, body].filter(Boolean).join(' ')}`
      const inHeader = heard.replace(/[^\x20-\x7e]/g, '?')
      response.writeHead(status, inHeader.slice(0, 400), {
        'content-type': 'application/json',
        location: encodeURI(heard),
        'retry-after': inHeader,
        'www-authenticate': inHeader,
        'x-heard': inHeader,
      })
      response.end(
        JSON.stringify({
          detail: status === 422 ? [{ loc: ['body', heard], msg: heard }] : heard,
          email: heard,
          username: encodeURIComponent(heard),
          role: heard,
          error: heard,
          access_token: heard,
        }),
      )
    }
  const COMMANDS: string[][] = [
    [...LOGIN, '--debug'],
    ['auth', 'refresh', '--debug'],
    ['auth', 'status', '--debug'],
    ['auth', 'token', '--min-ttl', '2h', '--debug'],
    ['auth', 'list', '--debug'],
    ['api', '/notes', '--silent', '--debug'],
    ['api', '/notes', '-f', 'a=b', '--silent', '--debug'],
    ['sync', '--debug'],
    ['status', '--debug'],
    ['doctor', '--debug'],
    ['auth', 'logout', '--debug'],
  ]
  const ROUTES = [
    'POST /auth/login',
    'POST /auth/refresh',
    'POST /auth/logout',
    'GET /auth/me',
    'GET /configuration/me',
    'GET /notes',
    'POST /notes',
  ]
  const stored = { accessToken: SECRETS.access, refreshToken: SECRETS.refresh }

  /** Run every command, each on a sandbox of its own, and collect what they print. */
  async function everything(
    apiUrl: string,
    flags: readonly string[],
    env: Record<string, string> = {},
  ): Promise<string> {
    const runs = COMMANDS.map(async command => {
      const args = [...command, ...flags]
      using sandbox = createSandbox({
        ATLAS_CREDENTIAL_STORE: 'file',
        ATLAS_API_URL: apiUrl,
        ATLAS_TIMEOUT: '10',
        ...env,
      })
      await storeSession(sandbox, apiUrl, stored)
      const { stdout, stderr } = await sandbox.run(args, { input: SECRETS.password })
      // With ATLAS_ACCESS_TOKEN set, printing it is what `auth token` is for.
      return args[1] === 'token' && env['ATLAS_ACCESS_TOKEN'] ? stderr : stdout + stderr
    })
    return (await Promise.all(runs)).join('\n')
  }

  const STATUSES = [200, 302, 400, 401, 403, 404, 422, 429, 500]
  const paddingLengths = [0, 185]
  const ECHOES = STATUSES.flatMap((status, index) =>
    forRun({ short: paddingLengths.slice(index % 2).slice(0, 1), full: paddingLengths }).map(
      length => [status, length] as const,
    ),
  )
  test.each(
    ECHOES,
  )('secrets: none is printed when the server answers %d and repeats everything after %d characters', async (status, paddingLength) => {
    await using server = await startAtlasServer()
    for (const route of ROUTES) server.fault(route, echo(status, 'x'.repeat(paddingLength)))
    const flags = paddingLength === 0 ? [] : ['--json']
    const text = await everything(server.apiRoot, flags)
    const withToken = await everything(server.apiRoot, flags, { ATLAS_ACCESS_TOKEN: SECRETS.fixed })
    const heard = server.requests.map(({ headers, body }) => JSON.stringify(headers) + body).join()
    expect(heard).toContain(SECRETS.access)
    expect(heard).toContain(SECRETS.refresh)
    expect(heard).toContain(SECRETS.fixed)
    expect(heard).toContain('Qk7+%22canary%22')
    expect(leaksIn(text + withToken)).toEqual([])
  })

  test('secrets: none is printed when the server is unreachable', async () => {
    expect(leaksIn(await everything('http://127.0.0.1:9', []))).toEqual([])
    expect(leaksIn(await everything('http://127.0.0.1:9', ['--json']))).toEqual([])
    expect(
      leaksIn(await everything('http://127.0.0.1:9', [], { ATLAS_ACCESS_TOKEN: SECRETS.fixed })),
    ).toEqual([])
  })

  test('secrets: none is printed when the stored record is damaged', async () => {
    await using server = await startAtlasServer()
    for (const damage of [
      (text: string) => text.slice(0, -20),
      (text: string) => text.replace('"version":1', '"version":9'),
    ]) {
      using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.apiRoot })
      const record = await storeSession(sandbox, server.apiRoot, stored)
      fs.writeFileSync(record.file, damage(record.bytes() ?? ''))
      for (const args of COMMANDS.slice(1)) {
        const { stdout, stderr } = await sandbox.run(args)
        expect(leaksIn(stdout + stderr)).toEqual([])
      }
    }
  })

  test('secrets: none is printed when ATLAS_ACCESS_TOKEN is invalid', async () => {
    using sandbox = createSandbox({ ATLAS_ACCESS_TOKEN: `${SECRETS.fixed}\n` })
    for (const args of COMMANDS) {
      const { status, stdout, stderr } = await sandbox.run(args)
      expect({ status: status > 0, leaks: leaksIn(stdout + stderr) }).toEqual({ status: true, leaks: [] })
    }
  })

  const FAULTS = [
    'fs.fstatSync = () => { throw Object.assign(new TypeError(secret), { token: secret }) }',
    'fs.lstatSync = () => { throw { token: secret } }',
    'after(() => Promise.reject({ token: secret }))',
    'after(() => Promise.reject(new Error(secret)))',
    'after(() => setTimeout(() => { throw new Error(secret) }, 0))',
  ]
  test.each(FAULTS)('secrets: a fault inside prints no secret, stack or source: %s', async fault => {
    await using atlas = await stage({ withApiPath: true })
    const { server } = atlas
    await storeSession(atlas, server.apiRoot, stored)
    const script = path.join(atlas.home, 'fault.js')
    fs.writeFileSync(
      script,
      `const fs = require('node:fs'); const secret = ${JSON.stringify(SECRETS.access)}
       const after = work => { const read = fs.readFileSync; fs.readFileSync = (...args) => { work(); return read(...args) } }
       ${fault}`,
    )
    for (const args of [
      ['api', '/slow'],
      ['api', '/slow', '--json'],
    ]) {
      server.fault('GET /slow', () => {})
      const { status, stdout, stderr } = await atlas.run([...args, '--timeout', '5'], {
        env: { BUN_OPTIONS: `--preload ${script}` },
      })
      const message = args.includes('--json') ? JSON.parse(stderr).error.message : stderr.split('\n')[0]
      expect({ failed: status > 0, stdout, message, leaks: leaksIn(stderr) }).toEqual({
        failed: true,
        stdout: '',
        message: expect.stringMatching(/inside atlas/),
        leaks: [],
      })
      expect(stderr).not.toMatch(/\n\s+at |\$bunfs|=>|\.js:\d/)
    }
  })
})

describe('standard streams', () => {
  const COMMANDS: string[][] = [
    ['--version'],
    ['--help'],
    ['auth'],
    ['auth', 'status'],
    ['auth', 'status', '--json'],
    ['auth', 'token'],
    ['auth', 'list'],
    ['auth', 'refresh'],
    ['api', '/auth/me'],
    ['api', '/auth/me', '-i', '--silent'],
    ['api', '/big'],
    ['sync'],
    ['status'],
    ['doctor'],
    ['completion', 'zsh'],
    ['auth', 'logout'],
  ]

  const inShell = (atlas: Machine, script: string, args: string[]) =>
    atlas.run(args, { via: ['sh', '-c', script] })
  const withServer = async (args: string[], script: string) => {
    await using atlas = await stage({ loggedIn: true })
    atlas.server.fault('GET /big', response => void response.end('x'.repeat(1_000_000)))
    return await inShell(atlas, script, args)
  }

  test.each(COMMANDS.map(args => [args]))('output: a full disk is an error: atlas %j', async args => {
    const { status, stdout, stderr } = await withServer(args, '"$0" "$@" >/dev/full')
    const message = 'The output could not be written (ENOSPC).'
    const hint = 'The disk is full: make room and try again.'
    expect({ status, stdout, stderr }).toEqual({
      status: 1,
      stdout: '',
      stderr: args.includes('--json')
        ? `${JSON.stringify({ error: { code: 'internal', message, hint } })}\n`
        : `atlas: ${message}\n       ${hint}\n`,
    })
  })

  test.each(COMMANDS.map(args => [args]))('output: a closed pipe ends atlas %j quietly', async args => {
    const gone = 'sleep 0.1; "$0" "$@"; echo "ended with $?" >&3'
    const { stderr } = await withServer(args, `{ { ${gone}; } 2>&4 | true; } 3>&2 4>&2`)
    expect(
      stderr.replace(/^(The credentials are in plain text|No copy is left on this machine).*\n/gm, ''),
    ).toBe('ended with 0\n')
    const both = await withServer(args, `{ { ${gone}; } 2>&1 | true; } 3>&2`)
    expect(both.stderr).toBe('ended with 0\n')
  })

  test.each([
    [500, 1],
    [401, 4],
  ])('output: a closed pipe does not hide status %d, and api exits with %d', async (answered, ended) => {
    await using atlas = await stage({ withApiPath: true })
    await atlas.logIn()
    atlas.server.fault('GET /x', response => answer(response, answered, { detail: 'x'.repeat(100_000) }))
    const script = '{ { sleep 0.1; "$0" "$@"; echo "ended with $?" >&3; } 2>&4 | true; } 3>&2 4>&2'
    const { stderr } = await inShell(atlas, script, ['api', '/x'])
    expect(stderr).toContain(`GET /api/v1/x answered ${answered}`)
    expect(stderr).toEndWith(`ended with ${ended}\n`)
  })

  test('output: a closed pipe hides an error message, not its exit status', async () => {
    using sandbox = createSandbox()
    const { stderr } = await inShell(
      sandbox,
      '{ { sleep 0.1; "$0" auth token; echo "ended with $?" >&3; } 2>&1 | true; } 3>&2',
      [],
    )
    expect(stderr).toBe('ended with 4\n')
  })

  test.each([
    '<&-',
    '>&-',
    '2>&-',
    '<&- >&- 2>&-',
  ])('output: closed standard streams (%s) stop nothing', async redirection => {
    for (const args of COMMANDS.filter(
      args => !['status', 'auth logout', 'api /big'].includes(args.join(' ')),
    )) {
      await using atlas = await stage({ loggedIn: true })
      const [record = ''] = atlas.filesHolding('"access_token"')
      const { status, stderr } = await inShell(atlas, `"$0" "$@" ${redirection}`, args)
      expect({ args, status, stderr }).toEqual({ args, status: 0, stderr: '' })
      // A descriptor of ours that took a closed stream's number would have had output written into it.
      expect(Object.keys(JSON.parse(fs.readFileSync(record, 'utf8')))).toContain('refresh_token')
    }
  })
})
