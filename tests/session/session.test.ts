import { describe, expect, test } from 'bun:test'
import { USER_AGENT } from '../../lib/version.ts'
import { ADA, answer, type Fault, startAtlasServer } from '../support/atlas-server.ts'
import { codeOf, createSessionKit } from '../support/session-kit.ts'

describe('login', () => {
  test('login: sends the OAuth2 password form once and keeps both tokens in one record', async () => {
    await using server = await startAtlasServer({ accessTtlS: 600, refreshTtlS: 3600 })
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    kit.clock = new Date('2026-03-04T05:06:07Z')
    await kit.logIn(ADA.email, ADA.password)

    expect(server.requests.map(({ method, path, body }) => ({ method, path, body }))).toEqual([
      {
        method: 'POST',
        path: '/api/v1/auth/login',
        body: 'grant_type=password&username=ada%40example.com&password=correct+horse',
      },
    ])
    expect(server.requests[0]?.headers).toMatchObject({
      'content-type': 'application/x-www-form-urlencoded',
      'user-agent': USER_AGENT,
    })
    expect(JSON.parse((await kit.record()) ?? '')).toEqual({
      version: 1,
      account: `default@${server.url}`,
      api_root: server.apiRoot,
      email: 'ada@example.com',
      access_token: server.lastTokens.access,
      refresh_token: server.lastTokens.refresh,
      expires_at: '2026-03-04T05:16:07.000Z',
      expires_in: 600,
      session_expires_at: '2026-03-04T06:06:07.000Z',
      writing: { id: expect.any(String), lock_id: expect.any(String) },
    })
  })

  test('login: leaves an older session alone when it fails', async () => {
    await using server = await startAtlasServer()
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    await kit.logIn(ADA.email, ADA.password)
    const before = await kit.record()
    expect(await codeOf(kit.logIn(ADA.email, 'wrong'))).toBe('bad_credentials')
    expect(await kit.record()).toBe(before ?? '')
  })
})

describe('logout', () => {
  const ANSWERS: [what: string, told: boolean, fault: Fault | undefined][] = [
    ['agrees', true, undefined],
    ['rejects the token', false, response => answer(response, 401, {})],
    ['fails', false, response => answer(response, 500, {})],
    ['resets', false, (_, __, socket) => void socket.destroy()],
  ]
  test.each(ANSWERS)('logout: deletes the credentials when the server %s', async (_, told, fault) => {
    await using server = await startAtlasServer()
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    const session = await kit.logIn(ADA.email, ADA.password)
    server.forget()
    if (fault) server.fault('POST /auth/logout', fault)
    expect(await kit.logOut()).toEqual({ session, serverTold: told })
    expect({ record: await kit.record(), log: server.log() }).toEqual({
      record: undefined,
      log: ['POST /api/v1/auth/logout'],
    })
  })

  test('logout: asks no server when nothing is stored', async () => {
    await using server = await startAtlasServer()
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    expect(await kit.logOut()).toBeUndefined()
    expect(server.log()).toEqual([])
  })

  test('logout: deletes a record that cannot be read', async () => {
    await using server = await startAtlasServer()
    using kit = createSessionKit({ apiRoot: server.apiRoot })
    await kit.store.write(kit.account, 'garbage')
    expect(await codeOf(kit.stored.require())).toBe('store_unavailable')
    expect(await kit.logOut()).toEqual({
      session: undefined,
      serverTold: false,
    })
    expect(await kit.record()).toBeUndefined()
  })
})
