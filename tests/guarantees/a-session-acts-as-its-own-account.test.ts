import { expect } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { ADA, type AtlasServer } from '../support/atlas-server.ts'
import type { Machine, Outcome } from '../support/binary.ts'
import { secretServiceTest } from '../support/needs.ts'
import { type Stage, stage } from '../support/stage.ts'

const BOB = {
  ...ADA,
  id: '1b9e7f3c-5a0d-4e1c-8b62-6d1f0a8e112f',
  email: 'bob@example.com',
  password: 'battery staple',
  username: 'bob',
}

const SHARED = { store: 'keychain', rotate: true, users: [ADA, BOB] } as const

/** The environment of another config folder below the same keychain. */
const otherFolder = ({ home }: Machine) => ({ ATLAS_CONFIG_DIR: path.join(home, 'other') })

const logInAsBob = (atlas: Stage): Promise<Outcome> =>
  atlas.run(['auth', 'login', '--email', BOB.email, '--password-stdin'], {
    input: `${BOB.password}\n`,
    env: otherFolder(atlas),
  })

const refusal = ({ url }: AtlasServer, here = 'ada@example.com is logged in') => ({
  code: 'not_logged_in',
  message: `The session of profile default on ${url} in the Secret Service keychain belongs to bob@example.com, but here ${here}. It is not used.`,
  hint: `Log in again with: atlas auth login. To keep both, use another profile: atlas auth login --profile NAME --api-url ${url}`,
})

const storedEmails = ({ keychain }: Stage): string[] =>
  keychain.search('atlas-cli').map(({ secret }) => JSON.parse(secret).email)

const USERS = [
  ['api', '/auth/me', '--json'],
  ['auth', 'token', '--json'],
  ['auth', 'token', '--min-ttl', '25h', '--json'],
  ['auth', 'refresh', '--json'],
  ['sync', '--json'],
  ['sync', '--dry-run', '--json'],
]

secretServiceTest(
  'accounts: no command uses the session that another config folder has put in the keychain as somebody else',
  async () => {
    await using atlas = await stage(SHARED)
    const { server } = atlas
    await atlas.logIn()
    expect(await logInAsBob(atlas)).toEqual({
      status: 0,
      stdout: `Logged in to ${server.url} as bob@example.com\n`,
      stderr: 'This login replaces that of ada@example.com in the Secret Service keychain.\n',
    })
    server.forget()
    for (const command of USERS) {
      const { status, stdout, stderr } = await atlas.run(command)
      expect({ command, status, stdout, error: JSON.parse(stderr).error }).toEqual({
        command,
        status: 4,
        stdout: '',
        error: refusal(server),
      })
    }
    expect(server.log()).toEqual([])
    expect(storedEmails(atlas)).toEqual([BOB.email])
    expect((await atlas.run(['auth', 'token'], { env: otherFolder(atlas) })).status).toBe(0)
  },
)

secretServiceTest('accounts: the reports name both accounts and ask the server nothing', async () => {
  await using atlas = await stage(SHARED)
  const { server } = atlas
  await atlas.logIn()
  await logInAsBob(atlas)
  server.forget()
  const { message, hint } = refusal(server)
  const reportOf = async (...command: string[]) => {
    const { status, stdout, stderr } = await atlas.run([...command, '--json'])
    return { status, stderr, report: JSON.parse(stdout) }
  }
  for (const flags of [[], ['--offline']])
    expect(await reportOf('auth', 'status', ...flags)).toEqual({
      status: 4,
      stderr: '',
      report: {
        state: 'not_logged_in',
        profile: 'default',
        api_url: server.url,
        email: null,
        username: null,
        role: null,
        source: null,
        store: 'keychain',
        expires_at: null,
        session_expires_at: null,
        reason: message,
      },
    })
  expect((await atlas.run(['auth', 'status'])).stderr).toBe(`${hint}\n`)
  expect(await reportOf('status')).toMatchObject({
    status: 4,
    report: { verdict: 'unknown', reason: message, email: null },
  })
  expect(server.log()).toEqual([])
  const { status, report } = await reportOf('doctor')
  const credentials = report.checks.find(({ name }: { name: string }) => name === 'credentials')
  expect({ status, credentials }).toEqual({
    status: 1,
    credentials: {
      name: 'credentials',
      status: 'fail',
      detail: message.replace('bob@', 'b…@').replace('ada@', 'a…@'),
      fix: hint,
    },
  })
})

secretServiceTest('accounts: the ways on that the refusal names work', async () => {
  await using atlas = await stage(SHARED)
  const { server } = atlas
  const userOf = async (env = {}) => {
    const { stdout } = await atlas.run(['api', '/auth/me'], { env })
    return stdout === '' ? null : JSON.parse(stdout).email
  }
  await atlas.logIn()
  await logInAsBob(atlas)
  const another = ['auth', 'login', '--profile', 'ada', '--api-url', server.url, '--email', ADA.email]
  expect(await atlas.run([...another, '--password-stdin'], { input: ADA.password })).toMatchObject({
    status: 0,
    stderr: 'The profile ada is the current one now.\n',
  })
  expect([await userOf(), await userOf(otherFolder(atlas))]).toEqual([ADA.email, BOB.email])

  expect(await atlas.logIn({ env: { ATLAS_PROFILE: 'default' } })).toMatchObject({
    status: 0,
    stderr:
      'This login replaces that of bob@example.com in the Secret Service keychain.\nThe profile default is the current one now.\n',
  })
  expect([await userOf(), await userOf(otherFolder(atlas))]).toEqual([ADA.email, null])
})

secretServiceTest('accounts: a logout says whose session it ends', async () => {
  await using atlas = await stage(SHARED)
  const { server } = atlas
  await atlas.logIn()
  await logInAsBob(atlas)
  const { status, stdout, stderr } = await atlas.run(['auth', 'logout'])
  expect({ status, stdout, first: stderr.split('\n')[0], left: storedEmails(atlas) }).toEqual({
    status: 0,
    stdout: `Logged out of ${server.url} as bob@example.com\n`,
    first: 'That login had replaced the one as ada@example.com, which was here before.',
    left: [],
  })
})

secretServiceTest('accounts: after a logout here, the login of another folder is not used here', async () => {
  await using atlas = await stage(SHARED)
  const { server } = atlas
  await atlas.logIn()
  await atlas.run(['auth', 'logout'])
  await logInAsBob(atlas)
  const { status, stderr } = await atlas.run(['auth', 'token', '--json'])
  expect({ status, ...JSON.parse(stderr) }).toEqual({
    status: 4,
    error: refusal(server, 'nobody is logged in'),
  })
})

secretServiceTest(
  'accounts: a lost config file gives the session to nobody else, so it is used',
  async () => {
    await using atlas = await stage(SHARED)
    await atlas.logIn()
    fs.rmSync(path.join(atlas.configFolder, 'config.json'))
    expect(await atlas.run(['auth', 'token'])).toEqual({
      status: 0,
      stdout: `${atlas.server.lastTokens.access}\n`,
      stderr: '',
    })
  },
)

secretServiceTest('accounts: a login to the other store says whose login it replaces', async () => {
  await using atlas = await stage(SHARED)
  await atlas.logIn()
  const bob = ['auth', 'login', '--store', 'file', '--email', BOB.email, '--password-stdin']
  const { status, stderr } = await atlas.run(bob, { input: BOB.password })
  expect({ status, first: stderr.split('\n')[0], left: storedEmails(atlas) }).toEqual({
    status: 0,
    first: 'This login replaces that of ada@example.com in the Secret Service keychain.',
    left: [],
  })
})
