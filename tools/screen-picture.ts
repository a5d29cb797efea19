import { type IBufferCell, Terminal } from '@xterm/headless'

const CELL_WIDTH = 8.4
const LINE_HEIGHT = 20
const FONT_SIZE = 14
const MARGIN = 16
const BACKGROUND = '#16181d'
const FOREGROUND = '#d7dae0'
/** The sixteen colours by their numbers; those that nothing uses look like the text. */
const PALETTE: Readonly<Record<number, string>> = {
  1: '#f07178',
  2: '#98c379',
  3: '#e5c07b',
  4: '#61afef',
  5: '#c792ea',
  6: '#56b6c2',
  7: FOREGROUND,
  8: '#7f848e',
}

/** What a terminal shows after it was sent some text, as an SVG picture. The same text gives the same bytes. */
export async function drawScreen(text: string, columns: number): Promise<string> {
  const terminal = new Terminal({ cols: columns, rows: 100, allowProposedApi: true })
  await new Promise<void>(resolve => terminal.write(text, resolve))
  const lines: string[] = []
  for (let row = 0; row < 100; row++) lines.push(drawLine(terminal, row))
  while (lines.at(-1) === '') lines.pop()
  const width = Math.ceil(columns * CELL_WIDTH + 2 * MARGIN)
  const height = lines.length * LINE_HEIGHT + 2 * MARGIN
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    '<title>A session of atlas in a terminal</title>',
    `<rect width="100%" height="100%" rx="8" fill="${BACKGROUND}"/>`,
    `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT_SIZE}" fill="${FOREGROUND}" xml:space="preserve">`,
    ...lines.flatMap((line, row) =>
      line === '' ? [] : [`<text y="${MARGIN + row * LINE_HEIGHT + FONT_SIZE}">${line}</text>`],
    ),
    '</g>',
    '</svg>',
    '',
  ].join('\n')
}

/** One line as spans of one look each; every span has its place, whatever font draws it. */
function drawLine(terminal: Terminal, row: number): string {
  const line = terminal.buffer.active.getLine(row)
  const spans: { start: number; look: string; text: string }[] = []
  for (let column = 0; column < terminal.cols; column++) {
    const cell = line?.getCell(column)
    const text = cell?.getChars() || ' '
    const look = cell ? lookOf(cell) : ''
    const last = spans.at(-1)
    if (last?.look === look) last.text += text
    else spans.push({ start: column, look, text })
  }
  return spans
    .map(({ start, look, text }) => ({ start, look, text: text.trimEnd() }))
    .filter(({ text }) => text !== '')
    .map(({ start, look, text }) => {
      const x = (MARGIN + start * CELL_WIDTH).toFixed(1)
      const length = (text.length * CELL_WIDTH).toFixed(1)
      return `<tspan x="${x}" textLength="${length}"${look}>${escapeXml(text)}</tspan>`
    })
    .join('')
}

function lookOf(cell: IBufferCell): string {
  const colour = cell.isFgPalette() ? (PALETTE[cell.getFgColor()] ?? FOREGROUND) : undefined
  return [
    colour === undefined || colour === FOREGROUND ? '' : ` fill="${colour}"`,
    cell.isBold() ? ' font-weight="bold"' : '',
    cell.isDim() ? ' fill-opacity="0.6"' : '',
  ].join('')
}

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
