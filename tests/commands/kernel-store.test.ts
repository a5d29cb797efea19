import { expect } from 'bun:test'
import fs from 'node:fs'
import { type AtlasServer, answer, startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox, type Outcome, outcomeOf, type Sandbox, type User } from '../support/binary.ts'
import { inKeySession, kernelStoreTest, linesOf } from '../support/kernel-keys.ts'
import { createUnprivilegedSandbox } from '../support/unprivileged.ts'

const LOGIN =
  'printf "correct horse" | atlas auth login --email ada@example.com --password-stdin --store kernel'

const run = (sandbox: Sandbox, script: string, user?: User): Promise<Outcome> =>
  outcomeOf(
    Bun.spawn(inKeySession(script), {
      ...user,
      cwd: sandbox.cwd,
      env: { ...sandbox.env, ATLAS_BINARY: sandbox.binary },
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'pipe',
    }),
  )

/** Have the server give tokens of a length. */
const giveLongTokens = (server: AtlasServer, length: number): void =>
  server.fault('POST /auth/refresh', response =>
    answer(
      response,
      200,
      { access_token: 'a'.repeat(length), token_type: 'bearer', expires_in: 1800 },
      { 'set-cookie': `refresh_token=${'r'.repeat(length)}; Path=/` },
    ),
  )

kernelStoreTest(
  'the kernel store keeps a session where it is asked for, and says that it will not last',
  async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox({ ATLAS_API_URL: server.url })
    const { stdout } = await run(
      sandbox,
      `${LOGIN}
       atlas auth status | grep Credentials
       atlas auth status --json
       atlas auth token
       atlas auth logout 2>/dev/null
       atlas auth status --json; echo "status $?"`,
    )
    const [loggedIn, notice, credentials, status = '', token, loggedOut, after = '', ended] = linesOf(stdout)
    expect({ loggedIn, notice, credentials, token, loggedOut, ended }).toEqual({
      loggedIn: `Logged in to ${server.url} as ada@example.com`,
      notice: 'The credentials are in the kernel key store: they are gone after a reboot.',
      credentials: 'Credentials   the kernel key store (gone at reboot)',
      token: server.lastTokens.access,
      loggedOut: `Logged out of ${server.url} as ada@example.com`,
      ended: 'status 4',
    })
    expect(JSON.parse(status)).toMatchObject({ state: 'authenticated', source: 'kernel', store: 'kernel' })
    expect(JSON.parse(after)).toMatchObject({ state: 'not_logged_in', source: null, store: 'kernel' })
    expect(sandbox.filesHolding(server.lastTokens.access)).toEqual([])
  },
)

// The kernel gives root room for 25 MB, and everybody else for 20 kB.
const asRoot = process.getuid?.() === 0 ? kernelStoreTest : (kernelStoreTest.skip as typeof kernelStoreTest)

asRoot('a record longer than a key can hold is stored in parts, and they go with it', async () => {
  await using server = await startAtlasServer()
  using sandbox = createSandbox({ ATLAS_API_URL: server.apiRoot })
  giveLongTokens(server, 40_000)
  const { stdout } = await run(
    sandbox,
    `${LOGIN} >/dev/null 2>&1
     atlas auth refresh >/dev/null
     atlas auth token
     keyctl list @s | grep -o "user: .*atlas-cli"
     atlas auth logout >/dev/null 2>&1
     keyctl list @s | grep -c atlas-cli`,
  )
  const [token, ...keys] = linesOf(stdout)
  expect(token).toBe('a'.repeat(40_000))
  const account = `default@${server.apiRoot}`
  const names = keys.slice(0, -1).map(key => key.replace('user: keyring:', '').replace('@atlas-cli', ''))
  expect({ names: names.sort(), left: keys.at(-1) }).toEqual({
    names: ['', '#a.0', '#a.1', '#a.2'].map(part => account + part),
    left: '0',
  })
})

kernelStoreTest('a record beyond what a user may store leaves the old one', async () => {
  await using server = await startAtlasServer()
  using sandbox = createUnprivilegedSandbox({ ATLAS_API_URL: server.apiRoot })
  giveLongTokens(server, 16_384)
  const { stdout } = await run(
    sandbox,
    `${LOGIN} >/dev/null 2>&1
       first=$(atlas auth token)
       atlas auth refresh; echo "refresh $?"
       [ "$(atlas auth token)" = "$first" ] && echo "the old one"
       atlas auth logout >/dev/null 2>&1`,
    sandbox.user,
  )
  const [error, , ...rest] = linesOf(stdout)
  expect({ error, rest }).toEqual({
    error:
      'atlas: The session was refreshed, but could not be stored. The kernel key store (gone at reboot) cannot be used (QuotaExceeded).',
    rest: ['refresh 6', 'the old one'],
  })
})

kernelStoreTest(
  'a session is found by processes without a key ring of their own, and ended by them',
  async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox({ ATLAS_API_URL: server.url, ATLAS_CREDENTIAL_STORE: 'kernel' })
    expect((await sandbox.logIn(server, { env: { ATLAS_CREDENTIAL_STORE: 'kernel' } })).status).toBe(0)
    const status = async (): Promise<string> =>
      JSON.parse((await sandbox.run(['auth', 'status', '--json'])).stdout).state
    expect(await status()).toBe('authenticated')
    expect((await sandbox.run(['auth', 'logout'])).stdout).toBe(
      `Logged out of ${server.url} as ada@example.com\n`,
    )
    expect(await status()).toBe('not_logged_in')
    expect(fs.readFileSync('/proc/keys', 'utf8')).not.toContain(server.url)
  },
)
