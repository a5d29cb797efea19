import { isUtf8 } from 'node:buffer'
import type { Configuration } from './remote.ts'

/** How the local file and the server's text stand to each other. */
export type Verdict =
  | 'in_sync'
  | 'remote_changed'
  | 'local_changed'
  | 'diverged'
  | 'local_missing'
  | 'remote_empty'
  | 'remote_unreadable'

/** What is known of the texts that earlier syncs took from the server, by hash. */
export interface Known {
  /** The text of the last sync; null before the first. */
  readonly syncedSha256: string | null
  /** The text that a sync had begun to write when it was last heard of; null where it ended. */
  readonly pendingSha256: string | null
  /** The text that a push had begun to send when it was last heard of; null where it ended. */
  readonly sentSha256: string | null
}

export const sha256 = (bytes: Uint8Array): string => Bun.SHA256.hash(bytes, 'hex')

/** Whether a text came from the server by a sync, so that overwriting it loses nothing. */
export const isKnown = (
  hash: string,
  { syncedSha256, pendingSha256 }: Pick<Known, 'syncedSha256' | 'pendingSha256'>,
): boolean => hash === syncedSha256 || hash === pendingSha256

/**
 * Compare what is here, what the server has and what was last synced. Where in doubt, the local text
 * counts as edited: without a memory, a file that differs has `diverged`.
 */
export function judge(
  local: Uint8Array | undefined,
  { content: remote, commitSha }: Pick<Configuration, 'content' | 'commitSha'>,
  known: Known,
): Verdict {
  if (remote.byteLength === 0) return commitSha === null ? 'remote_empty' : 'remote_unreadable'
  if (local === undefined) return 'local_missing'
  if (sameBytes(local, remote)) return 'in_sync'
  if (isKnown(sha256(local), known)) return 'remote_changed'
  const isFromHere = [known.syncedSha256, known.sentSha256].includes(sha256(remote))
  return isFromHere ? 'local_changed' : 'diverged'
}

/** Whether the local text has changes that no sync brought. */
export const isEdited = (verdict: Verdict): boolean => verdict === 'local_changed' || verdict === 'diverged'

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

/** Whether two texts differ by their line endings alone (CR LF in the place of LF). */
export function differInLineEndings(a: Uint8Array, b: Uint8Array): boolean {
  const linesOf = (bytes: Uint8Array): string =>
    Buffer.from(bytes).toString('latin1').replaceAll('\r\n', '\n')
  return !sameBytes(a, b) && linesOf(a) === linesOf(b)
}

/** The longest text that is sent, in bytes of UTF-8. */
const MAX_SENT_BYTES = 1024 * 1024

/** Why a text cannot be sent to the server, as the end of a sentence, and what to do; undefined where it can. */
export function unfitToSend(text: Uint8Array): { reason: string; hint: string } | undefined {
  const { byteLength } = text
  if (byteLength === 0)
    return {
      reason: 'it is empty, which cannot be told from a text that the server cannot read',
      hint: 'Write at least one character.',
    }
  if (byteLength > MAX_SENT_BYTES)
    return {
      reason: `it has ${byteLength} bytes, and ${MAX_SENT_BYTES} are sent at most`,
      hint: 'Shorten it.',
    }
  return isUtf8(text) ? undefined : { reason: 'it is not UTF-8 text', hint: 'Save it as UTF-8.' }
}
