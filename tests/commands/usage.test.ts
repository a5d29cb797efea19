import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import manifest from '../../package.json' with { type: 'json' }
import { createSandbox } from '../support/binary.ts'
import { posixTest } from '../support/needs.ts'
import { stage } from '../support/stage.ts'

describe('help and version', () => {
  test('the version names program, version, platform and architecture', async () => {
    using sandbox = createSandbox()
    expect(await sandbox.run(['--version'])).toEqual({
      status: 0,
      stdout: `atlas/${manifest.version} ${process.platform}-${process.arch}\n`,
      stderr: '',
    })
  })

  const TOPICS: [args: string[], usage: string][] = [
    [[], 'atlas <command> [flags]'],
    [['--help'], 'atlas <command> [flags]'],
    [['help'], 'atlas <command> [flags]'],
    [['auth'], 'atlas auth <command> [flags]'],
    [['auth', '--help'], 'atlas auth <command> [flags]'],
    [['help', 'auth'], 'atlas auth <command> [flags]'],
    [['help', 'auth', 'login'], 'atlas auth login [flags]'],
    [['auth', 'login', '--help'], 'atlas auth login [flags]'],
    [['auth', 'login', '-h'], 'atlas auth login [flags]'],
    [['auth', '--debug', 'login', '--help'], 'atlas auth login [flags]'],
    [['auth', 'logout', '--help'], 'atlas auth logout [flags]'],
    [['auth', 'status', '--help'], 'atlas auth status [flags]'],
    [['auth', 'token', '--help'], 'atlas auth token [flags]'],
    [['auth', 'refresh', '--help'], 'atlas auth refresh [flags]'],
    [['auth', 'list', '--help'], 'atlas auth list [flags]'],
    [['auth', 'switch', '--help'], 'atlas auth switch NAME [flags]'],
    [['api', '--help'], 'atlas api PATH [flags]'],
    [['sync', '--help'], 'atlas sync [flags]'],
    [['status', '--help'], 'atlas status [flags]'],
    [['doctor', '--help'], 'atlas doctor [flags]'],
    [['completion', '--help'], 'atlas completion SHELL [flags]'],
  ]
  test.each(TOPICS)('atlas %j shows its help, with examples', async (args, usage) => {
    using sandbox = createSandbox()
    const { status, stdout, stderr } = await sandbox.run(args)
    const lines = stdout.split('\n')
    expect({ status, stderr, usage: lines[lines.indexOf('Usage:') + 1] }).toEqual({
      status: 0,
      stderr: '',
      usage: `  ${usage}`,
    })
    expect(lines[lines.indexOf('Examples:') + 1]).toStartWith('  $ ')
    expect(Math.max(...lines.map(line => line.length))).toBeLessThanOrEqual(100)
  })

  test('a command may stand behind "--", its flags may not', async () => {
    using sandbox = createSandbox()
    const list = await sandbox.run(['auth', 'list'])
    expect(await sandbox.run(['auth', '--', 'list'])).toEqual(list)
    expect(await sandbox.run(['--', 'auth', 'list'])).toEqual(list)
    expect(await sandbox.run(['auth', '--', 'list', '--json'])).toEqual({
      status: 2,
      stdout: '',
      stderr: 'atlas: atlas auth list takes no argument "--json".\n       See: atlas auth list --help\n',
    })
  })

  test('need no valid configuration', async () => {
    using sandbox = createSandbox({
      ATLAS_TIMEOUT: 'never',
      ATLAS_API_URL: '::',
      ATLAS_CONFIG_DIR: 'relative',
    })
    for (const args of [['--version'], ['--help'], ['auth', 'login', '--help']]) {
      expect((await sandbox.run(args)).status).toBe(0)
    }
  })
})

describe('what is typed wrong is named, with the nearest name', () => {
  const CASES: [args: string[], message: string, hint: string][] = [
    [['auth', 'logn'], 'There is no command "atlas auth logn".', 'Did you mean "atlas auth login"?'],
    [
      ['auth', 'switch', 'nobody'],
      'There is no profile "nobody".',
      'See: atlas auth list. Create one with: atlas auth login --profile NAME',
    ],
  ]
  test.each(CASES)('atlas %j', async (args, message, hint) => {
    using sandbox = createSandbox()
    expect(await sandbox.run(args)).toEqual({
      status: 2,
      stdout: '',
      stderr: `atlas: ${message}\n       ${hint}\n`,
    })
    const { status, stdout, stderr } = await sandbox.run(['--json', ...args])
    expect({ status, stdout, told: JSON.parse(stderr) }).toEqual({
      status: 2,
      stdout: '',
      told: { error: { code: 'usage', message, hint } },
    })
  })
})

