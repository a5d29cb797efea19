import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createSandbox, LOGIN, outcomeOf, readUntil } from '../support/binary.ts'
import { startSilentBus } from '../support/silent-bus.ts'
import { stage } from '../support/stage.ts'

const REFRESH = 'POST /api/v1/auth/refresh'
/** Well below what is being waited for in each case. */
const SOON_MS = 10_000

const SIGNALS: [signal: NodeJS.Signals, status: number][] = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
  ['SIGQUIT', 131],
]
/** What few send, and ends a program all the same. */
const RARE_SIGNALS = (
  ['SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGVTALRM', 'SIGPROF', 'SIGXCPU', 'SIGIO'] as const
).map(signal => [signal, 128 + os.constants.signals[signal]] as const)
const COMMANDS = [
  ['auth', 'refresh'],
  ['auth', 'status'],
  ['api', '/auth/me'],
]
const caseOf = (signal: NodeJS.Signals, status: number, command: string[]) =>
  [signal, command.join(' '), status, command] as const
const CASES = [
  ...SIGNALS.flatMap(([signal, status]) => COMMANDS.map(command => caseOf(signal, status, command))),
  ...RARE_SIGNALS.map(([signal, status]) => caseOf(signal, status, ['auth', 'refresh'])),
]

describe('a signal while the server is about to answer a refresh', () => {
  test.each(
    CASES,
  )('signals: %s during "%s" exits with %d after the new token is stored', async (signal, _, status, command) => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const { server } = atlas
    const before = server.lastTokens.refresh
    server.expireAccessTokens()
    const held = server.hold('POST /auth/refresh')
    const child = atlas.start(command, { input: '' })
    await held.arrived
    child.kill(signal)
    held.release()
    const outcome = await outcomeOf(child)
    expect({ status: outcome.status, stdout: outcome.stdout }).toEqual({ status, stdout: '' })
    expect(server.lastTokens.refresh).not.toBe(before)
    expect(atlas.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
    expect((await atlas.run(['auth', 'refresh'])).status).toBe(0)
    expect(server.reuses).toBe(0)
  })
})

describe('a signal while a server does not answer', () => {
  test.concurrent.each(
    SIGNALS,
  )('signals: %s gives up a refresh that is not answered, and changes nothing', async (signal, status) => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const { server } = atlas
    const [record = ''] = atlas.filesHolding(server.lastTokens.refresh)
    const before = fs.readFileSync(record, 'utf8')
    const held = server.hold('POST /auth/refresh')
    const child = atlas.start(['auth', 'refresh', '--timeout', '60'])
    await held.arrived
    const startedAt = performance.now()
    child.kill(signal)
    expect(await child.exited).toBe(status)
    expect(performance.now() - startedAt).toBeLessThan(SOON_MS)
    expect(fs.readFileSync(record, 'utf8')).toBe(before)
    expect(fs.readdirSync(path.dirname(record)).filter(name => name.endsWith('.atlas-tmp'))).toEqual([])
  })

  test.each(SIGNALS)('signals: %s ends a request, a logout and a login at once', async (signal, status) => {
    await using atlas = await stage({ loggedIn: true })
    const { server } = atlas
    for (const [route, args] of [
      ['GET /auth/me', ['api', '/auth/me']],
      ['POST /auth/logout', ['auth', 'logout']],
      ['POST /auth/login', LOGIN],
    ] as const) {
      const held = server.hold(route)
      const child = atlas.start(args, { input: 'correct horse', env: { ATLAS_TIMEOUT: '60' } })
      await held.arrived
      child.kill(signal)
      expect(await child.exited).toBe(status)
    }
    expect(atlas.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
  })
})

describe('a signal while another process holds the lock', () => {
  test.each(
    SIGNALS,
  )('signals: %s ends a wait for the lock, and no refresh is sent', async (signal, status) => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const { server } = atlas
    const held = server.hold('POST /auth/refresh')
    const holder = atlas.start(['auth', 'refresh'])
    await held.arrived
    const waiting = [
      ['auth', 'refresh', '--debug'],
      ['auth', 'logout', '--debug'],
    ].map(args => atlas.start(args))
    await Promise.all(waiting.map(child => readUntil(child.stderr, /lock .*: waiting/)))
    for (const child of waiting) child.kill(signal)
    // The holder is still waiting for its answer.
    expect(await Promise.all(waiting.map(child => child.exited))).toEqual([status, status])
    held.release()
    expect(await holder.exited).toBe(0)
    expect(server.log()).toEqual([REFRESH])
  })
})

describe('a signal while a keychain does not answer', () => {
  const WAITS: [what: string, args: string[]][] = [
    ['the probe of a login', LOGIN],
    ['the first look of a request', ['api', '/auth/me']],
    ['a logout', ['auth', 'logout']],
    ['a check of the store', ['doctor']],
  ]
  test.each(WAITS)('signals: INT ends %s while a keychain does not answer', async (_, args) => {
    await using bus = await startSilentBus()
    using sandbox = createSandbox({
      ...bus.env,
      ATLAS_API_URL: 'http://127.0.0.1:9',
      ATLAS_KEYCHAIN_TIMEOUT: '600',
    })
    const connected = bus.nextConnection()
    const child = sandbox.start(args, { input: 'correct horse' })
    await connected
    const startedAt = performance.now()
    child.kill('SIGINT')
    expect(await child.exited).toBe(130)
    expect(performance.now() - startedAt).toBeLessThan(SOON_MS)
  })
})

test.each(SIGNALS)('signals: %s is ignored below nohup', async signal => {
  await using atlas = await stage({ loggedIn: true })
  const held = atlas.server.hold('GET /auth/me')
  const script = `trap '' ${signal.slice(3)}; exec "$0" api /auth/me --silent`
  const child = atlas.start([], { via: ['sh', '-c', script], input: '' })
  await held.arrived
  child.kill(signal)
  held.release()
  expect(await outcomeOf(child)).toEqual({ status: 0, stdout: '', stderr: '' })
})
test.skipIf(process.platform === 'win32').each(SIGNALS)(
  'signals: %s ends a wait for a named pipe without a writer',
  async (signal, status) => {
    using sandbox = createSandbox({ ATLAS_API_URL: 'http://127.0.0.1:1', ATLAS_ACCESS_TOKEN: 'token' })
    Bun.spawnSync(['mkfifo', path.join(sandbox.cwd, 'pipe')])
    const child = sandbox.start(['api', '/x', '-F', 'a=@pipe', '--debug'], { input: '' })
    await readUntil(child.stderr, /config folder/)
    child.kill(signal)
    expect(await child.exited).toBe(status)
  },
)
