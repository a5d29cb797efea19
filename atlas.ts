import { cac } from 'cac'
import { COMPLETE_COMMAND } from './lib/cli/completion/shells.ts'
import type { Context } from './lib/commands/context.ts'
import { report } from './lib/errors.ts'
import { createInterrupts, type Interrupts, ignoredSignals } from './lib/interrupts.ts'
import type { Host } from './lib/run.ts'
import { createTerminal, type Terminal } from './lib/terminal/output.ts'
import { createSecrets, type Secrets } from './lib/terminal/secrets.ts'
import { OutputClosed, readStdin, writeStdoutAtOnce } from './lib/terminal/streams.ts'
import { VERSION } from './lib/version.ts'

/** Ways to ask for the version that need no program defined: scripts ask for nothing more often. */
const VERSION_FLAGS = new Set(['--version', '-V'])

const DELAY_NOTICE = 'Finishing what the session depends on, in at most 5 s. Press Ctrl-C again to stop now.'

const VERSION_LINE = `atlas/${VERSION} ${process.platform}-${process.arch}\n`

/** The longest that a reader is waited for after a signal, in milliseconds. */
const LAST_WORDS_MS = 200

/** What is there before a command line has been read. */
interface Beginning {
  readonly terminal: Terminal
  readonly interrupts: Interrupts
  readonly secrets: Secrets
}

/** Rejects with what ends the run: a signal, or an error that escapes, which the runtime would print with what it holds. */
const stopped = Promise.withResolvers<never>()
for (const event of ['uncaughtException', 'unhandledRejection'] as const) process.on(event, stopped.reject)

/** Read the command line, run what it asks for, and say how it ended. @returns the exit status. */
async function main(argv: readonly string[]): Promise<number> {
  const secrets = createSecrets()
  if (argv.length === 1 && VERSION_FLAGS.has(argv[0] ?? ''))
    return sayVersion().catch(error => statusOf(Promise.reject(error), openTerminal(argv, secrets)))
  const interrupts = createInterrupts(process, {
    ignored: ignoredSignals(processStatus()),
    onDelay: () => {
      if (terminal.stderrIsTerminal) terminal.notice(DELAY_NOTICE)
    },
  })
  const terminal = openTerminal(argv, secrets)
  const { cancelled } = interrupts
  cancelled.addEventListener('abort', () => stopped.reject(cancelled.reason), { once: true })
  return statusOf(dispatch(argv, { terminal, interrupts, secrets }), terminal)
}

/** The exit status of a run, once all that it says is written. A run that was stopped does not wait for its readers. */
async function statusOf(run: Promise<number>, terminal: Terminal): Promise<number> {
  const status = await Promise.race([run, stopped.promise]).catch(error => fail(error, terminal))
  const lastWords = stopped.promise.catch(async error => {
    await Bun.sleep(LAST_WORDS_MS)
    return report(error).exitStatus
  })
  return Promise.race([terminal.flush().then(() => status), lastWords])
}

async function sayVersion(): Promise<number> {
  await writeStdoutAtOnce(VERSION_LINE)
  return 0
}

async function dispatch(
  argv: readonly string[],
  { terminal, interrupts, secrets }: Beginning,
): Promise<number> {
  const { defineProgram } = await import('./lib/commands/program.ts')
  const surroundings = {
    env: process.env,
    platform: process.platform,
    homeFolder: homeFolder(),
    interactive: terminal.stdinIsTerminal && terminal.stderrIsTerminal,
  }
  const runtimeHome = homeInDatabase() ?? surroundings.homeFolder
  const cli = cac('atlas')
  const context: Context = {
    terminal,
    homes: [surroundings.homeFolder, runtimeHome].filter(home => home !== undefined),
    async run(flags, options) {
      const { createRun } = await import('./lib/run.ts')
      const host: Host = {
        ...surroundings,
        uid: process.getuid?.(),
        runtimeHome,
        terminal,
        interrupts,
        secrets,
        now: () => new Date(),
        readStdin,
      }
      return createRun(host, flags, options)
    },
  }
  if (argv[0] === COMPLETE_COMMAND) {
    await defineProgram(cli, context)
    const { complete } = await import('./lib/cli/completion/complete.ts')
    await terminal.raw(complete(cli, argv.slice(1), surroundings))
    return 0
  }
  await defineProgram(cli, context, argv)
  const { readArgv } = await import('./lib/cli/argv.ts')
  const request = await readArgv(cli, argv)
  switch (request.kind) {
    case 'version':
      await terminal.raw(VERSION_LINE)
      return 0
    case 'help': {
      if (terminal.json) {
        const { describeForPrograms } = await import('./lib/cli/help-json.ts')
        await terminal.sayJson(describeForPrograms(cli, request.topic))
        return 0
      }
      const { renderHelp } = await import('./lib/cli/help.ts')
      const { columns = 80, colour } = terminal
      await terminal.raw(renderHelp(cli, request.topic, columns, colour.stdout))
      return 0
    }
    case 'run': {
      const status: unknown = await request.command.commandAction?.(...request.args, request.flags)
      terminal.flushNotices()
      return typeof status === 'number' ? status : 0
    }
  }
}

/** What Linux says of this process, empty elsewhere. */
function processStatus(): string {
  if (process.platform !== 'linux') return ''
  try {
    return process.getBuiltinModule('node:fs').readFileSync('/proc/self/status', 'utf8')
  } catch {
    return ''
  }
}

/** `HOME`, or what the user database says. Loading `node:os` takes half a millisecond. */
function homeFolder(): string | undefined {
  const variable = process.platform === 'win32' ? undefined : process.env['HOME']
  return variable || ifKnown(() => process.getBuiltinModule('node:os').homedir())
}

/** What Windows says, whose variables may say something else. Elsewhere the runtime has no more than `HOME`. */
function homeInDatabase(): string | undefined {
  if (process.platform !== 'win32') return undefined
  return ifKnown(() => process.getBuiltinModule('node:os').userInfo().homedir)
}

/** The user database does not know every user, least in containers, and says so by throwing. */
function ifKnown(ask: () => string): string | undefined {
  try {
    return ask()
  } catch {
    return undefined
  }
}

/** What stands before `--`: the rest may be another program's. */
const ownArguments = (argv: readonly string[]): readonly string[] =>
  argv.slice(0, argv.indexOf('--') < 0 ? argv.length : argv.indexOf('--'))

const openTerminal = (argv: readonly string[], secrets: Secrets): Terminal =>
  createTerminal({ json: ownArguments(argv).includes('--json'), env: process.env, secrets })

function fail(error: unknown, terminal: Terminal): number {
  terminal.restore()
  if (error instanceof OutputClosed) return 0
  const { exitStatus, ...said } = report(error)
  terminal.fail(said)
  return exitStatus
}

process.exit(await main(process.argv.slice(2)))
