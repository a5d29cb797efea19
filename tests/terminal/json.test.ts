import { describe, expect, test } from 'bun:test'
import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import { JsonPrinter } from '../../lib/terminal/json.ts'

const print = (text: string, colour = false): string => {
  const printer = new JsonPrinter(colour)
  return printer.push(text) + printer.end()
}

describe('JSON for a terminal', () => {
  const CASES: [text: string, printed: string][] = [
    ['{}', '{}'],
    ['[ ]', '[]'],
    ['{"a":1}', '{\n  "a": 1\n}'],
    ['[1,[2,{}],"x"]', '[\n  1,\n  [\n    2,\n    {}\n  ],\n  "x"\n]'],
    [
      '{"n":1.50,"e":1E+9,"big":12345678901234567890}',
      '{\n  "n": 1.50,\n  "e": 1E+9,\n  "big": 12345678901234567890\n}',
    ],
    ['"a \\" , { b"', '"a \\" , { b"'],
    ['{"a":"\u001b[2J\u202e"}', '{\n  "a": "\\u001b[2J\\u202e"\n}'],
    ['\u001b[2J', '\\u001b[\n  2J'],
    ['}]}', '\n}\n]\n}'],
  ]
  test.each(CASES)('%j', (text, printed) => {
    expect(print(text)).toBe(printed)
  })

  test('keys, strings, numbers and literals have colours of their own', () => {
    expect(print('{"a":"b","c":[-1.5e+3,true,null,"d"],"e":{"f":0}}', true)).toBe(
      [
        '{',
        '  \u001b[36m"a"\u001b[39m: \u001b[32m"b"\u001b[39m,',
        '  \u001b[36m"c"\u001b[39m: [',
        '    \u001b[33m-1.5e+3\u001b[39m,',
        '    \u001b[35mtrue\u001b[39m,',
        '    \u001b[35mnull\u001b[39m,',
        '    \u001b[32m"d"\u001b[39m',
        '  ],',
        '  \u001b[36m"e"\u001b[39m: {',
        '    \u001b[36m"f"\u001b[39m: \u001b[33m0\u001b[39m',
        '  }',
        '}',
      ].join('\n'),
    )
  })

  test('any JSON stays the same value, in one piece or many, coloured or not', () => {
    fc.assert(
      fc.property(fc.json({ stringUnit: 'binary' }), fc.nat({ max: 5 }), (text, step) => {
        const printer = new JsonPrinter(true)
        let torn = ''
        const characters = [...text]
        for (let at = 0; at < characters.length; at += step + 1)
          torn += printer.push(characters.slice(at, at + step + 1).join(''))
        torn += printer.end()
        const plain = print(text)
        expect(stripVTControlCharacters(torn)).toBe(plain)
        expect(JSON.parse(plain)).toEqual(JSON.parse(text))
      }),
    )
  })

  test('whatever comes, nothing reaches the terminal that could act on it but our colours', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), text => {
        expect(print(text, true).replace(/\u001b\[\d\dm/g, '')).not.toMatch(
          /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/,
        )
      }),
    )
  })

  test('a body of nothing but brackets grows no faster than it is long', () => {
    expect(print('['.repeat(100_000)).length).toBeLessThan(100_000 * 250)
  })
})
