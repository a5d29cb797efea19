import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { BINARY, LOGIN, outcomeOf } from '../support/binary.ts'
import { testWithTools } from '../support/needs.ts'
import { openPty } from '../support/pseudo-terminal.ts'
import { type Stage, stage } from '../support/stage.ts'
import { createStalledPipe, type StalledPipe } from '../support/stalled-pipe.ts'

/** Far more than the second that a signal may take, and less than what a test waits. */
const LONG_MS = 15_000

const SIGNALS: [signal: NodeJS.Signals, status: number][] = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
]
/** Where a full pipe is; `2>&1` is one for both streams. */
type Place = '>' | '2>' | '2>&1'

const COMMANDS: [args: string[], place: Place][] = [
  [['auth', 'token'], '>'],
  [['auth', 'list'], '>'],
  [['auth', 'status', '--json'], '>'],
  [['auth', 'status', '--offline'], '>'],
  [['auth', 'logout'], '>'],
  [[...LOGIN, '--json'], '>'],
  [LOGIN, '>'],
  [['sync'], '>'],
  [['status'], '>'],
  [['api', '/auth/me'], '>'],
  [['api', '/auth/me', '-i'], '>'],
  [['api', '/endless'], '>'],
  [['doctor'], '>'],
  [['doctor', '--json'], '>'],
  [['completion', 'bash'], '>'],
  [['__complete', 'auth', ''], '>'],
  [['--help'], '>'],
  [['auth'], '>'],
  [['--version'], '>'],
  [['auth', '--version'], '>'],
  [['auth', 'token', '--debug'], '2>'],
  [['auth', 'list', '--debug'], '2>'],
  [['auth', 'logout', '--debug'], '2>'],
  [LOGIN, '2>'],
  [['api', '/auth/me', '--debug'], '2>'],
  [['api', '/missing'], '2>'],
  [['no-such-command'], '2>'],
  [['auth', 'status', '--nonsense', '--json'], '2>'],
  [['auth', 'token', '--debug'], '2>&1'],
  [['auth', 'refresh', '--debug'], '2>&1'],
  [['api', '/endless', '--debug'], '2>&1'],
]
const CASES = COMMANDS.flatMap(([args, place]) =>
  SIGNALS.map(([signal, status]) => [args.join(' '), place, signal, status, args] as const),
)

const createPipe = (atlas: Stage): StalledPipe =>
  createStalledPipe(path.join(atlas.home, `full-${crypto.randomUUID()}`))

const redirected = (pipe: StalledPipe, place: Place): string[] => [
  'sh',
  '-c',
  `exec "$@" ${place === '2>&1' ? `>"${pipe.path}" 2>&1` : `${place}"${pipe.path}"`}`,
  'sh',
]

const start = (
  atlas: Stage,
  args: readonly string[],
  pipe: StalledPipe,
  place: Place,
  env: Record<string, string> = {},
) => atlas.start(args, { via: redirected(pipe, place), input: 'correct horse', env })

/** Wait until a thread of a process waits for a reader. */
async function untilWaiting(pid: number): Promise<void> {
  for (;;) {
    const threads = fs.readdirSync(`/proc/${pid}/task`)
    const waits = threads.map(thread => fs.readFileSync(`/proc/${pid}/task/${thread}/wchan`, 'utf8'))
    if (waits.some(wait => /pipe_write|n_tty_write|sk_stream_wait_memory|wait_woken/.test(wait))) return
    await Bun.sleep(5)
  }
}

async function exitStatusOf(child: { exited: Promise<number>; kill(signal: NodeJS.Signals): void }) {
  const ended = await Promise.race([child.exited, Bun.sleep(LONG_MS)])
  if (ended === undefined) child.kill('SIGKILL')
  return ended ?? 'it did not end'
}

/** A body without an end, as fast as it is taken. */
function serveEndless({ server }: Stage): void {
  const piece = Buffer.alloc(65_536, 'x')
  server.fault('GET /endless', response => {
    const fill = (): void => {
      while (response.write(piece));
    }
    response.on('drain', fill)
    response.on('close', () => response.off('drain', fill))
    fill()
  })
}

async function readWhile(
  pipe: StalledPipe,
  ended: Promise<number>,
): Promise<{ text: string; status: number }> {
  let text = pipe.drain()
  const reading = setInterval(() => (text += pipe.drain()), 5)
  const status = await ended
  clearInterval(reading)
  return { text: text + pipe.drain(), status }
}

