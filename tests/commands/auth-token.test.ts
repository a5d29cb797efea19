import { describe, expect, test } from 'bun:test'
import { answer, signToken } from '../support/atlas-server.ts'
import { createSandbox } from '../support/binary.ts'
import { inProcess } from '../support/in-process.ts'
import { stage } from '../support/stage.ts'

const REFRESH = 'POST /api/v1/auth/refresh'

describe('auth token', () => {
  test('token: prints the stored token and a newline without any request', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { server } = atlas
    expect(await atlas.run(['auth', 'token'])).toEqual({
      status: 0,
      stdout: `${server.lastTokens.access}\n`,
      stderr: '',
    })
    expect(server.log()).toEqual([])
  })

  test('token: --min-ttl refreshes when less time is left', async () => {
    await using atlas = await inProcess({ accessTtlS: 600, loggedIn: true })
    const { server } = atlas
    const before = server.lastTokens.access
    expect((await atlas.run(['auth', 'token', '--min-ttl', '590'])).stdout).toBe(`${before}\n`)
    const fault = await atlas.run(['auth', 'token', '--min-ttl', '11m', '--json'])
    expect({ status: fault.status, stdout: fault.stdout, code: JSON.parse(fault.stderr).error.code }).toEqual(
      {
        status: 1,
        stdout: '',
        code: 'ttl_unavailable',
      },
    )
    expect(server.log()).toEqual([REFRESH])
  })

  test('token: --min-ttl counts from now, not from the login', async () => {
    await using atlas = await inProcess({ accessTtlS: 600, loggedIn: true })
    const { server } = atlas
    const before = server.lastTokens.access
    const ask = async () => (await atlas.run(['auth', 'token', '--min-ttl', '9m'])).stdout
    atlas.advanceClock(50_000)
    expect(await ask()).toBe(`${before}\n`)
    expect(server.log()).toEqual([])
    atlas.advanceClock(20_000)
    expect(await ask()).toBe(`${server.lastTokens.access}\n`)
    expect(server.log()).toEqual([REFRESH])
  })

  test('token: without a refresh token --min-ttl works only up to what is left', async () => {
    await using atlas = await inProcess()
    const { server } = atlas
    server.fault('POST /auth/login', response =>
      answer(response, 200, { access_token: 'alone', token_type: 'bearer', expires_in: 1800 }),
    )
    await atlas.logIn()
    server.forget()
    expect((await atlas.run(['auth', 'token', '--min-ttl', '10m'])).stdout).toBe('alone\n')
    const { status, stdout, stderr } = await atlas.run(['auth', 'token', '--min-ttl', '1h', '--json'])
    expect({ status, stdout, code: JSON.parse(stderr).error.code }).toEqual({
      status: 1,
      stdout: '',
      code: 'ttl_unavailable',
    })
    expect(server.log()).toEqual([])
  })

  test('token: the end that the token itself claims counts where the server gave none', async () => {
    await using atlas = await inProcess()
    const { server } = atlas
    const access = signToken({ sub: 'ada' }, 600)
    const body = { access_token: access, token_type: 'bearer' }
    server.fault('POST /auth/login', response => answer(response, 200, body))
    await atlas.logIn()
    const told = JSON.parse((await atlas.run(['auth', 'token', '--json'])).stdout)
    expect(told).toEqual({ access_token: access, expires_at: expect.any(String), source: 'file' })
    expect(Date.parse(told.expires_at) - Date.now()).toBeWithin(590_000, 600_001)
    const { status, stderr } = await atlas.run(['auth', 'token', '--min-ttl', '1h', '--json'])
    expect({ status, code: JSON.parse(stderr).error.code }).toEqual({ status: 1, code: 'ttl_unavailable' })
  })

  test('token: --json prints token, expiry and source', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const told = JSON.parse((await atlas.run(['auth', 'token', '--json'])).stdout)
    expect(told).toEqual({
      access_token: atlas.server.lastTokens.access,
      expires_at: new Date(told.expires_at).toISOString(),
      source: 'file',
    })
  })

  const DURATIONS: [text: string, status: number][] = [
    ['90s', 0],
    ['10m', 0],
    ['45', 0],
    ['1h', 1],
    ['soon', 2],
    ['-5', 2],
    ['5d', 2],
    ['', 2],
  ]
  test.each(DURATIONS)('token: --min-ttl "%s" exits with %d', async (text, status) => {
    await using atlas = await inProcess({ accessTtlS: 1800, loggedIn: true })
    expect((await atlas.run(['auth', 'token', '--min-ttl', text])).status).toBe(status)
  })

  test('token: says how to log in when nobody is logged in', async () => {
    using sandbox = createSandbox()
    expect(await sandbox.run(['auth', 'token'])).toEqual({
      status: 4,
      stdout: '',
      stderr: 'atlas: Not logged in to http://localhost:8000.\n       Log in with: atlas auth login\n',
    })
  })

  test('token: repeats --api-url and --profile in the command to log in with', async () => {
    using sandbox = createSandbox()
    const flags = ['--api-url', 'https://atlas.example.com', '--profile', 'work']
    for (const command of [
      ['auth', 'token'],
      ['api', '/x'],
      ['auth', 'refresh'],
    ]) {
      const { stderr } = await sandbox.run([...command, ...flags])
      expect(stderr).toBe(
        'atlas: Not logged in to https://atlas.example.com.\n' +
          '       Log in with: atlas auth login --api-url https://atlas.example.com --profile work\n',
      )
    }
    expect((await sandbox.run(['auth', 'status', ...flags])).stderr).toBe(
      'Log in with: atlas auth login --api-url https://atlas.example.com --profile work\n',
    )
  })
})
