import path from 'node:path'
import { replaceFile } from '../files/atomic.ts'
import { readRegularFile } from '../files/private.ts'
import { orFileError } from './local-file.ts'
import type { Known } from './verdict.ts'

const VERSION = 1
const MAX_STATE_BYTES = 64 * 1024

/** What was last synced into a folder. */
export interface SyncState extends Known {
  readonly commitSha: string | null
  /** When the last sync took a text over; null before the first. */
  readonly syncedAt: Date | null
}

export const NEVER_SYNCED: SyncState = {
  syncedSha256: null,
  pendingSha256: null,
  commitSha: null,
  syncedAt: null,
}

/** The memory of one profile, server and folder. Callers that change it hold the synced file's lock. */
export interface SyncMemory {
  /**
   * What is remembered. A text that atlas did not write counts as nothing remembered, which can overwrite nothing.
   * @throws {AtlasError} `file_error`: it cannot be read.
   */
  recall(): SyncState
  /** @throws {AtlasError} `file_error` */
  remember(state: SyncState): void
}

export interface SyncMemoryOptions {
  readonly configFolder: string
  readonly profile: string
  /** As configured, normalised. */
  readonly apiUrl: string
  readonly folder: string
}

/** A memory in a file of its own beside the config file. It holds hashes and no text. */
export function createSyncMemory({ configFolder, profile, apiUrl, folder }: SyncMemoryOptions): SyncMemory {
  const name = Bun.SHA256.hash(JSON.stringify([profile, apiUrl, folder]), 'hex')
  const file = path.join(configFolder, 'sync', `${name.slice(0, 32)}.json`)
  return {
    recall: () =>
      orFileError(file, () => parseState(readRegularFile(file, MAX_STATE_BYTES)?.bytes.toString() ?? '')),
    remember({ syncedSha256, pendingSha256, commitSha, syncedAt }) {
      const content = {
        version: VERSION,
        profile,
        api_url: apiUrl,
        folder,
        synced_sha256: syncedSha256,
        pending_sha256: pendingSha256,
        commit_sha: commitSha,
        synced_at: syncedAt,
      }
      orFileError(file, () => replaceFile(file, `${JSON.stringify(content, null, 2)}\n`))
    },
  }
}

function parseState(text: string): SyncState {
  let fields: Record<string, unknown>
  try {
    fields = Object(JSON.parse(text))
  } catch {
    return NEVER_SYNCED
  }
  if (fields['version'] !== VERSION) return NEVER_SYNCED
  const hash = (name: string): string | null => {
    const value = fields[name]
    return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value) ? value : null
  }
  const { commit_sha: commitSha, synced_at: syncedAt } = fields
  const moment = new Date(typeof syncedAt === 'string' ? syncedAt : Number.NaN)
  return {
    syncedSha256: hash('synced_sha256'),
    pendingSha256: hash('pending_sha256'),
    commitSha: typeof commitSha === 'string' ? commitSha : null,
    syncedAt: Number.isNaN(moment.getTime()) ? null : moment,
  }
}
