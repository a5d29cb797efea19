import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { type Outcome, outcomeOf } from '../support/binary.ts'
import { createSyncStage, type SyncStage } from '../support/sync-stage.ts'

const strace = Bun.which('strace')
const canTrace = strace !== null && Bun.spawnSync([strace, '-o', '/dev/null', 'true']).exitCode === 0
if (!canTrace && process.env['CI'] === 'true') throw new Error('strace is missing, or may not trace')

/** Long enough that a part of it would be seen, and told from another by each of its lines. */
const textOf = (round: number): string => `round ${round}\n`.repeat(20_000)

test('killed at any moment of 200 syncs, the file is the old or the new one, and nothing is left behind', async () => {
  const rounds = 200
  const lanes = 4
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      await using stage = await createSyncStage()
      stage.setRemote(textOf(0))
      const startedAt = performance.now()
      await stage.run(['sync'])
      const usualMs = performance.now() - startedAt
      let killed = 0
      for (let round = 1; round <= rounds / lanes; round++) {
        const before = stage.local()
        const next = textOf(round)
        stage.setRemote(next)
        const child = stage.sandbox.start(['sync'], { input: '' })
        await Bun.sleep(Math.random() * usualMs * 1.2)
        child.kill('SIGKILL')
        const { status, stdout, stderr } = await outcomeOf(child)
        if (status === 0) expect(stdout).toStartWith('Updated ')
        else killed++
        const after = stage.local()
        expect({ lane, round, stderr, whole: after === before || after === next }).toEqual({
          lane,
          round,
          stderr: '',
          whole: true,
        })
      }
      expect(killed).toBeGreaterThan(0)
      expect((await stage.run(['sync'])).status).toBe(0)
      expect([stage.local(), stage.names()]).toEqual([textOf(rounds / lanes), ['CLAUDE.md']])
      expect(fs.readdirSync(path.join(stage.sandbox.configFolder, 'sync')).length).toBe(1)
    }),
  )
})

/** The calls by which a sync changes a file system; no machine has all of them. */
const CHANGES = [
  '?rename,?renameat,?renameat2',
  '?link,?linkat',
  '?unlink,?unlinkat',
  '?mkdir,?mkdirat',
  'fsync',
  'fchmod',
  'write',
]

