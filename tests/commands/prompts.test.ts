import { describe, expect, test } from 'bun:test'
import { API_SEARCH, type AtlasServer, startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox, type Sandbox } from '../support/binary.ts'
import { openTerminal, type TerminalSession } from '../support/pseudo-terminal.ts'

const EMAIL = ['--email', 'ada@example.com']

const sandboxFor = (server: AtlasServer): Sandbox =>
  createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url, NO_COLOR: '1' })

/** The password of the last login that the server received. */
const receivedPassword = (server: AtlasServer): string | null =>
  new URLSearchParams(server.requests.findLast(({ path }) => path.endsWith('/auth/login'))?.body).get(
    'password',
  )

describe('login at a terminal', () => {
  const LOOKS: [what: string, env: Record<string, string>, columns: number][] = [
    ['of the usual kind', {}, 100],
    ['that is dumb', { TERM: 'dumb' }, 100],
    ['that does not say how wide it is', {}, 0],
    ['that is narrow', {}, 5],
  ]
  test.each(LOOKS)('%s asks a line each, and never shows the password', async (_, env, columns) => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    const terminal = openTerminal(sandbox, ['auth', 'login'], env, { columns })
    await terminal.see('E-mail for')
    terminal.type('ada\r')
    await terminal.see('ada@example.com.\r\nE-mail for')
    terminal.type('ada@example.com\r')
    await terminal.see('Password')
    terminal.type('\r')
    await terminal.see('Type your password.')
    terminal.type('nonsense\u0015correct horsr\u007fe\r')
    expect(await terminal.ended()).toBe(0)
    expect(terminal.transcript.replace(/\r\u001b\[K(?:[\u2800-\u28ff][^\r]*)?/g, '').split('speed ')[0]).toBe(
      [
        `E-mail for ${server.url}: ada`,
        'Type an e-mail address, such as ada@example.com.',
        `E-mail for ${server.url}: ada@example.com`,
        'Password (not shown): ',
        'Type your password.',
        'Password (not shown): ',
        `Logged in to ${server.url} as ada@example.com`,
        `The credentials are in plain text in ${sandbox.configFolder}/credentials, readable by you alone.`,
        'Try: atlas api /auth/me',
        '',
      ].join('\r\n'),
    )
  })

  test('does not ask for an e-mail that is given', async () => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    const terminal = openTerminal(sandbox, ['auth', 'login', ...EMAIL])
    await terminal.see('Password')
    expect(terminal.transcript).not.toContain('E-mail')
    terminal.type('correct horse\r')
    expect(await terminal.ended()).toBe(0)
  })

  test('--no-input never asks', async () => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    const terminal = openTerminal(sandbox, ['auth', 'login', '--no-input'])
    expect(await terminal.ended()).toBe(2)
    expect(server.log()).toEqual([])
  })

  test('--password-stdin refuses a terminal, which would show the password', async () => {
    using sandbox = createSandbox()
    const terminal = openTerminal(sandbox, ['auth', 'login', ...EMAIL, '--password-stdin'])
    expect(await terminal.ended()).toBe(2)
    expect(terminal.transcript).toContain('--password-stdin reads a pipe or a file')
  })
})

describe('Enter', () => {
  const ENTERS: [what: string, enter: string][] = [
    ['CR, as keyboards send it', '\r'],
    ['LF, as programs that type for people send it', '\n'],
    ['CR LF', '\r\n'],
  ]
  test.each(ENTERS)('is %s', async (_, enter) => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    const terminal = openTerminal(sandbox, ['auth', 'login'])
    await terminal.see('E-mail')
    terminal.type(`ada@example.com${enter}`)
    await terminal.see('Password')
    terminal.type(`correct horse${enter}`)
    expect(await terminal.ended()).toBe(0)
    expect(terminal.transcript).not.toContain('horse')
  })

  test.each(ENTERS)('ends each of the answers that are typed ahead (%s)', async (_, enter) => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    const terminal = openTerminal(sandbox, ['auth', 'login'])
    await terminal.see('E-mail')
    terminal.type(`ada${enter}ada@example.com${enter}${enter}correct horse${enter}`)
    expect(await terminal.ended()).toBe(0)
    expect(receivedPassword(server)).toBe('correct horse')
    expect(terminal.transcript).not.toContain('horse')
  })

  test('within a pasted password ends it', async () => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    const terminal = openTerminal(sandbox, ['auth', 'login', ...EMAIL])
    await terminal.see('Password')
    terminal.type('correct\nhorse\n')
    expect(await terminal.ended()).toBe(4)
    expect(receivedPassword(server)).toBe('correct')
    expect(terminal.transcript).not.toContain('horse')
  })
})

test.each([4_000, 60_000])('a password of %p characters can be pasted', async length => {
  await using server = await startAtlasServer()
  using sandbox = sandboxFor(server)
  const terminal = openTerminal(sandbox, ['auth', 'login', ...EMAIL])
  await terminal.see('Password')
  const password = 'pässwörd'.repeat(length / 8)
  terminal.type(`${password}\r`)
  expect(await terminal.ended()).toBe(4)
  expect(receivedPassword(server)).toBe(password)
  expect(terminal.transcript).not.toContain('päss')
})

