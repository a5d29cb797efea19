import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { answer } from '../support/atlas-server.ts'
import { outcomeOf } from '../support/binary.ts'
import { inProcess } from '../support/in-process.ts'
import { type Stage, stage } from '../support/stage.ts'

const BASE = '# Rules\n'
const MINE = '# Rules\nmine\n'
const THEIRS = '# Rules\ntheirs\n'

/** A machine that has synced the server's text, and edited it unless told otherwise. */
async function synced(edit: string | null = MINE) {
  const atlas = await stage({ loggedIn: true })
  atlas.server.saveConfiguration(BASE)
  await atlas.run(['sync'])
  if (edit !== null) atlas.claude.edit(edit)
  return atlas
}

const verdictOf = async ({ run }: Pick<Stage, 'run'>): Promise<string> =>
  JSON.parse((await run(['status', '--json'])).stdout).verdict
const errorOf = ({ stderr }: { stderr: string }) => JSON.parse(stderr).error

describe('atlas push', () => {
  test('push: saves an edit, with a message, and both sides are in sync', async () => {
    await using atlas = await synced()
    const { status, stdout, stderr } = await atlas.run(['push', '-m', 'Mine', '--json'])
    expect({ status, stderr, ...JSON.parse(stdout) }).toEqual({
      status: 0,
      stderr: '',
      result: 'pushed',
      verdict: 'local_changed',
      profile: 'default',
      api_url: atlas.server.url,
      file: atlas.claude.file,
      commit_sha: expect.stringMatching(/^[0-9a-f]{40}$/),
      updated_at: '2026-02-01T00:00:01.000Z',
      backup: null,
      diff: null,
    })
    expect(JSON.parse(atlas.server.requests.findLast(({ method }) => method === 'PUT')?.body ?? '')).toEqual({
      content: MINE,
      message: 'Mine',
    })
    expect([atlas.server.configuration(), await verdictOf(atlas), atlas.claude.names()]).toEqual([
      MINE,
      'in_sync',
      ['CLAUDE.md'],
    ])
    atlas.server.saveConfiguration(THEIRS)
    expect(await verdictOf(atlas)).toBe('remote_changed')
    expect((await atlas.run(['sync'])).status).toBe(0)
    expect(atlas.claude.text()).toBe(THEIRS)
  })

  test('push: of what the server has sends nothing', async () => {
    await using atlas = await synced(null)
    expect(await atlas.run(['push'])).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^Nothing to send: the server has this text \(commit [0-9a-f]{7}\)\n$/),
      stderr: '',
    })
    expect(atlas.server.requests.filter(({ method }) => method === 'PUT')).toEqual([])
  })

  test('push: is refused where the server has another text than was synced, and --force keeps that', async () => {
    await using atlas = await synced()
    atlas.server.saveConfiguration(THEIRS)
    const refused = await atlas.run(['push'])
    expect({ status: refused.status, stdout: refused.stdout }).toEqual({ status: 1, stdout: '' })
    expect(refused.stderr).toContain('-theirs\n+mine\n')
    expect(refused.stderr).toContain(
      `The text on ${atlas.server.url} has changed since the last sync; nothing was sent.`,
    )
    expect(errorOf(await atlas.run(['push', '--json'])).code).toBe('remote_changes')
    expect(atlas.server.configuration()).toBe(THEIRS)

    const { status, stdout } = await atlas.run(['push', '--force', '--json'])
    const { result, backup } = JSON.parse(stdout)
    expect({ status, result, kept: fs.readFileSync(backup, 'utf8'), at: path.dirname(backup) }).toEqual({
      status: 0,
      result: 'pushed',
      kept: THEIRS,
      at: atlas.claude.folder,
    })
    expect([atlas.server.configuration(), await verdictOf(atlas)]).toEqual([MINE, 'in_sync'])
  })

  test('push: of an unchanged file says that the server’s is newer', async () => {
    await using atlas = await synced(null)
    atlas.server.saveConfiguration(THEIRS)
    const { status, stderr } = await atlas.run(['push', '--json'])
    expect({ status, ...errorOf({ stderr }) }).toEqual({
      status: 1,
      code: 'remote_changes',
      message: `There is nothing to send, and ${atlas.server.url} has a newer text.`,
      hint: 'Take it over with: atlas sync',
    })
  })

  test('push: a file that was never synced is sent where the server has none', async () => {
    await using atlas = await stage({ loggedIn: true })
    atlas.server.setConfiguration('', '')
    atlas.claude.edit(MINE)
    expect((await atlas.run(['push'])).status).toBe(0)
    expect([atlas.server.configuration(), await verdictOf(atlas)]).toEqual([MINE, 'in_sync'])
  })

  test('push: --dry-run shows the change and sends nothing', async () => {
    await using atlas = await synced()
    const { status, stdout, stderr } = await atlas.run(['push', '--dry-run'])
    expect({ status, stderr, added: stdout.includes('\n+mine\n') }).toEqual({
      status: 0,
      stderr: 'A dry run: nothing was sent.\n',
      added: true,
    })
    expect(atlas.server.configuration()).toBe(BASE)
    atlas.server.saveConfiguration(THEIRS)
    expect((await atlas.run(['push', '-n', '--json'])).stdout).toContain(
      '"result":"dry_run","verdict":"diverged"',
    )
    expect(atlas.server.configuration()).toBe(THEIRS)
  })

  test('push: what the server changes on its way is not called kept', async () => {
    await using atlas = await synced()
    let saved = ''
    atlas.server.fault('PUT /configuration/me', (response, request) => {
      saved = JSON.parse(request.body).content
      atlas.server.saveConfiguration(saved.trimEnd())
      answer(response, 200, {})
    })
    const { status, stderr } = await atlas.run(['push', '--json'])
    expect({ status, code: errorOf({ stderr }).code, saved, local: atlas.claude.text() }).toEqual({
      status: 5,
      code: 'not_kept',
      saved: MINE,
      local: MINE,
    })
    expect(await verdictOf(atlas)).toBe('diverged')
  })

  test('push: a server that keeps no text for a commit is not written to', async () => {
    await using atlas = await synced()
    atlas.server.setConfiguration('', 'abc')
    for (const args of [['push'], ['push', '--force'], ['push', '-n']]) {
      const { status, stderr } = await atlas.run([...args, '--json'])
      expect({ status, code: errorOf({ stderr }).code }).toEqual({ status: 5, code: 'remote_unreadable' })
    }
    expect(atlas.server.requests.filter(({ method }) => method === 'PUT')).toEqual([])
  })

  const REFUSALS: [status: number, code: string, exit: number][] = [
    [403, 'api_error', 1],
    [422, 'api_error', 1],
    [401, 'session_expired', 4],
    [429, 'rate_limited', 5],
    [503, 'server_error', 5],
  ]
  test.each(REFUSALS)('push: %d is %s', async (status, code, exit) => {
    await using atlas = await synced()
    if (status === 401)
      atlas.server.fault('POST /auth/refresh', response =>
        answer(response, 401, { detail: 'no' }, { 'www-authenticate': 'Bearer' }),
      )
    atlas.server.fault('PUT /configuration/me', response =>
      answer(
        response,
        status,
        { detail: 'The repository is read-only' },
        status === 401 ? { 'www-authenticate': 'Bearer' } : {},
      ),
    )
    const outcome = await atlas.run(['push', '--json'])
    const error = errorOf(outcome)
    expect({ status: outcome.status, code: error.code }).toEqual({ status: exit, code })
    if (code === 'api_error') expect(error.message).toContain('The repository is read-only')
    expect(atlas.claude.text()).toBe(MINE)
  })
})

