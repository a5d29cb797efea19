import { describe, expect, test } from 'bun:test'
import { startAtlasServer } from '../support/atlas-server.ts'
import { BINARY, createSandbox } from '../support/binary.ts'
import {
  type Answer,
  answering,
  bomb,
  dripping,
  flooding,
  resetting,
  sending,
  stalling,
} from '../support/hostile-answers.ts'
import { ask, COMMANDS, type Command, MAX_MEMORY_BYTES, type Met, meet } from '../support/hostile-run.ts'
import { measured } from '../support/measured.ts'
import { forRun } from '../support/needs.ts'
import { startRawServer } from '../support/raw-server.ts'
import { storeSession } from '../support/stored-session.ts'

/** What each command ends with: exit status, and error code or state. */
type Expected = Readonly<Partial<Record<Command, string>>>

let turn = 0

/**
 * The commands end as expected, in time, in little memory, and change and tell nothing: all of those given
 * in a full run, two of them in turn in a short one.
 */
async function expectUnharmed(answer: Answer, expected: Expected, timeoutS?: number): Promise<void> {
  const given = Object.keys(COMMANDS).filter((name): name is Command => name in expected)
  const commands = inTurn(given, forRun({ short: 2, full: given.length }))
  const met = await Promise.all(commands.map(command => meet(command, answer, timeoutS)))
  const told = ({ result, untouched, leaked, excessive }: Met) => ({ result, untouched, leaked, excessive })
  expect(Object.fromEntries(met.map((one, index) => [commands[index], told(one)]))).toEqual(
    Object.fromEntries(
      commands.map(command => [
        command,
        { result: expected[command] ?? '', untouched: true, leaked: false, excessive: false },
      ]),
    ),
  )
}

function inTurn<T>(all: readonly T[], count: number): T[] {
  const taken = [...all, ...all].slice(turn % all.length).slice(0, Math.min(count, all.length))
  turn += count
  return taken
}

/** Where every command ends with the same code; `api` may pass the answer on instead. */
const all = (code: string, api: string = `5 ${code}`): Expected => ({
  find: `5 ${code}`,
  login: `5 ${code}`,
  refresh: `5 ${code}`,
  status: '5 unverified',
  api,
  sync: `5 ${code}`,
})

/** `api` hands a body on as it comes, for as long as it comes. */
const without = (command: Command, { [command]: _, ...rest }: Expected): Expected => rest

const OK = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
const GOOD_TOKENS = JSON.stringify({ access_token: 'abc', token_type: 'bearer', expires_in: 1800 })
const X_64K = 'x'.repeat(65_536)

