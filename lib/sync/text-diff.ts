import { isUtf8 } from 'node:buffer'
import { sanitizeLine } from '../terminal/safe-text.ts'

const CONTEXT_LINES = 3
const NEWLINE = 0x0a
/** Two long texts with little in common would be compared for minutes. */
const MAX_DIFF_MS = 1_000
/** Of both texts together. Comparing more takes hundreds of megabytes, and nobody reads what comes out. */
const MAX_DIFF_BYTES = 1024 * 1024
const MAX_DIFF_LINES = 50_000

/** The lines of a unified diff, or why there is none, as the end of a sentence. */
export type TextDiff = { readonly lines: readonly string[] } | { readonly reason: string }

/** Compare two texts line by line, in bounded time and memory. */
export async function unifiedDiff(
  before: Uint8Array,
  after: Uint8Array,
  labels: Readonly<Record<'file' | 'before' | 'after', string>>,
): Promise<TextDiff> {
  if (!isUtf8(before) || !isUtf8(after)) return { reason: 'the local file is not UTF-8 text' }
  const tooLong = { reason: 'the texts are too long to compare line by line' }
  if (before.byteLength + after.byteLength > MAX_DIFF_BYTES) return tooLong
  if (countLines(before) + countLines(after) > MAX_DIFF_LINES) return tooLong
  // A byte-order mark is kept: it is a difference like any other.
  const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
  const { createTwoFilesPatch, FILE_HEADERS_ONLY } = await import('diff')
  const [old, next] = [textOf(before), textOf(after)]
  // A label of several lines would forge lines of the diff.
  const file = sanitizeLine(labels.file)
  const [here, there] = [sanitizeLine(labels.before), sanitizeLine(labels.after)]
  const patch = createTwoFilesPatch(file, file, old, next, here, there, {
    context: CONTEXT_LINES,
    headerOptions: FILE_HEADERS_ONLY,
    timeout: MAX_DIFF_MS,
  })
  if (patch === undefined) return { reason: 'the texts differ too much to compare them line by line' }
  return { lines: patch.replace(/\n$/, '').split('\n') }
}

function countLines(text: Uint8Array): number {
  let count = 0
  for (let at = text.indexOf(NEWLINE); at >= 0; at = text.indexOf(NEWLINE, at + 1)) count++
  return count
}
