import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { sendableMethods } from '../../lib/http/methods.ts'
import { API_SEARCH, answer, type Fault, startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox, LOGIN } from '../support/binary.ts'
import { certificateTest, createAuthority } from '../support/certificates.ts'
import { answering } from '../support/hostile-answers.ts'
import { inProcess } from '../support/in-process.ts'
import { startRawServer } from '../support/raw-server.ts'
import { stage } from '../support/stage.ts'
import { startTlsFront } from '../support/tls-front.ts'

const JSON_TYPE = 'application/json; charset=utf-8'

describe('a request', () => {
  const CASES: [args: string[], method: string, path: string, type: string | null, body: string][] = [
    [['/echo'], 'GET', '/echo', null, ''],
    [['echo'], 'GET', '/echo', null, ''],
    [['/echo?a=1'], 'GET', '/echo?a=1', null, ''],
    [['/echo', '-f', 'a=1'], 'POST', '/echo', JSON_TYPE, '{"a":"1"}'],
    [
      ['/echo', '-F', 'a=1', '-F', 'b=true', '-F', 'c=null', '-F', 'd=text', '-F', 'e=007', '-F', 'f=1.5'],
      'POST',
      '/echo',
      JSON_TYPE,
      '{"a":1,"b":true,"c":null,"d":"text","e":"007","f":"1.5"}',
    ],
    [['/echo', '-f', 'a=x=y'], 'POST', '/echo', JSON_TYPE, '{"a":"x=y"}'],
    [['/echo', '--raw-field=a=-1'], 'POST', '/echo', JSON_TYPE, '{"a":"-1"}'],
    [
      ['/echo', '-F', 'a[b]=1', '-F', 'a[c][]=2', '-F', 'a[c][]=3'],
      'POST',
      '/echo',
      JSON_TYPE,
      '{"a":{"b":1,"c":[2,3]}}',
    ],
    [
      ['/echo', '-F', 'l[][a]=1', '-F', 'l[][b]=2', '-F', 'l[][a]=3'],
      'POST',
      '/echo',
      JSON_TYPE,
      '{"l":[{"a":1,"b":2},{"a":3}]}',
    ],
    [['/echo', '-X', 'GET', '-f', 'a=1 2', '-F', 'b=3'], 'GET', '/echo?a=1+2&b=3', null, ''],
    [['/echo', '-X', 'GET', '-F', 'a=null', '-F', 'b[]'], 'GET', '/echo?a=', null, ''],
    [['/echo', '-F', 'a[]', '-f', 'b[]'], 'POST', '/echo', JSON_TYPE, '{"a":[],"b":[]}'],
    [
      ['/echo', '-f', 'l[][k]=1', '-F', 'l[][n]=2', '-f', 'l[][k]=3', '-F', 'l[][n]=4'],
      'POST',
      '/echo',
      JSON_TYPE,
      '{"l":[{"k":"1","n":2},{"k":"3","n":4}]}',
    ],
    [
      ['/echo', '-X', 'GET', '-f', 'tag=a', '-F', 'n=1', '-f', 'tag=b'],
      'GET',
      '/echo?tag=a&n=1&tag=b',
      null,
      '',
    ],
    [['/echo', '-XPUT', '-f', 'a=1'], 'PUT', '/echo', JSON_TYPE, '{"a":"1"}'],
    [['/echo', '-X=PATCH', '-f=a=1'], 'PATCH', '/echo', JSON_TYPE, '{"a":"1"}'],
    [['/echo', '--method', 'delete'], 'DELETE', '/echo', null, ''],
    [['/echo', '-H', 'Content-Type: text/plain', '-f', 'a=1'], 'POST', '/echo', 'text/plain', '{"a":"1"}'],
    [['/echo', '-F', 'text=@note.txt'], 'POST', '/echo', JSON_TYPE, '{"text":"a note\\n"}'],
    [['/echo', '-f', 'text=@file'], 'POST', '/echo', JSON_TYPE, '{"text":"@file"}'],
    [['/echo', '--input', 'note.txt'], 'POST', '/echo', JSON_TYPE, 'a note\n'],
    [['/echo', '--input', 'note.txt', '-X', 'PUT', '-f', 'q=1'], 'PUT', '/echo?q=1', JSON_TYPE, 'a note\n'],
    [['/echo', '--input', '-'], 'POST', '/echo', JSON_TYPE, 'from a pipe'],
    [['/echo', '-F', 'text=@-'], 'POST', '/echo', JSON_TYPE, '{"text":"from a pipe"}'],
  ]
  test.each(
    CASES,
  )('api: sends the request of atlas api %j', async (args, method, requestPath, type, body) => {
    await using atlas = await inProcess({ loggedIn: true })
    const file = path.join(atlas.home, 'note.txt')
    fs.writeFileSync(file, 'a note\n')
    const typed = args.map(word => word.replace(/(?<=^|text=@)note\.txt$/, file))
    const { status, stdout, stderr } = await atlas.run(['api', ...typed], { input: 'from a pipe' })
    expect({ status, stderr, told: JSON.parse(stdout) }).toEqual({
      status: 0,
      stderr: '',
      told: { method, path: requestPath, type, body },
    })
  })

  test('api: reads the body from a pipe given as a file name', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { stdout } = await atlas.run([], { via: ['bash', '-c', '"$0" api /echo --input <(printf piped)'] })
    expect(JSON.parse(stdout)).toMatchObject({ method: 'POST', body: 'piped' })
  })

  test('api: HEAD with -i prints the headers', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.server.fault('HEAD /x', response => void response.writeHead(200, { 'content-length': '100' }).end())
    const { status, stdout, stderr } = await atlas.run(['api', '/x', '-X', 'HEAD', '-i'])
    expect({ status, stderr, first: stdout.split('\n')[0] }).toEqual({
      status: 0,
      stderr: '',
      first: 'HTTP/1.1 200 OK',
    })
  })

  test('api: sends the given headers beside its own', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const { server } = atlas
    await atlas.run(['api', '/echo', '-H', 'X-One: 1', '-H', 'Accept: text/plain'])
    const { authorization, accept, 'x-one': one } = server.requests[0]?.headers ?? {}
    expect({ authorization, accept, one }).toEqual({
      authorization: `Bearer ${server.lastTokens.access}`,
      accept: 'text/plain',
      one: '1',
    })
  })

  test('api: sends every value of a header that is given more than once', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    await atlas.run([
      'api',
      '/echo',
      '-H',
      'X-One: 1',
      '-H',
      'x-one: 2',
      '-H',
      'Accept: a/b',
      '-H',
      'Accept: c/d',
    ])
    const { accept, 'x-one': one } = atlas.server.requests[0]?.headers ?? {}
    expect({ accept, one }).toEqual({ accept: 'a/b, c/d', one: '1, 2' })
  })

  test('api: sends a Latin-1 header value', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    await atlas.run(['api', '/echo', '-H', 'X-Name: J\u00fcrgen'])
    expect(atlas.server.requests[0]?.headers['x-name']).toBe('J\u00fcrgen')
  })

  test('api: accepts an absolute URL of the same origin', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    expect((await atlas.run(['api', `${atlas.server.url}/health`])).stdout).toBe('{"status":"healthy"}')
  })

  test('api: an expired token is refreshed once, before it is sent', async () => {
    await using atlas = await inProcess({ loggedIn: true, jti: true })
    const { server } = atlas
    const { access: before, refresh } = server.lastTokens
    atlas.advanceClock(1_800_000)
    const { status, stdout, stderr } = await atlas.run(['api', '/auth/me'])
    expect({ status, stderr, email: JSON.parse(stdout).email }).toEqual({
      status: 0,
      stderr: '',
      email: 'ada@example.com',
    })
    const sent = server.requests.map(({ method, path: at, headers }) => [
      `${method} ${at}`,
      headers['authorization'] ?? headers['cookie'],
    ])
    expect(sent).toEqual([
      ['POST /api/v1/auth/refresh', `refresh_token=${refresh}`],
      ['GET /api/v1/auth/me', `Bearer ${server.lastTokens.access}`],
    ])
    expect(server.lastTokens.access).not.toBe(before)
  })

  test('api: sends a piped body again after a refresh', async () => {
    await using atlas = await inProcess({ rotate: true, loggedIn: true })
    const { server } = atlas
    server.expireAccessTokens()
    const { status, stdout } = await atlas.run(['api', '/echo', '--input', '-'], { input: 'once' })
    expect({ status, body: JSON.parse(stdout).body }).toEqual({ status: 0, body: 'once' })
    expect(server.requests.map(({ method, path: at, body }) => [method, at, body])).toEqual([
      ['POST', '/api/v1/echo', 'once'],
      ['POST', '/api/v1/auth/refresh', ''],
      ['POST', '/api/v1/echo', 'once'],
    ])
  })
})