/** A run in whose system calls strace interferes. @param only calls on that file alone. */
async function runTraced(
  { sandbox }: SyncStage,
  inject: string,
  args: readonly string[],
  only?: string,
): Promise<Outcome> {
  const filter = ['-e', `trace=${inject.split(':')[0]}`, ...(only === undefined ? [] : ['-P', only])]
  const command = [strace ?? '', '-f', '-qq', '-o', '/dev/null', ...filter, '-e', `inject=${inject}`]
  const child = Bun.spawn([...command, sandbox.binary, ...args], {
    cwd: sandbox.cwd,
    env: sandbox.env,
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  return outcomeOf(child)
}

const temporaryOf = ({ folder }: SyncStage): string => path.join(folder, '.CLAUDE.md.atlas-tmp')

describe.skipIf(!canTrace)('interfered with at every step', () => {
  const SITUATIONS: [what: string, old: string | undefined, synced: boolean, args: string[]][] = [
    ['a first sync', undefined, false, ['sync']],
    ['a newer text', 'old', true, ['sync']],
    ['a forced sync', 'mine', false, ['sync', '--force']],
  ]
  test.each(
    SITUATIONS,
  )('killed before each change of %s, the next sync completes it', async (_, old, synced, args) => {
    await using stage = await createSyncStage()
    let killed = 0
    for (const change of CHANGES) {
      for (let time = 1, ended = false; !ended; time++) {
        const moment = `${change} ${time}`
        fs.rmSync(stage.folder, { recursive: true, force: true })
        fs.rmSync(path.join(stage.sandbox.configFolder, 'sync'), { recursive: true, force: true })
        if (old !== undefined) stage.edit(old)
        stage.setRemote(old ?? 'new')
        if (synced) await stage.run(['sync'])
        stage.setRemote('new')
        const { status } = await runTraced(stage, `${change}:signal=KILL:when=${time}`, args)
        ended = status === 0
        if (!ended) killed++
        const kept = stage.local()
        expect({ moment, whole: kept === old || kept === 'new' }).toEqual({ moment, whole: true })

        // Whatever was kept, going on never needs more than was asked for in the first place.
        const next = await stage.run(args)
        expect({ moment, status: next.status, local: stage.local() }).toEqual({
          moment,
          status: 0,
          local: 'new',
        })
        const others = stage.names().filter(name => name !== 'CLAUDE.md')
        const texts = others.map(name => fs.readFileSync(path.join(stage.folder, name), 'utf8'))
        expect({ moment, texts }).toEqual({ moment, texts: synced || old === undefined ? [] : [old] })
        expect(others.filter(name => name.startsWith('.'))).toEqual([])
      }
    }
    expect(killed).toBeGreaterThan(10)
  })

  test('an edit in place between the last look and the rename becomes a backup', async () => {
    await using stage = await createSyncStage()
    const displaced = path.join(stage.folder, '.CLAUDE.md.atlas-old')
    const held = '?rename,?renameat,?renameat2:delay_enter=1000000'
    let outcome: Outcome
    // On a busy machine the last look may come after the edit, which is then refused to be overwritten.
    do {
      stage.setRemote('# Rules\n')
      await stage.run(['sync', '--force'])
      stage.setRemote('# New\n')
      const running = runTraced(stage, held, ['sync', '--json'], temporaryOf(stage))
      while (!fs.existsSync(displaced)) await Bun.sleep(5)
      await Bun.sleep(200)
      fs.appendFileSync(stage.file, 'my last words\n')
      outcome = await running
    } while (outcome.status === 1)
    const { result, backup } = JSON.parse(outcome.stdout)
    expect({ result, local: stage.local(), backup: fs.readFileSync(backup, 'utf8') }).toEqual({
      result: 'written',
      local: '# New\n',
      backup: '# Rules\nmy last words\n',
    })
  })

  test('a file system without hard links is written to all the same', async () => {
    await using stage = await createSyncStage()
    const run = (...args: string[]) =>
      runTraced(stage, '?link,?linkat:error=EPERM', ['sync', '--json', ...args])
    expect(JSON.parse((await run()).stdout).result).toBe('written')
    stage.setRemote('# New\n')
    expect(JSON.parse((await run()).stdout).backup).toBeNull()
    stage.edit('mine')
    const { backup } = JSON.parse((await run('--force')).stdout)
    expect([stage.local(), fs.readFileSync(backup, 'utf8')]).toEqual(['# New\n', 'mine'])
    expect(stage.names()).toEqual(['CLAUDE.md', path.basename(backup)])
  })

  const FAULTS: [what: string, fault: string, reason: string][] = [
    ['a disk that is full', 'write,pwrite64:error=ENOSPC', 'the disk is full'],
    ['a disk that is full when flushed', 'fsync:error=ENOSPC', 'the disk is full'],
    ['a quota that is used up', 'write,pwrite64:error=EDQUOT', 'the disk quota is used up'],
    ['a rename that is refused', '?rename,?renameat,?renameat2:error=EPERM', 'permission denied'],
    ['a broken disk', 'fsync:error=EIO', 'EIO'],
  ]
  test.each(FAULTS)('%s is an error, the old file intact, nothing left', async (_, fault, reason) => {
    await using stage = await createSyncStage()
    stage.edit('mine')
    const { status, stdout, stderr } = await runTraced(
      stage,
      fault,
      ['sync', '--force', '--json'],
      temporaryOf(stage),
    )
    const { code, message } = JSON.parse(stderr || '{"error":{}}').error
    expect({ status, stdout, code, message, local: stage.local(), names: stage.names() }).toEqual({
      status: 1,
      stdout: '',
      code: 'file_error',
      message: `${stage.file} cannot be used: ${reason}.`,
      local: 'mine',
      names: ['CLAUDE.md'],
    })
  })
})
