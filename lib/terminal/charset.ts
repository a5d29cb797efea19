type Environment = Readonly<Record<string, string | undefined>>

/** What a terminal can show: everything; the characters of Western Europe, a byte each; or nothing certain but ASCII. */
export type Charset = 'utf8' | 'latin1' | 'ascii'

/** The character set of the locale; one that is not named is UTF-8. @see POSIX, XBD §8.2 */
export function charsetOf(env: Environment): Charset {
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG']
  if (!locale || /utf-?8/i.test(locale)) return 'utf8'
  return /8859-?(1|15)\b|latin-?[19]\b|@euro/i.test(locale) ? 'latin1' : 'ascii'
}

/** The likeness in ASCII of what atlas's own words and those of servers are set in. */
const LIKENESS: Readonly<Record<string, string>> = {
  '‘': "'",
  '’': "'",
  '“': '"',
  '”': '"',
  '–': '-',
  '—': '-',
  '…': '...',
  '→': '->',
  '×': 'x',
  '§': 'section ',
}

/** A text in the bytes of a terminal's character set; what that lacks is a question mark. */
export function encode(text: string, charset: Charset): string | Uint8Array {
  if (charset === 'utf8') return text
  const alike = text.replace(/[‘’“”–—…→×§]/g, character => LIKENESS[character] ?? '?')
  // Where the set is not known, other letters are left as they are: many a terminal shows them all the same.
  return charset === 'ascii' ? alike : Buffer.from(alike.replace(/[^\0-\xff]/gu, '?'), 'latin1')
}
