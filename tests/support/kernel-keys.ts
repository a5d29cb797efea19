import { test } from 'bun:test'

const hasTool = Bun.which('keyctl') !== null
/** Containers are often forbidden to use the kernel's key store at all. */
const forbidden = hasTool && Bun.spawnSync(['keyctl', 'session', '-', 'true']).exitCode !== 0

/** A test that needs the kernel's key store: skipped without `keyctl`, but failing there in CI. */
export const kernelStoreTest: typeof test =
  !forbidden && (hasTool || process.env['CI'] === 'true') ? test : (test.skip as typeof test)

/** A command that runs a shell script below a session key ring of its own; there, `atlas` is the program. */
export const inKeySession = (script: string): string[] => [
  ...['keyctl', 'session', '-', 'sh', '-c'],
  `exec 2>&1; atlas() { "$ATLAS_BINARY" "$@"; }\n${script}`,
]

/** What the script printed, in lines. */
export const linesOf = (stdout: string): string[] =>
  stdout
    .replace(/^Joined session keyring: \d+\n/gm, '')
    .trimEnd()
    .split('\n')
