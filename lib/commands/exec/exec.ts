import { type Flags, parseDuration } from '../../cli/flags.ts'
import { usageError } from '../../errors.ts'
import type { Run } from '../../run.ts'
import type { Register } from '../context.ts'
import { freshToken, MIN_TTL_FLAG } from '../fresh-token.ts'
import { lastArguments, variableOf } from './bytes.ts'
import { findProgram } from './find-program.ts'
import { inheritedDescriptors, replaceProcess } from './replace-process.ts'
import { startProgram } from './start-program.ts'

const USUAL_NAME = 'ATLAS_ACCESS_TOKEN'
const URL_NAME = 'ATLAS_API_URL'

export interface ExecOptions {
  /** The variable that gets the access token. */
  readonly name: string
  readonly minTtlMs: number | undefined
}

/**
 * Go on as another program that has an access token in its environment. Where the system allows it, nothing of atlas
 * is left then.
 * @returns the program's exit status, where it was a child.
 * @throws {ProgramError} it cannot be run; {AtlasError} as `freshToken` does
 */
export async function exec(
  command: readonly string[],
  { name, minTtlMs }: ExecOptions,
  run: Run,
): Promise<number> {
  const { config, credentials, env, interrupts, platform, terminal } = run
  const descriptors = inheritedDescriptors()
  // A mistyped name is found out before anything is asked of a keychain or a server.
  const words = platform === 'win32' ? undefined : lastArguments(command)
  const file = words && findProgram(words[0] ?? '', variableOf('PATH', env))
  const credential = await freshToken(minTtlMs, run)
  const changes = { [URL_NAME]: await credential.apiRoot(), [name]: credential.accessToken }
  if (config.debug.value && credentials.source === 'env')
    terminal.diagnose(`exec: the token of ${USUAL_NAME} is passed on as it is`)
  terminal.flushNotices()
  await terminal.flush()
  await interrupts.release()
  if (file === undefined) return startProgram(command, { ...env, ...changes })
  return replaceProcess({ file, args: words ?? [], env, changes, descriptors })
}

/** What programs expect something else in; one of them would take the token for a folder or a language. */
const TAKEN = /^(?:PATH|HOME|PWD|SHELL|TERM|TMPDIR|USER|LOGNAME|LANG|LC_.*|LD_.*|DYLD_.*|XDG_.*)$/

function parseName(text: string): string {
  if (TAKEN.test(text))
    throw usageError(
      `--env is "${text}", which programs need for something else.`,
      'Give another name, such as MY_TOKEN.',
    )
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(text) && text !== URL_NAME) return text
  throw usageError(
    `--env is "${text.slice(0, 80)}", which ${text === URL_NAME ? 'holds the address of the API' : 'is not the name of a variable'}.`,
    'Give a name of letters, digits and "_", such as MY_TOKEN.',
  )
}

export const registerExec: Register = (cli, context) =>
  cli
    .command('exec <...command>', 'Run a program that has an access token in its environment')
    .option('-e, --env <name>', `The variable that gets the token (default: ${USUAL_NAME})`)
    .option(...MIN_TTL_FLAG)
    .example('  $ atlas exec -- ./deploy.sh')
    .example('  $ atlas exec --min-ttl 10m -e API_TOKEN -- make publish')
    .example(
      `  $ atlas exec -- sh -c 'echo "Authorization: Bearer $ATLAS_ACCESS_TOKEN" | curl -H @- "$ATLAS_API_URL/auth/me"'`,
    )
    .action(async (command: readonly string[], flags: Flags) => {
      const minTtl = flags.text('min-ttl')
      const minTtlMs = minTtl === undefined ? undefined : parseDuration(minTtl, '--min-ttl')
      const name = parseName(flags.text('env') ?? USUAL_NAME)
      return exec(command, { name, minTtlMs }, await context.run(flags))
    })
