/** The named references of HTML for ASCII, and for letters that are not another one with an accent. @see HTML §13.5 */
const namedReferences = (): Map<string | undefined, string> =>
  new Map(
    `amp& lt< gt> quot" apos' excl! num# dollar$ percnt% lpar( rpar) ast* midast* plus+ comma, period. sol/ colon:
  semi; equals= quest? commat@ lsqb[ lbrack[ bsol\\ rsqb] rbrack] Hat^ lowbar_ grave\` lcub{ lbrace{ verbar| vert|
  rcub} rbrace} szligß AEligÆ aeligæ Oslash\u00d8 oslash\u00f8`
      .split(/\s+/)
      .map(pair => [pair.slice(0, -1), pair.slice(-1)]),
  )
    .set('nbsp', ' ')
    .set('Tab', '\t')
    .set('NewLine', '\n')
/** Made when needed: making it is a third of a millisecond of every start. */
let named: ReturnType<typeof namedReferences> | undefined

const ACCENTS: Readonly<Record<string, string>> = {
  grave: '\u0300',
  acute: '\u0301',
  circ: '\u0302',
  tilde: '\u0303',
  uml: '\u0308',
  ring: '\u030a',
  caron: '\u030c',
  cedil: '\u0327',
}
/** All but those of the last kind count without their `;` too. */
const REFERENCE =
  /&(?:#x0*([\da-f]{1,6})|#0*(\d{1,7})|(amp|lt|gt|quot|apos)|([a-z])(grave|acute|circ|tilde|uml|ring|caron|cedil));?|&(\w+);/gi
/** A reference to an ASCII character without its `;`, which runs into the digit or letter after it. */
const SHORT_REFERENCE = /&#(?:x([2-7][\da-f])|(3[2-9]|[4-9]\d))/gi

const ESCAPED: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  b: '\b',
  f: '\f',
  v: '\v',
  a: '\x07',
}
const BACKSLASH =
  /\\(?:u\{([\da-fA-F]{1,6})\}|U([\da-fA-F]{8})|u([\da-fA-F]{4})|x([\da-fA-F]{2})|([0-3][0-7]{2})|(N\{[^}]{1,100}\})|(.))/gs

const PERCENT = /%(?:u([\da-fA-F]{4})|([\da-fA-F]{2}))/g
/** UTF-8 whose bytes were taken for characters. @see RFC 3629 §4 */
const BYTES = /[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}/g

/** Invalid code points are left out, as unknown references are: see `lettersOf` in secrets.ts. */
const character = (digits: string, radix = 16): string => {
  const code = Number.parseInt(digits, radix)
  return code <= 0x10ffff ? String.fromCodePoint(code) : ''
}

/** What undoes one encoding each: HTML; JSON, JavaScript and Python; URLs; forms; bytes shown as characters. */
const DECODERS: readonly ((text: string) => string)[] = [
  text =>
    text.replace(
      REFERENCE,
      (_, hex?: string, decimal?: string, basic?: string, letter = '', accent = '', name = '') => {
        if (hex !== undefined) return character(hex)
        if (decimal !== undefined) return character(decimal, 10)
        if (accent !== '') return (letter + ACCENTS[accent.toLowerCase()]).normalize('NFC')
        named ??= namedReferences()
        return named.get(basic?.toLowerCase() ?? name) ?? ''
      },
    ),
  text =>
    text.replace(SHORT_REFERENCE, (_, hex?: string, decimal = '') =>
      hex === undefined ? character(decimal, 10) : character(hex),
    ),
  text =>
    text.replace(BACKSLASH, (_, ...groups: (string | undefined)[]) => {
      const [braced, long, short, byte, octal, named, other = ''] = groups
      const digits = braced ?? long ?? short ?? byte
      if (digits !== undefined) return character(digits)
      if (octal !== undefined) return character(octal, 8)
      return named === undefined ? (ESCAPED[other] ?? other) : ''
    }),
  // Where the case of all was changed.
  text => text.replace(/\\[A-Z]/g, start => start.toLowerCase()),
  text => text.replace(PERCENT, (_, unit?: string, byte = '') => character(unit ?? byte)),
  text => text.replaceAll('+', ' '),
  text => text.normalize('NFC').replace(BYTES, bytes => Buffer.from(bytes, 'latin1').toString()),
]

/** Of all decodings together, in characters: a server could nest its encodings for ever. */
const MAX_DECODED_LENGTH = 256 * 1024

/**
 * A text, and what it says where any of the encodings in it is undone, in any order and as often as there are any.
 * @returns undefined where that is more than a person would ever be shown.
 */
export function decodings(text: string): ReadonlySet<string> | undefined {
  if (text.length > MAX_DECODED_LENGTH) return undefined
  const found = new Set([text])
  let length = 0
  for (const form of found)
    for (const decode of DECODERS) {
      const decoded = decode(form)
      if (found.has(decoded)) continue
      length += decoded.length
      if (length > MAX_DECODED_LENGTH) return undefined
      found.add(decoded)
    }
  return found
}
