import { describe, expect, test } from 'bun:test'
import { startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox } from '../support/binary.ts'
import { openTerminal } from '../support/pseudo-terminal.ts'

test('a person is asked for e-mail and password, and the password is never on the screen', async () => {
  await using server = await startAtlasServer()
  using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url })
  const terminal = openTerminal(sandbox, ['auth', 'login'])
  await terminal.see('E-mail')
  terminal.type('ada\r')
  await terminal.see('Type an e-mail address')
  terminal.type('@example.com\r')
  await terminal.see('Password')
  terminal.type('correct horse\r')
  expect(await terminal.ended()).toBe(0)
  expect(terminal.transcript).toContain(`Logged in to ${server.url} as ada@example.com`)
  expect(terminal.transcript).not.toContain('correct')
  expect(terminal.transcript).not.toContain('horse')
  expect(server.log().at(-1)).toEndWith('/auth/login')
})

describe('a terminal that cannot move its cursor', () => {
  const LOOKS: [what: string, env: Record<string, string>, columns: number][] = [
    ['is dumb', { TERM: 'dumb' }, 100],
    ['does not say how wide it is', {}, 0],
  ]
  test.each(LOOKS)('%s: each question is a line, and the password is not shown', async (_, env, columns) => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox({
      ATLAS_CREDENTIAL_STORE: 'file',
      ATLAS_API_URL: server.url,
      NO_COLOR: '1',
    })
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
    expect(terminal.transcript.slice(0, terminal.transcript.indexOf('speed '))).toBe(
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

  const WAYS: [
    how: string,
    prompt: string,
    leave: (t: ReturnType<typeof openTerminal>) => void,
    status: number,
  ][] = [
    ['Ctrl-C at the e-mail', 'E-mail', terminal => terminal.type('\u0003'), 130],
    ['Ctrl-D at the e-mail', 'E-mail', terminal => terminal.type('\u0004'), 130],
    ['Ctrl-C at the password', 'Password', terminal => terminal.type('\u0003'), 130],
    ['Ctrl-\\ at the e-mail', 'E-mail', terminal => terminal.type('\u001c'), 131],
    ['Ctrl-\\ at the password', 'Password', terminal => terminal.type('\u001c'), 130],
    ['Escape at the password', 'Password', terminal => terminal.type('\u001b'), 130],
    ['SIGTERM at the password', 'Password', terminal => terminal.signal('SIGTERM'), 143],
  ]
  test.each(WAYS)('is left by %s, and echoes again', async (_, prompt, leave, status) => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url })
    const email = prompt === 'Password' ? ['--email', 'ada@example.com'] : []
    const terminal = openTerminal(sandbox, ['auth', 'login', ...email], { TERM: 'dumb' })
    await terminal.see(prompt)
    leave(terminal)
    expect(await terminal.settings()).toMatch(/(^|\s)echo(\s|$)/)
    expect(await terminal.ended()).toBe(status)
    expect(terminal.transcript).not.toContain('\u001b')
    expect(server.log()).toEqual([])
  })
})

test('an e-mail that is given is not asked for', async () => {
  await using server = await startAtlasServer()
  using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url })
  const terminal = openTerminal(sandbox, ['auth', 'login', '--email', 'ada@example.com'])
  await terminal.see('Password')
  expect(terminal.transcript).not.toContain('E-mail')
  terminal.type('correct horse\r')
  expect(await terminal.ended()).toBe(0)
})

const ENTERS: [what: string, enter: string][] = [
  ['CR, as keyboards send it', '\r'],
  ['LF, as programs that type for people send it', '\n'],
  ['CR LF', '\r\n'],
]
test.each(ENTERS)('Enter is %s', async (_, enter) => {
  await using server = await startAtlasServer()
  using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url })
  const terminal = openTerminal(sandbox, ['auth', 'login'])
  await terminal.see('E-mail')
  terminal.type(`ada@example.com${enter}`)
  await terminal.see('Password')
  terminal.type(`correct horse${enter}`)
  expect(await terminal.ended()).toBe(0)
  expect(terminal.transcript).not.toContain('horse')
})

