/* The main job, end to end, with the compiled program: log in, be refreshed unseen, sync, push, roll back, log out. */
import { LOGIN } from '../tests/support/binary.ts'
import { hasSecretService } from '../tests/support/secret-service.ts'
import { stage } from '../tests/support/stage.ts'

const ACCESS_TTL_S = 1800

const say = (text: string): void => void process.stdout.write(`${text}\n`)

async function step(title: string, args: readonly string[], input = '', expected = 0): Promise<void> {
  say(`\n# ${title}\n$ atlas ${args.join(' ')}`)
  const { status, stdout, stderr } = await atlas.run(args, { input })
  say(`${stdout}${stderr}`.trimEnd())
  if (status !== expected) throw new Error(`atlas ended with ${status}, not ${expected}`)
}

async function demonstrate(): Promise<void> {
  const { server } = atlas
  await step('Log in; the password comes through a pipe.', LOGIN, 'correct horse\n')
  await step('Who is logged in?', ['auth', 'status'])

  server.expireAccessTokens()
  server.forget()
  await step('The access token has just expired. Nobody notices:', ['api', '/auth/me'])
  say('\n  what the server received:')
  for (const line of server.log()) say(`    ${line}`)
  const expected = ['GET /api/v1/auth/me', 'POST /api/v1/auth/refresh', 'GET /api/v1/auth/me']
  if (server.log().join() !== expected.join())
    throw new Error('the server did not receive one refresh between two requests')

  server.saveConfiguration('# Rules\n- Small commits.\n', 'The first rules')
  await step('What the login is for: the configuration that the server keeps for Ada.', ['sync'])
  await step('And how it stands:', ['status'])
  const synced = JSON.parse((await atlas.run(['history', '--json'])).stdout).versions[0].commit_sha

  atlas.claude.edit('# Rules\n- Small commits.\n- Plain words.\n')
  await step('CLAUDE.md was edited here; a sync overwrites no edit (exit status 1):', ['sync'], '', 1)
  await step('So it goes to the server:', ['push', '-m', 'Plain words'])
  await step('What the server has kept; * marks what is here:', ['history'])
  await step('Back to the first rules,', ['rollback', synced.slice(0, 7), '--yes'])
  await step('and here too:', ['sync'])
  if (atlas.claude.text() !== '# Rules\n- Small commits.\n') throw new Error('the first rules are not back')

  await step('Log out.', ['auth', 'logout'])
  await step('And now? (exit status 4: log in first)', ['auth', 'status'], '', 4)
}

await using atlas = await stage({
  accessTtlS: ACCESS_TTL_S,
  rotate: true,
  store: hasSecretService ? 'keychain' : 'file',
})
say(`A test server runs on ${atlas.server.url}; the home folder is a temporary one.`)
say(
  hasSecretService
    ? 'Credentials are kept in a Secret Service of the demo’s own.'
    : 'No Secret Service can be started here, so credentials are kept in a file (--store file).',
)
await demonstrate()
say(`
To use it against your own server:
  ./dist/atlas auth login --api-url https://atlas.example.com
  ./dist/atlas auth status
  ./dist/atlas api /auth/me
  ./dist/atlas sync`)
