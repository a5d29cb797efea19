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
]

/** The text, also with its percent escapes and the `+` of forms decoded. */
function decodings(text: string): string[] {
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
  return {
    add(...values) {
      for (const value of values) if (value) for (const form of forms(value)) known.add(form)
    },
    mask: text =>
      [...known]
        .filter(secret => secret.length >= MIN_MASKED_LENGTH)
        .sort((a, b) => b.length - a.length)
        .reduce((masked, secret) => masked.replaceAll(secret, '[hidden]'), text),
    isSafeToShow: text =>
      !decodings(text).some(form => {
        const start = form.slice(0, MAX_SEARCHED_LENGTH)
        return [...known].some(secret => form.includes(secret) || sharePiece(start, secret))
      }),
  }
}
