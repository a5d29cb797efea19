import { expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createSyncMemory, NEVER_SYNCED } from '../../lib/sync/memory.ts'

const STATE = {
  syncedSha256: 'a'.repeat(64),
  pendingSha256: null,
  sentSha256: null,
  commitSha: 'abc',
  syncedAt: new Date('2026-01-02T03:04:05Z'),
}

function openMemory() {
  const configFolder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-state-'))
  const folder = path.join(configFolder, 'sync')
  const of = (profile: string, apiUrl: string, synced: string) =>
    createSyncMemory({ configFolder, profile, apiUrl, file: synced })
  return {
    folder,
    of,
    memory: of('default', 'https://h', '/home/ada/.claude'),
    file: () => path.join(folder, fs.readdirSync(folder)[0] ?? ''),
    [Symbol.dispose]: () => fs.rmSync(configFolder, { recursive: true }),
  }
}

test('remembers by profile, server and file, in a private file of its own', () => {
  using kit = openMemory()
  expect(kit.memory.recall()).toEqual(NEVER_SYNCED)
  kit.memory.remember(STATE)
  expect(kit.of('default', 'https://h', '/home/ada/.claude').recall()).toEqual(STATE)
  expect(kit.of('other', 'https://h', '/home/ada/.claude').recall()).toEqual(NEVER_SYNCED)
  expect(kit.of('default', 'https://g', '/home/ada/.claude').recall()).toEqual(NEVER_SYNCED)
  expect(kit.of('default', 'https://h', '/home/ada/other').recall()).toEqual(NEVER_SYNCED)
  expect(fs.statSync(kit.file()).mode & 0o777).toBe(0o600)
  expect(JSON.parse(fs.readFileSync(kit.file(), 'utf8'))).toEqual({
    profile: 'default',
    api_url: 'https://h',
    file: '/home/ada/.claude',
    synced_sha256: 'a'.repeat(64),
    pending_sha256: null,
    sent_sha256: null,
    commit_sha: 'abc',
    synced_at: '2026-01-02T03:04:05.000Z',
  })
})

const DAMAGED = [
  '',
  '{',
  'null',
  '[]',
  '"x"',
  '{"synced_sha256":"x","pending_sha256":"y"}',
  '{"synced_sha256":7,"commit_sha":7,"synced_at":"yesterday"}',
]
test.each(DAMAGED)('what atlas did not write (%j) counts as never synced', text => {
  using kit = openMemory()
  kit.memory.remember(STATE)
  fs.writeFileSync(kit.file(), text)
  expect(kit.memory.recall()).toEqual(NEVER_SYNCED)
})

test.skipIf(process.platform === 'win32')(
  'memory: a named pipe in its place is an error, and not waited for',
  () => {
    using kit = openMemory()
    kit.memory.remember(STATE)
    const file = kit.file()
    fs.rmSync(file)
    Bun.spawnSync(['mkfifo', file])
    expect(() => kit.memory.recall()).toThrow(`${file} cannot be used: it is not a regular file.`)
  },
)

test('a memory that cannot be read is an error and not an absence', () => {
  using kit = openMemory()
  kit.memory.remember(STATE)
  const file = kit.file()
  fs.rmSync(file)
  fs.mkdirSync(file)
  expect(() => kit.memory.recall()).toThrow(`${file} cannot be used: a folder is in its place.`)
})
