import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { lockPath } from '../../../lib/files/lock.ts'
import { userLockFolder } from '../../../lib/files/user-folder.ts'
import { answer, signToken } from '../../support/atlas-server.ts'
import type { Outcome } from '../../support/binary.ts'
import { type InProcess, type InProcessOptions, inProcess } from '../../support/in-process.ts'
import { twoUsersTest } from '../../support/needs.ts'
import { storeSession } from '../../support/stored-session.ts'

interface Check {
  readonly name: string
  readonly status: string
  readonly detail: string
  readonly fix: string | null
}

/** One check of a report, with the moments in it made equal. */
function checkOf({ stdout }: Outcome, name: string): Check | undefined {
  const { checks } = JSON.parse(stdout.replace(/\d{4}-\d\d-\d\d \d\d:\d\d \([^)]*\)/g, 'THEN'))
  return checks.find((check: Check) => check.name === name)
}

/** A machine on which a command fails, and what doctor's check of the cause says. */
interface Case {
  readonly options?: InProcessOptions
  /** @returns the environment in which the command and doctor run. */
  readonly prepare: (atlas: InProcess) => Promise<Record<string, string>> | Record<string, string>
  readonly command?: readonly string[]
  /** The exit status of the command. */
  readonly exits: number
  readonly finding: (atlas: InProcess) => Check
}

const credentials = (status: string, detail: string, fix: string | null = null): Check => ({
  name: 'credentials',
  status,
  detail,
  fix,
})

const RENEW = 'Set ATLAS_ACCESS_TOKEN to a valid token, or unset it.'
const refused = signToken({ sub: 'ada', email: 'ada@example.com' }, 3600)
const withToken = ({ server }: InProcess, token = refused): Record<string, string> => ({
  ATLAS_ACCESS_TOKEN: token,
  ATLAS_API_URL: server.apiRoot,
})
const LOG_IN_AGAIN = 'Log in again with: atlas auth login'
const ended = ({ server }: InProcess, why: string): Check =>
  credentials('fail', `The session on ${server.url} has ended: ${why}.`, LOG_IN_AGAIN)

