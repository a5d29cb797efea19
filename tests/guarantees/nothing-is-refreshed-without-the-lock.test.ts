import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { lockPath } from '../../lib/files/lock.ts'
import { userLockFolder } from '../../lib/files/user-folder.ts'
import { accountOf } from '../../lib/session/stored-session.ts'
import { createUnprivilegedSandbox, LOGIN, readUntil } from '../support/binary.ts'
import { secretServiceTest, testWith, twoUsersTest } from '../support/needs.ts'
import { hasSecretService } from '../support/secret-service.ts'
import { createSmallDisk, smallDiskTest } from '../support/small-disk.ts'
import { type Stage, stage } from '../support/stage.ts'

const REFRESH = 'POST /api/v1/auth/refresh'

/** Every command that needs the lock meets the fault the same way, and none talks to the server about tokens. */
async function expectFault(
  { server, filesHolding, run }: Stage,
  place: string,
  reason: string,
  exitStatus = 5,
): Promise<void> {
  const [record = ''] = filesHolding(server.lastTokens.refresh)
  const before = fs.readFileSync(record, 'utf8')
  server.expireAccessTokens()
  server.forget()
  for (const command of [
    ['api', '/auth/me'],
    ['auth', 'refresh'],
    ['auth', 'status', '--json'],
    ['auth', 'token', '--min-ttl', '1h'],
    ['auth', 'logout'],
  ]) {
    const { status, stdout, stderr } = await run(command)
    expect({ command, status, said: stdout + stderr }).toMatchObject({ command, status: exitStatus })
    expect(stdout + stderr).toContain(`${place} cannot be used: ${reason}.`)
  }
  expect(server.log().filter(line => line === REFRESH || line.endsWith('/logout'))).toEqual([])
  expect(fs.readFileSync(record, 'utf8')).toBe(before)
}

const lockOf = ({ configFolder, server }: Stage): string =>
  lockPath(path.join(configFolder, 'credentials'), accountOf('default', server.url))

describe('a lock file that cannot be trusted', () => {
  const FAULTS: [what: string, reason: string, arrange: (lock: string) => void][] = [
    ['a directory', 'it is not a regular file', lock => fs.mkdirSync(lock)],
    ['a symlink to a file', 'it is a symbolic link', lock => symlinkToFile(lock)],
    ['a symlink to nothing', 'it is a symbolic link', lock => fs.symlinkSync('/nonexistent/place', lock)],
    ['a named pipe', 'it is not a regular file', lock => void Bun.spawnSync(['mkfifo', lock])],
    ['a byte of garbage', 'it holds something that is not a lock', lock => fs.writeFileSync(lock, 'x')],
    [
      'a page of garbage',
      'it holds something that is not a lock',
      lock => fs.writeFileSync(lock, Buffer.alloc(4096, 'garbage ')),
    ],
    [
      'garbage without end',
      'it holds something that is not a lock',
      lock => fs.writeFileSync(lock, crypto.getRandomValues(new Uint8Array(60_000))),
    ],
  ]
  test.each(FAULTS)('lock: nothing is refreshed while the lock file is %s', async (_, reason, arrange) => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const lock = lockOf(atlas)
    fs.rmSync(lock)
    arrange(lock)
    await expectFault(atlas, lock, reason)
  })

  function symlinkToFile(lock: string): void {
    fs.writeFileSync(`${lock}-target`, '')
    fs.symlinkSync(`${lock}-target`, lock)
  }

  test('lock: nothing is refreshed while the lock file is read-only', async () => {
    await using atlas = await stage({ rotate: true, loggedIn: true, unprivileged: true })
    const lock = lockOf(atlas)
    fs.chmodSync(lock, 0o400)
    await expectFault(atlas, lock, 'permission denied', 6)
  })

  twoUsersTest.each([0o600, 0o666])(
    'lock: nothing is refreshed while the lock file is another user’s, mode %o',
    async mode => {
      await using atlas = await stage({ rotate: true, loggedIn: true, unprivileged: true })
      const lock = lockOf(atlas)
      fs.chownSync(lock, 0, 0)
      fs.chmodSync(lock, mode)
      await expectFault(atlas, lock, 'it belongs to another user')
    },
  )
})

