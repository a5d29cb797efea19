import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createSandbox, LOGIN, type Machine, readUntil } from '../../support/binary.ts'
import { secretServiceTest, twoUsersTest } from '../../support/needs.ts'
import { openTerminal } from '../../support/pseudo-terminal.ts'
import { type SecretService, startSecretService } from '../../support/secret-service.ts'
import { startSilentBus } from '../../support/silent-bus.ts'
import { stage } from '../../support/stage.ts'

const COMMANDS = [
  LOGIN,
  ['auth', 'status'],
  ['auth', 'status', '--offline'],
  ['auth', 'token'],
  ['auth', 'refresh'],
  ['auth', 'logout'],
  ['auth', 'logout', '--all'],
  ['api', '/auth/me'],
]
/** How long a keychain is waited for, in seconds: one that answers, and one that never will. */
const PATIENT = '20'
const BRIEF = '0.5'
/** What commands may take on a busy machine, beyond that wait. */
const BOUND_MS = 6_000

/** Every command's answer, and whether the slowest came in bounded time. */
async function askAll(sandbox: Machine, env: Record<string, string>, inTurn = false) {
  const startedAt = performance.now()
  const ask = async (args: string[]) => {
    const { status, stdout, stderr } = await sandbox.run([...args, '--json'], { input: 'correct horse', env })
    const { code, hint } = JSON.parse(stderr).error
    const waysOut = ['--store file', 'ATLAS_ACCESS_TOKEN'].filter(way => hint.includes(way))
    return { args, status, stdout, code, waysOut }
  }
  const answers: Awaited<ReturnType<typeof ask>>[] = []
  if (inTurn) for (const args of COMMANDS) answers.push(await ask(args))
  else answers.push(...(await Promise.all(COMMANDS.map(ask))))
  return { answers, inTime: performance.now() - startedAt < BOUND_MS }
}

const allAnswer = (code: string) => ({
  answers: COMMANDS.map(args => ({
    args,
    status: 6,
    stdout: '',
    code,
    waysOut: ['--store file', 'ATLAS_ACCESS_TOKEN'],
  })),
  inTime: true,
})

/** What doctor finds of the store. */
async function diagnosis(sandbox: Machine, env: Record<string, string>) {
  const { status, stdout } = await sandbox.run(['doctor', '--json'], { env })
  const { checks } = JSON.parse(stdout) as { checks: { name: string; status: string; detail: string }[] }
  return { status, store: checks.find(({ name }) => name === 'store') }
}

const linuxTest = test.skipIf(process.platform !== 'linux')
linuxTest('keychain: without a session bus every command says so, with --no-input too', async () => {
  using sandbox = createSandbox({ ATLAS_API_URL: 'http://127.0.0.1:9' })
  for (const ATLAS_NO_INPUT of ['', '1'])
    expect(await askAll(sandbox, { ATLAS_NO_INPUT })).toEqual(allAnswer('store_unavailable'))
})

