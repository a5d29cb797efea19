/* The main job, end to end, with the compiled program: log in, be refreshed unseen, sync, log out. */
import { type AtlasServer, startAtlasServer } from '../tests/support/atlas-server.ts'
import { createSandbox, type Sandbox } from '../tests/support/binary.ts'
import { hasSecretService, startSecretService } from '../tests/support/secret-service.ts'

const ACCESS_TTL_S = 1800

const say = (text: string): void => void process.stdout.write(`${text}\n`)

async function step(
  title: string,
  sandbox: Sandbox,
  args: readonly string[],
  input = '',
  expected = 0,
): Promise<void> {
  say(`\n# ${title}\n$ atlas ${args.join(' ')}`)
  const { status, stdout, stderr } = await sandbox.run(args, { input })
  say(`${stdout}${stderr}`.trimEnd())
  if (status !== expected) throw new Error(`atlas ended with ${status}, not ${expected}`)
}

async function demonstrate(server: AtlasServer, sandbox: Sandbox): Promise<void> {
  await step(
    'Log in; the password comes through a pipe.',
    sandbox,
    ['auth', 'login', '--email', 'ada@example.com', '--password-stdin'],
    'correct horse\n',
  )
  await step('Who is logged in?', sandbox, ['auth', 'status'])

  server.expireAccessTokens()
  server.forget()
  await step('The access token has just expired. Nobody notices:', sandbox, ['api', '/auth/me'])
  say('\n  what the server received:')
  for (const line of server.log()) say(`    ${line}`)
  const expected = ['GET /api/v1/auth/me', 'POST /api/v1/auth/refresh', 'GET /api/v1/auth/me']
  if (server.log().join() !== expected.join())
    throw new Error('the server did not receive one refresh between two requests')

  await step('What the login is for: the configuration that the server keeps for Ada.', sandbox, ['sync'])
  await step('And how it stands:', sandbox, ['status'])

  await step('Log out.', sandbox, ['auth', 'logout'])
  await step('And now? (exit status 4: log in first)', sandbox, ['auth', 'status'], '', 4)
}

await using server = await startAtlasServer({ accessTtlS: ACCESS_TTL_S, rotate: true })
await using keychain = hasSecretService ? await startSecretService() : undefined
using sandbox = createSandbox({
  ATLAS_API_URL: server.url,
  ...(keychain ? keychain.env : { ATLAS_CREDENTIAL_STORE: 'file' }),
})
say(`A test server runs on ${server.url}; the home folder is a temporary one.`)
say(
  keychain
    ? 'Credentials are kept in a Secret Service of the demo’s own.'
    : 'No Secret Service can be started here, so credentials are kept in a file (--store file).',
)
await demonstrate(server, sandbox)
say(`
To use it against your own server:
  ./dist/atlas auth login --api-url https://atlas.example.com
  ./dist/atlas auth status
  ./dist/atlas api /auth/me
  ./dist/atlas sync`)