describe('the folder of the file store', () => {
  const FOLDERS: [what: string, mode: number, arrange: (lock: string) => void][] = [
    ['is read-only, with the lock in it', 0o500, () => {}],
    ['is read-only, without a lock in it', 0o500, lock => fs.rmSync(lock)],
    ['cannot be entered', 0o000, () => {}],
  ]
  test.each(
    FOLDERS,
  )('file store: a folder that %s denies a login and everything else', async (_, mode, arrange) => {
    await using atlas = await stage({ rotate: true, loggedIn: true, unprivileged: true })
    const { server } = atlas
    const lock = lockOf(atlas)
    const folder = path.dirname(lock)
    arrange(lock)
    fs.chmodSync(folder, mode)
    server.forget()
    const { status, stderr } = await atlas.logIn()
    expect({ status, stderr, log: server.log() }).toEqual({
      status: 6,
      stderr:
        `atlas: The credential store ${folder} cannot be used: permission denied.\n` +
        '       Check its permissions, or choose another folder with ATLAS_CONFIG_DIR.\n',
      log: [],
    })
    if (mode !== 0) await expectFault(atlas, folder, 'permission denied', 6)
    expect((await atlas.run(['auth', 'logout'])).status).toBe(6)
    fs.chmodSync(folder, 0o700)
    expect((await atlas.run(['api', '/auth/me'])).status).toBe(0)
  })

  test('file store: a missing folder below a read-only one denies a login', async () => {
    await using atlas = await stage({ unprivileged: true })
    fs.mkdirSync(atlas.configFolder, { recursive: true })
    fs.chmodSync(atlas.configFolder, 0o555)
    if (atlas.user) fs.chownSync(atlas.configFolder, atlas.user.uid, atlas.user.gid)
    const { status, stderr } = await atlas.logIn()
    expect(status).toBe(6)
    expect(stderr).toContain(
      `${path.join(atlas.configFolder, 'credentials')} cannot be used: permission denied.`,
    )
    expect(atlas.server.log()).toEqual([])
  })
})

describe('the folder for locks on the keychain', () => {
  const FIX = 'atlas changes nothing without it. Fix or remove that path and try again.'
  const PLANTED: [what: string, reason: string, plant: (folder: string) => void, hint?: string][] = [
    ['a symlink', 'it is a symbolic link', folder => fs.symlinkSync('/tmp', folder)],
    ['a symlink to nothing', 'it is a symbolic link', f => fs.symlinkSync('/nonexistent/x', f)],
    ['a file', 'it is not a folder', folder => fs.writeFileSync(folder, '')],
    [
      'another user’s',
      'it belongs to another user',
      folder => fs.mkdirSync(folder, 0o777),
      'Ask its owner or an administrator to remove it, then try again.',
    ],
  ]
  twoUsersTest.each(PLANTED)(
    'lock: the folder for keychain locks is refused when somebody planted %s',
    async (_, reason, plant, hint = FIX) => {
      // A user of the test's own, since the path holds the user's number and nothing else.
      const uid = 100_000_000 + process.pid
      const folder = userLockFolder(uid, '')
      using sandbox = createUnprivilegedSandbox({ ATLAS_API_URL: 'http://127.0.0.1:9' }, { uid, gid: uid })
      plant(folder)
      try {
        const { status, stdout, stderr } = await sandbox.run(['auth', 'logout'])
        expect({ status, stdout }).toEqual({ status: 5, stdout: '' })
        expect(stderr).toMatch(new RegExp(`^atlas: The (lock|folder) ${folder}\\b`))
        expect(stderr).toEndWith(`cannot be used: ${reason}.\n       ${hint}\n`)
      } finally {
        fs.rmSync(folder, { recursive: true })
      }
    },
  )
})

