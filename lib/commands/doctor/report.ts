import { EXIT_CODE } from '../../errors.ts'
import type { Terminal } from '../../terminal/output.ts'
import { type Style, styled, wrap } from '../../terminal/style.ts'
import type { Finding } from './finding.ts'

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

const LOOKS: Record<Finding['status'], Style> = { ok: 'green', warn: 'yellow', fail: 'red' }

/** Print the findings, in the order of their checks. @returns the exit status: 1 where a check failed. */
export async function publish(
  findings: ReadonlyMap<string, Finding>,
  homes: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const checks = [...findings].map(([name, finding]) => ({ name, ...shortened(finding, homes) }))
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
