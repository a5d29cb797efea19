import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import type { Outcome } from '../support/binary.ts'
import { mountTest } from '../support/mounts.ts'
import { posixTest, testWithTools, twoUsersTest } from '../support/needs.ts'
import { type Stage, stage } from '../support/stage.ts'

const RULES = '# Rules\n'
const statusOf = async ({ run }: Stage, args: string[], options = {}): Promise<number | null> =>
  (await run(args, options)).status

const findingOf = ({ stdout }: Outcome, name: string) =>
  JSON.parse(stdout).checks.find((check: { name: string }) => check.name === name)

describe('links', () => {
  testWithTools('stow')('config: its folder may be a link that a dotfile manager made', async () => {
    await using atlas = await stage()
    const { home } = atlas
    fs.mkdirSync(path.join(home, 'dotfiles', 'atlas', '.config', 'atlas'), { recursive: true, mode: 0o700 })
    // With it, the link is made one folder deeper.
    fs.mkdirSync(path.join(home, '.config'))
    Bun.spawnSync(['stow', '--dir', path.join(home, 'dotfiles'), '--target', home, 'atlas'])
    expect(fs.lstatSync(atlas.configFolder).isSymbolicLink()).toBe(true)
    expect((await atlas.logIn()).status).toBe(0)
    expect(await statusOf(atlas, ['auth', 'refresh'])).toBe(0)
    expect(await statusOf(atlas, ['sync'])).toBe(0)
    expect(await statusOf(atlas, ['doctor'])).toBe(0)
    expect(await statusOf(atlas, ['auth', 'logout'])).toBe(0)
  })

  twoUsersTest('config: a link that another user made is refused', async () => {
    await using atlas = await stage()
    const target = path.join(atlas.home, 'target')
    fs.mkdirSync(target, { mode: 0o700 })
    fs.mkdirSync(path.dirname(atlas.configFolder))
    fs.symlinkSync(target, atlas.configFolder)
    fs.lchownSync(atlas.configFolder, 65_534, 65_534)
    const { status, stderr } = await atlas.logIn()
    expect({ status, stderr, isWritten: fs.existsSync(path.join(target, 'config.json')) }).toEqual({
      status: 5,
      stderr: `atlas: The folder ${atlas.configFolder}, where atlas keeps a lock, cannot be used: it is a symbolic link.\n       atlas changes nothing without it. Fix or remove that path and try again.\n`,
      isWritten: false,
    })
  })

  posixTest('sync: a file that is reached by two names has one memory', async () => {
    await using atlas = await stage({ loggedIn: true })
    const other = path.join(path.dirname(atlas.home), 'other')
    fs.symlinkSync(atlas.home, other)
    expect(await statusOf(atlas, ['sync'])).toBe(0)
    atlas.server.setConfiguration('newer\n')
    const { stdout } = await atlas.run(['status', '--json'], { env: { HOME: other } })
    expect(JSON.parse(stdout).verdict).toBe('remote_changed')
    expect(await statusOf(atlas, ['sync'], { env: { HOME: other } })).toBe(0)
    expect(JSON.parse((await atlas.run(['status', '--json'])).stdout).verdict).toBe('in_sync')
  })
})

describe('what is typed or left lying about', () => {
  test.each([
    ['a file', true],
    ['nothing yet', false],
  ])('sync: --dir …/CLAUDE.md, which is %s, is not made a folder', async (_, isThere) => {
    await using atlas = await stage({ loggedIn: true })
    const { folder, file } = atlas.claude
    if (isThere) atlas.claude.edit('mine')
    expect(await atlas.run(['sync', '--dir', file])).toEqual({
      status: 2,
      stdout: '',
      stderr: `atlas: --dir names the file CLAUDE.md, not its folder.\n       Give the folder: --dir ${folder}\n`,
    })
    expect(fs.existsSync(folder) ? atlas.claude.names() : []).toEqual(isThere ? ['CLAUDE.md'] : [])
  })

  test('config: a byte-order mark at its beginning does no harm', async () => {
    await using atlas = await stage({ loggedIn: true })
    const file = path.join(atlas.configFolder, 'config.json')
    fs.writeFileSync(file, `\ufeff${fs.readFileSync(file, 'utf8')}`)
    expect(await statusOf(atlas, ['api', '/auth/me'])).toBe(0)
  })

  test('sync: two texts that differ by line endings only are called so', async () => {
    await using atlas = await stage({ loggedIn: true })
    expect(await statusOf(atlas, ['sync'])).toBe(0)
    atlas.claude.edit(RULES.replace('\n', '\r\n'))
    const { status, stderr } = await atlas.run(['sync', '--json'])
    expect({ status, message: JSON.parse(stderr).error.message }).toEqual({
      status: 1,
      message: `${atlas.claude.file} differs from the server’s text by its line endings only; nothing was written.`,
    })
    expect((await atlas.run(['status'])).stdout).toContain(
      'local_changed: the local file differs from the server’s text by its line endings only.',
    )
  })

  test('sync: a folder among the old backups stays', async () => {
    await using atlas = await stage({ loggedIn: true })
    atlas.claude.edit('mine')
    const folders = [1, 2, 3, 4, 5, 6].map(day => `CLAUDE.md.2026-01-0${day}T030405678Z.bak`)
    for (const name of folders) fs.mkdirSync(path.join(atlas.claude.folder, name))
    const { status, stdout } = await atlas.run(['sync', '--force', '--json'])
    expect({ status, names: atlas.claude.names().sort() }).toEqual({
      status: 0,
      names: ['CLAUDE.md', ...folders, path.basename(JSON.parse(stdout).backup)],
    })
  })
})

