import { test } from 'bun:test'
import { SECRET_SERVICE_TOOLS } from './secret-service.ts'

/** CI is to have everything: there, a test fails for want of a tool instead of being skipped. */
const inCi = process.env['CI'] === 'true'

/** Whether this is `npm run test:full`, which sets the variable by `tests/full.env`. */
const isFullRun = process.env['ATLAS_TESTS'] === 'full'

/** How often, or what, to try: briefly in `npm test`, all that is promised in `npm run test:full`. */
export const forRun = <T>({ short, full }: { short: T; full: T }): T => (isFullRun ? full : short)

const missing = new Set<string>()

/** A test that needs something of the machine. Without it, it is skipped, and that is said once. */
export function testWith(need: string, isThere: boolean): typeof test {
  if (isThere || inCi) return test
  if (!missing.has(need)) process.stderr.write(`Skipping the tests that need ${need}.\n`)
  missing.add(need)
  return test.skip as typeof test
}

/** A test that runs other programs, named as the shell finds them. */
export const testWithTools = (...tools: readonly string[]): typeof test =>
  testWith(
    tools.join(', '),
    tools.every(tool => Bun.which(tool) !== null),
  )

/** A test that needs a real Secret Service. */
export const secretServiceTest = testWithTools(...SECRET_SERVICE_TOOLS)

/** Containers may have strace and forbid it to trace. */
export const traceTest = testWith(
  'strace, and the right to trace',
  Bun.which('strace') !== null && Bun.spawnSync(['strace', '-o', '/dev/null', 'true']).exitCode === 0,
)

/** A test in which a second user takes part. */
export const twoUsersTest = testWith('root, to act as two users', process.getuid?.() === 0)

/** A test of what Windows does not have. */
export const posixTest: typeof test = process.platform === 'win32' ? (test.skip as typeof test) : test
