import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { createLock } from '../../lib/files/lock.ts'
import { createInterrupts } from '../../lib/interrupts.ts'
import { listBackups } from '../../lib/sync/backups.ts'
import { readLocal, replaceLocal } from '../../lib/sync/local-file.ts'
import { createSyncMemory, type SyncMemory } from '../../lib/sync/memory.ts'
import { findPlace } from '../../lib/sync/place.ts'
import { type SyncOptions, sync } from '../../lib/sync/pull.ts'
import type { Configuration } from '../../lib/sync/remote.ts'

const NOW = new Date('2026-01-02T03:04:05.678Z')
const debug = (): void => {}

/** A folder to sync into, and a server that is a variable. */
function createKit() {
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-sync-')))
  const env = {}
  const place = findPlace(path.join(root, 'claude'), {
    env,
    platform: process.platform,
    homeFolder: root,
    interactive: false,
  })
  const configFolder = path.join(root, 'config')
  const memoryOf = (profile: string): SyncMemory =>
    createSyncMemory({ configFolder, profile, apiUrl: 'https://h', file: place.target })
  const newLock = () =>
    createLock({
      folder: path.join(root, 'locks'),
      name: place.target,
      uid: process.getuid?.(),
      timeoutMs: 5_000,
      cancelled: createInterrupts({ on() {} }).cancelled,
      debug,
    })
  const kit = { remote: '', clock: NOW }
  const configuration = (): Configuration => ({
    content: Buffer.from(kit.remote),
    commitSha: kit.remote === '' ? null : `sha of ${kit.remote}`,
    updatedAt: null,
  })
  return Object.assign(kit, {
    place,
    memory: memoryOf('default'),
    memoryOf,
    newLock,
    configuration,
    sync: (options: Partial<SyncOptions> = {}, during = () => {}, memory = memoryOf('default')) =>
      sync(
        { force: false, dryRun: false, ...options },
        {
          place,
          memory,
          lock: newLock(),
          fetchConfiguration: async () => {
            const answer = configuration()
            during()
            return answer
          },
          now: () => kit.clock,
        },
      ),
    local: () => (fs.existsSync(place.target) ? fs.readFileSync(place.target, 'utf8') : undefined),
    edit(text: string) {
      fs.mkdirSync(place.folder.value, { recursive: true })
      fs.writeFileSync(place.target, text)
    },
    /** An editor that writes a new file and renames it into place. */
    editByRename(text: string) {
      fs.mkdirSync(place.folder.value, { recursive: true })
      const swap = path.join(root, 'swap')
      fs.writeFileSync(swap, text)
      fs.renameSync(swap, place.target)
    },
    remove: () => fs.rmSync(place.target, { force: true }),
    /** All that is in the folder, by name; backups as their texts, oldest first. */
    contents() {
      if (!fs.existsSync(place.folder.value)) return { others: [], backups: [] }
      const backups = listBackups(place.target)
      return {
        others: fs
          .readdirSync(place.folder.value)
          .filter(name => name !== 'CLAUDE.md' && !backups.includes(name)),
        backups: backups.map(name => fs.readFileSync(path.join(place.folder.value, name), 'utf8')),
      }
    },
    [Symbol.dispose]: () => fs.rmSync(root, { recursive: true, force: true }),
  })
}

type Kit = ReturnType<typeof createKit>

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
    const writesMemory = known.base !== remote || known.pending !== undefined
    if (writesMemory && failsAt === 1) return 'failed'
    model.synced.set(profile, { base: remote, pending: undefined })
    return 'up_to_date'
  }
  const edited = local !== undefined && local !== known.base && local !== known.pending
  if (edited && !force) return 'refused'
  if (failsAt === 1) return 'failed'
  if (edited) model.backups = [...model.backups, local].slice(-5)
  model.local = remote
  model.synced.set(
    profile,
    failsAt === 2
      ? { base: edited ? known.base : (local ?? known.base), pending: remote }
      : { base: remote, pending: undefined },
  )
  return failsAt === 2 ? 'failed' : 'written'
}

function failing(memory: SyncMemory, failsAt: number | undefined): SyncMemory {
  let writes = 0
  return {
    recall: memory.recall,
    remember(state) {
      if (++writes === failsAt) throw new Error('killed')
      memory.remember(state)
    },
  }
}

async function take(next: Step, kit: Kit, model: Model): Promise<void> {
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
      using kit = createKit()
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
  test('pull: writes nothing, not even its memory, when nothing changed', async () => {
    using kit = createKit()
    kit.remote = 'a'
    await kit.sync()
    const written: string[] = []
    const memory = { ...kit.memory, remember: () => void written.push('memory') }
    const before = fs.statSync(kit.place.target, { bigint: true })
    expect((await kit.sync({}, () => {}, memory)).result).toBe('up_to_date')
    const { mtimeNs, ctimeNs, ino } = fs.statSync(kit.place.target, { bigint: true })
    expect({ mtimeNs, ctimeNs, ino, written }).toEqual({
      mtimeNs: before.mtimeNs,
      ctimeNs: before.ctimeNs,
      ino: before.ino,
      written: [],
    })
  })

  test('pull: remembers an identical file that was there before, and takes the next text', async () => {
    using kit = createKit()
    kit.edit('a')
    kit.remote = 'a'
    expect((await kit.sync()).result).toBe('up_to_date')
    kit.remote = 'b'
    expect([(await kit.sync()).result, kit.local()]).toEqual(['written', 'b'])
  })

  test('pull: remembers the new commit of an unchanged text', async () => {
    using kit = createKit()
    kit.remote = 'a'
    await kit.sync()
    kit.configuration = () => ({ content: Buffer.from('a'), commitSha: 'later', updatedAt: null })
    const { place, newLock, memory } = kit
    await sync(
      { force: false, dryRun: false },
      { place, memory, lock: newLock(), fetchConfiguration: async () => kit.configuration(), now: () => NOW },
    )
    expect(kit.memory.recall().commitSha).toBe('later')
  })

  test('pull: holds its lock while it asks, so that an older answer never comes last', async () => {
    using kit = createKit()
    kit.remote = 'old'
    let later: Promise<unknown> | undefined
    const { place, memory, newLock, configuration } = kit
    await sync(
      { force: false, dryRun: false },
      {
        place,
        memory,
        lock: newLock(),
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
    using kit = createKit()
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
    using kit = createKit()
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
    using kit = createKit()
    kit.edit('appeared')
    expect(replaceLocal(kit.place.target, content, undefined)).toBe(false)
    expect({ local: kit.local(), ...kit.contents() }).toEqual({ local: 'appeared', others: [], backups: [] })
  })

  test('replace: keeps the mode, and a new file gets that of the umask', () => {
    using kit = createKit()
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
