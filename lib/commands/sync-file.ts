import type { Config } from '../config/load.ts'
import { createSyncMemory, type SyncMemory } from '../sync/memory.ts'
import type { Place } from '../sync/place.ts'

export const DIR_FLAG = [
  '--dir <folder>',
  'The folder of CLAUDE.md (default: CLAUDE_CONFIG_DIR, else ~/.claude)',
] as const

/** The memory of the configured profile and server for a folder. */
export const memoryOf = ({ folder }: Place, config: Config): SyncMemory =>
  createSyncMemory({
    configFolder: config.folder.value,
    profile: config.profile.value,
    apiUrl: config.apiUrl.value,
    folder: folder.value,
  })
