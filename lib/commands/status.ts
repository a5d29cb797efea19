import type { Flags } from '../cli/flags.ts'
import { apiPathHint } from '../config/settings.ts'
import { AtlasError } from '../errors.ts'
import type { Host, Run } from '../run.ts'
import type { Credential } from '../session/credentials.ts'
import { type Configuration, fetchConfiguration, shortCommit } from '../sync/configuration.ts'
import { type LocalFile, readLocal } from '../sync/local-file.ts'
import { NEVER_SYNCED, type SyncState } from '../sync/memory.ts'
import { findPlace, type Place } from '../sync/place.ts'
import { isKnown, judge, sha256, type Verdict } from '../sync/verdict.ts'
import type { Row } from '../terminal/output.ts'
import { describeMoment } from '../terminal/time.ts'
import type { Register } from './context.ts'
import { DIR_FLAG, memoryOf } from './sync-file.ts'

/** The longest that the server is waited for, in milliseconds. */
const BUDGET_MS = 10_000

export interface SyncStatusOptions {
  /** The folder as typed; undefined where it follows from the environment. */
  readonly dir: string | undefined
}

type Needs = Host & Pick<Run, 'config' | 'credentials' | 'http' | 'reader'>

/** What could be found out, and the first thing that could not. */
interface Findings {
  readonly credential: Credential | undefined
  readonly remote: Configuration | undefined
  readonly local: LocalFile | undefined
  readonly state: SyncState
  readonly fault: AtlasError | undefined
}

/**
 * Report how the local file stands to the server's configuration. What cannot be found out leaves the
 * rest of the report as it is, with the verdict `unknown` and the reason.
 * @returns the exit status: 0, or that of what could not be found out.
 */
export async function syncStatus({ dir }: SyncStatusOptions, needs: Needs): Promise<number> {
  const place = findPlace(dir, needs)
  const { config, credentials, http, reader, terminal, interrupts, now } = needs
  let fault: AtlasError | undefined
  const attempt = async <T>(work: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof AtlasError) || error.code === 'cancelled') throw error
      fault ??= error
      return undefined
    }
  }
  const credential = await attempt(() => credentials.require())
  const ask = (from: Credential): Promise<Configuration> =>
    fetchConfiguration(from, { http, reader, interrupts, now, notFoundHint: apiPathHint(config) })
  const remote =
    credential && (await attempt(() => terminal.during(`Asking ${config.apiUrl.value}`, ask(credential))))
  const state = (await attempt(() => memoryOf(place, config).recall())) ?? NEVER_SYNCED
  const local = await attempt(() => readLocal(place.target))
  await print(place, { credential, remote, local, state, fault }, needs)
  return fault?.exitStatus ?? 0
}

async function print(place: Place, findings: Findings, needs: Needs): Promise<void> {
  const { credential, remote, local, state, fault } = findings
  const { config, terminal, now } = needs
  const verdict =
    fault === undefined && remote !== undefined ? judge(local?.bytes, remote.content, state) : 'unknown'
  const email = credential?.email ?? null
  if (terminal.json)
    return terminal.sayJson({
      verdict,
      reason: fault?.message ?? null,
      profile: config.profile.value,
      api_url: config.apiUrl.value,
      email,
      local: {
        file: place.file,
        size: local?.bytes.byteLength ?? null,
        modified: local?.stats.mtime ?? null,
      },
      remote: remote
        ? { size: remote.content.byteLength, commit_sha: remote.commitSha, updated_at: remote.updatedAt }
        : null,
      last_sync: state.syncedAt && { synced_at: state.syncedAt, commit_sha: state.commitSha },
    })

  const when = (moment: Date | null): string | undefined =>
    moment === null ? undefined : describeMoment(moment, now())
  const commit = (sha: string | null): string | undefined =>
    sha === null ? undefined : `commit ${shortCommit(sha)}`
  const listed = (...parts: (string | undefined)[]): string =>
    parts.filter(part => part !== undefined).join(', ')
  const rows: Row[] = [
    ['Server', config.apiUrl.value],
    ['Profile', config.profile.value],
    ['Account', email ?? undefined],
    ['Local', `${place.file}${place.target === place.file ? '' : ` → ${place.target}`}`],
    [
      '',
      local &&
        listed(
          bytes(local.bytes),
          `modified ${when(local.stats.mtime)}`,
          isEditedSince(local, state) ? 'changed since the last sync' : undefined,
        ),
    ],
    [
      'Remote',
      remote && remote.content.byteLength > 0
        ? listed(bytes(remote.content), commit(remote.commitSha), when(remote.updatedAt))
        : undefined,
    ],
    ['Last sync', state.syncedAt === null ? 'never' : listed(commit(state.commitSha), when(state.syncedAt))],
    [
      'Verdict',
      `${verdict}: ${fault?.message ?? describeVerdict(verdict as Verdict, state)}`,
      fault ? 'red' : verdict === 'in_sync' ? 'green' : 'yellow',
    ],
  ]
  await terminal.sayRows(rows)
  const next = fault?.hint ?? (fault === undefined ? NEXT[verdict as Verdict] : undefined)
  if (next !== undefined) terminal.notice(next)
}

/** What can be told without the server. */
const isEditedSince = ({ bytes }: LocalFile, state: SyncState): boolean =>
  state.syncedAt !== null && !isKnown(sha256(bytes), state)

const bytes = ({ byteLength }: Uint8Array): string => `${byteLength} ${byteLength === 1 ? 'byte' : 'bytes'}`

const describeVerdict = (verdict: Verdict, { syncedAt }: SyncState): string =>
  verdict === 'diverged' && syncedAt === null
    ? 'the local file has not been synced before and differs from the server’s text.'
    : SAYS[verdict]

const SAYS: Record<Verdict, string> = {
  in_sync: 'the local file is the server’s text.',
  remote_changed: 'the server has a newer text.',
  local_changed: 'the local file has changes that the server does not have.',
  diverged: 'the local file has changes, and the server has another text than at the last sync.',
  local_missing: 'there is no local file yet.',
  remote_empty: 'the server has no configuration for you yet.',
}

const SEE_DIFF = 'See the differences with: atlas sync --dry-run'
const NEXT: Partial<Record<Verdict, string>> = {
  remote_changed: 'Take it over with: atlas sync',
  local_changed: SEE_DIFF,
  diverged: SEE_DIFF,
  local_missing: 'Write it with: atlas sync',
}

export const registerSyncStatus: Register = (cli, context) =>
  cli
    .command('status', 'Show how CLAUDE.md stands to the configuration that the server keeps for you')
    .option(...DIR_FLAG)
    .example('  $ atlas status')
    .example('  $ atlas status --json')
    .action(async (flags: Flags) =>
      syncStatus({ dir: flags.text('dir') }, await context.run(flags, { budgetMs: BUDGET_MS })),
    )
