import { decodings } from './decodings.ts'
import { sanitizeLine } from './safe-text.ts'

/** In characters: a shorter one may be a word of our own messages; a server's text that holds one is not shown. */
const MIN_MASKED_LENGTH = 6
/** A piece of a secret this long in foreign text is no coincidence, in characters. */
const MAX_PIECE_LENGTH = 12
/** A shorter piece counts only if it is at least this long and two thirds of the secret, in characters. */
const MIN_PIECE_LENGTH = 5
/** A shorter beginning or end of a secret beside a cut is a coincidence, in characters. */
const MIN_CUT_LENGTH = 4
/** The letters and digits of a secret identify it if they are as many as this. */
const MIN_LETTERS = 6
/** No more of a foreign text is ever shown, so pieces are looked for in no more, in characters. */
const MAX_SEARCHED_LENGTH = 16_384

/** What this process must never print. */
export interface Secrets {
  add(...values: (string | null | undefined)[]): void
  /** The text with `[hidden]` for every known secret, or instead of all of it where one is encoded in it. */
  readonly mask: (text: string) => string
  /**
   * False where foreign text holds a known secret of any length, or a long piece of one, however the server has encoded,
   * cut or changed it. Base64 is not decoded: no Atlas server echoes anything in it.
   */
  readonly isSafeToShow: (text: string) => boolean
}

/** The forms that can be replaced within a text. */
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

/** Servers change case, compose characters differently, fold spaces and drop what is not seen. */
const fold = (text: string): string =>
  text
    .normalize('NFKD')
    .replace(/[\p{M}\p{Default_Ignorable_Code_Point}]+/gu, '')
    .toUpperCase()
    .replace(/\s+/g, ' ')

/** What is left of a text by any encoding, known or not, lossy or not. */
const lettersOf = (text: string): string =>
  text
    .normalize('NFC')
    .replace(/[^A-Za-z0-9]+/g, '')
    .toUpperCase()

/** Whether a part of a secret stands beside a cut (`...`, `***`), or at least half of one at an end of the text. */
const isBesideCut = (text: string, secret: string): boolean =>
  text.split(/\.{2,}|\*{2,}/).some((piece, index, { length }) => {
    const half = Math.ceil(secret.length / 2)
    for (let size = MIN_CUT_LENGTH; size < Math.min(secret.length, MAX_PIECE_LENGTH); size++) {
      if ((index < length - 1 || size >= half) && piece.endsWith(secret.slice(0, size))) return true
      if ((index > 0 || size >= half) && piece.startsWith(secret.slice(-size))) return true
    }
    return false
  })

const piecesOf = function* (text: string, length: number): Generator<string> {
  for (let start = 0; start + length <= text.length; start++) yield text.slice(start, start + length)
}

/** What tells whether foreign text, once decoded, has something of a secret in it. */
function createSearch(secret: string): (text: string, folded: string, letters: string) => boolean {
  const whole = fold(secret).trim()
  const skeleton = lettersOf(secret)
  const twoThirds = Math.max(MIN_PIECE_LENGTH, Math.ceil((whole.length * 2) / 3))
  const pieceLength = Math.min(MAX_PIECE_LENGTH, twoThirds)
  const pieces = new Set(piecesOf(whole, pieceLength))
  return (text, folded, letters) => {
    if (text.includes(secret) || (whole !== '' && folded.includes(whole))) return true
    if (skeleton.length >= MIN_LETTERS && letters.includes(skeleton)) return true
    const start = folded.slice(0, MAX_SEARCHED_LENGTH)
    return isBesideCut(start, whole) || piecesOf(start, pieceLength).some(piece => pieces.has(piece))
  }
}

export function createSecrets(): Secrets {
  const known = new Map<string, ReturnType<typeof createSearch> | undefined>()
  const masked = new Set<string>()
  const holdsSecret = (text: string): boolean => {
    const [folded, letters] = [fold(text), lettersOf(text)]
    for (const [secret, made] of known) {
      const search = made ?? createSearch(secret)
      known.set(secret, search)
      if (search(text, folded, letters)) return true
    }
    return false
  }
  return {
    add(...values) {
      for (const value of values) {
        if (!value || known.has(value)) continue
        // Made at the first search: most runs see no foreign text.
        known.set(value, undefined)
        if (value.length >= MIN_MASKED_LENGTH) for (const form of forms(value)) masked.add(form)
      }
    },
    mask(text) {
      const rest = [...masked]
        .sort((a, b) => b.length - a.length)
        .reduce((left, form) => left.replaceAll(form, '[hidden]'), text)
      const long = [...known.keys()].filter(({ length }) => length >= MIN_MASKED_LENGTH)
      if (long.length === 0) return rest
      const decoded = decodings(rest)
      const isClean = decoded && ![...decoded].some(form => long.some(secret => form.includes(secret)))
      return isClean ? rest : '[hidden]'
    },
    isSafeToShow(text) {
      if (known.size === 0) return true
      const decoded = decodings(text)
      return decoded !== undefined && ![...decoded].some(holdsSecret)
    },
  }
}
