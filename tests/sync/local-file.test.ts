import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { type ClaudeFolder, type Stage, stage } from '../support/stage.ts'

const isRoot = process.getuid?.() === 0
const NOBODY = 65_534

describe('content', () => {
  const CASES: [what: string, content: string][] = [
    ['line feeds', 'a\nb\n'],
    ['carriage returns and line feeds', 'a\r\nb\r\n'],
    ['carriage returns', 'a\rb'],
    ['a mixture without an end', 'a\nb\r\nc\rd'],
    ['a byte-order mark', '\ufeff# Rules\n'],
    ['all that is not ASCII', 'é 漢 😀 \u0000 \u001b \u2028 \ufffd\n'],
    ['one byte', 'x'],
    ['10 MiB', '0123456789abcde\n'.repeat(655_360)],
  ]
  test.each(CASES)('sync: writes %s byte for byte', async (_, content) => {
    await using atlas = await stage({ loggedIn: true })
    atlas.server.setConfiguration(content)
    expect((await atlas.run(['sync'])).status).toBe(0)
    expect(fs.readFileSync(atlas.claude.file).equals(Buffer.from(content))).toBe(true)
    expect((await atlas.run(['sync'])).stdout).toStartWith('Already up to date')
  })

  test('sync: writes 10 MiB of characters that JSON escapes', async () => {
    await using atlas = await stage({ loggedIn: true })
    const size = 10 * 1024 * 1024
    atlas.server.setConfiguration('\u0001'.repeat(size))
    expect((await atlas.run(['sync'])).status).toBe(0)
    expect(fs.readFileSync(atlas.claude.file).equals(Buffer.alloc(size, 1))).toBe(true)
  })

  test('sync: refuses more than 10 MiB', async () => {
    await using atlas = await stage({ loggedIn: true })
    atlas.server.setConfiguration('x'.repeat(10 * 1024 * 1024 + 1))
    const { status, stderr } = await atlas.run(['sync', '--json'])
    expect([status, JSON.parse(stderr).error.code, fs.existsSync(atlas.claude.folder)]).toEqual([
      5,
      'bad_response',
      false,
    ])
    expect(JSON.parse(stderr).error.message).toEndWith(
      'the configuration has 10485761 bytes, and atlas takes 10485760 at most.',
    )
  })
})

describe('symbolic links', () => {
  const dotfiles = (atlas: Stage, name: string): string => {
    const file = path.join(atlas.home, 'dotfiles', name)
    fs.mkdirSync(path.dirname(file), { recursive: true })
    return file
  }

  test('sync: replaces the target of a link, and puts the backup beside it', async () => {
    await using atlas = await stage({ loggedIn: true })
    const target = dotfiles(atlas, 'shared/rules.md')
    fs.writeFileSync(target, 'mine', { mode: 0o600 })
    fs.symlinkSync('shared/rules.md', dotfiles(atlas, 'link'))
    fs.mkdirSync(atlas.claude.folder)
    fs.symlinkSync('../dotfiles/link', atlas.claude.file)
    const { stdout } = await atlas.run(['sync', '--force', '--json'])
    const { backup } = JSON.parse(stdout)
    expect({
      link: fs.readlinkSync(atlas.claude.file),
      names: atlas.claude.names(),
      target: fs.readFileSync(target, 'utf8'),
      mode: fs.statSync(target).mode & 0o777,
      beside: fs.readdirSync(path.dirname(target)).sort(),
      backup: fs.readFileSync(backup, 'utf8'),
    }).toEqual({
      link: '../dotfiles/link',
      names: ['CLAUDE.md'],
      target: '# Rules\n',
      mode: 0o600,
      beside: ['rules.md', path.basename(backup)],
      backup: 'mine',
    })
  })

  test('sync: follows a linked folder and a link to a file that does not exist yet', async () => {
    await using atlas = await stage({ loggedIn: true })
    fs.symlinkSync('dotfiles/claude', atlas.claude.folder)
    fs.mkdirSync(path.join(atlas.home, 'dotfiles/claude'), { recursive: true })
    fs.symlinkSync('../new/rules.md', atlas.claude.file)
    expect((await atlas.run(['sync'])).status).toBe(0)
    expect([
      fs.readlinkSync(atlas.claude.folder),
      fs.readlinkSync(atlas.claude.file),
      fs.readFileSync(path.join(atlas.home, 'dotfiles/new/rules.md'), 'utf8'),
    ]).toEqual(['dotfiles/claude', '../new/rules.md', '# Rules\n'])
  })

  test('sync: creates the folder that a link points to', async () => {
    await using atlas = await stage({ loggedIn: true })
    fs.symlinkSync('not/yet', atlas.claude.folder)
    expect((await atlas.run(['sync'])).status).toBe(0)
    expect([fs.readlinkSync(atlas.claude.folder), atlas.claude.text()]).toEqual(['not/yet', '# Rules\n'])
  })
})

