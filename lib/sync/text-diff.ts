import { isUtf8 } from 'node:buffer'

const CONTEXT_LINES = 3
/** Two long texts with little in common would be compared for minutes. */
const MAX_DIFF_MS = 1_000

/**
 * The change from one text to another as a unified diff, its lines without line endings.
 * @param labels the name of the file, and what the old and the new text are.
 * @returns undefined where one of them is not UTF-8 text, or the search for a diff took too long.
 */
export async function unifiedDiff(
  before: Uint8Array,
  after: Uint8Array,
  labels: Readonly<Record<'file' | 'before' | 'after', string>>,
): Promise<string[] | undefined> {
  if (!isUtf8(before) || !isUtf8(after)) return undefined
  // A byte-order mark is kept: it is a difference like any other.
  const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
  const [old, next] = [textOf(before), textOf(after)]
  const { createTwoFilesPatch, FILE_HEADERS_ONLY } = await import('diff')
  const patch = createTwoFilesPatch(labels.file, labels.file, old, next, labels.before, labels.after, {
    context: CONTEXT_LINES,
    headerOptions: FILE_HEADERS_ONLY,
    timeout: MAX_DIFF_MS,
  })
  return patch?.replace(/\n$/, '').split('\n')
}
