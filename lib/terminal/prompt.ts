import type { ReadStream } from 'node:tty'
import { sanitizeLine } from './safe-text.ts'

const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const CTRL_U = '\u0015'
const CTRL_W = '\u0017'
const CTRL_Z = '\u001a'
const ENTER = new Set(['\r', '\n', '\r\n'])
const BACKSPACE = new Set(['\b', '\u007f'])
/** Ctrl-C, Ctrl-\ and Escape. */
const LEAVE = new Set([CTRL_C, '\u001c', '\u001b'])
/** One key: the escape sequence of an arrow or the like, Alt with a key, a line ending, or one character. */
const KEY = /\u001b(?:\[[0-?]*[ -/]*[@-~]?|O.|[^\u001b])|\r\n|./gsu

/**
 * Asks questions of one line each, as `ssh` does: only backspaces move the cursor. The terminal is in raw mode during
 * visible answers too, which are echoed from here, so that it never echoes a password that is typed ahead.
 */
export class Prompt {
  readonly #input: ReadStream
  readonly #write: (text: string) => void
  /** Keys that no question has used yet. */
  readonly #ahead: string[] = []
  #isAsking = false
  #wake = (): void => {}

  constructor(input: ReadStream, write: (text: string) => void) {
    this.#input = input.setEncoding('utf8')
    this.#write = write
  }

  /** @returns undefined where the question was left with Ctrl-C, Ctrl-D, Ctrl-\ or Escape, or the terminal is gone. */
  async ask(question: string, { hidden }: { hidden: boolean }): Promise<string | undefined> {
    const line = new Line(hidden ? () => {} : this.#write)
    const resume = (): void => {
      // The shell has changed the mode; the runtime does not know, and ignores `true` while it believes the mode is raw.
      this.#input.setRawMode(false)
      this.#input.setRawMode(true)
      line.forget()
      this.#write(question)
    }
    this.#isAsking = true
    process.on('SIGCONT', resume)
    this.#input.on('data', this.#take).on('end', this.#take).resume()
    this.#input.setRawMode(true)
    this.#write(question)
    try {
      return await this.#answer(line)
    } finally {
      process.off('SIGCONT', resume)
      this.#input.off('data', this.#take).off('end', this.#take).pause()
      this.#isAsking = false
      this.#write('\n')
      // Not at once: a second question may follow, and what is typed between the two must not be echoed.
      setImmediate(() => this.#isAsking || this.#input.setRawMode(false))
    }
  }

  restore(): void {
    this.#input.setRawMode(false)
    if (this.#isAsking) this.#write('\n')
  }

  async #answer(line: Line): Promise<string | undefined> {
    for (;;) {
      const key = this.#ahead.shift()
      if (key === undefined) await new Promise<void>(resolve => (this.#wake = resolve))
      else if (ENTER.has(key)) return line.text
      else if (LEAVE.has(key) || (key === CTRL_D && line.text === '')) return undefined
      else if (key === CTRL_Z) this.#suspend()
      else line.edit(key)
    }
  }

  /** Without keys, the terminal is gone. */
  readonly #take = (keys = CTRL_C): void => {
    this.#ahead.push(...(keys.match(KEY) ?? []))
    this.#wake()
  }

  /**
   * Stop the whole process group, as a terminal that is not in raw mode would, so that the shell notices. `kill` returns
   * once it was continued; at once where no shell could continue it, as the kernel then ignores the signal.
   */
  #suspend(): void {
    if (process.platform === 'win32') return
    this.#input.setRawMode(false)
    process.kill(0, 'SIGTSTP')
    this.#input.setRawMode(true)
  }
}

class Line {
  readonly #echo: (text: string) => void
  readonly #keys: string[] = []

  constructor(echo: (text: string) => void) {
    this.#echo = echo
  }

  get text(): string {
    return this.#keys.join('')
  }

  /** Forget what was typed, without erasing it. */
  forget(): void {
    this.#keys.length = 0
  }

  edit(key: string): void {
    if (BACKSPACE.has(key)) this.#erase(1)
    else if (key === CTRL_U) this.#erase(this.#keys.length)
    else if (key === CTRL_W) this.#erase([...(this.text.match(/\S*\s*$/)?.[0] ?? '')].length)
    else if (key !== CTRL_D && !key.startsWith('\u001b')) {
      this.#keys.push(key)
      this.#echo(sanitizeLine(key))
    }
  }

  #erase(count: number): void {
    for (const key of this.#keys.splice(Math.max(0, this.#keys.length - count)))
      this.#echo('\b \b'.repeat(Bun.stringWidth(sanitizeLine(key))))
  }
}
