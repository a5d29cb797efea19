import { expect, test } from 'bun:test'
import { startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox } from '../support/binary.ts'

test('list: prints every profile and marks the current one', async () => {
  await using home = await startAtlasServer()
  await using work = await startAtlasServer()
  using sandbox = createSandbox({})
  const store = { ATLAS_CREDENTIAL_STORE: 'file' }
  await sandbox.logIn(home, { env: { ...store, ATLAS_PROFILE: 'home' } })
  await sandbox.logIn(work, { env: { ...store, ATLAS_PROFILE: 'work' } })
  const list = async (): Promise<unknown> =>
    JSON.parse((await sandbox.run(['auth', 'list', '--json'])).stdout)
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
  expect((await sandbox.run(['auth', 'list'])).stdout).toBe(
    `  home  ${home.url}  ada@example.com  file\n* work  ${work.url}  ada@example.com  file\n`,
  )

  await sandbox.run(['auth', 'logout', '--profile', 'home'])
  expect(await list()).toEqual({
    current: 'work',
    profiles: [entry('home', home.url, null), entry('work', work.url, 'ada@example.com')],
  })
})
