import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { type Outcome, outcomeOf } from '../support/binary.ts'
import { forRun, traceTest } from '../support/needs.ts'
import { createSmallDisk, smallDiskTest } from '../support/small-disk.ts'
import { type Stage, stage } from '../support/stage.ts'

/** Long enough that a part of it would be seen, and told from another by each of its lines. */
const textOf = (round: number): string => `round ${round}\n`.repeat(20_000)

test('sync: killed at random moments it leaves the old or the new file, and nothing else', async () => {
  const lanes = forRun({ short: 2, full: 4 })
  const roundsPerLane = forRun({ short: 12, full: 50 })
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      await using atlas = await stage({ loggedIn: true })
      atlas.server.setConfiguration(textOf(0))
      const startedAt = performance.now()
      await atlas.run(['sync'])
      const usualMs = performance.now() - startedAt
      let killed = 0
      for (let round = 1; round <= roundsPerLane; round++) {
        const before = atlas.claude.text()
        const next = textOf(round)
        atlas.server.setConfiguration(next)
        const child = atlas.start(['sync'], { input: '' })
        await Bun.sleep(Math.random() * usualMs * 1.2)
        child.kill('SIGKILL')
        const { status, stdout, stderr } = await outcomeOf(child)
        if (status === 0) expect(stdout).toStartWith('Updated ')
        else killed++
        const after = atlas.claude.text()
        expect({ lane, round, stderr, whole: after === before || after === next }).toEqual({
          lane,
          round,
          stderr: '',
          whole: true,
        })
      }
      expect(killed).toBeGreaterThan(0)
      expect((await atlas.run(['sync'])).status).toBe(0)
      expect([atlas.claude.text(), atlas.claude.names()]).toEqual([textOf(roundsPerLane), ['CLAUDE.md']])
      expect(fs.readdirSync(path.join(atlas.configFolder, 'sync')).length).toBe(1)
    }),
  )
})

const RENAMED = '?rename,?renameat,?renameat2'

/** The calls by which a sync changes a file system; no machine has all of them. */
const CHANGES = [RENAMED, '?link,?linkat', '?unlink,?unlinkat', '?mkdir,?mkdirat', 'fsync', 'fchmod', 'write']

/** A run in whose system calls strace interferes. */
function runTraced(atlas: Stage, inject: string, args: readonly string[]): Promise<Outcome> {
  const filter = ['-e', `trace=${inject.split(':')[0]}`]
  const via = ['strace', '-f', '-qq', '-o', '/dev/null', ...filter, '-e', `inject=${inject}`]
  return atlas.run(args, { via })
}

/*
 * The calls for the file itself are told by their number: what is remembered is written first, with two
 * flushes (its file, its folder) and one rename.
 */
const SECOND = 'when=2'
const THIRD = 'when=3'

