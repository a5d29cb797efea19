import { sanitizeLine } from './safe-text.ts'

/*
 * Shorter ones would blank ordinary words out of our own sentences; where a server repeats one of
 * those, its whole text is withheld (see `repeats`).
 */
const MIN_MASKED_LENGTH = 6

/** So much of a secret in a foreign text is no chance, in characters. */
const PIECE_LENGTH = 12
/** No more than this of a foreign text is shown or looked through for pieces, in characters. */
const MAX_LOOKED_THROUGH = 1_000

/** What this process must never print, and the means to keep it so. */
export interface Secrets {
  add(...values: (string | null | undefined)[]): void
  /** The text with every known secret, in the forms a server may echo it, replaced. */
  mask(text: string): string
  /** Whether foreign text holds a known secret of any length, or a long piece of one at its beginning. */
  repeats(text: string): boolean
}

const forms = (secret: string): string[] => [
  secret,
  JSON.stringify(secret).slice(1, -1),
  sanitizeLine(JSON.stringify(secret).slice(1, -1)),
  encodeURIComponent(secret.toWellFormed()),
  encodeURI(secret.toWellFormed()),
  new URLSearchParams({ '': secret }).toString().slice(1),
  secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
]

/** What a text says once percent escapes and the `+` of forms are undone. */
const decodings = (text: string): string[] => {
  const decoded = text.replace(/(?:%[0-9a-f]{2})+/gi, escapes =>
    Buffer.from(escapes.replaceAll('%', ''), 'hex').toString(),
  )
  return [text, decoded, decoded.replaceAll('+', ' ')]
}

function sharePiece(text: string, secret: string): boolean {
  const [short, long] = text.length < secret.length ? [text, secret] : [secret, text]
  for (let start = 0; start + PIECE_LENGTH <= short.length; start++)
    if (long.includes(short.slice(start, start + PIECE_LENGTH))) return true
  return false
}

export function createSecrets(): Secrets {
  const known = new Set<string>()
  const longestFirst = (): string[] => [...known].sort((a, b) => b.length - a.length)
  return {
    add(...values) {
      for (const value of values) if (value) for (const form of forms(value)) known.add(form)
    },
    mask: text =>
      longestFirst()
        .filter(secret => secret.length >= MIN_MASKED_LENGTH)
        .reduce((masked, secret) => masked.replaceAll(secret, '[hidden]'), text),
    repeats: text =>
      decodings(text).some(form =>
        longestFirst().some(
          secret => form.includes(secret) || sharePiece(form.slice(0, MAX_LOOKED_THROUGH), secret),
        ),
      ),
  }
}
