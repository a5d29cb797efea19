import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { API_SEARCH, answer, type Fault, startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox, LOGIN, outcomeOf } from '../support/binary.ts'
import { inProcess } from '../support/in-process.ts'
import { stage } from '../support/stage.ts'

test('login: prints the server and the e-mail, and sends the password form once', async () => {
  await using atlas = await stage()
  const { server } = atlas
  const folder = `${atlas.configFolder}/credentials`
  expect(await atlas.logIn({ env: { ATLAS_API_URL: server.apiRoot } })).toEqual({
    status: 0,
    stdout: `Logged in to ${server.url} as ada@example.com\n`,
    stderr: `The credentials are in plain text in ${folder}, readable by you alone.\n`,
  })
  expect(server.log()).toEqual([API_SEARCH, 'POST /api/v1/auth/login'])
  expect(Object.fromEntries(new URLSearchParams(server.requests[1]?.body))).toEqual({
    grant_type: 'password',
    username: 'ada@example.com',
    password: 'correct horse',
  })
  expect(server.requests[1]?.headers['user-agent']).toMatch(/^atlas-cli\/\d+\.\d+\.\d+$/)
})

test('login: --json prints the same object as status', async () => {
  await using atlas = await inProcess()
  const { server } = atlas
  const { status, stdout } = await atlas.run([...LOGIN, '--json'], {
    input: 'correct horse',
    env: { ATLAS_API_URL: server.url },
  })
  const told = JSON.parse(stdout)
  expect({ status, told }).toEqual({
    status: 0,
    told: {
      state: 'authenticated',
      profile: 'default',
      api_url: server.url,
      email: 'ada@example.com',
      username: 'ada',
      role: 'admin',
      source: 'file',
      store: 'file',
      expires_at: told.expires_at,
      session_expires_at: told.session_expires_at,
      reason: null,
    },
  })
  expect(told.expires_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

test('login: at a terminal, asks again for a mistyped e-mail and sends what was typed at last', async () => {
  await using atlas = await inProcess()
  const { server } = atlas
  const answers = ['ada', ' ada@example.com ', '', 'correct horse']
  expect(await atlas.run(['auth', 'login'], { answers })).toEqual({
    status: 0,
    stdout: `Logged in to ${server.url} as ada@example.com\n`,
    stderr: [
      'Type an e-mail address, such as ada@example.com.',
      'Type your password.',
      `The credentials are in plain text in ${atlas.configFolder}/credentials, readable by you alone.`,
      'Try: atlas api /auth/me',
      '',
    ].join('\n'),
  })
  expect(atlas.questions).toEqual([
    `E-mail for ${server.url}: `,
    `E-mail for ${server.url}: `,
    'Password (not shown): ',
    'Password (not shown): ',
  ])
  expect(server.requests.map(({ method, path, body }) => [method, path, body])).toEqual([
    ['GET', '/api/v1/auth/me', ''],
    ['POST', '/api/v1/auth/login', 'grant_type=password&username=ada%40example.com&password=correct+horse'],
  ])
})

test('login: Ctrl-C at a question sends and stores nothing', async () => {
  await using atlas = await inProcess()
  expect(await atlas.run(['auth', 'login'], { answers: ['ada@example.com'] })).toEqual({
    status: 130,
    stdout: '',
    stderr: 'atlas: Cancelled.\n',
  })
  expect([atlas.server.log(), atlas.filesHolding('access_token')]).toEqual([[API_SEARCH], []])
})

const PASSWORDS: [what: string, input: string | Uint8Array, sent: string][] = [
  ['without a line ending', 'correct horse', 'correct horse'],
  ['with a line ending', 'correct horse\n', 'correct horse'],
  ['with a Windows line ending', 'correct horse\r\n', 'correct horse'],
  ['with two line endings, the first of which belongs to it', 'correct horse\n\n', 'correct horse\n'],
  ['with spaces around it', ' correct horse ', ' correct horse '],
  ['in any script', 'pässwörd 🔑', 'pässwörd 🔑'],
  ['behind a byte-order mark', '\ufeffcorrect horse\r\n', 'correct horse'],
  ['with quotes around it', '"correct horse"\n', '"correct horse"'],
]
test.each(PASSWORDS)('login: a piped password %s arrives unchanged', async (_, input, sent) => {
  await using atlas = await inProcess()
  const { server } = atlas
  await atlas.run(LOGIN, { input, env: { ATLAS_API_URL: server.apiRoot } })
  expect(new URLSearchParams(server.requests[1]?.body).get('password')).toBe(sent)
})

test('login: says that quotes around a piped password are part of it', async () => {
  await using atlas = await inProcess()
  const { status, stderr } = await atlas.run(LOGIN, { input: "'correct horse'\n" })
  expect({ status, first: stderr.split('\n')[0] }).toEqual({
    status: 4,
    first: 'The password on standard input begins and ends with quotes, which are taken as part of it.',
  })
})

test('login: server, store and profile are remembered for later commands', async () => {
  await using atlas = await stage({ store: 'unset' })
  const { server } = atlas
  await atlas.logIn({ env: { ATLAS_PROFILE: 'work', ATLAS_CREDENTIAL_STORE: 'file' } })
  const { status, stdout } = await atlas.run(['auth', 'status', '--json'])
  expect({ status, ...JSON.parse(stdout) }).toMatchObject({
    status: 0,
    state: 'authenticated',
    profile: 'work',
    api_url: server.url,
    store: 'file',
  })
})

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Fault =>
  response =>
    answer(response, status, body, headers)

describe('a failed login', () => {
  const html =
    (status: number): Fault =>
    response =>
      void response.writeHead(status, { 'content-type': 'text/html' }).end('<!doctype html><p>correct horse')
  const inAMinute = new Date(Date.now() + 60_000).toUTCString()

  const CASES: [what: string, fault: Fault, status: number, code: string][] = [
    ['for wrong credentials', json(401, { detail: 'Incorrect email or password' }), 4, 'bad_credentials'],
    ['with 400', json(400, { detail: 'no' }), 4, 'bad_credentials'],
    ['with 403', json(403, { detail: 'no' }), 4, 'bad_credentials'],
    ['with 404', json(404, { detail: 'Not Found' }), 5, 'bad_response'],
    [
      'for what was typed',
      json(422, { detail: [{ loc: ['body', 'username'], msg: 'bad' }] }),
      1,
      'api_error',
    ],
    ['with 429 and seconds', json(429, {}, { 'retry-after': '17' }), 5, 'rate_limited'],
    ['with 429 and a date', json(429, {}, { 'retry-after': inAMinute }), 5, 'rate_limited'],
    ['with 500', json(500, {}), 5, 'server_error'],
    ['with 503 in HTML', html(503), 5, 'server_error'],
    ['with HTML and 200', html(200), 5, 'bad_response'],
    ['with a redirect', json(302, {}, { location: 'https://elsewhere.example/login' }), 5, 'bad_response'],
    ['with silence', () => {}, 5, 'timeout'],
    ['with a reset', (_, __, socket) => void socket.destroy(), 5, 'network'],
  ]
  test.each(
    CASES,
  )('login: a failure %s has its own error code and stores nothing', async (_, fault, status, code) => {
    await using atlas = await inProcess()
    const { server } = atlas
    server.fault('POST /auth/login', fault)
    const outcome = await atlas.run([...LOGIN, '--json'], {
      input: 'correct horse',
      env: { ATLAS_API_URL: server.apiRoot, ATLAS_TIMEOUT: '1' },
    })
    const { error } = JSON.parse(outcome.stderr)
    expect({ status: outcome.status, stdout: outcome.stdout, code: error.code }).toEqual({
      status,
      stdout: '',
      code,
    })
    expect(outcome.stderr).not.toContain('correct horse')
    expect(atlas.filesHolding('access_token')).toEqual([])
  })

  test('login: wrong credentials print the server’s words and the next step', async () => {
    await using atlas = await inProcess()
    const { server } = atlas
    expect(await atlas.run(LOGIN, { input: 'wrong', env: { ATLAS_API_URL: server.url } })).toEqual({
      status: 4,
      stdout: '',
      stderr:
        `atlas: ${server.url} refused the login: Incorrect email or password\n` +
        '       Check e-mail and password, and that this is the right server, then try again.\n',
    })
  })

  test('login: a rate limit says how long to wait', async () => {
    await using atlas = await inProcess()
    const { server } = atlas
    server.fault('POST /auth/login', json(429, {}, { 'retry-after': '17' }))
    expect(await atlas.run(LOGIN, { input: 'x', env: { ATLAS_API_URL: server.url } })).toEqual({
      status: 5,
      stdout: '',
      stderr: `atlas: Rate limit exceeded (429) on ${server.url}.\n       Wait 17 s, then try again.\n`,
    })
  })

  const ECHOES: [where: string, body: unknown][] = [
    ['detail', { detail: 'the password correct horse is wrong' }],
    ['msg', { detail: [{ loc: ['body', 'password'], msg: 'correct horse is too short' }] }],
    ['loc', { detail: [{ loc: ['body', 'correct horse'], msg: 'too short' }] }],
    ['input', { detail: [{ loc: ['body', 'password'], msg: 'too short', input: 'correct horse' }] }],
    ['an encoded detail', { detail: 'you sent password=correct%20horse' }],
    ['a form-encoded detail', { detail: 'you sent password=correct+horse' }],
  ]
  test.each(ECHOES)('login: never prints the password that a server repeats in %s', async (_, body) => {
    await using atlas = await inProcess()
    const { server } = atlas
    server.fault('POST /auth/login', json(422, body))
    const { status, stdout, stderr } = await atlas.run([...LOGIN, '--debug'], {
      input: 'correct horse',
      env: { ATLAS_API_URL: server.apiRoot },
    })
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).not.toMatch(/correct.{1,3}horse/)
  })
})

describe('login: a server that repeats an escaped password is not quoted', () => {
  const PASSWORD = 'S3"c\'r&t/\\wörd'
  const ECHOES: [how: string, echo: string][] = [
    ['HTML', 'S3&quot;c&#x27;r&amp;t/\\wörd'],
    ['HTML in decimal numbers', 'S3&#34;c&#39;r&#38;t/\\w&#246;rd'],
    ['JSON', 'S3\\"c\'r&t\\/\\\\w\\u00f6rd'],
    ['a URL in small letters', 's3%22c%27r%26t%2f%5cw%c3%b6rd'],
    ['a form in HTML', 'S3%22c%27r%26t%2F%5Cw%C3%B6rd&amp;x=1+2'],
    ['the repr of Python', "'S3\"c\\'r&t/\\\\w\\xf6rd'"],
    ['the repr of bytes', "'S3\"c\\'r&t/\\\\w\\xc3\\xb6rd'"],
    ['capitals', 'S3"C\'R&T/\\WÖRD'],
  ]
  test.each(ECHOES)('in %s', async (_, echo) => {
    await using atlas = await inProcess()
    const { server } = atlas
    const login = async (status: number, detail: unknown) => {
      server.fault('POST /auth/login', json(status, { detail }), 1)
      const { stdout, stderr } = await atlas.run([...LOGIN, '--debug'], {
        input: PASSWORD,
        env: { ATLAS_API_URL: server.apiRoot },
      })
      return stdout + stderr.split('\n').filter(line => line.startsWith('atlas: '))
    }
    const unquoted = [
      `atlas: ${server.url} does not accept what was typed.`,
      `atlas: ${server.url} does not accept what was typed.`,
      `atlas: ${server.url} refused the login.`,
    ]
    expect([
      await login(422, `Value error, ${echo} is too short`),
      await login(422, [{ loc: ['body', 'password'], msg: `Value error, ${echo} is too short` }]),
      await login(401, `No such password: ${echo}`),
    ]).toEqual(unquoted)
  })

  test('nor is the input that a validation error repeats in part', async () => {
    await using atlas = await inProcess()
    const { server } = atlas
    const error = "String should be short [type=string_too_long, input_value='S3\"...rd', input_type=str]"
    server.fault('POST /auth/login', json(422, { detail: error }), 1)
    server.fault('POST /auth/login', json(422, { detail: [{ msg: error }, { msg: 'Too long' }] }), 1)
    const run = () => atlas.run(LOGIN, { input: PASSWORD, env: { ATLAS_API_URL: server.apiRoot } })
    const hint = '\n       Check that the e-mail is complete, such as ada@example.com.\n'
    expect([(await run()).stderr, (await run()).stderr]).toEqual([
      `atlas: ${server.url} does not accept what was typed: String should be short${hint}`,
      `atlas: ${server.url} does not accept what was typed: String should be short; Too long${hint}`,
    ])
  })
})

describe('what login needs', () => {
  test('login: without a terminal it fails before anything is sent', async () => {
    await using atlas = await inProcess()
    const { server } = atlas
    expect(await atlas.run(['auth', 'login'], { env: { ATLAS_API_URL: server.url } })).toEqual({
      status: 2,
      stdout: '',
      stderr:
        'atlas: Logging in needs a password, and there is no terminal to prompt on (or --no-input is set).\n' +
        '       Pipe it in: atlas auth login --email you@example.com --password-stdin < password-file\n',
    })
    expect(server.log()).toEqual([])
    const { stderr } = await atlas.run(['auth', 'login', '--store', 'file', '--api-url', server.url])
    expect(stderr).toContain(`atlas auth login --api-url ${server.url} --store file --email you@example.com`)
  })

  const REFUSED: [what: string, args: string[], input: string | Uint8Array, message: string][] = [
    [
      '--password-stdin without --email',
      ['--password-stdin'],
      'x',
      '--password-stdin needs --email as well.',
    ],
    [
      'an empty password',
      ['--email', 'a@b.c', '--password-stdin'],
      '\n',
      'The password on standard input is empty.',
    ],
    [
      'no e-mail address',
      ['--email', 'ada', '--password-stdin'],
      'x',
      '--email is "ada", which is not an e-mail address.',
    ],
    [
      'an e-mail address beyond any length',
      ['--email', `${'a'.repeat(310)}@example.com`, '--password-stdin'],
      'x',
      `--email is "${'a'.repeat(80)}", which is not an e-mail address.`,
    ],
    [
      'bytes that are no text',
      ['--email', 'a@b.c', '--password-stdin'],
      new Uint8Array([0xff, 0xfe]),
      'The password on standard input is not UTF-8 text.',
    ],
  ]
  test.each(REFUSED)('login: %s is a usage error', async (_, args, input, message) => {
    await using atlas = await inProcess()
    const { server } = atlas
    const outcome = await atlas.run(['auth', 'login', ...args, '--json'], {
      input,
      env: { ATLAS_API_URL: server.url },
    })
    const { error } = JSON.parse(outcome.stderr)
    expect({ status: outcome.status, code: error.code, message: error.message }).toEqual({
      status: 2,
      code: 'usage',
      message,
    })
    expect(server.requests.filter(({ method }) => method === 'POST')).toEqual([])
  })
})

test('login: says that ATLAS_ACCESS_TOKEN is set, and stores the session anyway', async () => {
  await using atlas = await inProcess()
  const { server } = atlas
  const { status, stderr } = await atlas.logIn({ env: { ATLAS_ACCESS_TOKEN: 'ready-made' } })
  expect({ status, first: stderr.split('\n')[0] }).toEqual({
    status: 0,
    first: 'ATLAS_ACCESS_TOKEN is set: commands use that token, not this login, until you unset it.',
  })
  expect(atlas.filesHolding(server.lastTokens.access)).toHaveLength(1)
})

test('login: checks the stored record before it prompts and sends', async () => {
  await using atlas = await stage({ loggedIn: true })
  const [record = ''] = atlas.filesHolding('access_token')
  fs.chmodSync(record, 0o644)
  const { status, stderr } = await atlas.logIn()
  expect({ status, log: atlas.server.log(), hint: stderr.split('\n')[1] }).toEqual({
    status: 6,
    log: [],
    hint: `       If that was not meant, fix it with: chmod 600 ${record}`,
  })
})

test('login: --json keeps the session when the server rejects it right after', async () => {
  await using atlas = await inProcess()
  const { server } = atlas
  server.fault('GET /auth/me', response => answer(response, 401, { detail: 'no' }))
  server.fault('POST /auth/refresh', response => answer(response, 401, { detail: 'no' }))
  const { status, stdout } = await atlas.run([...LOGIN, '--json'], {
    input: 'correct horse',
    env: { ATLAS_API_URL: server.url },
  })
  expect({ status, ...JSON.parse(stdout) }).toMatchObject({
    status: 0,
    state: 'unverified',
    reason: `${server.url} rejects the access token (401).`,
  })
  expect(atlas.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
})

test('login: --json prints the login even if a signal arrives before the server confirms it', async () => {
  await using atlas = await stage()
  const { server } = atlas
  const held = server.hold('GET /auth/me')
  const child = atlas.start([...LOGIN, '--json'], {
    input: 'correct horse',
    env: { ATLAS_API_URL: server.apiRoot },
  })
  await held.arrived
  child.kill('SIGINT')
  const { status, stdout } = await outcomeOf(child)
  held.release()
  const { state, email, source } = JSON.parse(stdout)
  expect({ status, state, email, source }).toEqual({
    status: 130,
    state: 'unverified',
    email: 'ada@example.com',
    source: 'file',
  })
  expect(atlas.filesHolding(server.lastTokens.refresh)).toHaveLength(1)
})

test('login: the config file holds no secret', async () => {
  await using atlas = await inProcess({ loggedIn: true })
  expect(JSON.parse(fs.readFileSync(path.join(atlas.configFolder, 'config.json'), 'utf8'))).toEqual({
    current_profile: 'default',
    logins: [
      {
        profile: 'default',
        api_url: atlas.server.url,
        api_root: atlas.server.apiRoot,
        store: 'file',
        email: 'ada@example.com',
      },
    ],
  })
})

test('login: says which profile is current now, and which older login is kept', async () => {
  await using first = await startAtlasServer()
  await using second = await startAtlasServer()
  using sandbox = createSandbox()
  await sandbox.logIn(first)
  const other = await sandbox.logIn(first, { env: { ATLAS_PROFILE: 'work' } })
  expect(other.stderr.split('\n')[0]).toBe('The profile work is the current one now.')
  const moved = await sandbox.logIn(second, { env: { ATLAS_PROFILE: 'work' } })
  expect(moved.stderr.split('\n').slice(0, 2)).toEqual([
    `The profile work was logged in to ${first.url} before; that login is kept.`,
    `End it with: atlas auth logout --profile work --api-url ${first.url}`,
  ])
})

test.skipIf(process.platform !== 'linux')(
  'login: without a keychain, the command that is advised logs in',
  async () => {
    await using atlas = await stage({ store: 'unset' })
    const { server } = atlas
    const env = { ATLAS_API_URL: undefined }
    const flags = ['--api-url', server.url, '--profile', 'work']
    const { status, stderr } = await atlas.run([...LOGIN, ...flags], { input: 'correct horse', env })
    const command = `atlas auth login --api-url ${server.url} --profile work --store file`
    expect({ status, isAdvised: stderr.includes(`use "${command}"`) }).toEqual({ status: 6, isAdvised: true })
    const advised = [...command.split(' ').slice(1), ...LOGIN.slice(2)]
    expect((await atlas.run(advised, { input: 'correct horse', env })).status).toBe(0)
  },
)