describe('a disk', () => {
  smallDiskTest('full disk: no refresh is sent, and a logout works', async () => {
    using disk = createSmallDisk()
    await using atlas = await stage({ rotate: true, loggedIn: true, env: { ATLAS_CONFIG_DIR: disk.folder } })
    const { server } = atlas
    server.expireAccessTokens()
    server.forget()
    disk.fill()
    for (const command of [
      ['api', '/auth/me'],
      ['auth', 'refresh'],
    ]) {
      const { status, stderr } = await atlas.run(command)
      expect({ status, stderr }).toMatchObject({ status: 6 })
      expect(stderr).toMatch(
        new RegExp(
          `^atlas: The credential store ${disk.folder}/credentials/\\w+.json cannot be used: the disk is full\\.\n`,
        ),
      )
    }
    expect(server.log().filter(line => line === REFRESH)).toEqual([])

    disk.empty()
    expect((await atlas.run(['api', '/auth/me'])).status).toBe(0)
    disk.fill()
    const ended = await atlas.run(['auth', 'logout'])
    expect({ status: ended.status, stdout: ended.stdout }).toEqual({
      status: 0,
      stdout: `Logged out of ${server.url} as ada@example.com\n`,
    })
    expect(fs.readdirSync(path.join(disk.folder, 'credentials')).filter(name => /json/.test(name))).toEqual(
      [],
    )
  })

  smallDiskTest('full disk: is reported before a login prompts', async () => {
    using disk = createSmallDisk()
    await using atlas = await stage({ env: { ATLAS_CONFIG_DIR: disk.folder } })
    disk.fill()
    const { status, stderr } = await atlas.logIn()
    expect(status).toBe(6)
    expect(stderr).toContain('cannot be used: the disk is full.')
    expect(atlas.server.log()).toEqual([])
  })

  const bothTest = hasSecretService ? smallDiskTest : secretServiceTest
  bothTest('full disk: a config file that cannot be written is reported before a login prompts', async () => {
    using disk = createSmallDisk()
    await using atlas = await stage({ store: 'keychain', env: { ATLAS_CONFIG_DIR: disk.folder } })
    disk.fill()
    const { status, stderr } = await atlas.logIn()
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr:
        `atlas: The config file ${disk.folder}/config.json could not be written: the disk is full.\n` +
        '       Make room, or choose another folder with ATLAS_CONFIG_DIR.\n',
    })
    expect({ log: atlas.server.log(), stored: atlas.keychain.search('atlas-cli') }).toEqual({
      log: [],
      stored: [],
    })
  })

  smallDiskTest('read-only disk: no refresh is sent', async () => {
    using disk = createSmallDisk()
    await using atlas = await stage({ rotate: true, loggedIn: true, env: { ATLAS_CONFIG_DIR: disk.folder } })
    const { server } = atlas
    server.expireAccessTokens()
    server.forget()
    disk.makeReadOnly()
    const { status, stderr } = await atlas.run(['api', '/auth/me'])
    expect({ status, said: stderr.split('\n')[0] }).toEqual({
      status: 6,
      said: `atlas: The credential store ${disk.folder}/credentials cannot be used: the file system is read-only.`,
    })
    expect(server.log()).toEqual(['GET /api/v1/auth/me'])
  })
})

test('lock: a stopped holder is waited for in bounded time, and never overtaken', async () => {
  await using atlas = await stage({ rotate: true, loggedIn: true })
  const { server } = atlas
  const held = server.hold('POST /auth/refresh')
  const holder = atlas.start(['auth', 'refresh'])
  await held.arrived
  holder.kill('SIGSTOP')
  try {
    const startedAt = performance.now()
    const env = { ATLAS_TIMEOUT: '0.3', ATLAS_KEYCHAIN_TIMEOUT: '0.2' }
    const { status, stderr } = await atlas.run(['auth', 'refresh'], { env })
    expect({ status, stderr }).toEqual({
      status: 5,
      stderr:
        `atlas: Another atlas process has held the lock ${lockOf(atlas)} for more than 5.5 s.\n` +
        '       Wait for it or end it, then try again.\n',
    })
    // Request timeout, keychain wait and five seconds.
    expect(performance.now() - startedAt).toBeGreaterThan(5_500)
    expect(server.log()).toEqual([REFRESH])
  } finally {
    holder.kill('SIGCONT')
  }
  held.release()
  expect(await holder.exited).toBe(0)
  expect((await atlas.run(['auth', 'refresh'])).status).toBe(0)
  expect(server.reuses).toBe(0)
})

async function deleteLockDuringRefresh({ logIn, server, start }: Stage, lock: string): Promise<void> {
  await logIn()
  const held = server.hold('POST /auth/refresh')
  const holder = start(['auth', 'refresh'])
  await held.arrived
  fs.rmSync(lock)
  await logIn()
  held.release()
  expect(await holder.exited).toBe(0)
}

