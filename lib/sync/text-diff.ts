import { isUtf8 } from 'node:buffer'
import { sanitizeLine } from '../terminal/safe-text.ts'

const CONTEXT_LINES = 3
/** Two long texts with little in common would be compared for minutes. */
const MAX_DIFF_MS = 1_000

/** Comparing larger texts line by line takes hundreds of megabytes, and nobody reads what comes out. */
const MAX_DIFF_BYTES = 1024 * 1024

/** The lines of a unified diff; undefined where a text is not UTF-8 or too large, or the search took too long. */
export async function unifiedDiff(
  before: Uint8Array,
  after: Uint8Array,
  labels: Readonly<Record<'file' | 'before' | 'after', string>>,
): Promise<string[] | undefined> {
  if (before.byteLength + after.byteLength > MAX_DIFF_BYTES) return undefined
  if (!isUtf8(before) || !isUtf8(after)) return undefined
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
  return patch?.replace(/\n$/, '').split('\n')
}
