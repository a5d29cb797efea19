import { loginAt } from '../config/file.ts'
import type { Run } from '../run.ts'
import type { Credential } from '../session/credentials.ts'
import { createSyncMemory, type SyncMemory } from '../sync/memory.ts'
import type { Place } from '../sync/place.ts'
import { type Configuration, fetchConfiguration, shortCommit } from '../sync/remote.ts'
import { unfitToSend } from '../sync/verdict.ts'

export const DIR_FLAG = [
  '--dir <folder>',
  'The folder of CLAUDE.md (default: CLAUDE_CONFIG_DIR, else ~/.claude)',
] as const

/** What the configured profile and server last synced into a file, by whatever name it is reached. */
export const memoryOf = ({ target }: Place, { config }: Pick<Run, 'config'>): SyncMemory =>
  createSyncMemory({
    configFolder: config.folder.value,
    profile: config.profile.value,
    apiUrl: config.apiUrl.value,
    file: target,
  })

/** Whose text it is, as far as that is known without a keychain; null where it is not. */
export async function accountOf({
  config,
  credentials,
}: Pick<Run, 'config' | 'credentials'>): Promise<string | null> {
  if (credentials.source === 'env') return (await credentials.require()).email
  return loginAt(config.file, config.profile.value, config.apiUrl.value)?.email ?? null
}

/** The configuration that the server keeps for the user. @throws {AtlasError} as `fetchConfiguration` does. */
export function askServer(credential: Credential, run: Run): Promise<Configuration> {
  return run.terminal.during(`Asking ${run.config.apiUrl.value}`, fetchConfiguration(credential, run))
}

/** What both directions offer where both sides have changed. */
export const KEEP_ONE =
  'Keep yours with "atlas push --force" (the server’s is kept as a backup), or the server’s with "atlas sync --force" (yours is kept as a backup).'

/** What is said instead where the local text is none that could be kept on the server; undefined where it could. */
export function onlySyncHelps(local: Uint8Array | undefined): string | undefined {
  const fault = local && unfitToSend(local)
  return (
    fault &&
    `Your text cannot be sent: ${fault.reason}. Take the server’s with: atlas sync --force (yours is kept as a backup).`
  )
}

/** What is said behind a sentence about a text; nothing where the server names no commit. */
export const inCommit = (commitSha: string | null): string =>
  commitSha === null ? '' : ` (commit ${shortCommit(commitSha)})`

export interface SyncReport {
  readonly result: string
  readonly verdict: string
  readonly remote: Pick<Configuration, 'commitSha' | 'updatedAt'>
  readonly backup: string | null
  readonly diff: string | null
}

/** How a sync or a push ended, for programs. */
export const sayReport = (
  { file }: Place,
  { result, verdict, remote, backup, diff }: SyncReport,
  { config, terminal }: Run,
): Promise<void> =>
  terminal.sayJson({
    result,
    verdict,
    profile: config.profile.value,
    api_url: config.apiUrl.value,
    file,
    commit_sha: remote.commitSha,
    updated_at: remote.updatedAt,
    backup,
    diff,
  })
