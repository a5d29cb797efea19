import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { lockPath } from '../../lib/files/lock.ts'
import { decodeRecord } from '../../lib/session/record.ts'
import { accountOf } from '../../lib/session/stored-session.ts'
import { SERVICE } from '../../lib/store/keychain/failures.ts'
import { LOGIN } from './binary.ts'
import type { SecretService } from './secret-service.ts'
import { type Stage, stage } from './stage.ts'

export interface CrashOptions {
  readonly rounds: number
  /** Whether the server replaces the refresh token each time and ends the session at a reuse. */
  readonly rotate: boolean
  /** What ends the processes; SIGKILL unless given. The others let a process store what it was answered. */
  readonly signals?: readonly NodeJS.Signals[]
  /** Where the sessions are kept; the file store unless given. */
  readonly keychain?: SecretService | undefined
}

export interface CrashFigures {
  rounds: number
  /** Processes that the signal ended before they had ended by themselves. */
  killed: number
  /** Of these, the ones that died after the server's answer and before it was stored: the session is over. */
  lostAnswers: number
  /** The longest that the process after a killed one waited for its lock, in milliseconds. */
  longestLockWaitMs: number
  /** The most files at any time that were neither there from the start nor expected to stay. */
  mostTemporaryFiles: number
  /** What should not have happened. */
  violations: string[]
}

/** A process of this age has ended by itself, in milliseconds. */
const LIFE_MS = 70
/** Storing an answer takes no longer, in milliseconds. */
const STORING_MS = 6

const COMMANDS = {
  refresh: ['auth', 'refresh'],
  api: ['api', '/auth/me'],
  login: LOGIN,
  logout: ['auth', 'logout'],
}
type CommandName = keyof typeof COMMANDS
const MIX: readonly CommandName[] = ['refresh', 'refresh', 'refresh', 'api', 'api', 'login', 'logout']

/**
 * End atlas by a signal at random moments, many of them just after the server's answer, and look after
 * each whether what is stored is whole and the next process works.
 */
export async function crashRounds(options: CrashOptions): Promise<CrashFigures> {
  const { rounds, rotate, signals = ['SIGKILL'], keychain } = options
  await using atlas = await stage({
    rotate,
    loginsPerMinute: Number.POSITIVE_INFINITY,
    env: keychain ? keychainEnv(keychain) : {},
  })
  const { server } = atlas
  const temporaryFolder = path.join(atlas.home, 'tmp')
  fs.mkdirSync(temporaryFolder)
  atlas.env['TMPDIR'] = temporaryFolder
  const account = accountOf('default', server.url)
  const figures: CrashFigures = {
    rounds: 0,
    killed: 0,
    lostAnswers: 0,
    longestLockWaitMs: 0,
    mostTemporaryFiles: 0,
    violations: [],
  }
  await atlas.logIn()

  for (; figures.rounds < rounds; figures.rounds++) {
    const name = pick(MIX)
    const complain = (what: string): void =>
      void figures.violations.push(`round ${figures.rounds}, ${name}: ${what}`)

    server.expireAccessTokens()
    const signal = pick(signals)
    const ended = await endOnce(atlas, name, signal)
    const killed = ended === signal
    if (killed) figures.killed++
    else if (ended !== 0) complain(`${signal} ended it with ${ended}`)
    figures.mostTemporaryFiles = Math.max(figures.mostTemporaryFiles, temporaryFiles(atlas.home).length)

    let refreshToken: string | null | undefined
    try {
      const record = readRecord(atlas, account, keychain)
      refreshToken = record && decodeRecord(account, server.url, record).refreshToken
    } catch (error) {
      complain(`what is stored is damaged: ${error}`)
    }
    const isOver = refreshToken ? !server.accepts(refreshToken) : true
    const mayBeOver =
      name === 'logout' ||
      (rotate && killed && signal === 'SIGKILL' && refreshToken !== undefined && name !== 'login')
    if (isOver && !mayBeOver)
      complain(
        `the session is lost; ${killed ? 'killed' : 'not killed'}, ${refreshToken === undefined ? 'nothing' : 'a session'} is stored`,
      )
    if (isOver && name !== 'logout') figures.lostAnswers++

    const next = await atlas.run(['auth', 'refresh', '--debug'])
    if (next.status !== (isOver ? 4 : 0))
      complain(`the next process ended with ${next.status} and said ${next.stderr}`)
    const waitedMs = Number(/lock .*: held after ([\d.]+) ms/.exec(next.stderr)?.[1] ?? 0)
    figures.longestLockWaitMs = Math.max(figures.longestLockWaitMs, waitedMs)
    if (isOver) await atlas.logIn()
  }
  // A whole login writes every file once, and so clears away what dead writers have left.
  await atlas.logIn()
  const left = temporaryFiles(atlas.home)
  if (left.length > 0) figures.violations.push(`files are left over: ${left.join(', ')}`)
  return figures
}

