import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { FileFault } from '../../lib/files/faults.ts'
import {
  checkPrivateFolder,
  makePrivateFolder,
  readPrivateFile,
  readRegularFile,
  requirePrivate,
  requireUnmovable,
} from '../../lib/files/private.ts'
import { twoUsersTest } from '../support/needs.ts'

const uid = process.getuid?.()
let root = ''
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-private-'))
})
afterEach(() => fs.rmSync(root, { recursive: true }))

/** What a fault says, or "no fault". */
function faultIn(work: () => unknown) {
  try {
    work()
  } catch (error) {
    if (!(error instanceof FileFault)) throw error
    return [error.kind, error.message, error.fix ?? null]
  }
  return 'no fault'
}

describe.skipIf(process.platform === 'win32')('privacy', () => {
  const make = (mode: number): string => {
    const file = path.join(root, 'file')
    fs.writeFileSync(file, 'text')
    fs.chmodSync(file, mode)
    return file
  }
  const check = (place: string, kind: 'folder' | 'file' | 'secret', owner = uid) =>
    faultIn(() => requirePrivate(place, fs.lstatSync(place), kind, owner))

  test.each([
    [0o600, 'no fault', 'no fault'],
    [0o644, 'no fault', 'others can read it'],
    [0o640, 'no fault', 'others can read it'],
    [0o620, 'others can change it', 'others can read it'],
    [0o602, 'others can change it', 'others can read it'],
  ])('private files: mode %o is for a file "%s", for a secret "%s"', (mode, asFile, asSecret) => {
    const file = make(mode)
    const command = {
      'others can change it': `chmod go-w ${file}`,
      'others can read it': `chmod 600 ${file}`,
    }
    const fault = (reason: string) =>
      reason === 'no fault' ? reason : ['exposed', reason, command[reason as keyof typeof command]]
    expect([check(file, 'file'), check(file, 'secret')]).toEqual([fault(asFile), fault(asSecret)])
  })

  test('private files: another user’s is refused, with a command except to root', () => {
    const file = make(0o600)
    const stranger = (uid ?? 0) + 1
    expect(check(file, 'secret', stranger)).toEqual([
      'foreign',
      'it belongs to another user',
      `sudo chown -R ${stranger} ${file}`,
    ])
    if (uid !== 0) expect(check(file, 'secret', 0)).toEqual(['foreign', 'it belongs to another user', null])
  })

  test('private files: links and other kinds are refused', () => {
    const link = path.join(root, 'link')
    fs.symlinkSync(root, link)
    expect(check(link, 'folder')).toEqual(['unfit', 'it is a symbolic link', `rm ${link}`])
    expect(check(root, 'file')).toEqual(['unfit', 'it is not a regular file', `rm -r ${root}`])
    const file = make(0o600)
    expect(check(file, 'folder')).toEqual(['unfit', 'it is not a folder', `rm ${file}`])
  })

  test('private folders: are made with mode 0700, or checked', () => {
    const folder = path.join(root, 'a', 'b')
    expect(checkPrivateFolder(folder, uid)).toBe(false)
    makePrivateFolder(folder, uid)
    expect(fs.statSync(path.dirname(folder)).mode & 0o777).toBe(0o700)
    expect(checkPrivateFolder(folder, uid)).toBe(true)
    fs.chmodSync(folder, 0o777)
    expect(faultIn(() => makePrivateFolder(folder, uid))).toEqual([
      'exposed',
      'others can change it',
      `chmod go-w ${folder}`,
    ])
  })

  test('private files: are read whole, absent, or refused', () => {
    const file = make(0o600)
    expect(readPrivateFile(file, uid, 4)).toBe('text')
    expect(readPrivateFile(`${file}-absent`, uid, 4)).toBeUndefined()
    expect(faultIn(() => readPrivateFile(file, uid, 3))).toEqual(['unfit', 'it is too large (4 bytes)', null])
  })

  test('regular files: a pipe or a folder is refused without waiting', () => {
    const pipe = path.join(root, 'pipe')
    Bun.spawnSync(['mkfifo', pipe])
    expect(faultIn(() => readRegularFile(pipe, 9))).toEqual(['unfit', 'it is not a regular file', null])
    expect(faultIn(() => readRegularFile(root, 9))).toEqual(['unfit', 'a folder is in its place', null])
    expect(readRegularFile(path.join(root, 'absent'), 9)).toBeUndefined()
  })
})

