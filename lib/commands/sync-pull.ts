import { AtlasError } from '../errors.ts'
import type { Run } from '../run.ts'
import type { SyncMemory } from '../sync/memory.ts'
import type { Place } from '../sync/place.ts'
import { type Synced, type SyncOptions, sync } from '../sync/pull.ts'
import { remoteUnreadable } from '../sync/remote.ts'
import { differInLineEndings, isEdited } from '../sync/verdict.ts'
import { styled } from '../terminal/style.ts'
import { diffOf, linesOf, showDiff, showShortDiff, textOf } from './sync-diff.ts'
import { askServer, inCommit, KEEP_ONE, onlySyncHelps, sayReport } from './sync-file.ts'

/**
 * Bring the server's configuration into the local file, unless that would lose local changes, and say how it ended.
 * @throws {AtlasError} `local_changes`: there are some, a part of the diff was shown, nothing was written;
 * `remote_unreadable`: the server has a commit and sent no text;
 * `file_error`, `lock_timeout`, and what a request may throw: the local file is as it was.
 */
export async function pull(
  place: Place,
  memory: SyncMemory,
  account: string | null,
  options: SyncOptions,
  run: Run,
): Promise<void> {
  const { config, credentials, terminal, lockOf, now } = run
  const credential = await credentials.require()
  const fetchConfiguration = () => askServer(credential, run)
  const lock = lockOf(place.target)
  const synced = await sync(options, { place, memory, lock, account, fetchConfiguration, now })
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
    return terminal.notice(describeDryRun(place, synced, options.force))
  }
  if (result === 'written' && (local?.stats.nlink ?? 1) > 1)
    terminal.notice(`${place.file} had another name (a hard link), which keeps the old text.`)
  const said = describe(place, synced, config.apiUrl.value)
  return terminal.say(result === 'remote_empty' ? said : [styled('green', said)])
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
    onlySyncHelps(local?.bytes) ??
      (verdict === 'diverged'
        ? `See both with: atlas sync --dry-run. ${KEEP_ONE}`
        : 'Send yours to the server with: atlas push. Or overwrite it with "atlas sync --force" (your text is kept as a backup).'),
  )
}
