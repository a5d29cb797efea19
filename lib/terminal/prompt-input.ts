import { Readable } from 'node:stream'
import type { ReadStream } from 'node:tty'

const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const CTRL_BACKSLASH = '\u001c'
const CTRL_U = '\u0015'
const ESCAPE = '\u001b'
const BACKSPACE = new Set(['\b', '\u007f'])
/** How long a prompt is given to look at an answer before it is handed what was typed behind it, in milliseconds. */
const LOOK_MS = 10

/**
 * The keyboard as a prompt of @clack/prompts wants it. The prompt takes CR alone for Enter, while programs that
 * type for people send LF; it does not know Ctrl-D, waits for what may follow Escape, and would swallow
 * what was typed ahead for the next prompt.
 */
export class PromptInput extends Readable {
  readonly isTTY = true
  readonly #terminal: ReadStream
  readonly #ahead: string[]
  readonly #decoder = new TextDecoder()
  /** How many characters of an answer are there. */
  #typed = 0
  #looking: ReturnType<typeof setTimeout> | undefined

  /** @param ahead what was typed and has not been answered with; kept from one prompt to the next. */
  constructor(terminal: ReadStream, ahead: string[]) {
    super({ encoding: 'utf8' })
    this.#terminal = terminal
    this.#ahead = ahead
    terminal.on('data', this.#take).on('end', this.#end)
    terminal.resume()
    this.#pass()
  }

  setRawMode(raw: boolean): this {
    this.#terminal.setRawMode(raw)
    return this
  }

  /** Leave the keyboard to others. */
  close(): void {
    clearTimeout(this.#looking)
    this.#terminal.off('data', this.#take).off('end', this.#end)
    this.#terminal.pause()
    this.destroy()
  }

  override _read(): void {}

  readonly #take = (bytes: Uint8Array | string): void => {
    const text = typeof bytes === 'string' ? bytes : this.#decoder.decode(bytes, { stream: true })
    // Alone it is the key; with more behind it, an arrow or the like.
    if (text === ESCAPE) this.#ahead.push(CTRL_C)
    else this.#ahead.push(...text)
    if (this.#looking === undefined) this.#pass()
  }

  readonly #end = (): void => {
    this.push(CTRL_C)
  }

  /** Hand on what is there, up to the end of one answer. */
  #pass(): void {
    this.#looking = undefined
    let keys = ''
    for (let key = this.#ahead.shift(); key !== undefined; key = this.#ahead.shift()) {
      if (key === '\r' || key === '\n') {
        // CR LF is one Enter.
        if (key === '\r' && this.#ahead[0] === '\n') this.#ahead.shift()
        this.push(`${keys}\r`)
        this.#looking = setTimeout(() => this.#pass(), LOOK_MS)
        return
      }
      if (key === CTRL_BACKSLASH || (key === CTRL_D && this.#typed === 0)) key = CTRL_C
      if (BACKSPACE.has(key)) this.#typed = Math.max(0, this.#typed - 1)
      else if (key === CTRL_U) this.#typed = 0
      else this.#typed++
      keys += key
    }
    if (keys !== '') this.push(keys)
  }
}
