import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { outcomeOf } from '../support/binary.ts'
import { createSyncStage, type SyncStage } from '../support/sync-stage.ts'

const isRoot = process.getuid?.() === 0
const NOBODY = 65_534

describe('the bytes on the disk are those that the server sent', () => {
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
  test.each(CASES)('%s', async (_, content) => {
    await using stage = await createSyncStage()
    stage.setRemote(content)
    expect((await stage.run(['sync'])).status).toBe(0)
    expect(fs.readFileSync(stage.file).equals(Buffer.from(content))).toBe(true)
    expect((await stage.run(['sync'])).stdout).toStartWith('Already up to date')
  })

  test('also where JSON takes six bytes for one', async () => {
    await using stage = await createSyncStage()
    const size = 10 * 1024 * 1024
    stage.setRemote('\u0001'.repeat(size))
    expect((await stage.run(['sync'])).status).toBe(0)
    expect(fs.readFileSync(stage.file).equals(Buffer.alloc(size, 1))).toBe(true)
  })

  test('and of more than 10 MiB nothing is', async () => {
    await using stage = await createSyncStage()
    stage.setRemote('x'.repeat(10 * 1024 * 1024 + 1))
    const { status, stderr } = await stage.run(['sync', '--json'])
    expect([status, JSON.parse(stderr).error.code, fs.existsSync(stage.folder)]).toEqual([
      5,
      'bad_response',
      false,
    ])
    expect(JSON.parse(stderr).error.message).toEndWith(
      'the configuration has 10485761 bytes, and atlas takes 10485760 at most.',
    )
  })
})