/** @returns how the process ended: the signal where that ended it, else its exit status. */
async function endOnce(
  { server, start }: Stage,
  name: CommandName,
  signal: NodeJS.Signals,
): Promise<NodeJS.Signals | number> {
  const afterAnswer = (name === 'refresh' || name === 'api') && Math.random() < 0.6
  const held = afterAnswer ? server.hold('POST /auth/refresh') : undefined
  const child = start(COMMANDS[name], { input: name === 'login' ? 'correct horse' : '' })
  if (held) {
    await Promise.race([held.arrived, child.exited])
    held.release()
    await Promise.race([held.answered, child.exited])
    await elapse(Math.random() * STORING_MS)
  } else {
    await elapse(Math.random() * LIFE_MS)
  }
  child.kill(signal)
  const status = await child.exited
  return child.signalCode === signal || status === 128 + os.constants.signals[signal] ? signal : status
}

/** Wait with a finer grain than that of timers. */
async function elapse(ms: number): Promise<void> {
  const until = performance.now() + ms
  while (performance.now() < until) await new Promise(resolve => setImmediate(resolve))
}

function readRecord(
  { configFolder }: Stage,
  account: string,
  keychain: SecretService | undefined,
): string | undefined {
  if (keychain) return keychain.lookup(SERVICE, account)
  const file = lockPath(path.join(configFolder, 'credentials'), account).replace(/lock$/, 'json')
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined
}

const keychainEnv = ({ env }: SecretService): Record<string, string> => ({
  ...env,
  ATLAS_CREDENTIAL_STORE: 'keychain',
  ATLAS_KEYCHAIN_TIMEOUT: '30',
})

/** The probe of a login, a half-written file, and what the runtime unpacks: none of them may pile up. */
const temporaryFiles = (home: string): string[] =>
  fs
    .readdirSync(home, { recursive: true, encoding: 'utf8' })
    .filter(name => fs.statSync(path.join(home, name), { throwIfNoEntry: false })?.isFile())
    .filter(
      name =>
        !/^\.config\/atlas\/(config\.json|[\w/]+\.lock|credentials\/\w+\.json)$|^\.cache\/atlas\/keyring[\w.-]+\.node$/.test(
          name,
        ),
    )

const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)] as T

/** The figures of several rows of rounds as one. */
export const addUp = (all: readonly CrashFigures[]): CrashFigures =>
  all.reduce((sum, one) => ({
    rounds: sum.rounds + one.rounds,
    killed: sum.killed + one.killed,
    lostAnswers: sum.lostAnswers + one.lostAnswers,
    longestLockWaitMs: Math.max(sum.longestLockWaitMs, one.longestLockWaitMs),
    mostTemporaryFiles: Math.max(sum.mostTemporaryFiles, one.mostTemporaryFiles),
    violations: [...sum.violations, ...one.violations],
  }))
