import { apiPathHint } from '../config/settings.ts'
import type { System } from '../run.ts'
import type { Session } from '../session/record.ts'
import { type Configuration, fetchConfiguration } from '../sync/configuration.ts'
import { createSyncMemory, type SyncMemory } from '../sync/memory.ts'
import type { Place } from '../sync/place.ts'

/** What both commands that look at the synced file need. */
export type SyncNeeds = Pick<
  System,
  | 'config'
  | 'sessions'
  | 'terminal'
  | 'interrupts'
  | 'secrets'
  | 'now'
  | 'fixedToken'
  | 'secrets'
  | 'authenticatedClient'
  | 'env'
  | 'platform'
  | 'homeFolder'
  | 'interactive'
>

export const DIR_FLAG = [
  '--dir <folder>',
  'The folder of CLAUDE.md (default: CLAUDE_CONFIG_DIR, else ~/.claude)',
] as const

/** The configured server's configuration for whoever is logged in. */
export const configurationFrom = (
  session: Session | undefined,
  { config, terminal, interrupts, secrets, now, fixedToken, authenticatedClient }: SyncNeeds,
): Promise<Configuration> => {
  const { client, apiRoot } = authenticatedClient(session)
  return terminal.during(
    `Asking ${config.apiUrl.value}`,
    fetchConfiguration({
      client,
      apiRoot,
      now,
      fixedToken: fixedToken !== undefined,
      quotable: secrets.isSafeToShow,
      notFoundHint: apiPathHint(config),
      signal: interrupts.cancelled,
    }),
  )
}

/** The memory of the configured profile and server for a folder. */
export const memoryOf = ({ folder }: Place, { config }: Pick<System, 'config'>): SyncMemory =>
  createSyncMemory({
    configFolder: config.folder.value,
    profile: config.profile.value,
    apiUrl: config.apiUrl.value,
    folder: folder.value,
  })

const SHORT_COMMIT_LENGTH = 7

/** A commit as people write it. */
export const shortCommit = (commitSha: string): string => commitSha.slice(0, SHORT_COMMIT_LENGTH)