describe('a redirect', () => {
  const to =
    (location: string, status = 307): Fault =>
    response =>
      void response.writeHead(status, { location }).end()

  test.each([
    'GET',
    'HEAD',
  ])('api: %s follows the redirect to a slash, with its token and headers', async method => {
    await using atlas = await inProcess({ loggedIn: true })
    const { server } = atlas
    server.fault('HEAD /admin/users', to(`${server.apiRoot}/admin/users/?page=2`))
    server.fault('HEAD /admin/users/', response => void response.end())
    const args = ['api', '/admin/users?page=2', '-X', method, '-H', 'X-One: 1']
    const { status, stdout, stderr } = await atlas.run(args)
    expect({ status, stdout, stderr }).toEqual({
      status: 0,
      stdout: method === 'HEAD' ? '' : '{"items":[],"total":0,"page":1,"page_size":20}',
      stderr: '',
    })
    const sent = server.requests.map(({ path, headers }) => [
      path,
      headers['authorization'],
      headers['x-one'],
    ])
    const bearer = `Bearer ${server.lastTokens.access}`
    expect(sent).toEqual([
      ['/api/v1/admin/users?page=2', bearer, '1'],
      ['/api/v1/admin/users/?page=2', bearer, '1'],
    ])
  })

  const HINTS: [what: string, path: string, query: string, args: string[], hint: string][] = [
    ['a path that begins with two slashes', '//dbl/x', '', [], '{root}//dbl/x'],
    ['a path that repeats that of the API', '/api/v1/x', '', [], '{root}/api/v1/x'],
    [
      'the query that a flag has added, kept',
      '/x/',
      '?q=1&a=b',
      ['-f', 'a=b', '--input', '/dev/null'],
      "'/x/?q=1'",
    ],
    ['a query of the server', '/x/', '?page=2', [], "'/x/?page=2'"],
  ]
  test.each(HINTS)('api: the command that is advised leads to %s', async (_, target, query, flags, hint) => {
    await using atlas = await inProcess({ loggedIn: true })
    const { server } = atlas
    server.fault('POST /x', to(`${server.apiRoot}${target}${query}`), 1)
    const { stderr } = await atlas.run(['api', '/x?q=1', '-X', 'POST', ...flags])
    const said = hint.replace('{root}', server.apiRoot)
    expect(stderr).toEndWith(`       Run the command with that path: atlas api ${said} …\n`)
    server.forget()
    await atlas.run(['api', said.replaceAll("'", ''), '-X', 'POST', ...flags])
    expect(server.log()).toEqual([`POST /api/v1${target}${query}`])
  })

  test('api: no part of a token in a path that a redirect made up is printed, and no endless path', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const { server } = atlas
    const token = server.lastTokens.access
    for (const piece of [
      token.slice(0, -1),
      token.slice(1),
      token.toUpperCase(),
      token.replaceAll('.', '/'),
    ]) {
      server.fault('GET /go', to(`/api/v1/zzz/${piece}`), 1)
      const { status, stderr } = await atlas.run(['api', '/go', '--debug'])
      expect({
        status,
        isSaid: stderr.includes('GET /api/v1/go, redirected to [hidden], answered 404'),
      }).toEqual({
        status: 1,
        isSaid: true,
      })
      expect(stderr.toLowerCase()).not.toContain(token.slice(40, 60).toLowerCase())
    }
    server.fault('GET /go', to(`/api/v1/${'A'.repeat(12_000)}`), 1)
    expect((await atlas.run(['api', '/go'])).stderr.length).toBeLessThan(400)
  })

  test('api: any other method says which command to run', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const { server } = atlas
    expect(await atlas.run(['api', '/admin/users?x=1', '-f', 'name=Bob'])).toEqual({
      status: 1,
      stdout: '',
      stderr:
        `atlas: POST /api/v1/admin/users answered 307 Temporary Redirect: a redirect to ${server.apiRoot}/admin/users/, which atlas follows for GET and HEAD only.\n` +
        "       Run the command with that path: atlas api '/admin/users/?x=1' …\n",
    })
    expect(server.log()).toEqual(['POST /api/v1/admin/users?x=1'])
  })

  test('api: five redirects are followed, and no sixth', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const { server } = atlas
    for (let n = 0; n < 7; n++) server.fault(`GET /${n}`, to(`${n + 1}`, 302))
    server.fault('GET /7', response => void response.end('there'))
    expect(await atlas.run(['api', '/2'])).toEqual({ status: 0, stdout: 'there', stderr: '' })
    server.forget()
    expect(await atlas.run(['api', '/1'])).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'atlas: GET /api/v1/1, redirected to /api/v1/6, answered 302 Found: a redirect to 7; atlas has followed 5 others before it, and follows no more.\n' +
        '       Run the command with that path: atlas api /7 …\n',
    })
    expect(server.log()).toEqual([1, 2, 3, 4, 5, 6].map(n => `GET /api/v1/${n}`))
  })

  test.each([
    ['another port', (url: string) => `${url.replace(/\d+$/, '1')}/api/v1/x`],
    ['another path of the server', (url: string) => `${url}/x`],
    ['a path that climbs out', () => '/api/v1/../../x'],
    ['a neighbour of the API', () => '/api/v10/x'],
    ['a user', (url: string) => `${url.replace('://', '://ada:pw@')}/api/v1/x`],
    ['a file', () => 'file:///api/v1/x'],
  ])('api: a redirect to %s is not followed', async (_, target) => {
    await using atlas = await inProcess({ loggedIn: true })
    const { server } = atlas
    server.fault('GET /go', to(target(server.url)))
    const { status, stderr } = await atlas.run(['api', '/go'])
    expect({ status, isSaid: stderr.includes('leads out of the API') }).toEqual({ status: 1, isSaid: true })
    expect(server.log()).toEqual(['GET /api/v1/go'])
  })

  certificateTest('api: a redirect to plain http on the same server is named as what it is', async () => {
    using authority = createAuthority()
    await using server = await startAtlasServer()
    await using front = await startTlsFront(server, authority.issue())
    const url = `https://localhost:${front.port}`
    using sandbox = createSandbox({
      ATLAS_CREDENTIAL_STORE: 'file',
      ATLAS_API_URL: url,
      NODE_EXTRA_CA_CERTS: authority.file,
    })
    await sandbox.logIn(server, { env: { ATLAS_API_URL: url } })
    server.forget()
    const plain = `http://localhost:${front.port}/api/v1/admin/users/`
    expect(await sandbox.run(['api', '/admin/users'])).toEqual({
      status: 1,
      stdout: '',
      stderr:
        `atlas: GET /api/v1/admin/users answered 307 Temporary Redirect: a redirect to ${plain}, the same server without TLS, where atlas sends no token. A server behind a TLS proxy does that when it does not know that clients reach it over https.\n` +
        '       Run the command with that path: atlas api /admin/users/ …\n',
    })
    expect(server.log()).toEqual(['GET /api/v1/admin/users'])
    expect((await sandbox.run(['api', '/admin/users/'])).status).toBe(0)
  })
})

