import { describe, expect, test } from 'bun:test'
import { cac } from 'cac'
import { readArgv } from '../../lib/cli/argv.ts'
import type { Context } from '../../lib/commands/context.ts'
import { defineProgram } from '../../lib/commands/program.ts'

const cli = cac('atlas')
await defineProgram(cli, {} as Context)

describe('values of flags arrive as they were typed', () => {
  const read = async (...argv: string[]) => {
    const request = await readArgv(cli, argv)
    if (request.kind !== 'run') throw new Error(`asks for ${request.kind}`)
    return { command: request.command.name, args: request.args, flags: request.flags }
  }

  test('numbers, dashes and values glued to a short flag', async () => {
    const { command, args, flags } = await read(
      'api',
      '-XPOST',
      '/x',
      '--input',
      '-',
      '-H',
      'a: 1',
      '-H=b: 2',
    )
    expect({ command, args }).toEqual({ command: 'api', args: ['/x'] })
    expect(flags.text('method')).toBe('POST')
    expect(flags.text('input')).toBe('-')
    expect(flags.all('header')).toEqual(['a: 1', 'b: 2'])
    expect((await read('auth', 'login', '--email', '0123')).flags.text('email')).toBe('0123')
  })

  test('flags of every command stand before, between and behind its words', async () => {
    for (const argv of [
      ['--profile', 'work', 'auth', 'switch', 'a'],
      ['auth', '--profile=work', 'switch', 'a'],
      ['auth', 'switch', 'a', '--profile', 'home', '--profile', 'work'],
    ]) {
      const { command, args, flags } = await read(...argv)
      expect({ command, args, profile: flags.text('profile') }).toEqual({
        command: 'auth switch',
        args: ['a'],
        profile: 'work',
      })
    }
  })

  test('a switch has no value, and a flag that is absent is not there', async () => {
    const { flags } = await read('auth', 'status', '--offline')
    expect([flags.has('offline'), flags.text('offline'), flags.has('debug')]).toEqual([
      true,
      undefined,
      false,
    ])
  })
})

describe('what is typed wrong is a usage error with the nearest name', () => {
  const CASES: [args: string[], message: string, hint: string][] = [
    [['frobnicate'], 'There is no command "atlas frobnicate".', 'See: atlas --help'],
    [['statsu'], 'There is no command "atlas statsu".', 'Did you mean "atlas status"?'],
    [['sync', 'now'], 'atlas sync takes no argument "now".', 'See: atlas sync --help'],
    [['swich'], 'There is no command "atlas swich".', 'Did you mean "atlas auth switch"?'],
    [['auht'], 'There is no command "atlas auht".', 'Did you mean "atlas auth"?'],
    [['version'], 'There is no command "atlas version".', 'Did you mean "atlas --version"?'],
    [
      ['help', 'exitcodes'],
      'There is no command "atlas exitcodes".',
      'Did you mean "atlas help exit-codes"?',
    ],
    [['-v'], 'atlas has no flag -v.', 'Did you mean -V?'],
    [['doctr'], 'There is no command "atlas doctr".', 'Did you mean "atlas doctor"?'],
    [['login'], 'There is no command "atlas login".', 'Did you mean "atlas auth login"?'],
    [['auth', 'logn'], 'There is no command "atlas auth logn".', 'Did you mean "atlas auth login"?'],
    [['auth', 'xyzzy'], 'There is no command "atlas auth xyzzy".', 'See: atlas auth --help'],
    [['help', 'nope'], 'There is no command "atlas nope".', 'See: atlas --help'],
    [['auth', 'status', '--ofline'], 'atlas auth status has no flag --ofline.', 'Did you mean --offline?'],
    [['--bogus'], 'atlas has no flag --bogus.', 'See: atlas --help'],
    [['auth', 'status', '-z'], 'atlas auth status has no flag -z.', 'See: atlas auth status --help'],
    [
      ['auth', 'status', 'now'],
      'atlas auth status takes no argument "now".',
      'See: atlas auth status --help',
    ],
    [['auth', 'switch'], 'atlas auth switch needs NAME.', 'See: atlas auth switch --help'],
    [['auth', 'login', '--email'], '--email needs a value: --email <email>.', 'See: atlas auth login --help'],
    [
      ['auth', 'login', '--email', '--debug'],
      '--email needs a value: --email <email>.',
      'See: atlas auth login --help',
    ],
    [['auth', 'status', '--offline=yes'], '--offline takes no value.', 'See: atlas auth status --help'],
    [
      ['auth', 'login', '--password', 'secret'],
      'atlas auth login has no flag --password.',
      'No flag takes a password, which every user of the machine could read: pipe it into --password-stdin.',
    ],
    [
      ['auth', 'login', 'ada@example.com'],
      'atlas auth login takes no argument "ada@example.com".',
      'Did you mean --email ada@example.com?',
    ],
    [
      ['api', 'put', '/notes/7?a=b&c'],
      'atlas api takes no argument "/notes/7?a=b&c".',
      "Did you mean '/notes/7?a=b&c' -X PUT?",
    ],
    [['whoami'], 'There is no command "atlas whoami".', 'Did you mean "atlas auth status"?'],
    [['help', 'auth', 'nope'], 'There is no command "atlas auth nope".', 'See: atlas auth --help'],
  ]
  test.each(CASES)('atlas %j', async (argv, message, hint) => {
    expect(await readArgv(cli, argv).catch(error => error)).toMatchObject({ code: 'usage', message, hint })
  })
})
