import os from 'node:os'
import { cac } from 'cac'
import { readArgv } from './lib/commands/argv.ts'
import { defineProgram } from './lib/commands/program.ts'
import { report } from './lib/errors.ts'
import { createInterrupts } from './lib/interrupts.ts'
import { safeJson } from './lib/sanitize.ts'
import { createSecrets } from './lib/secrets.ts'
import { createTerminal, OutputClosed, type Terminal } from './lib/terminal.ts'
import { VERSION } from './lib/version.ts'

/** Read the command line, run what it asks for, and say how it ended. @returns the exit status. */
async function main(argv: readonly string[]): Promise<number> {
  const secrets = createSecrets()
  const interrupts = createInterrupts(process)
  const terminal = createTerminal({
    stdoutIsTerminal: process.stdout.isTTY === true,
    stderrIsTerminal: process.stderr.isTTY === true,
    dumb: process.env['TERM'] === 'dumb',
    json: argv.includes('--json'),
    secrets,
  })
  const interrupted = new Promise<never>((_, reject) => {
    interrupts.cancelled.addEventListener('abort', () => reject(interrupts.cancelled.reason), { once: true })
  })
  try {
    return await Promise.race([run(), interrupted])
  } catch (error) {
    terminal.restore()
    return fail(error, terminal)
  }

  async function run(): Promise<number> {
    const cli = cac('atlas')
    defineProgram(cli, {
      terminal,
      async system(flags, options) {
        const [{ createSystem }, { configFlags }] = await Promise.all([
          import('./lib/system.ts'),
          import('./lib/commands/flags.ts'),
        ])
        return createSystem(
          {
            env: process.env,
            platform: process.platform,
            homeFolder: os.homedir(),
            interactive: process.stdin.isTTY === true && process.stderr.isTTY === true,
            stdinIsTerminal: process.stdin.isTTY === true,
            uid: process.getuid?.(),
            accountHomeFolder: os.userInfo().homedir,
            terminal,
            interrupts,
            secrets,
            now: () => new Date(),
            readStdin: () => Bun.stdin.stream(),
          },
          configFlags(flags),
          options,
        )
      },
    })
    const request = await readArgv(cli, argv)
    switch (request.kind) {
      case 'version':
        await terminal.say(`atlas/${VERSION} ${process.platform}-${process.arch}`)
        return 0
      case 'help': {
        const { renderHelp } = await import('./lib/commands/help.ts')
        await terminal.raw(Buffer.from(renderHelp(cli, request.topic, process.stdout.columns ?? 80)))
        return 0
      }
      case 'run': {
        const status: unknown = await request.command.commandAction?.(...request.args, request.flags)
        terminal.flushNotices()
        return typeof status === 'number' ? status : 0
      }
    }
  }
}

function fail(error: unknown, terminal: Terminal): number {
  if (error instanceof OutputClosed) return 0
  const { code, message, hint, exitStatus } = report(error)
  if (terminal.json) terminal.fail([safeJson({ error: { code, message, hint } })])
  else terminal.fail(hint === null ? [`atlas: ${message}`] : [`atlas: ${message}`, `       ${hint}`])
  return exitStatus
}

// An error that escapes would be printed by the runtime with what it holds and a piece of the program.
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, error => {
    const { message, exitStatus } = report(error)
    process.stderr.write(`atlas: ${message}\n`)
    process.exit(exitStatus)
  })
}

process.exit(await main(process.argv.slice(2)))