describe('an endless answer', () => {
  const CASES: [name: string, answer: Answer, expected: Expected][] = [
    ['silence', stalling(''), all('timeout')],
    ['a head that never ends', dripping('HTTP/1.1 200 OK\r\nX-Slow: ', 'x'), all('timeout')],
    [
      'a body that drips',
      dripping(`${OK}Content-Length: 100000\r\n\r\n{`, ' '),
      without('api', all('timeout')),
    ],
    ['a body that stops', stalling(`${OK}Content-Length: 100\r\n\r\n{"access`), all('timeout')],
    ['an endless stream of 100 Continue', flooding('', 'HTTP/1.1 100 Continue\r\n\r\n'), all('timeout')],
    [
      'an endless stream of 103 Early Hints',
      flooding('', 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'),
      all('timeout'),
    ],
  ]
  test.concurrent.each(CASES)('hostile server: %s ends with the timeout', async (_, answer, expected) =>
    expectUnharmed(answer, expected, 1))
})

describe('a broken HTTP answer', () => {
  const CASES: [name: string, answer: Answer, expected: Expected][] = [
    ['an endless body', flooding(`${OK}\r\n`, X_64K), without('api', all('bad_response'))],
    [
      'an endless chunked body',
      flooding(`${OK}Transfer-Encoding: chunked\r\n\r\n`, `10000\r\n${X_64K}\r\n`),
      without('api', all('bad_response')),
    ],
    [
      'a protocol switch nobody asked for',
      sending('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n', 'x'),
      all('bad_response'),
    ],
    ['a body cut short', sending(`${OK}Content-Length: 1000\r\n\r\n{"access_token":`), all('network')],
    [
      'a chunked body cut short',
      sending(`${OK}Transfer-Encoding: chunked\r\n\r\n5\r\n{"acc\r\n`),
      all('network'),
    ],
    ['a head cut short', sending('HTTP/1.1 200 OK\r\nContent-Ty'), all('network')],
    ['the end at once', sending(''), all('network')],
    ['a reset at once', resetting(''), all('network')],
    ['a reset in the head', resetting('HTTP/1.1 200 OK\r\nX'), all('network')],
    ['a reset in the body', resetting(`${OK}Content-Length: 1000\r\n\r\n{`), all('network')],
    ['an SSH greeting', sending('SSH-2.0-OpenSSH_9.2\r\n'), all('bad_response')],
    [
      'binary noise',
      sending(Buffer.from(Array.from({ length: 1000 }, (_, index) => (index * 37) % 256))),
      all('bad_response'),
    ],
    ['HTTP/0.9', sending('<html>hello</html>'), all('bad_response')],
    ['a status that is not a number', sending('HTTP/1.1 abc OK\r\n\r\n'), all('bad_response')],
    ['status 999', sending('HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n'), all('bad_response')],
    ['status 000', sending('HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n'), all('bad_response')],
    [
      'one header of 1 MB',
      sending(`${OK}X-Big: ${'x'.repeat(1_000_000)}\r\nContent-Length: 2\r\n\r\n{}`),
      all('bad_response', '0'),
    ],
    ['one header without end', flooding('HTTP/1.1 200 OK\r\nX-Big: ', X_64K), all('bad_response')],
    ['100,000 headers', sending(`${OK}${'X-Many: 1\r\n'.repeat(100_000)}\r\n`), all('bad_response')],
    [
      'headers without end',
      flooding('HTTP/1.1 200 OK\r\n', 'X-Many: 1\r\n'.repeat(1000)),
      all('bad_response'),
    ],
    ['two lengths', sending(`${OK}Content-Length: 2\r\nContent-Length: 20\r\n\r\n{}`), all('bad_response')],
    ['a negative length', sending(`${OK}Content-Length: -1\r\n\r\n{}`), all('bad_response')],
    [
      'an enormous length',
      sending(`${OK}Content-Length: 99999999999999999999999\r\n\r\n{}`),
      all('bad_response'),
    ],
    [
      'a chunk of no size',
      sending(`${OK}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`),
      all('bad_response'),
    ],
    [
      'a chunk of enormous size',
      sending(`${OK}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n`),
      all('bad_response'),
    ],
    [
      'broken gzip',
      sending(`${OK}Content-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip`),
      all('bad_response'),
    ],
    [
      'broken br',
      sending(`${OK}Content-Encoding: br\r\nContent-Length: 6\r\n\r\nnot br`),
      all('bad_response'),
    ],
    [
      'broken zstd',
      sending(`${OK}Content-Encoding: zstd\r\nContent-Length: 8\r\n\r\nnot zstd`),
      all('bad_response'),
    ],
    [
      'broken deflate',
      sending(`${OK}Content-Encoding: deflate\r\nContent-Length: 8\r\n\r\nnot defl`),
      all('bad_response'),
    ],
    [
      'gzip cut short',
      sending(
        `${OK}Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n`,
        Bun.gzipSync(Buffer.alloc(1e5)).slice(0, 20),
      ),
      all('bad_response'),
    ],
  ]
  test.each(CASES)('hostile server: %s is an error that changes nothing', async (_, answer, expected) => {
    await expectUnharmed(answer, expected)
  })

  test.each([
    'gzip',
    'deflate',
    'br',
    'zstd',
  ])('hostile server: broken %s is one JSON error', async coding => {
    await using server = await startRawServer(sending(`${OK}Content-Encoding: ${coding}\r\n\r\nnot packed`))
    const apiUrl = `http://127.0.0.1:${server.port}`
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: apiUrl })
    await storeSession(sandbox, apiUrl)
    const told = async (args: readonly string[]) => (await sandbox.run([...args, '--json'])).stderr
    const [api, refresh, status] = await Promise.all([
      told(COMMANDS.api),
      told(COMMANDS.refresh),
      told(COMMANDS.status),
    ])
    expect([JSON.parse(api), JSON.parse(refresh), status]).toEqual([
      { error: expect.objectContaining({ code: 'bad_response' }) },
      { error: expect.objectContaining({ code: 'bad_response' }) },
      '',
    ])
  })

  test.each([
    'gzip',
    'deflate',
    'br',
    'zstd',
  ] as const)('hostile server: a %s bomb is given up', async encoding => {
    await expectUnharmed(await bomb(encoding), without('api', all('bad_response')))
  })
})

