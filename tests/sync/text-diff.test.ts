import { expect, test } from 'bun:test'
import { unifiedDiff } from '../../lib/sync/text-diff.ts'

const HEAD = ['--- CLAUDE.md\there', '+++ CLAUDE.md\tserver']
const diff = (before: string | Uint8Array, after: string) =>
  unifiedDiff(Buffer.from(before), Buffer.from(after), { file: 'CLAUDE.md', before: 'here', after: 'server' })

const CASES: [what: string, before: string, after: string, lines: string[]][] = [
  [
    'a changed line in its surroundings',
    '1\n2\n3\n4\n5\n',
    '1\n2\n3\n4\nfive\n',
    ['@@ -2,4 +2,4 @@', ' 2', ' 3', ' 4', '-5', '+five'],
  ],
  ['a new file', '', 'a\n', ['@@ -0,0 +1,1 @@', '+a']],
  ['another newline style', 'a\n', 'a\r\n', ['@@ -1,1 +1,1 @@', '-a', '+a\r']],
  ['a byte-order mark', 'a\n', '\ufeffa\n', ['@@ -1,1 +1,1 @@', '-a', '+\ufeffa']],
  ['a missing last newline', 'a', 'a\n', ['@@ -1,1 +1,1 @@', '-a', '\\ No newline at end of file', '+a']],
]
test.each(CASES)('diff: %s', async (_, before, after, lines) => {
  expect(await diff(before, after)).toEqual({ lines: [...HEAD, ...lines] })
})

test('diff: a label with a line break forges no line', async () => {
  const labels = { file: 'CLAUDE.md', before: 'here\n-# Mine', after: 'server, commit a\n+b\u2028\r' }
  expect(await unifiedDiff(Buffer.from('a\n'), Buffer.from('b\n'), labels)).toEqual({
    lines: [
      '--- CLAUDE.md\there\\u000a-# Mine',
      '+++ CLAUDE.md\tserver, commit a\\u000a+b\\u2028\\u000d',
      '@@ -1,1 +1,1 @@',
      '-a',
      '+b',
    ],
  })
})

test('diff: bytes that are not UTF-8 have none', async () => {
  expect(await diff(Uint8Array.of(0x61, 0xff), 'a\n')).toEqual({ reason: 'the local file is not UTF-8 text' })
})

test('diff: long texts with nothing in common have none', async () => {
  const lines = (word: string): string =>
    Array.from({ length: 20_000 }, (_, index) => `${word} ${index}\n`).join('')
  expect(await diff(lines('old'), lines('new'))).toEqual({
    reason: 'the texts differ too much to compare them line by line',
  })
})

const TOO_LONG = { reason: 'the texts are too long to compare line by line' }

test('diff: texts of more than 50,000 lines together have none', async () => {
  expect(await diff('a\n', 'x\n'.repeat(50_000))).toEqual(TOO_LONG)
  expect(await diff('a\n', 'x\n'.repeat(49_999))).toMatchObject({ lines: { length: 50_003 } })
})

test('diff: texts of more than 1 MiB together have none', async () => {
  expect(await diff('a\n', 'x'.repeat(1024 * 1024 - 1))).toEqual(TOO_LONG)
  expect(await diff('a\n', 'x'.repeat(1024 * 1024 - 2))).toMatchObject({ lines: { length: 6 } })
})
