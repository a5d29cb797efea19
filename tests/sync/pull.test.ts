import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { AtlasError } from '../../lib/errors.ts'
import { readLocal, replaceLocal } from '../../lib/sync/local-file.ts'
import type { SyncState } from '../../lib/sync/memory.ts'
import { sync } from '../../lib/sync/pull.ts'
import { createSyncKit, failing, NOW, type SyncKit } from '../support/sync-kit.ts'

/** What the world must look like, kept beside it by the rules in the README. */
interface Model {
  local: string | undefined
  remote: string
  /** By profile: the texts that are known to be the server's. */
  synced: Map<string, { base: string | undefined; pending: string | undefined }>
  backups: string[]
}

type Step =
  | { do: 'edit' | 'editByRename' | 'remote'; text: string }
  | { do: 'remove' }
  /** The clock goes on, or is set back. */
  | { do: 'clock'; byMs: number }
  | { do: 'dryRun'; force: boolean }
  | {
      do: 'sync'
      force: boolean
      profile: string
      /** An edit while the server is being asked. */
      editDuring: string | undefined
      /** The write of the memory that fails, as it would if the process were killed there. */
      failsAt: 1 | 2 | undefined
    }

const text = fc.constantFrom('', 'a', 'b', 'c', 'a\r\n', '\ufeffa', 'é')
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom('edit' as const, 'editByRename' as const), text }),
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remote' as const), text }) },
  fc.record({ do: fc.constant('remove' as const) }),
  fc.record({ do: fc.constant('clock' as const), byMs: fc.integer({ min: -5000, max: 5000 }) }),
  fc.record({ do: fc.constant('dryRun' as const), force: fc.boolean() }),
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('sync' as const),
      force: fc.boolean(),
      profile: fc.oneof({ weight: 4, arbitrary: fc.constant('default') }, fc.constant('other')),
      editDuring: fc.option(text, { nil: undefined, freq: 5 }),
      failsAt: fc.option(fc.constantFrom(1 as const, 2 as const), { nil: undefined, freq: 2 }),
    }),
  },
)

/** What a sync must come to. */
function expectSync(
  model: Model,
  { force, profile, editDuring, failsAt }: Extract<Step, { do: 'sync' }>,
): string {
  if (editDuring !== undefined) model.local = editDuring
  const { local, remote } = model
  const known = model.synced.get(profile) ?? { base: undefined, pending: undefined }
  if (remote === '') return 'remote_empty'
  if (local === remote) {
    const isNews = known.base !== remote || known.pending !== undefined
    if (failsAt === 1) return 'failed'
    model.synced.set(profile, { base: remote, pending: undefined })
    return isNews && failsAt === 2 ? 'failed' : 'up_to_date'
  }
  const edited = local !== undefined && local !== known.base && local !== known.pending
  if (edited && !force) return 'refused'
  if (failsAt === 1) return 'failed'
  if (edited) model.backups = [...model.backups.filter(text => text !== local), local].slice(-5)
  model.local = remote
  model.synced.set(
    profile,
    failsAt === 2
      ? { base: edited ? known.base : (local ?? known.base), pending: remote }
      : { base: remote, pending: undefined },
  )
  return failsAt === 2 ? 'failed' : 'written'
}

async function take(next: Step, kit: SyncKit, model: Model): Promise<void> {
  switch (next.do) {
    case 'edit':
    case 'editByRename':
      kit[next.do](next.text)
      model.local = next.text
      return
    case 'remove':
      kit.remove()
      model.local = undefined
      return
    case 'remote':
      kit.remote = next.text
      model.remote = next.text
      return
    case 'clock':
      kit.clock = new Date(kit.clock.getTime() + next.byMs)
      return
    case 'dryRun':
      await kit.sync({ force: next.force, dryRun: true })
      return
    case 'sync': {
      const { force, profile, editDuring, failsAt } = next
      const during = (): void => (editDuring === undefined ? undefined : kit.edit(editDuring))
      const expected = expectSync(model, next)
      const memory = failing(kit.memoryOf(profile), failsAt)
      const result = await kit.sync({ force }, during, memory).then(
        synced => synced.result,
        () => 'failed',
      )
      expect(result as string).toBe(expected)
    }
  }
}

const syncOnce = { do: 'sync', force: false, profile: 'default', editDuring: undefined } as const
/** The text that is replaced is the one of a sync that was killed too. */
const KILLED_TWICE: Step[] = [
  { do: 'remote', text: 'a' },
  { ...syncOnce, failsAt: 2 },
  { do: 'remote', text: 'b' },
  { ...syncOnce, failsAt: 2 },
  { do: 'remote', text: 'c' },
  { ...syncOnce, failsAt: undefined },
]

test('pull: edits survive any order of edits, changes on the server, and syncs, forced and failed ones too', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async steps => {
      using kit = createSyncKit()
      const model: Model = { local: undefined, remote: '', synced: new Map(), backups: [] }
      for (const next of steps) {
        await take(next, kit, model)
        expect({ local: kit.local(), ...kit.contents() }).toEqual({
          local: model.local,
          others: [],
          backups: model.backups,
        })
      }
    }),
    { numRuns: 250, examples: [[KILLED_TWICE]] },
  )
})

