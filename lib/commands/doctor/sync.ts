import path from 'node:path'
import { AtlasError } from '../../errors.ts'
import type { System } from '../../run.ts'
import { readLocal } from '../../sync/local-file.ts'
import { findPlace } from '../../sync/place.ts'
import { describeMoment } from '../../terminal/time.ts'
import { memoryOf, shortCommit } from '../sync-source.ts'
import { type Finding, fail, failedBy, ok, writeFault } from './checks.ts'

/** Whether a sync could write, and what the last one took over. */
export function checkSync(
  system: Pick<System, 'config' | 'env' | 'platform' | 'homeFolder' | 'interactive' | 'now'>,
): Finding {
  try {
    const place = findPlace(undefined, system)
    readLocal(place.target)
    const folder = path.dirname(place.target)
    const fault = writeFault(folder)
    if (fault !== undefined)
      return fail(
        `The folder ${folder} cannot be written (${fault}), so "atlas sync" cannot either.`,
        'Mend its permissions, or choose another folder with CLAUDE_CONFIG_DIR.',
      )
    const { syncedAt, commitSha } = memoryOf(place, system).recall()
    const at = commitSha === null ? '' : ` at commit ${shortCommit(commitSha)}`
    const last =
      syncedAt === null
        ? 'Never synced.'
        : `Last changed by a sync${at} ${describeMoment(syncedAt, system.now())}.`
    return ok(`${place.file} can be written.`, last)
  } catch (error) {
    if (error instanceof AtlasError) return failedBy(error)
    throw error
  }
}
