import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { startAtlasServer } from '../support/atlas-server.ts'
import {
  createSandbox,
  createUnprivilegedSandbox,
  LOGIN,
  type Machine,
  type Outcome,
  outcomeOf,
} from '../support/binary.ts'
import { certificateTest, createAuthority } from '../support/certificates.ts'
import { createHostileFolder } from '../support/hostile-folder.ts'
import { testWith, testWithTools, twoUsersTest } from '../support/needs.ts'
import { startRawServer } from '../support/raw-server.ts'
import { stage } from '../support/stage.ts'
import { CANARY, storeSession } from '../support/stored-session.ts'

/** Commands of every kind, with nothing in their output that differs from run to run. */
const COMMANDS: string[][] = [
  ['--version'],
  ['--help'],
  ['auth', 'statsu'],
  ['completion', 'bash'],
  ['auth', 'list'],
  ['auth', 'token'],
  ['auth', 'status'],
  ['api', '/auth/me'],
]
/** With a keychain that is not there, so that its addon is loaded and the answer is always the same. */
const KEYCHAIN = { ATLAS_CREDENTIAL_STORE: 'keychain' }

async function runAll(sandbox: Machine, options: { cwd?: string; env?: Record<string, string> } = {}) {
  const outcomes: Outcome[] = []
  for (const args of COMMANDS) outcomes.push(await sandbox.run(args, options))
  outcomes.push(await sandbox.run(['auth', 'token'], { ...options, env: { ...options.env, ...KEYCHAIN } }))
  return outcomes
}

describe('a hostile current directory', () => {
  test('current directory: planted files change nothing, run nothing and receive nothing', async () => {
    await using attacker = await startRawServer(socket => socket.end())
    await using atlas = await stage({ loggedIn: true })
    const hostile = createHostileFolder(path.join(atlas.home, 'src'), `http://127.0.0.1:${attacker.port}`)

    const elsewhere = await runAll(atlas)
    const there = await runAll(atlas, { cwd: hostile.path })
    expect(there).toEqual(elsewhere)
    const { status } = await atlas.run([...LOGIN, '--json'], { cwd: hostile.path, input: 'correct horse\n' })
    expect({ status, ran: hostile.hasRun(), connections: attacker.connections }).toEqual({
      status: 0,
      ran: false,
      connections: 0,
    })
  })

  testWithTools('strace')('current directory: is never read, and no other program is started', async () => {
    await using atlas = await stage({ loggedIn: true })
    const root = path.join(atlas.home, 'src')
    const hostile = createHostileFolder(root, atlas.server.url)
    const touched: string[] = []
    let started = 0
    for (const [args, env] of [
      ...COMMANDS.map(args => [args, {}] as const),
      [['auth', 'token'], KEYCHAIN] as const,
    ]) {
      const trace = path.join(atlas.home, 'trace')
      const via = ['strace', '-f', '-e', 'trace=%file', '-o', trace]
      await atlas.run(args, { via, cwd: hostile.path, env })
      for (const line of fs.readFileSync(trace, 'utf8').split('\n')) {
        if (line.includes('execve(')) started++
        const named = /"([^"]*)"/.exec(line)?.[1]
        if (named === undefined || line.includes('getcwd(')) continue
        if (named.startsWith(root) || (!named.startsWith('/') && named !== ''))
          touched.push(`${args}: ${line}`)
      }
    }
    expect({ touched, started }).toEqual({ touched: [], started: COMMANDS.length + 1 })
  })
})

