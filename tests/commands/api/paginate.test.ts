import { describe, expect, test } from 'bun:test'
import { type AtlasServer, answer, type Fault, signToken } from '../../support/atlas-server.ts'
import { inProcess } from '../../support/in-process.ts'

type Form = 'pages' | 'total'

/** A list of `{"n":1}`, `{"n":2}` … in pages of two. */
function serveList(
  server: AtlasServer,
  count: number,
  form: Form = 'pages',
  change = (_: number, page: object) => page,
) {
  server.fault('GET /list', (response, { path }) => {
    const number = Number(new URL(path, 'http://h').searchParams.get('page') ?? 1)
    const from = 2 * (number - 1)
    const items = Array.from({ length: Math.max(0, Math.min(2, count - from)) }, (_, index) => ({
      n: from + index + 1,
    }))
    const size = form === 'pages' ? { size: 2, pages: Math.ceil(count / 2) } : { page_size: 2 }
    answer(response, 200, change(number, { items, total: count, page: number, ...size }))
  })
}

const numbers = (stdout: string): number[] => JSON.parse(stdout).map(({ n }: { n: number }) => n)
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)
const pagesAsked = (server: AtlasServer): (string | null)[] =>
  server.log().map(line => new URL(line.split(' ')[1] ?? '', 'http://h').searchParams.get('page'))
const codeOf = (stderr: string): string => JSON.parse(stderr).error.code

