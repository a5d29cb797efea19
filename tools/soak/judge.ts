import { ADA } from '../../tests/support/atlas-server.ts'
import type { Actor, Ending } from './actor.ts'
import type { Exchange } from './front.ts'
import type { Plan } from './plan.ts'

/** A round that is over: who did what, what the server saw, and what is stored now. */
export interface Round {
  readonly plan: Plan
  readonly actors: readonly (Actor & { readonly ending: Ending })[]
  readonly exchanges: readonly Exchange[]
  readonly lockWasDeleted: boolean
  /** The refresh token that is stored, null where nothing is; an error where the record is damaged. */
  readonly stored: string | null | Error
  /** Whether the server would accept it. */
  readonly isAlive: boolean
  /** All access and refresh tokens that were given. */
  readonly secrets: ReadonlySet<string>
}

export interface Verdict {
  readonly violations: readonly string[]
  /** Why each of the refresh tokens that were lost could be lost. */
  readonly losses: readonly string[]
}

type Ended = Round['actors'][number]
const does = (word: string, { args }: Ended): boolean => args[1] === word
const nameOf = ({ args, fault }: Ended): string => `${args.slice(0, 2).join(' ')} (${JSON.stringify(fault)})`

export function judge(round: Round): Verdict {
  const { actors, exchanges, stored, isAlive } = round
  const violations: string[] = []
  const losses: string[] = []
  const presented = new Set(exchanges.map(({ sent }) => sent))
  const isKept = (token: string): boolean => stored === token || presented.has(token)
  const mixers = actors.filter(actor => does('login', actor) || does('logout', actor))

  for (const { route, issued, by, answered } of exchanges) {
    if (issued === undefined || isKept(issued)) continue
    const actor = actors.find(({ pid }) => pid === by)
    // A login that fails leaves the old session.
    if (route === 'login' && actor?.ending.status !== 0) continue
    const reason = admittedLoss(actor, round)
    if (reason !== undefined) losses.push(reason)
    // The last login or logout counts, whatever else was stored.
    else if (mixers.every(mixer => mixer === actor))
      violations.push(`the new session of ${actor ? nameOf(actor) : 'a process'} is lost (${answered})`)
  }
  if (stored instanceof Error) violations.push(`what is stored is damaged: ${stored.message}`)
  else if (losses.length === 0 && violations.length === 0) {
    const mayBeMissing = actors.some(actor => does('logout', actor))
    if (stored === null && !mayBeMissing) violations.push('nothing is stored any more')
    if (stored !== null && !isAlive) violations.push('the server does not know the session that is stored')
    violations.push(...needlessRefreshes(round))
  }
  const isOver = losses.length > 0 || violations.length > 0
  return {
    violations: [...violations, ...actors.flatMap(actor => misbehaviour(actor, round, isOver))],
    losses,
  }
}

/** What ends a session without a fault of atlas: there is no other case. */
function admittedLoss(actor: Ended | undefined, { actors }: Round): string | undefined {
  // Its sender was killed before the server looked who it was.
  if (actor === undefined)
    return actors.some(({ signals }) => signals.includes('SIGKILL') || signals.length > 1)
      ? 'killed, or given up at a second signal'
      : undefined
  const { fault, signals, ending } = actor
  if (ending.status === 0 || ending.overdue !== undefined) return undefined
  if (signals.includes('SIGKILL')) return 'killed'
  if (signals.length > 1 && fault.kind === 'signal') return 'a second signal'
  return fault.kind === 'strace' && fault.lasts ? 'a lasting fault of the disk' : undefined
}

function needlessRefreshes({ actors, plan, exchanges, lockWasDeleted }: Round): string[] {
  if (lockWasDeleted) return []
  const refreshes = exchanges.filter(({ route }) => route === 'refresh')
  const granted = refreshes.filter(({ issued }) => issued !== undefined)
  const reused = refreshes.filter(({ sent }, index) =>
    granted.some(one => one.sent === sent && refreshes.indexOf(one) < index),
  )
  if (reused.length > 0) return [`a refresh token that had been replaced was sent ${reused.length} times`]
  const isPlain =
    plan.answers.every(answer => ['plain', 'slow', 'twins'].includes(answer)) &&
    actors.every(
      actor => ['none', 'stop', 'stall'].includes(actor.fault.kind) && !/log(in|out)/.test(actor.args.join()),
    )
  // One for the token that was due; `auth refresh` refreshes what is fresh too.
  const allowed = 1 + actors.filter(actor => does('refresh', actor)).length
  if (!isPlain || granted.length <= allowed) return []
  return [`the server was asked for ${granted.length} refreshes, where ${allowed} would do`]
}

function misbehaviour(
  actor: Ended,
  { plan, actors, secrets, lockWasDeleted }: Round,
  isOver: boolean,
): string[] {
  const { status, stdout, stderr, overdue } = actor.ending
  const printed = does('token', actor) ? stderr : stdout + stderr
  const found: string[] = []
  if (overdue !== undefined) found.push(overdue)
  if ([...secrets, ADA.password].some(secret => printed.includes(secret))) found.push('printed a secret')
  if (actor.fault.kind === 'none' && !allowedStatuses().has(status))
    found.push(`ended with ${status}: ${lastWords(stderr)}`)
  return found.map(what => `${nameOf(actor)}: ${what}`)

  function allowedStatuses(): Set<number> {
    // Without the lock a refresh may be refused because of another one, whose answer is slow or cut off.
    const isLoggedOut = isOver || lockWasDeleted || actors.some(other => does('logout', other))
    const isDisturbed =
      plan.answers.length > 0 ||
      plan.keychainDelayMs > 0 ||
      actors.some(({ fault }) => fault.kind === 'stop' || fault.kind === 'strace')
    return new Set([0, ...(isLoggedOut ? [4] : []), ...(isDisturbed ? [5] : [])])
  }
}

const lastWords = (stderr: string): string =>
  stderr
    .split('\n')
    .filter(line => !line.startsWith('debug: '))
    .join(' ')
    .trim()
