import { closeSync, constants, openSync, readSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import { readJob } from './job.ts'
import { Keys } from './keys.ts'
import { sanitizeLine } from './safe-text.ts'

const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const CTRL_U = '\u0015'
const CTRL_W = '\u0017'
const CTRL_Z = '\u001a'
const CTRL_BACKSLASH = '\u001c'
const ESCAPE = '\u001b'
const ENTER = new Set(['\r', '\n', '\r\n'])
const BACKSPACE = new Set(['\b', '\u007f'])
const LEAVE = new Set([CTRL_C, CTRL_BACKSLASH, ESCAPE])
/** Keys that stand for no character: escape sequences, and what Ctrl makes of letters. */
const CONTROL = /^[\0-\u0008\u000b-\u001f]/
/** What does not follow an Escape within this time is not the rest of a sequence. */
const ESCAPE_MS = 100

type Terminal = ReadStream & { readonly fd: number }

/**
 * Asks questions of one line each, as `ssh` does: only backspaces move the cursor. The terminal is in raw mode during
 * visible answers too, which are echoed from here, so that it never echoes a password that is typed ahead.
 */
export class Prompt {
  readonly #input: Terminal
  readonly #write: (text: string) => void
  readonly #flush: () => Promise<void>
  readonly #keys = new Keys()
  #isAsking = false
  #isGone = false
  /** Whether atlas was stopped and the question is not shown again yet. */
  #wasStopped = false
  #wake = (): void => {}

  /**
   * @param flush waits until all that was written is on the screen.
   * @param encoding of what is typed.
   */
  constructor(
    input: Terminal,
    write: (text: string) => void,
    flush: () => Promise<void>,
    encoding: BufferEncoding = 'utf8',
  ) {
    this.#input = input.setEncoding(encoding).on('error', this.#lose)
    this.#write = write
    this.#flush = flush
  }

  /** @returns undefined where the question was left with Ctrl-C, Ctrl-D, Ctrl-\ or Escape, or the terminal is gone. */
  async ask(question: string, { hidden }: { hidden: boolean }): Promise<string | undefined> {
    this.#isAsking = true
    this.#input.on('data', this.#take).on('end', this.#lose).resume()
    this.#watch()
    try {
      return (await this.#show(question)) ? await this.#answer(question, hidden) : undefined
    } finally {
      this.#unwatch()
      this.#input.off('data', this.#take).off('end', this.#lose).pause()
      if (this.#isAsking) this.#write('\n')
      this.#isAsking = false
      // Not at once: a second question may follow, and what is typed between the two must not be echoed.
      setImmediate(() => this.#isAsking || this.#leaveRawMode())
    }
  }

  /** Leave the terminal as it was found, and the question, if any: nothing is asked any more. */
  restore(): void {
    this.#leaveRawMode()
    if (this.#isAsking) this.#write('\n')
    this.#isAsking = false
    this.#lose()
  }

  async #answer(question: string, hidden: boolean): Promise<string | undefined> {
    const line = new Line()
    let echo = ''
    for (;;) {
      const key = this.#wasStopped ? undefined : this.#keys.next()
      if (key !== undefined && !ENTER.has(key) && !LEAVE.has(key) && key !== CTRL_Z) {
        if (key === CTRL_D && line.text === '') return undefined
        echo += line.edit(key)
        continue
      }
      if (!hidden && echo !== '') this.#write(echo)
      echo = ''
      if (this.#wasStopped) {
        line.forget()
        if (!(await this.#show(question))) return undefined
      } else if (key === undefined) {
        if (this.#isGone) return undefined
        if (!(await this.#more(this.#keys.isAtEscape ? ESCAPE_MS : undefined))) return undefined
        await nextTurn()
      } else if (ENTER.has(key)) return line.text
      else if (LEAVE.has(key)) return undefined
      else if (readJob().canBeContinued) {
        await this.#flush()
        this.#stop('SIGTSTP', 0)
      }
    }
  }

  /** Show the question once atlas has the terminal. @returns whether it ever has. */
  async #show(question: string): Promise<boolean> {
    for (;;) {
      if (this.#wasStopped) await nextTurn()
      if (this.#isGone) return false
      const { isInForeground, canBeContinued } = readJob()
      if (isInForeground) break
      if (!canBeContinued) return false
      this.#stop('SIGTTIN', 0)
    }
    this.#enterRawMode()
    if (this.#wasStopped) {
      // It was typed to a shell or to nobody, and may have been echoed.
      dropTyped()
      this.#keys.clear()
      this.#wasStopped = false
    }
    this.#write(question)
    return true
  }

  /** Wait until something happens, or the time is up. @returns false where it is. */
  #more(ms?: number): Promise<boolean> {
    return new Promise(resolve => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms, false)
      this.#wake = () => {
        clearTimeout(timer)
        resolve(true)
      }
    })
  }

  readonly #take = (piece: string): void => {
    this.#keys.add(piece)
    this.#wake()
  }

  readonly #lose = (): void => {
    this.#isGone = true
    this.#wake()
  }

  readonly #suspend = (): void => {
    if (readJob().canBeContinued) this.#stop('SIGTSTP', process.pid)
  }

  readonly #continue = (): void => {
    this.#wasStopped = true
    this.#wake()
  }

  #watch(): void {
    process.on('SIGTSTP', this.#suspend).on('SIGCONT', this.#continue)
  }

  #unwatch(): void {
    process.off('SIGTSTP', this.#suspend).off('SIGCONT', this.#continue)
  }

  /**
   * Leave the terminal as it was found and stop, with the whole job where the target is 0, as a terminal that is not in
   * raw mode would stop it, so that the shell notices. `kill` returns once the process was continued.
   */
  #stop(signal: 'SIGTSTP' | 'SIGTTIN', target: number): void {
    this.#leaveRawMode()
    // With a listener, the signal would not stop anything.
    this.#unwatch()
    process.kill(target, signal)
    this.#watch()
    this.#continue()
  }

  /**
   * A stream takes the mode as known once it has set it, so after a stop that it did not see another one sets it. By
   * leaving and entering, the terminal would echo in between.
   */
  #enterRawMode(): void {
    const stream = this.#input.isRaw ? new ReadStream(this.#input.fd).on('error', this.#lose) : this.#input
    stream.setRawMode(true)
    process.off('exit', exitFromBackground).on('exit', exitFromBackground)
  }

  /** In the background the terminal is another's, and changing it would stop this process. */
  #leaveRawMode(): void {
    if (this.#input.isRaw && readJob().isInForeground) this.#input.setRawMode(false)
  }
}

