import type { Flags } from '../cli/flags.ts'
import { AtlasError, Cancelled, usageError } from '../errors.ts'
import type { Run } from '../run.ts'
import { fetchHistory, MAX_VERSIONS, rollBack, type Version } from '../sync/history.ts'
import { shortCommit } from '../sync/remote.ts'
import { styled } from '../terminal/style.ts'
import { describeMoment } from '../terminal/time.ts'
import type { Register } from './context.ts'

const PREFIX = /^[0-9a-zA-Z]{7,128}$/

export interface RollbackOptions {
  readonly dryRun: boolean
  /** Do not ask. */
  readonly yes: boolean
}

/**
 * Make an older text the newest one on the server. No local file is changed.
 * @param prefix the beginning of a commit that the history lists: the server itself would take any name of git.
 * @throws {AtlasError} `usage`: none or several begin so; `input_required`; `cancelled`: the person said no.
 */
export async function rollback(prefix: string, { dryRun, yes }: RollbackOptions, run: Run): Promise<void> {
  const { config, credentials, terminal, now } = run
  if (!PREFIX.test(prefix))
    throw usageError(
      `"${prefix.slice(0, 80)}" is not a commit.`,
      'Give at least 7 characters of one that is listed by: atlas history',
    )
  const credential = await credentials.require()
  const apiUrl = config.apiUrl.value
  const { versions } = await terminal.during(`Asking ${apiUrl}`, fetchHistory(MAX_VERSIONS, credential, run))
  const version = findVersion(prefix, versions)
  const moment = version.timestamp ? `, saved ${describeMoment(version.timestamp, now())}` : ''
  const what = `commit ${shortCommit(version.commitSha)}${moment}`
  if (dryRun) {
    if (terminal.json) return terminal.sayJson(resultOf('dry_run', version, null, run))
    return terminal.say(`A dry run: ${apiUrl} would go back to ${what}`)
  }
  if (!yes) await confirm(`Go back to ${what} on ${apiUrl}? (y/N)`, run)
  const after = await terminal.during(`Asking ${apiUrl}`, rollBack(version, credential, run))
  if (terminal.json) return terminal.sayJson(resultOf('rolled_back', version, after.commitSha, run))
  const commit = after.commitSha === null ? '' : `, as commit ${shortCommit(after.commitSha)}`
  await terminal.say([styled('green', `${apiUrl} is back at ${what}${commit}`)])
  terminal.notice('Bring it here with: atlas sync')
}

const resultOf = (result: string, { commitSha }: Version, newCommit: string | null, { config }: Run) => ({
  result,
  profile: config.profile.value,
  api_url: config.apiUrl.value,
  rolled_back_to: commitSha,
  commit_sha: newCommit,
})

function findVersion(prefix: string, versions: readonly Version[]): Version {
  const wanted = prefix.toLowerCase()
  const found = versions.filter(({ commitSha }) => commitSha.toLowerCase().startsWith(wanted))
  const [version, another] = found
  if (version === undefined || (another && another.commitSha !== version.commitSha))
    throw usageError(
      version === undefined
        ? `No version on the server begins with "${prefix}".`
        : `Several versions on the server begin with "${prefix}".`,
      'See: atlas history',
    )
  return version
}

async function confirm(question: string, { config, terminal }: Run): Promise<void> {
  if (!config.mayAsk.value)
    throw new AtlasError('input_required', 'Going back has to be confirmed.', 'Confirm it with --yes.')
  const answer = await terminal.ask(question, () => undefined)
  if (!/^y(es)?$/i.test(answer.trim())) throw new Cancelled()
}

export const registerRollback: Register = (cli, context) =>
  cli
    .command('rollback <commit>', 'Let the server go back to an older text of your configuration')
    .option('-n, --dry-run', 'Say what would be done, and do nothing')
    .option('-y, --yes', 'Do not ask')
    .example('  $ atlas rollback 0123456')
    .example('  $ atlas rollback 0123456 --yes')
    .action(async (commit: string, flags: Flags) => {
      const options = { dryRun: flags.has('dry-run'), yes: flags.has('yes') }
      await rollback(commit, options, await context.run(flags))
    })
