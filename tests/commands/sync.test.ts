import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { answer } from '../support/atlas-server.ts'
import { LOGIN } from '../support/binary.ts'
import { inProcess } from '../support/in-process.ts'
import { traceTest } from '../support/needs.ts'
import { openTerminal } from '../support/pseudo-terminal.ts'
import { type Stage, stage } from '../support/stage.ts'

const ASK = 'GET /api/v1/configuration/me'
const REFRESH = 'POST /api/v1/auth/refresh'
const SEND_OR_OVERWRITE =
  'Send yours to the server with: atlas push. Or overwrite it with "atlas sync --force" (your text is kept as a backup).'
const CHOOSE =
  'See both with: atlas sync --dry-run. Keep yours with "atlas push --force" (the server’s is kept as a backup), or the server’s with "atlas sync --force" (yours is kept as a backup).'
const BACKUP = /^CLAUDE\.md\.\d{4}-\d\d-\d\dT\d{9}Z\.bak$/

describe('atlas sync', () => {
  test('sync: writes, is then up to date with one request, and takes a newer text', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { file } = atlas.claude
    const { server } = atlas
    expect(await atlas.run(['sync'])).toEqual({
      status: 0,
      stdout: `Wrote ${file} (commit 0123456)\n`,
      stderr: '',
    })
    expect(atlas.claude.text()).toBe('# Rules\n')

    const before = fs.statSync(file, { bigint: true })
    server.forget()
    expect(await atlas.run(['sync'])).toEqual({
      status: 0,
      stdout: 'Already up to date (commit 0123456)\n',
      stderr: '',
    })
    expect(server.log()).toEqual([ASK])
    expect(fs.statSync(file, { bigint: true }).mtimeNs).toBe(before.mtimeNs)

    atlas.server.setConfiguration('# New rules\n')
    expect(await atlas.run(['sync'])).toEqual({
      status: 0,
      stdout: `Updated ${file} (commit fedcba9)\n`,
      stderr: '',
    })
    expect([atlas.claude.text(), atlas.claude.names()]).toEqual(['# New rules\n', ['CLAUDE.md']])
  })

  const REFUSED: [what: string, synced: boolean, remote: string, reason: string][] = [
    ['local changes', true, '# Rules\n', 'has local changes'],
    [
      'changes on both sides',
      true,
      '# New rules\n',
      'has local changes, and the server’s text has changed too',
    ],
    [
      'another file, never synced',
      false,
      '# Rules\n',
      'has not been synced before and differs from the server’s text',
    ],
  ]
  test.each(
    REFUSED,
  )('sync: refuses to overwrite %s, shows the diff, and keeps a backup with --force', async (_, synced, remote, reason) => {
    await using atlas = await inProcess({ loggedIn: true })
    const { file } = atlas.claude
    if (synced) await atlas.run(['sync'])
    atlas.claude.edit('# Mine\tand mine\n')
    atlas.server.setConfiguration(remote, '0123456789abcdef')
    const message = `${file} ${reason}; nothing was written.`
    const hint = reason === 'has local changes' ? SEND_OR_OVERWRITE : CHOOSE
    expect(await atlas.run(['sync'])).toEqual({
      status: 1,
      stdout: '',
      stderr: [
        '--- CLAUDE.md    here',
        '+++ CLAUDE.md    server, commit 0123456',
        '@@ -1,1 +1,1 @@',
        '-# Mine    and mine',
        `+${remote.trim()}`,
        `atlas: ${message}`,
        `       ${hint}`,
        '',
      ].join('\n'),
    })
    const { status, stdout, stderr } = await atlas.run(['sync', '--json'])
    expect({ status, stdout, told: JSON.parse(stderr) }).toEqual({
      status: 1,
      stdout: '',
      told: { error: { code: 'local_changes', message, hint } },
    })
    expect([atlas.claude.text(), atlas.claude.names()]).toEqual(['# Mine\tand mine\n', ['CLAUDE.md']])

    const forced = await atlas.run(['sync', '-f'])
    const [name = ''] = atlas.claude.names().slice(1)
    const backup = path.join(atlas.claude.folder, name)
    expect(name).toMatch(BACKUP)
    expect(forced).toEqual({
      status: 0,
      stdout: `Updated ${file} (commit 0123456); your text is kept in ${backup}\n`,
      stderr: '',
    })
    expect([atlas.claude.text(), fs.readFileSync(backup, 'utf8')]).toEqual([remote, '# Mine\tand mine\n'])
    expect((await atlas.run(['sync'])).stdout).toBe('Already up to date (commit 0123456)\n')
  })

  test('sync: shows at most twenty lines of a diff, none longer than a screen', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.claude.edit(`${'x'.repeat(500)}\n${'line\n'.repeat(100)}`)
    const { stderr } = await atlas.run(['sync'])
    const lines = stderr.split('\n')
    expect(lines[3]).toBe(`-${'x'.repeat(159)}…`)
    expect(lines.slice(19, 22)).toEqual([
      '-line',
      '… 85 more lines; all of them: atlas sync --dry-run',
      `atlas: ${atlas.claude.file} has not been synced before and differs from the server’s text; nothing was written.`,
    ])
  })

  test('sync: changes nothing when the server has no configuration, even with --force', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.server.setConfiguration('', '')
    const said = {
      status: 0,
      stdout: `${atlas.server.url} has no configuration for you yet; nothing was changed\n`,
      stderr: '',
    }
    expect(await atlas.run(['sync'])).toEqual(said)
    expect(fs.existsSync(atlas.claude.folder)).toBe(false)
    atlas.claude.edit('mine')
    expect(await atlas.run(['sync', '--force'])).toEqual(said)
    expect([atlas.claude.text(), atlas.claude.names()]).toEqual(['mine', ['CLAUDE.md']])
  })

  test('sync: --dry-run prints the diff and writes nothing', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { file } = atlas.claude
    const diff = '--- CLAUDE.md\there\n+++ CLAUDE.md\tserver, commit 0123456\n@@ -0,0 +1,1 @@\n+# Rules\n'
    expect(await atlas.run(['sync', '-n'])).toEqual({
      status: 0,
      stdout: diff,
      stderr: `A dry run: ${file} was not written.\n`,
    })
    expect(fs.existsSync(atlas.claude.folder)).toBe(false)
    expect(fs.existsSync(path.join(atlas.configFolder, 'sync'))).toBe(false)

    atlas.claude.edit('# Mine\n')
    const changed = diff.replace('@@ -0,0 +1,1 @@\n', '@@ -1,1 +1,1 @@\n-# Mine\n')
    expect(await atlas.run(['sync', '-n'])).toEqual({
      status: 0,
      stdout: changed,
      stderr: `A dry run: ${file} has local changes, so "atlas sync" would write nothing; --force would make these changes.\n`,
    })
    expect(await atlas.run(['sync', '-nf'])).toEqual({
      status: 0,
      stdout: changed,
      stderr: `A dry run: ${file} was not written. Your text would be kept as a backup.\n`,
    })
    expect([atlas.claude.text(), atlas.claude.names()]).toEqual(['# Mine\n', ['CLAUDE.md']])
    expect((await atlas.run(['sync', '-n'], { env: { FORCE_COLOR: '1' } })).stdout).toBe(
      [
        '\u001b[1m--- CLAUDE.md\u001b[22m\t\u001b[1mhere\u001b[22m',
        '\u001b[1m+++ CLAUDE.md\u001b[22m\t\u001b[1mserver, commit 0123456\u001b[22m',
        '\u001b[36m@@ -1,1 +1,1 @@\u001b[39m',
        '\u001b[31m-# Mine\u001b[39m',
        '\u001b[32m+# Rules\u001b[39m',
        '',
      ].join('\n'),
    )
  })

  test('sync: escapes control characters in a diff on a terminal', async () => {
    await using atlas = await stage({ loggedIn: true })
    atlas.server.setConfiguration('\u001b]0;owned\u0007\u202e\n', 'a\u001b[31m')
    const terminal = openTerminal(atlas, ['sync', '--dry-run'])
    expect(await terminal.ended()).toBe(0)
    expect(terminal.transcript).toContain('+\\u001b]0;owned\\u0007\\u202e')
    expect(terminal.transcript).toContain('server, commit a\\u001b[31m')
    expect(terminal.transcript).not.toContain('\u001b]0;')
    expect((await atlas.run(['sync'])).stdout).toBe(`Wrote ${atlas.claude.file} (commit a\\u001b[31m)\n`)
  })

  test('sync: says that a file is not text instead of a diff', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    atlas.claude.edit(Uint8Array.of(0xff, 0xfe, 0x41))
    const said = 'No diff: the local file is not UTF-8 text (3 bytes here, 8 bytes on the server).\n'
    const { status, stderr } = await atlas.run(['sync'])
    expect([status, stderr.startsWith(said)]).toEqual([1, true])
    expect((await atlas.run(['sync', '-n'])).stdout).toBe(said)
    const { stdout } = await atlas.run(['sync', '-f', '--json'])
    expect(fs.readFileSync(JSON.parse(stdout).backup)).toEqual(Buffer.from([0xff, 0xfe, 0x41]))
  })

  test('sync: says that texts are too long for a diff, and writes them all the same', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const long = 'x\n'.repeat(60_000)
    atlas.server.setConfiguration(long)
    const sizes = 'no file here, 120000 bytes on the server'
    const said = `No diff: the texts are too long to compare line by line (${sizes}).\n`
    expect((await atlas.run(['sync', '-n'])).stdout).toBe(said)
    const { stdout } = await atlas.run(['sync', '-n', '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ result: 'dry_run', diff: null })
    expect((await atlas.run(['sync'])).status).toBe(0)
    expect(atlas.claude.text()).toBe(long)
  })

  test('sync: --json prints every field', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    const { file } = atlas.claude
    const { server } = atlas
    const run = async (...args: string[]) => {
      const { status, stdout, stderr } = await atlas.run(['sync', '--json', ...args])
      return { status, stderr, told: JSON.parse(stdout) }
    }
    const told = {
      result: 'dry_run',
      verdict: 'local_missing',
      profile: 'default',
      api_url: server.url,
      file,
      commit_sha: '0123456789abcdef',
      updated_at: '2026-01-02T03:04:05.678Z',
      backup: null,
      diff: '--- CLAUDE.md\there\n+++ CLAUDE.md\tserver, commit 0123456\n@@ -0,0 +1,1 @@\n+# Rules\n',
    }
    const fine = { status: 0, stderr: '' }
    expect(await run('--dry-run')).toEqual({ ...fine, told })
    expect(await run()).toEqual({ ...fine, told: { ...told, result: 'written', diff: null } })
    const same = { ...told, result: 'up_to_date', verdict: 'in_sync', diff: null }
    expect(await run()).toEqual({ ...fine, told: same })
    expect(await run('--dry-run')).toEqual({ ...fine, told: same })
    atlas.claude.edit('# Rules\r\n')
    expect(await run('--dry-run')).toEqual({
      ...fine,
      told: {
        ...told,
        verdict: 'local_changed',
        diff: '--- CLAUDE.md\there\n+++ CLAUDE.md\tserver, commit 0123456\n@@ -1,1 +1,1 @@\n-# Rules\r\n+# Rules\n',
      },
    })
    const forced = await run('--force')
    expect(forced).toEqual({
      ...fine,
      told: { ...told, result: 'written', verdict: 'local_changed', backup: forced.told.backup, diff: null },
    })
    expect(path.basename(forced.told.backup)).toMatch(BACKUP)
    atlas.server.setConfiguration('', '')
    expect(await run()).toEqual({
      ...fine,
      told: {
        ...same,
        result: 'remote_empty',
        verdict: 'remote_empty',
        commit_sha: null,
        updated_at: '2026-02-03T04:05:06.000Z',
      },
    })
  })

  test('sync: --dir, CLAUDE_CONFIG_DIR and HOME choose the folder, each with a memory of its own', async () => {
    await using atlas = await stage({ loggedIn: true })

    const elsewhere = path.join(atlas.home, 'else where')
    const wrote = (folder: string): string => `Wrote ${path.join(folder, 'CLAUDE.md')} (commit 0123456)\n`
    const env = { CLAUDE_CONFIG_DIR: elsewhere }
    expect((await atlas.run(['sync'], { env })).stdout).toBe(wrote(elsewhere))
    expect((await atlas.run(['sync', '--dir', 'sub/folder'], { env })).stdout).toBe(
      wrote(path.join(atlas.cwd, 'sub/folder')),
    )
    expect((await atlas.run(['sync', '--dir=~/tilde'])).stdout).toBe(wrote(path.join(atlas.home, 'tilde')))
    expect((await atlas.run(['sync'])).stdout).toBe(wrote(atlas.claude.folder))
    expect(fs.readdirSync(path.join(atlas.configFolder, 'sync')).length).toBe(4)
    for (const [args, given, message] of [
      [[], { CLAUDE_CONFIG_DIR: 'here' }, 'CLAUDE_CONFIG_DIR is not an absolute path: "here".'],
      [['--dir', ''], {}, '--dir is empty.'],
    ] as const) {
      const { status, stderr } = await atlas.run(['sync', '--json', ...args], { env: given })
      expect([status, JSON.parse(stderr).error.code, JSON.parse(stderr).error.message]).toEqual([
        2,
        'usage',
        message,
      ])
    }
  })

  const UNREADABLE: [what: string, body: object][] = [
    ['empty', { content: '', commit_sha: 'c0ffee1234' }],
    ['null', { content: null, commit_sha: 'c0ffee1234' }],
    ['missing', { commit_sha: 'c0ffee1234' }],
  ]
  test.each(
    UNREADABLE,
  )('sync: a text that is %s beside a commit is remote_unreadable, and nothing is written', async (_, body) => {
    await using atlas = await inProcess({ loggedIn: true })
    const { server } = atlas
    await atlas.run(['sync'])
    atlas.claude.edit('mine')
    const before = atlas.claude.names()
    server.fault('GET /configuration/me', response => answer(response, 200, body))
    const message = `${server.url} keeps a configuration for you (commit c0ffee1), but sent no text with it: the saved text is empty, or the server could not read it.`
    for (const flags of [[], ['-n'], ['-f']]) {
      const { status, stdout, stderr } = await atlas.run(['sync', '--json', ...flags])
      expect({ status, stdout, error: JSON.parse(stderr).error }).toEqual({
        status: 5,
        stdout: '',
        error: {
          code: 'remote_unreadable',
          message,
          hint: 'No file is changed. Try again later; if that does not help, ask the server’s administrator.',
        },
      })
    }
    expect([atlas.claude.text(), atlas.claude.names()]).toEqual(['mine', before])
    const { status, stdout, stderr } = await atlas.run(['status', '--json'])
    expect({ status, stderr, ...JSON.parse(stdout) }).toMatchObject({
      status: 5,
      stderr: '',
      verdict: 'remote_unreadable',
      reason: message,
    })
  })

  test('sync: works with ATLAS_ACCESS_TOKEN, and refreshes silently without it', async () => {
    await using atlas = await stage({ loggedIn: true, jti: true })
    const { server } = atlas
    const env = {
      ATLAS_ACCESS_TOKEN: server.lastTokens.access,
      ATLAS_API_URL: server.apiRoot,
      ATLAS_CREDENTIAL_STORE: 'keychain',
    }
    expect((await atlas.run(['sync'], { env })).status).toBe(0)
    server.expireAccessTokens()
    server.forget()
    expect((await atlas.run(['sync'])).stdout).toBe('Already up to date (commit 0123456)\n')
    expect(server.log()).toEqual([ASK, REFRESH, ASK])
    const { status, stderr } = await atlas.run(['sync', '--json'], { env })
    expect([status, JSON.parse(stderr).error]).toEqual([
      4,
      {
        code: 'token_rejected',
        message: `${server.url} rejects the access token (401).`,
        hint: 'Set ATLAS_ACCESS_TOKEN to a valid token, or unset it.',
      },
    ])
  })

  const TROUBLE: [
    what: string,
    status: number,
    code: string,
    fault: Parameters<typeof answer>[2] | string,
    http: number,
  ][] = [
    ['a server that fails', 5, 'server_error', {}, 503],
    ['too many requests', 5, 'rate_limited', {}, 429],
    ['a server without configurations', 5, 'bad_response', {}, 404],
    ['an odd answer', 5, 'bad_response', { content: 7 }, 200],
    ['half a character', 5, 'bad_response', '{"content":"\\ud800"}', 200],
    ['HTML', 5, 'bad_response', '<html></html>', 200],
    ['a redirect', 5, 'bad_response', {}, 302],
  ]
  test.each(TROUBLE)('sync: leaves the file alone with %s', async (_, status, code, body, http) => {
    await using atlas = await inProcess({ loggedIn: true })
    await atlas.run(['sync'])
    atlas.server.fault('GET /configuration/me', response => {
      if (typeof body === 'string') response.end(body)
      else answer(response, http, body)
    })
    const outcome = await atlas.run(['sync', '--force', '--json'])
    expect([outcome.status, outcome.stdout, JSON.parse(outcome.stderr).error.code]).toEqual([
      status,
      '',
      code,
    ])
    expect([atlas.claude.text(), atlas.claude.names()]).toEqual(['# Rules\n', ['CLAUDE.md']])
  })

  test('sync: two profiles with one folder do not overwrite each other', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    await atlas.logIn({ env: { ATLAS_PROFILE: 'work' } })
    await atlas.run(['sync', '--profile', 'default'])
    atlas.server.setConfiguration('# Work\n')
    expect((await atlas.run(['sync', '--profile', 'work'])).status).toBe(1)
    expect(atlas.claude.text()).toBe('# Rules\n')
  })

  test('sync: many at once have one result', async () => {
    await using atlas = await stage({ loggedIn: true })
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => atlas.run(['sync'])))
    expect(outcomes.map(({ status, stdout }) => `${status} ${stdout}`).sort()).toEqual([
      ...Array(7).fill('0 Already up to date (commit 0123456)\n'),
      `0 Wrote ${atlas.claude.file} (commit 0123456)\n`,
    ])
    expect([atlas.claude.text(), atlas.claude.names()]).toEqual(['# Rules\n', ['CLAUDE.md']])
  })

  test('sync: loses no edit in any order of edits, changes on the server and syncs', async () => {
    // What a person writes is told from what the server has: an edit that the server had too may go.
    const step = fc.oneof(
      fc.record({ do: fc.constant('edit' as const), text: fc.constantFrom('mine', 'mine\r\n', '') }),
      fc.record({ do: fc.constant('remote' as const), text: fc.constantFrom('a', 'a\r\n', '\ufeffa') }),
      fc.record({ do: fc.constant('sync' as const), force: fc.boolean() }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 10 }), async steps => {
        await using atlas = await stage({ loggedIn: true })
        let edits: string[] = []
        for (const next of steps) {
          if (next.do === 'remote') atlas.server.setConfiguration(next.text)
          else if (next.do === 'edit') {
            // What a person overwrites by hand is given up by that person.
            edits = [...edits.filter(edit => edit !== atlas.claude.text()), next.text]
            atlas.claude.edit(next.text)
          } else await atlas.run(next.force ? ['sync', '--force'] : ['sync'])
          const kept = atlas.claude
            .names()
            .map(name => fs.readFileSync(path.join(atlas.claude.folder, name), 'utf8'))
          expect(edits.filter(edit => !kept.includes(edit))).toEqual([])
        }
      }),
      { numRuns: 6 },
    )
  })
})