describe('an answer', () => {
  const WORDS: [body: unknown, said: string][] = [
    [{ detail: 'Not enough permissions' }, ': Not enough permissions.'],
    [{ detail: [{ loc: ['query', 'size'], msg: 'Too large', input: '999' }] }, ': size: Too large.'],
    [{ error: 'Rate limit exceeded: 5 per 1 minute' }, ': Rate limit exceeded: 5 per 1 minute.'],
    [{ error: { code: 1 } }, '.'],
    ['Internal Server Error', '.'],
  ]
  test.each(WORDS)('api: an error with %j ends in the words "%s"', async (body, said) => {
    await using atlas = await inProcess({ loggedIn: true })
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    atlas.server.fault('GET /x', response => void response.writeHead(403).end(text))
    for (const flags of [[], ['--silent']])
      expect(await atlas.run(['api', '/x', ...flags])).toEqual({
        status: 1,
        stdout: flags.length > 0 ? '' : text,
        stderr: `atlas: GET /api/v1/x answered 403 Forbidden${said}\n`,
      })
  })

  test('api: a path with the API in front is understood', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    expect((await atlas.run(['api', '/api/v1/auth/me'])).status).toBe(0)
    expect(atlas.server.log()).toEqual(['GET /api/v1/auth/me'])
  })

  test('api: a token that stays rejected costs two requests and one refresh, and exits with 4', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { server } = atlas
    server.fault('GET /auth/me', response => answer(response, 401, { detail: 'never' }))
    expect(await atlas.run(['api', '/auth/me'])).toEqual({
      status: 4,
      stdout: '{"detail":"never"}',
      stderr:
        'atlas: GET /api/v1/auth/me answered 401 Unauthorized: never.\n' +
        '       Log in again with: atlas auth login\n',
    })
    expect(server.log()).toEqual(['GET /api/v1/auth/me', 'POST /api/v1/auth/refresh', 'GET /api/v1/auth/me'])
  })

  const STATUSES: [status: number, headers: Record<string, string>, stderr: string][] = [
    [300, {}, 'atlas: GET /api/v1/x answered 300 Multiple Choices.\n'],
    [
      302,
      { location: 'https://other.example/x' },
      'atlas: GET /api/v1/x answered 302 Found: a redirect to https://other.example/x, which leads out of the API; atlas does not follow it.\n',
    ],
    [403, {}, 'atlas: GET /api/v1/x answered 403 Forbidden.\n'],
    [404, {}, 'atlas: GET /api/v1/x answered 404 Not Found.\n'],
    [500, {}, 'atlas: GET /api/v1/x answered 500 Internal Server Error.\n'],
  ]
  test.each(STATUSES)('api: status %d is an error, its body printed', async (status, headers, stderr) => {
    await using atlas = await inProcess({ loggedIn: true })
    const { server } = atlas
    server.fault('GET /x', response => answer(response, status, { no: 1 }, headers))
    expect(await atlas.run(['api', '/x'])).toEqual({ status: 1, stdout: '{"no":1}', stderr })
    expect(server.log()).toEqual(['GET /api/v1/x'])
  })

  test('api: --json prints one JSON error', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const { status, stdout, stderr } = await atlas.run(['api', '/nowhere', '--json'])
    expect({ status, stdout, told: JSON.parse(stderr) }).toEqual({
      status: 1,
      stdout: '{"detail":"Not Found"}',
      told: {
        error: { code: 'api_error', message: 'GET /api/v1/nowhere answered 404 Not Found.', hint: null },
      },
    })
  })

  test('api: -i prints the bytes of a header as they came', async () => {
    const head = Buffer.from('x-utf-8: café\r\nx-latin-1: caf')
    await using server = await startRawServer(socket =>
      socket.end(
        Buffer.concat([
          Buffer.from('HTTP/1.1 200 OK\r\n'),
          head,
          Buffer.from([0xe9]),
          Buffer.from('\r\nContent-Length: 0\r\n\r\n'),
        ]),
      ),
    )
    using sandbox = createSandbox({
      ATLAS_API_URL: `http://127.0.0.1:${server.port}/api/v1`,
      ATLAS_ACCESS_TOKEN: 'token',
    })
    const child = sandbox.start(['api', '/x', '-i'], { input: '' })
    const printed = await new Response(child.stdout).bytes()
    expect(Buffer.from(printed).toString('latin1').split('\n').sort()).toEqual(
      [
        '',
        '',
        'HTTP/1.1 200 OK',
        'content-length: 0',
        'x-latin-1: caf\xe9',
        `x-utf-8: ${Buffer.from('café').toString('latin1')}`,
      ].sort(),
    )
  })

  test('api: -i prints status and headers, --silent no body', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.server.fault('GET /x', response => answer(response, 200, {}, { 'x-shown': 'yes' }))
    const { stdout } = await atlas.run(['api', '/x', '-i', '--silent'])
    const lines = stdout.split('\n')
    expect(lines[0]).toBe('HTTP/1.1 200 OK')
    expect(lines).toContain('x-shown: yes')
    expect(stdout.endsWith('\n\n')).toBe(true)
    expect(stdout).not.toContain('{}')
  })

  test('api: a pipe gets the body byte for byte, decompressed', async () => {
    await using atlas = await stage({ loggedIn: true })
    const bytes = new Uint8Array(300_000).map((_, index) => index % 251)
    atlas.server.fault('GET /x', response => {
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
        .end(Bun.gzipSync(bytes))
    })
    const child = atlas.start(['api', '/x'], { input: '' })
    expect(Buffer.from(await new Response(child.stdout).arrayBuffer()).equals(Buffer.from(bytes))).toBe(true)
    expect(await child.exited).toBe(0)
  })

  test('api: a body that is cut off is an error', async () => {
    await using atlas = await stage({ loggedIn: true })
    atlas.server.fault('GET /x', (response, _, socket) => {
      response.writeHead(200, { 'content-length': '100' }).write('part')
      setImmediate(() => socket.destroy())
    })
    const { status, stderr } = await atlas.run(['api', '/x', '--json'])
    expect({ status, code: JSON.parse(stderr).error.code }).toEqual({ status: 5, code: 'network' })
  })

  test('api: a body that stops is waited for until the timeout', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.server.fault(
      'GET /x',
      response => void response.writeHead(200, { 'content-length': '100' }).write('part'),
    )
    const { status, stdout, stderr } = await atlas.run(['api', '/x', '--json', '--timeout', '0.5'])
    expect({ status, stdout, code: JSON.parse(stderr).error.code }).toEqual({
      status: 5,
      stdout: 'part',
      code: 'timeout',
    })
  })
})

