/*
 * A process that takes a lock, counts one up without any care of its own, and lets go; or, as a "victim",
 * stays inside until it is killed, watching whether anybody else counts meanwhile.
 */
import fs from 'node:fs'
import path from 'node:path'
import { createLock } from '../../lib/files/lock.ts'

const [folder = '', role] = process.argv.slice(2)
const counter = path.join(folder, 'counter')
const count = (): number => Number(fs.readFileSync(counter, 'utf8'))

await createLock({
  folder,
  name: 'contended',
  uid: process.getuid?.(),
  timeoutMs: 60_000,
  cancelled: new AbortController().signal,
  debug() {},
}).hold(async () => {
  const before = count()
  process.stdout.write('inside\n')
  await Bun.sleep(2)
  while (role === 'victim') {
    if (count() !== before) fs.writeFileSync(path.join(folder, 'violation'), '')
    await Bun.sleep(0.5)
  }
  fs.writeFileSync(counter, String(before + 1))
})
