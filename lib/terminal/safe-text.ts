/*
 * What can move the cursor, forge a line, or be there unseen, by Unicode's own properties: controls, formats
 * (bidirectional and zero-width ones, tags), line and paragraph separators, whatever is ignored by default
 * (variation selectors, fillers), lone surrogates and noncharacters. The joiners and selectors of emoji are no
 * exception: they hide as well between other characters, and a terminal joins them or not. Private use and
 * characters that are not assigned yet are left: they are seen, as a glyph or a box.
 */
const HOSTILE =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]+/gu

/** Nearly every line matches these, which are quick. */
const PLAIN_LINE = /^[\x20-\x7e]*$/
const PLAIN_BLOCK = /^[\t\n\x20-\x7e]*$/

function escaped(run: string): string {
  let escapes = ''
  for (let index = 0; index < run.length; index++)
    escapes += `\\u${run.charCodeAt(index).toString(16).padStart(4, '0')}`
  return escapes
}

/** A text is dealt with in stretches: one of nothing but controls would take a hundred bytes for each. */
const STRETCH = /.{1,8192}/gsu

const sanitize = (text: string, escapeRun: (run: string) => string): string =>
  (text.match(STRETCH) ?? []).map(stretch => stretch.replace(HOSTILE, escapeRun)).join('')

/** Foreign text made harmless for one line of a terminal: what could act on it is shown as `\uXXXX`. */
export const sanitizeLine = (text: string): string => (PLAIN_LINE.test(text) ? text : sanitize(text, escaped))

/** Foreign text made harmless for a terminal, its line breaks and tabs kept. */
export const sanitizeBlock = (text: string): string =>
  PLAIN_BLOCK.test(text)
    ? text
    : sanitize(text.replaceAll('\r\n', '\n'), run => run.replace(/[^\n\t]+/g, escaped))

/** One line of JSON in which every character that could act on a terminal is a `\u` escape. */
export const safeJson = (value: unknown, indent?: number): string =>
  sanitizeBlock(JSON.stringify(value, null, indent))