describe('environment variables', () => {
  const VARIABLES: [
    name: string,
    values: (place: { script: string; addon: string; attacker: string }) => Record<string, string>,
  ][] = [
    ['that name an addon', ({ addon }) => ({ NAPI_RS_NATIVE_LIBRARY_PATH: addon, NAPI_RS_FORCE_WASI: '1' })],
    [
      'that preload',
      ({ script }) => ({
        BUN_CONFIG_PRELOAD: script,
        BUN_PRELOAD: script,
        NODE_OPTIONS: `--require ${script}`,
      }),
    ],
    [
      'that say where packages are',
      ({ script }) => ({ NODE_PATH: path.join(path.dirname(script), 'node_modules') }),
    ],
    [
      'that print requests',
      () => ({
        BUN_CONFIG_VERBOSE_FETCH: 'curl',
        NODE_DEBUG: 'http,https,net,tls,fetch',
        DEBUG: '*',
        BUN_DEBUG_ALL: '1',
      }),
    ],
    [
      'that name a proxy',
      ({ attacker }) => ({
        HTTP_PROXY: attacker,
        http_proxy: attacker,
        HTTPS_PROXY: attacker,
        https_proxy: attacker,
        ALL_PROXY: attacker,
        all_proxy: attacker,
        BUN_CONFIG_HTTP_PROXY: attacker,
        NODE_USE_ENV_PROXY: '1',
        NO_PROXY: '',
      }),
    ],
    [
      'that say where files go',
      ({ script }) => ({
        BUN_INSTALL: path.dirname(script),
        BUN_RUNTIME_TRANSPILER_CACHE_PATH: path.dirname(script),
        NODE_V8_COVERAGE: path.dirname(script),
      }),
    ],
  ]
  test.each(VARIABLES)('variables: those %s change nothing', async (_, values) => {
    await using attacker = await startRawServer(socket => socket.end())
    await using atlas = await stage({ loggedIn: true })
    const url = `http://127.0.0.1:${attacker.port}`
    const hostile = createHostileFolder(path.join(atlas.home, 'src'), url)
    const without = await runAll(atlas)
    expect(await runAll(atlas, { env: values({ ...hostile, attacker: url }) })).toEqual(without)
    expect({ ran: hostile.hasRun(), connections: attacker.connections }).toEqual({
      ran: false,
      connections: 0,
    })
  })

  certificateTest('variables: certificate checks cannot be switched off', async () => {
    using authority = createAuthority()
    await using server = await startRawServer(socket => socket.end(), { tls: authority.issue() })
    const url = `https://localhost:${server.port}`
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: url })
    await storeSession(sandbox, url)
    const env = { NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_NO_WARNINGS: '1' }
    for (const args of [['api', '/auth/me'], ['auth', 'refresh'], LOGIN]) {
      const { status, stderr } = await sandbox.run([...args, '--json'], { env, input: CANARY.password })
      expect({ args, status, code: JSON.parse(stderr).error.code }).toEqual({ args, status: 5, code: 'tls' })
    }
    expect(server.received).toBe('')
  })

  const DEBUGGERS: [variable: string, value: string][] = [
    ['BUN_INSPECT', 'ws://127.0.0.1:0/x'],
    ['BUN_OPTIONS', '--inspect=127.0.0.1:0'],
    ['BUN_OPTIONS', '--smol --inspect-wait'],
  ]
  test.each(
    DEBUGGERS,
  )('variables: a debugger (%s=%s) is refused before a credential is read', async (variable, value) => {
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', [variable]: value })
    const { status, stdout, stderr } = await sandbox.run(['auth', 'token'])
    expect({ status, stdout, stderr: stderr.slice(stderr.indexOf('atlas:')) }).toEqual({
      status: 2,
      stdout: '',
      stderr:
        `atlas: ${variable} opens atlas to a debugger, which could read its credentials.\n` +
        `       Unset it, as in: env -u ${variable} atlas …\n`,
    })
  })

  test('variables: doctor warns of those that load other code', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { stdout } = await atlas.run(['doctor', '--json'], { env: { BUN_OPTIONS: '--smol' } })
    const [version] = JSON.parse(stdout).checks
    expect({ name: version.name, status: version.status, detail: version.detail.split('; ')[1] }).toEqual({
      name: 'version',
      status: 'warn',
      detail: 'BUN_OPTIONS can load other code into it, which could read credentials.',
    })
  })
})

