import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { findPlace, followLinks } from '../../lib/sync/place.ts'

let root: string
beforeAll(() => {
  root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-place-')))
  const make = (name: string): void => void fs.mkdirSync(path.join(root, name), { recursive: true })
  const link = (name: string, to: string): void => fs.symlinkSync(to, path.join(root, name))
  make('dotfiles/claude')
  make('dotfiles/shared')
  fs.writeFileSync(path.join(root, 'dotfiles/shared/rules.md'), 'rules')
  link('absolute', path.join(root, 'dotfiles/shared/rules.md'))
  link('relative', 'dotfiles/shared/rules.md')
  link('chain', 'relative')
  link('folder', 'dotfiles/claude')
  // From the real folder, dotfiles/claude, this leads to dotfiles/shared; from "folder" it would not.
  link('dotfiles/claude/up', '../shared/rules.md')
  link('dangling', 'dotfiles/new/file.md')
  link('dangling-folder', 'not/yet')
  link('around', 'folder/../shared/../shared/rules.md')
  link('circle', 'elcric')
  link('elcric', 'circle')
  link('itself', 'missing/../itself')
})
afterAll(() => fs.rmSync(root, { recursive: true }))

describe('links are followed as the kernel does', () => {
  const CASES: [name: string, target: string][] = [
    ['dotfiles/shared/rules.md', 'dotfiles/shared/rules.md'],
    ['absolute', 'dotfiles/shared/rules.md'],
    ['relative', 'dotfiles/shared/rules.md'],
    ['chain', 'dotfiles/shared/rules.md'],
    ['folder/up', 'dotfiles/shared/rules.md'],
    ['around', 'dotfiles/shared/rules.md'],
    ['folder/CLAUDE.md', 'dotfiles/claude/CLAUDE.md'],
    ['dangling', 'dotfiles/new/file.md'],
    ['dangling-folder/CLAUDE.md', 'not/yet/CLAUDE.md'],
    ['nothing/here', 'nothing/here'],
    ['dotfiles/shared/rules.md/below-a-file', 'dotfiles/shared/rules.md/below-a-file'],
  ]
  test.each(CASES)('%s', (name, target) => {
    const file = path.join(root, name)
    expect(followLinks(file)).toBe(path.join(root, target))
    if (fs.existsSync(file)) expect(followLinks(file)).toBe(fs.realpathSync(file))
  })

  test.each(['circle', 'itself'])('place: a link that leads to itself is an error (%s)', name => {
    expect(() => findPlace(path.join(root, name), surroundings({}))).toThrow(
      `${root}/${name}/CLAUDE.md cannot be used: its symbolic links lead in a circle.`,
    )
  })
})

const surroundings = (env: Record<string, string>, homeFolder = '/home/ada') => ({
  env,
  platform: process.platform,
  homeFolder,
  interactive: false,
})

describe('the folder', () => {
  const CASES: [dir: string | undefined, env: Record<string, string>, folder: string, from: string][] = [
    [undefined, {}, '/home/ada/.claude', 'default'],
    [undefined, { CLAUDE_CONFIG_DIR: '' }, '/home/ada/.claude', 'default'],
    [undefined, { CLAUDE_CONFIG_DIR: '/etc/claude/' }, '/etc/claude', 'CLAUDE_CONFIG_DIR'],
    ['/a/b/../c', { CLAUDE_CONFIG_DIR: '/etc/claude' }, '/a/c', '--dir'],
    ['sub', {}, path.resolve('sub'), '--dir'],
    ['~', {}, '/home/ada', '--dir'],
    ['~/x', {}, '/home/ada/x', '--dir'],
    ['~x', {}, path.resolve('~x'), '--dir'],
  ]
  test.each(CASES)('of --dir %j and %j', (dir, env, folder, from) => {
    const place = findPlace(dir, surroundings(env))
    expect([place.folder.value, place.folder.from, place.file]).toEqual([
      folder,
      from,
      path.join(folder, 'CLAUDE.md'),
    ])
  })

  test('is refused where the environment makes it depend on the current one', () => {
    expect(() => findPlace(undefined, surroundings({ CLAUDE_CONFIG_DIR: '.claude' }))).toThrow(
      'CLAUDE_CONFIG_DIR is not an absolute path: ".claude".',
    )
    expect(() => findPlace('', surroundings({}))).toThrow('--dir is empty.')
  })
})
