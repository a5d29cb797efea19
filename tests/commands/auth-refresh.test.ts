import { describe, expect, test } from 'bun:test'
import { type AtlasServer, answer, startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox, type Sandbox } from '../support/binary.ts'

const REFRESH = 'POST /api/v1/auth/refresh'

async function loggedIn(sandbox: Sandbox, server: AtlasServer): Promise<void> {
  expect((await sandbox.logIn(server)).status).toBe(0)
  server.forget()
}

describe('auth refresh', () => {
  test('replaces the token now', async () => {
    await using server = await startAtlasServer({ rotate: true })
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    const { status, stdout } = await sandbox.run(['auth', 'refresh'])
    expect(status).toBe(0)
    expect(stdout).toStartWith(`Refreshed the session on ${server.url}; the access token is valid until `)
    expect(server.log()).toEqual([REFRESH])
    expect((await sandbox.run(['auth', 'token'])).stdout).toBe(`${server.lastTokens.access}\n`)
  })

  test('that is refused deletes the credentials and says to log in again', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    server.revokeSessions()
    expect(await sandbox.run(['auth', 'refresh'])).toEqual({
      status: 4,
      stdout: '',
      stderr:
        `atlas: The session on ${server.url} has ended: the server refused to renew it.\n` +
        '       Log in again with: atlas auth login\n',
    })
    expect(sandbox.filesHolding('access_token')).toEqual([])
  })

  test('that meets a failing server keeps the credentials', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox()
    await loggedIn(sandbox, server)
    server.fault('POST /auth/refresh', response => answer(response, 503, {}))
    expect(await sandbox.run(['auth', 'refresh'])).toEqual({
      status: 5,
      stdout: '',
      stderr: `atlas: ${server.url} failed (503) on POST /auth/refresh.\n       Try again later.\n`,
    })
    expect(sandbox.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
  })

  test('of a ready-made token is a usage error', async () => {
    using sandbox = createSandbox()
    const { status, stderr } = await sandbox.run(['auth', 'refresh', '--json'], {
      env: { ATLAS_ACCESS_TOKEN: 'ready' },
    })
    expect({ status, code: JSON.parse(stderr).error.code }).toEqual({ status: 2, code: 'usage' })
  })
})
