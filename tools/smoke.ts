/*
 * The main job with a program that was built for release, wherever that can run:
 *   bun tools/smoke.ts TARGET [STORE] -- COMMAND [ARGUMENT ...]
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { VERSION } from '../lib/version.ts'
import { targetNamed } from '../release/targets.ts'
import { startAtlasServer } from '../tests/support/atlas-server.ts'
import { LOGIN } from '../tests/support/binary.ts'
import { hasSecretService, startSecretService } from '../tests/support/secret-service.ts'

const say = (text: string): void => void process.stdout.write(`${text}\n`)

const separator = process.argv.indexOf('--')
const [name = '', store = 'file'] = process.argv.slice(2, separator)
const [command = '', ...before] = process.argv.slice(separator + 1)
const { platform, arch } = targetNamed(name)

await using server = await startAtlasServer({ rotate: true })
const needsService = store === 'keychain' && process.platform === 'linux'
await using service = needsService && hasSecretService ? await startSecretService() : undefined
const home = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-smoke-'))
// The keychains of macOS and Windows are those of whoever runs this: they are found by the real surroundings.
const surroundings = process.platform === 'linux' ? { HOME: home, PATH: '', ...service?.env } : process.env

async function step(
  args: readonly string[],
  expected: string,
  { input = '', status = 0 } = {},
): Promise<void> {
  const child = Bun.spawn(
    [path.isAbsolute(command) ? command : (Bun.which(command) ?? path.resolve(command)), ...before, ...args],
    {
      env: {
        ...surroundings,
        ATLAS_CONFIG_DIR: path.join(home, 'config'),
        ATLAS_API_URL: server.url,
        ATLAS_CREDENTIAL_STORE: store,
      },
      stdin: Buffer.from(input),
      stdout: 'pipe',
      stderr: 'pipe',
    },
  )
  const [stdout, stderr, ended] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  say(`$ atlas ${args.join(' ')}\n${`${stdout}${stderr}`.trimEnd()}`)
  if (ended !== status || !`${stdout}${stderr}`.includes(expected))
    throw new Error(`atlas ended with ${ended}; expected ${status} and "${expected}"`)
}

try {
  await step(['--version'], `atlas/${VERSION} ${platform}-${arch}`)
  await step(LOGIN, 'Logged in to', {
    input: 'correct horse\n',
  })
  await step(['auth', 'status'], 'ada@example.com')
  server.expireAccessTokens()
  await step(['api', '/auth/me'], '"username":"ada"')
  await step(['auth', 'logout'], 'Logged out')
  await step(['auth', 'status'], 'Not logged in', { status: 4 })
} finally {
  fs.rmSync(home, { recursive: true, force: true })
}
