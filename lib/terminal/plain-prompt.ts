import type { ReadStream, WriteStream } from 'node:tty'

const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const CTRL_BACKSLASH = '\u001c'
const ESCAPE = '\u001b'
const CTRL_U = '\u0015'
const LEAVE = new Set([CTRL_C, CTRL_BACKSLASH])
const ENTER = new Set(['\r', '\n'])
const BACKSPACE = new Set(['\b', '\u007f'])

/** Questions of one line each, as `ssh` asks them. */
export interface PlainPrompts {
  /** @returns undefined where the question was left with Ctrl-C or Ctrl-D. */
  ask(question: string): Promise<string | undefined>
  /**
   * The same for an answer that the terminal must not show, and that may not be empty.
   * @param empty said where nothing was typed, before the question is asked again.
   */
  askSecret(question: string, empty: string): Promise<string | undefined>
}

/**
 * Prompts for a terminal that cannot move its cursor, does not say how wide it is, or is read aloud.
 * What is typed ahead of a question answers it.
 */
export function createPlainPrompts(input: ReadStream, output: Pick<WriteStream, 'write'>): PlainPrompts {
  const decoder = new TextDecoder()
  const ahead: string[] = []

  const readAnswer = (): Promise<string | undefined> =>
    new Promise(resolve => {
      const answer: string[] = []
      const finish = (result: string | undefined): void => {
        input.off('data', take).off('end', leave)
        input.pause()
        resolve(result)
      }
      const leave = (): void => finish(undefined)
      const take = (bytes: Uint8Array | string): void => {
        const text = typeof bytes === 'string' ? bytes : decoder.decode(bytes, { stream: true })
        // Alone it is the key; with more behind it, an arrow or the like.
        ahead.push(...(text === ESCAPE ? CTRL_C : text))
        for (let key = ahead.shift(); key !== undefined; key = ahead.shift()) {
          const left = LEAVE.has(key) || (key === CTRL_D && answer.length === 0)
          if (left || ENTER.has(key)) {
            finish(left ? undefined : answer.join(''))
            return
          }
          if (BACKSPACE.has(key)) answer.pop()
          else if (key === CTRL_U) answer.length = 0
          else answer.push(key)
        }
      }
      input.on('data', take).on('end', leave)
      input.resume()
      if (ahead.length > 0) take('')
    })

  return {
    ask(question) {
      output.write(`${question}: `)
      return readAnswer()
    },
    async askSecret(question, empty) {
      // Before the question: what is typed at once must not be shown either.
      input.setRawMode(true)
      try {
        for (;;) {
          output.write(`${question} (not shown): `)
          const answer = await readAnswer()
          output.write('\n')
          if (answer !== '') return answer
          output.write(`${empty}\n`)
        }
      } finally {
        input.setRawMode(false)
      }
    },
  }
}
