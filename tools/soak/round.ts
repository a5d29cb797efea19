import { type Actor, startActor } from './actor.ts'
import type { Round } from './judge.ts'
import type { Plan } from './plan.ts'
import { EXPIRING_S, LASTING_S, type World } from './world.ts'

/**
 * Bring a world to where a round starts: logged in, with an access token that is due.
 * @param hasLoggedOut whether somebody did: what is stored is then not used, even if a refresh came after it.
 * @returns what is wrong with what the round before has left.
 */
export async function prepare(
  { atlas, front, storedToken, temporaries }: World,
  due: Plan['due'],
  hasLoggedOut: boolean,
): Promise<string | undefined> {
  const { server } = atlas
  front.watch({
    pids: () => [],
    nextAnswer: () => 'plain',
    reuseEndsSession: true,
    arrived() {},
    answered() {},
  })
  server.accessTtlS = due === 'expiring' ? EXPIRING_S : LASTING_S
  const token = tokenOr(storedToken)
  const wasAlive = !hasLoggedOut && typeof token === 'string' && server.accepts(token)
  const logIn = () => atlas.logIn({ env: { ATLAS_API_URL: front.url } })
  const first = wasAlive ? await atlas.run(['auth', 'refresh']) : await logIn()
  const left = temporaries()
  server.accessTtlS = LASTING_S
  if (due === 'rejected') server.expireAccessTokens()
  if (first.status !== 0) {
    const again = await logIn()
    return `with nothing in its way, ${wasAlive ? 'a refresh' : 'a login'} ended with ${first.status}: ${first.stderr.trim()}; then a login with ${again.status}`
  }
  // A login clears them away only where it writes.
  return left.length > 0 ? `temporary files are left over: ${left.join(', ')}` : undefined
}

export async function playRound(world: World, plan: Plan): Promise<Round> {
  const { atlas, front } = world
  const { server } = atlas
  const actors: Actor[] = []
  const answers = [...plan.answers]
  const actorOf = (pid: number | undefined): Actor | undefined => actors.find(actor => actor.pid === pid)
  front.watch({
    pids: () => actors.map(({ pid }) => pid),
    nextAnswer: () => answers.shift() ?? 'plain',
    reuseEndsSession: plan.lockDeletionsMs.length === 0,
    arrived: ({ by }) => actorOf(by)?.arrived.resolve(),
    answered: ({ by }) => actorOf(by)?.answered.resolve(),
  })
  atlas.env['ATLAS_TIMEOUT'] = String(plan.timeoutS)
  world.delayKeychain(plan.keychainDelayMs)
  let lockWasDeleted = false
  const events = [
    ...plan.lockDeletionsMs.map(atMs =>
      at(atMs, () => {
        lockWasDeleted = world.deleteLock() || lockWasDeleted
      }),
    ),
    ...plan.temporaryDeletionsMs.map(atMs => at(atMs, world.deleteTemporaries)),
    ...plan.freezes.flatMap(({ atMs, forMs }) => [
      at(atMs, () => atlas.keychain.freeze()),
      at(atMs + forMs, () => atlas.keychain.thaw()),
    ]),
  ]
  const isQuiet = (): boolean => !front.isBusy()
  for (const command of plan.commands) actors.push(startActor(atlas, command, isQuiet))
  const ended = await Promise.all(actors.map(async actor => ({ ...actor, ending: await actor.ended })))
  await Promise.all(events)
  while (front.isBusy()) await Bun.sleep(20)
  world.delayKeychain(0)
  const stored = tokenOr(world.storedToken)
  return {
    plan,
    actors: ended,
    exchanges: [...front.exchanges],
    lockWasDeleted,
    stored,
    isAlive: typeof stored === 'string' && server.accepts(stored),
    secrets: new Set(
      [
        server.lastTokens.access,
        ...front.exchanges.flatMap(({ sent, issued = '' }) => [sent, issued]),
      ].filter(Boolean),
    ),
  }
}

async function at(ms: number, work: () => void): Promise<void> {
  await Bun.sleep(ms)
  work()
}

function tokenOr(read: () => string | null): string | null | Error {
  try {
    return read()
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
