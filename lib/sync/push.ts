import { AtlasError, recoverable } from '../errors.ts'
import type { Lock } from '../files/lock.ts'
import { backUpRemote, dropOldBackups, settleDisplaced } from './backups.ts'
import { noteCheck } from './freshness.ts'
import type { Version } from './history.ts'
import { type LocalFile, readLocal } from './local-file.ts'
import { rememberSynced, type SyncMemory, type SyncState } from './memory.ts'
import type { Place } from './place.ts'
import type { Configuration } from './remote.ts'
import { judge, sameBytes, sha256, unfitToSend, type Verdict } from './verdict.ts'

export interface PushOptions {
  /** Overwrite a text of the server that was not synced here, and keep it as a backup. */
  readonly force: boolean
  readonly dryRun: boolean
}

export interface PushDependencies {
  readonly place: Place
  readonly memory: SyncMemory
  /** Held by whoever writes to the place's target. */
  readonly lock: Lock
  /** Whose text it is; null where that is not known. */
  readonly account: string | null
  readonly fetchConfiguration: () => Promise<Configuration>
  readonly saveConfiguration: (content: Uint8Array) => Promise<void>
  /** The newest two versions that the server lists. */
  readonly fetchNewest: () => Promise<readonly Version[]>
  readonly now: () => Date
}

/** How a push ended, and what it acted on. */
export interface Pushed {
  /** `refused`: the server's text is not the one last synced; `not_kept`: it keeps another one than was sent. */
  readonly result: 'up_to_date' | 'pushed' | 'remote_unreadable' | 'refused' | 'not_kept' | 'dry_run'
  readonly verdict: Verdict
  readonly local: LocalFile
  /** The server's text: as it was found; after a push as it was read back. */
  readonly remote: Configuration
  readonly state: SyncState
  /** Where the text is that was overwritten on the server; null where that was synced here. */
  readonly backup: string | null
  /** The commit of a text that somebody has saved on the server meanwhile, and that was overwritten; null for none. */
  readonly overtaken: string | null
  /** Where a local text is that an earlier sync, killed in the act, had left behind. */
  readonly recovered: string | null
}

/**
 * Save the local text on the server, where that overwrites no text that was not synced here. The server compares
 * nothing: a text that somebody saves between this reading and writing is overwritten.
 * @throws {AtlasError} `file_error`, `lock_timeout`, and what the requests may throw; no local text is changed.
 */
export function push({ force, dryRun }: PushOptions, dependencies: PushDependencies): Promise<Pushed> {
  const { place, memory, lock, account, fetchConfiguration, saveConfiguration, now } = dependencies
  return lock.hold(async () => {
    // A dry run moves nothing, and leaves that to the next run.
    const recovered = dryRun ? null : (settleDisplaced(place.target, memory.recall(), now()) ?? null)
    const local = requireText(place)
    const remote = await fetchConfiguration()
    const state = memory.recall()
    const verdict = judge(local.bytes, remote, state)
    const ended = { verdict, local, remote, state, backup: null, overtaken: null, recovered }
    if (verdict === 'remote_unreadable') return { ...ended, result: verdict }
    if (verdict === 'in_sync') {
      if (!dryRun) {
        rememberSynced(memory, remote, now)
        noteCheck(place, memory, account, now())
      }
      return { ...ended, result: 'up_to_date' }
    }
    const isOwn = verdict === 'local_changed' || verdict === 'remote_empty'
    if (dryRun) return { ...ended, result: 'dry_run' }
    if (!isOwn && !force) return { ...ended, result: 'refused' }
    const backup = isOwn ? null : backUpRemote(place.target, remote.content, now())
    // Announced first: where nobody is left to hear the answer, the server's new text would pass for somebody else's.
    memory.remember({ ...state, sentSha256: sha256(local.bytes) })
    await saveConfiguration(local.bytes)
    if (backup !== null) dropOldBackups(place.target)
    const kept = await fetchConfiguration()
    if (!sameBytes(kept.content, local.bytes)) return { ...ended, remote: kept, backup, result: 'not_kept' }
    rememberSynced(memory, kept, now)
    noteCheck(place, memory, account, now())
    const overtaken = await overtakenBy(kept, remote, dependencies)
    return { ...ended, remote: kept, backup, overtaken, result: 'pushed' }
  })
}

/** By the history, which tells what was saved between reading and writing; a server without one tells nothing. */
async function overtakenBy(
  { commitSha: saved }: Configuration,
  { commitSha: found }: Configuration,
  { fetchNewest }: PushDependencies,
): Promise<string | null> {
  const [newest, before] = await fetchNewest().catch(error => {
    recoverable(error)
    return []
  })
  const isOvertaken = newest?.commitSha === saved && before !== undefined && before.commitSha !== found
  return isOvertaken ? before.commitSha : null
}

/** @throws {AtlasError} `file_error`: there is no text that the server could keep. */
function requireText({ file, target }: Place): LocalFile {
  const local = readLocal(target)
  const refuse = (reason: string, hint: string): AtlasError =>
    new AtlasError('file_error', `${file} cannot be pushed: ${reason}.`, hint)
  if (local === undefined) throw refuse('it does not exist', 'Get the server’s text with: atlas sync')
  const fault = unfitToSend(local.bytes)
  if (fault !== undefined) throw refuse(fault.reason, fault.hint)
  return local
}