describe('obstacles', () => {
  const CASES: [what: string, arrange: (claude: ClaudeFolder) => void, reason: string][] = [
    ['a folder', ({ file }) => fs.mkdirSync(file, { recursive: true }), 'a folder is in its place'],
    ['a file', ({ folder }) => fs.writeFileSync(folder, 'x'), 'a file is in the place of its folder'],
    [
      'a circle of links',
      ({ folder, file }) => {
        fs.mkdirSync(folder)
        fs.symlinkSync('CLAUDE.md', file)
      },
      'its symbolic links lead in a circle',
    ],
    [
      'a named pipe',
      ({ folder, file }) => {
        fs.mkdirSync(folder)
        Bun.spawnSync(['mkfifo', file])
      },
      'it is not a regular file',
    ],
  ]
  test.each(CASES)('sync: %s in the way is an error that names it', async (_, arrange, reason) => {
    await using atlas = await stage({ loggedIn: true })
    arrange(atlas.claude)
    for (const args of [['sync'], ['sync', '--force'], ['sync', '--dry-run']]) {
      const { status, stdout, stderr } = await atlas.run([...args, '--json'])
      const { code, message } = JSON.parse(stderr).error
      expect({ status, stdout, code, message }).toEqual({
        status: 1,
        stdout: '',
        code: 'file_error',
        message: `${atlas.claude.file} cannot be used: ${reason}.`,
      })
    }
  })
})

describe('permissions', () => {
  const CASES: [what: string, arrange: (claude: ClaudeFolder) => void][] = [
    ['a read-only folder', ({ folder }) => fs.chmodSync(folder, 0o555)],
    ['a read-only file', ({ file }) => fs.chmodSync(file, 0o444)],
    ['an unreadable file', ({ file }) => fs.chmodSync(file, 0o000)],
  ]
  test.each(CASES)('sync: does not write to %s', async (_, arrange) => {
    await using atlas = await stage({ loggedIn: true, unprivileged: true })
    atlas.claude.edit('mine')
    arrange(atlas.claude)
    const { status, stdout, stderr } = await atlas.run(['sync', '--force', '--json'])
    const { code, message } = JSON.parse(stderr || '{"error":{}}').error
    expect({ status, stdout, code, message, names: atlas.claude.names() }).toEqual({
      status: 1,
      stdout: '',
      code: 'file_error',
      message: `${atlas.claude.file} cannot be used: permission denied.`,
      names: ['CLAUDE.md'],
    })
    fs.chmodSync(atlas.claude.folder, 0o755)
    fs.chmodSync(atlas.claude.file, 0o644)
    expect(atlas.claude.text()).toBe('mine')
  })

  test('sync: a read-only file that is up to date is fine', async () => {
    await using atlas = await stage({ loggedIn: true, unprivileged: true })
    atlas.claude.edit('# Rules\n')
    fs.chmodSync(atlas.claude.file, 0o444)
    fs.chmodSync(atlas.claude.folder, 0o555)
    expect(await atlas.run(['sync'])).toEqual({
      status: 0,
      stdout: 'Already up to date (commit 0123456)\n',
      stderr: '',
    })
    fs.chmodSync(atlas.claude.folder, 0o755)
  })
})

test.skipIf(!isRoot)('sync: run by root keeps the owner of the file', async () => {
  await using atlas = await stage({ loggedIn: true })
  atlas.claude.edit('mine')
  fs.chownSync(atlas.claude.file, NOBODY, NOBODY)
  fs.chmodSync(atlas.claude.file, 0o640)
  const { stdout } = await atlas.run(['sync', '--force', '--json'])
  const accessOf = (file: string) => {
    const { uid, gid, mode } = fs.statSync(file)
    return { uid, gid, mode: mode & 0o7777 }
  }
  const access = { uid: NOBODY, gid: NOBODY, mode: 0o640 }
  expect([accessOf(atlas.claude.file), accessOf(JSON.parse(stdout).backup)]).toEqual([access, access])
})
