import { EXIT_CODE } from '../../errors.ts'
import type { Terminal } from '../../terminal/output.ts'
import { type Style, styled, wrap } from '../../terminal/style.ts'
import type { Finding } from './finding.ts'

/** The checks in the order of the report. */
export const CHECKS = [
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

export type Findings = Readonly<Record<(typeof CHECKS)[number], Finding>>

/** Narrower than this, lines are left to the terminal to break. */
const MIN_COLUMNS = 30
const STATUS_COLUMNS = 6
const NAME_COLUMNS = Math.max(...CHECKS.map(name => name.length)) + 2

const STYLES: Record<Finding['status'], Style> = { ok: 'green', warn: 'yellow', fail: 'red' }

/**
 * Print the findings, with `~` for the `homes`: a report may be published, and they hold a name.
 * @returns the exit status: 1 where a check failed.
 */
export async function publish(
  findings: Findings,
  homes: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const checks = CHECKS.map(name => ({ name, ...shortened(findings[name], homes) }))
  const failed = checks.filter(({ status }) => status === 'fail').map(({ name }) => name)
  if (terminal.json) {
    const joined = checks.map(check => ({ ...check, detail: check.detail.join('\n') }))
    await terminal.sayJson({ ok: failed.length === 0, checks: joined })
  } else {
    for (const { name, ...finding } of checks) await sayFinding(name, finding, terminal)
    await terminal.say(summary(failed))
  }
  return failed.length === 0 ? 0 : EXIT_CODE.internal
}

async function sayFinding(name: string, { status, detail, fix }: Finding, terminal: Terminal): Promise<void> {
  const margin = STATUS_COLUMNS + NAME_COLUMNS
  const columns = Math.max(MIN_COLUMNS, (terminal.columns ?? Number.POSITIVE_INFINITY) - margin)
  const [first = '', ...lines] = detail.flatMap(text => wrap(text, columns))
  const gap = ' '.repeat(STATUS_COLUMNS - status.length)
  await terminal.say([styled(STYLES[status], status), `${gap}${name.padEnd(NAME_COLUMNS)}${first}`])
  const indent = ' '.repeat(margin)
  for (const line of lines) await terminal.say(indent + line)
  const steps = fix === null ? [] : wrap(`Next: ${fix}`, columns)
  for (const line of steps) await terminal.say([indent, styled('bold', line)])
}

function summary([first, ...others]: readonly string[]): string {
  if (first === undefined) return 'Nothing is broken.'
  const count = others.length === 0 ? 'One thing is' : `${others.length + 1} things are`
  return `${count} broken; begin with ${first}.`
}

function shortened({ status, detail, fix }: Finding, homes: readonly string[]): Finding {
  const folders = homes.filter(home => home.length > 1).map(RegExp.escape)
  const pattern = new RegExp(`(?:${folders.join('|')})(?![\\w.-])`, 'g')
  const shorten = (text: string): string => (folders.length === 0 ? text : text.replace(pattern, '~'))
  return { status, detail: detail.map(shorten), fix: fix && shorten(fix) }
}