describe('faults at every system call', () => {
  const SITUATIONS: [what: string, old: string | undefined, synced: boolean, args: string[]][] = [
    ['a first sync', undefined, false, ['sync']],
    ['a newer text', 'old', true, ['sync']],
    ['a forced sync', 'mine', false, ['sync', '--force']],
  ]
  traceTest.each(forRun({ short: SITUATIONS.slice(2), full: SITUATIONS }))(
    'sync: killed before each system call of %s, the next sync completes it',
    async (_, old, synced, args) => {
      await using atlas = await stage({ loggedIn: true })
      let killed = 0
      for (const change of CHANGES) {
        for (let time = 1, ended = false; !ended; time++) {
          const moment = `${change} ${time}`
          fs.rmSync(atlas.claude.folder, { recursive: true, force: true })
          fs.rmSync(path.join(atlas.configFolder, 'sync'), { recursive: true, force: true })
          if (old !== undefined) atlas.claude.edit(old)
          atlas.server.setConfiguration(old ?? 'new')
          if (synced) await atlas.run(['sync'])
          atlas.server.setConfiguration('new')
          const { status } = await runTraced(atlas, `${change}:signal=KILL:when=${time}`, args)
          ended = status === 0
          if (!ended) killed++
          const kept = atlas.claude.text()
          expect({ moment, whole: kept === old || kept === 'new' }).toEqual({ moment, whole: true })

          // Whatever was kept, going on never needs more than was asked for in the first place.
          const next = await atlas.run(args)
          expect({ moment, status: next.status, local: atlas.claude.text() }).toEqual({
            moment,
            status: 0,
            local: 'new',
          })
          const others = atlas.claude.names().filter(name => name !== 'CLAUDE.md')
          const texts = others.map(name => fs.readFileSync(path.join(atlas.claude.folder, name), 'utf8'))
          expect({ moment, texts }).toEqual({ moment, texts: synced || old === undefined ? [] : [old] })
          expect(others.filter(name => name.startsWith('.'))).toEqual([])
        }
      }
      expect(killed).toBeGreaterThan(10)
    },
  )

  traceTest('sync: an edit in place just before the rename becomes a backup', async () => {
    await using atlas = await stage({ loggedIn: true })
    const displaced = path.join(atlas.claude.folder, '.CLAUDE.md.atlas-old')
    const held = `${RENAMED}:delay_enter=1000000:${SECOND}`
    let outcome: Outcome
    // On a busy machine the last look may come after the edit, which is then refused to be overwritten.
    do {
      atlas.server.setConfiguration('# Rules\n')
      await atlas.run(['sync', '--force'])
      atlas.server.setConfiguration('# New\n')
      const running = runTraced(atlas, held, ['sync', '--json'])
      while (!fs.existsSync(displaced)) await Bun.sleep(5)
      await Bun.sleep(200)
      fs.appendFileSync(atlas.claude.file, 'my last words\n')
      outcome = await running
    } while (outcome.status === 1)
    const { result, backup } = JSON.parse(outcome.stdout)
    expect({ result, local: atlas.claude.text(), backup: fs.readFileSync(backup, 'utf8') }).toEqual({
      result: 'written',
      local: '# New\n',
      backup: '# Rules\nmy last words\n',
    })
  })

  traceTest('sync: works on a file system without hard links', async () => {
    await using atlas = await stage({ loggedIn: true })
    const run = (...args: string[]) =>
      runTraced(atlas, '?link,?linkat:error=EPERM', ['sync', '--json', ...args])
    expect(JSON.parse((await run()).stdout).result).toBe('written')
    atlas.server.setConfiguration('# New\n')
    expect(JSON.parse((await run()).stdout).backup).toBeNull()
    atlas.claude.edit('mine')
    const { backup } = JSON.parse((await run('--force')).stdout)
    expect([atlas.claude.text(), fs.readFileSync(backup, 'utf8')]).toEqual(['# New\n', 'mine'])
    expect(atlas.claude.names()).toEqual(['CLAUDE.md', path.basename(backup)])
  })

  const FAULTS: [what: string, fault: string, reason: string][] = [
    ['a disk that is full when flushed', `fsync:error=ENOSPC:${THIRD}`, 'the disk is full'],
    ['a quota that is used up', `fsync:error=EDQUOT:${THIRD}`, 'the disk quota is used up'],
    ['a rename that is refused', `${RENAMED}:error=EPERM:${SECOND}`, 'permission denied'],
    ['a broken disk', `fsync:error=EIO:${THIRD}`, 'EIO'],
  ]
  traceTest.each(FAULTS)(
    'sync: %s is an error that keeps the old file and leaves nothing behind',
    async (_, fault, reason) => {
      await using atlas = await stage({ loggedIn: true })
      atlas.claude.edit('mine')
      const outcome = await runTraced(atlas, fault, ['sync', '--force', '--json'])
      expect({ ...failed(outcome), local: atlas.claude.text(), names: atlas.claude.names() }).toEqual({
        ...fileError(atlas.claude.file, reason),
        local: 'mine',
        names: ['CLAUDE.md'],
      })
    },
  )
})

smallDiskTest('sync: a full disk is an error that keeps the old file and leaves nothing behind', async () => {
  await using atlas = await stage({ loggedIn: true })
  using disk = createSmallDisk()
  const file = path.join(disk.folder, 'CLAUDE.md')
  fs.writeFileSync(file, 'mine')
  disk.fill()
  const outcome = await atlas.run(['sync', '--force', '--json', '--dir', disk.folder])
  expect({
    ...failed(outcome),
    local: fs.readFileSync(file, 'utf8'),
    names: fs.readdirSync(disk.folder).sort(),
  }).toEqual({ ...fileError(file, 'the disk is full'), local: 'mine', names: ['CLAUDE.md', 'filler'] })
})

function failed({ status, stdout, stderr }: Outcome) {
  const { code, message } = JSON.parse(stderr || '{"error":{}}').error
  return { status, stdout, code, message }
}

const fileError = (file: string, reason: string) => ({
  status: 1,
  stdout: '',
  code: 'file_error',
  message: `${file} cannot be used: ${reason}.`,
})
