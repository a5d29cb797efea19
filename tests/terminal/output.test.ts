import { describe, expect, test } from 'bun:test'
import { Cancelled } from '../../lib/errors.ts'
import { createTerminal } from '../../lib/terminal/output.ts'
import { createSecrets } from '../../lib/terminal/secrets.ts'
import { styled } from '../../lib/terminal/style.ts'
import { scriptTerminal } from '../support/scripted-terminal.ts'

const secrets = createSecrets()
secrets.add('correct horse')

describe('output', () => {
  test('has results on standard output, and all else, masked, on standard error', async () => {
    const terminal = scriptTerminal({ secrets })
    await terminal.say(['a ', styled('green', 'result\u001b')])
    await terminal.raw(Buffer.from('\u001b bytes\n'))
    terminal.notice('notice of correct horse')
    terminal.diagnose('step of correct horse')
    terminal.fail({ code: 'usage', message: 'No correct horse\n', hint: 'Try another.' })
    expect(terminal.stdout).toBe('a result\\u001b\n\u001b bytes\n')
    expect(terminal.stderr).toBe(
      [
        'notice of [hidden]',
        'debug: step of [hidden]',
        'atlas: No [hidden]\\u000a',
        '       Try another.',
        '',
      ].join('\n'),
    )
  })

  test('with --json holds notices back until the command has succeeded', async () => {
    const terminal = scriptTerminal({ json: true, secrets })
    terminal.notice('later')
    await terminal.sayJson({ a: '\u202e' })
    terminal.fail({ code: 'usage', message: 'correct horse', hint: null })
    expect(terminal.stderr).toBe('{"error":{"code":"usage","message":"[hidden]","hint":null}}\n')
    terminal.flushNotices()
    terminal.flushNotices()
    expect(terminal.stderr).toBe('{"error":{"code":"usage","message":"[hidden]","hint":null}}\nlater\n')
    expect(terminal.stdout).toBe('{"a":"\\u202e"}\n')
  })

  test('has a width only where it is a terminal that says so', () => {
    expect(scriptTerminal({ stdoutIsTerminal: true, columns: 72 }).columns).toBe(72)
    expect(scriptTerminal({ stdoutIsTerminal: true, columns: 0 }).columns).toBeUndefined()
    expect(scriptTerminal({ stdoutIsTerminal: false, columns: 72 }).columns).toBeUndefined()
  })
})

test('diagnostics that nobody reads are left out beyond a MiB, and counted', async () => {
  const MIB = 1024 * 1024
  const written: string[] = []
  let waitingBytes = MIB
  const terminal = createTerminal({
    json: false,
    env: {},
    secrets,
    device: {
      isTerminal: () => false,
      async writeStdout() {},
      writeStderr(text, maxWaitingBytes = Number.POSITIVE_INFINITY) {
        if (waitingBytes > maxWaitingBytes) return false
        written.push(String(text))
        return true
      },
      async flush() {},
      columns: () => undefined,
      openPrompt: () => Promise.reject(new Error('nothing is asked')),
    },
  })
  terminal.diagnose('one')
  waitingBytes = MIB + 1
  terminal.diagnose('two')
  terminal.diagnose('three')
  terminal.notice('A notice is never left out.')
  waitingBytes = 0
  terminal.diagnose('four')
  waitingBytes = MIB + 1
  terminal.diagnose('five')
  await terminal.flush()
  expect(written.join('')).toBe(
    [
      'debug: one',
      'A notice is never left out.',
      'debug: lines left out, as nobody read them: 2',
      'debug: four',
      'debug: lines left out, as nobody read them: 1',
      '',
    ].join('\n'),
  )
})

describe('a question', () => {
  test('is asked again until its answer is valid', async () => {
    const terminal = scriptTerminal({ answers: ['x', 'ada', '', 'correct horse'] })
    expect(await terminal.ask('Name\u001b', answer => (answer === 'x' ? 'Not x.' : undefined))).toBe('ada')
    expect(await terminal.askSecret('Password')).toBe('correct horse')
    expect(terminal.questions).toEqual([
      'Name\\u001b: ',
      'Name\\u001b: ',
      'Password (not shown): ',
      'Password (not shown): ',
    ])
    expect(terminal.stderr).toBe('Not x.\nType your password.\n')
  })

  test('that is left throws Cancelled', async () => {
    await expect(scriptTerminal().askSecret('Password')).rejects.toThrow(new Cancelled())
  })
})