describe('a bad value is refused by name', () => {
  const SECONDS = 'Give a number above 0 and up to 86400, such as 30 or 2.5.'
  const URL_HINT =
    'Give an http or https URL with a host and without user, query or fragment, such as https://atlas.example.com.'
  const CASES: [env: Record<string, string>, flags: string[], code: string, message: string, hint: string][] =
    [
      [{ ATLAS_TIMEOUT: '0' }, [], 'usage', 'ATLAS_TIMEOUT is "0", which is not a time in seconds.', SECONDS],
      [
        { ATLAS_TIMEOUT: '-1' },
        [],
        'usage',
        'ATLAS_TIMEOUT is "-1", which is not a time in seconds.',
        SECONDS,
      ],
      [
        { ATLAS_TIMEOUT: '1e3' },
        [],
        'usage',
        'ATLAS_TIMEOUT is "1e3", which is not a time in seconds.',
        SECONDS,
      ],
      [{}, ['--timeout', 'soon'], 'usage', '--timeout is "soon", which is not a time in seconds.', SECONDS],
      [
        { ATLAS_KEYCHAIN_TIMEOUT: 'x' },
        [],
        'usage',
        'ATLAS_KEYCHAIN_TIMEOUT is "x", which is not a time in seconds.',
        SECONDS,
      ],
      [
        { ATLAS_PROFILE: 'a/b' },
        [],
        'usage',
        'ATLAS_PROFILE is "a/b", which is not a profile name.',
        'Use 1 to 64 letters, digits, ".", "_" and "-".',
      ],
      [
        {},
        ['--profile', 'x'.repeat(65)],
        'usage',
        `--profile is "${'x'.repeat(65)}", which is not a profile name.`,
        'Use 1 to 64 letters, digits, ".", "_" and "-".',
      ],
      [
        { ATLAS_CREDENTIAL_STORE: 'safe' },
        [],
        'usage',
        'ATLAS_CREDENTIAL_STORE is "safe", which is not a credential store.',
        'Use auto, keychain or file.',
      ],
      [{ ATLAS_ALLOW_HTTP: 'maybe' }, [], 'usage', 'ATLAS_ALLOW_HTTP is "maybe".', 'Give 1 or 0.'],
      [{ ATLAS_NO_INPUT: 'maybe' }, [], 'usage', 'ATLAS_NO_INPUT is "maybe".', 'Give 1 or 0.'],
      [{ ATLAS_DEBUG: 'maybe' }, [], 'usage', 'ATLAS_DEBUG is "maybe".', 'Give 1 or 0.'],
      [
        { ATLAS_CONFIG_DIR: 'here' },
        [],
        'usage',
        'ATLAS_CONFIG_DIR is not an absolute path: "here".',
        'Give a path that starts at the root.',
      ],
      [
        { ATLAS_ACCESS_TOKEN: 'two words' },
        [],
        'usage',
        'ATLAS_ACCESS_TOKEN is not a valid token: it is longer than 65536 characters or contains one that is not printable ASCII.',
        'Check for a line break or a space at its end.',
      ],
      ...[
        'atlas.example.com',
        'ftp://h',
        'http://',
        'https://u:p@h',
        'https://u@h',
        'https://h?q=1',
        'https://h#f',
        'https://h?',
        'http:h',
        'file:///etc',
        'https://h /x',
        'https://@h',
      ].map((url): [Record<string, string>, string[], string, string, string] => [
        { ATLAS_API_URL: url },
        [],
        'usage',
        'ATLAS_API_URL is not a usable server URL.',
        url === 'atlas.example.com' ? 'Did you mean https://atlas.example.com?' : URL_HINT,
      ]),
      [
        { ATLAS_API_URL: 'http://atlas.example.com' },
        [],
        'insecure_url',
        'Refusing to send credentials to http://atlas.example.com over plain http, where others on the network can read them.',
        'Use https, or pass --allow-http (ATLAS_ALLOW_HTTP=1) if you trust the network.',
      ],
      [
        { ATLAS_API_URL: 'http://127.0.0.1.example.com' },
        [],
        'insecure_url',
        'Refusing to send credentials to http://127.0.0.1.example.com over plain http, where others on the network can read them.',
        'Use https, or pass --allow-http (ATLAS_ALLOW_HTTP=1) if you trust the network.',
      ],
    ]
  test.each(CASES)('%j %j', async (env, flags, code, message, hint) => {
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ...env })
    const { status, stdout, stderr } = await sandbox.run(['auth', 'status', '--json', ...flags])
    expect({ status, stdout, told: JSON.parse(stderr) }).toEqual({
      status: 2,
      stdout: '',
      told: { error: { code, message, hint } },
    })
  })

  test.each([
    ['atlas.example.com', 'https://atlas.example.com'],
    ['atlas.example.com:8443/api/v1', 'https://atlas.example.com:8443/api/v1'],
    ['localhost:8000', 'http://localhost:8000'],
  ])('a host without a scheme, %s, is offered with one', async (typed, offered) => {
    using sandbox = createSandbox()
    expect((await sandbox.run(['auth', 'status', '--api-url', typed])).stderr).toBe(
      `atlas: --api-url is not a usable server URL.\n       Did you mean ${offered}?\n`,
    )
  })

  test('an empty variable counts as unset', async () => {
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file' })
    const names = [
      'ATLAS_TIMEOUT',
      'ATLAS_API_URL',
      'ATLAS_PROFILE',
      'ATLAS_DEBUG',
      'ATLAS_ACCESS_TOKEN',
      'ATLAS_CONFIG_DIR',
    ]
    const { status, stdout } = await sandbox.run(['auth', 'status', '--offline', '--json'], {
      env: Object.fromEntries(names.map(name => [name, ''])),
    })
    expect({ status, ...JSON.parse(stdout) }).toMatchObject({
      status: 4,
      api_url: 'http://localhost:8000',
      profile: 'default',
    })
  })

  const FILES: [what: string, content: string, message: (file: string) => string, hint: string][] = [
    [
      'a list',
      '[]',
      file => `The config file ${file} cannot be used: it is not a JSON object.`,
      'Fix it, or delete it and log in again.',
    ],
    [
      'an unknown store',
      '{"logins":[{"profile":"a","api_url":"https://h","store":"x"}]}',
      file => `"logins[0].store" in ${file} is "x", which is not a credential store.`,
      'Use auto, keychain or file.',
    ],
  ]
  test.each(FILES)('a config file with %s', async (_, content, message, hint) => {
    using sandbox = createSandbox()
    fs.mkdirSync(sandbox.configFolder, { recursive: true })
    const file = path.join(sandbox.configFolder, 'config.json')
    fs.writeFileSync(file, content)
    expect(await sandbox.run(['auth', 'status'])).toEqual({
      status: 2,
      stdout: '',
      stderr: `atlas: ${message(file)}\n       ${hint}\n`,
    })
    expect(fs.readFileSync(file, 'utf8')).toBe(content)
  })
})

posixTest(
  'usage: an argument or a folder that is not UTF-8 is refused, and nothing of another name is made',
  async () => {
    await using atlas = await stage({ loggedIn: true })
    const said = async (script: string) => {
      const { status, stdout, stderr } = await atlas.run([], { via: ['bash', '-c', script] })
      return { status, stdout, first: stderr.split('\n')[0] }
    }
    const refused = { status: 2, stdout: '' }
    expect(await said(`exec "$0" api $'/caf\\xe9'`)).toEqual({
      ...refused,
      first: 'atlas: The argument "/caf\ufffd" is not UTF-8 text.',
    })
    expect(await said(`exec "$0" sync --dir $'caf\\xe9'`)).toEqual({
      ...refused,
      first: 'atlas: The argument "caf\ufffd" is not UTF-8 text.',
    })
    expect(await said(`HOME=$'/tmp/caf\\xe9' exec "$0" sync`)).toEqual({
      ...refused,
      first: 'atlas: The home folder is not UTF-8 text: "/tmp/caf\ufffd".',
    })
    expect([atlas.server.log(), fs.readdirSync(atlas.cwd)]).toEqual([[], []])
  },
)
