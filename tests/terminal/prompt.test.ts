import { describe, expect, test } from 'bun:test'
import { EventEmitter } from 'node:events'
import { Prompt } from '../../lib/terminal/prompt.ts'

/** A terminal that a test types at. Its mode is only noted. */
class Keyboard extends EventEmitter {
  readonly fd = 0
  isRaw = false
  setEncoding = (): this => this
  resume = (): this => this
  pause = (): this => this
  setRawMode(isRaw: boolean): this {
    this.isRaw = isRaw
    return this
  }
}

interface Desk {
  readonly keyboard: Keyboard
  readonly prompt: Prompt
  /** Each text that was written. */
  readonly writes: string[]
}

function desk(): Desk {
  const keyboard = new Keyboard()
  const writes: string[] = []
  const write = (text: string): void => void writes.push(text)
  const input = keyboard as unknown as ConstructorParameters<typeof Prompt>[0]
  return { keyboard, writes, prompt: new Prompt(input, write, async () => {}) }
}

describe('a prompt', () => {
  test('echoes a paste of 60,000 characters at once', async () => {
    const { keyboard, prompt, writes } = desk()
    const answer = prompt.ask('E-mail: ', { hidden: false })
    keyboard.emit('data', `${'ä'.repeat(60_000)}\r`)
    expect(await answer).toBe('ä'.repeat(60_000))
    expect(writes).toEqual(['E-mail: ', 'ä'.repeat(60_000), '\n'])
  })

  test('deletes a line of 60,000 characters at once, and a word of spaces', async () => {
    const { keyboard, prompt, writes } = desk()
    const answer = prompt.ask('E-mail: ', { hidden: false })
    keyboard.emit('data', `${' '.repeat(59_999)}x\u0017\u0015ab\r`)
    expect(await answer).toBe('ab')
    expect(writes.join('')).toBe(`E-mail: ${' '.repeat(59_999)}x${'\b \b'.repeat(60_000)}ab\n`)
  })

  test('shows nothing of a hidden answer, and keeps spaces and a tab', async () => {
    const { keyboard, prompt, writes } = desk()
    const answer = prompt.ask('Password: ', { hidden: true })
    for (const piece of [' corr', 'ect\thor', 'se \r']) keyboard.emit('data', piece)
    expect(await answer).toBe(' correct\thorse ')
    expect(writes).toEqual(['Password: ', '\n'])
  })

  test('takes no control character for a part of the answer', async () => {
    const { keyboard, prompt } = desk()
    const answer = prompt.ask('Password: ', { hidden: true })
    keyboard.emit('data', 'cor\0rect\u0001 ho\u0013rse\u0011\r')
    expect(await answer).toBe('correct horse')
  })

  test('ignores arrows and the marks of a paste that arrive in pieces', async () => {
    const { keyboard, prompt } = desk()
    const answer = prompt.ask('Password: ', { hidden: true })
    for (const piece of ['\u001b', '[20', '0~correct\u001b', '[A ', 'horse', '\u001b[201', '~\r'])
      keyboard.emit('data', piece)
    expect(await answer).toBe('correct horse')
  })

  test('asks the next question anew although the LF of CR LF arrives after it', async () => {
    const { keyboard, prompt } = desk()
    const first = prompt.ask('E-mail: ', { hidden: false })
    keyboard.emit('data', 'ada@example.com\r')
    expect(await first).toBe('ada@example.com')
    const second = prompt.ask('Password: ', { hidden: true })
    keyboard.emit('data', '\n')
    keyboard.emit('data', 'correct horse\n')
    expect(await second).toBe('correct horse')
  })

  const LEFT: [how: string, leave: (keyboard: Keyboard, prompt: Prompt) => unknown][] = [
    ['an Escape that nothing follows', keyboard => keyboard.emit('data', 'abc\u001b')],
    ['the end of the terminal', keyboard => keyboard.emit('end')],
    ['an error of the terminal', keyboard => keyboard.emit('error', new Error('EIO'))],
    ['giving the terminal back', (_, prompt) => prompt.restore()],
  ]
  test.each(LEFT)('is left by %s, and the terminal is as before', async (_, leave) => {
    const { keyboard, prompt, writes } = desk()
    const answer = prompt.ask('Name: ', { hidden: true })
    expect(keyboard.isRaw).toBe(true)
    leave(keyboard, prompt)
    expect(await answer).toBeUndefined()
    await new Promise(resolve => setImmediate(resolve))
    expect(keyboard.isRaw).toBe(false)
    expect(writes).toEqual(['Name: ', '\n'])
    expect(process.listenerCount('SIGTSTP') + process.listenerCount('SIGCONT')).toBe(0)
  })
})