const CASES: Record<string, Case> = {
  'a ready-made token that the server refuses': {
    prepare: withToken,
    exits: 4,
    finding: ({ server }) =>
      credentials(
        'fail',
        `ATLAS_ACCESS_TOKEN is set, but ${server.url} rejects the access token (401).`,
        RENEW,
      ),
  },
  'a ready-made token that has expired': {
    prepare: atlas => withToken(atlas, signToken({}, -60)),
    exits: 4,
    finding: ({ server }) =>
      credentials(
        'fail',
        `ATLAS_ACCESS_TOKEN is set, but ${server.url} rejects the access token (401): ATLAS_ACCESS_TOKEN expired THEN.`,
        RENEW,
      ),
  },
  'an expired ready-made token for a server that is away': {
    prepare: () => ({ ATLAS_ACCESS_TOKEN: signToken({}, -60), ATLAS_API_URL: 'http://127.0.0.1:1' }),
    exits: 5,
    finding: () => credentials('fail', 'ATLAS_ACCESS_TOKEN expired THEN.', RENEW),
  },
  'a ready-made token for a server that is away': {
    prepare: () => ({ ATLAS_ACCESS_TOKEN: refused, ATLAS_API_URL: 'http://127.0.0.1:1' }),
    exits: 5,
    finding: () =>
      credentials('warn', 'Not checked: http://127.0.0.1:1 could not be reached: connection refused.'),
  },
  'a server that fails when it is asked who is logged in': {
    options: { loggedIn: true },
    prepare({ server }) {
      server.fault('GET /auth/me', (response, { headers }) =>
        answer(response, headers['authorization'] ? 500 : 401, { detail: '' }),
      )
      return {}
    },
    exits: 1,
    finding: ({ server }) =>
      credentials('fail', `${server.url} failed (500) on GET /auth/me.`, 'Try again later.'),
  },
  'a session that the server refuses to renew': {
    options: { loggedIn: true },
    prepare({ server }) {
      server.expireAccessTokens()
      server.revokeSessions()
      return {}
    },
    exits: 4,
    finding: atlas => ended(atlas, 'the server refused to renew it'),
  },
  'an expired session without a refresh token': {
    async prepare(atlas) {
      const expiresAt = new Date(Date.now() - 60_000)
      const { apiRoot } = atlas.server
      await storeSession(atlas, apiRoot, { refreshToken: null, expiresAt, sessionExpiresAt: null })
      return {}
    },
    exits: 4,
    finding: atlas => ended(atlas, 'the server gave no refresh token'),
  },
  'a session whose time is over': {
    options: { loggedIn: true },
    prepare(atlas) {
      atlas.server.revokeSessions()
      atlas.advanceClock(8 * 86_400_000)
      return {}
    },
    exits: 4,
    finding: () =>
      credentials('fail', 'Logged in as a…@example.com, but the session ended THEN.', LOG_IN_AGAIN),
  },
  'the session of another account': {
    options: { loggedIn: true },
    async prepare(atlas) {
      await storeSession(atlas, atlas.server.url, { email: 'bob@example.com' })
      return {}
    },
    exits: 4,
    finding: ({ server }) =>
      credentials(
        'fail',
        `The session of profile default on ${server.url} in ~/.config/atlas/credentials belongs to b…@example.com, but here a…@example.com is logged in. It is not used.`,
        `${LOG_IN_AGAIN}. To keep both, use another profile: atlas auth login --profile NAME --api-url ${server.url}`,
      ),
  },
  'a proxy that is not supported': {
    prepare: () => ({ ATLAS_API_URL: 'https://atlas.example.com', HTTPS_PROXY: 'socks5://127.0.0.1:1' }),
    exits: 2,
    finding: () => ({
      name: 'proxy',
      status: 'fail',
      detail: 'HTTPS_PROXY names a socks5 proxy, which atlas does not support.',
      fix: 'Name an http or https proxy, such as http://proxy.example.com:3128, or unset it.',
    }),
  },
  'a lock of the synced file that cannot be used': {
    options: { loggedIn: true },
    prepare({ claude, home, configFolder }) {
      for (const folder of [userLockFolder(process.getuid?.(), home), configFolder])
        fs.mkdirSync(lockPath(folder, `file ${claude.file}`), { recursive: true })
      return {}
    },
    command: ['sync'],
    exits: 5,
    finding: ({ claude }) => ({
      name: 'sync',
      status: 'fail',
      detail: `The lock ${lockPath('~/.config/atlas', `file ${claude.file}`)} cannot be used: it is not a regular file.`,
      fix: 'atlas changes nothing without it. Fix or remove that path and try again.',
    }),
  },
}

describe('what makes a command fail', () => {
  test.each(Object.entries(CASES))('doctor: does not call it ok: %s', async (_, { options, ...found }) => {
    await using atlas = await inProcess(options)
    const { prepare, command = ['api', '/auth/me'], exits, finding } = found
    const env = await prepare(atlas)
    const expected = finding(atlas)
    const outcome = await atlas.run(['doctor', '--json'], { env })
    expect(checkOf(outcome, expected.name)).toEqual(expected)
    expect((await atlas.run(command, { env })).status).toBe(exits)
    if (expected.name === 'sync')
      fs.rmSync(lockPath(userLockFolder(process.getuid?.(), atlas.home), `file ${atlas.claude.file}`), {
        recursive: true,
      })
  })

  twoUsersTest('doctor: does not call it ok: a config file that a login could not write', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const file = path.join(atlas.configFolder, 'config.json')
    const target = path.join(atlas.home, 'managed.json')
    fs.renameSync(file, target)
    fs.symlinkSync(target, file)
    fs.chownSync(target, 65_534, 65_534)
    const { detail, ...check } = checkOf(await atlas.run(['doctor', '--json']), 'config') ?? {}
    expect({ ...check, first: detail?.split('\n')[0] }).toEqual({
      name: 'config',
      status: 'fail',
      first:
        'The config file ~/.config/atlas/config.json could not be written: it is a link to ~/managed.json, which belongs to another user.',
      fix: 'Run atlas as that user, or choose another folder with ATLAS_CONFIG_DIR.',
    })
    expect((await atlas.logIn()).status).toBe(1)
  })
})

