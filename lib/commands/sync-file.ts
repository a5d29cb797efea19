import type { Run } from '../run.ts'
import type { Credential } from '../session/credentials.ts'
import { createSyncMemory, type SyncMemory } from '../sync/memory.ts'
import type { Place } from '../sync/place.ts'
import { type Configuration, fetchConfiguration } from '../sync/remote.ts'

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

/** The configuration that the server keeps for the user. @throws {AtlasError} as `fetchConfiguration` does. */
export function askServer(credential: Credential, run: Run): Promise<Configuration> {
  return run.terminal.during(`Asking ${run.config.apiUrl.value}`, fetchConfiguration(credential, run))
}
