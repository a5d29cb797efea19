import { sanitizeLine } from './safe-text.ts'

/** What switches each style on and off (ECMA-48 §8.3.117). `node:util` would do it too, but takes 6 ms to load. */
const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  magenta: [35, 39],
  cyan: [36, 39],
} as const

export type Style = keyof typeof CODES

/** A piece of a line and how it looks where colours are shown. Colour never carries information alone. */
export interface Styled {
  readonly style: Style
  readonly text: string
}

export type Line = string | readonly (string | Styled)[]

export const styled = (style: Style, text: string): Styled => ({ style, text })

/** A line made harmless for a terminal, each text after `prepare`; its styles show where `colour` is true. */
export function renderLine(line: Line, colour: boolean, prepare = (text: string): string => text): string {
  const pieces = typeof line === 'string' ? [line] : line
  return pieces
    .map(piece => {
      if (typeof piece === 'string') return sanitizeLine(prepare(piece))
      const text = sanitizeLine(prepare(piece.text))
      const [on, off] = CODES[piece.style]
      return colour ? `\u001b[${on}m${text}\u001b[${off}m` : text
    })
    .join('')
}

/**
 * FORCE_COLOR says yes (0 and false: no), NO_COLOR and a CLICOLOR of 0 say no, else a terminal decides.
 * @see https://no-color.org, https://bixense.com/clicolors
 */
export function wantsColour(env: Readonly<Record<string, string | undefined>>, isTerminal: boolean): boolean {
  const { FORCE_COLOR: force, NO_COLOR: no, CLICOLOR: colour, TERM: term } = env
  if (force) return force !== '0' && force !== 'false'
  return !no && colour !== '0' && isTerminal && term !== 'dumb'
}

/** A text made harmless for a terminal, in lines of at most `columns` characters; a longer word stands alone. */
export const wrap = (text: string, columns: number): string[] =>
  Bun.wrapAnsi(sanitizeLine(text), Math.max(1, columns)).split('\n')
