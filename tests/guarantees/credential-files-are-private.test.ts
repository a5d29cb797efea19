import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { accountOf } from '../../lib/session/stored-session.ts'
import { createSandbox, type Machine } from '../support/binary.ts'
import { hasImmutableFiles, setImmutable } from '../support/immutable.ts'
import { testWithTools, twoUsersTest } from '../support/needs.ts'
import { stage } from '../support/stage.ts'

/** Every file and folder of atlas below a home folder, with its mode. */
const modesIn = (sandbox: Machine): Record<string, string> =>
  Object.fromEntries(
    ['', ...fs.readdirSync(sandbox.configFolder, { recursive: true, encoding: 'utf8' })].map(name => [
      name.replace(/[0-9a-f]{32}/, '*'),
      (fs.statSync(path.join(sandbox.configFolder, name)).mode & 0o7777).toString(8),
    ]),
  )

test('files: are 0600 in 0700 folders, whatever the umask', async () => {
  await using atlas = await stage()
  const { status } = await atlas.logIn({ via: ['sh', '-c', 'umask 000; exec "$0" "$@"'] })
  expect(status).toBe(0)
  expect(modesIn(atlas)).toEqual({
    '': '700',
    'config.json': '600',
    '*.lock': '600',
    credentials: '700',
    'credentials/*.json': '600',
    'credentials/*.lock': '600',
  })
  expect(fs.statSync(path.join(atlas.home, '.config')).mode & 0o777).toBe(0o700)
})

testWithTools('strace')(
  'files: are private from the start, and flushed before they are put in place',
  async () => {
    await using atlas = await stage()
    const { server } = atlas
    const trace = path.join(atlas.home, 'trace')
    const calls = 'openat,open,creat,mkdir,mkdirat,chmod,fchmod,fsync,rename,renameat,renameat2'
    const via = ['strace', '-f', '-y', '-e', `trace=${calls}`, '-o', trace]
    expect((await atlas.logIn({ via })).status).toBe(0)
    const ours = fs
      .readFileSync(trace, 'utf8')
      .split('\n')
      .filter(line => line.includes(`${atlas.configFolder}`) && !/= -1 E/.test(line))

    const created = ours.filter(line => line.includes('O_CREAT'))
    expect(created.length).toBeGreaterThanOrEqual(4)
    expect(created.filter(line => !/O_CREAT\|O_EXCL.*, 0600\) =/.test(line))).toEqual([])
    const folders = ours.filter(line => line.includes('mkdir'))
    expect(folders.filter(line => !line.includes(', 0700) = 0'))).toEqual([])
    expect(ours.filter(line => line.includes('chmod'))).toEqual([])

    // The record: created, written, on the disk, in place, its folder on the disk.
    const name = new Bun.CryptoHasher('sha256')
      .update(accountOf('default', server.url))
      .digest('hex')
      .slice(0, 32)
    const steps = ours
      .filter(
        line =>
          (line.includes(name) && !line.includes('.lock')) || /fsync\(\d+<[^>]*credentials>\)/.test(line),
      )
      .map(line => /^\d+ +(\w+)\(/.exec(line)?.[1])
    expect(steps.join(' ')).toContain('openat fsync rename fsync')
  },
)

