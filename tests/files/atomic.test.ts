import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { prepareFile, removeFile, replaceFile } from '../../lib/files/atomic.ts'
import { createSmallDisk, smallDiskTest } from '../support/small-disk.ts'

let folder = ''
let file = ''
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-file-'))
  file = path.join(folder, 'below', 'file')
})
afterEach(() => fs.rmSync(folder, { recursive: true }))

const modeOf = (place: string): number => fs.statSync(place).mode & 0o777

describe('a file that is replaced', () => {
  test('is private, in private folders, and alone', () => {
    replaceFile(file, 'content')
    expect({ file: modeOf(file), folder: modeOf(path.dirname(file)) }).toEqual({ file: 0o600, folder: 0o700 })
    replaceFile(file, 'shorter')
    expect(fs.readdirSync(path.dirname(file))).toEqual(['file'])
    expect(fs.readFileSync(file, 'utf8')).toBe('shorter')
  })

  test('is the old one until the new one is committed, and stays so where it is not', () => {
    replaceFile(file, 'old')
    const pending = prepareFile(file, 10_000)
    expect(fs.readFileSync(file, 'utf8')).toBe('old')
    expect(fs.statSync(`${file}.tmp`).size).toBe(10_000)
    pending.discard()
    expect(fs.readdirSync(path.dirname(file))).toEqual(['file'])

    const next = prepareFile(file, 10_000)
    next.commit('nëw')
    next.discard()
    expect(fs.readFileSync(file, 'utf8')).toBe('nëw')
    expect(fs.readdirSync(path.dirname(file))).toEqual(['file'])
  })

  test('may be larger than the room that was set aside', () => {
    prepareFile(file, 10).commit('x'.repeat(100_000))
    expect(fs.statSync(file).size).toBe(100_000)
  })

  const PLANTED: [where: string, suffix: string][] = [
    ['in its place', ''],
    ['in the place of the temporary file', '.tmp'],
  ]
  test.each(PLANTED)('does not follow a link that is planted %s', (_, suffix) => {
    const victim = path.join(folder, 'victim')
    fs.writeFileSync(victim, 'untouched')
    for (const plant of [fs.symlinkSync, fs.linkSync]) {
      fs.mkdirSync(path.dirname(file), { recursive: true })
      fs.rmSync(file + suffix, { force: true })
      plant(victim, file + suffix)
      replaceFile(file, 'new')
      expect(fs.readFileSync(victim, 'utf8')).toBe('untouched')
      expect(fs.lstatSync(file).isFile()).toBe(true)
      expect(fs.readFileSync(file, 'utf8')).toBe('new')
    }
  })

  test('leaves nothing behind where it cannot be put in place', () => {
    fs.mkdirSync(path.join(file, 'in the way'), { recursive: true })
    expect(() => replaceFile(file, 'content')).toThrow()
    expect(fs.readdirSync(path.dirname(file))).toEqual(['file'])
  })

  smallDiskTest('is the old one where the disk is full, and fits where room was set aside', () => {
    using disk = createSmallDisk()
    const onDisk = path.join(disk.folder, 'file')
    replaceFile(onDisk, 'old')
    const pending = prepareFile(onDisk, 20_000)
    disk.fill()
    expect(() => replaceFile(path.join(disk.folder, 'other'), 'content')).toThrow('ENOSPC')
    pending.commit('n'.repeat(20_000))
    expect(fs.statSync(onDisk).size).toBe(20_000)
    disk.empty()
    disk.fill()
    expect(() => prepareFile(onDisk, 20_000)).toThrow('ENOSPC')
    expect(fs.readFileSync(onDisk, 'utf8')).toBe('n'.repeat(20_000))
    expect(fs.readdirSync(disk.folder).sort()).toEqual(['file', 'filler'])
  })
})

test('a file that is removed takes with it what a dead writer left, and says whether it was there', () => {
  replaceFile(file, 'content')
  fs.writeFileSync(`${file}.tmp`, 'half')
  expect(removeFile(file)).toBe(true)
  expect(fs.readdirSync(path.dirname(file))).toEqual([])
  fs.writeFileSync(`${file}.tmp`, 'half')
  expect(removeFile(file)).toBe(false)
  expect(fs.readdirSync(path.dirname(file))).toEqual([])
  expect(removeFile(file)).toBe(false)
})