describe('a redirect', () => {
  const STATUSES = [
    '301 Moved Permanently',
    '302 Found',
    '303 See Other',
    '307 Temporary Redirect',
    '308 Permanent Redirect',
  ]
  const TARGETS: [name: string, target: (port: number) => string][] = [
    ['another port', port => `http://127.0.0.1:${port}/api/v1/auth/login`],
    ['another host', port => `http://localhost:${port}/api/v1/auth/login`],
    ['another scheme', port => `https://127.0.0.1:${port}/api/v1/auth/login`],
    ['another host without a scheme', port => `//localhost:${port}/api/v1/auth/login`],
    ['another host behind a user', port => `http://127.0.0.1@localhost:${port}/`],
  ]
  test.each(TARGETS)('hostile server: a redirect to %s is not followed', async (_, target) => {
    await using elsewhere = await startRawServer(socket => socket.end())
    for (const status of STATUSES) {
      const location = `Location: ${target(elsewhere.port)}`
      await expectUnharmed(answering(status, '', [location]), all('bad_response', '1 api_error'))
    }
    expect({ connections: elsewhere.connections, received: elsewhere.received }).toEqual({
      connections: 0,
      received: '',
    })
  })

  const ODD: [name: string, answer: Answer][] = [
    ['to the same server', answering('307 Temporary Redirect', '', ['Location: /api/v1/elsewhere'])],
    ['to a file', answering('302 Found', '', ['Location: file:///etc/passwd'])],
    ['to data', answering('302 Found', '', ['Location: data:application/json,{}'])],
    ['without a target', answering('302 Found')],
    ['with two targets', answering('302 Found', '', ['Location: /a', 'Location: /b'])],
    ['300 with a choice', answering('300 Multiple Choices', '{}')],
    ['304 to what was not conditional', answering('304 Not Modified')],
    [
      'to be refreshed by the page',
      answering('200 OK', '<meta http-equiv="refresh" content="0;url=//x">', ['Refresh: 0; url=http://x/']),
    ],
  ]
  test.each(ODD)('hostile server: a redirect %s is not followed', async (name, answer) => {
    await expectUnharmed(answer, all('bad_response', name.startsWith('to be') ? '0' : '1 api_error'))
  })

  test('hostile server: a redirect of the refresh behind a request is not followed', async () => {
    await using server = await startAtlasServer()
    await using elsewhere = await startRawServer(socket => socket.end())
    const headers = { location: `http://127.0.0.1:${elsewhere.port}/api/v1/auth/refresh` }
    server.fault('GET /notes', response => void response.writeHead(401).end())
    server.fault('POST /auth/refresh', response => void response.writeHead(307, headers).end())
    expect(await ask('api', server.apiRoot)).toMatchObject({ result: '5 bad_response', untouched: true })
    expect({ log: server.log(), connections: elsewhere.connections }).toEqual({
      log: ['GET /api/v1/notes', 'POST /api/v1/auth/refresh'],
      connections: 0,
    })
  })
})

