import { EventEmitter } from 'node:events'
import { cac } from 'cac'
import { readArgv } from '../../lib/cli/argv.ts'
import type { Context } from '../../lib/commands/context.ts'
import { defineProgram } from '../../lib/commands/program.ts'
import { AtlasError, report } from '../../lib/errors.ts'
import { createInterrupts } from '../../lib/interrupts.ts'
import { createRun, type Host } from '../../lib/run.ts'
import { createSecrets } from '../../lib/terminal/secrets.ts'
import { type AtlasServer, type AtlasServerOptions, startAtlasServer } from './atlas-server.ts'
import { createSandbox, LOGIN, type Machine, type Outcome } from './binary.ts'
import { type Script, type ScriptedTerminal, scriptTerminal } from './scripted-terminal.ts'
import { type ClaudeFolder, claudeFolder } from './stage.ts'

export interface InProcessOptions extends AtlasServerOptions {
  /** Log Ada in. The config file then names the server, and the server forgets the requests of the login. */
  readonly loggedIn?: boolean
  readonly env?: Record<string, string>
  /** Name the server with the path of its API, so that no request has to look for it. */
  readonly withApiPath?: boolean
}

export interface CommandOptions extends Omit<Script, 'json' | 'secrets'> {
  readonly env?: Record<string, string | undefined>
  /** What standard input holds. */
  readonly input?: string | Uint8Array
}

/**
 * A server and a home folder, with commands that run in the test's own process: a few milliseconds each, where
 * starting the compiled program takes a hundred. The store is `file`. What belongs to a process is not there: its
 * streams, signals and current directory.
 */
export interface InProcess extends Pick<Machine, 'home' | 'configFolder' | 'filesHolding'>, AsyncDisposable {
  readonly server: AtlasServer
  readonly claude: ClaudeFolder
  /** Run a command line. @throws what is not an AtlasError: a bug. */
  run(argv: readonly string[], options?: CommandOptions): Promise<Outcome>
  /** Log in as Ada, to this server unless given another one. */
  logIn(options?: CommandOptions & { server?: AtlasServer }): Promise<Outcome>
  /** What the last command asked, as it stands on the screen. */
  readonly questions: readonly string[]
  /** Move the clock of later commands. */
  advanceClock(ms: number): void
}

export async function inProcess(options: InProcessOptions = {}): Promise<InProcess> {
  const { loggedIn = false, env = {}, withApiPath = false, ...serverOptions } = options
  const server = await startAtlasServer(serverOptions)
  const apiUrl = withApiPath ? server.apiRoot : server.url
  const sandbox = createSandbox({
    ATLAS_CREDENTIAL_STORE: 'file',
    ...(!loggedIn && { ATLAS_API_URL: apiUrl }),
    ...env,
  })
  let clockAheadMs = 0
  let questions: readonly string[] = []
  const run: InProcess['run'] = (argv, { env = {}, input = '', ...script } = {}) => {
    const secrets = createSecrets()
    const terminal = scriptTerminal({ ...script, json: argv.includes('--json'), secrets })
    questions = terminal.questions
    return outcomeOf(argv, terminal, {
      env: { ...sandbox.env, ...env },
      platform: process.platform,
      homeFolder: sandbox.home,
      runtimeHome: sandbox.home,
      interactive: terminal.stdinIsTerminal && terminal.stderrIsTerminal,
      uid: process.getuid?.(),
      terminal,
      interrupts: createInterrupts(new EventEmitter()),
      secrets,
      now: () => new Date(Date.now() + clockAheadMs),
      async *readStdin() {
        yield Buffer.from(input)
      },
    })
  }
  const logIn: InProcess['logIn'] = ({ server: other, ...options } = {}) => {
    const env = { ATLAS_API_URL: other?.url ?? apiUrl, ...options.env }
    return run(LOGIN, { input: 'correct horse\n', ...options, env })
  }
  const { home, configFolder, filesHolding } = sandbox
  if (loggedIn) {
    const { status, stderr } = await logIn()
    if (status !== 0) throw new Error(`the login failed: ${stderr}`)
    server.forget()
  }
  return {
    home,
    configFolder,
    filesHolding,
    server,
    claude: claudeFolder(home, undefined),
    run,
    logIn,
    get questions() {
      return questions
    },
    advanceClock(ms) {
      clockAheadMs += ms
    },
    async [Symbol.asyncDispose]() {
      sandbox[Symbol.dispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

async function outcomeOf(argv: readonly string[], terminal: ScriptedTerminal, host: Host): Promise<Outcome> {
  const cli = cac('atlas')
  const homes = [host.homeFolder ?? '']
  let status = 0
  try {
    const run: Context['run'] = async (flags, options) => createRun(host, flags, options)
    await defineProgram(cli, { terminal, homes, run }, argv)
    const request = await readArgv(cli, argv)
    if (request.kind !== 'run') throw new Error(`${argv.join(' ')} runs no command`)
    status = (await request.command.commandAction?.(...request.args, request.flags)) ?? 0
    terminal.flushNotices()
  } catch (error) {
    if (!(error instanceof AtlasError)) throw error
    const { exitStatus, ...said } = report(error)
    terminal.fail(said)
    status = exitStatus
  }
  const { stdout, stderr } = terminal
  return { status, stdout, stderr }
}
