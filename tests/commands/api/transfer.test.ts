import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { createSandbox, type Machine, outcomeOf } from '../../support/binary.ts'
import { measured } from '../../support/measured.ts'
import { forRun, testWithTools } from '../../support/needs.ts'
import { openTerminal } from '../../support/pseudo-terminal.ts'
import { startSlowServer } from '../../support/slow-server.ts'

const MEGABYTE = Buffer.alloc(1024 * 1024, 'x')
/** A gigabyte in a full run; the short one is still more than is allowed in memory. */
const LARGE = forRun({ short: 256, full: 1024 }) * MEGABYTE.length
const MAX_RSS = 100 * 1024 * 1024
/** What is kept of a pipe to be sent again comes on top. */
const MAX_RSS_FROM_PIPE = 128 * 1024 * 1024

interface TransferServer extends AsyncDisposable {
  readonly env: Record<string, string>
  /** The size of each body received, in bytes. */
  readonly received: number[]
  /** Let an answer go on that stopped in its middle. */
  resume(): void
}

/** A server that gives and takes a gigabyte without holding it: `/big`, `/slow`, and every POST. */
async function startTransferServer(): Promise<TransferServer> {
  const received: number[] = []
  let resume = (): void => {}
  const resumed = new Promise<void>(resolve => {
    resume = resolve
  })
  const server = http.createServer(async (request, response) => {
    let size = 0
    for await (const piece of request) size += piece.length
    if (request.method === 'POST') received.push(size)
    if (request.url === '/api/v1/big') {
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': LARGE })
      for (let sent = 0; sent < LARGE; sent += MEGABYTE.length)
        if (!response.write(MEGABYTE)) await new Promise(resolve => response.once('drain', resolve))
    }
    if (request.url === '/api/v1/slow') {
      response.writeHead(200, { 'content-length': 4 * MEGABYTE.length })
      for (let piece = 0; piece < 4; piece++) {
        if (piece === 1) await resumed
        response.write(MEGABYTE)
      }
    }
    response.end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    env: { ATLAS_API_URL: `http://127.0.0.1:${port}/api/v1`, ATLAS_ACCESS_TOKEN: 'token' },
    received,
    resume: () => resume(),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

describe('a large body', () => {
  /** Below a shell, whose peak memory is that of the largest program it ran. */
  const run = ({ cwd, env, binary }: Machine, script: string) =>
    measured({ command: ['sh', '-c', `{ ${script}; } >/dev/null`, binary], cwd, env })

  test('api: receives a large body in constant memory', async () => {
    await using server = await startTransferServer()
    using sandbox = createSandbox(server.env)
    const { status, peakMemoryBytes } = await run(sandbox, '"$0" api /big | cat')
    expect(status).toBe(0)
    expect(peakMemoryBytes).toBeLessThan(MAX_RSS)
  })

  test('api: sends a large file in constant memory', async () => {
    await using server = await startTransferServer()
    using sandbox = createSandbox(server.env)
    const file = path.join(sandbox.cwd, 'big')
    // A sparse file: it takes no room on the disk.
    fs.closeSync(fs.openSync(file, 'w'))
    fs.truncateSync(file, LARGE)
    const { status, peakMemoryBytes } = await run(sandbox, '"$0" api / --input big')
    expect({ status, received: server.received }).toEqual({
      status: 0,
      received: [LARGE],
    })
    expect(peakMemoryBytes).toBeLessThan(MAX_RSS)
  })

  test('api: sends a large pipe in constant memory', async () => {
    await using server = await startTransferServer()
    using sandbox = createSandbox(server.env)
    const { status, peakMemoryBytes } = await run(
      sandbox,
      `head -c ${LARGE} /dev/zero | "$0" api / --input -`,
    )
    expect({ status, received: server.received }).toEqual({
      status: 0,
      received: [LARGE],
    })
    expect(peakMemoryBytes).toBeLessThan(MAX_RSS_FROM_PIPE)
  })
})

describe('progress', () => {
  const SHOWN = '1.0 MB of 4.2 MB (25%)'

  test('api: shows progress of a redirected body, and clears it at the end', async () => {
    await using server = await startTransferServer()
    using sandbox = createSandbox(server.env)
    const terminal = openTerminal(sandbox, ['api', '/slow'], {}, { redirect: '>body' })
    await terminal.see(SHOWN)
    server.resume()
    expect(await terminal.ended()).toBe(0)
    expect(terminal.transcript).toMatch(/\r\u001b\[Kspeed /)
    expect(fs.statSync(path.join(sandbox.cwd, 'body')).size).toBe(4 * MEGABYTE.length)
  })

  const WAYS: [where: string, args: string[], env: Record<string, string>, redirect: string][] = [
    ['where the terminal is dumb', [], { TERM: 'dumb' }, '>body'],
    ['with --json', ['--json'], {}, '>body'],
    ['beside a body on the terminal', [], {}, ''],
    ['where standard error is a file', [], {}, '>body 2>errors'],
  ]
  test.concurrent.each(WAYS)('api: shows no progress %s', async (_, args, env, redirect) => {
    await using server = await startTransferServer()
    using sandbox = createSandbox(server.env)
    const terminal = openTerminal(sandbox, ['api', '/slow', ...args], env, { redirect })
    // Longer than a progress display would wait.
    await Bun.sleep(1_300)
    server.resume()
    expect(await terminal.ended()).toBe(0)
    expect(terminal.transcript).not.toContain(' of ')
    expect(terminal.transcript).not.toContain('\u001b[K\u2819')
  })
})

test('api: leaves the flags of a shared pipe alone', async () => {
  using sandbox = createSandbox()
  const script = '"$0" --version; "$0" auth list; cat /proc/self/fdinfo/1'
  const { stdout } = await sandbox.run([], { via: ['sh', '-c', script] })
  const flags = /^flags:\s+(\d+)$/m.exec(stdout)?.[1] ?? ''
  if (process.platform === 'linux') expect(Number.parseInt(flags, 8) & fs.constants.O_NONBLOCK).toBe(0)
})

describe('a body on a terminal', () => {
  const JSON_BODY = '{"a":[1,null]}'
  const COLOURED =
    '{\r\n  \u001b[36m"a"\u001b[39m: [\r\n    \u001b[33m1\u001b[39m,\r\n    \u001b[35mnull\u001b[39m\r\n  ]\r\n}\r\n'
  const PLAIN = '{\r\n  "a": [\r\n    1,\r\n    null\r\n  ]\r\n}\r\n'

  const WAYS: [env: Record<string, string>, shown: string][] = [
    [{}, COLOURED],
    [{ NO_COLOR: '1' }, PLAIN],
    [{ TERM: 'dumb' }, PLAIN],
    [{ TERM: 'dumb', FORCE_COLOR: '1' }, COLOURED],
  ]
  test.each(WAYS)('api: indents JSON on a terminal with %j', async (env, shown) => {
    using server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: () => Response.json(JSON.parse(JSON_BODY)),
    })
    using sandbox = createSandbox({
      ATLAS_API_URL: `${server.url.origin}/api/v1`,
      ATLAS_ACCESS_TOKEN: 'token',
    })
    const terminal = openTerminal(sandbox, ['api', '/x'], env)
    expect(await terminal.ended()).toBe(0)
    expect(terminal.transcript).toStartWith(shown)
  })

  test('api: a body in a pipe has no colours even with FORCE_COLOR', async () => {
    using server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: () => Response.json(JSON.parse(JSON_BODY)),
    })
    using sandbox = createSandbox({
      ATLAS_API_URL: `${server.url.origin}/api/v1`,
      ATLAS_ACCESS_TOKEN: 'token',
      FORCE_COLOR: '1',
    })
    expect(await sandbox.run(['api', '/x', '-i'])).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringMatching(/^HTTP\/1\.1 200 OK\n[^\u001b]*\{"a":\[1,null\]\}$/),
    })
  })
})

