import { describe, expect, test } from 'bun:test'
import type { FetchResponse } from 'ofetch'
import { answered, type BearerSource, createClient } from '../../lib/http/client.ts'
import { createBudget } from '../../lib/http/deadline.ts'
import { createHttp } from '../../lib/http/requests.ts'
import { createTransport } from '../../lib/http/transport.ts'
import { USER_AGENT } from '../../lib/version.ts'
import { type AtlasServer, answer, startAtlasServer } from '../support/atlas-server.ts'
import { startRawServer } from '../support/raw-server.ts'

const policy = {
  timeoutMs: 2_000,
  budget: createBudget(Number.POSITIVE_INFINITY),
  allowHttp: false,
  proxyOf: () => undefined,
  debug: () => {},
  isSafeToShow: () => true,
}
const transport = createTransport(policy)

/** Tokens in the order in which they are given out; each is replaced by the next. */
function tokens(...values: string[]): BearerSource & { readonly replaced: string[] } {
  const replaced: string[] = []
  return {
    replaced,
    accessToken: async () => values[0] ?? '',
    async replace(rejected) {
      replaced.push(rejected)
      if (values.length < 2) return false
      values.shift()
      return true
    },
  }
}

const clientOf = ({ apiRoot }: AtlasServer, bearer: BearerSource) =>
  createClient({ apiRoot: async () => apiRoot, bearer }, transport)

/** The code of the error that ofetch may have wrapped. */
async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    const { status } = await answered(promise as Promise<FetchResponse<unknown>>)
    return status === undefined ? 'no error' : String(status)
  } catch (error) {
    return String((error as { code?: string }).code)
  }
}

/** Answers 401 to every token but one, and tells what arrived to that one. */
function accepting(server: AtlasServer, route: string, token: string): void {
  server.fault(route, (response, { headers, body, method }) => {
    if (headers['authorization'] !== `Bearer ${token}`) return answer(response, 401, { detail: 'no' })
    answer(response, 200, { method, body, type: headers['content-type'] ?? null })
  })
}

