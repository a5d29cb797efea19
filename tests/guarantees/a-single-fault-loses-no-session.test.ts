import { expect } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { decodeRecord } from '../../lib/session/record.ts'
import { accountOf } from '../../lib/session/stored-session.ts'
import { forRun, traceTest } from '../support/needs.ts'
import { type Stage, stage } from '../support/stage.ts'

/** What each call can fail with. A machine has some of these calls and not the others, which strace marks by `?`. */
const ERRORS: Record<string, readonly string[]> = {
  openat: ['EMFILE', 'EIO', 'EACCES', 'EINTR'],
  read: ['EIO', 'EINTR'],
  pread64: ['EIO'],
  write: ['ENOSPC', 'EIO', 'EINTR'],
  fsync: ['EIO', 'ENOSPC'],
  close: ['EIO', 'EINTR'],
  rename: ['EIO', 'EACCES', 'EROFS'],
  renameat: ['EIO', 'EACCES', 'EROFS'],
  renameat2: ['EIO', 'EACCES', 'EROFS'],
  link: ['EIO', 'EACCES'],
  linkat: ['EIO', 'EACCES'],
  unlink: ['EIO', 'EACCES', 'EROFS'],
  unlinkat: ['EIO', 'EACCES', 'EROFS'],
  stat: ['EIO', 'EACCES'],
  lstat: ['EIO', 'EACCES'],
  fstat: ['EIO'],
  newfstatat: ['EIO', 'EACCES'],
  statx: ['EIO', 'EACCES'],
  access: ['EIO', 'EACCES', 'EROFS'],
  faccessat: ['EIO', 'EACCES', 'EROFS'],
  faccessat2: ['EIO', 'EACCES', 'EROFS'],
  getdents64: ['EIO'],
  mkdir: ['EIO', 'EROFS'],
  mkdirat: ['EIO', 'EROFS'],
  fchmod: ['EIO', 'EPERM'],
  utimensat: ['EIO', 'EACCES'],
  fcntl: ['EIO', 'EINTR'],
}
const CALLS = Object.keys(ERRORS)

const COMMANDS = [
  ['auth', 'refresh'],
  ['api', '/auth/me', '--silent'],
]
const LANES = 2

/** A call of the program's main thread on the credential store. */
interface Call {
  readonly name: string
  /** Which of that thread's calls of this name it is, from 1. */
  readonly index: number
  readonly isAfterRequest: boolean
  /** Whether strace made it fail. */
  readonly isInjected: boolean
}

/** Run a command that has to refresh. @param inject what strace is to let fail. */
async function runTraced(atlas: Stage, args: readonly string[], inject: readonly string[] = []) {
  const trace = path.join(atlas.home, 'trace')
  const names = [...CALLS, 'sendto'].map(name => `?${name}`).join(',')
  atlas.server.expireAccessTokens()
  const outcome = await atlas.run(args, {
    via: ['strace', '-f', '-y', '-o', trace, '-e', `trace=${names}`, ...inject],
  })
  const lines = fs.readFileSync(trace, 'utf8').split('\n')
  return { outcome, calls: callsIn(lines, path.join(atlas.configFolder, 'credentials')) }
}

function callsIn(lines: readonly string[], folder: string): Call[] {
  const mainThread = lines[0]?.split(' ')[0]
  const counts = new Map<string, number>()
  let isAfterRequest = false
  return lines.flatMap(line => {
    isAfterRequest ||= line.includes('"POST /api/v1/auth/refresh')
    const [, thread, name = ''] = /^(\d+) +(\w+)\(/.exec(line) ?? []
    if (thread !== mainThread || !CALLS.includes(name)) return []
    const index = (counts.get(name) ?? 0) + 1
    counts.set(name, index)
    return line.includes(folder)
      ? [{ name, index, isAfterRequest, isInjected: line.endsWith('(INJECTED)') }]
      : []
  })
}

/** The one record in the store, as the server sees it. */
function storedSession({ server, configFolder }: Stage): string {
  const folder = path.join(configFolder, 'credentials')
  const records = fs.readdirSync(folder).filter(name => /^[0-9a-f]+\.json$/.test(name))
  if (records.length !== 1) return `${records.length} records`
  try {
    const text = fs.readFileSync(path.join(folder, String(records[0])), 'utf8')
    const { refreshToken } = decodeRecord(accountOf('default', server.url), server.url, text)
    return refreshToken !== null && server.accepts(refreshToken) ? 'alive' : 'over'
  } catch (error) {
    return `damaged: ${error}`
  }
}

/** Let one call fail once. @returns whether it was hit, and what should not have followed. */
async function failOnce(atlas: Stage, args: readonly string[], call: Call, error: string) {
  const { name, index, isAfterRequest } = call
  const inject = ['-e', `inject=${name}:error=${error}:when=${index}`]
  const { outcome, calls } = await runTraced(atlas, args, inject)
  const isHit = calls.some(other => other.isInjected && other.isAfterRequest === isAfterRequest)
  const session = storedSession(atlas)
  // A fault before the request may stop it, and is then named.
  // strace counts for each thread: the first write of another one may be the message itself.
  const isSaid = /^atlas: .+\n/.test(outcome.stderr) || (name === 'write' && outcome.stderr === '')
  const isFine = outcome.status === 0 || (!isAfterRequest && isSaid)
  if (session === 'alive' && isFine) return { isHit, violations: [] }
  await atlas.logIn()
  const moment = isAfterRequest ? 'after' : 'before'
  return {
    isHit,
    violations: [
      `${error} at ${name} ${index}, ${moment} the request: ${session}, ${outcome.status} ${outcome.stderr}`,
    ],
  }
}

traceTest.each(
  forRun({ short: COMMANDS.slice(0, 1), full: COMMANDS }).map(args => [args.join(' '), args] as const),
)('faults: one file-system call that fails once during "%s" loses no session', async (_, args) => {
  await using first = await stage({ rotate: true, loggedIn: true })
  const clean = await runTraced(first, args)
  expect(clean.outcome.status).toBe(0)
  const moments = forRun({ short: clean.calls.filter(call => call.isAfterRequest), full: clean.calls })
  const faults = moments.flatMap(call => (ERRORS[call.name] ?? []).map(error => ({ call, error })))
  const lane = async (isMine: (index: number) => boolean) => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const results = []
    for (const { call, error } of faults.filter((_, index) => isMine(index)))
      results.push(await failOnce(atlas, args, call, error))
    return results
  }
  const lanes = Array.from({ length: LANES }, (_, number) => lane(index => index % LANES === number))
  const results = (await Promise.all(lanes)).flat()
  expect(results.flatMap(({ violations }) => violations)).toEqual([])
  // The calls of two runs are the same but for a few.
  expect(results.filter(({ isHit }) => isHit).length).toBeGreaterThan(0.9 * faults.length)
  expect(faults.length).toBeGreaterThan(40)
})
