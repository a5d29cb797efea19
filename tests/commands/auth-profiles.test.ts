import { expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox } from '../support/binary.ts'
import { stage } from '../support/stage.ts'

test('profiles: are listed, switched and logged out separately', async () => {
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
  expect((await sandbox.run(['auth', 'token'])).stdout).toBe(`${work.lastTokens.access}\n`)

  expect((await sandbox.run(['auth', 'switch', 'home'])).stdout).toBe(
    `Switched to profile home (ada@example.com on ${home.url})\n`,
  )
  expect((await sandbox.run(['auth', 'token'])).stdout).toBe(`${home.lastTokens.access}\n`)
  expect((await sandbox.run(['auth', 'token', '--profile', 'work'])).stdout).toBe(
    `${work.lastTokens.access}\n`,
  )

  await sandbox.run(['auth', 'logout'])
  expect(await list()).toEqual({
    current: 'home',
    profiles: [entry('home', home.url, null), entry('work', work.url, 'ada@example.com')],
  })
  expect((await sandbox.run(['auth', 'switch', 'hom', '--json'])).stderr).toContain(
    'Did you mean \\"home\\"?',
  )
})

test('profiles: twelve logins at once are all remembered', async () => {
  await using atlas = await stage()
  const { server } = atlas
  const names = Array.from({ length: 12 }, (_, index) => `p${index}`)
  const outcomes = await Promise.all(names.map(name => atlas.logIn(server, { env: { ATLAS_PROFILE: name } })))
  expect(outcomes.map(({ status }) => status)).toEqual(names.map(() => 0))
  const config = JSON.parse(fs.readFileSync(path.join(atlas.configFolder, 'config.json'), 'utf8'))
  expect(config.logins.map(({ profile }: { profile: string }) => profile).sort()).toEqual([...names].sort())
})

test('profiles: the config file holds no secret', async () => {
  await using atlas = await stage({ loggedIn: true })
  expect(JSON.parse(fs.readFileSync(path.join(atlas.configFolder, 'config.json'), 'utf8'))).toEqual({
    current_profile: 'default',
    logins: [{ profile: 'default', api_url: atlas.server.url, store: 'file', email: 'ada@example.com' }],
  })
})

test('profiles: one on plain http can be listed, switched away from and logged out without --allow-http', async () => {
  using sandbox = createSandbox({})
  const login = (profile: string, apiUrl: string) => ({
    profile,
    api_url: apiUrl,
    store: 'file',
    email: 'ada@example.com',
  })
  fs.mkdirSync(sandbox.configFolder, { recursive: true })
  fs.writeFileSync(
    path.join(sandbox.configFolder, 'config.json'),
    JSON.stringify({
      current_profile: 'lan',
      logins: [login('lan', 'http://atlas.lan.example'), login('home', 'https://atlas.example')],
    }),
  )
  expect((await sandbox.run(['api', '/auth/me'])).status).toBe(2)
  expect((await sandbox.run(['auth', 'status'])).status).toBe(2)
  for (const command of [
    ['auth', 'list'],
    ['auth', 'logout'],
    ['auth', 'switch', 'home'],
  ])
    expect((await sandbox.run(command)).status).toBe(0)
})

test('profiles: an unknown profile is named, with the existing ones', async () => {
  await using atlas = await stage()
  await atlas.logIn()
  const { status, stderr } = await atlas.run(['auth', 'status', '--profile', 'defualt'])
  expect({ status, stderr }).toEqual({
    status: 4,
    stderr:
      'There is no profile "defualt" yet (--profile). Known profiles: default.\n' +
      'Log in with: atlas auth login --profile defualt\n',
  })
})

test('profiles: a login says which profile is current now, and which older login is kept', async () => {
  await using first = await startAtlasServer()
  await using second = await startAtlasServer()
  using sandbox = createSandbox()
  await sandbox.logIn(first)
  const other = await sandbox.logIn(first, { env: { ATLAS_PROFILE: 'work' } })
  expect(other.stderr.split('\n')[0]).toBe('The profile work is the current one now.')
  const moved = await sandbox.logIn(second, { env: { ATLAS_PROFILE: 'work' } })
  expect(moved.stderr.split('\n').slice(0, 2)).toEqual([
    `The profile work was logged in to ${first.url} before; that login is kept.`,
    `End it with: atlas auth logout --profile work --api-url ${first.url}`,
  ])
})
