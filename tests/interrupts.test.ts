import { expect, test } from 'bun:test'
import { EventEmitter } from 'node:events'
import { createInterrupts, ignoredSignals, unlessAborted } from '../lib/interrupts.ts'
import { codeOf } from './support/session-kit.ts'

const NEVER_MS = 2_147_483_647

test('a signal while nothing is shielded cancels at once', () => {
  const signals = new EventEmitter()
  const { cancelled } = createInterrupts(signals)
  signals.emit('SIGTERM')
  expect(cancelled.reason).toMatchObject({ code: 'cancelled', exitStatus: 143 })
})

test('shielded work is finished first, then the signal counts', async () => {
  const signals = new EventEmitter()
  const { cancelled, shield } = createInterrupts(signals, { graceMs: NEVER_MS })
  const work = Promise.withResolvers<void>()
  const done: string[] = []
  const shielded = shield(async hurry => {
    await work.promise
    done.push(hurry.aborted ? 'hurried' : 'in peace')
  })
  signals.emit('SIGHUP')
  expect(cancelled.aborted).toBe(false)
  work.resolve()
  expect(await codeOf(shielded)).toBe('cancelled')
  expect({ done, status: cancelled.reason.exitStatus }).toEqual({ done: ['in peace'], status: 129 })
})

test('of several shielded works the last one lets the signal through', async () => {
  const signals = new EventEmitter()
  const { cancelled, shield } = createInterrupts(signals, { graceMs: NEVER_MS })
  const [first, second] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()]
  const works = [shield(() => first.promise), shield(() => second.promise)]
  signals.emit('SIGINT')
  first.resolve('done')
  expect(await works[0]).toBe('done')
  expect(cancelled.aborted).toBe(false)
  second.resolve('done')
  expect(await codeOf(works[1] ?? first.promise)).toBe('cancelled')
  expect(cancelled.aborted).toBe(true)
})

test('a second signal hurries shielded work', async () => {
  const signals = new EventEmitter()
  const { shield } = createInterrupts(signals, { graceMs: NEVER_MS, togetherMs: -1 })
  const shielded = shield(hurry => unlessAborted(hurry, new Promise(() => {})))
  signals.emit('SIGINT')
  signals.emit('SIGINT')
  expect(await codeOf(shielded)).toBe('cancelled')
})

test('signals that come together hurry nobody, and the first one gives the status', async () => {
  const signals = new EventEmitter()
  const { shield } = createInterrupts(signals, { graceMs: NEVER_MS, togetherMs: NEVER_MS })
  let hurried: boolean | undefined
  const work = Promise.withResolvers<void>()
  const shielded = shield(async hurry => {
    await work.promise
    hurried = hurry.aborted
  })
  signals.emit('SIGHUP')
  signals.emit('SIGHUP')
  signals.emit('SIGTERM')
  work.resolve()
  expect(await shielded.catch(error => error.exitStatus)).toBe(129)
  expect(hurried).toBe(false)
})

test('after the grace shielded work is hurried without a second signal', async () => {
  const signals = new EventEmitter()
  const { shield } = createInterrupts(signals, { graceMs: 0 })
  const shielded = shield(hurry => unlessAborted(hurry, new Promise(() => {})))
  signals.emit('SIGINT')
  expect(await codeOf(shielded)).toBe('cancelled')
})

test('nothing is begun under a shield once a signal has come', async () => {
  const signals = new EventEmitter()
  const { shield } = createInterrupts(signals)
  signals.emit('SIGINT')
  let begun = false
  const shielded = shield(async () => {
    begun = true
  })
  expect(await codeOf(shielded)).toBe('cancelled')
  expect(begun).toBe(false)
})

test.each([
  ['', []],
  ['Name:\tatlas\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000004007\n', []],
  ['SigBlk:\t0000000000000007\nSigIgn:\t0000000000000001\n', ['SIGHUP']],
  ['Name:\tatlas\nSigIgn:\t0000000001001002\n', ['SIGINT']],
  ['Name:\tSigIgn:\t1\nSigIgn:\tffffffff00004807\n', ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']],
])('of a process with the status %j these are ignored: %j', (status, signals) => {
  expect([...ignoredSignals(status)]).toEqual(signals as never)
})

test('what is ignored is not listened for', () => {
  const signals = new EventEmitter()
  const { cancelled } = createInterrupts(signals, { ignored: new Set(['SIGHUP'] as const) })
  expect(signals.listenerCount('SIGHUP')).toBe(0)
  signals.emit('SIGHUP')
  expect(cancelled.aborted).toBe(false)
})
