import type { Flags } from '../cli/flags.ts'
import { AtlasError } from '../errors.ts'
import type { Run } from '../run.ts'
import { fetchHistory } from '../sync/history.ts'
import { findPlace } from '../sync/place.ts'
import { type Pushed, type PushOptions, push as pushFile } from '../sync/push.ts'
import { remoteUnreadable, saveConfiguration, shortCommit } from '../sync/remote.ts'
import { isKnown, sha256 } from '../sync/verdict.ts'
import { styled } from '../terminal/style.ts'
import type { Register } from './context.ts'
import { diffOf, linesOf, showDiff, showShortDiff, textOf } from './sync-diff.ts'
import { accountOf, askServer, DIR_FLAG, inCommit, KEEP_ONE, memoryOf, sayReport } from './sync-file.ts'

/**
 * Save the local text on the server, unless that would overwrite a text that was not synced here.
 * @param dir the folder as typed; undefined where it follows from the environment.
 * @param message what the history says of it.
 * @throws {AtlasError} `remote_changes`: there is such a text, a part of the diff was shown; `not_kept`: the server
 * keeps another text than was sent; `remote_unreadable`, `api_error`, `file_error`, and what a request may throw.
 */
export async function push(
  dir: string | undefined,
  message: string | undefined,
  options: PushOptions,
  run: Run,
): Promise<void> {
  const { config, credentials, terminal, lockOf, now } = run
  const place = findPlace(dir, run)
  const credential = await credentials.require()
  const apiUrl = config.apiUrl.value
  const pushed = await pushFile(options, {
    place,
    memory: memoryOf(place, run),
    lock: lockOf(place.target),
    account: await accountOf(run),
    fetchConfiguration: () => askServer(credential, run),
    saveConfiguration: content =>
      terminal.during(`Saving on ${apiUrl}`, saveConfiguration(content, message, credential, run)),
    fetchNewest: async () => (await fetchHistory(2, credential, run)).versions,
    now,
  })
  const { result, verdict, local, remote, backup, overtaken, recovered } = pushed
  if (recovered !== null)
    terminal.notice(`An interrupted sync had moved a local text aside; it is kept in ${recovered}`)
  if (backup !== null) terminal.notice(`The text that was overwritten on the server is kept in ${backup}`)
  if (overtaken !== null)
    terminal.notice(
      `Somebody saved another text on the server meanwhile, and it was overwritten. Go back to it with: atlas rollback ${shortCommit(overtaken)}`,
    )
  if (result === 'remote_unreadable') throw remoteUnreadable(apiUrl, remote)
  const diff =
    result === 'pushed' || result === 'up_to_date' ? undefined : await diffOf(place, local, remote, 'push')
  if (result === 'refused' || result === 'not_kept') {
    if (diff && !terminal.json) showShortDiff(linesOf(diff, local, remote), 'atlas push --dry-run', terminal)
    throw result === 'refused' ? remoteChanges(apiUrl, pushed) : notKept(apiUrl, place.file)
  }
  if (terminal.json) return sayReport(place, { result, verdict, remote, backup, diff: textOf(diff) }, run)
  if (diff) {
    await showDiff(linesOf(diff, local, remote), terminal)
    return terminal.notice(describeDryRun(pushed, options.force))
  }
  const commit = inCommit(remote.commitSha)
  const said =
    result === 'pushed'
      ? `Saved ${place.file} on ${apiUrl}${commit}`
      : `Nothing to send: the server has this text${commit}`
  return terminal.say([styled('green', said)])
}

function describeDryRun({ verdict }: Pushed, force: boolean): string {
  if (verdict === 'local_changed' || verdict === 'remote_empty') return 'A dry run: nothing was sent.'
  return force
    ? 'A dry run: nothing was sent. The text that is on the server would be kept as a backup.'
    : 'A dry run: the server has a text that was not synced here, so "atlas push" would send nothing; --force would make these changes.'
}

function remoteChanges(apiUrl: string, { local, state }: Pushed): AtlasError {
  if (isKnown(sha256(local.bytes), state))
    return new AtlasError(
      'remote_changes',
      `There is nothing to send, and ${apiUrl} has a newer text.`,
      'Take it over with: atlas sync',
    )
  const reason =
    state.syncedSha256 === null ? 'was not synced here before' : 'has changed since the last sync'
  return new AtlasError(
    'remote_changes',
    `The text on ${apiUrl} ${reason}; nothing was sent.`,
    `See both with: atlas push --dry-run. ${KEEP_ONE}`,
  )
}

const notKept = (apiUrl: string, file: string): AtlasError =>
  new AtlasError(
    'not_kept',
    `${apiUrl} does not keep the text that was sent: it has changed it, or somebody saved another one at once. ${file} is as it was.`,
    'See both with: atlas sync --dry-run',
  )

export const registerPush: Register = (cli, context) =>
  cli
    .command('push', 'Save CLAUDE.md as the configuration that the server keeps for you')
    .option('-n, --dry-run', 'Show what would change on the server, and send nothing')
    .option('-f, --force', 'Overwrite a text that was not synced here; it is kept as a dated backup')
    .option('-m, --message <text>', 'What the history is to say of it')
    .option(...DIR_FLAG)
    .example('  $ atlas push')
    .example('  $ atlas push --dry-run')
    .example('  $ atlas push -m "Prefer small commits"')
    .action(async (flags: Flags) => {
      const options = { force: flags.has('force'), dryRun: flags.has('dry-run') }
      await push(flags.text('dir'), flags.text('message'), options, await context.run(flags))
    })
