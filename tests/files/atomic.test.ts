import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { removeFile, replaceFile, writeTemporary } from '../../lib/files/atomic.ts'
import { overwriteFile, rehearseReplacement } from '../../lib/files/replaceable.ts'
import { outcomeOf } from '../support/binary.ts'
import { traceTest } from '../support/needs.ts'
import { createSmallDisk, smallDiskTest } from '../support/small-disk.ts'

let folder = ''
let file = ''
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-file-'))
  file = path.join(folder, 'below', 'file')
})
afterEach(() => fs.rmSync(folder, { recursive: true }))

const modeOf = (place: string): number => fs.statSync(place).mode & 0o777
const names = (): string[] => fs.readdirSync(path.dirname(file)).sort()

describe('a file that is replaced', () => {
  test('replaceFile: makes a private file in private folders', () => {
    replaceFile(file, 'content')
    expect({ file: modeOf(file), folder: modeOf(path.dirname(file)) }).toEqual({ file: 0o600, folder: 0o700 })
    replaceFile(file, 'shorter')
    expect(names()).toEqual(['file'])
    expect(fs.readFileSync(file, 'utf8')).toBe('shorter')
  })

  test('replaceFile: replaces a link and leaves its target alone', () => {
    const victim = path.join(folder, 'victim')
    fs.writeFileSync(victim, 'untouched')
    for (const plant of [fs.symlinkSync, fs.linkSync]) {
      fs.mkdirSync(path.dirname(file), { recursive: true })
      fs.rmSync(file, { force: true })
      plant(victim, file)
      replaceFile(file, 'new')
      expect(fs.readFileSync(victim, 'utf8')).toBe('untouched')
      expect(fs.lstatSync(file).isFile()).toBe(true)
      expect(fs.readFileSync(file, 'utf8')).toBe('new')
    }
  })

  test('replaceFile: leaves nothing behind if the file cannot be put in place', () => {
    fs.mkdirSync(path.join(file, 'in the way'), { recursive: true })
    expect(() => replaceFile(file, 'content')).toThrow()
    expect(names()).toEqual(['file'])
  })

  test('rehearseReplacement: leaves the file as it was', () => {
    replaceFile(file, 'old')
    const { ino } = fs.statSync(file)
    const remove = rehearseReplacement(file, 'x'.repeat(10_000))
    expect(names()).toHaveLength(2)
    remove()
    expect({ names: names(), text: fs.readFileSync(file, 'utf8'), ino: fs.statSync(file).ino }).toEqual({
      names: ['file'],
      text: 'old',
      ino,
    })
  })

  test('rehearseReplacement: what cannot be deleted afterwards is no failure', () => {
    const remove = rehearseReplacement(file, 'new')
    const temporary = path.join(path.dirname(file), names()[0] ?? '')
    fs.rmSync(temporary)
    fs.mkdirSync(temporary)
    expect(remove).not.toThrow()
  })

  smallDiskTest('replaceFile: keeps the old file on a full disk, and a rehearsal fails there too', () => {
    using disk = createSmallDisk()
    const onDisk = path.join(disk.folder, 'file')
    replaceFile(onDisk, 'old')
    disk.fill()
    expect(() => replaceFile(onDisk, 'new')).toThrow('ENOSPC')
    expect(() => rehearseReplacement(onDisk, 'new')).toThrow('ENOSPC')
    expect(fs.readFileSync(onDisk, 'utf8')).toBe('old')
    expect(fs.readdirSync(disk.folder).sort()).toEqual(['file', 'filler'])
  })
})

