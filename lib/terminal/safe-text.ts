/*
 * C0 and C1 controls, DEL, bidirectional overrides and isolates, zero-width characters, line and
 * paragraph separators, the byte-order mark, soft hyphen, tag characters and lone surrogates: all
 * that can move the cursor, fake a line or make one text look like another.
 */
const HOSTILE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu

/** Nearly every line matches these, which are quick; compiling the pattern above takes 1 ms. */
const PLAIN_LINE = /^[\x20-\x7e]*$/
const PLAIN_BLOCK = /^[\t\n\x20-\x7e]*$/

const escaped = (character: string): string =>
  [...Array(character.length).keys()]
    .map(index => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`)
    .join('')

/** Foreign text made harmless for one line of a terminal: what could act on it is shown as `\uXXXX`. */
export const sanitizeLine = (text: string): string =>
  PLAIN_LINE.test(text) ? text : text.replace(HOSTILE, escaped)

/** Foreign text made harmless for a terminal, its line breaks and tabs kept. */
export const sanitizeBlock = (text: string): string =>
  PLAIN_BLOCK.test(text)
    ? text
    : text
        .replaceAll('\r\n', '\n')
        .replace(HOSTILE, character =>
          character === '\n' || character === '\t' ? character : escaped(character),
        )

/** One line of JSON in which every character that could act on a terminal is a `\u` escape. */
export const safeJson = (value: unknown, indent?: number): string =>
  sanitizeBlock(JSON.stringify(value, null, indent))
