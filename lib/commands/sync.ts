import { type Flags, parseDuration } from '../cli/flags.ts'
import { AtlasError } from '../errors.ts'
import type { Run } from '../run.ts'
import { isFresh } from '../sync/freshness.ts'
import type { SyncMemory } from '../sync/memory.ts'
import { findPlace, type Place } from '../sync/place.ts'
import { type Synced, type SyncOptions, sync as syncFile } from '../sync/pull.ts'
import { remoteUnreadable } from '../sync/remote.ts'
import { differInLineEndings, isEdited } from '../sync/verdict.ts'
import { styled } from '../terminal/style.ts'
import type { Register } from './context.ts'
import { diffOf, linesOf, showDiff, showShortDiff, textOf } from './sync-diff.ts'
import { askServer, DIR_FLAG, inCommit, KEEP_ONE, memoryOf, sayReport } from './sync-file.ts'

/**
 * Bring the server's configuration into the local file, unless that would lose local changes.
 * @param dir the folder as typed; undefined where it follows from the environment.
 * @param maxAgeMs how old the last sync may be, so that nothing is asked; undefined to ask always.
 * @throws {AtlasError} `local_changes`: there are some, a part of the diff was shown, nothing was written;
 * `remote_unreadable`: the server has a commit and sent no text;
 * `file_error`, `lock_timeout`, and what a request may throw: the local file is as it was.
 */
export async function sync(
  dir: string | undefined,
  maxAgeMs: number | undefined,
  { force, dryRun }: SyncOptions,
  run: Run,
): Promise<void> {
  const { config, credentials, terminal, lockOf, now } = run
  const place = findPlace(dir, run)
  const memory = memoryOf(place, run)
  if (maxAgeMs !== undefined && !dryRun && isFresh(place, memory.recall(), maxAgeMs, now()))
    return sayFresh(place, memory, run)
  const credential = await credentials.require()
  const fetchConfiguration = () => askServer(credential, run)
  const lock = lockOf(place.target)
  const options = { force, dryRun, notesCheck: maxAgeMs !== undefined }
  const synced = await syncFile(options, { place, memory, lock, fetchConfiguration, now })
  const { result, verdict, local, remote, backup, recovered } = synced
  if (recovered !== null)
    terminal.notice(`An interrupted sync had moved a local text aside; it is kept in ${recovered}`)
  if (result === 'remote_unreadable') throw remoteUnreadable(config.apiUrl.value, remote)
  if (result === 'refused') {
    if (!terminal.json)
      showShortDiff(
        linesOf(await diffOf(place, local, remote, 'pull'), local, remote),
        'atlas sync --dry-run',
        terminal,
      )
    throw localChanges(place, synced)
  }
  const diff = result === 'dry_run' ? await diffOf(place, local, remote, 'pull') : undefined
  if (terminal.json) return sayReport(place, { result, verdict, remote, backup, diff: textOf(diff) }, run)
  if (diff) {
    await showDiff(linesOf(diff, local, remote), terminal)
    return terminal.notice(describeDryRun(place, synced, force))
  }
  if (result === 'written' && (local?.stats.nlink ?? 1) > 1)
    terminal.notice(`${place.file} had another name (a hard link), which keeps the old text.`)
  const said = describe(place, synced, config.apiUrl.value)
  return terminal.say(result === 'remote_empty' ? said : [styled('green', said)])
}

function sayFresh(place: Place, memory: SyncMemory, run: Run): Promise<void> {
  const { commitSha } = memory.recall()
  if (!run.terminal.json)
    return run.terminal.say([styled('green', `Synced a short while ago${inCommit(commitSha)}`)])
  const remote = { commitSha, updatedAt: null }
  return sayReport(place, { result: 'up_to_date', verdict: 'in_sync', remote, backup: null, diff: null }, run)
}

function describe({ file }: Place, { result, local, remote, backup }: Synced, apiUrl: string): string {
  if (result === 'remote_empty') return `${apiUrl} has no configuration for you yet; nothing was changed`
  const commit = inCommit(remote.commitSha)
  if (result === 'up_to_date') return `Already up to date${commit}`
  const kept = backup === null ? '' : `; your text is kept in ${backup}`
  return `${local === undefined ? 'Wrote' : 'Updated'} ${file}${commit}${kept}`
}

function describeDryRun({ file }: Place, { verdict }: Synced, force: boolean): string {
  if (isEdited(verdict) && !force)
    return `A dry run: ${file} has local changes, so "atlas sync" would write nothing; --force would make these changes.`
  const kept = isEdited(verdict) ? ' Your text would be kept as a backup.' : ''
  return `A dry run: ${file} was not written.${kept}`
}

function localChanges({ file }: Place, { verdict, local, remote, state }: Synced): AtlasError {
  let reason = 'has local changes'
  if (verdict === 'diverged') reason += ', and the server’s text has changed too'
  if (state.syncedSha256 === null) reason = 'has not been synced before and differs from the server’s text'
  if (local && differInLineEndings(local.bytes, remote.content))
    reason = 'differs from the server’s text by its line endings only'
  return new AtlasError(
    'local_changes',
    `${file} ${reason}; nothing was written.`,
    verdict === 'diverged'
      ? `See both with: atlas sync --dry-run. ${KEEP_ONE}`
      : 'Send yours to the server with: atlas push. Or overwrite it with "atlas sync --force" (your text is kept as a backup).',
  )
}

export const registerSync: Register = (cli, context) =>
  cli
    .command('sync', 'Bring the configuration that the server keeps for you into CLAUDE.md')
    .option('-n, --dry-run', 'Show what would change, and write nothing')
    .option('-f, --force', 'Overwrite local changes; your text is kept as a dated backup')
    .option('--max-age <duration>', 'Ask the server only if the last sync is as old as this, such as 30m')
    .option(...DIR_FLAG)
    .example('  $ atlas sync')
    .example('  $ atlas sync --dry-run')
    .example('  $ atlas sync --dir ~/work/.claude --json')
    .action(async (flags: Flags) => {
      const options = { force: flags.has('force'), dryRun: flags.has('dry-run') }
      const maxAge = flags.text('max-age')
      const maxAgeMs = maxAge === undefined ? undefined : parseDuration(maxAge, '--max-age')
      await sync(flags.text('dir'), maxAgeMs, options, await context.run(flags))
    })