describe('a lock file that is deleted while it is held', () => {
  test('lock: one deleted while held lets no refresh overwrite a later login in the file store', async () => {
    await using atlas = await stage()
    const { server } = atlas
    await deleteLockDuringRefresh(atlas, lockOf(atlas))
    // This server sends no other refresh token at a refresh, so the last one given is that of the login.
    expect(atlas.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
  })

  secretServiceTest(
    'lock: one deleted while held lets no refresh overwrite a later login in the keychain',
    async () => {
      await using atlas = await stage({ store: 'keychain' })
      const { server } = atlas
      const folder = userLockFolder(process.getuid?.(), '')
      const account = accountOf('default', server.url)
      await deleteLockDuringRefresh(atlas, lockPath(folder, account))
      expect(atlas.keychain.lookup('atlas-cli', account)).toContain(server.lastTokens.refresh)
    },
  )
})

describe('a record that can be read and not replaced', () => {
  /** No command sends anything that must be stored, and each says the same; one does what it says, and goes on. */
  const expectRefusal = async (atlas: Stage, said: { place: string; reason: string; hint: string }) => {
    const { server, run } = atlas
    server.expireAccessTokens()
    server.forget()
    for (const args of [['auth', 'refresh'], ['api', '/auth/me'], ['auth', 'logout'], LOGIN]) {
      const { status, stdout, stderr } = await run(args, { input: 'correct horse' })
      expect({ args, status, stdout, stderr }).toEqual({
        args,
        status: 6,
        stdout: '',
        stderr: `atlas: The credential store ${said.place} cannot be used: ${said.reason}.\n       ${said.hint}\n`,
      })
    }
    expect(server.log().filter(line => line.startsWith('POST'))).toEqual([])
    const report = await run(['doctor', '--json'])
    const checks: { status: string; detail: string }[] = JSON.parse(report.stdout).checks
    const failed = checks.filter(({ status }) => status === 'fail')
    expect(failed.map(({ detail }) => detail)).toEqual([
      expect.stringContaining(said.place.replace(atlas.home, '~')),
    ])
    expect(failed[0]?.detail).toContain(`cannot be used: ${said.reason}.`)
  }

  smallDiskTest('store: nothing is refreshed where the credential file is mounted by itself', async () => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const [record = ''] = atlas.filesHolding(atlas.server.lastTokens.refresh)
    const folder = path.dirname(record)
    const aside = path.join(atlas.home, 'aside')
    fs.cpSync(folder, aside, { recursive: true })
    const mount = (...args: string[]) => expect(Bun.spawnSync(['mount', '--bind', ...args]).exitCode).toBe(0)
    mount(path.join(aside, path.basename(record)), record)
    try {
      const names = fs.readdirSync(folder)
      await expectRefusal(atlas, {
        place: record,
        reason: 'it is mounted by itself and cannot be replaced',
        hint: 'Mount its folder instead of the file, or choose another folder with ATLAS_CONFIG_DIR.',
      })
      expect(fs.readdirSync(folder)).toEqual(names)
    } finally {
      Bun.spawnSync(['umount', record])
    }
    fs.chmodSync(aside, 0o700)
    mount(aside, folder)
    try {
      expect((await atlas.run(['auth', 'refresh'])).status).toBe(0)
      expect((await atlas.run(['auth', 'logout'])).status).toBe(0)
    } finally {
      Bun.spawnSync(['umount', folder])
    }
  })

  const mayChangeAttributes = (): boolean => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-attribute-'))
    const set = Bun.spawnSync(['chattr', '+a', folder]).exitCode === 0
    Bun.spawnSync(['chattr', '-a', folder])
    fs.rmdirSync(folder)
    return set
  }
  const attributeTest = testWith(
    'root, and a file system with attributes',
    process.getuid?.() === 0 && Bun.which('chattr') !== null && mayChangeAttributes(),
  )
  const ATTRIBUTES: [what: string, attribute: string, of: (record: string) => string][] = [
    ['an immutable record', '+i', record => record],
    ['an append-only record', '+a', record => record],
    ['an immutable folder', '+i', path.dirname],
    ['an append-only folder', '+a', path.dirname],
  ]
  attributeTest.each(ATTRIBUTES)(
    'store: nothing is refreshed with %s, and what is said puts it right',
    async (_, attribute, of) => {
      await using atlas = await stage({ rotate: true, loggedIn: true })
      const [record = ''] = atlas.filesHolding(atlas.server.lastTokens.refresh)
      const folder = path.dirname(record)
      const place = of(record)
      Bun.spawnSync(['chattr', attribute, place])
      try {
        const fix = `chattr -i -a ${place}`
        await expectRefusal(atlas, {
          place,
          reason: 'it is immutable or append-only',
          hint: `If that was not meant, fix it with: ${fix}`,
        })
        // A folder that only grows would keep each attempt.
        expect(fs.readdirSync(folder).filter(name => name.endsWith('.atlas-tmp'))).toEqual([])
        expect(Bun.spawnSync(['sh', '-c', fix]).exitCode).toBe(0)
        expect((await atlas.run(['auth', 'refresh'])).status).toBe(0)
      } finally {
        Bun.spawnSync(['chattr', '-i', '-a', record, folder])
      }
    },
  )

  smallDiskTest('store: a config file that is mounted by itself is written, and stays mounted', async () => {
    await using atlas = await stage()
    const file = path.join(atlas.configFolder, 'config.json')
    const aside = path.join(atlas.home, 'config.json')
    fs.mkdirSync(atlas.configFolder, { recursive: true, mode: 0o700 })
    for (const place of [file, aside]) fs.writeFileSync(place, `{"logins":[]}${' '.repeat(2_000)}\n`)
    expect(Bun.spawnSync(['mount', '--bind', aside, file]).exitCode).toBe(0)
    try {
      expect((await atlas.logIn()).status).toBe(0)
      expect(JSON.parse(fs.readFileSync(aside, 'utf8')).current_profile).toBe('default')
      expect(fs.readFileSync(aside, 'utf8')).toEndWith('}\n')
      expect((await atlas.run(['auth', 'logout'])).status).toBe(0)
      expect(Bun.spawnSync(['mount', '-o', 'remount,bind,ro', file]).exitCode).toBe(0)
      atlas.server.forget()
      const { status, stderr } = await atlas.logIn()
      expect({ status, stderr, log: atlas.server.log().filter(line => line.startsWith('POST')) }).toEqual({
        status: 1,
        stderr:
          `atlas: The config file ${file} could not be written: the file system is read-only.\n` +
          '       Check its permissions, or choose another folder with ATLAS_CONFIG_DIR.\n',
        log: [],
      })
    } finally {
      Bun.spawnSync(['umount', file])
    }
  })
})

