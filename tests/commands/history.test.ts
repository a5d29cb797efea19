import { describe, expect, test } from 'bun:test'
import { answer } from '../support/atlas-server.ts'
import { inProcess } from '../support/in-process.ts'
import { openTerminal } from '../support/pseudo-terminal.ts'
import { stage } from '../support/stage.ts'

const errorOf = ({ stderr }: { stderr: string }) => JSON.parse(stderr).error

/** A server with three texts, the second of which is synced here. */
async function withHistory(options: Parameters<typeof stage>[0] = {}) {
  const atlas = await stage({ loggedIn: true, ...options })
  atlas.server.saveConfiguration('one\n', 'First\nand more')
  atlas.server.saveConfiguration('two\n', 'Second')
  await atlas.run(['sync'])
  atlas.server.saveConfiguration('three\n', 'Third \u001b[31m')
  const { stdout } = await atlas.run(['history', '--json'])
  const commits: string[] = JSON.parse(stdout).versions.map(
    (version: { commit_sha: string }) => version.commit_sha,
  )
  return Object.assign(atlas, { commits })
}

describe('atlas history', () => {
  test('history: the longest messages leave a text that can be gone back to', async () => {
    await using atlas = await stage({ loggedIn: true })
    for (let version = 1; version <= 100; version++)
      atlas.server.saveConfiguration(`${version}\n`, `${version} ${'x'.repeat(120_000)}`)
    const { stdout } = await atlas.run(['history', '--limit', '100', '--json'])
    const { commit_sha: oldest } = JSON.parse(stdout).versions.at(-1)
    expect((await atlas.run(['rollback', oldest, '--yes'])).status).toBe(0)
    expect(atlas.server.configuration()).toBe('1\n')
  })

  test('history: lists the newest first, for programs with every field', async () => {
    await using atlas = await withHistory()
    const { status, stdout, stderr } = await atlas.run(['history', '--limit', '2', '--json'])
    const author = 'web@example.com'
    expect({ status, stderr, ...JSON.parse(stdout) }).toEqual({
      status: 0,
      stderr: '',
      profile: 'default',
      api_url: atlas.server.url,
      total: 3,
      versions: [
        {
          commit_sha: atlas.commits[0],
          message: 'Third \u001b[31m',
          author,
          timestamp: '2026-02-01T00:00:02.000Z',
          synced: false,
        },
        {
          commit_sha: atlas.commits[1],
          message: 'Second',
          author,
          timestamp: '2026-02-01T00:00:01.000Z',
          synced: true,
        },
      ],
    })
  })

  test('history: on a terminal every version has one line', async () => {
    await using atlas = await withHistory()
    atlas.server.saveConfiguration('four\n', 'x'.repeat(300))
    const terminal = openTerminal(atlas, ['history'])
    expect(await terminal.ended()).toBe(0)
    const lines = terminal.transcript.split(/\r?\n/).filter(line => /\d{4}-\d\d-\d\d/.test(line))
    expect(lines).toHaveLength(4)
    expect(lines[0]).toEndWith('x…')
    expect(Math.max(...lines.map(({ length }) => length))).toBe(100)
  })

  test('history: is a table for people, with a mark at what is synced here', async () => {
    await using atlas = await withHistory()
    const { status, stdout, stderr } = await atlas.run(['history', '--limit', '3'])
    const short = atlas.commits.map(commit => commit.slice(0, 7))
    const lines = stdout.replace(/\(\d+ days ago\)/g, '(AGO)').split('\n')
    expect({ status, stderr, lines }).toEqual({
      status: 0,
      stderr: '',
      lines: [
        `  ${short[0]}  2026-02-01 00:00 (AGO)  web@example.com  Third \\u001b[31m`,
        `* ${short[1]}  2026-02-01 00:00 (AGO)  web@example.com  Second`,
        `  ${short[2]}  2026-02-01 00:00 (AGO)  web@example.com  First`,
        '',
      ],
    })
  })

  test.each([
    '0',
    '101',
    '-1',
    '1.5',
    '1e1',
    'x',
    '',
  ])('history: --limit=%s is a usage error', async limit => {
    await using atlas = await inProcess({ loggedIn: true })
    const { status, stderr } = await atlas.run(['history', `--limit=${limit}`, '--json'])
    expect({ status, code: errorOf({ stderr }).code }).toEqual({ status: 2, code: 'usage' })
  })

  test('history: without a configuration says so', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    expect(await atlas.run(['history'])).toEqual({
      status: 0,
      stdout: `${atlas.server.url} has no configuration for you yet\n`,
      stderr: '',
    })
  })

  test('history: an answer that is none is a bad response', async () => {
    await using atlas = await inProcess({ loggedIn: true })
    for (const body of [{}, { versions: 7 }, { versions: [{}] }, { versions: [{ commit_sha: '../../x' }] }]) {
      atlas.server.clearFaults()
      atlas.server.fault('GET /configuration/me/history', response => answer(response, 200, body))
      const { status, stderr } = await atlas.run(['history', '--json'])
      expect({ status, code: errorOf({ stderr }).code }).toEqual({ status: 5, code: 'bad_response' })
    }
  })
})

