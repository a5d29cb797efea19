import { expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox } from '../support/binary.ts'
import { inProcess } from '../support/in-process.ts'

test('switch: later commands use the profile, its server and its session', async () => {
  await using home = await startAtlasServer()
  await using work = await startAtlasServer()
  using sandbox = createSandbox({})
  const store = { ATLAS_CREDENTIAL_STORE: 'file' }
  await sandbox.logIn(home, { env: { ...store, ATLAS_PROFILE: 'home' } })
  await sandbox.logIn(work, { env: { ...store, ATLAS_PROFILE: 'work' } })
  const token = async (...flags: string[]): Promise<string> =>
    (await sandbox.run(['auth', 'token', ...flags])).stdout
  expect(await token()).toBe(`${work.lastTokens.access}\n`)
  expect((await sandbox.run(['auth', 'switch', 'home'])).stdout).toBe(
    `Switched to profile home (ada@example.com on ${home.url})\n`,
  )
  expect(await token()).toBe(`${home.lastTokens.access}\n`)
  expect(await token('--profile', 'work')).toBe(`${work.lastTokens.access}\n`)

  await sandbox.run(['auth', 'logout'])
  const { current } = JSON.parse((await sandbox.run(['auth', 'list', '--json'])).stdout)
  expect(current).toBe('home')
  expect((await sandbox.run(['auth', 'switch', 'hom', '--json'])).stderr).toContain(
    'Did you mean \\"home\\"?',
  )
})

test('switch: names the variables that override it', async () => {
  await using atlas = await inProcess({ loggedIn: true })
  const env = { ATLAS_PROFILE: 'work', ATLAS_API_URL: 'http://127.0.0.1:9', ATLAS_ACCESS_TOKEN: 'token' }
  expect(await atlas.run(['auth', 'switch', 'default'], { env })).toEqual({
    status: 0,
    stdout: `Switched to profile default (ada@example.com on ${atlas.server.url})\n`,
    stderr: [
      'There is no profile "work" yet (ATLAS_PROFILE). Known profiles: default.',
      ...Object.keys(env).map(name => `${name} is set and overrides what this changes, until you unset it.`),
      '',
    ].join('\n'),
  })
})

test('switch: a profile on plain http can be listed, switched away from and logged out without --allow-http', async () => {
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