describe('wrong content', () => {
  const json = (body: string): Answer => answering('200 OK', body, ['Content-Type: application/json'])
  const CASES: [name: string, answer: Answer, api?: string][] = [
    ['an HTML page', answering('200 OK', '<html>Sign in to the Wi-Fi</html>', ['Content-Type: text/html'])],
    ['an HTML page called JSON', json('<html></html>')],
    ['nothing', json('')],
    ['204', answering('204 No Content')],
    ['205', answering('205 Reset Content')],
    ['broken JSON', json('{"access_token":"a",')],
    ['two JSON objects', json('{}{}')],
    ['null', json('null')],
    ['a list', json('[]')],
    ['a list of one good answer', json('[{"access_token":"abc","token_type":"bearer","email":"e@x"}]')],
    ['a number', json('42')],
    ['a string', json('"text"')],
    ['true', json('true')],
    ['an empty object', json('{}')],
    ['a very deep list', json('['.repeat(100_000))],
    ['a very deep object', json(`${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`)],
    [
      'properties of every object',
      json('{"__proto__":{"access_token":"abc","token_type":"bearer","email":"e@x"}}'),
    ],
    ['UTF-16', sending(`${OK}Content-Length: 4\r\n\r\n`, Buffer.from('{}', 'utf16le'))],
    [
      'bytes that are not UTF-8',
      sending(`${OK}Content-Length: 4\r\n\r\n`, Buffer.from([0x7b, 0xff, 0xfe, 0x7d])),
    ],
    ['an error object with 200', json('{"detail":"Not authenticated"}')],
  ]
  test.each(CASES)('hostile server: %s is not taken for an answer', async (_, answer) => {
    await expectUnharmed(answer, all('bad_response', '0'))
  })

  const NO_TOKENS: [name: string, token: unknown][] = [
    ['missing', undefined],
    ['null', null],
    ['empty', ''],
    ['a number', 7],
    ['true', true],
    ['a list', ['abc']],
    ['an object', { a: 'abc' }],
    ['over-long', 'x'.repeat(65_537)],
    ['with CR', 'a\rb'],
    ['with LF', 'a\nb'],
    ['with a header behind CR LF', 'a\r\nX-Injected: 1'],
    ['with a space', 'a b'],
    ['with a tab', 'a\tb'],
    ['with NUL', 'a\0b'],
    ['with DEL', 'a\u007fb'],
    ['not ASCII', 'töken'],
    ['with a zero-width space', 'a\u200bb'],
  ]
  test.each(NO_TOKENS)('hostile server: an access token that is %j is not stored', async (_, token) => {
    const body = JSON.stringify({ access_token: token, token_type: 'bearer', expires_in: 1800 })
    await expectUnharmed(json(body), { login: '5 bad_response', refresh: '5 bad_response' })
  })

  test.each([
    [undefined],
    [null],
    [''],
    ['mac'],
    [7],
    [['bearer']],
  ])('hostile server: a token of type %j is judged by its type', async type => {
    const answer = json(JSON.stringify({ access_token: 'abc', token_type: type, expires_in: 1800 }))
    await expectUnharmed(answer, { login: '5 bad_response' })
    if (type === undefined || type === null) {
      const { result, stored } = await meet('refresh', answer)
      expect({ result, token: JSON.parse(stored ?? '').access_token }).toEqual({ result: '0', token: 'abc' })
    } else await expectUnharmed(answer, { refresh: '5 bad_response' })
  })

  const COOKIES: [name: string, value: string][] = [
    ['over-long', 'x'.repeat(65_537)],
    ['with a space', 'a b'],
    ['not ASCII', 'töken'],
  ]
  test.each(COOKIES)('hostile server: a refresh token that is %s is not stored', async (_, value) => {
    const answer = answering('200 OK', GOOD_TOKENS, [`Set-Cookie: refresh_token=${value}; Path=/`])
    await expectUnharmed(answer, { login: '5 bad_response', refresh: '5 bad_response' })
  })

  test.each([
    {},
    { email: null },
    { email: 7 },
    { email: ['e@x'] },
    { email: '' },
    { username: 'ada' },
  ])('a user that is %j confirms nobody', async user =>
    expectUnharmed(json(JSON.stringify(user)), { status: '5 unverified' }))
})

describe('error statuses', () => {
  const CASES: [status: string, headers: string[], body: string, expected: Expected][] = [
    [
      '400 Bad Request',
      [],
      '{"detail":"bad"}',
      { login: '4 bad_credentials', refresh: '5 bad_response', status: '5 unverified', api: '1 api_error' },
    ],
    [
      '403 Forbidden',
      [],
      '<html>WAF</html>',
      { login: '5 bad_response', refresh: '5 bad_response', status: '5 unverified', api: '1 api_error' },
    ],
    [
      '404 Not Found',
      [],
      '',
      { login: '5 bad_response', refresh: '5 bad_response', status: '0 unverified', api: '1 api_error' },
    ],
    ['407 Proxy Authentication Required', [], '', all('bad_response', '1 api_error')],
    ['418 Teapot', [], '', all('bad_response', '1 api_error')],
    [
      '422 Unprocessable Content',
      [],
      '{"detail":[{"loc":["body","username"],"msg":"odd","type":"t"},null,7,{"loc":7,"msg":[]}]}',
      { ...all('bad_response', '1 api_error'), login: '1 api_error' },
    ],
    [
      '422 Unprocessable Content',
      [],
      '{"detail":{"not":"a list"}}',
      { ...all('bad_response', '1 api_error'), login: '1 api_error' },
    ],
    ['429 Too Many Requests', [], '{}', all('rate_limited', '1 api_error')],
    ['429 Too Many Requests', ['Retry-After: 17'], '{}', all('rate_limited', '1 api_error')],
    [
      '429 Too Many Requests',
      ['Retry-After: Wed, 21 Oct 2099 07:28:00 GMT'],
      '{}',
      all('rate_limited', '1 api_error'),
    ],
    ['429 Too Many Requests', ['Retry-After: soon'], '{}', all('rate_limited', '1 api_error')],
    [
      '429 Too Many Requests',
      ['Retry-After: -99999999999999999999'],
      '{}',
      all('rate_limited', '1 api_error'),
    ],
    ['500 Internal Server Error', [], 'Traceback', all('server_error', '1 api_error')],
    ['502 Bad Gateway', [], '<html></html>', all('server_error', '1 api_error')],
    ['503 Service Unavailable', ['Retry-After: 1'], '', all('server_error', '1 api_error')],
    ['504 Gateway Timeout', [], '', all('server_error', '1 api_error')],
    ['599 Odd', [], '', all('server_error', '1 api_error')],
  ]
  test.each(
    CASES,
  )('hostile server: %s %j has its own error code', async (status, headers, body, expected) => {
    await expectUnharmed(answering(status, body, headers), expected)
  })

  const WAITS: [value: string, hint: string][] = [
    ['17', 'Wait 17 s, then try again.'],
    ['99999999999999999999', 'Wait 86400 s, then try again.'],
    ['Wed, 21 Oct 2099 07:28:00 GMT', 'Wait 86400 s, then try again.'],
    ['soon', 'Wait a minute, then try again.'],
    ['-5', 'Wait a minute, then try again.'],
  ]
  test.each(WAITS)('hostile server: 429 with Retry-After %j says how long to wait', async (value, hint) => {
    const { stderr } = await meet(
      'login',
      answering('429 Too Many Requests', '{}', [`Retry-After: ${value}`]),
    )
    expect(stderr.trim().split('\n').at(-1)).toContain(JSON.stringify(hint))
  })
})

