/* The picture in the README: a session with the compiled program and a test server, as a terminal shows it. */
import path from 'node:path'
import { startAtlasServer } from '../tests/support/atlas-server.ts'
import { createSandbox, type Sandbox } from '../tests/support/binary.ts'
import { openTerminal } from '../tests/support/pseudo-terminal.ts'
import { startSecretService } from '../tests/support/secret-service.ts'
import { drawScreen } from './screen-picture.ts'

export const PICTURE = path.resolve(import.meta.dir, '../docs/terminal.svg')

const COLUMNS = 84
const SHOWN_SERVER = 'https://atlas.example.com'

/** Run the session and draw it. @throws where no Secret Service can be started. */
export async function makePicture(): Promise<string> {
  await using server = await startAtlasServer()
  await using keychain = await startSecretService()
  using sandbox = createSandbox(keychain.env)

  const login = await record(
    sandbox,
    ['auth', 'login', '--api-url', server.url],
    [
      ['E-mail', 'ada@example.com\r'],
      ['Password', 'correct horse\r'],
    ],
  )
  const request = await record(sandbox, ['api', '/auth/me'])
  const status = await record(sandbox, ['auth', 'status'])
  const mistake = await record(sandbox, ['auth', 'lgout'])
  const session = [login, request, status, mistake].join('\r\n')
  // What differs from run to run: where the test server listens, and what time it is.
  const shown = session
    .replaceAll(server.url, SHOWN_SERVER)
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d \(in 30 minutes\)/, '2026-03-02 09:30 (in 30 minutes)')
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d \(in 7 days\)/, '2026-03-09 09:00 (in 7 days)')
  return drawScreen(shown, COLUMNS)
}

/** The command as it is typed and what the terminal was sent after it. */
async function record(
  sandbox: Sandbox,
  args: readonly string[],
  answers: readonly (readonly [question: string, answer: string])[] = [],
): Promise<string> {
  const terminal = openTerminal(sandbox, args, { LANG: 'C.UTF-8' }, { columns: COLUMNS })
  for (const [question, answer] of answers) {
    await terminal.see(question)
    terminal.type(answer)
  }
  await terminal.ended()
  const output = terminal.transcript.slice(0, terminal.transcript.indexOf('speed '))
  return `\u001b[32m$\u001b[39m \u001b[1matlas ${args.join(' ')}\u001b[22m\r\n${output}`
}

if (import.meta.main) {
  await Bun.write(PICTURE, await makePicture())
  process.stdout.write(`drew ${path.relative(process.cwd(), PICTURE)}\n`)
}