/** A tmpfs mounted for one test. @returns undefined where mounting is not permitted. */
function mount(folder: string, options: string): Disposable | undefined {
  fs.mkdirSync(folder)
  if (Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', options, 'none', folder]).exitCode !== 0) return undefined
  return { [Symbol.dispose]: () => void Bun.spawnSync(['umount', '-l', folder]) }
}

const canMount = (): boolean => {
  const folder = fs.mkdtempSync('/tmp/atlas-mount-')
  try {
    using mounted = mount(path.join(folder, 'm'), 'size=1m')
    return mounted !== undefined
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

const rootTest = testWith(
  'root on Linux, with the right to mount',
  process.platform === 'linux' && process.getuid?.() === 0 && canMount(),
)

/** Runs a program for whom the user database has another home folder; one that does not exist unless given. */
function withAccountHome({ home }: Machine, accountHome = '/nonexistent'): string[] {
  const passwd = path.join(home, 'passwd')
  fs.writeFileSync(passwd, `somebody:x:${process.getuid?.()}:0::${accountHome}:/bin/sh\n`)
  return ['unshare', '-m', 'sh', '-c', `mount --bind '${passwd}' /etc/passwd && exec "$0" "$@"`]
}

describe('the temporary folder', () => {
  const uid = process.getuid?.()
  const KINDS: [name: string, reason: string, make: (place: string) => Disposable | undefined | 'nothing'][] =
    [
      ['missing', 'PLACE does not exist', () => 'nothing'],
      [
        'a file',
        'a file is in the place of its folder',
        place => {
          fs.writeFileSync(place, '')
          return 'nothing'
        },
      ],
      [
        'mounted noexec',
        'programs may not run from there (is it mounted noexec?)',
        place => mount(place, 'noexec'),
      ],
      ['read-only', 'the file system is read-only', place => mount(place, 'ro')],
      ['full', 'the disk is full', place => mount(place, 'size=1m')],
      [
        'prepared by somebody else',
        'it belongs to another user',
        place => {
          fs.mkdirSync(path.join(place, `atlas-${uid}`), { recursive: true })
          fs.chownSync(path.join(place, `atlas-${uid}`), 12_345, 12_345)
          return 'nothing'
        },
      ],
      [
        'open to everybody',
        'others can change it',
        place => {
          fs.mkdirSync(path.join(place, `atlas-${uid}`), { recursive: true })
          fs.chmodSync(path.join(place, `atlas-${uid}`), 0o777)
          return 'nothing'
        },
      ],
      [
        'one in which everybody may rename',
        'others can replace what is in PLACE',
        place => {
          fs.mkdirSync(place)
          fs.chmodSync(place, 0o777)
          return 'nothing'
        },
      ],
      [
        'a link to elsewhere',
        'it is a symbolic link',
        place => {
          fs.mkdirSync(place)
          fs.symlinkSync('/', path.join(place, `atlas-${uid}`))
          return 'nothing'
        },
      ],
    ]
  rootTest.each(KINDS)(
    'temporary folder: one that is %s stops only the keychain, and is named',
    async (_, reason, make) => {
      await using atlas = await stage({ loggedIn: true })
      const { server } = atlas
      const via = withAccountHome(atlas)
      const place = path.join(atlas.home, 'tmp')
      const made = make(place)
      if (made === undefined) throw new Error('mounting is not permitted here')
      using _mounted = made === 'nothing' ? { [Symbol.dispose]() {} } : made
      const env = { TMPDIR: place }
      const keychain = { ...env, ATLAS_CREDENTIAL_STORE: 'keychain' }

      expect(await atlas.run(['auth', 'token'], { env: keychain, via })).toEqual({
        status: 6,
        stdout: '',
        stderr:
          `atlas: The keychain support, which is unpacked into ${place}/atlas-${uid}, could not be loaded: ${reason.replace('PLACE', place)}.\n` +
          '       Set TMPDIR to a folder that exists, has room and allows programs, use "atlas auth login --store file" (plain text, readable by you alone), or set ATLAS_ACCESS_TOKEN.\n',
      })
      expect((await atlas.run(['auth', 'status'], { env })).status).toBe(0)
      expect((await atlas.run(['auth', 'refresh'], { env })).status).toBe(0)
      expect((await atlas.logIn({ env })).status).toBe(0)
      const withToken = {
        ...keychain,
        ATLAS_API_URL: server.apiRoot,
        ATLAS_ACCESS_TOKEN: server.lastTokens.access,
      }
      expect((await atlas.run(['api', '/auth/me'], { env: withToken })).status).toBe(0)
    },
  )

  rootTest('temporary folder: a relative one is refused, and nothing is written there', async () => {
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'keychain', TMPDIR: 'tmp' })
    const via = withAccountHome(sandbox)
    fs.mkdirSync(path.join(sandbox.cwd, 'tmp'))
    const { status, stderr } = await sandbox.run(['auth', 'token'], { via })
    expect({
      status,
      stderr: stderr.split('\n')[0],
      left: fs.readdirSync(path.join(sandbox.cwd, 'tmp')),
    }).toEqual({
      status: 6,
      stderr: `atlas: The keychain support, which is unpacked into tmp/atlas-${uid}, could not be loaded: TMPDIR is not an absolute path.`,
      left: [],
    })
  })

  const unpacked = (folder: string): string => {
    const place = path.join(folder, `atlas-${uid}`)
    return path.join(place, fs.readdirSync(place).find(name => name.endsWith('.node')) ?? '')
  }
  const PLANTED: [name: string, plant: (file: string, size: number) => void][] = [
    ['of another size', file => fs.writeFileSync(file, 'no addon')],
    ['of the same size', (file, size) => fs.writeFileSync(file, Buffer.alloc(size))],
    [
      'behind a link',
      (file, size) => {
        fs.rmSync(file)
        fs.writeFileSync(`${file}.target`, Buffer.alloc(size))
        fs.symlinkSync(`${file}.target`, file)
      },
    ],
  ]
  rootTest.each(PLANTED)('temporary folder: a planted addon %s is replaced, not loaded', async (_, plant) => {
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'keychain' })
    const via = withAccountHome(sandbox)
    const place = path.join(sandbox.home, 'tmp')
    fs.mkdirSync(place)
    const run = () => sandbox.run(['auth', 'token'], { env: { TMPDIR: place }, via })
    const first = await run()
    const file = unpacked(place)
    const addon = fs.readFileSync(file)
    plant(file, addon.byteLength)
    expect(await run()).toEqual(first)
    expect({ same: fs.readFileSync(file).equals(addon), link: fs.lstatSync(file).isSymbolicLink() }).toEqual({
      same: true,
      link: false,
    })
  })

  rootTest('temporary folder: twenty first runs at once leave one file', async () => {
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'keychain' })
    const via = withAccountHome(sandbox)
    const place = path.join(sandbox.home, 'tmp')
    fs.mkdirSync(place)
    const runs = await Promise.all(
      Array.from({ length: 20 }, () =>
        outcomeOf(sandbox.start(['auth', 'token'], { env: { TMPDIR: place }, input: '', via })),
      ),
    )
    expect(new Set(runs.map(({ stderr }) => stderr)).size).toBe(1)
    expect(fs.readdirSync(path.join(place, `atlas-${uid}`))).toEqual([path.basename(unpacked(place))])
  })
})

