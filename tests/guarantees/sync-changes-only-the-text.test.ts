import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import {
  aclTest,
  bindfsTest,
  bindMount,
  mountTest,
  mountWithoutModes,
  mustRun,
  userNamespaceTest,
} from '../support/mounts.ts'
import { twoUsersTest } from '../support/needs.ts'
import { type Stage, stage } from '../support/stage.ts'

const MINE = 'mine\n'
const RULES = '# Rules\n'

/** Sync over a local text. @returns the backups that hold it. */
async function replaceMine(
  { claude, run }: Stage,
  options: Parameters<Stage['run']>[1] = {},
): Promise<string[]> {
  const outcome = await run(['sync', '--force'], options)
  expect({ status: outcome.status, text: claude.text() }).toEqual({ status: 0, text: RULES })
  const backups = claude.names().filter(name => name.endsWith('.bak'))
  expect(backups.map(name => fs.readFileSync(path.join(claude.folder, name), 'utf8'))).toEqual([MINE])
  return backups
}

const accessOf = (file: string) => {
  const { mode, uid, gid } = fs.statSync(file)
  return { mode: (mode & 0o7777).toString(8), uid, gid }
}

describe('who may read a file that sync replaces', () => {
  const listOf = (file: string): string => mustRun('getfacl', '--omit-header', '--numeric', file)

  aclTest('sync: keeps the access control list', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { file } = atlas.claude
    atlas.claude.edit(MINE)
    fs.chmodSync(file, 0o600)
    mustRun('setfacl', '-m', 'u:65534:r,g:1234:rw', file)
    const before = [listOf(file), accessOf(file)]
    await replaceMine(atlas)
    expect([listOf(file), accessOf(file)]).toEqual(before)
  })

  aclTest('sync: takes no access control list from the folder for a file that has none', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { folder, file } = atlas.claude
    atlas.claude.edit(MINE)
    fs.chmodSync(file, 0o640)
    mustRun('setfacl', '-d', '-m', 'u:65534:rw', folder)
    const before = listOf(file)
    await replaceMine(atlas)
    expect(listOf(file)).toBe(before)
  })

  aclTest('sync: a backup that is a copy has the list too', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { folder, file } = atlas.claude
    const elsewhere = path.join(atlas.home, 'elsewhere')
    fs.writeFileSync(elsewhere, MINE, { mode: 0o600 })
    mustRun('setfacl', '-m', 'u:65534:r', elsewhere)
    atlas.claude.edit('')
    using _mounted = bindMount(elsewhere, file)
    const before = listOf(elsewhere)
    const [backup = ''] = await replaceMine(atlas)
    expect([elsewhere, path.join(folder, backup)].map(listOf)).toEqual([before, before])
  })

  const TEAM = 4321
  /** A file of root's that a team shares, in a folder of the team. */
  const shareWithTeam = ({ claude }: Stage, mode: number): void => {
    claude.edit(MINE)
    fs.chownSync(claude.folder, 0, TEAM)
    fs.chmodSync(claude.folder, 0o775)
    fs.chownSync(claude.file, 0, TEAM)
    fs.chmodSync(claude.file, mode)
  }
  const asMember = ['setpriv', '--reuid=65534', '--regid=65534', `--groups=${TEAM}`]
  twoUsersTest('sync: another user’s file stays with its group where the user is in it', async () => {
    await using atlas = await stage({ loggedIn: true, unprivileged: true })
    shareWithTeam(atlas, 0o660)
    const outcome = await atlas.run(['sync', '--force'], { via: asMember, user: { uid: 0, gid: 0 } })
    expect({
      status: outcome.status,
      text: atlas.claude.text(),
      access: accessOf(atlas.claude.file),
    }).toEqual({
      status: 0,
      text: RULES,
      access: { mode: '660', uid: 65_534, gid: TEAM },
    })
  })

  twoUsersTest('sync: a file that leaves its group gives no other group what that one had', async () => {
    await using atlas = await stage({ loggedIn: true, unprivileged: true })
    shareWithTeam(atlas, 0o664)
    fs.chmodSync(atlas.claude.folder, 0o777)
    fs.chmodSync(atlas.claude.file, 0o646)
    await replaceMine(atlas)
    expect(accessOf(atlas.claude.file)).toEqual({ mode: '644', uid: 65_534, gid: 65_534 })
  })
})

