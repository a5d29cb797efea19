import fs from 'node:fs'
import type { Run } from '../../run.ts'
import { type Finding, ok } from './finding.ts'

export async function checkLock({ config, configFile, stored }: Run): Promise<Finding> {
  const startedAt = performance.now()
  await stored.lock.hold(async () => {})
  const elapsedMs = (performance.now() - startedAt).toFixed(0)
  // A login needs this lock too; a report does not make its folder.
  if (fs.existsSync(config.folder.value)) await configFile.lock.hold(async () => {})
  return ok(`Taken and released in ${elapsedMs} ms, in ${stored.store.lockFolder}.`)
}
