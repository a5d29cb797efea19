import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { type Stage, stage } from '../support/stage.ts'
import { createStalledPipe } from '../support/stalled-pipe.ts'

/** Far more than the second that a signal may take, and less than what a test waits. */
const LONG_MS = 15_000

const SIGNALS: [signal: NodeJS.Signals, status: number][] = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
]
const COMMANDS: [args: string[], stream: 'stdout' | 'stderr'][] = [
  [['auth', 'token'], 'stdout'],
  [['auth', 'list'], 'stdout'],
  [['auth', 'status', '--json'], 'stdout'],
  [['auth', 'status', '--offline'], 'stdout'],
  [['api', '/auth/me'], 'stdout'],
  [['api', '/auth/me', '-i'], 'stdout'],
  [['doctor'], 'stdout'],
  [['completion', 'bash'], 'stdout'],
  [['--help'], 'stdout'],
  [['--version'], 'stdout'],
  [['auth', 'token', '--debug'], 'stderr'],
  [['api', '/auth/me', '--debug'], 'stderr'],
  [['api', '/missing'], 'stderr'],
  [['no-such-command'], 'stderr'],
  [['auth', 'status', '--nonsense', '--json'], 'stderr'],
]
const CASES = COMMANDS.flatMap(([args, stream]) =>
  SIGNALS.map(([signal, status]) => [args.join(' '), stream, signal, status, args] as const),
)

/** Start the program with one stream on a pipe that is full. */
function startStalled(atlas: Stage, args: readonly string[], stream: 'stdout' | 'stderr') {
  const pipe = createStalledPipe(path.join(atlas.home, `full-${crypto.randomUUID()}`))
  const redirection = stream === 'stdout' ? '>' : '2>'
  const child = atlas.start(args, { via: ['sh', '-c', `exec "$@" ${redirection}"${pipe.path}"`, 'sh'] })
  return { child, pipe }
}

/** Wait until a thread of a process waits for a reader of its pipe. */
async function untilWaiting(pid: number): Promise<void> {
  for (;;) {
    const threads = fs.readdirSync(`/proc/${pid}/task`)
    const waits = threads.map(thread => fs.readFileSync(`/proc/${pid}/task/${thread}/wchan`, 'utf8'))
    if (waits.some(wait => /pipe_write/.test(wait))) return
    await Bun.sleep(5)
  }
}

describe.skipIf(process.platform !== 'linux')('output that nobody reads', () => {
  test.concurrent.each(
    CASES,
  )('output: "%s" with a full %s ends at %s', async (_, stream, signal, status, args) => {
    await using atlas = await stage({ loggedIn: true })
    const { child, pipe } = startStalled(atlas, args, stream)
    using _pipe = pipe
    await untilWaiting(child.pid)
    child.kill(signal)
    const ended = await Promise.race([child.exited, Bun.sleep(LONG_MS)])
    if (ended === undefined) child.kill('SIGKILL')
    expect(ended as number | null).toBe(status)
  })

  test('output: a refresh is stored although nobody reads the diagnostics', async () => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const { server } = atlas
    server.expireAccessTokens()
    const { child, pipe } = startStalled(atlas, ['auth', 'refresh', '--debug'], 'stderr')
    using _pipe = pipe
    const before = server.lastTokens.refresh
    while (server.lastTokens.refresh === before || atlas.filesHolding(server.lastTokens.refresh).length === 0)
      await Bun.sleep(10)
    pipe.drain()
    const reading = setInterval(() => pipe.drain(), 10)
    expect(await child.exited).toBe(0)
    clearInterval(reading)
  })

  test('output: nothing is lost to a reader who comes late', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { child, pipe } = startStalled(atlas, ['--help'], 'stdout')
    using _pipe = pipe
    await untilWaiting(child.pid)
    let text = ''
    const reading = setInterval(() => (text += pipe.drain()), 10)
    expect(await child.exited).toBe(0)
    clearInterval(reading)
    text += pipe.drain()
    expect(text.trim()).toBe((await atlas.run(['--help'])).stdout.trim())
  })
})