describe('atlas api --paginate', () => {
  test.each([
    'pages',
    'total',
  ] as const)('paginate: gets all pages of a list that says its %s', async form => {
    await using atlas = await inProcess({ loggedIn: true })
    serveList(atlas.server, 5, form)
    const { status, stdout, stderr } = await atlas.run(['api', '/list', '--paginate'])
    expect({ status, stdout, stderr, asked: pagesAsked(atlas.server) }).toEqual({
      status: 0,
      stdout: '[\n{"n":1},\n{"n":2},\n{"n":3},\n{"n":4},\n{"n":5}\n]\n',
      stderr: '',
      asked: [null, '2', '3'],
    })
  })

  test('paginate: a query is asked for on each page, and a page that was named is the first', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    serveList(atlas.server, 6)
    const args = ['api', '/list?q=a%20b&page=2', '-X', 'GET', '-f', 'type=x y', '--paginate']
    expect(numbers((await atlas.run(args)).stdout)).toEqual([3, 4, 5, 6])
    expect(atlas.server.log()).toEqual([
      'GET /api/v1/list?q=a+b&page=2&type=x+y',
      'GET /api/v1/list?q=a+b&type=x+y&page=3',
    ])
  })

  test('paginate: follows a redirect to a slash once', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.server.fault('GET /admin/users/', (response, { path }) => {
      const page = Number(new URL(path, 'http://h').searchParams.get('page') ?? 1)
      answer(response, 200, { items: [{ n: page }], total: 3, page, page_size: 1 })
    })
    expect(numbers((await atlas.run(['api', '/admin/users', '--paginate'])).stdout)).toEqual([1, 2, 3])
    expect(atlas.server.log()).toEqual([
      'GET /api/v1/admin/users',
      'GET /api/v1/admin/users/',
      'GET /api/v1/admin/users/?page=2',
      'GET /api/v1/admin/users/?page=3',
    ])
  })

  test('paginate: items stay as the server wrote them, numbers of any length too', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const item = '{"id":12345678901234567890,"x":1.10,"__proto__":{"a":null},"s":"\\u001b ü"}'
    atlas.server.fault('GET /list', response => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(`{"items": [ ${item} ], "page": 1, "pages": 1}`)
    })
    const { stdout } = await atlas.run(['api', '/list', '--paginate'])
    expect(stdout).toBe(`[\n${item}\n]\n`)
  })

  test.each([
    ['an empty list', 0, '[]\n'],
    ['one page', 1, '[\n{"n":1}\n]\n'],
  ])('paginate: %s', async (_, count, printed) => {
    for (const form of ['pages', 'total'] as const) {
      await using atlas = await inProcess({ loggedIn: true })
      serveList(atlas.server, count, form)
      expect((await atlas.run(['api', '/list', '--paginate'])).stdout).toBe(printed)
      expect(atlas.server.log()).toHaveLength(1)
    }
  })

  test('paginate: 10,000 pages', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    serveList(atlas.server, 20_000)
    const { status, stdout } = await atlas.run(['api', '/list', '--paginate'])
    expect([status, numbers(stdout)]).toEqual([0, upTo(20_000)])
  }, 60_000)

  test('paginate: a token that ends in the middle is refreshed, and no item is missing or there twice', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const refuse: Fault = response =>
      answer(response, 401, { detail: 'Could not validate credentials' }, { 'www-authenticate': 'Bearer' })
    let asked = 0
    const once: Fault = (response, request, socket) => {
      asked++
      return asked === 2 ? refuse(response, request, socket) : listed(response, request, socket)
    }
    const listed: Fault = (response, { path }) => {
      const number = Number(new URL(path, 'http://h').searchParams.get('page') ?? 1)
      answer(response, 200, { items: [{ n: number }], page: number, pages: 4, total: 4 })
    }
    atlas.server.fault('GET /list', once)
    const { status, stdout } = await atlas.run(['api', '/list', '--paginate'])
    expect([status, numbers(stdout)]).toEqual([0, [1, 2, 3, 4]])
    expect(atlas.server.log().filter(line => line.startsWith('POST'))).toEqual(['POST /api/v1/auth/refresh'])
  })

  const FAILURES: [what: string, fault: Fault, status: number, code: string][] = [
    ['fails (500)', response => answer(response, 500, { detail: 'no' }), 5, 'server_error'],
    ['is too many (429)', response => answer(response, 429, { error: 'slow down' }), 5, 'rate_limited'],
    ['is forbidden (403)', response => answer(response, 403, { detail: 'no' }), 1, 'api_error'],
    ['is cut off', (_, __, socket) => void socket.destroy(), 5, 'network'],
    ['is no page', response => answer(response, 200, { detail: 'what?' }), 5, 'bad_response'],
    ['is no JSON', response => void response.end('<html>'), 5, 'bad_response'],
    [
      'has another number',
      response => answer(response, 200, { items: [{ n: 1 }], page: 1, pages: 3 }),
      5,
      'bad_response',
    ],
    [
      'repeats the one before',
      response => answer(response, 200, { items: [{ n: 1 }, { n: 2 }], page: 2, pages: 3 }),
      5,
      'bad_response',
    ],
    ['is missing', response => answer(response, 200, { items: [], page: 2, total: 6 }), 5, 'bad_response'],
  ]
  test.each(
    FAILURES,
  )('paginate: a second page that %s: what came is not passed off as all', async (_, fault, status, code) => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.server.fault(
      'GET /list',
      response =>
        answer(response, 200, {
          items: [{ n: 1 }, { n: 2 }],
          page: 1,
          total: 6,
          ...(code === 'bad_response' && { size: 2 }),
        }),
      1,
    )
    atlas.server.fault('GET /list', fault)
    const outcome = await atlas.run(['api', '/list', '--paginate', '--json'])
    expect({ status: outcome.status, code: codeOf(outcome.stderr), stdout: outcome.stdout }).toEqual({
      status,
      code,
      stdout: '[\n{"n":1},\n{"n":2}',
    })
    atlas.server.clearFaults()
    atlas.server.fault(
      'GET /list',
      response => answer(response, 200, { items: [{ n: 1 }, { n: 2 }], page: 1, total: 6 }),
      1,
    )
    atlas.server.fault('GET /list', fault)
    const filtered = await atlas.run(['api', '/list', '--paginate', '--json', '--jq', 'length'])
    expect([filtered.status, filtered.stdout]).toEqual([status, ''])
  })

  const ODD: [what: string, page: object][] = [
    ['a count that is no whole number', { page: 1, pages: 2.5 }],
    ['a count below zero', { page: 1, pages: -3 }],
    ['a count beyond all reason', { page: 1, pages: 1.2e29 }],
    ['no pages, and items', { page: 1, pages: 0, total: 200 }],
    ['one page, and more items than it has', { page: 1, pages: 1, total: 10 }],
  ]
  test.each(ODD)('paginate: a server that speaks of %s is not believed', async (_, page) => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.server.fault('GET /list', response => answer(response, 200, { items: [1, 2], ...page }))
    const { status, stdout, stderr } = await atlas.run(['api', '/list', '--paginate', '--json'])
    expect([status, stdout, codeOf(stderr)]).toEqual([5, '', 'bad_response'])
  })

  test('paginate: counts may be texts, and empty pages end', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    serveList(atlas.server, 4, 'pages', (_, page) => ({ ...page, pages: '2', total: '4' }))
    expect(numbers((await atlas.run(['api', '/list', '--paginate'])).stdout)).toEqual([1, 2, 3, 4])
    atlas.server.clearFaults()
    atlas.server.fault('GET /list', response => answer(response, 200, { items: [], pages: 1e9 }))
    expect((await atlas.run(['api', '/list', '--paginate'])).status).toBe(5)
  })

  test('paginate: the rest of a query stays as it was typed, on a server that repeats no number too', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    serveList(atlas.server, 6, 'pages', (_, page) => ({ ...page, page: undefined }))
    const { status, stdout } = await atlas.run(['api', '/list?q=%E9+b%20c&x=[1]&page=2&y', '--paginate'])
    expect([status, numbers(stdout), atlas.server.log()]).toEqual([
      0,
      [3, 4, 5, 6],
      ['GET /api/v1/list?q=%E9+b%20c&x=[1]&page=2&y', 'GET /api/v1/list?q=%E9+b%20c&x=[1]&y&page=3'],
    ])
  })

  test('paginate: a redirect that is not followed is named on a later page too', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.server.fault('GET /list', response => answer(response, 200, { items: [1], page: 1, pages: 2 }), 1)
    atlas.server.fault('GET /list', response =>
      answer(response, 302, {}, { location: 'http://127.0.0.1:9/x' }),
    )
    const { status, stderr } = await atlas.run(['api', '/list', '--paginate'])
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining('a redirect to http://127.0.0.1:9/x, which leads out of the API'),
    ])
  })

  test('paginate: a page that takes longer than the timeout as a whole is given up', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.server.fault('GET /list', response => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const timer = setInterval(() => response.write(' '), 50)
      response.once('close', () => clearInterval(timer))
    })
    for (const more of [['--paginate'], ['--jq', '.']]) {
      const { status, stderr } = await atlas.run(['api', '/list', '--timeout', '0.5', '--json', ...more])
      expect([status, codeOf(stderr)]).toEqual([5, 'timeout'])
    }
  })

  test('paginate: a first answer that is an error is shown as without the flag', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    expect(await atlas.run(['api', '/nowhere', '--paginate'])).toEqual(await atlas.run(['api', '/nowhere']))
  })

  test('paginate: an answer that is no list is an error', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    expect(await atlas.run(['api', '/auth/me', '--paginate'])).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'atlas: The answer to GET /api/v1/auth/me has no "items", so it is no list of pages.\n' +
        '       Run the command without --paginate.\n',
    })
    const { stdout } = await atlas.run(['api', '/auth/me', '--paginate'], { stdoutIsTerminal: true })
    expect(stdout).toBe('')
  })

  test('paginate: a list that shrinks while it is read ends, which is said', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    serveList(atlas.server, 6, 'total', (number, page) => (number === 1 ? page : { ...page, total: 4 }))
    const { status, stdout, stderr } = await atlas.run(['api', '/list', '--paginate'])
    expect([status, numbers(stdout), stderr]).toEqual([
      0,
      [1, 2, 3, 4],
      'The list changed while it was read: an item may be missing, or be there twice.\n',
    ])
  })

  test('paginate: a list that shrinks and ends too soon is not all', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    serveList(atlas.server, 4, 'pages', (number, page) => ({ ...page, total: number === 1 ? 100 : 99 }))
    const { status, stdout, stderr } = await atlas.run(['api', '/list', '--paginate', '--json'])
    expect([status, stdout, JSON.parse(stderr).error.message]).toEqual([
      5,
      expect.not.stringContaining(']'),
      expect.stringContaining('it speaks of 99 items, and sent 4'),
    ])
  })

  test('paginate: on a terminal the array is indented and harmless', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.server.fault('GET /list', response =>
      answer(response, 200, { items: ['\u001b[2J'], page: 1, pages: 1 }),
    )
    const { stdout } = await atlas.run(['api', '/list', '--paginate'], { stdoutIsTerminal: true })
    expect(stdout).toBe('[\n  "\\u001b[2J"\n]\n')
  })

  test('paginate: --silent prints nothing, and gets all pages', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    serveList(atlas.server, 4)
    expect((await atlas.run(['api', '/list', '--paginate', '--silent'])).stdout).toBe('')
    expect(atlas.server.log()).toHaveLength(2)
  })

  test.each([
    [['-X', 'POST']],
    [['-X', 'HEAD']],
    [['-f', 'a=1']],
    [['--input', '-']],
    [['-X', 'GET', '--input', '-']],
    [['-i']],
  ])('paginate: %j beside it is a usage error, and nothing is asked', async args => {
    await using atlas = await inProcess({ loggedIn: true })
    expect((await atlas.run(['api', '/list', '--paginate', ...args])).status).toBe(2)
    expect(atlas.server.log()).toEqual([])
  })

  test('api: a ready-made token that has expired is named where the server answers without it', async () => {
    await using atlas = await inProcess()
    const token = signToken({ sub: 'ada' }, -3600)
    const env = { ATLAS_ACCESS_TOKEN: token, ATLAS_API_URL: atlas.server.apiRoot }
    const { status, stdout, stderr } = await atlas.run(['api', '/catalog', '--paginate'], { env })
    expect([status, stdout, stderr]).toEqual([
      0,
      '[\n"public"\n]\n',
      expect.stringMatching(
        /^ATLAS_ACCESS_TOKEN expired .*; the server may answer as to somebody who is not logged in\.\n$/,
      ),
    ])
  })
})