describe('planted links', () => {
  const account = (sandbox: Machine, url: string): string =>
    path.join(
      sandbox.configFolder,
      'credentials',
      `${new Bun.CryptoHasher('sha256').update(accountOf('default', url)).digest('hex').slice(0, 32)}`,
    )
  const PLACES: [what: string, status: number, place: (sandbox: Machine, url: string) => string][] = [
    ['the record', 6, (sandbox, url) => `${account(sandbox, url)}.json`],
    ['its lock', 5, (sandbox, url) => `${account(sandbox, url)}.lock`],
    ['the folder for credentials', 6, sandbox => path.join(sandbox.configFolder, 'credentials')],
  ]
  test.each(
    PLACES,
  )('files: a planted link in place of %s is not written through: login exits with %d', async (_, status, place) => {
    await using atlas = await stage()
    const { server } = atlas
    const victims = path.join(atlas.home, 'victims')
    const link = place(atlas, server.url)
    fs.mkdirSync(path.dirname(link), { recursive: true, mode: 0o700 })
    if (path.basename(link) === 'credentials') fs.mkdirSync(victims, { mode: 0o700 })
    else fs.writeFileSync(victims, 'untouched', { mode: 0o600 })
    fs.symlinkSync(victims, link)
    const outcome = await atlas.logIn()
    expect({ status: outcome.status, stderr: outcome.stderr }).toMatchObject({ status })
    expect(outcome.stderr).toContain(link)
    if (fs.statSync(victims).isDirectory()) expect(fs.readdirSync(victims)).toEqual([])
    else expect(fs.readFileSync(victims, 'utf8')).toBe('untouched')
  })
})

describe('a file store that others can reach', () => {
  const only = (sandbox: Machine): string => sandbox.filesHolding('refresh_token')[0] ?? ''

  const LOOSE: [what: string, loosen: (record: string) => void][] = [
    ['a record that the group can read', record => fs.chmodSync(record, 0o640)],
    ['a record that all can read', record => fs.chmodSync(record, 0o604)],
    ['a record that all can write', record => fs.chmodSync(record, 0o602)],
    ['a folder that the group can change', record => fs.chmodSync(path.dirname(record), 0o770)],
    ['a folder that all can change', record => fs.chmodSync(path.dirname(record), 0o703)],
  ]
  test.each(
    LOOSE,
  )('files: a file store that others can reach (%s) is refused with the command that fixes it', async (_, loosen) => {
    await using atlas = await stage({ loggedIn: true, unprivileged: true })
    loosen(only(atlas))
    for (const command of [
      ['api', '/auth/me'],
      ['auth', 'refresh'],
      ['auth', 'token'],
      ['auth', 'status'],
      ['auth', 'logout'],
    ]) {
      const { status, stdout, stderr } = await atlas.run(command)
      expect({ status, stdout, stderr }).toMatchObject({ status: 6, stdout: '' })
      expect(stderr).toMatch(/^atlas: The credential store .* cannot be used: others can (read|change) it\./)
    }
    expect(atlas.server.log()).toEqual([])

    const { stderr } = await atlas.run(['auth', 'token'])
    const command = /fix it with: (.*)\n$/.exec(stderr)?.[1] ?? ''
    expect(Bun.spawnSync(['sh', '-c', command]).exitCode).toBe(0)
    expect((await atlas.run(['api', '/auth/me'])).status).toBe(0)
  })

  const UNREPLACEABLE: [what: string, spoil: (record: string) => void][] = [
    ['that others can read', record => fs.chmodSync(record, 0o644)],
    ['that is a link', record => replace(record, () => fs.symlinkSync('/nonexistent/record', record))],
    ['that is a folder', record => replace(record, () => fs.mkdirSync(record))],
    ['that is a pipe', record => replace(record, () => void Bun.spawnSync(['mkfifo', record]))],
    ...(hasImmutableFiles ? [['that is immutable', immutable] as [string, (record: string) => void]] : []),
  ]
  test.each(
    UNREPLACEABLE,
  )('files: a record %s is reported before a login or refresh sends anything, and by doctor', async (_, spoil) => {
    await using atlas = await stage({ rotate: true })
    const { server } = atlas
    await atlas.logIn()
    server.forget()
    const record = only(atlas)
    spoil(record)
    try {
      const outcomes = [await atlas.logIn(), await atlas.run(['auth', 'refresh'])]
      expect(outcomes.map(({ status, stdout }) => ({ status, stdout }))).toEqual(
        Array(2).fill({ status: 6, stdout: '' }),
      )
      for (const { stderr } of outcomes) expect(stderr).toStartWith(`atlas: The credential store ${record} `)
      expect(server.log()).toEqual([])
      const { status, stdout } = await atlas.run(['doctor', '--json'])
      const checks: { name: string; status: string }[] = JSON.parse(stdout).checks
      expect({
        status,
        failed: checks.filter(check => check.status === 'fail').map(({ name }) => name),
      }).toEqual({
        status: 1,
        failed: ['store'],
      })
    } finally {
      setImmutable(record, false)
    }
  })

  function replace(record: string, place: () => void): void {
    fs.rmSync(record)
    place()
  }

  function immutable(record: string): void {
    setImmutable(record, true)
  }

  twoUsersTest('files: a record of another user is refused', async () => {
    await using atlas = await stage({ loggedIn: true, unprivileged: true })
    const record = only(atlas)
    fs.chownSync(record, 12_345, 12_345)
    const { status, stderr } = await atlas.run(['auth', 'token'])
    expect(status).toBe(6)
    expect(stderr).toMatch(/permission denied|EACCES|belongs to another user/)
  })
})

