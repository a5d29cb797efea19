import path from 'node:path'
import { AtlasError } from '../../errors.ts'
import { writeFault } from '../../files/private.ts'
import type { Host, Run } from '../../run.ts'
import { shortCommit } from '../../sync/configuration.ts'
import { readLocal } from '../../sync/local-file.ts'
import { findPlace } from '../../sync/place.ts'
import { describeMoment } from '../../terminal/time.ts'
import { memoryOf } from '../sync-file.ts'
import { type Finding, fail, failedBy, ok } from './finding.ts'

/** Whether a sync could write, and what the last one took over. */
export function checkSync(run: Host & Pick<Run, 'config'>): Finding {
  try {
    const place = findPlace(undefined, run)
    readLocal(place.target)
    const folder = path.dirname(place.target)
    const fault = writeFault(folder)
    if (fault !== undefined)
      return fail(
        `The folder ${folder} cannot be written (${fault}), so "atlas sync" cannot either.`,
        'Fix its permissions, or choose another folder with CLAUDE_CONFIG_DIR.',
      )
    const { syncedAt, commitSha } = memoryOf(place, run.config).recall()
    const at = commitSha === null ? '' : ` at commit ${shortCommit(commitSha)}`
    const last =
      syncedAt === null
        ? 'Never synced.'
        : `Last changed by a sync${at} ${describeMoment(syncedAt, run.now())}.`
    return ok(`${place.file} can be written.`, last)
  } catch (error) {
    if (error instanceof AtlasError) return failedBy(error)
    throw error
  }
}
