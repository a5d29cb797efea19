import { expect, test } from 'bun:test'
import { outcomeOf } from '../support/binary.ts'
import { forRun } from '../support/needs.ts'
import { stage } from '../support/stage.ts'

test('push: killed at random moments it leaves both texts whole, and no status that is wrong', async () => {
  const lanes = forRun({ short: 2, full: 4 })
  const roundsPerLane = forRun({ short: 12, full: 50 })
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      await using atlas = await stage({ loggedIn: true, rotate: false })
      const { server, claude } = atlas
      server.saveConfiguration('base\n')
      await atlas.run(['sync'])
      const startedAt = performance.now()
      claude.edit(`${lane} first\n`)
      await atlas.run(['push'])
      const usualMs = performance.now() - startedAt
      let killed = 0
      for (let round = 0; round < roundsPerLane; round++) {
        const before = server.configuration()
        const mine = `${lane} ${round}\n`
        claude.edit(mine)
        const child = atlas.start(['push', '--force'], { input: '' })
        await Bun.sleep(Math.random() * usualMs * 1.2)
        child.kill('SIGKILL')
        if ((await outcomeOf(child)).status !== 0) killed++
        const after = server.configuration()
        const { verdict } = JSON.parse((await atlas.run(['status', '--json'])).stdout)
        expect({
          round,
          local: claude.text(),
          isOneOfTwo: after === before || after === mine,
          // Any other verdict would let a sync overwrite the edit.
          isRight: after === mine ? verdict === 'in_sync' : /^(local_changed|diverged)$/.test(verdict),
        }).toEqual({ round, local: mine, isOneOfTwo: true, isRight: true })
        // What another machine saves then is never overwritten unseen.
        server.saveConfiguration(`elsewhere ${round}\n`)
        const pushed = await atlas.run(['push', '--json'])
        expect([pushed.status, JSON.parse(pushed.stderr).error.code]).toEqual([1, 'remote_changes'])
        expect(server.configuration()).toBe(`elsewhere ${round}\n`)
      }
      expect(killed).toBeGreaterThan(0)
    }),
  )
})

test('push: killed before the server has saved anything, the edit is still one that a sync keeps', async () => {
  await using atlas = await stage({ loggedIn: true })
  atlas.server.saveConfiguration('base\n')
  await atlas.run(['sync'])
  atlas.claude.edit('mine\n')
  const held = atlas.server.hold('PUT /configuration/me')
  const child = atlas.start(['push'], { input: '' })
  await held.arrived
  child.kill('SIGKILL')
  await child.exited
  const { verdict } = JSON.parse((await atlas.run(['status', '--json'])).stdout)
  const { status } = await atlas.run(['sync'])
  expect({ verdict, status, text: atlas.claude.text() }).toEqual({
    verdict: 'local_changed',
    status: 1,
    text: 'mine\n',
  })
})
