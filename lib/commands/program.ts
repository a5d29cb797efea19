import type { CAC } from 'cac'
import { registerApi } from './api.ts'
import { registerStatus } from './auth-status.ts'
import { registerCompletion } from './completion.ts'
import type { Context } from './context.ts'
import { registerDoctor } from './doctor.ts'
import { registerLogin } from './login.ts'
import { registerLogout } from './logout.ts'
import { registerList, registerSwitch } from './profiles.ts'
import { registerRefresh } from './refresh.ts'
import { registerSync } from './sync.ts'
import { registerSyncStatus } from './sync-status.ts'
import { registerToken } from './token.ts'

/** Define every command and flag of atlas. */
export function defineProgram(cli: CAC, context: Context): void {
  registerLogin(cli, context)
  registerStatus(cli, context)
  registerToken(cli, context)
  registerRefresh(cli, context)
  registerList(cli, context)
  registerSwitch(cli, context)
  registerLogout(cli, context)
  registerApi(cli, context)
  registerSync(cli, context)
  registerSyncStatus(cli, context)
  registerDoctor(cli, context)
  registerCompletion(cli, context)
  cli
    .option('--api-url <url>', 'The server (default: where this profile logged in last)')
    .option('--profile <name>', 'The profile, for several accounts or servers')
    .option('--timeout <seconds>', 'The longest wait for an answer (default: 30)')
    .option('--allow-http', 'Allow plain http to other machines')
    .option('--no-input', 'Never ask; fail instead')
    .option('--json', 'Print the result as one JSON object, and errors too')
    .option('--debug', 'Print what is done to standard error, without secrets')
    .option('-h, --help', 'Show this help')
    .option('-V, --version', 'Show the version')
    .example('  $ atlas auth login --api-url https://atlas.example.com')
    .example('  $ atlas auth status')
    .example('  $ atlas api /auth/me')
    .example('  $ atlas sync')
}
