import type { Flags } from '../../cli/flags.ts'
import { AtlasError } from '../../errors.ts'
import type { Run } from '../../run.ts'
import type { Terminal } from '../../terminal/output.ts'
import type { Register } from '../context.ts'
import { checkConfig } from './config.ts'
import { checkCredentials } from './credentials.ts'
import { type Finding, failedBy, notChecked } from './finding.ts'
import { checkLock } from './lock.ts'
import { checkProxy } from './proxy.ts'
import { publish } from './report.ts'
import { checkServer } from './server.ts'
import { checkStore } from './store.ts'
import { checkSync } from './sync.ts'
import { checkVersion } from './version.ts'

/** What requests, and the wait for a lock, may take, in milliseconds. */
const BUDGET_MS = 5_000
/** Enough for a keychain that answers; a person who must unlock it first is told so. */
const KEYCHAIN_WAIT_MS = 5_000

/** The checks in the order of the report. */
const NAMES = [
  'version',
  'config',
  'server',
  'tls',
  'clock',
  'store',
  'credentials',
  'lock',
  'proxy',
  'sync',
] as const

type Findings = Record<(typeof NAMES)[number], Finding>

const inOrder = (findings: Findings): Map<string, Finding> =>
  new Map(NAMES.map(name => [name, findings[name]]))

/** Check everything that a login needs. @returns the exit status: 1 where a check failed. */
export async function doctor(run: Run): Promise<number> {
  const { config, env, terminal, homeFolder, accountHomeFolder } = run
  const [server, local] = await terminal.during(
    'Checking server and keychain',
    Promise.all([checkServer(run), checkLocally(run)]),
  )
  const findings: Findings = {
    version: checkVersion(env),
    config: checkConfig(config),
    proxy: checkProxy(config, env),
    sync: checkSync(run),
    ...local,
    ...server,
  }
  const homes = [homeFolder, accountHomeFolder].filter(home => home !== undefined)
  return publish(inOrder(findings), homes, terminal)
}

/** The lock first: the store is tried while holding it, and the store before what is in it. */
async function checkLocally(run: Run): Promise<Pick<Findings, 'lock' | 'store' | 'credentials'>> {
  const lock = await checkLock(run).catch(failedBy)
  const store =
    lock.status === 'fail'
      ? notChecked('without the lock nothing is written; see lock.')
      : await checkStore(run).catch(failedBy)
  const credentials =
    store.status !== 'ok' && run.credentials.source !== 'env'
      ? notChecked('the store cannot be used; see store.')
      : await checkCredentials(run).catch(failedBy)
  return { lock, store, credentials }
}

/** The report where the configuration cannot be used: nothing that depends on it was checked. */
function withoutConfig(error: AtlasError, homes: readonly string[], terminal: Terminal): Promise<number> {
  const unchecked = notChecked('the configuration cannot be used; see config.')
  const findings = new Map<string, Finding>(NAMES.map(name => [name, unchecked]))
  findings.set('version', checkVersion({})).set('config', failedBy(error))
  return publish(findings, homes, terminal)
}

export const registerDoctor: Register = (cli, context) =>
  cli
    .command('doctor', 'Check configuration, server, keychain and credentials, and say what to fix')
    .example('  $ atlas doctor')
    .example('  $ atlas doctor --json')
    .action(async (flags: Flags) => {
      let run: Run
      try {
        const options = { budgetMs: BUDGET_MS, keychainWaitMs: KEYCHAIN_WAIT_MS, worksOffline: true }
        run = await context.run(flags, options)
      } catch (error) {
        if (error instanceof AtlasError) return withoutConfig(error, context.homes, context.terminal)
        throw error
      }
      return doctor(run)
    })
