import { LOGIN } from '../../tests/support/binary.ts'
import type { Chance } from './chance.ts'

/** When something happens to a process: so long after its start, or after its refresh reached the server. */
export interface Moment {
  readonly after: 'start' | 'arrived' | 'answered'
  readonly ms: number
}

/** What happens to one process. */
export type Fault =
  | { readonly kind: 'none' }
  /** A second signal follows 300 ms after the first. */
  | { readonly kind: 'signal'; readonly signals: readonly NodeJS.Signals[]; readonly moment: Moment }
  | { readonly kind: 'stop'; readonly moment: Moment; readonly forMs: number }
  /** Nobody reads one of its streams, until it is read after all or the process is signalled. */
  | { readonly kind: 'stall'; readonly stream: 1 | 2; readonly ends: 'read' | NodeJS.Signals }
  /** A system call fails once, or from some time on. */
  | { readonly kind: 'strace'; readonly inject: string; readonly lasts: boolean }

/** What becomes of the server's answer to a refresh. The refusals never reach it. */
export const REFUSALS = ['proxy 401', 'gateway 401', '500'] as const
export const ANSWERS = [...REFUSALS, 'plain', 'cut', 'garbled', 'slow', 'twins', '201'] as const
export type AnswerFault = (typeof ANSWERS)[number]

export interface Plan {
  readonly commands: readonly {
    readonly args: readonly string[]
    readonly fault: Fault
    readonly debug: boolean
  }[]
  /** Whether the access token is rejected by the server, or about to expire by its time. */
  readonly due: 'rejected' | 'expiring'
  /** Of the refreshes in the order of their coming; the others are answered plainly. */
  readonly answers: readonly AnswerFault[]
  readonly timeoutS: number
  /** When the lock is deleted, and when the temporary files are: milliseconds after the start. */
  readonly lockDeletionsMs: readonly number[]
  readonly temporaryDeletionsMs: readonly number[]
  /** When the keychain stops to answer, and for how long. */
  readonly freezes: readonly { readonly atMs: number; readonly forMs: number }[]
  /** What each answer of the keychain takes, in milliseconds; a process needs about ten at a time. */
  readonly keychainDelayMs: number
}

const STEADY = [
  ['auth', 'token', '--min-ttl', '10m'],
  ['api', '/auth/me'],
  ['auth', 'refresh'],
  ['auth', 'status'],
]
const LOGOUT = ['auth', 'logout']
const MIXED = [...STEADY, ...STEADY, LOGIN, LOGOUT]

/** How many calls of a kind a refresh makes, and what they can fail with. */
const SYSTEM_CALLS: [calls: string, upTo: number, errors: readonly string[]][] = [
  ['openat', 45, ['EMFILE', 'EIO', 'EACCES', 'EINTR', 'ENOSPC']],
  ['read,pread64', 55, ['EIO', 'EINTR']],
  ['write', 6, ['ENOSPC', 'EIO', 'EINTR']],
  ['fsync', 4, ['EIO', 'ENOSPC']],
  ['?rename,?renameat,?renameat2', 2, ['EIO', 'EACCES', 'EROFS']],
  ['?unlink,?unlinkat', 3, ['EIO', 'EACCES', 'EROFS']],
  ['?fstat,?newfstatat,?statx', 30, ['EIO', 'EACCES']],
  ['close', 45, ['EIO', 'EINTR']],
  ['fchmod', 2, ['EIO', 'EPERM']],
  ['?link,?linkat', 2, ['EIO', 'EACCES']],
]

const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** A process of this age has ended by itself, if nothing is in its way. */
const LIFE_MS = 90

function moment(chance: Chance): Moment {
  const after = chance.pick(['start', 'arrived', 'answered', 'answered'] as const)
  return { after, ms: chance.below(after === 'start' ? LIFE_MS : 8) }
}

function fault(chance: Chance, timeoutS: number, canTrace: boolean, isSlow: boolean): Fault {
  if (chance.happens(0.45)) return { kind: 'none' }
  const kinds = [
    'kill',
    ...(isSlow ? [] : ['end', 'end', 'stop']),
    'stall',
    ...(canTrace ? ['strace', 'strace'] : []),
  ]
  switch (chance.pick(kinds)) {
    case 'kill':
      return { kind: 'signal', signals: ['SIGKILL'], moment: moment(chance) }
    case 'end': {
      const signal = chance.pick(ENDING)
      return {
        kind: 'signal',
        signals: chance.happens(0.2) ? [signal, signal] : [signal],
        moment: moment(chance),
      }
    }
    case 'stop':
      return { kind: 'stop', moment: moment(chance), forMs: timeoutS * 1000 + 500 }
    case 'stall':
      return { kind: 'stall', stream: chance.pick([1, 2, 2]), ends: chance.pick(['read', ...ENDING]) }
    default: {
      const [calls, upTo, errors] = chance.pick(SYSTEM_CALLS)
      const error = chance.pick(errors)
      // What was interrupted is tried again, for ever.
      const lasts = error !== 'EINTR' && chance.happens(0.2)
      const when = `${chance.between(1, upTo)}${lasts ? '+' : ''}`
      return { kind: 'strace', inject: `${calls}:error=${error}:when=${when}`, lasts }
    }
  }
}

/** @param canTrace whether strace may be used. @param canFreeze whether there is a keychain. */
export function planRound(
  chance: Chance,
  { canTrace, canFreeze }: { canTrace: boolean; canFreeze: boolean },
): Plan {
  const isSlow = chance.happens(0.08)
  const timeoutS = isSlow ? 8 : 3
  const mix = chance.happens(0.3) ? MIXED : STEADY
  const moments = (probability: number): number[] =>
    chance.happens(probability)
      ? Array.from({ length: chance.between(1, 4) }, () => chance.below(2 * LIFE_MS))
      : []
  const others = ANSWERS.filter(answer => answer !== 'slow')
  return {
    commands: Array.from({ length: chance.between(1, 8) }, () => ({
      args: chance.pick(mix),
      fault: fault(chance, timeoutS, canTrace, isSlow),
      debug: chance.happens(0.4),
    })),
    due: chance.pick(['rejected', 'expiring']),
    answers: isSlow ? ['slow'] : chance.happens(0.4) ? [chance.pick(others), chance.pick(others)] : [],
    timeoutS,
    lockDeletionsMs: moments(0.25),
    temporaryDeletionsMs: moments(0.25),
    keychainDelayMs: canFreeze && chance.happens(0.15) ? chance.between(50, 350) : 0,
    freezes:
      canFreeze && chance.happens(0.2)
        ? [{ atMs: chance.below(LIFE_MS), forMs: chance.between(300, 2500) }]
        : [],
  }
}