describe('a temporary file', () => {
  /** One that this process has written, renamed as if another had. */
  const writtenBy = (process: string): string => {
    const { path: temporary } = writeTemporary(file, 'half', { mode: 0o600 })
    const renamed = temporary.replace(/[0-9a-f]{8}-\d+(?=-)/, process)
    fs.renameSync(temporary, renamed)
    return path.basename(renamed)
  }
  const machine = (): string => {
    using writer = writeTemporary(file, '', { mode: 0o600 })
    return /\.([0-9a-f]{8})-/.exec(writer.path)?.[1] ?? ''
  }
  const age = (name: string, seconds: number): void => {
    const then = Date.now() / 1000 - seconds
    fs.utimesSync(path.join(path.dirname(file), name), then, then)
  }
  const deadPid = async (): Promise<number> => {
    const child = Bun.spawn(['true'])
    await child.exited
    return child.pid
  }
  beforeEach(() => fs.mkdirSync(path.dirname(file)))

  test('temporary files: each writer has its own name', () => {
    using one = writeTemporary(file, 'half', { mode: 0o600 })
    using other = writeTemporary(file, 'half', { mode: 0o600 })
    expect(one.path).not.toBe(other.path)
    expect(names()).toHaveLength(2)
  })

  test('temporary files: those of running writers stay, here and on other machines', () => {
    const live = [
      writtenBy(`${machine()}-${process.pid}`),
      writtenBy(`${machine()}-1`),
      writtenBy('0a1b2c3d-1'),
    ]
    replaceFile(file, 'content')
    expect(names()).toEqual([...live, 'file'].sort())
  })

  test('temporary files: a removal deletes all of its file, and those of no other file', () => {
    for (const writer of [`${machine()}-${process.pid}`, `${machine()}-1`, '0a1b2c3d-1']) writtenBy(writer)
    const other = path.join(path.dirname(file), '.another.0a1b2c3d-1-0a1b2c3d.atlas-tmp')
    fs.writeFileSync(other, 'half')
    age(path.basename(other), 3_600)
    removeFile(file)
    expect(names()).toEqual([path.basename(other)])
  })

  test('temporary files: one that cannot be deleted does not stop a write', () => {
    const folder = path.join(path.dirname(file), '.file.0a1b2c3d-1-0a1b2c3d.atlas-tmp')
    fs.mkdirSync(folder)
    fs.utimesSync(folder, 0, 0)
    replaceFile(file, 'content')
    expect(names()).toEqual([path.basename(folder), 'file'])
  })

  test('temporary files: that of a killed writer is deleted by the next write or removal of its file', async () => {
    const dead = `${machine()}-${await deadPid()}`
    writtenBy(dead)
    replaceFile(file, 'content')
    expect(names()).toEqual(['file'])
    writtenBy(dead)
    expect({ removed: removeFile(file), names: names() }).toEqual({ removed: true, names: [] })
    writtenBy(dead)
    expect({ removed: removeFile(file), names: names() }).toEqual({ removed: false, names: [] })
  })

  test('temporary files: one of another machine is deleted after ten minutes', () => {
    const [young, old] = [writtenBy('0a1b2c3d-1'), writtenBy('0a1b2c3d-1')]
    age(young, 300)
    age(old, 3_600)
    replaceFile(file, 'content')
    expect(names()).toEqual([young, 'file'])
  })

  test('temporary files: names that atlas does not give are left alone', () => {
    const others = ['.file.atlas-tmp', '.file.tmp', 'file.0a1b2c3d-1-0a1b2c3d.atlas-tmp']
    for (const name of others) fs.writeFileSync(path.join(path.dirname(file), name), '')
    for (const name of others) age(name, 86_400)
    removeFile(file)
    expect(names()).toEqual(others.sort())
  })
})

test('removeFile: says whether the file was there, even without its folder', () => {
  expect(removeFile(file)).toBe(false)
  replaceFile(file, 'content')
  expect(removeFile(file)).toBe(true)
  expect(removeFile(file)).toBe(false)
})

describe.skipIf(process.platform === 'win32')(
  'a temporary file that somebody else deletes or replaces',
  () => {
    /** Another process that does so as fast as it can, until it is ended. */
    const MEDDLER = `
    const fs = require('node:fs'), path = require('node:path')
    const [folder, how] = process.argv.slice(-2)
    for (let looks = 0; ; looks++) {
      for (const name of fs.readdirSync(folder).filter(name => name.endsWith('.atlas-tmp'))) {
        const place = path.join(folder, name)
        try {
          if (how === 'replace') { fs.writeFileSync(place + '.theirs', 'theirs'); fs.renameSync(place + '.theirs', place) }
          else fs.rmSync(place)
        } catch {}
      }
      if (looks === 0) fs.writeSync(1, '.')
    }`

    test.each([
      'delete',
      'replace',
    ])('replaceFile: succeeds only where its own content is in place, beside one who would %s it', async how => {
      replaceFile(file, 'before')
      const meddler = Bun.spawn([process.execPath, '-e', MEDDLER, '--', path.dirname(file), how], {
        stdout: 'pipe',
      })
      await meddler.stdout.getReader().read()
      let content = 'before'
      try {
        for (let round = 0; round < 300; round++) {
          const next = `round ${round} ${'x'.repeat(round)}`
          try {
            replaceFile(file, next)
          } catch (error) {
            expect(String(error)).toContain('another program removes what atlas writes beside it')
            continue
          }
          content = fs.readFileSync(file, 'utf8')
          expect(content).toBe(next)
        }
      } finally {
        meddler.kill('SIGKILL')
        await meddler.exited
      }
      expect(content).not.toBe('before')
    })
  },
)

