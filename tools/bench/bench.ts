/*
 * What atlas costs, beside the least that it could: an empty program compiled in the same way, `secret-tool`
 * and `curl`. Runs alternate, and figures are medians; docs/performance.md says what they are.
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { compile } from '../../release/compile.ts'
import { hostTarget } from '../../release/targets.ts'
import { type AtlasServer, startAtlasServer } from '../../tests/support/atlas-server.ts'
import { BINARY, createSandbox, outcomeOf, type Sandbox } from '../../tests/support/binary.ts'
import { hasSecretService, startSecretService } from '../../tests/support/secret-service.ts'
import { compare, median, peakMemory, type Subject } from './measure.ts'

const RUNS = 60
const TRANSFER_RUNS = 7
const TRANSFER_BYTES = 100 * 1024 * 1024
const DAY_S = 86_400
const TOKENS = 500

const say = (text = ''): void => void process.stdout.write(`${text}\n`)

function row(what: string, subject: Subject, against: string, base: Subject, target: number): void {
  const { ms, baseMs, ratio } = compare(subject, base, RUNS)
  const cells = [`${ms.toFixed(1)} ms`, `${baseMs.toFixed(1)} ms`, ratio.toFixed(2), `${target}`]
  const memory = [subject, base].map(one => `${peakMemory(one)?.toFixed(0) ?? '?'} MiB`).join(', ')
  say(`| ${[what, ...cells, memory, against].join(' | ')} |`)
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-bench-'))
try {
  const built = path.join(folder, 'built')
  fs.writeFileSync(path.join(folder, 'empty.ts'), '')
  await compile(hostTarget(), {
    outfile: built,
    bytecode: true,
    entrypoints: [path.join(folder, 'empty.ts')],
  })
  // Copies, as an installation makes them: how a file came to be in the cache is part of what a start costs.
  const [empty, binary] = [path.join(folder, 'empty'), path.join(folder, 'atlas')]
  fs.copyFileSync(built, empty)
  fs.copyFileSync(BINARY, binary)
  const floor: Subject = { command: [empty], env: {} }

  await using server = await startAtlasServer({
    accessTtlS: DAY_S,
    rotate: true,
    loginsPerMinute: Number.POSITIVE_INFINITY,
  })
  using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url })
  await logIn(sandbox, server)
  const atlas = (...args: string[]): Subject => ({ command: [binary, ...args], env: sandbox.env })

  say('| command | median | beside it | ratio | target | peak memory of each | beside |')
  say('| --- | --- | --- | --- | --- | --- | --- |')
  row('`atlas --version`', atlas('--version'), 'an empty compiled program', floor, 1.1)
  // The rows leave this process no turn to answer a request.
  await sandbox.run(['sync'])
  const sync = atlas('sync', '--max-age', '1h')
  row('`atlas sync --max-age`, nothing due', sync, '`atlas --version`', atlas('--version'), 1.5)
  row('`atlas auth token`, file', atlas('auth', 'token'), 'an empty compiled program', floor, 1.7)
  row('`atlas exec -- true`, file', atlas('exec', '--', 'true'), 'an empty compiled program', floor, 1.7)
  if (hasSecretService) {
    await using service = await startSecretService()
    using keychain = createSandbox({ ...service.env, ATLAS_API_URL: server.url })
    await logIn(keychain, server)
    const [item] = service.search('atlas-cli')
    const lookup = ['secret-tool', 'lookup', 'service', 'atlas-cli', 'username', item?.account ?? '']
    const token: Subject = { command: [binary, 'auth', 'token'], env: keychain.env }
    row(
      '`atlas auth token`, keychain',
      token,
      '`secret-tool lookup`',
      { command: lookup, env: keychain.env },
      1.7,
    )
  }

  say()
  await inALoop(sandbox)
  for (const count of [1, 8, 32]) await together(sandbox, server, count)
  say()
  await transfer(sandbox)
} finally {
  fs.rmSync(folder, { recursive: true, force: true })
}

async function logIn(sandbox: Sandbox, server: AtlasServer): Promise<void> {
  const { status, stderr } = await sandbox.logIn(server)
  if (status !== 0) throw new Error(stderr)
}

/** `auth token` as scripts use it: one after the other, and many at once; it must leave nothing behind. */
async function inALoop(sandbox: Sandbox): Promise<void> {
  const look = (): string =>
    fs
      .readdirSync(sandbox.home, { recursive: true, encoding: 'utf8' })
      .map(name => [name, fs.statSync(path.join(sandbox.home, name)).size].join(' '))
      .sort()
      .join('\n')
  const token = async (): Promise<void> => {
    const { status, stderr } = await sandbox.run(['auth', 'token'])
    if (status !== 0) throw new Error(stderr)
  }
  await token()
  const before = look()
  let startedAt = performance.now()
  for (let run = 0; run < TOKENS; run++) await token()
  const each = (performance.now() - startedAt) / TOKENS
  startedAt = performance.now()
  await Promise.all(Array.from({ length: 50 }, token))
  const together = performance.now() - startedAt
  if (look() !== before) throw new Error(`auth token left something behind:\n${before}\n---\n${look()}`)
  say(
    `${TOKENS} tokens one after the other: ${each.toFixed(1)} ms each; 50 at once: all after ${together.toFixed(0)} ms; no file has changed`,
  )
}