/**
 * End with this status where the terminal is another's: the runtime resets the terminal when it ends, once it was in raw
 * mode, and that would stop this process for good. Another program in its place does nothing of the kind.
 */
function exitFromBackground(status: number): void {
  if (readJob().isInForeground) return
  try {
    process.execve?.('/bin/sh', ['sh', '-c', `exit ${status}`])
  } catch {
    // Without a shell there are no jobs.
  }
}

/** Signals that are there already come first: the one that says that this process was continued, and one that ends it. */
const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** Drop what the terminal holds for the next reader. */
function dropTyped(): void {
  try {
    const terminal = openSync('/dev/tty', constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
    try {
      const piece = new Uint8Array(4096)
      while (readSync(terminal, piece) > 0);
    } finally {
      closeSync(terminal)
    }
  } catch {
    // EAGAIN: nothing is left.
  }
}

class Line {
  #keys: string[] = []

  get text(): string {
    return this.#keys.join('')
  }

  /** Forget what was typed, without erasing it. */
  forget(): void {
    this.#keys = []
  }

  /** @returns what a terminal must be sent to show the line after the key. */
  edit(key: string): string {
    if (BACKSPACE.has(key)) return this.#erase(1)
    if (key === CTRL_U) return this.#erase(this.#keys.length)
    if (key === CTRL_W) return this.#erase(this.#keys.length - this.#lastWord())
    if (CONTROL.test(key)) return ''
    this.#keys.push(key)
    return sanitizeLine(key)
  }

  /** Where the last word begins. */
  #lastWord(): number {
    const afterSpaces = this.#keys.findLastIndex(key => key.trim() !== '')
    return this.#keys.findLastIndex((key, index) => index < afterSpaces && key.trim() === '') + 1
  }

  #erase(count: number): string {
    const erased = this.#keys.splice(Math.max(0, this.#keys.length - count))
    return erased.map(key => '\b \b'.repeat(Bun.stringWidth(sanitizeLine(key)))).join('')
  }
}