describe('what a run with sudo leaves behind', () => {
  const LEFTOVERS: [what: string, path: string, command: string[], status: number, check: string][] = [
    ['the config file', '.config/atlas/config.json', ['auth', 'list'], 2, 'config'],
    ['the memory of syncs', '.config/atlas/sync', ['sync'], 1, 'sync'],
    ['the synced folder', '.claude', ['sync', '--force'], 1, 'sync'],
    ['the credentials', '.config/atlas/credentials', ['api', '/auth/me'], 6, 'lock'],
  ]
  twoUsersTest.each(LEFTOVERS)(
    'sudo: %s that root owns is said, with the command that gives it back',
    async (_, left, command, status, check) => {
      await using atlas = await stage({ loggedIn: true, unprivileged: true })
      expect(await statusOf(atlas, ['sync'])).toBe(0)
      atlas.server.setConfiguration('newer\n')
      const place = path.join(atlas.home, left)
      fs.chownSync(place, 0, 0)
      fs.chmodSync(place, fs.statSync(place).isDirectory() && left === '.claude' ? 0o755 : 0o700)
      const outcome = await atlas.run(command)
      const fix = `sudo chown -R 65534 ${place}`
      expect({ status: outcome.status, fix: outcome.stderr.trimEnd().endsWith(fix) }).toEqual({
        status,
        fix: true,
      })
      const finding = findingOf(await atlas.run(['doctor', '--json']), check)
      expect({ status: finding.status, fix: finding.fix.endsWith(fix.replace(atlas.home, '~')) }).toEqual({
        status: 'fail',
        fix: true,
      })
      Bun.spawnSync(['chown', '-R', '65534', place])
      expect(await statusOf(atlas, command)).toBe(0)
    },
  )
})

/** Runs a program where `/tmp` is another one; its own files stay within reach. */
const withTmp = (options: string, then: string): string[] => {
  const prepare = `mount -t tmpfs -o ${options} none /tmp && ${then}`
  return ['unshare', '--mount', 'sh', '-c', `${prepare}; exec "$0" "$@"`]
}

describe('a temporary folder that cannot be used', () => {
  const TROUBLES: [what: string, via: string[]][] = [
    ['is read-only', withTmp('ro', 'true')],
    ['has no inodes left', withTmp('nr_inodes=1', 'true')],
    [
      'holds another user’s folder of our name',
      withTmp('mode=1777', 'mkdir /tmp/atlas-0 && chown 65534 /tmp/atlas-0'),
    ],
  ]
  mountTest.each(TROUBLES)(
    'temporary folder: one that %s stops nothing that needs no keychain',
    async (_, via) => {
      const root = fs.mkdtempSync('/var/tmp/atlas-test-')
      try {
        await using atlas = await stage({ withApiPath: true })
        const binary = path.join(root, 'atlas')
        fs.copyFileSync(atlas.binary, binary)
        const options = { via, binary, cwd: root, env: { HOME: root } }
        expect((await atlas.logIn(options)).status).toBe(0)
        for (const command of [
          ['auth', 'refresh'],
          ['api', '/auth/me'],
          ['sync'],
          ['status'],
          ['auth', 'logout'],
        ])
          expect([command, await statusOf(atlas, command, options)]).toEqual([command, 0])
      } finally {
        fs.rmSync(root, { recursive: true })
      }
    },
  )
})
