import type { CAC, Command } from 'cac'
import { AtlasError, EXIT_CODE } from '../errors.ts'
import type { System } from '../system.ts'
import { VERSION } from '../version.ts'
import type { Context } from './context.ts'
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
  failedBy,
} from './doctor-checks.ts'
import { checkSync } from './doctor-sync.ts'
import type { Flags } from './flags.ts'

type Finding = Omit<Check, 'name'>
type Terminal = System['terminal']

/** Check everything that a login needs. @returns the exit status: 1 where a check failed. */
export async function doctor(system: System): Promise<number> {
  const { config, env, terminal } = system
  const serverChecks = checkServer(system)
  const storeFinding = await checkStore(system).catch(failedBy)
  const unusable = storeFinding.status === 'fail'
  const findings: Record<CheckName, Finding> = {
    version: checkVersion(),
    config: checkConfig(config),
    store: storeFinding,
    credentials: unusable
      ? { status: 'warn', detail: 'Not checked: the store cannot be used; see store.', fix: null }
      : await checkCredentials(system).catch(failedBy),
    lock: await checkLock(system).catch(failedBy),
    proxy: checkProxy(config, env),
    sync: checkSync(system),
    ...(await serverChecks),
  }
  return publish(
    CHECK_NAMES.map(name => ({ name, ...shortened(findings[name], system.homeFolder) })),
    terminal,
  )
}

const checkVersion = (): Finding => ({
  status: 'ok',
  detail: `atlas ${VERSION} on ${process.platform}-${process.arch}`,
  fix: null,
})

/** The report where configuration itself cannot be used: nothing that depends on it was checked. */
export function doctorWithoutConfig(error: AtlasError, terminal: Terminal): Promise<number> {
  const unchecked: Finding = {
    status: 'warn',
    detail: 'Not checked: the configuration cannot be used.',
    fix: null,
  }
  const findings: Partial<Record<CheckName, Finding>> = { version: checkVersion(), config: failedBy(error) }
  return publish(
    CHECK_NAMES.map(name => ({ name, ...(findings[name] ?? unchecked) })),
    terminal,
  )
}

const shortened = ({ status, detail, fix }: Finding, homeFolder: string): Finding => ({
  status,
  detail: homeFolder.length > 1 ? detail.replaceAll(homeFolder, '~') : detail,
  fix: homeFolder.length > 1 && fix !== null ? fix.replaceAll(homeFolder, '~') : fix,
})

async function publish(checks: readonly Check[], terminal: Terminal): Promise<number> {
  const failed = checks.filter(({ status }) => status === 'fail')
  const exitStatus = failed.length === 0 ? 0 : EXIT_CODE.internal
  if (terminal.json) {
    await terminal.sayJson({ ok: failed.length === 0, checks })
    return exitStatus
  }
  const width = Math.max(...checks.map(({ name }) => name.length)) + 2
  const indent = ' '.repeat(6 + width)
  for (const { name, status, detail, fix } of checks) {
    const [first = '', ...more] = detail.split('; ')
    await terminal.say(`${status.padEnd(6)}${name.padEnd(width)}${first}`)
    for (const line of more) await terminal.say(indent + line)
    if (fix !== null) await terminal.say(`${indent}${status === 'fail' ? 'To mend it' : 'To do'}: ${fix}`)
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
        system = await context.system(flags)
      } catch (error) {
        if (error instanceof AtlasError) return doctorWithoutConfig(error, context.terminal)
        throw error
      }
      return doctor(system)
    })