describe('a method', () => {
  test('api: sends every method, with its body if it has one', async () => {
    await using server = await startRawServer(answering('200 OK'))
    const url = `http://127.0.0.1:${server.port}/api/v1`
    using sandbox = createSandbox({ ATLAS_API_URL: url, ATLAS_ACCESS_TOKEN: 'token' })
    const methods = await sendableMethods()
    const statuses = await Promise.all(
      methods.map(
        async method => (await sandbox.run(['api', `/${method}`, '-X', method, '-f', 'a=1'])).status,
      ),
    )
    expect(statuses).toEqual(methods.map(() => 0))
    expect(server.received.match(/[A-Z-]+ \/\S* HTTP\/1\.1/g)?.toSorted()).toEqual(
      methods
        .map(method => `${method} /api/v1/${method}${carriesFields(method) ? '' : '?a=1'} HTTP/1.1`)
        .sort(),
    )
    expect(server.received.match(/\{"a":"1"\}/g)).toHaveLength(methods.filter(carriesFields).length)
  })

  const carriesFields = (method: string): boolean => method !== 'GET' && method !== 'HEAD'

  test('api: a mistyped method is answered with the nearest one', async () => {
    using sandbox = createSandbox()
    const { status, stderr } = await sandbox.run(['api', '/x', '-X', 'delte', '--json'])
    expect({ status, error: JSON.parse(stderr).error }).toEqual({
      status: 2,
      error: {
        code: 'usage',
        message: '--method is "delte", which is not an HTTP method that atlas sends.',
        hint: 'Did you mean DELETE?',
      },
    })
  })
})

