import { expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { ALL_SETTINGS, flagOf } from '../lib/config/settings.ts'
import { outcomeOf } from './support/binary.ts'
import { testWithTools } from './support/needs.ts'
import { openPty } from './support/pseudo-terminal.ts'

const ROOT = path.resolve(import.meta.dir, '..')
const DOCUMENTS = ['.', 'docs', 'tests'].flatMap(folder =>
  fs
    .readdirSync(path.join(ROOT, folder))
    .filter(name => name.endsWith('.md'))
    .map(name => path.join(folder, name)),
)

const read = (file: string): string => fs.readFileSync(path.join(ROOT, file), 'utf8')
const exists = (file: string): boolean => fs.existsSync(path.join(ROOT, file))

/** The headings of a document as a web page names them. */
const anchorsOf = (file: string): string[] =>
  [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )

test('documents: every link leads to a file and a heading that are there', () => {
  const broken = DOCUMENTS.flatMap(document =>
    [...read(document).matchAll(/\]\((?!https?:)([^)]+)\)/g)]
      .map(([, link = '']) => link)
      .filter(link => {
        const [name = '', anchor] = link.split('#')
        const target = name === '' ? document : path.join(path.dirname(document), name)
        return !exists(target) || (anchor !== undefined && !anchorsOf(target).includes(anchor))
      })
      .map(link => `${document}: ${link}`),
  )
  expect(broken).toEqual([])
})

test('documents: every file that they name is there', () => {
  const named = DOCUMENTS.flatMap(document =>
    [...read(document).matchAll(/`((?:lib|tests|tools|release|docs|\.github|\.ci)\/[\w./-]+)`/g)].map(
      ([, file = '']) => file,
    ),
  )
  expect([...new Set(named)].filter(file => !exists(file))).toEqual([])
})

test('architecture: every file of lib is in the drawing, commands aside', () => {
  const drawing = read('docs/architecture.md')
  const files = fs
    .readdirSync(path.join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter(name => /(?<!\.d)\.ts$/.test(name) && !/^commands\b/.test(name))
  expect(files.filter(name => !drawing.includes(path.basename(name)))).toEqual([])
})

test('security guarantees: every test that holds one is there', () => {
  const rooms = fs.readdirSync(path.join(ROOT, 'tests'))
  const named = [...read('docs/security-guarantees.md').matchAll(/`(\w+)\/([\w/-]+)`/g)]
    .filter(([, room = '']) => rooms.includes(room))
    .map(([, room, name]) => `tests/${room}/${name}.test.ts`)
  expect(named.length).toBeGreaterThan(0)
  expect([...new Set(named)].filter(file => !exists(file))).toEqual([])
})

test('configuration: every setting has a row with its flag and its variable', () => {
  const rows = read('docs/configuration.md')
    .split('\n')
    .filter(line => line.startsWith('|'))
  const missing = ALL_SETTINGS.map(setting => [flagOf(setting) ?? '', setting.variable ?? ''])
    .map(names => names.filter(name => name !== ''))
    .filter(names => !rows.some(row => names.every(name => row.includes(name))))
  expect(missing).toEqual([])
})

test('the README: fits on a few screens', () => {
  expect(read('README.md').split('\n').length).toBeLessThanOrEqual(161)
})

testWithTools('bash')(
  'docs/sync.md: nobody waits for the sync at login, and what it says is shown',
  async () => {
    const [, snippet = ''] =
      /## At login\n[^`]*(?:`[^`\n]+`[^`]*)*```sh\n(.*?)```/s.exec(read('docs/sync.md')) ?? []
    expect(snippet).toContain('atlas sync')
    const home = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-home-'))
    try {
      fs.writeFileSync(path.join(home, '.bash_profile'), `PATH="${home}:$PATH"\n${snippet}`)
      Bun.spawnSync(['mkfifo', path.join(home, 'go')])
      const program = `#!/bin/sh\nread line <"${home}/go"\necho "$line" >&2\nexit 1\n`
      fs.writeFileSync(path.join(home, 'atlas'), program, { mode: 0o755 })
      const env = { HOME: home, PATH: process.env['PATH'] ?? '' }
      const script = 'answer=$(bash -lc "echo here"); echo "the answer is $answer"; sleep 60'
      const pty = openPty(['bash', '--norc', '--noprofile', '-c', script], { cwd: home, env, columns: 80 })
      await pty.see('the answer is here')
      fs.writeFileSync(path.join(home, 'go'), 'there are local changes\n')
      await pty.see('there are local changes')
      pty.close()
      // Without a terminal there is nobody to tell.
      const piped = Bun.spawn(['bash', '-lc', 'echo here'], {
        env,
        stdin: 'pipe',
        stdout: 'pipe',
        stderr: 'pipe',
      })
      expect(await outcomeOf(piped)).toEqual({ status: 0, stdout: 'here\n', stderr: '' })
    } finally {
      fs.rmSync(home, { recursive: true })
    }
  },
)
