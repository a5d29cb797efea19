import { expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { unzipSync } from 'fflate'
import { parseTar } from 'nanotar'
import { type ArchiveFile, tarGz, zip } from '../../release/archive.ts'

const FILES: ArchiveFile[] = [
  { name: 'atlas-1/atlas', content: Buffer.from('program'), executable: true },
  { name: 'atlas-1/LICENSE', content: Buffer.from('license') },
]

test('a tar archive holds files in the order of their names, of nobody’s and from no time', () => {
  const items = parseTar(Bun.gunzipSync(tarGz(FILES) as Uint8Array<ArrayBuffer>))
  expect(items.map(({ name, text, attrs }) => ({ name, text, attrs }))).toEqual(
    [
      { name: 'atlas-1/LICENSE', text: 'license', mode: '0000644' },
      { name: 'atlas-1/atlas', text: 'program', mode: '0000755' },
    ].map(({ name, text, mode }) => ({
      name,
      text,
      attrs: { mode, mtime: Date.UTC(1980, 0, 1) / 1000, uid: 0, gid: 0, user: 'root', group: 'root' },
    })),
  )
})

test('a tar archive names folders where it is given some, and ends in empty blocks whatever it holds', () => {
  // With its header, this file fills a record of tar.
  const full = { name: 'folder/full', content: new Uint8Array(10_240 - 512 - 512).fill(1) }
  const tar = Bun.gunzipSync(tarGz([full, { name: 'folder/' }]) as Uint8Array<ArrayBuffer>)
  expect(parseTar(tar).map(({ name, type, attrs }) => [name, type, attrs?.mode])).toEqual([
    ['folder/', 'directory', '0000755'],
    ['folder/full', 'file', '0000644'],
  ])
  expect(tar.subarray(10_240)).toEqual(new Uint8Array(1024))
})

test('a zip archive holds the same files', () => {
  const held = Object.entries(unzipSync(zip(FILES))).map(([name, content]) => [
    name,
    Buffer.from(content).toString(),
  ])
  expect(held).toEqual([
    ['atlas-1/LICENSE', 'license'],
    ['atlas-1/atlas', 'program'],
  ])
})

test('the same files give the same archives in any order, time zone and moment', () => {
  const script = `
    const { tarGz, zip } = await import(${JSON.stringify(path.resolve('release/archive.ts'))})
    const files = ${JSON.stringify(FILES.map(file => ({ ...file, content: [...file.content] })))}
      .map(file => ({ ...file, content: Uint8Array.from(file.content) }))
    const hash = bytes => new Bun.CryptoHasher('sha256').update(bytes).digest('hex')
    console.log(hash(tarGz(files.toReversed())), hash(zip(files.toReversed())))`
  const hash = (bytes: Uint8Array) => new Bun.CryptoHasher('sha256').update(bytes).digest('hex')
  for (const TZ of ['Pacific/Kiritimati', 'America/Los_Angeles']) {
    const { stdout } = Bun.spawnSync([process.execPath, '-e', script], { env: { ...process.env, TZ } })
    expect(stdout.toString().trim()).toBe(`${hash(tarGz(FILES))} ${hash(zip(FILES))}`)
  }
})

test.if(process.platform !== 'win32')('tar unpacks the program as one that can be run', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-archive-'))
  try {
    fs.writeFileSync(path.join(folder, 'a.tar.gz'), tarGz(FILES))
    expect(Bun.spawnSync(['tar', '-xzf', 'a.tar.gz'], { cwd: folder }).exitCode).toBe(0)
    const modeOf = (name: string) => (fs.statSync(path.join(folder, 'atlas-1', name)).mode & 0o111) !== 0
    expect({ atlas: modeOf('atlas'), license: modeOf('LICENSE') }).toEqual({ atlas: true, license: false })
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
})
