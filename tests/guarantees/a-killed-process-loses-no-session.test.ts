import { describe, expect, test } from 'bun:test'
import { leaveTemporary } from '../support/abandoned-file.ts'
import { readUntil } from '../support/binary.ts'
import { addUp, type CrashFigures, crashRounds } from '../support/crash-rounds.ts'
import { forRun, secretServiceTest } from '../support/needs.ts'
import { startSecretService } from '../support/secret-service.ts'
import { stage } from '../support/stage.ts'

/** Long enough for the machine of a test run; what is promised is a second. */
const LOCK_PATIENCE_MS = 1_000
/** A half-written record, a probe, a probe half-written, a half-written config file. */
const MOST_TEMPORARY_FILES = 4

const judged = ({ killed, longestLockWaitMs, mostTemporaryFiles, violations }: CrashFigures) => ({
  violations,
  // So that the rounds are not empty; how many are hit depends on the machine.
  killedMany: killed >= forRun({ short: 1, full: 20 }),
  lockFreed: longestLockWaitMs < LOCK_PATIENCE_MS,
  temporaryFilesBounded: mostTemporaryFiles <= MOST_TEMPORARY_FILES,
})
const UNHARMED = { violations: [], killedMany: true, lockFreed: true, temporaryFilesBounded: true }

describe('killed at random moments', () => {
  test('kill: on a server that rotates a session is whole, or lost only with the process that got the answer', async () => {
    const rows = Array.from({ length: 3 }, () =>
      crashRounds({ rounds: forRun({ short: 8, full: 70 }), rotate: true }),
    )
    expect(judged(addUp(await Promise.all(rows)))).toEqual(UNHARMED)
  })

  test('kill: on a server that does not rotate a session is never lost', async () => {
    const rows = Array.from({ length: 3 }, () =>
      crashRounds({ rounds: forRun({ short: 6, full: 35 }), rotate: false }),
    )
    const figures = addUp(await Promise.all(rows))
    expect({ ...judged(figures), lostAnswers: figures.lostAnswers }).toEqual({ ...UNHARMED, lostAnswers: 0 })
  })

  test('kill: INT, TERM and HUP never lose a session', async () => {
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
    const rows = Array.from({ length: 3 }, () =>
      crashRounds({ rounds: forRun({ short: 6, full: 50 }), rotate: true, signals }),
    )
    const figures = addUp(await Promise.all(rows))
    expect({ ...judged(figures), lostAnswers: figures.lostAnswers }).toEqual({ ...UNHARMED, lostAnswers: 0 })
  })

  secretServiceTest('kill: the keychain keeps a session as the file store does', async () => {
    // gnome-keyring itself dies now and then of a client that is killed in the middle of a call. Such a run
    // says nothing of atlas.
    for (let tries = 3; ; tries--) {
      await using keychain = await startSecretService()
      const rows = [true, false, true].map(rotate =>
        crashRounds({ rounds: forRun({ short: 4, full: 30 }), rotate, keychain }),
      )
      const figures = judged(addUp(await Promise.all(rows)))
      if (!keychain.keyringLives() && tries > 1) continue
      expect(figures).toEqual(UNHARMED)
      return
    }
  })
})

test('kill: the lock of a killed process is free within a second', async () => {
  await using atlas = await stage({ rotate: true, loggedIn: true })
  const { server } = atlas
  server.expireAccessTokens()
  const held = server.hold('POST /auth/refresh')
  const holder = atlas.start(['api', '/auth/me'])
  await held.arrived
  const waiting = Array.from({ length: 8 }, () => atlas.start(['api', '/auth/me', '--debug']))
  await Promise.all(waiting.map(child => readUntil(child.stderr, /lock .*: waiting/)))

  const next = server.hold('POST /auth/refresh')
  const killedAt = performance.now()
  holder.kill('SIGKILL')
  await next.arrived
  expect(performance.now() - killedAt).toBeLessThan(LOCK_PATIENCE_MS)
  next.release()
  expect(await Promise.all(waiting.map(child => child.exited))).toEqual(Array(8).fill(0))
  expect(server.reuses).toBe(0)
})

test('kill: a logout deletes the temporary file of a killed process', async () => {
  await using atlas = await stage({ loggedIn: true })
  const { server } = atlas
  const [record = ''] = atlas.filesHolding(server.lastTokens.refresh)
  leaveTemporary(record, await Bun.file(record).text())
  expect((await atlas.run(['auth', 'logout'])).status).toBe(0)
  expect(atlas.filesHolding(server.lastTokens.refresh)).toEqual([])

  // A process that died in the very first login has left no record, but tokens.
  leaveTemporary(record, server.lastTokens.refresh)
  expect((await atlas.run(['auth', 'logout'])).stdout).toContain('nothing to do')
  expect(atlas.filesHolding(server.lastTokens.refresh)).toEqual([])
})
