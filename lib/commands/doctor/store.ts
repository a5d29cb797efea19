import type { Run } from '../../run.ts'
import { type Finding, ok } from './finding.ts'

export async function checkStore({
  credentials,
  stored,
}: Pick<Run, 'credentials' | 'stored'>): Promise<Finding> {
  const { store } = stored
  if (credentials.source === 'env')
    return ok(`Not used: ATLAS_ACCESS_TOKEN is set and beats ${store.location}`)
  const startedAt = performance.now()
  await stored.proveStore()
  const elapsedMs = (performance.now() - startedAt).toFixed(0)
  const plain = store.kind === 'file' ? ['What is there is plain text, readable by you alone.'] : []
  return ok(`A probe was written to ${store.location}, read and deleted in ${elapsedMs} ms.`, ...plain)
}
