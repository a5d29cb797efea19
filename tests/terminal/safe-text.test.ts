import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { safeJson, sanitizeBlock, sanitizeLine } from '../../lib/terminal/safe-text.ts'
import { forRun } from '../support/needs.ts'

const HOSTILE: [what: string, character: string, shown: string][] = [
  ['NUL', '\u0000', '\\u0000'],
  ['bell', '\u0007', '\\u0007'],
  ['backspace', '\b', '\\u0008'],
  ['escape', '\u001b', '\\u001b'],
  ['DEL', '\u007f', '\\u007f'],
  ['C1 control sequence introducer', '\u009b', '\\u009b'],
  ['soft hyphen', '\u00ad', '\\u00ad'],
  ['zero-width space', '\u200b', '\\u200b'],
  ['right-to-left mark', '\u200f', '\\u200f'],
  ['line separator', '\u2028', '\\u2028'],
  ['right-to-left override', '\u202e', '\\u202e'],
  ['first strong isolate', '\u2068', '\\u2068'],
  ['byte-order mark', '\ufeff', '\\ufeff'],
  ['tag character', '\u{e0041}', '\\udb40\\udc41'],
  ['lone surrogate', '\ud800', '\\ud800'],
  ['combining grapheme joiner', '\u034f', '\\u034f'],
  ['Mongolian variation selector', '\u180b', '\\u180b'],
  ['Mongolian variation selector four', '\u180f', '\\u180f'],
  ['musical formatting', '\u{1d173}', '\\ud834\\udd73'],
  ['variation selector', '\ufe0f', '\\ufe0f'],
  ['variation selector supplement', '\u{e0100}', '\\udb40\\udd00'],
  ['zero-width joiner', '\u200d', '\\u200d'],
  ['ignorable that is not assigned yet', '\u{e0fff}', '\\udb43\\udfff'],
  ['noncharacter', '\ufdd0', '\\ufdd0'],
]

/** Every code point of Unicode. */
const CODE_POINTS = Array.from({ length: 0x110000 }, (_, code) => String.fromCodePoint(code))
/** General categories in which all is visible, or moves the cursor by its width alone. */
const VISIBLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}\p{Co}\p{Cn}]$/u
const IGNORABLE = /\p{Default_Ignorable_Code_Point}|\p{Bidi_Control}|\p{Noncharacter_Code_Point}/u

describe('foreign text', () => {
  test.each(HOSTILE)('with %s shows it as an escape', (_, character, shown) => {
    expect(sanitizeLine(`a${character}b`)).toBe(`a${shown}b`)
    expect(sanitizeBlock(`a${character}b`)).toBe(`a${shown}b`)
  })

  test('in any script is left as it is', () => {
    const text = 'pässwörd — Ω 漢字 עברית 🔑 é e\u0301'
    expect(sanitizeLine(text)).toBe(text)
  })

  test('of every character of Unicode keeps those that are visible, and escapes all others', () => {
    const wrong = CODE_POINTS.filter(character => {
      const isKept = VISIBLE.test(character) && !IGNORABLE.test(character)
      return (sanitizeLine(character) === character) !== isKept
    })
    expect(wrong).toEqual([])
  })

  test('with an emoji of several code points shows its joiners and selectors', () => {
    expect(sanitizeLine('⚠\ufe0f 👩\u200d💻')).toBe('⚠\\ufe0f 👩\\u200d💻')
  })

  test('in one line has no line breaks; in a block it keeps them and tabs', () => {
    expect(sanitizeLine('a\r\nb\tc')).toBe('a\\u000d\\u000ab\\u0009c')
    expect(sanitizeBlock('a\r\nb\tc\n')).toBe('a\nb\tc\n')
    expect(sanitizeBlock('a\rb')).toBe('a\\u000db')
  })

  test('of any kind cannot act on a terminal, and is sanitised once and for all', () =>
    fc.assert(
      fc.property(
        fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map(code => String.fromCharCode(code)) }),
        text => {
          const line = sanitizeLine(text)
          expect(line).not.toMatch(/\p{Cc}|\p{Cs}|\p{Bidi_Control}|[\u200b-\u200f\u2028\u2029\ufeff]/u)
          expect(sanitizeLine(line)).toBe(line)
          expect(sanitizeBlock(text).replaceAll(/[\n\t]/g, '')).not.toMatch(/\p{Cc}|\p{Cs}|\p{Bidi_Control}/u)
        },
      ),
      { numRuns: forRun({ short: 200, full: 1_000 }) },
    ))
})

test('JSON is one harmless line, and the same value still', () =>
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), value => {
      const text = safeJson({ value })
      expect(text).not.toMatch(/\p{Cc}|\p{Bidi_Control}/u)
      expect(JSON.parse(text)).toEqual({ value: JSON.parse(JSON.stringify(value)) })
    }),
    { numRuns: forRun({ short: 200, full: 1_000 }) },
  ))