describe('odd values beside good tokens', () => {
  const LIFETIMES: [expiresIn: unknown, lifetimeS: number | null][] = [
    [undefined, null],
    [null, null],
    [-1, null],
    [1e308, null],
    ['soon', null],
    [true, null],
    [[1800], null],
    [{}, null],
    ['1800', 1800],
    [1800.5, 1800.5],
  ]
  test.each(
    LIFETIMES,
  )('hostile server: good tokens with expires_in %j are kept', async (expiresIn, lifetimeS) => {
    const body = JSON.stringify({ access_token: 'abc', token_type: 'Bearer', expires_in: expiresIn })
    const startedAt = Date.now()
    for (const command of ['login', 'refresh'] as const) {
      const { status, stored } = await meet(command, answering('200 OK', body))
      const { access_token: token, expires_at: expiresAt } = JSON.parse(stored ?? '')
      expect({ command, status, token, known: expiresAt !== null }).toEqual({
        command,
        status: 0,
        token: 'abc',
        known: lifetimeS !== null,
      })
      if (lifetimeS === null) continue
      const lifeMs = Date.parse(expiresAt) - startedAt
      expect(lifeMs).toBeWithin(lifetimeS * 1000 - 1, lifetimeS * 1000 + 30_000)
    }
  })

  const OLD = 'canary-refresh-token-9d27ab'
  const COOKIES: [name: string, cookies: string[], login: string | null, refresh: string | null][] = [
    ['missing', [], null, OLD],
    ['of another name', ['session=abc'], null, OLD],
    ['doubled', ['refresh_token=one', 'refresh_token=two'], 'two', 'two'],
    ['quoted', ['refresh_token="one"'], '"one"', '"one"'],
    ['without a value', ['refresh_token'], null, OLD],
    ['empty', ['refresh_token=; Path=/'], null, OLD],
    ['cleared', ['refresh_token=""; Max-Age=0'], null, OLD],
    ['expired by its age', ['refresh_token=one; Max-Age=0'], null, OLD],
    ['expired by its date', ['refresh_token=one; Expires=Thu, 01 Jan 1970 00:00:00 GMT'], null, OLD],
    ['of a foreign domain', ['refresh_token=one; Domain=attacker.example'], null, OLD],
    ['of a whole top-level domain', ['refresh_token=one; Domain=1'], null, OLD],
    ['of a foreign path', ['refresh_token=one; Path=/elsewhere'], 'one', 'one'],
    ['with odd attributes', ['refresh_token=one; =; ;; Max-Age=x; Expires=never; Domain='], 'one', 'one'],
  ]
  test.each(
    COOKIES,
  )('hostile server: a cookie %s leaves the right refresh token', async (_, cookies, afterLogin, afterRefresh) => {
    const headers = cookies.map(cookie => `Set-Cookie: ${cookie}`)
    const kept = async (command: Command) => {
      const { status, stored } = await meet(command, answering('200 OK', GOOD_TOKENS, headers))
      return [status, JSON.parse(stored ?? '').refresh_token]
    }
    const [login, refresh] = await Promise.all([kept('login'), kept('refresh')])
    expect({ login, refresh }).toEqual({ login: [0, afterLogin], refresh: [0, afterRefresh] })
  })
})

