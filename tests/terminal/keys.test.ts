import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { Keys } from '../../lib/terminal/keys.ts'

function keysOf(pieces: readonly string[]): string[] {
  const keys = new Keys()
  const all: string[] = []
  for (const piece of pieces) {
    keys.add(piece)
    for (let key = keys.next(); key !== undefined; key = keys.next()) all.push(key)
  }
  return all
}

describe('keys', () => {
  const CASES: [what: string, typed: string, keys: string[]][] = [
    ['are characters, also beyond the basic plane', 'aé漢😀', ['a', 'é', '漢', '😀']],
    ['are line endings', '\r\n\r\n\n', ['\r\n', '\r\n', '\n']],
    ['are arrows', '\u001b[A\u001bOB\u001b[1;5Dx', ['\u001b[A', '\u001bOB', '\u001b[1;5D', 'x']],
    [
      'are function keys, those of the Linux console too',
      '\u001b[15~\u001b[[Ax',
      ['\u001b[15~', '\u001b[[A', 'x'],
    ],
    ['are the marks of a paste', '\u001b[200~a\u001b[201~', ['\u001b[200~', 'a', '\u001b[201~']],
    ['are Alt with a character', '\u001bx\u001b漢', ['\u001bx', '\u001b漢']],
    ['are an Escape before another key that begins so', '\u001b\u001b[A', ['\u001b', '\u001b[A']],
    [
      'do not swallow Enter after a sequence that does not end',
      '\u001b[1\r\u001bO\r',
      ['\u001b[1', '\r', '\u001bO', '\r'],
    ],
  ]
  test.each(CASES)('%s', (_, typed, keys) => {
    expect(keysOf([typed])).toEqual(keys)
  })

  test('are the same in whatever pieces they arrive, CR LF being one Enter', () => {
    const atoms = fc.constantFrom(
      'a',
      '漢',
      '\r\n',
      '\n',
      '\u001b[A',
      '\u001b[1;5D',
      '\u001b[200~',
      '\u001bOP',
      '\u001bx',
    )
    fc.assert(
      fc.property(fc.array(atoms), fc.func(fc.boolean()), (typed, isTorn) => {
        const pieces: string[] = []
        for (const [index, character] of [...typed.join('')].entries())
          if (index === 0 || isTorn(index)) pieces.push(character)
          else pieces.push(`${pieces.pop()}${character}`)
        const enters = (keys: string[]): string[] => keys.map(key => (key === '\r\n' ? '\r' : key))
        expect(enters(keysOf(pieces))).toEqual(enters(typed))
      }),
    )
  })
})