describe.skipIf(process.platform !== 'linux')('output that nobody reads', () => {
  test.concurrent.each(
    CASES,
  )('output: "%s" with %s a full pipe ends at %s', async (_, place, signal, status, args) => {
    await using atlas = await stage({ loggedIn: true })
    serveEndless(atlas)
    using pipe = createPipe(atlas)
    const apiUrl = { ATLAS_API_URL: atlas.server.url }
    const child = start(atlas, args, pipe, place, apiUrl)
    await untilWaiting(child.pid)
    child.kill(signal)
    expect(await exitStatusOf(child)).toBe(status)
  })

  test.each(SIGNALS)('output: a body that fills its pipe up ends at %s', async (signal, status) => {
    await using atlas = await stage({ loggedIn: true })
    serveEndless(atlas)
    using pipe = createPipe(atlas)
    pipe.drain()
    const child = start(atlas, ['api', '/endless'], pipe, '>')
    await untilWaiting(child.pid)
    child.kill(signal)
    expect(await exitStatusOf(child)).toBe(status)
  })

  test.each(SIGNALS)('output: a body to a socket that nobody reads ends at %s', async (signal, status) => {
    await using atlas = await stage({ loggedIn: true })
    serveEndless(atlas)
    const reader = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
    await new Promise(resolve => reader.once('listening', resolve))
    const { port } = reader.address() as net.AddressInfo
    const script = `exec "$0" "$@" >/dev/tcp/127.0.0.1/${port}`
    const child = atlas.start(['api', '/endless'], { via: ['bash', '-c', script] })
    await untilWaiting(child.pid)
    child.kill(signal)
    expect(await exitStatusOf(child)).toBe(status)
    reader.close()
  })

  test.each(SIGNALS)('output: a terminal that was stopped with Ctrl-S ends at %s', async (signal, status) => {
    await using atlas = await stage({ loggedIn: true })
    const held = atlas.server.hold('GET /auth/me')
    const terminal = openPty([BINARY, 'auth', 'status'], {
      cwd: atlas.cwd,
      env: { ...atlas.env, TERM: 'xterm' },
      columns: 80,
    })
    await held.arrived
    terminal.type('\u0013')
    // The spinner's next picture is not taken.
    await untilWaiting(terminal.pid)
    process.kill(terminal.pid, signal)
    expect(await terminal.exited).toBe(status)
    terminal.close()
  })

  test.each([
    [[], 'atlas: Ended by SIGTERM.\n'],
    [['--json'], '{"error":{"code":"cancelled","message":"Ended by SIGTERM.","hint":null}}\n'],
  ])('output: standard error says whole how it ended while nobody reads the result %j', async (flags, said) => {
    await using atlas = await stage({ loggedIn: true })
    using pipe = createPipe(atlas)
    const child = start(atlas, ['auth', 'list', ...flags], pipe, '>')
    await untilWaiting(child.pid)
    child.kill('SIGTERM')
    expect(await outcomeOf(child)).toEqual({ status: 143, stdout: '', stderr: said })
  })

  test('output: an error inside atlas ends it although nobody reads of it', async () => {
    await using atlas = await stage({ loggedIn: true })
    atlas.server.hold('GET /auth/me')
    using pipe = createPipe(atlas)
    const script = path.join(atlas.home, 'fault.js')
    fs.writeFileSync(script, "setTimeout(() => { throw new Error('secret') }, 300)")
    const child = start(atlas, ['api', '/auth/me'], pipe, '2>', { BUN_OPTIONS: `--preload ${script}` })
    expect(await exitStatusOf(child)).toBe(1)
  })

  test('output: the result of a login is stored and its JSON not waited for', async () => {
    await using atlas = await stage({ withApiPath: true })
    const held = atlas.server.hold('GET /auth/me')
    using pipe = createPipe(atlas)
    const child = start(atlas, [...LOGIN, '--json'], pipe, '>')
    await held.arrived
    child.kill('SIGTERM')
    held.release()
    expect(await exitStatusOf(child)).toBe(143)
    expect(atlas.filesHolding(atlas.server.lastTokens.refresh)).toHaveLength(1)
  })
})