describe.skipIf(process.platform === 'win32')('folders in which others may rename', () => {
  const place = (name: string) => path.join(root, name)
  const make = (name: string, mode: number, owner = uid ?? 0): void => {
    fs.mkdirSync(place(name), { recursive: true })
    fs.chmodSync(place(name), mode)
    if (owner !== uid) fs.chownSync(place(name), owner, owner)
  }
  const verdict = (name: string) => faultIn(() => requireUnmovable(place(name), uid))
  const refused = (name: string, command: string) => [
    'exposed',
    `others can replace what is in ${place(name)}`,
    `${command} ${place(name)}`,
  ]

  test('privacy: one above a place, or on the way of a link among those, is named with what fixes it', () => {
    for (const name of ['open', 'sticky', 'group', 'own']) {
      make(`${name}/below/deeper`, 0o755)
    }
    fs.chmodSync(place('open'), 0o777)
    fs.chmodSync(place('sticky'), 0o1777)
    fs.chmodSync(place('group'), 0o775)
    fs.symlinkSync(place('open/below'), place('own/link'))
    fs.symlinkSync('../sticky/below', place('own/relative'))
    // From where the first link leads, and not from where it is, the second one leads to "open".
    fs.symlinkSync('../own/below', place('sticky/aside'))
    fs.symlinkSync('../../open/below', place('own/below/out'))
    fs.symlinkSync('circle', place('own/circle'))
    const CASES: [name: string, expected: ReturnType<typeof faultIn>][] = [
      ['own/below/atlas', 'no fault'],
      ['sticky/below/atlas', 'no fault'],
      ['sticky/atlas', 'no fault'],
      ['own/relative/atlas', 'no fault'],
      ['open/atlas', refused('open', 'chmod +t')],
      ['open/below/atlas', refused('open', 'chmod +t')],
      ['own/link/atlas', refused('open', 'chmod +t')],
      ['sticky/aside/out/atlas', refused('open', 'chmod +t')],
      ['group/atlas', refused('group', 'chmod g-w')],
      ['own/circle/atlas', ['unfit', 'its symbolic links lead in a circle', null]],
    ]
    for (const [name, expected] of CASES) expect([name, verdict(name)]).toEqual([name, expected])

    Bun.spawnSync(['sh', '-c', verdict('open/atlas')[2] ?? ''])
    Bun.spawnSync(['sh', '-c', verdict('group/atlas')[2] ?? ''])
    expect([verdict('open/atlas'), verdict('group/atlas')]).toEqual(['no fault', 'no fault'])
  })

  twoUsersTest('privacy: another user’s folder is named, and a link of theirs beside files of others', () => {
    make('theirs', 0o755, 12_345)
    make('shared', 0o1777)
    make('own/below', 0o755)
    fs.symlinkSync('../own/below', place('shared/link'))
    fs.lchownSync(place('shared/link'), 12_345, 12_345)
    const foreign = (name: string) => [
      'exposed',
      `others can replace ${place(name)} and what is in it`,
      `chown -h ${uid} ${place(name)}`,
    ]
    expect([verdict('theirs/atlas'), verdict('shared/link/atlas')]).toEqual([
      foreign('theirs'),
      foreign('shared/link'),
    ])
    Bun.spawnSync(['sh', '-c', verdict('shared/link/atlas')[2] ?? ''])
    expect(verdict('shared/link/atlas')).toBe('no fault')
  })
})
