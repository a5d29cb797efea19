import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { MAX_CONTENT_BYTES, parseConfiguration } from '../../lib/sync/remote.ts'

const ASKED = {
  request: 'GET /configuration/me',
  url: new URL('https://atlas.example.com'),
}
const parse = (body: string | Uint8Array) => parseConfiguration(Buffer.from(body), ASKED)
const json = (fields: unknown): string => JSON.stringify(fields)

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('content', () => {
  const CASES: [what: string, body: string, bytes: string][] = [
    ['every newline style', json({ content: 'a\nb\r\nc\rd' }), '610a620d0a630d64'],
    ['a byte-order mark', json({ content: '\ufeffa' }), 'efbbbf61'],
    ['an escaped byte-order mark', '{"content":"\\ufeffa"}', 'efbbbf61'],
    ['a byte-order mark before the JSON', `\ufeff${json({ content: 'a' })}`, '61'],
    ['astral characters, escaped', '{"content":"\\ud83d\\ude00"}', 'f09f9880'],
    ['any character', json({ content: 'é漢\u{1f600}\u0080\u00ff' }), 'c3a9e6bca2f09f9880c280c3bf'],
    ['escapes among other characters', '{"content":"é\\u00e9\\u6f22\\u0041漢"}', 'c3a9c3a9e6bca241e6bca2'],
    ['what looks like an escape', '{"content":"é\\\\u00e9\\u0041"}', 'c3a95c753030653941'],
    ['a byte-order mark before and behind', '\ufeff{"content":"\ufeffé\\u001f"}', 'efbbbfc3a91f'],
    ['control characters', json({ content: '\u0000\u001b[31m' }), '001b5b33316d'],
    ['U+FFFD itself', json({ content: '\ufffd' }), 'efbfbd'],
  ]
  test.each(CASES)('configuration: keeps %s byte for byte', (_, body, bytes) => {
    expect(hex(parse(body).content)).toBe(bytes)
  })
})

test('configuration: keeps any text byte for byte, however its characters are escaped', () =>
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.infiniteStream(fc.boolean()), (text, escapes) => {
      const body = json({ content: text }).replace(/[^\x00-\x7f]/g, unit =>
        escapes.next().value ? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}` : unit,
      )
      // Half of a pair cannot stand beside the other half as an escape.
      fc.pre(body.isWellFormed())
      expect(Buffer.from(parse(body).content).toString()).toBe(text)
    }),
  ))

test('configuration: reads a commit that is not ASCII as it is', () => {
  expect(parse(json({ content: '漢', commit_sha: 'é漢' })).commitSha).toBe('é漢')
  expect(parse('{"content":"漢","commit_sha":"\\u00e9"}').commitSha).toBe('é')
})

test('configuration: accepts 10 MiB, and not one byte more', () => {
  expect(parse(json({ content: 'x'.repeat(MAX_CONTENT_BYTES) })).content.byteLength).toBe(MAX_CONTENT_BYTES)
  expect(() => parse(json({ content: `é${'x'.repeat(MAX_CONTENT_BYTES - 1)}` }))).toThrow(
    'the configuration has 10485761 bytes, and atlas takes 10485760 at most',
  )
})

describe('optional fields', () => {
  const CASES: [body: unknown, commitSha: string | null, updatedAt: string | null][] = [
    [{ content: 'a' }, null, null],
    [{ content: 'a', commit_sha: null, updated_at: null }, null, null],
    [{ content: 'a', commit_sha: '', updated_at: '' }, null, null],
    [
      { content: 'a', commit_sha: 'abc', updated_at: '2026-01-02T03:04:05Z' },
      'abc',
      '2026-01-02T03:04:05.000Z',
    ],
    [{ content: 'a', updated_at: '2026-01-02T03:04:05+02:00' }, null, '2026-01-02T01:04:05.000Z'],
    [{ content: 'a', updated_at: '2026-01-02T03:04:05.123456' }, null, '2026-01-02T03:04:05.123Z'],
    [{ content: 'a', updated_at: '2026-01-02 03:04:05' }, null, '2026-01-02T03:04:05.000Z'],
    [{ content: 'a', updated_at: '2026-01-02' }, null, '2026-01-02T00:00:00.000Z'],
    [{ content: 'a', updated_at: 'yesterday' }, null, null],
    [{ content: null }, null, null],
    [{ content: null, commit_sha: 'abc' }, 'abc', null],
    [{ content: '', commit_sha: 'abc' }, 'abc', null],
    [{ commit_sha: 'abc' }, 'abc', null],
  ]
  test.each(CASES)('configuration: %j has these optional fields', (body, commitSha, updatedAt) => {
    const told = parse(json(body))
    expect([told.commitSha, told.updatedAt?.toISOString() ?? null]).toEqual([commitSha, updatedAt])
  })
})

describe('invalid answers', () => {
  const CASES: [what: string, body: string | Uint8Array, reason: string][] = [
    ['no JSON', '<html>', 'the answer is not a JSON object'],
    ['nothing', '', 'the answer is not a JSON object'],
    ['a list', '[]', 'the answer is not a JSON object'],
    ['neither content nor commit', json({ updated_at: null }), '"content" is not a string'],
    ['content of another type', json({ content: ['a'] }), '"content" is not a string'],
    [
      'a lone surrogate',
      '{"content":"a\\ud83d"}',
      '"content" holds half a character (a lone surrogate), which no file can hold',
    ],
    ['a body that is not UTF-8', Buffer.from('{"content":"\xff"}', 'latin1'), 'the answer is not UTF-8'],
    ['a commit of another type', json({ content: 'a', commit_sha: 7 }), '"commit_sha" is not a commit'],
    [
      'an endless commit',
      json({ content: 'a', commit_sha: 'a'.repeat(129) }),
      '"commit_sha" is not a commit',
    ],
    ['a time of another type', json({ content: 'a', updated_at: 7 }), '"updated_at" is not a time'],
  ]
  test.each(CASES)('configuration: %s is refused', (_, body, reason) => {
    expect(() => parse(body)).toThrow(
      `https://atlas.example.com did not answer GET /configuration/me as an Atlas server does: ${reason}.`,
    )
  })
})