describe('a file that sync cannot replace in the usual way', () => {
  mountTest('sync: writes over a file that is mounted by itself, and keeps the old text', async () => {
    await using atlas = await stage({ loggedIn: true })
    const elsewhere = path.join(atlas.home, 'elsewhere')
    fs.writeFileSync(elsewhere, MINE)
    atlas.claude.edit('')
    using _mounted = bindMount(elsewhere, atlas.claude.file)
    await replaceMine(atlas)
    expect(fs.readFileSync(elsewhere, 'utf8')).toBe(RULES)
    expect((await atlas.run(['status'])).stdout).toContain('in_sync')
  })

  bindfsTest('sync: works where neither owner nor mode can be changed', async () => {
    await using atlas = await stage({ loggedIn: true })
    const source = path.join(atlas.home, 'source')
    for (const folder of [source, atlas.claude.folder]) fs.mkdirSync(folder)
    using _mounted = mountWithoutModes(source, atlas.claude.folder)
    atlas.claude.edit(MINE)
    await replaceMine(atlas)
  })

  bindfsTest('login: the config folder and the file store work there too', async () => {
    await using atlas = await stage()
    const source = path.join(atlas.home, 'source')
    fs.mkdirSync(source, { mode: 0o700 })
    fs.mkdirSync(atlas.configFolder, { recursive: true })
    using _mounted = mountWithoutModes(source, atlas.configFolder)
    expect((await atlas.logIn()).status).toBe(0)
    expect((await atlas.run(['auth', 'refresh'])).status).toBe(0)
  })

  userNamespaceTest('sync: works where the file’s group has no number', async () => {
    await using atlas = await stage({ loggedIn: true })
    atlas.claude.edit(MINE)
    fs.chownSync(atlas.claude.file, 0, 1234)
    fs.chmodSync(atlas.claude.file, 0o640)
    await replaceMine(atlas, { via: ['unshare', '--user', '--map-root-user'] })
    expect(accessOf(atlas.claude.file)).toEqual({ mode: '600', uid: 0, gid: 0 })
  })

  const appendOnly = (folder: string): Disposable => {
    mustRun('chattr', '+a', folder)
    return { [Symbol.dispose]: () => mustRun('chattr', '-a', folder) }
  }
  mountTest.each([
    ['with the file', MINE],
    ['without the file', undefined],
  ])('sync: says what to change of a folder that is append-only, %s', async (_, text) => {
    await using atlas = await stage({ loggedIn: true })
    const { folder, file } = atlas.claude
    fs.mkdirSync(folder)
    if (text !== undefined) atlas.claude.edit(text)
    const hint = `If that was not meant, fix it with: chattr -i -a ${folder}`
    {
      using _appendOnly = appendOnly(folder)
      const { status, stderr } = await atlas.run(['sync', '--force'])
      expect({ status, stderr }).toEqual({
        status: 1,
        stderr: `atlas: ${file} cannot be used: it is immutable or append-only.\n       ${hint}\n`,
      })
      expect(atlas.claude.text()).toBe(text)
      const report = JSON.parse((await atlas.run(['doctor', '--json'])).stdout)
      expect(report.checks.find(({ name }: { name: string }) => name === 'sync')).toMatchObject({
        status: 'fail',
        fix: hint.replace(atlas.home, '~'),
      })
    }
    expect((await atlas.run(['sync', '--force'])).status).toBe(0)
    expect(atlas.claude.text()).toBe(RULES)
  })

  test('sync: says that another name of the file keeps the old text', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { file } = atlas.claude
    const twin = path.join(atlas.home, 'twin')
    atlas.claude.edit(MINE)
    fs.linkSync(file, twin)
    const { status, stderr } = await atlas.run(['sync', '--force'])
    expect({ status, stderr, twin: fs.readFileSync(twin, 'utf8') }).toEqual({
      status: 0,
      stderr: `${file} had another name (a hard link), which keeps the old text.\n`,
      twin: MINE,
    })
  })
})