describe('the client with a token', () => {
  const BODIES: [name: string, body: unknown, sent: string, type: string | null][] = [
    ['JSON', { a: [1, null] }, '{"a":[1,null]}', 'application/json'],
    ['a list', [1], '[1]', 'application/json'],
    [
      'a form',
      new URLSearchParams({ a: 'b c&d' }),
      'a=b+c%26d',
      'application/x-www-form-urlencoded;charset=UTF-8',
    ],
    ['bytes', new TextEncoder().encode('bytes'), 'bytes', null],
    ['a blob', new Blob(['blob'], { type: 'text/x' }), 'blob', 'text/x'],
  ]
  test.each(BODIES)('sends %s again, as it was, after a 401', async (_, body, sent, type) => {
    await using server = await startAtlasServer()
    accepting(server, 'PUT /x', 'second')
    const bearer = tokens('first', 'second')
    const told = await clientOf(server, bearer)<unknown>('/x', { method: 'PUT', body: body as never })
    expect({ told, replaced: bearer.replaced }).toEqual({
      told: { method: 'PUT', body: sent, type },
      replaced: ['first'],
    })
    expect(
      server.requests.map(({ headers, body: received }) => [headers['authorization'], received]),
    ).toEqual([
      ['Bearer first', sent],
      ['Bearer second', sent],
    ])
  })

  test('tries once more and not again', async () => {
    await using server = await startAtlasServer()
    accepting(server, 'GET /x', 'none of these')
    const bearer = tokens('first', 'second', 'third')
    expect(await failure(clientOf(server, bearer)('/x'))).toBe('401')
    expect({ requests: server.log().length, replaced: bearer.replaced }).toEqual({
      requests: 2,
      replaced: ['first'],
    })
  })

  test('takes no for an answer where there is no other token', async () => {
    await using server = await startAtlasServer()
    accepting(server, 'GET /x', 'another')
    expect(await failure(clientOf(server, tokens('first'))('/x'))).toBe('401')
    expect(server.log()).toEqual(['GET /api/v1/x'])
  })

  test.each([400, 403, 404, 409, 429, 500, 502, 503])('does not try again after %d', async status => {
    await using server = await startAtlasServer()
    server.fault('POST /x', response => answer(response, status, {}))
    expect(await failure(clientOf(server, tokens('first', 'second'))('/x', { method: 'POST' }))).toBe(
      String(status),
    )
    expect(server.log()).toEqual(['POST /api/v1/x'])
  })

  test('does not try again where the connection is torn off', async () => {
    await using server = await startAtlasServer()
    server.fault('POST /x', (_response, _request, socket) => void socket.destroy())
    expect(await failure(clientOf(server, tokens('first', 'second'))('/x', { method: 'POST' }))).toBe(
      'network',
    )
    expect(server.log()).toEqual(['POST /api/v1/x'])
  })

  test('says that a stream cannot be sent again, after the session is fresh', async () => {
    await using server = await startAtlasServer()
    accepting(server, 'POST /x', 'second')
    const bearer = tokens('first', 'second')
    const body = new Blob(['once']).stream()
    const asked = clientOf(server, bearer)('/x', { method: 'POST', body, duplex: 'half' })
    const message = await answered(asked as Promise<never>).catch(error => (error as Error).message)
    expect(message).toBe(
      'The session had to be refreshed, and the body of /api/v1/x came from a pipe that cannot be read twice.',
    )
    expect({ requests: server.log(), replaced: bearer.replaced }).toEqual({
      requests: ['POST /api/v1/x'],
      replaced: ['first'],
    })
  })

  const ANSWERS: [name: string, type: string, body: string, result: unknown][] = [
    ['JSON', 'application/json', '{"a":1}', { a: 1 }],
    ['JSON of a kind of its own', 'application/problem+json; charset=utf-8', '[1]', [1]],
    [
      'JSON that names a prototype',
      'application/json',
      '{"__proto__":{"a":1}}',
      JSON.parse('{"__proto__":{"a":1}}'),
    ],
    ['text that looks like JSON', 'text/plain', '{"a":1}', '{"a":1}'],
    ['a page', 'text/html', '<html>', '<html>'],
    ['broken JSON', 'application/json', '{"a":', 'bad_response'],
    ['a page called JSON', 'application/json', '<html>', 'bad_response'],
    ['JSON and more', 'application/json', '{}x', 'bad_response'],
    ['a word that is no JSON', 'application/json', 'undefined', 'bad_response'],
  ]
  test.each(ANSWERS)('reads %s strictly', async (_, type, body, result) => {
    await using server = await startAtlasServer()
    server.fault('GET /x', response => void response.writeHead(200, { 'content-type': type }).end(body))
    const asked = clientOf(server, tokens('first'))<unknown>('/x')
    if (result === 'bad_response') expect(await failure(asked)).toBe('bad_response')
    else expect(await asked).toEqual(result)
  })

  test('gives no token to another origin', async () => {
    await using server = await startAtlasServer()
    await using other = await startRawServer(socket => socket.end())
    const client = clientOf(server, tokens('first'))
    const { host } = new URL(server.url)
    for (const url of [
      `http://127.0.0.1:${other.port}/x`,
      `//127.0.0.1:${other.port}/x`,
      `https://${host}/x`,
      'file:///etc/passwd',
      `http://ada:pw@${host}/x`,
    ])
      expect(await failure(client(url))).toBe('usage')
    expect({ here: server.log(), there: other.connections }).toEqual({ here: [], there: 0 })
  })

  test('takes an absolute URL of its own origin', async () => {
    await using server = await startAtlasServer()
    expect(await clientOf(server, tokens('first'))<unknown>(`${server.url}/health`)).toEqual({
      status: 'healthy',
    })
  })

  test('replaces an authorization header and a user agent of the caller’s', async () => {
    await using server = await startAtlasServer()
    await clientOf(server, tokens('mine'))(`${server.url}/health`, {
      headers: { authorization: 'Bearer theirs', 'user-agent': 'theirs' },
    })
    const { authorization, 'user-agent': agent } = server.requests[0]?.headers ?? {}
    expect({ authorization, agent }).toEqual({ authorization: 'Bearer mine', agent: USER_AGENT })
  })
})

describe('a request that is sent directly', () => {
  const { ask } = createHttp(policy, () => new Date('2026-03-04T05:06:07Z'))
  const { signal } = new AbortController()

  test('carries its form, no token and no cookie', async () => {
    await using server = await startAtlasServer()
    const body = new URLSearchParams({ username: 'a', password: 'ü &' })
    const { status } = await ask(server.apiRoot, '/auth/login', { method: 'POST', body, signal })
    const [{ headers, body: sent } = { headers: {} as Record<string, string>, body: '' }] = server.requests
    const { 'content-type': type, 'user-agent': agent, authorization, cookie } = headers
    expect({ status, sent, type, agent, authorization, cookie }).toEqual({
      status: 401,
      sent: 'username=a&password=%C3%BC+%26',
      type: 'application/x-www-form-urlencoded;charset=UTF-8',
      agent: USER_AGENT,
      authorization: undefined,
      cookie: undefined,
    })
  })

  test.each([
    200, 302, 401, 404, 429, 500,
  ])('hands an answer of %d back as text, and asks once', async status => {
    await using server = await startAtlasServer()
    server.fault(
      'POST /auth/refresh',
      response => void response.writeHead(status, { 'content-type': 'application/json' }).end('{"a":'),
    )
    const answer = await ask(server.apiRoot, '/auth/refresh', { method: 'POST', signal })
    expect({
      ...answer,
      headers: answer.headers.get('content-type'),
      statusText: '',
      log: server.log(),
    }).toEqual({
      request: 'POST /auth/refresh',
      url: new URL(`${server.apiRoot}/auth/refresh`),
      status,
      statusText: '',
      headers: 'application/json',
      body: '{"a":',
      receivedAt: new Date('2026-03-04T05:06:07Z'),
      log: ['POST /api/v1/auth/refresh'],
    })
  })
})