describe('atlas rollback', () => {
  test('rollback: makes an older text the newest, and a sync brings it', async () => {
    await using atlas = await withHistory()
    const oldest = atlas.commits[2] ?? ''
    const { status, stdout, stderr } = await atlas.run(['rollback', oldest.slice(0, 7), '--yes', '--json'])
    const newest = JSON.parse((await atlas.run(['history', '--json'])).stdout).versions[0].commit_sha
    expect({ status, stderr, ...JSON.parse(stdout) }).toEqual({
      status: 0,
      stderr: '',
      result: 'rolled_back',
      profile: 'default',
      api_url: atlas.server.url,
      rolled_back_to: oldest,
      commit_sha: newest,
    })
    expect(atlas.claude.text()).toBe('two\n')
    expect((await atlas.run(['sync'])).status).toBe(0)
    expect(atlas.claude.text()).toBe('one\n')
  })

  const REFUSED: [what: string, commit: string][] = [
    ['a name of git', 'HEAD~1'],
    ['a branch', 'main'],
    ['too short', '123456'],
    ['a path', '../../../auth/me'],
    ['not listed', 'abcdef0123456'],
  ]
  test.each(REFUSED)('rollback: to %s is a usage error, and nothing is changed', async (_, commit) => {
    await using atlas = await withHistory()
    const { status, stderr } = await atlas.run(['rollback', commit, '--yes', '--json'])
    expect({ status, code: errorOf({ stderr }).code, text: atlas.server.configuration() }).toEqual({
      status: 2,
      code: 'usage',
      text: 'three\n',
    })
  })

  test('rollback: without a terminal needs --yes, and --dry-run changes nothing', async () => {
    await using atlas = await withHistory()
    const commit = atlas.commits[2]?.slice(0, 9) ?? ''
    const unconfirmed = await atlas.run(['rollback', commit, '--json'])
    expect({ status: unconfirmed.status, code: errorOf(unconfirmed).code }).toEqual({
      status: 2,
      code: 'input_required',
    })
    const dry = await atlas.run(['rollback', commit, '-n'])
    expect({
      status: dry.status,
      says: dry.stdout.startsWith(
        `A dry run: ${atlas.server.url} would go back to commit ${commit.slice(0, 7)}`,
      ),
    }).toEqual({ status: 0, says: true })
    expect(atlas.server.configuration()).toBe('three\n')
  })

  test.each([
    ['y', 0, 'one\n'],
    ['n', 130, 'three\n'],
    ['', 130, 'three\n'],
  ])('rollback: %j at a terminal ends with %d', async (typed, status, text) => {
    await using atlas = await withHistory()
    const terminal = openTerminal(atlas, ['rollback', atlas.commits[2]?.slice(0, 7) ?? ''])
    await terminal.see('(y/N)')
    terminal.type(`${typed}\n`)
    expect([await terminal.ended(), atlas.server.configuration()]).toEqual([status, text])
  })
})