describe('services with a temporary folder of their own', () => {
  const bothTest = hasSecretService ? smallDiskTest : secretServiceTest
  bothTest('lock: processes with private temporary folders and one keychain refresh once', async () => {
    await using atlas = await stage({ store: 'keychain', rotate: true, loggedIn: true })
    const { server, home } = atlas
    const uid = process.getuid?.() ?? 0
    const sessions = path.join(home, 'sessions')
    fs.mkdirSync(path.join(sessions, String(uid)), { recursive: true, mode: 0o700 })
    fs.chmodSync(sessions, 0o755)
    const places = [path.join(home, 'one'), path.join(home, 'other')] as const
    /** What only the one process sees of its temporary folder, and both of the folders of sessions. */
    const within = (place: string) => {
      fs.mkdirSync(place, { mode: 0o700 })
      fs.mkdirSync(userLockFolder(uid, undefined, '/nonexistent'), { recursive: true, mode: 0o700 })
      const script = `mount --bind ${sessions} /run/user && mount --bind ${place} /tmp/atlas-${uid} && exec "$0" "$@"`
      return ['unshare', '-m', 'sh', '-c', script]
    }
    server.expireAccessTokens()
    server.forget()
    const held = server.hold('POST /auth/refresh')
    const holder = atlas.start(['api', '/auth/me'], { via: within(places[0]) })
    await held.arrived
    const other = atlas.start(['api', '/auth/me'], { via: within(places[1]), env: { ATLAS_DEBUG: '1' } })
    await readUntil(other.stderr, /waiting for another process|auth\/refresh/)
    held.release()
    expect([await holder.exited, await other.exited]).toEqual([0, 0])
    expect(server.log().filter(line => line === REFRESH)).toEqual([REFRESH])
    expect(places.map(place => fs.readdirSync(place))).toEqual([[], []])
    const { stdout } = await atlas.run(['doctor', '--json'], { via: within(path.join(home, 'third')) })
    const checks: { name: string; detail: string }[] = JSON.parse(stdout).checks
    expect(checks.find(({ name }) => name === 'lock')?.detail).toEndWith(`, in /run/user/${uid}/atlas.`)
  })
})
