import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { createSyncKit, failing, type SyncKit } from '../support/sync-kit.ts'

type Step =
  | { do: 'edit' | 'theySave' | 'remove' }
  | { do: 'rollBack'; by: number }
  | { do: 'clock'; byMs: number }
  | {
      do: 'sync' | 'push'
      force: boolean
      /** The write of the memory at which the process is killed. */
      failsAt: number | undefined
      /** Somebody else saves, or the person here writes, between reading and writing. */
      meanwhile: 'theySave' | 'edit' | undefined
      /** Killed before the text has left, or when the server has it. */
      killed: 'before' | 'after' | undefined
    }

const sometimes = <T extends string>(...values: T[]): fc.Arbitrary<T | undefined> =>
  fc.option(fc.constantFrom(...values), { nil: undefined, freq: 2 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('edit' as const, 'theySave' as const) }) },
  fc.record({ do: fc.constant('remove' as const) }),
  fc.record({ do: fc.constant('rollBack' as const), by: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ do: fc.constant('clock' as const), byMs: fc.integer({ min: -5000, max: 5000 }) }),
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('sync' as const, 'push' as const),
      force: fc.boolean(),
      failsAt: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined, freq: 2 }),
      meanwhile: sometimes('theySave', 'edit'),
      killed: sometimes('before', 'after'),
    }),
  },
)

/** People on both sides, and every text of theirs that must still be found somewhere. */
class World {
  readonly kit: SyncKit
  readonly precious = new Set<string>()
  #count = 0

  constructor(kit: SyncKit) {
    this.kit = kit
  }

  /** The person here writes a new text, and gives up the one that stood in the file. */
  edit(): void {
    this.precious.delete(this.kit.local() ?? '')
    const text = this.#newText('mine')
    this.kit.edit(text)
  }

  remove(): void {
    this.precious.delete(this.kit.local() ?? '')
    this.kit.remove()
  }

  /** Somebody saves a new text in the web editor, and gives up the one that stood there. */
  theySave(): void {
    this.precious.delete(this.kit.remote)
    this.kit.save(this.#newText('theirs'))
  }

  /** The text that is replaced is given up by whoever asks for an older one, which may be known here and so be nobody's loss. */
  rollBack(by: number): void {
    const older = this.kit.history[by]
    if (older === undefined) return
    this.precious.delete(this.kit.remote)
    this.kit.save(older)
  }

  copies(): Set<string> {
    const { backups, others } = this.kit.contents()
    return new Set([this.kit.local() ?? '', this.kit.remote, ...backups, ...this.kit.textsOf(others)])
  }

  #newText(whose: string): string {
    const text = `${whose} ${++this.#count}`
    this.precious.add(text)
    return text
  }
}

async function syncOrPush(next: Extract<Step, { do: 'sync' | 'push' }>, world: World): Promise<void> {
  const { kit } = world
  const memory = failing(kit.memoryOf('default'), next.failsAt)
  const meanwhile = (): void => void (next.meanwhile && world[next.meanwhile]())
  let overtaken: string | undefined
  const saving = (text: string): void => {
    const found = kit.remote
    meanwhile()
    if (next.killed === 'before') throw new Error('killed')
    if (kit.remote !== found) overtaken = kit.remote
    kit.save(text)
    if (next.killed === 'after') throw new Error('killed')
  }
  const { force } = next
  const ended = await (next.do === 'sync'
    ? kit.sync({ force }, meanwhile, memory)
    : kit.push({ force }, saving, memory)
  ).catch(error => {
    expect(error.message).toMatch(/^killed$|CLAUDE\.md cannot be pushed: it does not exist\.$/)
    return undefined
  })
  if (overtaken === undefined) return
  // The server compares nothing, which the documentation says. Who is not killed in that moment is told.
  if (ended !== undefined && ended.result === 'pushed' && 'overtaken' in ended)
    expect(ended.overtaken).toBe(`sha of ${overtaken}`)
  world.precious.delete(overtaken)
}

/** As many backups are kept. */
const MAX_BACKUPS = 5

/** Let something happen, and see that nothing was lost but the oldest of many backups. */
async function withoutLoss(world: World, happen: () => Promise<unknown>): Promise<void> {
  const { backups } = world.kit.contents()
  await happen()
  const after = world.kit.contents().backups
  if (after.length >= MAX_BACKUPS)
    for (const text of backups) if (!after.includes(text)) world.precious.delete(text)
  const copies = world.copies()
  expect([...world.precious].filter(text => !copies.has(text))).toEqual([])
}

async function take(next: Step, world: World): Promise<void> {
  const { kit } = world
  if (next.do === 'clock') kit.clock = new Date(kit.clock.getTime() + next.byMs)
  else if (next.do === 'rollBack') world.rollBack(next.by)
  else if (next.do === 'sync' || next.do === 'push') await syncOrPush(next, world)
  else world[next.do]()
}

test('sync and push: no text that anybody wrote on either side is without a copy, in any order, killed or not', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 30 }), async steps => {
      using kit = createSyncKit()
      const world = new World(kit)
      world.theySave()
      for (const next of steps) await withoutLoss(world, () => take(next, world))
      // Whatever was killed, an ordinary sync and push lose nothing and agree.
      let last = ''
      await withoutLoss(world, async () => {
        last = (await kit.sync()).result
      })
      if (last === 'refused')
        await withoutLoss(world, () => kit.push({ force: true }, text => kit.save(text)))
      expect(kit.local()).toBe(kit.remote)
    }),
    { numRuns: 300 },
  )
}, 60_000)
