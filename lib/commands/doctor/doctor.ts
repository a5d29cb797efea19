import type { Flags } from '../../cli/flags.ts'
import { AtlasError, recoverable } from '../../errors.ts'
import type { Run, RunOptions } from '../../run.ts'
import type { Register } from '../context.ts'
import { checkConfig } from './config.ts'
import { checkCredentials } from './credentials.ts'
import { failedBy, notChecked } from './finding.ts'
import { checkLock } from './lock.ts'
import { checkProxy } from './proxy.ts'
import { CHECKS, type Findings, publish } from './report.ts'
import { checkServer } from './server.ts'
import { checkStore } from './store.ts'
import { checkSync } from './sync.ts'
import { checkVersion } from './version.ts'

/** What requests, and the wait for a lock, may take. */
const BUDGET_MS = 5_000
/** Enough for a keychain that answers; a locked one is reported, not waited for. */
const MAX_KEYCHAIN_WAIT_MS = 5_000

/** Check everything that a login needs. */
async function check(run: Run): Promise<Findings> {
  const checks = Promise.all([checkServer(run), checkLocally(run)])
  const [server, local] = await run.terminal.during('Checking server and keychain', checks)
  return {
    version: checkVersion(run.env),
    config: await checkConfig(run),
    proxy: checkProxy(run),
    sync: await checkSync(run),
    ...local,
    ...server,
  }
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

/** The findings where the configuration cannot be used, and nothing that depends on it was checked. */
function withoutConfig(error: AtlasError): Findings {
  const unchecked = notChecked('the configuration cannot be used; see config.')
  const all = Object.fromEntries(CHECKS.map(name => [name, unchecked])) as Findings
  return { ...all, version: checkVersion({}), config: failedBy(error) }
}

export const registerDoctor: Register = (cli, context) =>
  cli
    .command('doctor', 'Check configuration, server, keychain and credentials, and say what to fix')
    .example('  $ atlas doctor')
    .example('  $ atlas doctor --json')
    .action(async (flags: Flags) => {
      const options: RunOptions = {
        budgetMs: BUDGET_MS,
        maxKeychainWaitMs: MAX_KEYCHAIN_WAIT_MS,
        worksOffline: true,
        saysWhenSessionEnds: true,
      }
      const run = await context.run(flags, options).catch(recoverable)
      const findings = run instanceof AtlasError ? withoutConfig(run) : await check(run)
      return publish(findings, context.homes, context.terminal)
    })
