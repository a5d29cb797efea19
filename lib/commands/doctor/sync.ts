import path from 'node:path'
import { writeFault } from '../../files/private.ts'
import { requireMutable } from '../../files/replaceable.ts'
import type { Run } from '../../run.ts'
import { readLocal } from '../../sync/local-file.ts'
import { findPlace } from '../../sync/place.ts'
import { shortCommit } from '../../sync/remote.ts'
import { describeMoment } from '../../terminal/time.ts'
import { memoryOf } from '../sync-file.ts'
import { type Finding, failedBy, ok } from './finding.ts'

/** Whether a sync could write, and when the last one did. */
export async function checkSync(run: Run): Promise<Finding> {
  try {
    const place = findPlace(undefined, run)
    readLocal(place.target)
    const folder = path.dirname(place.target)
    const fault = writeFault(folder)
    if (fault !== undefined) {
      const failure = `The folder ${folder} cannot be written, so "atlas sync" cannot either`
      return failedBy(fault.toError('file_error', failure, 'CLAUDE_CONFIG_DIR'))
    }
    requireMutable(place.target)
    await run.lockOf(place.target).hold(async () => {})
    const { syncedAt, commitSha } = memoryOf(place, run).recall()
    const commit = commitSha === null ? '' : ` at commit ${shortCommit(commitSha)}`
    const last = syncedAt && `Last in sync${commit}, ${describeMoment(syncedAt, run.now())}.`
    return ok(`${place.file} can be written.`, last ?? 'Never synced.')
  } catch (error) {
    return failedBy(error)
  }
}
