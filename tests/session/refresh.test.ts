import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import { AtlasError } from '../../lib/errors.ts'
import { encodeRecord, type Session } from '../../lib/session/record.ts'
import type { CredentialStore } from '../../lib/store/store.ts'
import { ADA, answer, type Fault, startAtlasServer } from '../support/atlas-server.ts'
import { codeOf, createSessionKit, type SessionKit } from '../support/session-kit.ts'

const REFRESH = 'POST /api/v1/auth/refresh'
const ME = 'GET /api/v1/auth/me'

describe('a request after the access token has ended', () => {
  const BODIES: [kind: string, body: unknown, received: string][] = [
    ['JSON', { a: 1 }, '{"a":1}'],
    ['a string', 'plain', 'plain'],
    ['a form', new URLSearchParams({ a: 'b c' }), 'a=b+c'],
    ['bytes', new TextEncoder().encode('bytes'), 'bytes'],
    ['a blob', new Blob(['blob']), 'blob'],
  ]
  test.each(
    BODIES,
  )('refresh: a request is sent again with its body (%s) after one refresh', async (_, body, received) => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const session = await kit.logIn(ADA.email, ADA.password)
    server.expireAccessTokens()
    server.forget()

    const told = await kit.client(session)<{ body: string }>('/echo', {
      method: 'POST',
      body: body as never,
    })
    expect(told.body).toBe(received)
    expect(server.requests.map(({ method, path, body: sent }) => [method, path, sent])).toEqual([
      ['POST', '/api/v1/echo', received],
      ['POST', '/api/v1/auth/refresh', ''],
      ['POST', '/api/v1/echo', received],
    ])
    expect(
      server.requests.map(({ headers }) => [headers['authorization'] ?? null, headers['cookie'] ?? null]),
    ).toEqual([
      [`Bearer ${session.accessToken}`, null],
      [null, `refresh_token=${session.refreshToken}`],
      [`Bearer ${server.lastTokens.access}`, null],
    ])
  })

  test('refresh: a stream cannot be sent again, which the error says', async () => {
    await using server = await startAtlasServer()
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const session = await kit.logIn(ADA.email, ADA.password)
    server.expireAccessTokens()
    server.forget()
    const body = new Blob(['once']).stream()
    expect(
      await codeOf(
        kit
          .client(session)('/echo', { method: 'POST', body: body as never })
          .catch(unwrapped),
      ),
    ).toBe('network')
    expect(server.log()).toEqual(['POST /api/v1/echo', REFRESH])
    expect((await kit.stored.require()).accessToken).toBe(server.lastTokens.access)
  })

  test('refresh: happens once when the server rejects the new token too', async () => {
    await using server = await startAtlasServer()
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const session = await kit.logIn(ADA.email, ADA.password)
    server.forget()
    server.fault('GET /auth/me', response => answer(response, 401, { detail: 'no' }))
    const failure = await kit
      .client(session)('/auth/me')
      .catch((error: unknown) => error)
    expect(failure).toMatchObject({ name: 'FetchError', status: 401 })
    expect(server.log()).toEqual([ME, REFRESH, ME])
    expect((await kit.stored.require()).accessToken).toBe(server.lastTokens.access)
  })

  test('refresh: happens once for twenty requests at once', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const session = await kit.logIn(ADA.email, ADA.password)
    server.expireAccessTokens()
    server.forget()
    const client = kit.client(session)
    const answers = await Promise.all(Array.from({ length: 20 }, () => client<{ email: string }>('/auth/me')))
    expect(answers.map(({ email }) => email)).toEqual(Array(20).fill('ada@example.com'))
    expect(server.log().filter(line => line === REFRESH)).toEqual([REFRESH])
    expect(server.reuses).toBe(0)
  })
})