describe('a config file that is a link', () => {
  const CONTENT = '{"logins":[]}\n'

  const linked = (sandbox: Machine): { link: string; target: string } => {
    const link = path.join(sandbox.configFolder, 'config.json')
    const target = path.join(sandbox.home, 'dotfiles.json')
    fs.mkdirSync(sandbox.configFolder, { recursive: true, mode: 0o700 })
    fs.writeFileSync(target, CONTENT)
    fs.symlinkSync('../../dotfiles.json', link)
    return { link, target }
  }

  test('files: a config file that is a link stays one, and its target is replaced', async () => {
    await using atlas = await stage()
    const { link, target } = linked(atlas)
    expect((await atlas.logIn()).status).toBe(0)
    expect(fs.readlinkSync(link)).toBe('../../dotfiles.json')
    expect(JSON.parse(fs.readFileSync(target, 'utf8')).current_profile).toBe('default')
    expect(fs.readdirSync(atlas.home).sort()).toEqual(['.config', 'cwd', 'dotfiles.json'])
  })

  twoUsersTest(
    'files: a config file that links to another user’s file is refused before a prompt',
    async () => {
      await using atlas = await stage()
      const { link, target } = linked(atlas)
      fs.chownSync(target, 12_345, 12_345)
      const { status, stderr } = await atlas.logIn()
      expect({ status, stderr, log: atlas.server.log() }).toEqual({
        status: 1,
        stderr:
          `atlas: The config file ${link} could not be written: it is a link to ${target}, which belongs to another user.\n` +
          '       Run atlas as that user, or choose another folder with ATLAS_CONFIG_DIR.\n',
        log: [],
      })
      expect([fs.readlinkSync(link), fs.readFileSync(target, 'utf8')]).toEqual([
        '../../dotfiles.json',
        CONTENT,
      ])
    },
  )
})

describe('a config file that is not a regular file', () => {
  const ODD: [what: string, reason: string, put: (file: string) => void][] = [
    ['a pipe', 'it is not a regular file', file => void Bun.spawnSync(['mkfifo', file])],
    ['a device', 'it is not a regular file', file => fs.symlinkSync('/dev/zero', file)],
    ['a folder', 'a folder is in its place', file => fs.mkdirSync(file)],
  ]
  test.each(ODD)('files: a config file that is %s is refused at once', async (_, reason, put) => {
    using sandbox = createSandbox()
    const file = path.join(sandbox.configFolder, 'config.json')
    fs.mkdirSync(sandbox.configFolder, { recursive: true })
    put(file)
    expect(await sandbox.run(['auth', 'status'])).toEqual({
      status: 2,
      stdout: '',
      stderr:
        `atlas: The config file ${file} cannot be used: ${reason}.\n` +
        '       Fix it, or delete it and log in again.\n',
    })
  })
})
