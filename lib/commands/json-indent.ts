const STEP = '  '

/**
 * Indents JSON as it streams by, at constant memory and without reading numbers or strings, so that
 * every value stays as the server wrote it. What is not JSON passes with its spaces kept or not, but
 * never with an error.
 */
export class JsonIndenter {
  #depth = 0
  #inString = false
  #escaped = false
  /** A bracket has been opened and nothing has come after it yet. */
  #opened = false

  push(text: string): string {
    let out = ''
    for (const character of text) out += this.#next(character)
    return out
  }

  #next(character: string): string {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false
      else if (character === '\\') this.#escaped = true
      else if (character === '"') this.#inString = false
      return character
    }
    if (/\s/.test(character)) return ''
    const first = this.#opened
    this.#opened = false
    if (character === '}' || character === ']') {
      this.#depth = Math.max(0, this.#depth - 1)
      return first ? character : this.#newLine() + character
    }
    const lead = first ? this.#newLine() : ''
    if (character === '{' || character === '[') {
      this.#depth++
      this.#opened = true
    }
    if (character === '"') this.#inString = true
    if (character === ',') return `,${this.#newLine()}`
    return lead + (character === ':' ? ': ' : character)
  }

  #newLine(): string {
    return `\n${STEP.repeat(this.#depth)}`
  }
}