test('current directory: one that is gone or closed stops nothing', async () => {
  await using atlas = await stage({ loggedIn: true })
  const gone = path.join(atlas.home, 'gone')
  fs.mkdirSync(gone)
  const via = ['sh', '-c', 'rmdir "$PWD" && exec "$0" auth status --json']
  const { status, stdout } = await atlas.run([], { via, cwd: gone })
  expect({ status, state: JSON.parse(stdout).state }).toEqual({ status: 0, state: 'authenticated' })
})

describe('a user without an entry in the user database, as in containers', () => {
  const stranger = { uid: 12_345, gid: 12_345 }

  twoUsersTest('unknown user: needs no home folder but for what is kept there', async () => {
    await using server = await startAtlasServer()
    using sandbox = createUnprivilegedSandbox(
      { ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url },
      stranger,
    )
    const env = { HOME: undefined, ATLAS_CONFIG_DIR: path.join(sandbox.home, 'config') }
    expect((await sandbox.logIn(server, { env })).status).toBe(0)
    const me = await sandbox.run(['auth', 'status', '--json'], { env })
    expect({ ...me, stdout: JSON.parse(me.stdout).state }).toEqual({
      status: 0,
      stdout: 'authenticated',
      stderr: '',
    })
    const refused = (instead: string) => ({
      status: 2,
      stdout: '',
      stderr:
        'atlas: HOME is not set, and the user database has no home folder for this user.\n' +
        `       Set HOME or ${instead} to a folder of this user.\n`,
    })
    expect(await sandbox.run(['sync'], { env })).toEqual(refused('CLAUDE_CONFIG_DIR'))
    const without = { env: { HOME: undefined } }
    expect(await sandbox.run(['auth', 'status'], without)).toEqual(refused('ATLAS_CONFIG_DIR'))
    expect((await sandbox.run(['--help'], without)).status).toBe(0)
  })

  twoUsersTest('unknown user: locks keychain items by the user number', async () => {
    using sandbox = createUnprivilegedSandbox({ ATLAS_CREDENTIAL_STORE: 'keychain' }, stranger)
    const config = path.join(sandbox.home, 'config')
    const env = { HOME: undefined, TMPDIR: sandbox.home, ATLAS_CONFIG_DIR: config }
    const { status, stderr } = await sandbox.run(['auth', 'status', '--offline'], { env })
    expect({ status, said: stderr.split(' (')[0] }).toEqual({
      status: 6,
      said: 'atlas: The Secret Service keychain cannot be used',
    })
  })
})

