import { describe, expect, test } from 'bun:test'
import { answer } from '../support/atlas-server.ts'
import { createSandbox } from '../support/binary.ts'
import { inProcess } from '../support/in-process.ts'
import { stage } from '../support/stage.ts'

const REFRESH = 'POST /api/v1/auth/refresh'

describe('auth refresh', () => {
  test('refresh: replaces the access token now', async () => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const { server } = atlas
    const { status, stdout } = await atlas.run(['auth', 'refresh'])
    expect(status).toBe(0)
    expect(stdout).toStartWith(`Refreshed the session on ${server.url}; the access token is valid until `)
    expect(server.log()).toEqual([REFRESH])
    expect((await atlas.run(['auth', 'token'])).stdout).toBe(`${server.lastTokens.access}\n`)
  })

  test('refresh: a refusal deletes the credentials and says to log in again', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const { server } = atlas
    server.revokeSessions()
    expect(await atlas.run(['auth', 'refresh'])).toEqual({
      status: 4,
      stdout: '',
      stderr:
        `atlas: The session on ${server.url} has ended: the server refused to renew it.\n` +
        '       Log in again with: atlas auth login\n',
    })
    expect(atlas.filesHolding('access_token')).toEqual([])
  })

  test('refresh: keeps the credentials when the server fails', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const { server } = atlas
    server.fault('POST /auth/refresh', response => answer(response, 503, {}))
    expect(await atlas.run(['auth', 'refresh'])).toEqual({
      status: 5,
      stdout: '',
      stderr: `atlas: ${server.url} failed (503) on POST /auth/refresh.\n       Try again later.\n`,
    })
    expect(atlas.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
  })

  test('refresh: a usage error when ATLAS_ACCESS_TOKEN is set', async () => {
    using sandbox = createSandbox()
    const { status, stderr } = await sandbox.run(['auth', 'refresh', '--json'], {
      env: { ATLAS_ACCESS_TOKEN: 'ready' },
    })
    expect({ status, code: JSON.parse(stderr).error.code }).toEqual({ status: 2, code: 'usage' })
  })
})