describe('keys', () => {
  const EDITS: [what: string, keys: string, sent: string][] = [
    ['Backspace deletes a character', 'correct horsé\u007fx\be', 'correct horse'],
    ['Backspace on an empty line does nothing', '\u007f\u007fcorrect horse', 'correct horse'],
    ['Ctrl-U deletes the line', 'nonsense\u0015correct horse', 'correct horse'],
    ['Ctrl-W deletes a word', 'correct 😀 ünsense  \u0017\u0017horse', 'correct horse'],
    ['Ctrl-D within a line is ignored', 'correct\u0004 horse', 'correct horse'],
    [
      'arrows, function keys, Alt and the marks of a paste are ignored',
      '\u001b[200~correct\u001b[A\u001bOP\u001bx\u001b[1;5D horse\u001b[201~',
      'correct horse',
    ],
  ]
  test.each(EDITS)('%s', async (_, keys, sent) => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    const terminal = openTerminal(sandbox, ['auth', 'login', ...EMAIL])
    await terminal.see('Password')
    terminal.type(`${keys}\r`)
    expect(await terminal.ended()).toBe(0)
    expect(receivedPassword(server)).toBe(sent)
    expect(terminal.transcript).not.toContain('horse')
  })

  test('that delete visible characters delete them on the screen, wide ones too', async () => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    const terminal = openTerminal(sandbox, ['auth', 'login'])
    await terminal.see('E-mail for')
    terminal.type('x漢\u007f\u007fab c\u0017\u0015ada@example.com\r')
    await terminal.see('Password')
    const back = '\b \b'
    expect(terminal.transcript).toStartWith(
      `E-mail for ${server.url}: x漢${back.repeat(3)}ab c${back.repeat(4)}ada@example.com\r\nPassword`,
    )
    terminal.type('\u0003')
    await terminal.ended()
  })
})

describe('a prompt that is left', () => {
  const WAYS: [how: string, prompt: string, leave: (t: TerminalSession) => void, status: number][] = [
    ['by Ctrl-C at the e-mail', 'E-mail', terminal => terminal.type('\u0003'), 130],
    ['by Ctrl-C at the password', 'Password', terminal => terminal.type('secret\u0003'), 130],
    ['by Ctrl-D at the e-mail', 'E-mail', terminal => terminal.type('\u0004'), 130],
    ['by Ctrl-D at the password', 'Password', terminal => terminal.type('\u0004'), 130],
    ['by Escape at the e-mail', 'E-mail', terminal => terminal.type('\u001b'), 130],
    ['by Escape at the password', 'Password', terminal => terminal.type('\u001b'), 130],
    ['by Ctrl-\\ at the e-mail', 'E-mail', terminal => terminal.type('\u001c'), 130],
    ['by Ctrl-\\ at the password', 'Password', terminal => terminal.type('\u001c'), 130],
    ['by SIGINT', 'Password', terminal => terminal.signal('SIGINT'), 130],
    ['by SIGTERM', 'Password', terminal => terminal.signal('SIGTERM'), 143],
    ['by SIGHUP', 'Password', terminal => terminal.signal('SIGHUP'), 129],
    ['by SIGQUIT', 'Password', terminal => terminal.signal('SIGQUIT'), 131],
  ]
  test.each(WAYS)('%s sends nothing and leaves a terminal that echoes', async (_, prompt, leave, status) => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    const terminal = openTerminal(sandbox, ['auth', 'login', ...(prompt === 'Password' ? EMAIL : [])])
    await terminal.see(prompt)
    leave(terminal)
    const settings = await terminal.settings()
    expect(settings).toMatch(/(^|\s)echo(\s|$)/)
    expect(settings).toMatch(/(^|\s)icanon(\s|$)/)
    expect(await terminal.ended()).toBe(status)
    expect(terminal.transcript).toContain(': \r\natlas: ')
    expect(terminal.transcript).not.toContain('secret')
    expect(server.log()).toEqual([API_SEARCH])
  })
})

test('api shows JSON indented, and as an escape what could act on the terminal', async () => {
  await using server = await startAtlasServer()
  using sandbox = sandboxFor(server)
  await sandbox.logIn(server)
  const hostile = '{"a":[1.50,{}],"b":"\u009b2J\u202e\u200b"}'
  server.fault(
    'GET /x',
    response => void response.writeHead(200, { 'content-type': 'application/json' }).end(hostile),
  )
  const terminal = openTerminal(sandbox, ['api', '/x'])
  expect(await terminal.ended()).toBe(0)
  expect(terminal.transcript.split('speed ')[0]).toBe(
    ['{', '  "a": [', '    1.50,', '    {}', '  ],', '  "b": "\\u009b2J\\u202e\\u200b"', '}', ''].join(
      '\r\n',
    ),
  )
  expect((await sandbox.run(['api', '/x'])).stdout).toBe(hostile)
})

/** Whether something answers at the default server URL, at which nothing may answer here. */
const hasDefaultServer = await fetch('http://localhost:8000').then(
  () => true,
  () => false,
)

test.skipIf(hasDefaultServer)('login looks for the default server before it asks for anything', async () => {
  using sandbox = createSandbox()
  const terminal = openTerminal(sandbox, ['auth', 'login'], { NO_COLOR: '1' })
  expect(await terminal.ended()).toBe(5)
  expect(terminal.transcript.split('speed ')[0]).toEndWith(
    [
      'atlas: http://localhost:8000 could not be reached: connection refused.',
      '       Name your server: atlas auth login --api-url https://atlas.example.com',
      '',
    ].join('\r\n'),
  )
  expect(terminal.transcript).not.toContain('E-mail')
})
