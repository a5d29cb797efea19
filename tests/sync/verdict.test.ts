import { expect, test } from 'bun:test'
import { judge, sha256, type Verdict } from '../../lib/sync/verdict.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const hash = (text: string | null): string | null => (text === null ? null : sha256(bytes(text)))

const CASES: [
  what: string,
  local: string | undefined,
  remote: string,
  synced: string | null,
  pending: string | null,
  verdict: Verdict,
][] = [
  ['the same text', 'a', 'a', 'a', null, 'in_sync'],
  ['the same text, never synced', 'a', 'a', null, null, 'in_sync'],
  ['the same text, changed on both sides', 'b', 'b', 'a', null, 'in_sync'],
  ['no file', undefined, 'a', null, null, 'local_missing'],
  ['no file any more', undefined, 'a', 'a', null, 'local_missing'],
  ['a newer text on the server', 'a', 'b', 'a', null, 'remote_changed'],
  ['an edit', 'x', 'a', 'a', null, 'local_changed'],
  ['an edit to nothing', '', 'a', 'a', null, 'local_changed'],
  ['an edit and a newer text', 'x', 'b', 'a', null, 'diverged'],
  ['another text, never synced', 'x', 'a', null, null, 'diverged'],
  ['an empty file, never synced', '', 'a', null, null, 'diverged'],
  ['nothing on the server', 'a', '', 'a', null, 'remote_empty'],
  ['nothing anywhere', undefined, '', null, null, 'remote_empty'],
  ['a sync that died before it wrote', 'a', 'b', 'a', 'b', 'remote_changed'],
  ['a sync that died after it wrote, and a newer text', 'b', 'c', 'a', 'b', 'remote_changed'],
  ['a first sync that died after it wrote, and a newer text', 'b', 'c', null, 'b', 'remote_changed'],
  ['a sync that died after it wrote, and a text taken back', 'b', 'a', 'a', 'b', 'remote_changed'],
  ['an edit after a sync that died', 'x', 'b', 'a', 'b', 'diverged'],
  ['one byte of difference', 'a\r\n', 'a\n', 'a\n', null, 'local_changed'],
]

test.each(CASES)('verdict: %s', (_, local, remote, synced, pending, verdict) => {
  const known = { syncedSha256: hash(synced), pendingSha256: hash(pending), sentSha256: null }
  const configuration = { content: bytes(remote), commitSha: remote === '' ? null : 'c0ffee' }
  expect(judge(local === undefined ? undefined : bytes(local), configuration, known)).toBe(verdict)
})

const AFTER_PUSH: [what: string, local: string, remote: string, verdict: Verdict][] = [
  ['that arrived', 'b', 'b', 'in_sync'],
  ['that arrived, and an edit', 'c', 'b', 'local_changed'],
  ['that did not arrive', 'b', 'a', 'local_changed'],
  ['that did not arrive, and another text there', 'b', 'x', 'diverged'],
]
test.each(AFTER_PUSH)('verdict: a push that died, %s', (_, local, remote, verdict) => {
  const known = { syncedSha256: hash('a'), pendingSha256: null, sentSha256: hash('b') }
  expect(judge(bytes(local), { content: bytes(remote), commitSha: 'c0ffee' }, known)).toBe(verdict)
})

test.each(['a', undefined])('verdict: no text with a commit, and %p here', local => {
  const known = { syncedSha256: hash('a'), pendingSha256: null, sentSha256: null }
  const remote = { content: bytes(''), commitSha: 'c0ffee' }
  expect(judge(local === undefined ? undefined : bytes(local), remote, known)).toBe('remote_unreadable')
})
