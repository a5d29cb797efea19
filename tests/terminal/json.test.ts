import { describe, expect, test } from 'bun:test'
import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import { bodyForTerminal, indentJson } from '../../lib/terminal/json.ts'

/** A body as a terminal shows it, from pieces of `step` bytes. */
const show = (body: string | Uint8Array, { isJson = true, colour = false, step = 1000 } = {}): string => {
  const bytes = Buffer.from(body)
  const print = bodyForTerminal(isJson, colour)
  let shown = ''
  for (let at = 0; at < bytes.length; at += step) shown += print(bytes.subarray(at, at + step))
  return shown + print()
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
    ['{"b":1,"1":2,"b":9007199254740993}', '{\n  "b": 1,\n  "1": 2,\n  "b": 9007199254740993\n}'],
    ['"a \\" , { b"', '"a \\" , { b"'],
    ['"\\u0041\\/"', '"\\u0041\\/"'],
    ['{"a":"\u202e\u009b"}', '{\n  "a": "\\u202e\\u009b"\n}'],
    [' null\r\n', 'null'],
  ]
  test.each(CASES)('is indented, its values as the server wrote them: %j', (text, printed) => {
    expect(show(text)).toBe(printed)
  })

  const NOT_JSON: [text: string, printed: string][] = [
    ['', ''],
    ['}]}', '}]}'],
    ['{"a": [1,', '{"a": [1,'],
    ['{"a":1}\n{"a":2}\n', '{"a":1}\n{"a":2}\n'],
    ['{"a":"\u001b[2J"}', '{"a":"\\u001b[2J"}'],
  ]
  test.each(NOT_JSON)('that is not valid is shown as it came: %j', (text, printed) => {
    expect(show(text)).toBe(printed)
  })

  test('of more than 2 MiB is shown as it comes', () => {
    const long = `["${'x'.repeat(2 * 1024 * 1024)}\r\n\u0007"]`
    expect(show(long)).toBe(`["${'x'.repeat(2 * 1024 * 1024)}\n\\u0007"]`)
    const print = bodyForTerminal(true, false)
    expect(print(Buffer.from('['.repeat(2 * 1024 * 1024)))).toBe('')
    expect(print(Buffer.from('['))).toBe('['.repeat(2 * 1024 * 1024 + 1))
    expect(print(Buffer.from('1'))).toBe('1')
  })

  test('has colours of their own for keys, strings, numbers and literals', () => {
    expect(indentJson('{"a":"b","c":[-1.5e+3,true,null,"d"],"e":{"f":0}}', true)).toBe(
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

  test('stays the same value, in one piece or many, coloured or not', () => {
    fc.assert(
      fc.property(fc.json({ stringUnit: 'binary' }), fc.integer({ min: 1, max: 6 }), (text, step) => {
        const plain = show(text)
        expect(stripVTControlCharacters(show(text, { colour: true, step }))).toBe(plain)
        expect(JSON.parse(plain)).toEqual(JSON.parse(Buffer.from(text).toString()))
      }),
    )
  })

  test('that is hardly more than brackets grows to at most 50 times its length', () => {
    const deep = `${'['.repeat(500)}${'[],'.repeat(100_000)}[]${']'.repeat(500)}`
    expect(show(deep).length).toBeLessThan(deep.length * 50)
  })
})

test('a body for a terminal cannot act on it, whatever it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.boolean(), (text, isJson) => {
      expect(show(text, { isJson, colour: true }).replace(/\u001b\[\d\dm/g, '')).not.toMatch(
        /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/,
      )
    }),
  )
})

test('a text body comes at once, and a line ending torn apart is still one', () => {
  const print = bodyForTerminal(false, false)
  expect(print(Buffer.from('a\r'))).toBe('a')
  expect(print(Buffer.from('\nb\r'))).toBe('\nb')
  expect(print(Buffer.from('c'))).toBe('\\u000dc')
  expect(print(Buffer.from('d\r'))).toBe('d')
  expect(print()).toBe('\\u000d')
})

test('a body keeps a string of nearly 2 MiB, whatever is in it', () => {
  for (const unit of ['x', 'é"\\', '😀', '\\"']) {
    const value = { a: unit.repeat(Math.floor(200_000 / unit.length)), b: [1, 2] }
    const text = JSON.stringify(value)
    expect(JSON.parse(show(text, { isJson: true, colour: false, step: 65_536 })) as unknown).toEqual(value)
  }
  const long = JSON.stringify({ a: 'x'.repeat(1_950_000), b: 1 })
  expect(JSON.parse(show(long, { isJson: true, colour: false, step: 65_536 })) as unknown).toEqual(
    JSON.parse(long),
  )
})
