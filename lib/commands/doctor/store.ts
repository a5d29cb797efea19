import type { Run } from '../../run.ts'
import { probeStore } from '../../session/stored-session.ts'
import { type Finding, ok } from './finding.ts'

export async function checkStore({ credentials, stored }: Run): Promise<Finding> {
  const { kind, location } = stored.store
  if (credentials.source === 'env') return ok(`Not used: ATLAS_ACCESS_TOKEN is set and overrides ${location}`)
  const startedAt = performance.now()
  await probeStore(stored)
  const elapsedMs = (performance.now() - startedAt).toFixed(0)
  const warning = kind === 'file' ? ['What is there is plain text, readable by you alone.'] : []
  return ok(`A probe was written to ${location}, read and deleted in ${elapsedMs} ms.`, ...warning)
}
