/*
 * Many processes at once, with faults of machines, disks, keychains, servers and people among them, for as
 * many minutes as are given: npm run soak -- --minutes 30 [--seed S]. Ends with 1 if a session was lost that
 * need not have been, a record damaged, a secret printed, or a process never ended. `--only file-1/17` repeats
 * the plan of one round; the machine decides how it goes.
 */
import { parseArgs } from 'node:util'
import { hasSecretService } from '../../tests/support/secret-service.ts'
import { createChance } from './chance.ts'
import { judge } from './judge.ts'
import { planRound } from './plan.ts'
import { playRound, prepare } from './round.ts'
import { createWorld, type World } from './world.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: crypto.randomUUID().slice(0, 8) },
    only: { type: 'string' },
  },
})
const { seed, only } = values
const minutes = Number(values.minutes)
if (!(minutes > 0)) throw new Error(`--minutes is "${values.minutes}", which is not a number above 0`)

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const endsAt = performance.now() + minutes * 60_000
const canTrace =
  Bun.which('strace') !== null && Bun.spawnSync(['strace', '-o', '/dev/null', 'true']).exitCode === 0
const counts = new Map<string, number>()
const count = (what: string, times = 1): void => void counts.set(what, (counts.get(what) ?? 0) + times)

async function lane(name: string, store: World['store']): Promise<void> {
  await using world = await createWorld(store)
  let hasLoggedOut = false
  for (let number = 1; performance.now() < endsAt; number++) {
    const id = only ?? `${name}/${number}`
    if (!id.startsWith(`${name}/`)) return
    const plan = planRound(createChance(`${seed}/${id}`), { canTrace, canFreeze: store === 'keychain' })
    const complain = (what: string): void => {
      count('violations')
      say(`seed ${seed}, round ${id}: ${what}`)
    }
    const problem = await prepare(world, plan.due, hasLoggedOut)
    if (problem !== undefined) complain(problem)
    const round = await playRound(world, plan)
    hasLoggedOut = round.actors.some(({ args }) => args[1] === 'logout')
    if (store === 'keychain' && !world.atlas.keychain.keyringLives()) {
      // It dies now and then of a client that is killed in the middle of a call.
      count('rounds that do not count because gnome-keyring itself ended')
      await world.atlas.keychain.restartKeyring()
      continue
    }
    const { violations, losses } = judge(round)
    count(`rounds with the ${store}`)
    count('processes', round.actors.length)
    for (const { fault } of round.actors)
      count(fault.kind === 'signal' ? `${fault.signals.join(' and ')}` : `fault ${fault.kind}`)
    for (const { route, answered } of round.exchanges) count(`${route} answered ${answered}`)
    for (const loss of losses) count(`sessions lost as admitted: ${loss}`)
    if (round.lockWasDeleted) count('rounds with the lock deleted')
    for (const violation of violations) complain(violation)
    if (violations.length > 0) say(describe(round.exchanges))
  }
}

const describe = (exchanges: Awaited<ReturnType<typeof playRound>>['exchanges']): string =>
  exchanges
    .map(
      ({ route, by, sent, issued, answered }) =>
        `    ${route} by ${by ?? '?'} with …${sent.slice(-6)}: ${answered}${issued ? `, new …${issued.slice(-6)}` : ''}`,
    )
    .join('\n')

say(
  `seed ${seed}, ${minutes} minutes${canTrace ? '' : '; without strace'}${hasSecretService ? '' : '; without a keychain'}`,
)
const keychainLanes = hasSecretService ? [lane('keychain-1', 'keychain')] : []
await Promise.all([lane('file-1', 'file'), lane('file-2', 'file'), ...keychainLanes])
say(
  [...counts]
    .sort()
    .map(([what, times]) => `${what}: ${times}`)
    .join('; '),
)
const violations = counts.get('violations') ?? 0
say(violations === 0 ? 'Nothing happened that should not have.' : `${violations} violations.`)
process.exitCode = violations === 0 ? 0 : 1