describe('a session that ends within a day', () => {
  const HOUR_MS = 3_600_000
  const LINE = /^The session on \S+ ends \S+ \S+ \(in 23 hours\)\. Log in again with: atlas auth login$/m

  test('doctor: warns of it', async () => {
    await using atlas = await inProcess({ loggedIn: true, refreshTtlS: (23.5 * HOUR_MS) / 1000 })
    expect(checkOf(await atlas.run(['doctor', '--json']), 'credentials')).toEqual(
      credentials(
        'warn',
        'Logged in as a…@example.com.\nThe server accepts it.\nThe session ends THEN.',
        LOG_IN_AGAIN,
      ),
    )
  })

  test.each([
    [['api', '/auth/me']],
    [['auth', 'token']],
    [['auth', 'refresh']],
    [['sync']],
    [['status']],
  ])('the end: %j says it once on a terminal, and nowhere else', async args => {
    await using atlas = await inProcess({ loggedIn: true, refreshTtlS: (23.4 * HOUR_MS) / 1000 })
    const onTerminal = { stdoutIsTerminal: true, stderrIsTerminal: true }
    const { stdout, stderr } = await atlas.run(args, onTerminal)
    expect([stdout.match(LINE), stderr.split('\n').filter(line => LINE.test(line)).length]).toEqual([null, 1])
    const elsewhere = [
      await atlas.run(args, { stderrIsTerminal: true }),
      await atlas.run(args, { stdoutIsTerminal: true }),
      await atlas.run([...args, '--json'], onTerminal),
    ]
    expect(elsewhere.filter(({ stdout, stderr }) => /ends|ended/.test(stdout + stderr))).toEqual([])
  })

  test('the end: is not said of a session that a refresh has just prolonged, nor of one that lasts', async () => {
    await using atlas = await inProcess({ loggedIn: true, rotate: true })
    const onTerminal = { stdoutIsTerminal: true, stderrIsTerminal: true }
    expect((await atlas.run(['api', '/auth/me'], onTerminal)).stderr).toBe('')
    atlas.advanceClock(6.5 * 24 * HOUR_MS)
    expect((await atlas.run(['api', '/auth/me'], onTerminal)).stderr).toBe('')
    expect(atlas.server.log()).toContain('POST /api/v1/auth/refresh')
  })
})

describe('what works', () => {
  test('doctor: a ready-made token that the server accepts is ok', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const env = withToken(atlas, atlas.server.lastTokens.access)
    expect(checkOf(await atlas.run(['doctor', '--json'], { env }), 'credentials')).toEqual(
      credentials(
        'ok',
        'ATLAS_ACCESS_TOKEN is set and overrides the store.\nThe server accepts it.\nIt claims to be valid until THEN.',
      ),
    )
  })

  test('doctor: a session that needs a refresh is refreshed and ok', async () => {
    await using atlas = await inProcess({ loggedIn: true, rotate: true })
    atlas.server.expireAccessTokens()
    expect(checkOf(await atlas.run(['doctor', '--json']), 'credentials')).toEqual(
      credentials('ok', 'Logged in as a…@example.com.\nThe server accepts it.\nThe session ends THEN.'),
    )
  })

  test('doctor: a server that cannot confirm who is logged in is a warning', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.server.fault('GET /auth/me', (response, { headers }) =>
      answer(response, headers['authorization'] ? 404 : 401, { detail: '' }),
    )
    expect(checkOf(await atlas.run(['doctor', '--json']), 'credentials')).toEqual(
      credentials('warn', 'Logged in as a…@example.com, but the server cannot confirm it (404).'),
    )
  })
})

const AUTHORITIES: [what: string, make: (file: string) => void, said: string][] = [
  ['missing', () => {}, 'does not exist'],
  ['a folder', file => fs.mkdirSync(file), 'cannot be read (a folder is in its place)'],
  ['without a certificate', file => fs.writeFileSync(file, 'text'), 'holds no certificate'],
]
test.each(AUTHORITIES)('doctor: warns of a file of authorities that is %s', async (_, make, said) => {
  await using atlas = await inProcess()
  const file = path.join(atlas.home, 'authorities.pem')
  make(file)
  const outcome = await atlas.run(['doctor', '--json'], { env: { NODE_EXTRA_CA_CERTS: file } })
  expect(checkOf(outcome, 'proxy')).toEqual({
    name: 'proxy',
    status: 'warn',
    detail: `NODE_EXTRA_CA_CERTS names ~/authorities.pem, which ${said}.`,
    fix: 'Correct the path, or unset it.',
  })
})