describe('a sync', () => {
  test('pull: leaves a file alone in which nothing changed, and notes that it looked', async () => {
    using kit = createSyncKit()
    kit.remote = 'a'
    await kit.sync()
    const before = fs.statSync(kit.place.target, { bigint: true })
    kit.clock = new Date(kit.clock.getTime() + 1000)
    expect((await kit.sync()).result).toBe('up_to_date')
    const { mtimeNs, ctimeNs, ino } = fs.statSync(kit.place.target, { bigint: true })
    expect({ mtimeNs, ctimeNs, ino, looked: kit.memory.recall().checked?.at }).toEqual({
      mtimeNs: before.mtimeNs,
      ctimeNs: before.ctimeNs,
      ino: before.ino,
      looked: kit.clock,
    })
  })

  test('pull: works where nothing can be noted', async () => {
    using kit = createSyncKit()
    kit.remote = 'a'
    await kit.sync()
    const memory = {
      ...kit.memory,
      remember() {
        throw new AtlasError('file_error', 'read-only', undefined)
      },
    }
    expect((await kit.sync({}, () => {}, memory)).result).toBe('up_to_date')
  })

  test('pull: remembers an identical file that was there before, and takes the next text', async () => {
    using kit = createSyncKit()
    kit.edit('a')
    kit.remote = 'a'
    expect((await kit.sync()).result).toBe('up_to_date')
    kit.remote = 'b'
    expect([(await kit.sync()).result, kit.local()]).toEqual(['written', 'b'])
  })

  test('pull: an edit that comes between writing and noting is not noted as the server’s text', async () => {
    using kit = createSyncKit()
    kit.remote = 'a'
    const memory = {
      ...kit.memory,
      remember(state: SyncState) {
        kit.memory.remember(state)
        // The last thing before the note.
        if (state.pendingSha256 === null && state.checked === undefined) kit.edit('b')
      },
    }
    expect((await kit.sync({}, () => {}, memory)).result).toBe('written')
    expect([kit.local(), kit.memory.recall().checked]).toEqual(['b', undefined])
  })

  test('pull: remembers the new commit of an unchanged text', async () => {
    using kit = createSyncKit()
    kit.remote = 'a'
    await kit.sync()
    kit.configuration = () => ({ content: Buffer.from('a'), commitSha: 'later', updatedAt: null })
    const { place, newLock, memory } = kit
    await sync(
      { force: false, dryRun: false },
      {
        place,
        memory,
        lock: newLock(),
        account: null,
        fetchConfiguration: async () => kit.configuration(),
        now: () => NOW,
      },
    )
    expect(kit.memory.recall().commitSha).toBe('later')
  })

  test('pull: holds its lock while it asks, so that an older answer never comes last', async () => {
    using kit = createSyncKit()
    kit.remote = 'old'
    let later: Promise<unknown> | undefined
    const { place, memory, newLock, configuration } = kit
    await sync(
      { force: false, dryRun: false },
      {
        place,
        memory,
        lock: newLock(),
        account: null,
        async fetchConfiguration() {
          const answer = configuration()
          kit.remote = 'new'
          later = kit.sync()
          // It would be done by then if nothing held it.
          await Promise.race([later, Bun.sleep(300)])
          return answer
        },
        now: () => NOW,
      },
    )
    await later
    expect({ local: kit.local(), ...kit.contents() }).toEqual({ local: 'new', others: [], backups: [] })
  })

  test('pull: keeps the five newest backups and deletes no other file', async () => {
    using kit = createSyncKit()
    kit.edit('0')
    fs.writeFileSync(path.join(kit.place.folder.value, 'CLAUDE.md.bak'), 'mine')
    for (let round = 1; round <= 8; round++) {
      kit.edit(`edit ${round}`)
      kit.remote = `server ${round}`
      await kit.sync({ force: true })
    }
    expect(kit.contents()).toEqual({
      others: ['CLAUDE.md.bak'],
      backups: ['edit 4', 'edit 5', 'edit 6', 'edit 7', 'edit 8'],
    })
  })
})

describe('replacing', () => {
  const content = Buffer.from('new')

  test('replace: does nothing when the file has changed since it was read', () => {
    using kit = createSyncKit()
    kit.edit('seen')
    const seen = readLocal(kit.place.target)
    for (const change of [() => kit.edit('other'), () => kit.editByRename('other'), kit.remove]) {
      change()
      const before = kit.local()
      expect(replaceLocal(kit.place.target, content, seen)).toBe(false)
      expect({ local: kit.local(), ...kit.contents() }).toEqual({ local: before, others: [], backups: [] })
    }
  })

  test('replace: does nothing when a file has appeared since', () => {
    using kit = createSyncKit()
    kit.edit('appeared')
    expect(replaceLocal(kit.place.target, content, undefined)).toBe(false)
    expect({ local: kit.local(), ...kit.contents() }).toEqual({ local: 'appeared', others: [], backups: [] })
  })

  test('replace: keeps the mode, and a new file gets that of the umask', () => {
    using kit = createSyncKit()
    const mode = (): number => fs.statSync(kit.place.target).mode & 0o7777
    const umask = process.umask(0o027)
    try {
      replaceLocal(kit.place.target, content, undefined)
      expect(mode()).toBe(0o640)
    } finally {
      process.umask(umask)
    }
    for (const wanted of [0o600, 0o644, 0o666, 0o755]) {
      fs.chmodSync(kit.place.target, wanted)
      replaceLocal(kit.place.target, Buffer.from(`mode ${wanted}`), readLocal(kit.place.target))
      fs.rmSync(path.join(kit.place.folder.value, '.CLAUDE.md.atlas-old'))
      expect([mode(), kit.local()]).toEqual([wanted, `mode ${wanted}`])
    }
  })
})