describe('atlas sync --max-age', () => {
  test('sync: asks nothing, and needs neither server nor keychain, where the last one is young enough', async () => {
    await using atlas = await stage({ loggedIn: true })
    expect((await atlas.run(['sync', '--max-age', '1h'])).status).toBe(0)
    atlas.server.setConfiguration('# New rules\n')
    atlas.server.forget()
    fs.rmSync(path.join(atlas.configFolder, 'credentials'), { recursive: true })
    expect(await atlas.run(['sync', '--max-age', '1h'])).toEqual({
      status: 0,
      stdout: 'Synced a short while ago (commit 0123456)\n',
      stderr: '',
    })
    const { status, stdout } = await atlas.run(['sync', '--max-age', '1h', '--json'])
    expect({ status, ...JSON.parse(stdout), asked: atlas.server.log() }).toEqual({
      status: 0,
      result: 'up_to_date',
      verdict: 'in_sync',
      profile: 'default',
      api_url: atlas.server.url,
      file: atlas.claude.file,
      commit_sha: '0123456789abcdef',
      updated_at: null,
      backup: null,
      diff: null,
      asked: [],
    })
  })

  const STALE: [what: string, change: (atlas: Stage) => unknown, args?: string[]][] = [
    ['is too old', () => {}, ['--max-age', '0s']],
    ['was edited', ({ claude }) => claude.edit('# Mine\n')],
    ['was edited to the same length', ({ claude }) => claude.edit('# Rulez\n')],
    ['was deleted', ({ claude }) => fs.rmSync(claude.file)],
    ['was to be shown alone', () => {}, ['--max-age', '1h', '--dry-run']],
    ['has no age', () => {}, []],
    ['was synced for another server', () => {}, ['--max-age', '1h', '--profile', 'other']],
  ]
  test.each(STALE)('sync: asks where the last one %s', async (_, change, args = ['--max-age', '1h']) => {
    await using atlas = await stage({ loggedIn: true })
    await atlas.run(['sync', '--max-age', '1h'])
    await atlas.run(LOGIN.concat('--profile', 'other'), {
      input: 'correct horse',
      env: { ATLAS_API_URL: atlas.server.url },
    })
    atlas.server.forget()
    change(atlas)
    await atlas.run(['sync', ...args])
    expect(atlas.server.log()).toEqual([ASK])
  })

  test('sync: a file that was only touched is read, and nothing is asked', async () => {
    await using atlas = await stage({ loggedIn: true })
    await atlas.run(['sync'])
    atlas.server.forget()
    fs.utimesSync(atlas.claude.file, new Date(), new Date())
    expect((await atlas.run(['sync', '--max-age', '1h'])).status).toBe(0)
    expect(atlas.server.log()).toEqual([])
  })

  traceTest('sync: of a young one opens no socket and no lock', async () => {
    await using atlas = await stage({ loggedIn: true })
    await atlas.run(['sync', '--max-age', '1h'])
    const trace = path.join(atlas.home, 'trace')
    const via = ['strace', '-f', '-o', trace, '-e', 'trace=socket,connect,openat,open']
    expect((await atlas.run(['sync', '--max-age', '1h'], { via })).status).toBe(0)
    const calls = fs.readFileSync(trace, 'utf8').split('\n')
    expect(calls.filter(call => /socket\(|connect\(|\.lock"/.test(call))).toEqual([])
  })

  test.each(['', 'x', '-1s', '1d'])('sync: --max-age=%s is a usage error', async age => {
    await using atlas = await inProcess({ loggedIn: true })
    expect((await atlas.run(['sync', `--max-age=${age}`])).status).toBe(2)
  })
})
