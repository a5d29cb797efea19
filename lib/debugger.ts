import type { Environment } from './config/load.ts'
import { usageError } from './errors.ts'

const DEBUGGER = ['BUN_INSPECT', 'BUN_INSPECT_CONNECT_TO', 'BUN_INSPECT_NOTIFY']

/** Variables that load other code before atlas itself runs, so atlas can only report them. */
const LOADERS = ['BUN_OPTIONS', 'BUN_INSPECT_PRELOAD', 'LD_PRELOAD', 'DYLD_INSERT_LIBRARIES']

/** Refuse to run with a debugger, to which any user of the machine may connect. @throws {AtlasError} `usage` */
export function refuseDebugger(env: Environment): void {
  const variable =
    DEBUGGER.find(name => env[name]) ??
    (/--inspect/.test(env['BUN_OPTIONS'] ?? '') ? 'BUN_OPTIONS' : undefined)
  if (variable === undefined) return
  throw usageError(
    `${variable} opens atlas to a debugger, which could read its credentials.`,
    `Unset it, as in: env -u ${variable} atlas …`,
  )
}

/** The variables in force that may have loaded other code into atlas. */
export const loadersIn = (env: Environment): string[] => LOADERS.filter(name => env[name])