test.each(ENTERS)('what is typed ahead of the questions answers them (%s)', async (_, enter) => {
  await using server = await startAtlasServer()
  using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url })
  const terminal = openTerminal(sandbox, ['auth', 'login'])
  await terminal.see('E-mail')
  terminal.type(`ada${enter}@example.com${enter}correct horse${enter}`)
  expect(await terminal.ended()).toBe(0)
  expect(new URLSearchParams(server.requests.at(-1)?.body).get('password')).toBe('correct horse')
  expect(terminal.transcript).not.toContain('horse')
})

describe('a prompt that is left', () => {
  const WAYS: [
    how: string,
    prompt: string,
    leave: (t: ReturnType<typeof openTerminal>) => void,
    status: number,
  ][] = [
    ['by Ctrl-C at the e-mail', 'E-mail', terminal => terminal.type('\u0003'), 130],
    ['by Ctrl-C at the password', 'Password', terminal => terminal.type('\u0003'), 130],
    ['by Ctrl-D at the e-mail', 'E-mail', terminal => terminal.type('\u0004'), 130],
    ['by Ctrl-D at the password', 'Password', terminal => terminal.type('\u0004'), 130],
    ['by Escape at the password', 'Password', terminal => terminal.type('\u001b'), 130],
    ['by Ctrl-\\ at the password', 'Password', terminal => terminal.type('\u001c'), 130],
    ['by SIGINT', 'Password', terminal => terminal.signal('SIGINT'), 130],
    ['by SIGTERM', 'Password', terminal => terminal.signal('SIGTERM'), 143],
    ['by SIGHUP', 'Password', terminal => terminal.signal('SIGHUP'), 129],
    ['by SIGQUIT', 'Password', terminal => terminal.signal('SIGQUIT'), 131],
  ]
  test.each(WAYS)('%s sends nothing and leaves a terminal that echoes', async (_, prompt, leave, status) => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url })
    const email = prompt === 'Password' ? ['--email', 'ada@example.com'] : []
    const terminal = openTerminal(sandbox, ['auth', 'login', ...email])
    await terminal.see(prompt)
    leave(terminal)
    const settings = await terminal.settings()
    expect(settings).toMatch(/(^|\s)echo(\s|$)/)
    expect(settings).toMatch(/(^|\s)icanon(\s|$)/)
    expect(await terminal.ended()).toBe(status)
    // The cursor that the prompt has hidden is shown again.
    expect(terminal.transcript.lastIndexOf('\u001b[?25h')).toBeGreaterThan(
      terminal.transcript.lastIndexOf('\u001b[?25l'),
    )
    expect(server.log()).toEqual([])
  })
})

test('--no-input never asks, even on a terminal', async () => {
  await using server = await startAtlasServer()
  using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url })
  const terminal = openTerminal(sandbox, ['auth', 'login', '--no-input'])
  expect(await terminal.ended()).toBe(2)
  expect(server.log()).toEqual([])
})

test('--password-stdin refuses a terminal, which would show the password', async () => {
  using sandbox = createSandbox()
  const terminal = openTerminal(sandbox, ['auth', 'login', '--email', 'ada@example.com', '--password-stdin'])
  expect(await terminal.ended()).toBe(2)
  expect(terminal.transcript).toContain('--password-stdin reads a pipe or a file')
})

test('on a terminal JSON is indented and what could act on the terminal is shown as an escape', async () => {
  await using server = await startAtlasServer()
  using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url })
  await sandbox.logIn(server)
  const hostile = '{"a":[1.50,{}],"b":"\u001b[2J\u009b\u202e\u200b"}'
  server.fault(
    'GET /x',
    response => void response.writeHead(200, { 'content-type': 'application/json' }).end(hostile),
  )
  const terminal = openTerminal(sandbox, ['api', '/x'], { NO_COLOR: '1' })
  expect(await terminal.ended()).toBe(0)
  expect(terminal.transcript).toContain(
    ['{', '  "a": [', '    1.50,', '    {}', '  ],', '  "b": "\\u001b[2J\\u009b\\u202e\\u200b"', '}'].join(
      '\r\n',
    ),
  )
  expect((await sandbox.run(['api', '/x'])).stdout).toBe(hostile)
})

/** Whether something answers where atlas looks for a server that nobody has named. */
const hasDefaultServer = await fetch('http://localhost:8000').then(
  () => true,
  () => false,
)

test.skipIf(hasDefaultServer)(
  'a server that nobody has named is looked for before anything is asked',
  async () => {
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
  },
)