/** Processes that start at once with an access token that has ended: one of them refreshes it. */
async function together(sandbox: Sandbox, server: AtlasServer, count: number): Promise<void> {
  const times: number[] = []
  for (let round = 0; round < 5; round++) {
    server.expireAccessTokens()
    server.forget()
    const startedAt = performance.now()
    const started = Array.from({ length: count }, () => sandbox.start(['api', '/auth/me'], { input: '' }))
    const outcomes = await Promise.all(started.map(outcomeOf))
    times.push(performance.now() - startedAt)
    const failed = outcomes.find(({ status }) => status !== 0)
    if (failed) throw new Error(failed.stderr)
    const refreshes = server.log().filter(line => line.endsWith('/auth/refresh')).length
    if (refreshes !== 1) throw new Error(`${refreshes} refreshes`)
  }
  say(`${count} at once with an ended token: all answered after ${median(times).toFixed(0)} ms, one refresh`)
}

/** The time that 100 MB take from a server in another process through atlas, and through curl. */
async function transfer(sandbox: Sandbox): Promise<void> {
  if (Bun.which('curl') === null) return say('curl is missing: transfers were not measured')
  const child = Bun.spawn(
    [process.execPath, path.join(import.meta.dir, 'bulk-server.ts'), `${TRANSFER_BYTES}`],
    {
      stdout: 'pipe',
    },
  )
  try {
    const { value } = await child.stdout.getReader().read()
    const url = Buffer.from(value ?? [])
      .toString()
      .trim()
    const env = { ...sandbox.env, ATLAS_API_URL: `${url}/api/v1`, ATLAS_ACCESS_TOKEN: 'token' }
    const atlas: number[] = []
    const curl: number[] = []
    for (let run = 0; run < TRANSFER_RUNS; run++) {
      atlas.push(await throughPipe([BINARY, 'api', '/bulk'], env))
      curl.push(await throughPipe(['curl', '--silent', '--fail', `${url}/bulk`], env))
    }
    const rate = (ms: number): string => `${(TRANSFER_BYTES / 1e6 / (ms / 1000)).toFixed(0)} MB/s`
    const share = median(atlas.map((ms, run) => (curl[run] ?? 0) / ms))
    say(
      `100 MB into a pipe: atlas ${rate(median(atlas))}, curl ${rate(median(curl))}; atlas has ${share.toFixed(2)} of curl’s rate (target 0.5)`,
    )
  } finally {
    child.kill()
  }
}

function throughPipe([program = '', ...args]: string[], env: Record<string, string>): Promise<number> {
  const startedAt = performance.now()
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
    let bytes = 0
    child.stdout.on('data', (piece: Buffer) => {
      bytes += piece.length
    })
    child.on('close', status => {
      if (status === 0 && bytes === TRANSFER_BYTES) resolve(performance.now() - startedAt)
      else reject(new Error(`${program} ended with ${status} after ${bytes} bytes`))
    })
  })
}