describe('an unavailable keychain', () => {
  type Mood = (keychain: SecretService) => void
  const MOODS: [name: string, code: string, says: string, wait: string, begin: Mood][] = [
    ['locked', 'store_locked', 'is locked', PATIENT, keychain => keychain.lock()],
    ['denied', 'store_denied', 'refused access', PATIENT, keychain => keychain.deny()],
    ['frozen', 'store_timeout', 'did not answer within 0.5 s', BRIEF, keychain => keychain.freeze()],
    ['gone', 'store_unavailable', 'cannot be used', PATIENT, keychain => keychain.killKeyring()],
    ['without its bus', 'store_unavailable', 'cannot be used', PATIENT, keychain => keychain.kill()],
  ]
  for (const [name, code, says, wait, begin] of MOODS) {
    secretServiceTest(`keychain: ${name} means ${code} for every command`, async () => {
      await using atlas = await stage({ store: 'keychain' })
      const { keychain, server } = atlas
      await atlas.logIn()
      const before = keychain.search('atlas-cli')
      server.forget()
      begin(keychain)
      const env = { ATLAS_KEYCHAIN_TIMEOUT: wait }
      // gnome-keyring shows one unlock prompt after another, and here there is nobody to end the first.
      expect(await askAll(atlas, env, name === 'locked')).toEqual(allAnswer(code))
      expect(server.log()).toEqual([])
      const { status, store } = await diagnosis(atlas, env)
      expect({ status, store: store?.status }).toEqual({ status: 1, store: 'fail' })
      expect(store?.detail).toContain(says)

      if (name === 'without its bus') return
      keychain.allow()
      await keychain.restartKeyring()
      expect(keychain.search('atlas-cli')).toEqual(before)
      expect((await atlas.run(['auth', 'status'])).status).toBe(0)
    })
  }

  secretServiceTest('keychain: a locked one is not asked for a dialogue with --no-input', async () => {
    await using atlas = await stage({ store: 'keychain', loggedIn: true })
    atlas.keychain.lock()
    for (const command of [['auth', 'token'], ['api', '/auth/me'], ['auth', 'logout'], LOGIN]) {
      const { status, stderr } = await atlas.run([...command, '--no-input'], { input: 'correct horse' })
      expect({ status, said: stderr.split('\n')[0] }).toEqual({
        status: 6,
        said: 'atlas: The Secret Service keychain is locked (Secret Service: object locked, and it may not ask).',
      })
    }
    await atlas.keychain.restartKeyring()
    expect((await atlas.run(['auth', 'refresh', '--no-input'])).status).toBe(0)
  })

  secretServiceTest('keychain: a login there is named where another store is used', async () => {
    await using atlas = await stage({ store: 'keychain', loggedIn: true })
    const { status, stderr } = await atlas.run(['auth', 'token'], { env: { ATLAS_CREDENTIAL_STORE: 'file' } })
    expect({ status, stderr }).toEqual({
      status: 4,
      stderr:
        `atlas: Not logged in to ${atlas.server.url} in ${path.join(atlas.configFolder, 'credentials')}. ada@example.com is logged in there with the store "keychain".\n` +
        '       Use that login with ATLAS_CREDENTIAL_STORE=keychain, or log in here with: atlas auth login\n',
    })
    const env = { ATLAS_CREDENTIAL_STORE: 'keychain' }
    expect((await atlas.run(['auth', 'token'], { env })).status).toBe(0)
  })

  twoUsersTest('keychain: the session of another user, as below "sudo -E", is called so', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-bus-'))
    fs.chownSync(folder, 65_534, 65_534)
    const address = `unix:path=${folder}/bus`
    const bus = Bun.spawn(
      ['dbus-daemon', '--session', '--nofork', '--print-address', `--address=${address}`],
      {
        uid: 65_534,
        gid: 65_534,
        env: { HOME: folder },
        stdout: 'pipe',
      },
    )
    await readUntil(bus.stdout, /unix:path/)
    await using atlas = await stage({ store: 'unset', env: { DBUS_SESSION_BUS_ADDRESS: address } })
    const { status, stderr } = await atlas.logIn()
    expect({ status, said: stderr.split('\n')[0] }).toEqual({
      status: 6,
      said: 'atlas: The Secret Service keychain cannot be used: the D-Bus session is another user’s, as with "sudo -E".',
    })
    bus.kill()
    await bus.exited
    fs.rmSync(folder, { recursive: true })
  })

  const ABSENT: [name: string, env: Record<string, string>][] = [
    ['no bus', {}],
    ['a bus address where nobody listens', { DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent' }],
    ['an invalid bus address', { DBUS_SESSION_BUS_ADDRESS: 'nonsense' }],
  ]
  test.each(ABSENT)('keychain: %s means store_unavailable for every command', async (_, env) => {
    await using atlas = await stage({ store: 'unset' })
    expect(await askAll(atlas, env)).toEqual(allAnswer('store_unavailable'))
    expect(atlas.server.log()).toEqual([])
  })

  secretServiceTest(
    'keychain: a bus without a Secret Service means store_unavailable for every command',
    async () => {
      await using bus = await startSecretService({ keyring: false })
      await using atlas = await stage({ store: 'unset' })
      expect(await askAll(atlas, bus.env)).toEqual(allAnswer('store_unavailable'))
      expect(atlas.server.log()).toEqual([])
    },
  )

  test('keychain: silent means store_timeout for every command', async () => {
    await using bus = await startSilentBus()
    await using atlas = await stage({ store: 'unset', env: { ...bus.env, ATLAS_KEYCHAIN_TIMEOUT: BRIEF } })
    expect(await askAll(atlas, {})).toEqual(allAnswer('store_timeout'))
    expect(atlas.server.log()).toEqual([])
    expect(await diagnosis(atlas, {})).toMatchObject({ status: 1, store: { status: 'fail' } })
  })

  test('keychain: a silent one is waited for three seconds when nobody can unlock it', async () => {
    await using bus = await startSilentBus()
    using sandbox = createSandbox(bus.env)
    const startedAt = performance.now()
    const { status, stderr } = await sandbox.run(['auth', 'status'])
    expect({ status, first: stderr.split('\n')[0] }).toEqual({
      status: 6,
      first: 'atlas: The Secret Service keychain did not answer within 3 s.',
    })
    expect(performance.now() - startedAt).toBeLessThan(3_000 + BOUND_MS)
  })

  secretServiceTest('keychain: one that dies during a call is reported at once', async () => {
    await using atlas = await stage({ store: 'keychain' })
    const { keychain, server } = atlas
    await atlas.logIn()
    const before = keychain.search('atlas-cli')
    server.forget()
    const others = keychain.clients()
    keychain.freeze()
    const child = atlas.start(['api', '/auth/me', '--json'], { env: { ATLAS_KEYCHAIN_TIMEOUT: '60' } })
    while (keychain.clients() === others) await Bun.sleep(5)
    keychain.killKeyring()
    const stderr = await new Response(child.stderr).text()
    expect({ status: await child.exited, code: JSON.parse(stderr).error.code }).toEqual({
      status: 6,
      code: 'store_unavailable',
    })
    await keychain.restartKeyring()
    expect({ log: server.log(), kept: keychain.search('atlas-cli') }).toEqual({ log: [], kept: before })
  })
})

test('keychain: login does not prompt when the keychain is unavailable', async () => {
  await using atlas = await stage({ store: 'unset' })
  const terminal = openTerminal(atlas, ['auth', 'login'])
  expect(await terminal.ended()).toBe(6)
  expect(terminal.transcript).toContain('--store file')
  expect(terminal.transcript).not.toContain('E-mail')
  expect(atlas.server.log()).toEqual([])
})

describe('commands that need no keychain', () => {
  const ALONE: [args: string[], status: number][] = [
    [['auth', 'list'], 0],
    [['auth', 'switch', 'work'], 0],
    [['completion', 'bash'], 0],
    [['__complete', 'auth', 'switch', ''], 0],
    [['--help'], 0],
    [['auth', 'login', '--help'], 0],
    [['--version'], 0],
    [['auth', 'login'], 2],
    [['auth', 'lgoin'], 2],
  ]
  test('keychain: is not touched by commands that need no credentials', async () => {
    await using bus = await startSilentBus()
    await using atlas = await stage({ store: 'unset', env: { ...bus.env } })
    await atlas.logIn({ env: { ATLAS_CREDENTIAL_STORE: 'file', ATLAS_PROFILE: 'work' } })
    for (const [args, status] of ALONE)
      expect({ args, status: (await atlas.run(args)).status }).toEqual({ args, status })
    expect(bus.connections).toBe(0)
  })

  test('keychain: is not touched when ATLAS_ACCESS_TOKEN is set', async () => {
    await using bus = await startSilentBus()
    await using atlas = await stage({ store: 'unset', withApiPath: true, env: { ...bus.env } })
    const { server } = atlas
    await atlas.logIn({ env: { ATLAS_CREDENTIAL_STORE: 'file' } })
    const env = { ATLAS_ACCESS_TOKEN: server.lastTokens.access, ATLAS_CREDENTIAL_STORE: 'keychain' }
    for (const args of [
      ['auth', 'status'],
      ['auth', 'token'],
      ['auth', 'token', '--min-ttl', '1m'],
      ['api', '/auth/me'],
      ['doctor'],
    ])
      expect({ args, status: (await atlas.run(args, { env })).status }).toEqual({ args, status: 0 })
    expect((await atlas.run(['auth', 'refresh'], { env })).status).toBe(2)
    expect(bus.connections).toBe(0)
  })
})

describe('a signal while the keychain hangs', () => {
  const ENDINGS: [signal: NodeJS.Signals, status: number][] = [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ]
  test.each(ENDINGS)('keychain: %s ends every command that waits for it', async (signal, status) => {
    await using bus = await startSilentBus()
    await using atlas = await stage({ store: 'unset', env: { ...bus.env, ATLAS_KEYCHAIN_TIMEOUT: '60' } })
    for (const args of [...COMMANDS, ['doctor']]) {
      const connected = bus.nextConnection()
      const child = atlas.start(args, { input: 'correct horse' })
      await connected
      const startedAt = performance.now()
      child.kill(signal)
      expect({ args, status: await child.exited }).toEqual({ args, status })
      expect(performance.now() - startedAt).toBeLessThan(BOUND_MS)
    }
  })
})
