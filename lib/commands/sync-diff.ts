import path from 'node:path'
import type { LocalFile } from '../sync/local-file.ts'
import type { Place } from '../sync/place.ts'
import { type Configuration, shortCommit } from '../sync/remote.ts'
import { type TextDiff, unifiedDiff } from '../sync/text-diff.ts'
import type { Terminal } from '../terminal/output.ts'
import { type Line, renderLine, type Style, styled } from '../terminal/style.ts'

/** How much of a diff is shown before an error. */
const SHORT_DIFF_LINES = 20
const SHORT_DIFF_COLUMNS = 160
/** With its escapes and colours, all of a long diff would take several times its size. */
const LINES_AT_ONCE = 1_000

/** What a pull changes here, or a push on the server. */
export function diffOf(
  { file }: Pick<Place, 'file'>,
  local: LocalFile | undefined,
  { content, commitSha }: Configuration,
  direction: 'pull' | 'push',
): Promise<TextDiff> {
  const here = local?.bytes ?? new Uint8Array()
  const server = commitSha === null ? 'server' : `server, commit ${shortCommit(commitSha)}`
  return direction === 'pull'
    ? unifiedDiff(here, content, { file: path.basename(file), before: 'here', after: server })
    : unifiedDiff(content, here, { file: path.basename(file), before: server, after: 'here' })
}

/** For programs; null where there is none. */
export const textOf = (diff: TextDiff | undefined): string | null =>
  diff && 'lines' in diff ? `${diff.lines.join('\n')}\n` : null

/** What is shown of a diff; a sentence where there is none. */
export function linesOf(
  diff: TextDiff,
  local: LocalFile | undefined,
  remote: Configuration,
): readonly string[] {
  if ('lines' in diff) return diff.lines
  const here = local ? `${local.bytes.byteLength} bytes here` : 'no file here'
  return [`No diff: ${diff.reason} (${here}, ${remote.content.byteLength} bytes on the server).`]
}

const STYLES: Record<string, Style> = { '+': 'green', '-': 'red', '@': 'cyan' }

function stylePiece(piece: string, line: string, index: number): Line {
  const style = index < 2 ? 'bold' : STYLES[line[0] ?? '']
  return style ? [styled(style, piece)] : piece
}

/** Tabs are kept, as the diff may be handed on to another program. */
export async function showDiff(lines: readonly string[], { raw, colour }: Terminal): Promise<void> {
  const render = (line: string, index: number): string =>
    line
      .split('\t')
      .map(piece => renderLine(stylePiece(piece, line, index), colour.stdout))
      .join('\t')
  for (let start = 0; start < lines.length; start += LINES_AT_ONCE) {
    const part = lines.slice(start, start + LINES_AT_ONCE)
    await raw(part.map((line, index) => `${render(line, start + index)}\n`).join(''))
  }
}

/** @param command shows all of it. */
export function showShortDiff(lines: readonly string[], command: string, terminal: Terminal): void {
  for (const [index, line] of lines.slice(0, SHORT_DIFF_LINES).entries()) {
    const shown = line.replaceAll('\t', '    ')
    const cut = shown.length > SHORT_DIFF_COLUMNS ? `${shown.slice(0, SHORT_DIFF_COLUMNS)}…` : shown
    terminal.notice(stylePiece(cut, line, index))
  }
  const more = lines.length - SHORT_DIFF_LINES
  if (more > 0) terminal.notice(`… ${more} more lines; all of them: ${command}`)
}
