/*
 * The long versions of the tests of parallel runs and crashes: thousands of rounds, for as many minutes as
 * are given (npm run soak -- --minutes 60). Ends with 1 where anything happened that should not have.
 */
import { parseArgs } from 'node:util'
import { addUp, type CrashFigures, type CrashOptions, crashRounds } from '../tests/support/crash-rounds.ts'
import { oneRefreshRounds, type RaceFigures, raceRounds } from '../tests/support/race-rounds.ts'
import { hasSecretService, startSecretService } from '../tests/support/secret-service.ts'

const ROUNDS_AT_A_TIME = 25
const PROCESSES = 40
const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' } } })
const minutes = Number(values.minutes)
if (!(minutes > 0)) throw new Error(`--minutes is "${values.minutes}", which is not a number above 0`)

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const endsAt = performance.now() + minutes * 60_000
const goOn = (): boolean => performance.now() < endsAt

await using keychain = hasSecretService ? await startSecretService() : undefined
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const crashes = async (options: Omit<CrashOptions, 'rounds'>): Promise<CrashFigures> =>
  addUp(await Promise.all([1, 2].map(() => crashRounds({ rounds: ROUNDS_AT_A_TIME, goOn, ...options }))))

const KINDS: Record<string, () => Promise<CrashFigures | RaceFigures>> = {
  'KILL, file, server rotates': () => crashes({ rotate: true }),
  'KILL, file, server does not rotate': () => crashes({ rotate: false }),
  'INT, TERM, HUP, file, server rotates': () => crashes({ rotate: true, signals: ENDING }),
  'one refresh, file': () => oneRefreshRounds({ rounds: 5, processes: PROCESSES, goOn }),
  'login, logout, refresh at once': () => raceRounds({ rounds: 5, processes: PROCESSES, goOn }),
  ...(keychain && {
    'KILL, keychain, server rotates': () => crashes({ rotate: true, keychain }),
    'KILL, keychain, server does not rotate': () => crashes({ rotate: false, keychain }),
    'INT, TERM, HUP, keychain, server rotates': () => crashes({ rotate: true, signals: ENDING, keychain }),
    'one refresh, keychain': () =>
      oneRefreshRounds({
        rounds: 5,
        processes: PROCESSES,
        env: { ...keychain.env, ATLAS_CREDENTIAL_STORE: 'keychain', ATLAS_KEYCHAIN_TIMEOUT: '30' },
        goOn,
      }),
  }),
}

const found = new Map<string, (CrashFigures | RaceFigures)[]>()
while (goOn()) {
  for (const [kind, run] of Object.entries(KINDS)) {
    if (!goOn()) break
    const figures = await run()
    if (keychain && !keychain.keyringLives()) {
      // It dies now and then of a client that is killed in the middle of a call.
      say(`${kind}: gnome-keyring itself ended, so these rounds do not count`)
      await keychain.restartKeyring()
      continue
    }
    found.set(kind, [...(found.get(kind) ?? []), figures])
    for (const violation of figures.violations) say(`${kind}: ${violation}`)
  }
}

const isCrash = (figures: CrashFigures | RaceFigures): figures is CrashFigures => 'killed' in figures
const total = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0)

function row(kind: string, all: readonly (CrashFigures | RaceFigures)[]) {
  const crashes = all.filter(isCrash)
  const sum = crashes.length > 0 ? addUp(crashes) : undefined
  return {
    kind,
    rounds: total(all.map(({ rounds }) => rounds)),
    // In a crash round one process is ended and one looks after it.
    processes: total(all.map(figures => (isCrash(figures) ? 2 * figures.rounds : figures.processes))),
    'ended by the signal': sum?.killed ?? '',
    'answers lost': sum?.lostAnswers ?? '',
    'longest lock wait': sum ? `${Math.round(sum.longestLockWaitMs)} ms` : '',
    'most temporary files': sum?.mostTemporaryFiles ?? '',
    violations: total(all.map(({ violations }) => violations.length)),
  }
}

const rows = [...found].map(([kind, all]) => row(kind, all))
say(Bun.inspect.table(rows, { colors: false }))
const violations = total(rows.map(row => row.violations))
say(violations === 0 ? 'Nothing happened that should not have.' : `${violations} violations.`)
process.exitCode = violations === 0 ? 0 : 1
