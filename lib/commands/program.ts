import type { CAC } from 'cac'
import { ALL_SETTINGS, flagHelp } from '../config/settings.ts'
import type { Context, Register } from './context.ts'

/** Every command in the order of help, by name, with the module that defines it. */
const COMMANDS: Readonly<Record<string, () => Promise<Register>>> = {
  'auth login': async () => (await import('./auth-login.ts')).registerLogin,
  'auth status': async () => (await import('./auth-status.ts')).registerStatus,
  'auth token': async () => (await import('./auth-token.ts')).registerToken,
  'auth refresh': async () => (await import('./auth-refresh.ts')).registerRefresh,
  'auth list': async () => (await import('./auth-list.ts')).registerList,
  'auth switch': async () => (await import('./auth-switch.ts')).registerSwitch,
  'auth logout': async () => (await import('./auth-logout.ts')).registerLogout,
  exec: async () => (await import('./exec/exec.ts')).registerExec,
  api: async () => (await import('./api/api.ts')).registerApi,
  sync: async () => (await import('./sync.ts')).registerSync,
  push: async () => (await import('./push.ts')).registerPush,
  history: async () => (await import('./history.ts')).registerHistory,
  rollback: async () => (await import('./rollback.ts')).registerRollback,
  status: async () => (await import('./status.ts')).registerSyncStatus,
  doctor: async () => (await import('./doctor/doctor.ts')).registerDoctor,
  completion: async () => (await import('./completion.ts')).registerCompletion,
}

/**
 * Define the commands, and the flags that every command has.
 * @param argv a command line: the command that it begins with is defined alone, since loading and defining the
 * others takes longer than most commands do.
 */
export async function defineProgram(cli: CAC, context: Context, argv: readonly string[] = []): Promise<void> {
  const named = [argv.slice(0, 2).join(' '), argv[0] ?? ''].find(name => Object.hasOwn(COMMANDS, name))
  const loads = named === undefined ? Object.values(COMMANDS) : [COMMANDS[named]]
  const registers = await Promise.all(loads.map(load => load?.()))
  for (const register of registers) register?.(cli, context)
  for (const setting of ALL_SETTINGS)
    if (setting.flag !== undefined && setting.onlyFor === undefined)
      cli.option(setting.flag, flagHelp(setting))
  cli
    .option('--json', 'Print the result as one JSON object, and errors too')
    .option('-h, --help', 'Show this help')
    .option('-V, --version', 'Show the version')
    .example('  $ atlas auth login --api-url https://atlas.example.com')
    .example('  $ atlas auth status')
    .example('  $ atlas api /auth/me')
    .example('  $ atlas sync')
}
