import type { CAC, Command } from 'cac'
import type { Flags } from '../../cli/flags.ts'
import type { Environment } from '../../config/load.ts'
import { AtlasError, EXIT_CODE } from '../../errors.ts'
import type { System } from '../../run.ts'
import { loadersIn } from '../../runtime-variables.ts'
import { type Style, styled, wrap } from '../../terminal/style.ts'
import { VERSION } from '../../version.ts'
import type { Context } from '../context.ts'
import {
  CHECK_NAMES,
  type Check,
  type CheckName,
  checkConfig,
  checkCredentials,
  checkLock,
  checkProxy,
  checkServer,
  checkStore,
  type Finding,
  failedBy,
  notChecked,
  ok,
  warn,
} from './checks.ts'
import { checkSync } from './sync.ts'

/** What requests, and the wait for a lock, may take, in milliseconds. */
const BUDGET_MS = 5_000
/** Enough for a keychain that answers; a person who must unlock it first is told so. */
const KEYCHAIN_WAIT_MS = 5_000

type Terminal = System['terminal']

/** Check everything that a login needs. @returns the exit status: 1 where a check failed. */
export async function doctor(system: System): Promise<number> {
  const { config, env, terminal, homeFolder, accountHomeFolder } = system
  const [server, local] = await terminal.during(
    'Checking server and keychain',
    Promise.all([checkServer(system), checkLocally(system)]),
  )
  const findings: Record<CheckName, Finding> = {
    version: checkVersion(env),
    config: checkConfig(config),
    proxy: checkProxy(config, env),
    sync: checkSync(system),
    ...local,
    ...server,
  }
  const homes = [homeFolder, accountHomeFolder].filter(home => home !== undefined)
  return publish(
    CHECK_NAMES.map(name => ({ name, ...shortened(findings[name], homes) })),
    terminal,
  )
}

/** The lock first: the store is tried while holding it, and the store before what is in it. */
async function checkLocally(system: System): Promise<Record<'lock' | 'store' | 'credentials', Finding>> {
  const lock = await checkLock(system).catch(failedBy)
  const store =
    lock.status === 'fail'
      ? notChecked('without the lock nothing is written; see lock.')
      : await checkStore(system).catch(failedBy)
  const credentials =
    store.status !== 'ok' && system.fixedToken === undefined
      ? notChecked('the store cannot be used; see store.')
      : await checkCredentials(system).catch(failedBy)
  return { lock, store, credentials }
}

function checkVersion(env: Environment): Finding {
  const said = `atlas ${VERSION} on ${process.platform}-${process.arch}`
  const loaders = loadersIn(env).join(' and ')
  return loaders === ''
    ? ok(said)
    : warn(
        `${said}; ${loaders} can load other code into it, which could read credentials.`,
        'Unset what you did not set yourself.',
      )
}

/** The report where configuration itself cannot be used: nothing that depends on it was checked. */
export function doctorWithoutConfig(
  error: AtlasError,
  homes: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const unchecked = notChecked('the configuration cannot be used; see config.')
  const findings: Partial<Record<CheckName, Finding>> = {
    version: checkVersion({}),
    config: failedBy(error),
  }
  return publish(
    CHECK_NAMES.map(name => ({ name, ...shortened(findings[name] ?? unchecked, homes) })),
    terminal,
  )
}

/** A report may be published: home folders, which hold a name, are written as `~`. */
function shortened({ status, detail, more, fix }: Finding, homes: readonly string[]): Finding {
  const shorten = (text: string): string =>
    homes
      .filter(home => home.length > 1)
      .reduce(
        (shorter, home) => shorter.replace(new RegExp(`${RegExp.escape(home)}(?![\\w.-])`, 'g'), '~'),
        text,
      )
  return { status, detail: shorten(detail), more: more.map(shorten), fix: fix && shorten(fix) }
}

/** Narrower than this, lines are left to the terminal to break. */
const MIN_ROOM = 30

const LOOKS: Record<Check['status'], Style> = { ok: 'green', warn: 'yellow', fail: 'red' }

async function publish(checks: readonly Check[], terminal: Terminal): Promise<number> {
  const failed = checks.filter(({ status }) => status === 'fail')
  const exitStatus = failed.length === 0 ? 0 : EXIT_CODE.internal
  if (terminal.json) {
    await terminal.sayJson({
      ok: failed.length === 0,
      checks: checks.map(({ name, status, detail, more, fix }) => ({
        name,
        status,
        detail: [detail, ...more].join('\n'),
        fix,
      })),
    })
    return exitStatus
  }
  const margin = 6 + Math.max(...checks.map(({ name }) => name.length)) + 2
  const indent = ' '.repeat(margin)
  const room = Math.max(MIN_ROOM, (terminal.columns ?? Number.POSITIVE_INFINITY) - margin)
  for (const { name, status, detail, more, fix } of checks) {
    const [first = '', ...lines] = [detail, ...more].flatMap(text => wrap(text, room))
    await terminal.say([
      styled(LOOKS[status], status),
      `${' '.repeat(6 - status.length)}${name.padEnd(margin - 6)}${first}`,
    ])
    for (const line of lines) await terminal.say(indent + line)
    if (fix === null) continue
    const [step = '', ...steps] = wrap(`Next: ${fix}`, room)
    await terminal.say([indent, styled('bold', step)])
    for (const line of steps) await terminal.say([indent, styled('bold', line)])
  }
  const [first] = failed
  await terminal.say(
    first === undefined
      ? 'Nothing is broken.'
      : `${failed.length === 1 ? 'One thing is' : `${failed.length} things are`} broken; begin with ${first.name}.`,
  )
  return exitStatus
}

export const registerDoctor = (cli: CAC, context: Context): Command =>
  cli
    .command('doctor', 'Check configuration, server, keychain and credentials, and say what to mend')
    .example('  $ atlas doctor')
    .example('  $ atlas doctor --json')
    .action(async (flags: Flags) => {
      let system: System
      try {
        const options = { budgetMs: BUDGET_MS, keychainWaitMs: KEYCHAIN_WAIT_MS, worksOffline: true }
        system = await context.system(flags, options)
      } catch (error) {
        if (error instanceof AtlasError) return doctorWithoutConfig(error, context.homes, context.terminal)
        throw error
      }
      return doctor(system)
    })
