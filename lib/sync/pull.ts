import { AtlasError } from '../errors.ts'
import type { Lock } from '../files/lock.ts'
import { settleDisplaced } from './backups.ts'
import { noteCheck } from './freshness.ts'
import { type LocalFile, readLocal, replaceLocal } from './local-file.ts'
import { NEVER_SYNCED, rememberSynced, type SyncMemory, type SyncState } from './memory.ts'
import type { Place } from './place.ts'
import type { Configuration } from './remote.ts'
import { isEdited, isKnown, judge, sha256, type Verdict } from './verdict.ts'

/** How often a file that is being edited is looked at before atlas gives up. */
const MAX_ATTEMPTS = 3

export interface SyncOptions {
  /** Overwrite local changes, and keep them as a backup. */
  readonly force: boolean
  readonly dryRun: boolean
}

export interface SyncDependencies {
  readonly place: Place
  readonly memory: SyncMemory
  /** Held by whoever writes to the place's target. */
  readonly lock: Lock
  /** Whose text it is; null where that is not known. */
  readonly account: string | null
  readonly fetchConfiguration: () => Promise<Configuration>
  readonly now: () => Date
}

interface Comparison {
  readonly verdict: Verdict
  /** Undefined where there is no file. */
  readonly local: LocalFile | undefined
  readonly remote: Configuration
  readonly state: SyncState
}

/** How a sync ended, and the comparison that it acted on. */
export interface Synced extends Comparison {
  /** `refused`: there are local changes; `dry_run`: something would be written or refused. */
  readonly result: 'up_to_date' | 'written' | 'remote_empty' | 'remote_unreadable' | 'refused' | 'dry_run'
  /** Where the overwritten local text is; null where it came from the server. */
  readonly backup: string | null
  /** Where a local text is that an earlier sync, killed in the act, had left behind. */
  readonly recovered: string | null
}

/**
 * Bring the server's text into the local file where no local text is lost by it.
 * @throws {AtlasError} `file_error`, `lock_timeout`, and what fetching may throw; the file is as it was then.
 */
export async function sync({ force, dryRun }: SyncOptions, dependencies: SyncDependencies): Promise<Synced> {
  const { place, memory, lock, account, fetchConfiguration, now } = dependencies
  if (dryRun) {
    const comparison = compare(place, memory, await fetchConfiguration())
    return { ...comparison, result: resting(comparison) ?? 'dry_run', backup: null, recovered: null }
  }
  // Held while fetching too: an older answer must not be written after a newer one.
  return lock.hold(async () => {
    const recovered = settleDisplaced(place.target, memory.recall(), now()) ?? null
    const remote = await fetchConfiguration()
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const comparison = compare(place, memory, remote)
      const { verdict } = comparison
      const ended = { ...comparison, backup: null, recovered }
      // The text may be here by a first sync, by one that was killed at its end, or by hand.
      if (verdict === 'in_sync') rememberSynced(memory, remote, now)
      const result = resting(comparison)
      if (result === 'up_to_date') noteCheck(place, memory, account, now())
      if (result !== undefined) return { ...ended, result }
      if (isEdited(verdict) && !force) return { ...ended, result: 'refused' }
      const written = write(comparison, dependencies)
      if (written === undefined) continue
      noteCheck(place, memory, account, now())
      return { ...ended, result: 'written', ...written }
    }
    throw new AtlasError(
      'file_error',
      `${place.file} cannot be used: it is being changed again and again.`,
      'Close the program that writes to it.',
    )
  })
}

function compare(place: Place, memory: SyncMemory, remote: Configuration): Comparison {
  const state = memory.recall()
  const local = readLocal(place.target)
  return { verdict: judge(local?.bytes, remote, state), local, remote, state }
}

/** The result where there is nothing to write or to refuse. */
function resting({ verdict }: Comparison): Synced['result'] | undefined {
  if (verdict === 'in_sync') return 'up_to_date'
  return verdict === 'remote_empty' || verdict === 'remote_unreadable' ? verdict : undefined
}

/** @returns undefined where the file is no longer as it was compared; nothing was written then. */
function write(
  { local, remote, state }: Comparison,
  { place, memory, now }: SyncDependencies,
): { backup: string | null } | undefined {
  const syncedSha256 = sha256(remote.content)
  // Announced first: after a crash behind the replacement the new text would pass for a local edit. What
  // is replaced stays known too, be it the pending text of a sync that had crashed there.
  const replacedSha256 = local && sha256(local.bytes)
  const known = replacedSha256 && isKnown(replacedSha256, state) ? replacedSha256 : state.syncedSha256
  const begun = { ...state, syncedSha256: known, pendingSha256: syncedSha256 }
  memory.remember(begun)
  if (!replaceLocal(place.target, remote.content, local)) {
    memory.remember(state)
    return undefined
  }
  const backup = settleDisplaced(place.target, begun, now()) ?? null
  memory.remember({ ...NEVER_SYNCED, syncedSha256, commitSha: remote.commitSha, syncedAt: now() })
  return { backup }
}