describe('a streamed answer', () => {
  const ENDLESS: [name: string, answer: Answer][] = [
    ['endless', flooding(`${OK}\r\n`, X_64K)],
    ['endless and chunked', flooding(`${OK}Transfer-Encoding: chunked\r\n\r\n`, `10000\r\n${X_64K}\r\n`)],
    ['dripping', dripping(`${OK}\r\n`, '{}\n')],
  ]
  test.each(ENDLESS)('hostile server: a body that is %s ends when its reader goes', async (_, answer) => {
    await using server = await startRawServer(answer)
    const apiUrl = `http://127.0.0.1:${server.port}`
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: apiUrl })
    await storeSession(sandbox, apiUrl)
    const child = Bun.spawn(
      ['sh', '-c', '{ "$0" api /x; echo "ended with $?" >&2; } | head -c 10 >/dev/null', BINARY],
      {
        env: sandbox.env,
        stderr: 'pipe',
      },
    )
    expect(await new Response(child.stderr).text()).toBe('ended with 0\n')
  })

  test.each([
    'gzip',
    'deflate',
    'br',
    'zstd',
  ] as const)('hostile server: a body that unpacks (%s) to 200 MiB takes little memory', async encoding => {
    await using server = await startRawServer(await bomb(encoding))
    const apiUrl = `http://127.0.0.1:${server.port}`
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: apiUrl })
    await storeSession(sandbox, apiUrl)
    const command = [BINARY, 'api', '/x']
    const { status, stdoutBytes, peakMemoryBytes } = await measured({ ...sandbox, command })
    expect({ status, stdoutBytes }).toEqual({ status: 0, stdoutBytes: 200 * 1024 * 1024 })
    expect(peakMemoryBytes).toBeLessThan(150 * 1024 * 1024)
  })
})

describe('a configuration of 10 MiB', () => {
  const SIZE = 10 * 1024 * 1024
  const chunked = (body: string): Buffer => {
    const chunk = (at: number): string => {
      const piece = body.slice(at, at + 16)
      return `${piece.length.toString(16)}\r\n${piece}\r\n`
    }
    return Buffer.from(
      Array.from({ length: Math.ceil(body.length / 16) }, (_, index) => chunk(index * 16)).join(''),
    )
  }
  const TEXTS: [what: string, text: string, packed: (body: string) => [header: string, body: Uint8Array]][] =
    [
      ['lines of one character', 'x\n'.repeat(SIZE / 2), body => ['', Buffer.from(body)]],
      [
        'nothing but line breaks, packed',
        '\n'.repeat(SIZE),
        body => ['Content-Encoding: gzip\r\n', Bun.gzipSync(body)],
      ],
      ['line breaks behind a wide character', `漢${'\n'.repeat(SIZE - 3)}`, body => ['', Buffer.from(body)]],
      [
        'one line in pieces of 16 bytes',
        'x'.repeat(SIZE),
        body => ['Transfer-Encoding: chunked\r\n', chunked(body)],
      ],
    ]
  test.each(TEXTS)('takes less than 150 MB to compare and to write: %s', async (_, text, packed) => {
    const [header, body] = packed(JSON.stringify({ content: text, commit_sha: 'abc' }))
    const length = header.startsWith('Transfer') ? '' : `Content-Length: ${body.byteLength}\r\n`
    const last = header.startsWith('Transfer') ? '0\r\n\r\n' : ''
    await using server = await startRawServer(sending(`${OK}${header}${length}\r\n`, body, last))
    const apiUrl = `http://127.0.0.1:${server.port}/api/v1`
    using sandbox = createSandbox({ ATLAS_ACCESS_TOKEN: 'fixed-token', ATLAS_API_URL: apiUrl })
    const met = async (...args: string[]) => {
      const { status, peakMemoryBytes } = await measured({
        command: [BINARY, ...args],
        cwd: sandbox.cwd,
        env: sandbox.env,
      })
      return { status, isLarge: peakMemoryBytes > MAX_MEMORY_BYTES }
    }
    const small = { status: 0, isLarge: false }
    expect([await met('sync', '-n'), await met('sync'), await met('status')]).toEqual([small, small, small])
  })
})