describe('wrong use', () => {
  test('api: a file that is not UTF-8 is no field, and --input sends it as it is', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const file = path.join(atlas.home, 'latin1.txt')
    fs.writeFileSync(file, Buffer.from([0x63, 0xe9]))
    expect(await atlas.run(['api', '/echo', '-F', `x=@${file}`])).toEqual({
      status: 2,
      stdout: '',
      stderr:
        `atlas: ${file} is not UTF-8 text, which a field of JSON cannot hold.\n` +
        '       Send it as the whole body, with --input and its Content-Type.\n',
    })
    expect(atlas.server.log()).toEqual([])
    expect((await atlas.run(['api', '/echo', '--input', file])).status).toBe(0)
  })

  const CASES: [args: string[], message: string][] = [
    [[], 'atlas api needs PATH.'],
    [['/x', '/y'], 'atlas api takes no argument "/y".'],
    [['/x', '-f', 'novalue'], '--raw-field needs key=value; "novalue" is not that.'],
    [['/x', '-H', 'nocolon'], '--header needs "Name: value" on one line.'],
    [
      ['/x', '-H', 'X-Name: Łukasz'],
      'The value of --header X-Name holds a character that no header can carry.',
    ],
    [
      ['/x', '-H', 'X-Bell: \u0007'],
      'The value of --header X-Bell holds a character that no header can carry.',
    ],
    [['/x', '-H', 'Authorization: mine'], '--header cannot set Authorization: atlas does that itself.'],
    [['/x', '-X', 'NO SPACE'], '--method is "NO SPACE", which is not an HTTP method that atlas sends.'],
    [['/x', '-X', 'DELTE'], '--method is "DELTE", which is not an HTTP method that atlas sends.'],
    [['/x', '-X', 'FOO', '-f', 'a=1'], '--method is "FOO", which is not an HTTP method that atlas sends.'],
    [['/x', '-X', 'CONNECT'], '--method is "CONNECT", which is not an HTTP method that atlas sends.'],
    [['/x', '-X', 'TRACE'], '--method is "TRACE", which is not an HTTP method that atlas sends.'],
    [['/x', '-X', 'GET', '--input', '-'], 'GET carries no body.'],
    [['/x', '-f', 'a=1', '-f', 'a[b]=2'], 'The field "a[b]" contradicts an earlier one.'],
    [['/x', '-f', 'a[=1'], '"a[" is not a field name.'],
    [['/x', '--input', '-', '-F', 'a=@-'], 'Standard input can be read only once.'],
    [['/x', '--input', '.'], '. is a folder.'],
    [['/x', '-F', 'a=@.'], '. cannot be read (EISDIR).'],
    [
      ['/x', '-F', 'a=@/dev/zero'],
      '/dev/zero holds more than 16777216 bytes, which is too much for a field.',
    ],
    [['/notes/1\n2', '-X', 'DELETE'], 'PATH contains a control character, such as a line break.'],
    [['/x', '--input', 'missing.json'], 'missing.json cannot be read (ENOENT).'],
  ]
  test.each(CASES)('api: wrong use of atlas api %j sends nothing', async (args, message) => {
    await using atlas = await inProcess({ loggedIn: true })
    const { status, stdout, stderr } = await atlas.run(['api', ...args, '--json'])
    expect({ status, stdout, message: JSON.parse(stderr).error.message }).toEqual({
      status: 2,
      stdout: '',
      message,
    })
    expect(atlas.server.log()).toEqual([])
  })
})

test('api: a folder as standard input is an error for every option that reads it', async () => {
  await using atlas = await stage({ loggedIn: true })
  const env = { ATLAS_API_URL: atlas.server.url }
  for (const args of [['api', '/x', '--input', '-'], ['api', '/x', '-F', 'a=@-'], LOGIN]) {
    const via = ['sh', '-c', 'exec "$0" "$@" --json <.']
    const { status, stderr } = await atlas.run(args, { via, env })
    expect({ status, error: JSON.parse(stderr).error }).toEqual({
      status: 2,
      error: { code: 'usage', message: 'Standard input is a folder.', hint: 'Give a file or a pipe.' },
    })
  }
  expect(atlas.server.log()).toEqual([API_SEARCH])
})
