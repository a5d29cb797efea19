import type { Flags } from '../cli/flags.ts'
import { type AtlasError, recoverable } from '../errors.ts'
import type { Run } from '../run.ts'
import type { Credential } from '../session/credentials.ts'
import { type LocalFile, readLocal } from '../sync/local-file.ts'
import { NEVER_SYNCED, type SyncState } from '../sync/memory.ts'
import { findPlace, type Place } from '../sync/place.ts'
import { type Configuration, remoteUnreadable, shortCommit } from '../sync/remote.ts'
import { differInLineEndings, isEdited, isKnown, judge, sha256, type Verdict } from '../sync/verdict.ts'
import type { Row } from '../terminal/output.ts'
import { describeMoment } from '../terminal/time.ts'
import type { Register } from './context.ts'
import { askServer, DIR_FLAG, KEEP_ONE, memoryOf, onlySyncHelps } from './sync-file.ts'

/** The longest wait for the server. */
const BUDGET_MS = 10_000

interface Findings {
  readonly place: Place
  readonly credential: Credential | undefined
  readonly remote: Configuration | undefined
  readonly local: LocalFile | undefined
  readonly state: SyncState
  readonly verdict: Verdict | 'unknown'
  /** The first thing that could not be found out. */
  readonly fault: AtlasError | undefined
}

/**
 * Report how the local file compares with the server's text, as far as that can be found out.
 * @param dir the folder as typed; undefined where it follows from the environment.
 * @returns the exit status: 0, or that of what could not be found out; the verdict is `unknown` then.
 */
export async function syncStatus(dir: string | undefined, run: Run): Promise<number> {
  const place = findPlace(dir, run)
  const faults: AtlasError[] = []
  const note = (error: unknown): undefined => {
    faults.push(recoverable(error))
  }
  const credential = await run.credentials.require().catch(note)
  const remote = credential && (await askServer(credential, run).catch(note))
  const state = (await Promise.try(() => memoryOf(place, run).recall()).catch(note)) ?? NEVER_SYNCED
  const local = await Promise.try(() => readLocal(place.target)).catch(note)
  const verdict = remote && faults.length === 0 ? judge(local?.bytes, remote, state) : 'unknown'
  if (remote && verdict === 'remote_unreadable') note(remoteUnreadable(run.config.apiUrl.value, remote))
  const [fault] = faults
  await print({ place, credential, remote, local, state, verdict, fault }, run)
  return fault?.exitStatus ?? 0
}

async function print(findings: Findings, run: Run): Promise<void> {
  const { terminal } = run
  if (terminal.json) return terminal.sayJson(toJson(findings, run))
  await terminal.sayRows(describe(findings, run))
  const { fault, verdict, local } = findings
  const instead = verdict !== 'unknown' && isEdited(verdict) ? onlySyncHelps(local?.bytes) : undefined
  const next = fault?.hint ?? instead ?? NEXT[verdict]
  if (next !== undefined) terminal.notice(next)
}

const toJson = ({ place, credential, remote, local, state, verdict, fault }: Findings, { config }: Run) => ({
  verdict,
  reason: fault?.message ?? null,
  profile: config.profile.value,
  api_url: config.apiUrl.value,
  email: credential?.email ?? null,
  local: { file: place.file, size: local?.bytes.byteLength ?? null, modified: local?.stats.mtime ?? null },
  remote: remote
    ? { size: remote.content.byteLength, commit_sha: remote.commitSha, updated_at: remote.updatedAt }
    : null,
  last_sync: state.syncedAt && { synced_at: state.syncedAt, commit_sha: state.commitSha },
})

function describe(findings: Findings, { config, now }: Run): Row[] {
  const { place, credential, remote, local, state, verdict, fault } = findings
  const size = ({ byteLength }: Uint8Array): string => `${byteLength} ${byteLength === 1 ? 'byte' : 'bytes'}`
  const when = (moment: Date | null): string | null => moment && describeMoment(moment, now())
  const commit = (sha: string | null): string | null => sha && `commit ${shortCommit(sha)}`
  const listed = (...parts: (string | null)[]): string => parts.filter(part => part !== null).join(', ')
  const isChanged = local && state.syncedAt && !isKnown(sha256(local.bytes), state)
  const edited = isChanged ? 'changed since the last sync' : null
  const style = verdict === 'in_sync' ? 'green' : 'yellow'
  return [
    ['Server', config.apiUrl.value],
    ['Profile', config.profile.value],
    ['Account', credential?.email],
    ['Local', place.target === place.file ? place.file : `${place.file} → ${place.target}`],
    ['', local && listed(size(local.bytes), `modified ${when(local.stats.mtime)}`, edited)],
    [
      'Remote',
      remote && remote.content.byteLength > 0
        ? listed(size(remote.content), commit(remote.commitSha), when(remote.updatedAt))
        : undefined,
    ],
    ['Last sync', state.syncedAt ? listed(commit(state.commitSha), when(state.syncedAt)) : 'never'],
    ['Verdict', `${verdict}: ${fault?.message ?? meaningOf(findings) ?? ''}`, fault ? 'red' : style],
  ]
}

function meaningOf({ verdict, local, remote, state }: Findings): string | undefined {
  if (
    verdict !== 'unknown' &&
    isEdited(verdict) &&
    local &&
    remote &&
    differInLineEndings(local.bytes, remote.content)
  )
    return 'the local file differs from the server’s text by its line endings only.'
  return verdict === 'diverged' && state.syncedAt === null
    ? 'the local file has not been synced before and differs from the server’s text.'
    : MEANING[verdict]
}

/** What a fault does not say. */
const MEANING: Partial<Record<Verdict | 'unknown', string>> = {
  in_sync: 'the local file is the server’s text.',
  remote_changed: 'the server has a newer text.',
  local_changed: 'the local file has changes that the server does not have.',
  diverged: 'the local file has changes, and the server has another text than at the last sync.',
  local_missing: 'there is no local file yet.',
  remote_empty: 'the server has no configuration for you yet.',
}

const NEXT: Partial<Record<Verdict | 'unknown', string>> = {
  remote_changed: 'Take it over with: atlas sync',
  local_changed: 'See the differences with: atlas push --dry-run, and send them with: atlas push',
  diverged: `See the differences with: atlas sync --dry-run. ${KEEP_ONE}`,
  local_missing: 'Write it with: atlas sync',
}

export const registerSyncStatus: Register = (cli, context) =>
  cli
    .command('status', 'Show how CLAUDE.md compares with the configuration that the server keeps for you')
    .option(...DIR_FLAG)
    .example('  $ atlas status')
    .example('  $ atlas status --json')
    .action(async (flags: Flags) =>
      syncStatus(flags.text('dir'), await context.run(flags, { budgetMs: BUDGET_MS })),
    )
