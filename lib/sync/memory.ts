import path from 'node:path'
import { replaceFile } from '../files/atomic.ts'
import { readRegularFile } from '../files/private.ts'
import { isJsonObject, parseJsonObject } from '../json-object.ts'
import { orFileError } from './local-file.ts'
import type { Configuration } from './remote.ts'
import { type Known, sha256 } from './verdict.ts'

const MAX_STATE_BYTES = 64 * 1024
const SHA256 = /^[0-9a-f]{64}$/
const ANY = /./

export interface SyncState extends Known {
  readonly commitSha: string | null
  /** When the last sync took a text over; null before the first. */
  readonly syncedAt: Date | null
  /** When, and as what, the file was last found to be the server's text; undefined where that was not noted. */
  readonly checked?: Check | undefined
}

export interface Check {
  readonly at: Date
  /** Whose text it is; null where that is not known. */
  readonly account: string | null
  /** What the file looked like from outside: see `lookOf`. */
  readonly look: string
}

export const NEVER_SYNCED: SyncState = {
  syncedSha256: null,
  pendingSha256: null,
  sentSha256: null,
  commitSha: null,
  syncedAt: null,
}

/** Of one profile, server and file. Callers that change it hold the synced file's lock. */
export interface SyncMemory {
  /** What atlas did not write counts as nothing, which can overwrite nothing. @throws `file_error` */
  recall(): SyncState
  /** @throws `file_error` */
  remember(state: SyncState): void
}

/** Remember that a text is both here and on the server, unless that is known. */
export function rememberSynced(
  memory: SyncMemory,
  { content, commitSha }: Pick<Configuration, 'content' | 'commitSha'>,
  now: () => Date,
): void {
  const state = memory.recall()
  const syncedSha256 = sha256(content)
  const isSettled = state.pendingSha256 === null && state.sentSha256 === null
  const isKnown = isSettled && state.syncedSha256 === syncedSha256 && state.commitSha === commitSha
  if (!isKnown) memory.remember({ ...NEVER_SYNCED, syncedSha256, commitSha, syncedAt: now() })
}

export interface SyncMemoryOptions {
  readonly configFolder: string
  readonly profile: string
  /** As configured, normalised. */
  readonly apiUrl: string
  /** A path without symbolic links. */
  readonly file: string
}

/** A memory in a file of its own beside the config file. It holds hashes and no text. */
export function createSyncMemory({
  configFolder,
  profile,
  apiUrl,
  file: synced,
}: SyncMemoryOptions): SyncMemory {
  const name = Bun.SHA256.hash(JSON.stringify([profile, apiUrl, synced]), 'hex')
  const file = path.join(configFolder, 'sync', `${name.slice(0, 32)}.json`)
  return {
    recall: () =>
      orFileError(file, () => parseState(readRegularFile(file, MAX_STATE_BYTES)?.bytes.toString() ?? '')),
    remember({ syncedSha256, pendingSha256, sentSha256, commitSha, syncedAt, checked }) {
      const content = {
        profile,
        api_url: apiUrl,
        file: synced,
        synced_sha256: syncedSha256,
        pending_sha256: pendingSha256,
        sent_sha256: sentSha256,
        commit_sha: commitSha,
        synced_at: syncedAt,
        checked,
      }
      orFileError(file, () => replaceFile(file, `${JSON.stringify(content, null, 2)}\n`))
    },
  }
}

function parseState(text: string): SyncState {
  const fields = parseJsonObject(text) ?? {}
  const textOf = (name: string, form: RegExp): string | null => {
    const value = fields[name]
    return typeof value === 'string' && form.test(value) ? value : null
  }
  const syncedAt = new Date(textOf('synced_at', ANY) ?? Number.NaN)
  return {
    syncedSha256: textOf('synced_sha256', SHA256),
    pendingSha256: textOf('pending_sha256', SHA256),
    sentSha256: textOf('sent_sha256', SHA256),
    commitSha: textOf('commit_sha', ANY),
    syncedAt: Number.isNaN(syncedAt.getTime()) ? null : syncedAt,
    ...parseCheck(fields['checked']),
  }
}

function parseCheck(value: unknown): Pick<SyncState, 'checked'> {
  if (!isJsonObject(value)) return {}
  const { at: text, account, look } = value
  const at = new Date(typeof text === 'string' ? text : Number.NaN)
  if (Number.isNaN(at.getTime()) || typeof look !== 'string') return {}
  return { checked: { at, account: typeof account === 'string' ? account : null, look } }
}
