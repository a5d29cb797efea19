import { sanitizeLine } from './safe-text.ts'
import { renderLine, type Style, styled } from './style.ts'

const STEP = '  '
/** Deeper levels are indented no further, so that a body of nothing but brackets stays as long as it is. */
const MAX_INDENT = 100
/** Deeper objects are not told from lists, so that their nesting takes no memory. */
const MAX_TRACKED_DEPTH = 10_000

type Kind = 'key' | 'string' | 'number' | 'literal' | 'punctuation'

const STYLES: Record<Kind, Style | undefined> = {
  key: 'cyan',
  string: 'green',
  number: 'yellow',
  literal: 'magenta',
  punctuation: undefined,
}

/**
 * JSON for a terminal: indented, coloured and harmless, as it streams by, at constant memory. Numbers and
 * strings are not read, so every value stays as the server wrote it. What is not JSON passes with its
 * spaces kept or not, but never with an error.
 */
export class JsonPrinter {
  readonly #colour: boolean
  #out = ''
  /** What has come of the present token, and what it is. */
  #run = ''
  #kind: Kind = 'punctuation'
  #depth = 0
  /** For each open bracket, whether it is an object's. */
  readonly #objects: boolean[] = []
  #expectsKey = false
  #inString = false
  #escaped = false
  /** A bracket has been opened and nothing has come after it yet. */
  #opened = false

  constructor(colour: boolean) {
    this.#colour = colour
  }

  push(text: string): string {
    for (const character of text) this.#next(character)
    return this.end()
  }

  /** What has been held back. */
  end(): string {
    this.#flush()
    const out = this.#out
    this.#out = ''
    return out
  }

  #next(character: string): void {
    if (this.#inString) {
      this.#emit(character, this.#kind)
      if (this.#escaped) this.#escaped = false
      else if (character === '\\') this.#escaped = true
      else if (character === '"') this.#inString = false
      return
    }
    if (/\s/.test(character)) return
    const first = this.#opened
    this.#opened = false
    if (first && character !== '}' && character !== ']') this.#newLine()
    switch (character) {
      case '{':
      case '[':
        this.#emit(character, 'punctuation')
        if (this.#depth < MAX_TRACKED_DEPTH) this.#objects[this.#depth] = character === '{'
        this.#depth++
        this.#opened = true
        this.#expectsKey = character === '{'
        break
      case '}':
      case ']':
        this.#depth = Math.max(0, this.#depth - 1)
        if (!first) this.#newLine()
        this.#emit(character, 'punctuation')
        break
      case ',':
        this.#emit(character, 'punctuation')
        this.#expectsKey = this.#objects[this.#depth - 1] ?? false
        this.#newLine()
        break
      case ':':
        this.#expectsKey = false
        this.#emit(': ', 'punctuation')
        break
      case '"':
        this.#inString = true
        this.#emit(character, this.#expectsKey ? 'key' : 'string')
        break
      default:
        this.#emit(character, this.#wordKind(character))
    }
  }

  /** Numbers and literals are told apart by how they begin. */
  #wordKind(character: string): Kind {
    if (this.#kind === 'number' || this.#kind === 'literal') return this.#kind
    return /[-\d]/.test(character) ? 'number' : 'literal'
  }

  #emit(text: string, kind: Kind): void {
    if (kind !== this.#kind) this.#flush()
    this.#kind = kind
    this.#run += text
  }

  #newLine(): void {
    this.#flush()
    this.#out += `\n${STEP.repeat(Math.min(this.#depth, MAX_INDENT))}`
  }

  #flush(): void {
    if (this.#run === '') return
    const style = STYLES[this.#kind]
    this.#out += style ? renderLine([styled(style, this.#run)], this.#colour) : sanitizeLine(this.#run)
    this.#run = ''
  }
}
