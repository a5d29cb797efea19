/**
 * One whole key: the escape sequence of an arrow or the like, also one that something else cuts off; Alt with a key; an
 * Escape before another one; a line ending; or one character.
 */
const KEY = /\u001b(?:(?:\[\[?|O)[ -?]*(?:[@-~]|(?=[^ -~]))|[^[O\u001b]|(?=\u001b))|\r\n?|[^\u001b]/uy

/** What is typed at a terminal, as keys, whatever the pieces are in which it arrives. */
export class Keys {
  #typed = ''
  #at = 0
  #isAfterReturn = false

  /** Whether all that is left is an Escape, which is a key or begins one. */
  get isAtEscape(): boolean {
    return this.#at === this.#typed.length - 1 && this.#typed.endsWith('\u001b')
  }

  add(piece: string): void {
    const isRestOfEnter = this.#isAfterReturn && piece.startsWith('\n')
    this.#typed = this.#typed.slice(this.#at) + (isRestOfEnter ? piece.slice(1) : piece)
    this.#at = 0
    this.#isAfterReturn = false
  }

  /** @returns undefined where more must be typed first. */
  next(): string | undefined {
    KEY.lastIndex = this.#at
    const key = KEY.exec(this.#typed)?.[0]
    if (key === undefined) return undefined
    this.#at += key.length
    this.#isAfterReturn = key === '\r' && this.#at === this.#typed.length
    return key
  }

  /** Forget what no question has used yet. */
  clear(): void {
    this.#typed = ''
    this.#at = 0
    this.#isAfterReturn = false
  }
}