describe('a rename that is held back while somebody else acts', () => {
  const temporary = (): string =>
    path.join(path.dirname(file), names().find(name => name.endsWith('.atlas-tmp')) ?? 'none yet')
  const replaceBy = (place: string, text: string): void => {
    fs.writeFileSync(`${place}.theirs`, text)
    fs.renameSync(`${place}.theirs`, place)
  }

  /** Replace the file in another process, and act before or after its first rename, seen from its return. */
  const replaceAround = async (when: 'enter' | 'exit', act: () => void): Promise<string> => {
    const script = `require(${JSON.stringify(path.resolve('lib/files/atomic.ts'))}).replaceFile(process.argv.at(-1), 'ours')`
    const delay = `--inject=rename,renameat,renameat2:delay_${when}=700000:when=1`
    const child = Bun.spawn(
      [
        'strace',
        '-f',
        '-o',
        '/dev/null',
        '-e',
        'trace=rename,renameat,renameat2',
        delay,
        process.execPath,
        '-e',
        script,
        '--',
        file,
      ],
      { stdin: 'pipe', stdout: 'pipe', stderr: 'pipe' },
    )
    const isReady = (): boolean =>
      when === 'enter'
        ? fs.existsSync(temporary()) && fs.readFileSync(temporary(), 'utf8') === 'ours'
        : fs.readFileSync(file, 'utf8') === 'ours'
    while (!isReady() && child.exitCode === null) await Bun.sleep(2)
    // The check before the rename is over microseconds after the writing, the delay long after that.
    await Bun.sleep(200)
    act()
    const { stderr } = await outcomeOf(child)
    return /another program removes what atlas writes/.exec(stderr)?.[0] ?? stderr
  }
  const found = () => ({ names: names(), text: fs.readFileSync(file, 'utf8') })
  const OURS = { names: ['file'], text: 'ours' }

  traceTest('replaceFile: writes again where its temporary file is deleted the moment before', async () => {
    replaceFile(file, 'before')
    expect(await replaceAround('enter', () => fs.rmSync(temporary()))).toBe('')
    expect(found()).toEqual(OURS)
  })

  traceTest('replaceFile: writes again where the whole folder is deleted the moment before', async () => {
    replaceFile(file, 'before')
    expect(await replaceAround('enter', () => fs.rmSync(path.dirname(file), { recursive: true }))).toBe('')
    expect(found()).toEqual(OURS)
  })

  traceTest('replaceFile: what another one put under its temporary name does not stay in place', async () => {
    replaceFile(file, 'before')
    expect(await replaceAround('enter', () => replaceBy(temporary(), 'theirs'))).toBe('')
    expect(found()).toEqual(OURS)
  })

  traceTest('replaceFile: does not write over what another one stored the moment after', async () => {
    replaceFile(file, 'before')
    expect(await replaceAround('exit', () => replaceBy(file, 'newer'))).toBe('')
    expect(found()).toEqual({ names: ['file'], text: 'newer' })
  })
})

describe('a file that is written over', () => {
  const over = (before: string, after: string) => {
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, before)
    const { ino } = fs.statSync(file)
    overwriteFile(file, after)
    return { text: fs.readFileSync(file, 'utf8'), isSame: fs.statSync(file).ino === ino }
  }
  test('overwriteFile: shortens and lengthens a file and keeps its inode', () => {
    expect(over('a longer text', 'short')).toEqual({ text: 'short', isSame: true })
    expect(over('short', 'a longer text')).toEqual({ text: 'a longer text', isSame: true })
  })

  smallDiskTest('overwriteFile: leaves the text whole on a full disk', () => {
    using disk = createSmallDisk()
    const onDisk = path.join(disk.folder, 'file')
    fs.writeFileSync(onDisk, 'old')
    disk.fill()
    expect(() => overwriteFile(onDisk, 'x'.repeat(20_000))).toThrow('ENOSPC')
    expect(fs.readFileSync(onDisk, 'utf8')).toBe('old')
  })
})
