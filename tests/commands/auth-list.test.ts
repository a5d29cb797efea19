import { expect, test } from 'bun:test'
import { startAtlasServer } from '../support/atlas-server.ts'
import { inProcess } from '../support/in-process.ts'

test('list: says how to begin where nobody has logged in', async () => {
  await using atlas = await inProcess()
  expect(await atlas.run(['auth', 'list'])).toEqual({
    status: 0,
    stdout: 'No profiles yet. Log in with: atlas auth login\n',
    stderr: '',
  })
})

test('list: prints every profile and marks the current one', async () => {
  await using atlas = await inProcess()
  const { server: home } = atlas
  await using work = await startAtlasServer()
  await atlas.logIn({ env: { ATLAS_PROFILE: 'home' } })
  await atlas.logIn({ server: work, env: { ATLAS_PROFILE: 'work' } })
  const list = async (): Promise<unknown> => JSON.parse((await atlas.run(['auth', 'list', '--json'])).stdout)
  const entry = (name: string, url: string, email: string | null) => ({
    name,
    api_url: url,
    email,
    store: 'file',
  })
  expect(await list()).toEqual({
    current: 'work',
    profiles: [entry('home', home.url, 'ada@example.com'), entry('work', work.url, 'ada@example.com')],
  })
  expect((await atlas.run(['auth', 'list'])).stdout).toBe(
    `  home  ${home.url}  ada@example.com  file\n* work  ${work.url}  ada@example.com  file\n`,
  )

  await atlas.run(['auth', 'logout', '--profile', 'home'])
  expect(await list()).toEqual({
    current: 'work',
    profiles: [entry('home', home.url, null), entry('work', work.url, 'ada@example.com')],
  })
})

test('list: shows a login that the server has ended as ended', async () => {
  await using atlas = await inProcess({ loggedIn: true })
  const { server } = atlas
  server.expireAccessTokens()
  server.revokeSessions()
  expect((await atlas.run(['api', '/auth/me'])).status).toBe(4)
  expect(JSON.parse((await atlas.run(['auth', 'list', '--json'])).stdout).profiles).toEqual([
    { name: 'default', api_url: server.url, email: null, store: 'file' },
  ])
  const { status, stderr } = await atlas.run(['api', '/auth/me'])
  expect({ status, stderr }).toEqual({
    status: 4,
    stderr: `atlas: Not logged in to ${server.url}.\n       Log in with: atlas auth login\n`,
  })
})
