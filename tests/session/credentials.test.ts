import { describe, expect, test } from 'bun:test'
import { signToken } from '../support/atlas-server.ts'
import { createSandbox } from '../support/binary.ts'
import { stage } from '../support/stage.ts'

describe('ATLAS_ACCESS_TOKEN', () => {
  test('ATLAS_ACCESS_TOKEN: beats the store, is sent as it is and is never refreshed', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { server } = atlas
    const env = { ATLAS_ACCESS_TOKEN: 'ready-made', ATLAS_API_URL: server.apiRoot }
    const outcome = await atlas.run(['api', '/auth/me'], { env })
    expect(outcome).toEqual({
      status: 4,
      stdout: '{"detail":"Could not validate credentials"}',
      stderr:
        'atlas: GET /api/v1/auth/me answered 401 Unauthorized: the server rejects the access token.\n' +
        '       Set ATLAS_ACCESS_TOKEN to a valid token, or unset it.\n',
    })
    expect(server.requests.map(({ headers }) => headers['authorization'])).toEqual(['Bearer ready-made'])
  })

  test('ATLAS_ACCESS_TOKEN: needs no keychain', async () => {
    using sandbox = createSandbox({})
    const soon = signToken({ sub: 'ada' }, 60)
    const { status, stdout } = await sandbox.run(['auth', 'token', '--json'], {
      env: { ATLAS_ACCESS_TOKEN: soon },
    })
    const told = JSON.parse(stdout)
    expect({ status, told }).toEqual({
      status: 0,
      told: { access_token: soon, expires_at: new Date(told.expires_at).toISOString(), source: 'env' },
    })
  })

  test('ATLAS_ACCESS_TOKEN: status shows it with the server’s answer', async () => {
    await using atlas = await stage({ store: 'unset' })
    const { status, stdout } = await atlas.run(['auth', 'status', '--json'], {
      env: { ATLAS_ACCESS_TOKEN: 'nonsense', ATLAS_API_URL: atlas.server.apiRoot },
    })
    expect({ status, ...JSON.parse(stdout) }).toMatchObject({
      status: 4,
      state: 'rejected',
      source: 'env',
      email: null,
    })
  })

  test('ATLAS_ACCESS_TOKEN: every command says when the server URL lacks the API path', async () => {
    await using atlas = await stage({ store: 'unset' })
    const { server } = atlas
    const env = { ATLAS_ACCESS_TOKEN: 'ready-made', ATLAS_API_URL: server.url }
    const hint = `With ATLAS_ACCESS_TOKEN the server URL needs the API's path too: ${server.url}/api/v1`
    const outcomes = await Promise.all(
      [['auth', 'status'], ['api', '/auth/me'], ['sync'], ['status']].map(args => atlas.run(args, { env })),
    )
    expect(outcomes.map(({ status, stderr }) => [status, stderr.includes(hint)])).toEqual([
      [0, true],
      [1, true],
      [5, true],
      [5, true],
    ])
    const { stdout } = await atlas.run(['doctor', '--json'], { env })
    const checks: { name: string; status: string }[] = JSON.parse(stdout).checks
    expect(checks.find(({ name }) => name === 'server')?.status).toBe('fail')
  })
})