describe('symbolic links stay', () => {
  const dotfiles = (stage: SyncStage, name: string): string => {
    const file = path.join(stage.sandbox.home, 'dotfiles', name)
    fs.mkdirSync(path.dirname(file), { recursive: true })
    return file
  }

  test('a linked file is replaced where it is, its backup put beside it', async () => {
    await using stage = await createSyncStage()
    const target = dotfiles(stage, 'shared/rules.md')
    fs.writeFileSync(target, 'mine', { mode: 0o600 })
    fs.symlinkSync('shared/rules.md', dotfiles(stage, 'link'))
    fs.mkdirSync(stage.folder)
    fs.symlinkSync('../dotfiles/link', stage.file)
    const { stdout } = await stage.run(['sync', '--force', '--json'])
    const { backup } = JSON.parse(stdout)
    expect({
      link: fs.readlinkSync(stage.file),
      names: stage.names(),
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

  test('a linked folder, and a link to a file that is yet to be', async () => {
    await using stage = await createSyncStage()
    fs.symlinkSync('dotfiles/claude', stage.folder)
    fs.mkdirSync(path.join(stage.sandbox.home, 'dotfiles/claude'), { recursive: true })
    fs.symlinkSync('../new/rules.md', stage.file)
    expect((await stage.run(['sync'])).status).toBe(0)
    expect([
      fs.readlinkSync(stage.folder),
      fs.readlinkSync(stage.file),
      fs.readFileSync(path.join(stage.sandbox.home, 'dotfiles/new/rules.md'), 'utf8'),
    ]).toEqual(['dotfiles/claude', '../new/rules.md', '# Rules\n'])
  })

  test('a folder linked to one that is yet to be', async () => {
    await using stage = await createSyncStage()
    fs.symlinkSync('not/yet', stage.folder)
    expect((await stage.run(['sync'])).status).toBe(0)
    expect([fs.readlinkSync(stage.folder), stage.local()]).toEqual(['not/yet', '# Rules\n'])
  })
})

describe('what is in the way is an error that names it, and nothing is changed', () => {
  const CASES: [
    what: string,
    arrange: (stage: SyncStage) => void,
    reason: string,
    place: 'file' | 'folder',
  ][] = [
    ['a folder', ({ file }) => fs.mkdirSync(file, { recursive: true }), 'a folder is in its place', 'file'],
    ['a file', ({ folder }) => fs.writeFileSync(folder, 'x'), 'a file is in the place of its folder', 'file'],
    [
      'a circle of links',
      ({ folder, file }) => {
        fs.mkdirSync(folder)
        fs.symlinkSync('CLAUDE.md', file)
      },
      'its symbolic links lead in a circle',
      'file',
    ],
    [
      'a named pipe',
      ({ folder, file }) => {
        fs.mkdirSync(folder)
        Bun.spawnSync(['mkfifo', file])
      },
      'it is not a regular file',
      'file',
    ],
  ]
  test.each(CASES)('%s', async (_, arrange, reason) => {
    await using stage = await createSyncStage()
    arrange(stage)
    for (const args of [['sync'], ['sync', '--force'], ['sync', '--dry-run']]) {
      const { status, stdout, stderr } = await stage.run([...args, '--json'])
      const { code, message } = JSON.parse(stderr).error
      expect({ status, stdout, code, message }).toEqual({
        status: 1,
        stdout: '',
        code: 'file_error',
        message: `${stage.file} cannot be used: ${reason}.`,
      })
    }
  })
})

/** A run by somebody for whom file modes count: root is stopped by none. */
async function runUnprivileged(stage: SyncStage, args: readonly string[]) {
  if (!isRoot) return stage.run(args)
  Bun.spawnSync(['chown', '-R', `${NOBODY}`, stage.sandbox.home])
  const command = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
  const child = Bun.spawn([...command, stage.sandbox.binary, ...args], {
    cwd: stage.sandbox.cwd,
    env: stage.sandbox.env,
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  return outcomeOf(child)
}

describe('what must not be written is not', () => {
  const CASES: [what: string, arrange: (stage: SyncStage) => void][] = [
    ['a read-only folder', ({ folder }) => fs.chmodSync(folder, 0o555)],
    ['a read-only file', ({ file }) => fs.chmodSync(file, 0o444)],
    ['an unreadable file', ({ file }) => fs.chmodSync(file, 0o000)],
  ]
  test.each(CASES)('%s', async (_, arrange) => {
    await using stage = await createSyncStage()
    stage.edit('mine')
    arrange(stage)
    const { status, stdout, stderr } = await runUnprivileged(stage, ['sync', '--force', '--json'])
    const { code, message } = JSON.parse(stderr || '{"error":{}}').error
    expect({ status, stdout, code, message, names: stage.names() }).toEqual({
      status: 1,
      stdout: '',
      code: 'file_error',
      message: `${stage.file} cannot be used: permission denied.`,
      names: ['CLAUDE.md'],
    })
    fs.chmodSync(stage.folder, 0o755)
    fs.chmodSync(stage.file, 0o644)
    expect(stage.local()).toBe('mine')
  })

  test('but a read-only file that is up to date is no trouble', async () => {
    await using stage = await createSyncStage()
    stage.edit('# Rules\n')
    fs.chmodSync(stage.file, 0o444)
    fs.chmodSync(stage.folder, 0o555)
    expect(await runUnprivileged(stage, ['sync'])).toEqual({
      status: 0,
      stdout: 'Already up to date (commit 0123456)\n',
      stderr: '',
    })
    fs.chmodSync(stage.folder, 0o755)
  })
})

test.skipIf(!isRoot)('a file keeps its owner where the one who syncs may give files away', async () => {
  await using stage = await createSyncStage()
  stage.edit('mine')
  fs.chownSync(stage.file, NOBODY, NOBODY)
  fs.chmodSync(stage.file, 0o640)
  const { stdout } = await stage.run(['sync', '--force', '--json'])
  const accessOf = (file: string) => {
    const { uid, gid, mode } = fs.statSync(file)
    return { uid, gid, mode: mode & 0o7777 }
  }
  const access = { uid: NOBODY, gid: NOBODY, mode: 0o640 }
  expect([accessOf(stage.file), accessOf(JSON.parse(stdout).backup)]).toEqual([access, access])
})