describe('a push that does not get through', () => {
  /** The texts of the backups, oldest first. */
  const backups = ({ claude }: Stage): string[] =>
    fs
      .readdirSync(path.dirname(claude.file))
      .filter(name => name.endsWith('.bak'))
      .sort()
      .map(name => fs.readFileSync(path.join(path.dirname(claude.file), name), 'utf8'))

  test('push: tried again and again, makes no backup go but at last an old one', async () => {
    await using atlas = await synced()
    for (const text of ['1', '2', '3', '4', '5']) {
      atlas.claude.edit(text)
      await atlas.run(['sync', '--force'])
    }
    atlas.server.saveConfiguration(THEIRS)
    atlas.claude.edit(MINE)
    atlas.server.fault('PUT /configuration/me', response => answer(response, 403, { detail: 'No' }), 6)
    for (let attempt = 0; attempt < 6; attempt++) await atlas.run(['push', '--force'])
    expect(backups(atlas)).toEqual(['1', '2', '3', '4', '5', THEIRS])
    expect((await atlas.run(['push', '--force'])).status).toBe(0)
    expect(backups(atlas)).toEqual(['2', '3', '4', '5', THEIRS])
  })

  test('push: a text that arrived although the push failed is not taken for somebody else’s', async () => {
    await using atlas = await synced()
    atlas.server.fault(
      'PUT /configuration/me',
      response => {
        atlas.server.saveConfiguration(MINE)
        answer(response, 500, {})
      },
      1,
    )
    expect((await atlas.run(['push'])).status).toBe(5)
    expect(await verdictOf(atlas)).toBe('in_sync')
    atlas.claude.edit(`${MINE}more\n`)
    expect(await verdictOf(atlas)).toBe('local_changed')
    expect((await atlas.run(['push'])).status).toBe(0)
    expect(atlas.server.configuration()).toBe(`${MINE}more\n`)
  })

  test('push: sends nothing where it could not remember that', async () => {
    await using atlas = await synced()
    const { status, stderr } = await atlas.run(['push', '--json'], {
      via: ['bash', '-c', 'ulimit -f 0; "$0" "$@"'],
    })
    expect({
      status,
      code: errorOf({ stderr }).code,
      sent: atlas.server.log().filter(line => line.startsWith('PUT')),
    }).toEqual({
      status: 1,
      code: 'file_error',
      sent: [],
    })
  })
})