describe('a refresh', () => {
  test('refresh: comes before the request when less than 30 seconds are left', async () => {
    await using server = await startAtlasServer({ accessTtlS: 1800 })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const session = await kit.logIn(ADA.email, ADA.password)
    server.forget()

    kit.clock = new Date(kit.clock.getTime() + 1_770_000)
    await kit.client(session)('/auth/me')
    expect(server.log()).toEqual([ME])

    server.forget()
    kit.clock = new Date(kit.clock.getTime() + 1)
    await kit.client(session)('/auth/me')
    expect(server.log()).toEqual([REFRESH, ME])
  })

  test('refresh: keeps the new cookie when the body cannot be used', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const first = await kit.logIn(ADA.email, ADA.password)
    const headers = { 'set-cookie': 'refresh_token=next; Max-Age=60; Path=/api/v1/auth' }
    for (const body of [{ access_token: 'x', token_type: 'mac' }, { detail: 'Odd' }]) {
      server.fault('POST /auth/refresh', response => answer(response, 200, body, headers), 1)
      expect(await codeOf(kit.refresh(first))).toBe('bad_response')
      expect(await kit.stored.require()).toEqual({
        ...first,
        refreshToken: 'next',
        expiresAt: kit.clock,
        sessionExpiresAt: new Date(kit.clock.getTime() + 60_000),
        writing: expect.anything(),
      })
      await kit.store.write(kit.account, encodeRecord(kit.account, first))
    }
  })

  const HEADERS = 'Set-Cookie: refresh_token=next; Max-Age=60; Path=/api/v1/auth'
  const GOOD = JSON.stringify({ access_token: 'new', token_type: 'bearer', expires_in: 60 })
  const DAMAGED: [what: string, code: string, statusAndHeaders: string, body: string][] = [
    ['is cut off', 'network', '200 OK\r\nContent-Length: 1000', GOOD],
    ['is cut off inside a chunk', 'network', '200 OK\r\nTransfer-Encoding: chunked', `ff\r\n${GOOD}`],
    ['is beyond all bounds', 'bad_response', '200 OK\r\nContent-Length: 2000000', ' '.repeat(2_000_000)],
    [
      'is not packed as it says',
      'bad_response',
      `200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${GOOD.length}`,
      GOOD,
    ],
    ['is not there, with 204', 'bad_response', '204 No Content', ''],
    ['is empty, with 202', 'bad_response', '202 Accepted\r\nContent-Length: 0', ''],
  ]
  test.each(DAMAGED)('refresh: keeps the new cookie when the body %s', async (_, code, head, body) => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const first = await kit.logIn(ADA.email, ADA.password)
    server.fault('POST /auth/refresh', (_response, _request, socket) => {
      socket.end(`HTTP/1.1 ${head}\r\n${HEADERS}\r\n\r\n${body}`)
    })
    expect(await codeOf(kit.refresh(first))).toBe(code)
    const { refreshToken, accessToken, expiresAt } = await kit.stored.require()
    expect({ refreshToken, accessToken, expiresAt }).toEqual({
      refreshToken: 'next',
      accessToken: first.accessToken,
      expiresAt: kit.clock,
    })
  })

  test('refresh: keeps the new cookie when the body does not come in time', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot, timeoutMs: 300 })
    const first = await kit.logIn(ADA.email, ADA.password)
    server.fault('POST /auth/refresh', (_response, _request, socket) => {
      socket.write(`HTTP/1.1 200 OK\r\n${HEADERS}\r\nContent-Length: 1000\r\n\r\n{`)
    })
    expect(await codeOf(kit.refresh(first))).toBe('timeout')
    expect((await kit.stored.require()).refreshToken).toBe('next')
  })

  test.each([201, 202, 203, 299])('refresh: takes the tokens of an answer with status %d', async status => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const first = await kit.logIn(ADA.email, ADA.password)
    server.fault('POST /auth/refresh', response =>
      answer(response, status, JSON.parse(GOOD), { 'set-cookie': 'refresh_token=next' }),
    )
    const renewed = await kit.refresh(first)
    expect(await kit.stored.require()).toEqual(renewed)
    expect([renewed.accessToken, renewed.refreshToken]).toEqual(['new', 'next'])
  })

  test('refresh: has the whole request timeout, whatever limit the command has', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot, budgetMs: 200 })
    const first = await kit.logIn(ADA.email, ADA.password)
    const held = server.hold('POST /auth/refresh')
    const refreshing = kit.refresh(first)
    await held.arrived
    await Bun.sleep(700)
    held.release()
    expect((await refreshing).refreshToken).toBe(server.lastTokens.refresh)
    server.forget()
    await kit.client(await kit.stored.require())('/auth/me')
    expect(server.log()).toEqual([ME])
  })

  /** What may happen to the record between the answer and the storing. */
  const afterAnswer =
    (read: () => Promise<string | undefined>) =>
    (store: CredentialStore): CredentialStore => {
      let proven = false
      let reads = 0
      return {
        ...store,
        prove: (account, isAlone) => {
          proven = true
          return store.prove(account, isAlone)
        },
        read: account => (proven && reads++ === 0 ? read() : store.read(account)),
      }
    }

  const UNREADABLE: [what: string, fault: Error][] = [
    ['others can read it', new AtlasError('store_denied', 'Others can read it.')],
    ['no answer comes', new AtlasError('store_timeout', 'No answer.')],
    ['files run out', Object.assign(new Error('EMFILE'), { code: 'EMFILE' })],
  ]
  test.each(
    UNREADABLE,
  )('refresh: is stored although the record cannot be read again: %s', async (_, fault) => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({
      apiRoot: server.apiRoot,
      wrapStore: afterAnswer(() => Promise.reject(fault)),
    })
    const renewed = await kit.refresh(await kit.logIn(ADA.email, ADA.password))
    expect(await kit.stored.require()).toEqual(renewed)
    expect(renewed.refreshToken).toBe(server.lastTokens.refresh)
  })

  test.each([
    0o644, 0o000,
  ])('refresh: is stored although others can read the record since (mode %o)', async mode => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const seen = await kit.logIn(ADA.email, ADA.password)
    const held = server.hold('POST /auth/refresh')
    const refreshing = kit.refresh(seen)
    await held.arrived
    fs.chmodSync(kit.recordFile(), mode)
    held.release()
    expect((await refreshing).refreshToken).toBe(server.lastTokens.refresh)
    expect(fs.statSync(kit.recordFile()).mode & 0o777).toBe(0o600)
    expect((await kit.stored.require()).refreshToken).toBe(server.lastTokens.refresh)
  })

  test('refresh: what was deleted meanwhile stays deleted', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const seen = await kit.logIn(ADA.email, ADA.password)
    const held = server.hold('POST /auth/refresh')
    const refreshing = codeOf(kit.refresh(seen))
    await held.arrived
    await kit.store.delete(kit.account)
    held.release()
    expect(await refreshing).toBe('not_logged_in')
    expect(await kit.record()).toBeUndefined()
  })

  test('refresh: a refusal deletes nothing that another process has stored meanwhile', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const seen = await kit.logIn(ADA.email, ADA.password)
    server.revokeSessions()
    const held = server.hold('POST /auth/refresh')
    const refreshing = kit.refresh(seen)
    await held.arrived
    const theirs = await storeAsAnother(kit, seen)
    held.release()
    expect(await refreshing).toEqual(theirs)
    expect(await kit.stored.require()).toEqual(theirs)
  })

  test('refresh: a refusal beside a process whose lock was deleted waits for that one’s session', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const seen = await kit.logIn(ADA.email, ADA.password)
    fs.rmSync(kit.lockFile)
    server.revokeSessions()
    const held = server.hold('POST /auth/refresh')
    const refreshing = kit.refresh(seen)
    await held.arrived
    held.release()
    await held.answered
    const theirs = await storeAsAnother(kit, seen)
    expect(await refreshing).toEqual(theirs)
  })

  test('refresh: goes on with the new refresh token of another process that got no access token', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const seen = await kit.logIn(ADA.email, ADA.password)
    server.fault(
      'POST /auth/refresh',
      async response => {
        await storeAsAnother(kit, { ...seen, expiresAt: new Date(kit.clock.getTime() - 1) })
        server.fault('POST /auth/refresh', good => answer(good, 200, JSON.parse(GOOD)), 1)
        answer(response, 401, { detail: 'Used already' })
      },
      1,
    )
    const renewed = await kit.refresh(seen)
    expect([renewed.accessToken, renewed.refreshToken]).toEqual(['new', 'rotated'])
    expect(await kit.stored.require()).toEqual(renewed)
    expect(server.requests.map(({ headers }) => headers['cookie']).slice(-2)).toEqual([
      `refresh_token=${seen.refreshToken}`,
      'refresh_token=rotated',
    ])
  })

  test('refresh: writes no record again for a proof while a process beside it may store a newer one', async () => {
    await using server = await startAtlasServer({ rotate: true })
    const proofs: boolean[] = []
    const wrapStore = (store: CredentialStore): CredentialStore => ({
      ...store,
      prove: (account, isAlone) => {
        proofs.push(isAlone)
        return store.prove(account, isAlone)
      },
    })
    using kit = createSessionKit({ apiRoot: server.apiRoot, wrapStore })
    const first = await kit.refresh(await kit.logIn(ADA.email, ADA.password))
    fs.rmSync(kit.lockFile)
    await kit.refresh(await kit.refresh(first))
    expect(proofs).toEqual([true, false, true])
  })

  test('refresh: a refusal under a lock that was made anew deletes nothing at first', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const seen = await kit.logIn(ADA.email, ADA.password)
    fs.rmSync(kit.lockFile)
    server.revokeSessions()
    expect(await codeOf(kit.refresh(seen))).toBe('session_expired')
    expect(await kit.stored.require()).toEqual(seen)
  })

  test('refresh: another process’s refresh counts although the server gave the same tokens again', async () => {
    await using server = await startAtlasServer()
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const seen = await kit.logIn(ADA.email, ADA.password)
    server.fault('POST /auth/refresh', response =>
      answer(response, 200, { access_token: seen.accessToken, token_type: 'bearer', expires_in: 1800 }),
    )
    const renewed = await kit.refresh(seen)
    server.forget()
    expect(await kit.refresh(seen)).toEqual(renewed)
    expect(server.log()).toEqual([])
  })

  test('refresh: stores nothing of an unusable answer that repeats the refresh token', async () => {
    await using server = await startAtlasServer()
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const first = await kit.logIn(ADA.email, ADA.password)
    const before = await kit.record()
    const headers = { 'set-cookie': `refresh_token=${first.refreshToken}; Max-Age=60; Path=/api/v1/auth` }
    server.fault('POST /auth/refresh', response => answer(response, 200, {}, headers))
    expect(await codeOf(kit.refresh(first))).toBe('bad_response')
    expect(await kit.record()).toBe(before)
  })

  test('refresh: an expiry that was stored while the clock ran ahead does not count', async () => {
    await using server = await startAtlasServer()
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const right = kit.clock
    kit.clock = new Date(right.getTime() + 40 * 86_400_000)
    await kit.logIn(ADA.email, ADA.password)
    kit.clock = right
    server.forget()
    await kit.client(await kit.stored.require())('/auth/me')
    expect(server.log()).toEqual([REFRESH, ME])
    server.forget()
    await kit.client(await kit.stored.require())('/auth/me')
    expect(server.log()).toEqual([ME])
  })

  test('refresh: a cookie that ends at a date survives a clock that runs ahead', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const serverTime = new Date(Math.floor(Date.now() / 1000) * 1000)
    const inAWeek = new Date(serverTime.getTime() + 604_800_000)
    kit.clock = new Date(serverTime.getTime() + 864_000_000)
    const headers = {
      date: serverTime.toUTCString(),
      'set-cookie': `refresh_token=dated; Expires=${inAWeek.toUTCString()}; Path=/api/v1/auth`,
    }
    const body = { access_token: 'x', token_type: 'bearer' }
    const dated = { refreshToken: 'dated', sessionExpiresAt: new Date(kit.clock.getTime() + 604_800_000) }
    server.fault('POST /auth/login', response => answer(response, 200, body, headers))
    server.fault('POST /auth/refresh', response => answer(response, 200, body, headers))
    const first = await kit.logIn(ADA.email, ADA.password)
    expect(first).toMatchObject(dated)
    expect(await kit.refresh({ ...first, refreshToken: 'older' })).toMatchObject(dated)
  })

  test('refresh: keeps the refresh token, or stores the new one if the server sends one', async () => {
    await using server = await startAtlasServer({ rotate: false })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const first = await kit.logIn(ADA.email, ADA.password)
    const second = await kit.refresh(first)
    expect(second).toEqual({
      ...first,
      accessToken: server.lastTokens.access,
      expiresAt: second.expiresAt,
      writing: { id: expect.any(String), lockId: first.writing?.lockId ?? '' },
    })
    expect(second.writing?.id).not.toBe(first.writing?.id)

    server.fault('POST /auth/refresh', response => {
      const cookie = 'refresh_token=next; Max-Age=60; Path=/api/v1/auth'
      answer(
        response,
        200,
        { access_token: 'later', token_type: 'Bearer', expires_in: 10 },
        { 'set-cookie': cookie },
      )
    })
    expect(await kit.refresh(second)).toEqual({
      ...second,
      accessToken: 'later',
      refreshToken: 'next',
      expiresAt: new Date(kit.clock.getTime() + 10_000),
      lifetimeMs: 10_000,
      sessionExpiresAt: new Date(kit.clock.getTime() + 60_000),
      writing: expect.anything(),
    })
  })

  test('refresh: takes over what another process has stored meanwhile', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const seen = await kit.logIn(ADA.email, ADA.password)
    const renewed = await kit.refresh(seen)
    server.forget()
    expect(await kit.refresh(seen)).toEqual(renewed)
    expect(server.log()).toEqual([])
  })

  test('refresh: stores nothing after a logout meanwhile', async () => {
    await using server = await startAtlasServer()
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const seen = await kit.logIn(ADA.email, ADA.password)
    await kit.logOut()
    server.forget()
    expect(await codeOf(kit.refresh(seen))).toBe('not_logged_in')
    expect({ log: server.log(), record: await kit.record() }).toEqual({ log: [], record: undefined })
  })

  const json =
    (status: number, body: unknown): Fault =>
    response =>
      answer(response, status, body)
  const text =
    (status: number, body: string, type = 'application/json'): Fault =>
    response =>
      void response.writeHead(status, { 'content-type': type }).end(body)

  const REFUSALS: [what: string, fault: Fault][] = [
    ['401', json(401, { detail: 'expired' })],
    ['400 invalid_grant', json(400, { error: 'invalid_grant' })],
    ['400 invalid_grant as detail', json(400, { detail: 'invalid_grant' })],
  ]
  test.each(REFUSALS)('refresh: a definite refusal (%s) deletes the credentials', async (_, fault) => {
    await using server = await startAtlasServer()
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const seen = await kit.logIn(ADA.email, ADA.password)
    server.fault('POST /auth/refresh', fault)
    expect(await codeOf(kit.refresh(seen))).toBe('session_expired')
    expect(await kit.record()).toBeUndefined()
  })

  const FAILURES: [what: string, code: string, fault: Fault][] = [
    ['401 of a proxy', 'bad_response', text(401, '<html>', 'text/html')],
    ['401 of a gateway', 'bad_response', text(401, 'Jwt is missing', 'text/plain')],
    ['400 of another kind', 'bad_response', json(400, { error: 'invalid_request' })],
    ['403', 'bad_response', json(403, { detail: 'no' })],
    ['404', 'bad_response', json(404, { detail: 'Not Found' })],
    ['429', 'rate_limited', json(429, { detail: 'slow down' })],
    ['500', 'server_error', json(500, {})],
    ['503', 'server_error', text(503, '<html>', 'text/html')],
    [
      'a redirect',
      'bad_response',
      response => void response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(),
    ],
    ['HTML with 200', 'bad_response', text(200, '<!doctype html>', 'text/html')],
    ['broken JSON', 'bad_response', text(200, '{"access_token":')],
    ['null', 'bad_response', text(200, 'null')],
    ['a list', 'bad_response', text(200, '[]')],
    ['no token', 'bad_response', json(200, { token_type: 'bearer' })],
    ['an empty token', 'bad_response', json(200, { access_token: '', token_type: 'bearer' })],
    ['a token that is a number', 'bad_response', json(200, { access_token: 5, token_type: 'bearer' })],
    [
      'a token with a line break',
      'bad_response',
      json(200, { access_token: 'a\r\nb', token_type: 'bearer' }),
    ],
    ['a token with a space', 'bad_response', json(200, { access_token: 'a b', token_type: 'bearer' })],
    ['a token that is not ASCII', 'bad_response', json(200, { access_token: 'tökén', token_type: 'bearer' })],
    [
      'an over-long token',
      'bad_response',
      json(200, { access_token: 'a'.repeat(70_000), token_type: 'bearer' }),
    ],
    ['a token of another type', 'bad_response', json(200, { access_token: 'a', token_type: 'mac' })],
    ['an answer beyond all bounds', 'bad_response', text(200, ' '.repeat(2 * 1024 * 1024))],
    ['a reset', 'network', (_, __, socket) => void socket.destroy()],
    ['silence', 'timeout', () => {}],
    [
      'a body that stops',
      'timeout',
      response => void response.writeHead(200, { 'content-length': '100' }).write('{'),
    ],
  ]
  test.each(FAILURES)('refresh: %s changes nothing: %s', async (_, code, fault) => {
    await using server = await startAtlasServer()
    using kit = createSessionKit({ apiRoot: server.apiRoot, timeoutMs: 500 })
    const seen = await kit.logIn(ADA.email, ADA.password)
    const before = await kit.record()
    server.forget()
    server.fault('POST /auth/refresh', fault)
    expect(await codeOf(kit.refresh(seen))).toBe(code)
    expect({ record: await kit.record(), log: server.log() }).toEqual({ record: before, log: [REFRESH] })
  })

  const LIFETIMES: [what: string, value: unknown, secondsLeft: number | null][] = [
    ['missing', undefined, null],
    ['null', null, null],
    ['negative', -5, null],
    ['beyond all dates', 1e308, null],
    ['a word', 'soon', null],
    ['digits in a string', '60', 60],
    ['zero', 0, 0],
  ]
  test.each(
    LIFETIMES,
  )('refresh: accepts a good token whose lifetime is %s', async (_, value, secondsLeft) => {
    await using server = await startAtlasServer()
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const seen = await kit.logIn(ADA.email, ADA.password)
    server.fault(
      'POST /auth/refresh',
      json(200, { access_token: 'good', token_type: 'bearer', expires_in: value }),
    )
    const { accessToken, expiresAt } = await kit.refresh(seen)
    const left = expiresAt && (expiresAt.getTime() - kit.clock.getTime()) / 1000
    expect({ accessToken, left }).toEqual({ accessToken: 'good', left: secondsLeft })
  })

  /** A store that keeps the login, and fails at so many writes after it. */
  const failing =
    (times: number) =>
    (store: CredentialStore): CredentialStore => {
      let writes = 0
      return {
        ...store,
        async write(account, record) {
          const write = writes++
          if (write > 0 && write <= times) throw new AtlasError('store_locked', 'It is locked.')
          await store.write(account, record)
        },
      }
    }

  test('refresh: is stored although the store fails at first', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot, wrapStore: failing(2) })
    const renewed = await kit.refresh(await kit.logIn(ADA.email, ADA.password))
    expect(await kit.stored.require()).toEqual(renewed)
    expect(renewed.refreshToken).toBe(server.lastTokens.refresh)
  })

  test('refresh: says that it could not be stored, and leaves what was there', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot, wrapStore: failing(6) })
    const seen = await kit.logIn(ADA.email, ADA.password)
    const before = await kit.record()
    expect(await kit.refresh(seen).catch(error => [error.code, error.message])).toEqual([
      'store_locked',
      'The session was refreshed, but could not be stored. It is locked.',
    ])
    expect(await kit.record()).toBe(before ?? '')
  })

  test('refresh: an answer that came before a signal is stored first', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const seen = await kit.logIn(ADA.email, ADA.password)
    server.fault('POST /auth/refresh', response => {
      kit.signals.emit('SIGINT')
      answer(
        response,
        200,
        { access_token: 'kept', token_type: 'bearer' },
        { 'set-cookie': 'refresh_token=rotated' },
      )
    })
    expect(await codeOf(kit.refresh(seen))).toBe('cancelled')
    expect(await kit.stored.require()).toMatchObject({ accessToken: 'kept', refreshToken: 'rotated' })
  })
})

/** Store what another process would have got by a refresh. */
async function storeAsAnother({ store, account }: SessionKit, seen: Session): Promise<Session> {
  const writing = { id: 'x', lockId: 'y' }
  const theirs = { ...seen, accessToken: 'theirs', refreshToken: 'rotated', writing }
  await store.write(account, encodeRecord(account, theirs))
  return theirs
}

const unwrapped = (error: unknown): never => {
  throw error instanceof Error && error.cause ? error.cause : error
}
