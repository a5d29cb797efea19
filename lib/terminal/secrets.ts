import { sanitizeLine } from './safe-text.ts'

/** In characters: a shorter one may be a word of our own messages; a server's text that holds one is not shown. */
const MIN_MASKED_LENGTH = 6
/** A piece of a secret this long in foreign text is no coincidence, in characters. */
const PIECE_LENGTH = 12
/** Only this much of a foreign text is ever shown, so pieces are looked for in no more, in characters. */
const MAX_SEARCHED_LENGTH = 1_000

/** What this process must never print. */
export interface Secrets {
  add(...values: (string | null | undefined)[]): void
  /** The text with `[hidden]` for every known secret, in each form in which a server may echo it. */
  readonly mask: (text: string) => string
  /** False where foreign text holds a known secret of any length, or begins with a long piece of one. */
  readonly isSafeToShow: (text: string) => boolean
}

const forms = (secret: string): string[] => [
  secret,
  JSON.stringify(secret).slice(1, -1),
  sanitizeLine(JSON.stringify(secret).slice(1, -1)),
  encodeURIComponent(secret.toWellFormed()),
  encodeURI(secret.toWellFormed()),
  new URLSearchParams({ '': secret }).toString().slice(1),
  secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
  Bun.escapeHTML(secret),
]

/** More than is ever shown of a foreign text is not decoded, in characters. */
const MAX_DECODED_LENGTH = 16_384
/** Encodings may be nested, but a server could nest them for ever. */
const MAX_DECODINGS = 32

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
const ESCAPED: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', 0: '\0' }

const character = (digits: string, radix: number): string => {
  const code = Number.parseInt(digits, radix)
  return code <= 0x10_ff_ff ? String.fromCodePoint(code) : ''
}
const bytesToText = (escapes: string): string =>
  Buffer.from(escapes.replace(/[^0-9a-f]/gi, ''), 'hex').toString()

/** What undoes one encoding each: of URLs, forms, HTML, JSON and Python's `repr`, of text and of bytes. */
const DECODERS: readonly ((text: string) => string)[] = [
  text => text.replace(/(?:%[0-9a-f]{2})+/gi, bytesToText),
  text => text.replaceAll('+', ' '),
  text =>
    text.replace(/&#(?:x([0-9a-f]{1,6})|(\d{1,7}));?/gi, (_, hex?: string, decimal = '') =>
      hex === undefined ? character(decimal, 10) : character(hex, 16),
    ),
  text => text.replace(/&(amp|lt|gt|quot|apos);?/gi, (_, name: string) => NAMED[name.toLowerCase()] ?? ''),
  text =>
    text.replace(
      /\\(?:u\{([0-9a-f]{1,6})\}|U([0-9a-f]{8})|u([0-9a-f]{4})|x([0-9a-f]{2})|(.))/gis,
      (_, braced?: string, long?: string, short?: string, byte?: string, other = '') => {
        const digits = braced ?? long ?? short ?? byte
        return digits === undefined ? (ESCAPED[other] ?? other) : character(digits, 16)
      },
    ),
  text => text.replace(/(?:\\x[0-9a-f]{2})+/gi, escapes => bytesToText(escapes.replaceAll('x', ''))),
]

/** The text, and what it says once each encoding in it is undone, in any order. */
function decodings(text: string): string[] {
  const found = new Set([text])
  for (const form of found) {
    for (const decode of DECODERS)
      if (found.size < MAX_DECODINGS) found.add(decode(form.slice(0, MAX_DECODED_LENGTH)))
  }
  return [...found]
}

/** The form in which texts are compared: servers change case, and compose characters differently. */
const fold = (text: string): string => text.normalize('NFKC').toLowerCase()

/** A shorter beginning or end of a secret is a coincidence, in characters. */
const MIN_CUT_LENGTH = 4

/** Whether a text that was cut in the middle, as validation errors are, has a part of a secret beside the cut. */
const isCutOff = (text: string, secret: string): boolean =>
  text.split(/\.{3}|…/).some((piece, index, { length }) => {
    for (let size = MIN_CUT_LENGTH; size < Math.min(secret.length, PIECE_LENGTH); size++) {
      if (index < length - 1 && piece.endsWith(secret.slice(0, size))) return true
      if (index > 0 && piece.startsWith(secret.slice(-size))) return true
    }
    return false
  })

function sharePiece(text: string, secret: string): boolean {
  const [short, long] = text.length < secret.length ? [text, secret] : [secret, text]
  for (let start = 0; start + PIECE_LENGTH <= short.length; start++)
    if (long.includes(short.slice(start, start + PIECE_LENGTH))) return true
  return false
}

export function createSecrets(): Secrets {
  const known = new Set<string>()
  const folded = new Set<string>()
  return {
    add(...values) {
      for (const value of values) {
        if (!value) continue
        for (const form of forms(value)) known.add(form)
        folded.add(fold(value))
      }
    },
    mask: text =>
      [...known]
        .filter(secret => secret.length >= MIN_MASKED_LENGTH)
        .sort((a, b) => b.length - a.length)
        .reduce((masked, secret) => masked.replaceAll(secret, '[hidden]'), text),
    isSafeToShow: text =>
      !decodings(text).some(form => {
        const sought = fold(form)
        const start = sought.slice(0, MAX_SEARCHED_LENGTH)
        return [...folded].some(
          secret => sought.includes(secret) || sharePiece(start, secret) || isCutOff(start, secret),
        )
      }),
  }
}
