import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { cac } from 'cac'
import { readArgv } from '../../lib/cli/argv.ts'
import { renderHelp } from '../../lib/cli/help.ts'
import { ENVIRONMENT } from '../../lib/cli/help-text.ts'
import type { Context } from '../../lib/commands/context.ts'
import { defineProgram } from '../../lib/commands/program.ts'
import { EXIT_CODE } from '../../lib/errors.ts'
import { renderManual } from '../../release/manual.ts'

const cli = cac('atlas')
await defineProgram(cli, {} as Context)
const program = () => cli
const DOCUMENTS = ['README.md', 'docs/configuration.md', 'docs/troubleshooting.md', 'docs/sync.md']
  .map(name => fs.readFileSync(path.resolve(import.meta.dir, '../..', name), 'utf8'))
  .join('\n')

describe('help', () => {
  const EXAMPLES = [program().globalCommand, ...program().commands].flatMap(({ examples }) =>
    examples.map(String),
  )

  test('every command has an example', () => {
    expect(program().commands.filter(({ examples }) => examples.length === 0)).toEqual([])
  })

  test.each(EXAMPLES)('"%s" works when pasted', async example => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-paste-'))
    const argvFile = path.join(folder, 'argv')
    // A shell reads the line; a program of the name atlas writes down what it was given.
    fs.writeFileSync(path.join(folder, 'atlas'), `#!/bin/sh\nprintf '%s\\0' "$@" >>'${argvFile}'\n`, {
      mode: 0o755,
    })
    fs.writeFileSync(path.join(folder, 'curl'), '#!/bin/sh\n', { mode: 0o755 })
    fs.writeFileSync(path.join(folder, 'password.txt'), 'correct horse\n')
    fs.mkdirSync(path.join(folder, '.config/fish/completions'), { recursive: true })
    const { exitCode, stderr } = Bun.spawnSync(['bash', '-c', example.trim().replace(/^\$ /, '')], {
      cwd: folder,
      env: { PATH: `${folder}:${process.env['PATH']}`, HOME: folder },
    })
    expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: '' })
    const argv = fs.readFileSync(argvFile, 'utf8').split('\0').slice(0, -1)
    fs.rmSync(folder, { recursive: true })
    expect((await readArgv(program(), argv)).kind).toBe('run')
  })

  test('lists every command once, in groups, and aligns all descriptions', () => {
    const lines = renderHelp(program(), [], 100, false).split('\n')
    const of = (title: string): string[] => {
      const start = lines.indexOf(`${title}:`) + 1
      return lines.slice(start, lines.indexOf('', start))
    }
    const listed = ['Session', 'Requests', 'Help and repair'].flatMap(of)
    const firstWords = listed.map(line =>
      line
        .trim()
        .split(/ {2,}/)[0]
        ?.replace(/ [A-Z]+$/, ''),
    )
    for (const { name } of program().commands)
      expect(
        lines.filter(line => line.startsWith(`  ${name} `) || line === `  ${name}`).length,
      ).toBeGreaterThan(0)
    expect(firstWords.slice(0, 3)).toEqual(['auth login', 'auth status', 'auth token'])
    expect(new Set(listed.map(line => line.search(/(?<= {2})\S(?!.* {2}\S)/))).size).toBe(1)
  })

  test.each([60, 80, 100, 200])('fits a terminal of %d columns, but for examples', columns => {
    const cli = program()
    const topics = [
      [],
      ['auth'],
      ['environment'],
      ['exit-codes'],
      ...cli.commands.map(({ name }) => name.split(' ')),
    ]
    for (const topic of topics) {
      const lines = renderHelp(cli, topic, columns, false).split('\n')
      expect(lines.filter(line => line.length > Math.min(columns, 100) && !line.startsWith('  $ '))).toEqual(
        [],
      )
    }
  })

  test('headings are bold where colours are shown, and the text is the same', () => {
    const coloured = renderHelp(program(), ['auth', 'login'], 80, true)
    expect(coloured).toContain('\u001b[1mUsage:\u001b[22m\n')
    expect(Bun.stripANSI(coloured)).toBe(renderHelp(program(), ['auth', 'login'], 80, false))
  })

  test('a page of help as a whole', () => {
    expect(renderHelp(program(), ['auth', 'switch'], 80, false)).toBe(`Make another profile the current one.

Usage:
  atlas auth switch NAME [flags]

Flags of every command:
      --api-url <url>      The server (default: where this profile last logged
                           in)
      --profile <name>     The profile, for several accounts or servers
                           (default: the current one)
      --timeout <seconds>  The longest wait for an answer, in seconds (default:
                           30)
      --allow-http         Allow plain http to other machines
      --no-input           Never prompt; fail instead
      --debug              Print diagnostics to standard error, without secrets
      --json               Print the result as one JSON object, and errors too
  -h, --help               Show this help

Examples:
  $ atlas auth switch work
`)
  })
})

describe('the manual page', () => {
  const manual = renderManual(program(), '1.2.3')

  test('has a section for every command, and names every variable and error code', () => {
    for (const { name } of program().commands)
      expect(manual).toMatch(new RegExp(`^\\.SS atlas ${name}( |$)`, 'm'))
    for (const [name] of ENVIRONMENT) expect(manual).toContain(`.B ${name}\n`)
    const flowing = manual.replaceAll('\n', ' ')
    for (const code of Object.keys(EXIT_CODE)) expect(flowing).toMatch(new RegExp(`\\b${code}\\b`))
  })

  const hasMan = Bun.which('man') !== null || process.env['CI'] === 'true'
  test.skipIf(!hasMan)('is set without a warning, and shows dashes and quotes as they are typed', () => {
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-man-')), 'atlas.1')
    fs.writeFileSync(file, manual)
    const { stdout, stderr } = Bun.spawnSync(['man', '--warnings', '-E', 'UTF-8', '-l', file], {
      env: { PATH: process.env['PATH'] ?? '', MANWIDTH: '100', MANROFFSEQ: '', LC_ALL: 'C.UTF-8' },
    })
    fs.rmSync(path.dirname(file), { recursive: true })
    const page = stdout.toString().replace(/.\u0008/g, '')
    expect(stderr.toString()).toBe('')
    expect(page).toContain(
      "$ atlas api /notes -F 'author[name]=Ada' -F 'tags[]=a' -F 'tags[]=b' -F text=@note.md",
    )
    expect(page).toContain('--password-stdin')
    expect(page).toContain('atlas 1.2.3')
  })
})

describe('the documents', () => {
  test('name every command, flag, variable and error code', () => {
    const names = [
      ...program().commands.map(({ name }) => `atlas ${name}`),
      ...[program().globalCommand, ...program().commands].flatMap(({ options }) =>
        options.map(({ rawName }) => /--[a-z-]+/.exec(rawName)?.[0] ?? rawName),
      ),
      ...ENVIRONMENT.flatMap(([name]) => name.split(', ')),
      ...Object.keys(EXIT_CODE),
    ]
    expect([...new Set(names)].filter(name => !DOCUMENTS.includes(name))).toEqual([])
  })
})