describe('a file that cannot be pushed', () => {
  const FILES: [what: string, content: string | Buffer | undefined, reason: string][] = [
    ['is not there', undefined, 'it does not exist'],
    ['is empty', '', 'it is empty, which cannot be told from a text that the server cannot read'],
    ['is not UTF-8', Buffer.from([0x63, 0xe9]), 'it is not UTF-8 text'],
    ['is too long', Buffer.alloc(1024 * 1024 + 1, 'x'), 'it has 1048577 bytes, and 1048576 are sent at most'],
  ]
  test.each(FILES)('push: one that %s is refused before anything is asked', async (_, content, reason) => {
    await using atlas = await inProcess({ loggedIn: true })
    if (content !== undefined) atlas.claude.edit(content)
    atlas.server.forget()
    const { status, stderr } = await atlas.run(['push', '--json'])
    expect({ status, ...errorOf({ stderr }), asked: atlas.server.log() }).toEqual({
      status: 1,
      code: 'file_error',
      message: `${atlas.claude.file} cannot be pushed: ${reason}.`,
      hint: expect.any(String),
      asked: [],
    })
  })

  test('push: the longest text arrives whole', async () => {
    const longest = `${'"\\\u0001ü'.repeat((1024 * 1024) / 5)}`
    await using atlas = await synced(longest)
    expect((await atlas.run(['push'])).status).toBe(0)
    expect(atlas.server.configuration()).toBe(longest)
  })
})

test('push: two machines at once leave one text, and whoever lost is told', async () => {
  await using one = await synced('one\n')
  const other = path.join(one.home, 'other')
  fs.mkdirSync(other)
  fs.writeFileSync(path.join(other, 'CLAUDE.md'), BASE)
  await one.run(['sync', '--dir', other])
  fs.writeFileSync(path.join(other, 'CLAUDE.md'), 'two\n')
  const held = one.server.hold('PUT /configuration/me')
  const first = one.start(['push', '--json'], { input: '' })
  await held.arrived
  expect((await one.run(['push', '--dir', other])).status).toBe(0)
  held.release()
  const { status, stderr } = await outcomeOf(first)
  expect({ status, told: stderr }).toEqual({
    status: 0,
    told: expect.stringMatching(
      /^Somebody saved another text on the server meanwhile, and it was overwritten\. Go back to it with: atlas rollback [0-9a-f]{7}\n$/,
    ),
  })
  expect(one.server.configuration()).toBe('one\n')
  expect(JSON.parse((await one.run(['status', '--dir', other, '--json'])).stdout).verdict).toBe(
    'remote_changed',
  )
})