describe('an upload that takes longer than the time limit', () => {
  const BODY = Buffer.alloc(3 * MEGABYTE.length, 'x')
  const WAYS: [what: string, args: string[], input: Buffer | ''][] = [
    ['a file', ['--input', 'body'], ''],
    ['a pipe', ['--input', '-'], BODY],
    ['a field', ['-F', 'text=@body'], ''],
  ]
  const upload = async (route: string, args: string[], input: Buffer | '', bytesPerSecond: number) => {
    await using server = await startSlowServer(bytesPerSecond)
    using sandbox = createSandbox({ ATLAS_API_URL: `${server.url}/api/v1`, ATLAS_ACCESS_TOKEN: 'token' })
    fs.writeFileSync(path.join(sandbox.cwd, 'body'), BODY)
    const outcome = await sandbox.run(['api', route, '-X', 'POST', '--timeout', '1', ...args], { input })
    return { ...outcome, stderr: outcome.stderr.replace(server.url, 'SERVER') }
  }
  testWithTools('python3').concurrent.each(WAYS)(
    'api: is not cut off while the server takes %s',
    async (_, args, input) => {
      expect(await upload('/x', args, input, BODY.length / 3)).toEqual({
        status: 0,
        stdout: 'ok',
        stderr: '',
      })
    },
  )
  testWithTools('python3').concurrent.each(WAYS)(
    'api: is given up when the server takes no more of %s',
    async (_, args, input) => {
      expect(await upload('/stall', args, input, BODY.length)).toEqual({
        status: 5,
        stdout: '',
        stderr:
          'atlas: SERVER did not answer within 1 s.\n       Try again, or allow more time with --timeout.\n',
      })
    },
  )

  testWithTools('python3')('api: says that a file became shorter while it was being sent', async () => {
    await using server = await startSlowServer(BODY.length)
    using sandbox = createSandbox({ ATLAS_API_URL: `${server.url}/api/v1`, ATLAS_ACCESS_TOKEN: 'token' })
    const file = path.join(sandbox.cwd, 'body')
    fs.writeFileSync(file, Buffer.alloc(32 * MEGABYTE.length))
    const child = sandbox.start(['api', '/x', '--input', 'body'], { input: '' })
    await server.receiving
    fs.truncateSync(file, MEGABYTE.length)
    expect(await outcomeOf(child)).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'atlas: body became shorter while it was being sent.\n       Run the command again when nothing writes to the file.\n',
    })
  })
})