describe.skipIf(process.platform !== 'linux')('diagnostics that nobody reads', () => {
  const COMMANDS: [args: string[], place: Place][] = [
    [['auth', 'refresh'], '2>'],
    [['auth', 'token'], '2>'],
    [['auth', 'status', '--json'], '2>'],
    [['api', '/auth/me'], '2>'],
    [['sync'], '2>'],
    [['auth', 'token'], '2>&1'],
  ]
  test.each(COMMANDS)('output: %j stores the refreshed session, %s a full pipe', async (args, place) => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const { server } = atlas
    server.expireAccessTokens()
    const before = server.lastTokens.refresh
    const [record = ''] = atlas.filesHolding(before)
    const expired = { ...JSON.parse(fs.readFileSync(record, 'utf8')), expires_at: new Date(0) }
    fs.writeFileSync(record, JSON.stringify(expired))
    using pipe = createPipe(atlas)
    const child = start(atlas, args, pipe, place, { ATLAS_DEBUG: '1' })
    const isStored = (): boolean => fs.readFileSync(record, 'utf8').includes(server.lastTokens.refresh)
    while (server.lastTokens.refresh === before || !isStored()) await Bun.sleep(10)
    expect(child.exitCode).toBeNull()
    const { text, status } = await readWhile(pipe, child.exited)
    expect(status).toBe(0)
    expect(text).toMatch(/^debug: http POST .*\/auth\/refresh: 200/m)
  })

  const oneProcessor = testWithTools('taskset')
  oneProcessor('output: the result is printed while nobody reads them, on one processor too', async () => {
    await using atlas = await stage({ rotate: true, loggedIn: true })
    const { server } = atlas
    server.expireAccessTokens()
    using pipe = createPipe(atlas)
    const url = server.url.replace('127.0.0.1', 'localhost')
    const child = atlas.start([...LOGIN, '--debug'], {
      via: ['taskset', '-c', '0', ...redirected(pipe, '2>')],
      input: 'correct horse',
      env: { ATLAS_API_URL: url },
    })
    const { value } = await child.stdout.getReader().read()
    expect(Buffer.from(value ?? []).toString()).toBe(`Logged in to ${url} as ada@example.com\n`)
    expect(child.exitCode).toBeNull()
    expect((await readWhile(pipe, child.exited)).status).toBe(0)
  })
})

describe.skipIf(process.platform !== 'linux')('a slow reader', () => {
  test('output: nothing is lost to a reader who comes late', async () => {
    await using atlas = await stage({ loggedIn: true })
    const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index}`).join('\n')
    atlas.server.fault('GET /lines', response => void response.end(lines))
    using pipe = createPipe(atlas)
    const child = start(atlas, ['api', '/lines'], pipe, '>')
    await untilWaiting(child.pid)
    const { text, status } = await readWhile(pipe, child.exited)
    expect(status).toBe(0)
    expect(text === lines).toBe(true)
  })

  test('output: results and diagnostics stay in order in one pipe', async () => {
    await using atlas = await stage({ loggedIn: true })
    using pipe = createPipe(atlas)
    pipe.drain()
    const child = start(atlas, ['auth', 'logout', '--debug'], pipe, '2>&1')
    const { text } = await readWhile(pipe, child.exited)
    const result = text.indexOf('Logged out of')
    expect(text.lastIndexOf('debug: ')).toBeLessThan(result)
    expect(text.indexOf('Local credentials deleted')).toBeGreaterThan(result)
  })

  test('output: a pipe that another program made non-blocking gets everything', async () => {
    await using atlas = await stage({ loggedIn: true })
    const body = 'x'.repeat(1_000_000)
    atlas.server.fault('GET /big', response => void response.end(body))
    using pipe = createPipe(atlas)
    const descriptor = fs.openSync(pipe.path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK)
    const child = Bun.spawn([BINARY, 'api', '/big'], {
      cwd: atlas.cwd,
      env: atlas.env,
      stdout: descriptor,
      stderr: 'inherit',
    })
    const { text, status } = await readWhile(pipe, child.exited)
    fs.closeSync(descriptor)
    expect({ status, isWhole: text === body }).toEqual({ status: 0, isWhole: true })
  })

  test('output: a reader who goes away in the middle ends api quietly', async () => {
    await using atlas = await stage({ loggedIn: true })
    serveEndless(atlas)
    const pipe = createPipe(atlas)
    const child = start(atlas, ['api', '/endless'], pipe, '>')
    await untilWaiting(child.pid)
    pipe[Symbol.dispose]()
    expect(await outcomeOf(child)).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  test('output: pipes stay as they were for others that share them', async () => {
    await using atlas = await stage({ loggedIn: true })
    using pipe = createPipe(atlas)
    pipe.drain()
    const flags = 'grep flags /proc/$$/fdinfo/1 /proc/$$/fdinfo/2 >&3'
    const { stderr } = await atlas.run(['auth', 'token', '--debug'], {
      via: ['sh', '-c', `{ ${flags}; "$0" "$@"; ${flags}; } 3>&2 >"${pipe.path}" 2>&1`],
    })
    const lines = stderr.trim().split('\n')
    expect(lines).toHaveLength(4)
    expect(lines.slice(2)).toEqual(lines.slice(0, 2))
  })
})
