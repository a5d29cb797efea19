import type { Terminal } from './output.ts'
import { type Style, styled } from './style.ts'

/** A name and its value; a row without a value is left out. */
export type Row = readonly [name: string, value: string | null | undefined, look?: Style]

/** Rows with their values aligned, on standard output. */
export async function sayRows(terminal: Terminal, rows: readonly Row[]): Promise<void> {
  const width = Math.max(...rows.map(([name]) => name.length)) + 2
  for (const [name, value, look] of rows) {
    if (value === undefined || value === null) continue
    const gap = ' '.repeat(width - name.length)
    await terminal.say([styled('dim', name), gap, look ? styled(look, value) : value])
  }
}