describe('the cache folder', () => {
  const uid = process.getuid?.()
  const namesIn = (folder: string): string[] =>
    fs.existsSync(folder) ? fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort() : []
  const addonsIn = (folder: string) =>
    namesIn(folder)
      .filter(name => name.endsWith('.node'))
      .map(name => ({ name: path.dirname(name), ino: fs.statSync(path.join(folder, name)).ino }))
  const NO_BUS = 'atlas: The Secret Service keychain cannot be used'
  const answer = async (outcome: Promise<Outcome>) => (await outcome).stderr.split(' (')[0]

  rootTest('keychain addon: is unpacked once, into the cache of the account’s home folder', async () => {
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'keychain' })
    const account = path.join(sandbox.home, 'account')
    fs.mkdirSync(account)
    const via = withAccountHome(sandbox, account)
    expect(await answer(sandbox.run(['auth', 'token'], { via }))).toBe(NO_BUS)
    const found = addonsIn(account)
    expect(found.map(({ name }) => name)).toEqual(['.cache/atlas'])
    expect(fs.statSync(path.join(account, '.cache', 'atlas')).mode & 0o777).toBe(0o700)
    expect(await answer(sandbox.run(['auth', 'token'], { via }))).toBe(NO_BUS)
    expect(addonsIn(account)).toEqual(found)
  })

  rootTest('keychain addon: is not looked for where HOME leads', async () => {
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'keychain' })
    const account = path.join(sandbox.home, 'account')
    fs.mkdirSync(account)
    const run = (env: Record<string, string>) =>
      answer(sandbox.run(['auth', 'token'], { via: withAccountHome(sandbox, account), env }))
    expect(await run({})).toBe(NO_BUS)
    const cloned = path.join(sandbox.home, 'cloned')
    fs.cpSync(account, cloned, { recursive: true })
    const [planted = ''] = namesIn(cloned).filter(name => name.endsWith('.node'))
    const { size } = fs.statSync(path.join(cloned, planted))
    fs.writeFileSync(path.join(cloned, planted), Buffer.alloc(size))
    expect(await run({ HOME: cloned })).toBe(NO_BUS)
    expect(fs.readFileSync(path.join(cloned, planted)).equals(Buffer.alloc(size))).toBe(true)
  })

  const UNFIT: [what: string, spoil: (account: string) => Disposable | undefined][] = [
    ['does not exist', account => void fs.rmdirSync(account)],
    ['belongs to another user', account => void fs.chownSync(account, 12_345, 12_345)],
    ['lies where everybody may rename', account => void fs.chmodSync(path.dirname(account), 0o777)],
    ['is mounted noexec', account => mount(path.join(account, '.cache'), 'noexec,mode=700')],
    ['is read-only', account => mount(path.join(account, '.cache'), 'ro')],
    ['is full', account => mount(path.join(account, '.cache'), 'size=1m,mode=700')],
  ]
  rootTest.each(UNFIT)(
    'keychain addon: where the home folder %s, the temporary folder is used',
    async (_, spoil) => {
      using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'keychain' })
      const account = path.join(sandbox.home, 'parent', 'account')
      const place = path.join(sandbox.home, 'tmp')
      for (const folder of [account, place]) fs.mkdirSync(folder, { recursive: true })
      using _spoilt = spoil(account)
      const via = withAccountHome(sandbox, account)
      expect(await answer(sandbox.run(['auth', 'token'], { via, env: { TMPDIR: place } }))).toBe(NO_BUS)
      expect(addonsIn(place).map(({ name }) => name)).toEqual([`atlas-${uid}`])
    },
  )

  const foreignTest = Bun.which('cc') ? rootTest : testWithTools('cc')
  foreignTest('keychain addon: another user’s library that was swapped in is not run', async () => {
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'keychain' })
    const account = path.join(sandbox.home, 'parent', 'account')
    const place = path.join(sandbox.home, 'tmp')
    for (const folder of [account, place]) fs.mkdirSync(folder, { recursive: true, mode: 0o755 })
    const run = () =>
      answer(
        sandbox.run(['auth', 'token'], { via: withAccountHome(sandbox, account), env: { TMPDIR: place } }),
      )
    expect(await run()).toBe(NO_BUS)
    const cache = path.join(account, '.cache')
    const folder = path.join(cache, 'atlas')
    const [addon = ''] = namesIn(folder)
    const marker = path.join(sandbox.home, 'theirs-ran')
    const theirs = path.join(cache, 'theirs')
    fs.mkdirSync(theirs)
    const source = `#include <stdio.h>\n__attribute__((constructor)) static void run(void) { fopen("${marker}", "w"); }\n`
    const compiled = path.join(theirs, addon)
    Bun.spawnSync(['cc', '-shared', '-fPIC', '-x', 'c', '-', '-o', compiled], { stdin: Buffer.from(source) })
    fs.truncateSync(compiled, fs.statSync(path.join(folder, addon)).size)
    // The library does run where it is loaded.
    expect(() => process.dlopen({ exports: {} }, compiled)).toThrow()
    expect(fs.existsSync(marker)).toBe(true)
    fs.rmSync(marker)

    for (const file of [theirs, compiled]) fs.chownSync(file, 12_345, 12_345)
    for (const open of [path.dirname(sandbox.home), sandbox.home]) fs.chmodSync(open, 0o755)
    fs.chmodSync(cache, 0o777)
    const asTheOther = ['setpriv', '--reuid=12345', '--regid=12345', '--clear-groups', 'sh', '-c']
    const swap = `mv ${folder} ${folder}.old && mv ${theirs} ${folder}`
    expect(Bun.spawnSync([...asTheOther, swap]).exitCode).toBe(0)
    expect(fs.statSync(path.join(folder, addon)).uid).toBe(12_345)
    expect(await run()).toBe(NO_BUS)
    expect(fs.existsSync(marker)).toBe(false)
  })
})
