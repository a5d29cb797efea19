import { expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { answer } from '../support/atlas-server.ts'
import { inProcess } from '../support/in-process.ts'
import { stage } from '../support/stage.ts'

const ASK = 'GET /api/v1/configuration/me'

test('status: --json prints every field for every verdict', async () => {
  await using atlas = await inProcess({ loggedIn: true })
  const { file } = atlas.claude
  const { server } = atlas
  const run = async () => {
    const { status, stdout, stderr } = await atlas.run(['status', '--json'])
    return { status, stderr, told: JSON.parse(stdout) }
  }
  const told = {
    verdict: 'local_missing',
    reason: null,
    profile: 'default',
    api_url: server.url,
    email: 'ada@example.com',
    local: { file, size: null, modified: null },
    remote: { size: 8, commit_sha: '0123456789abcdef', updated_at: '2026-01-02T03:04:05.678Z' },
    last_sync: null,
  }
  const fine = { status: 0, stderr: '' }
  server.forget()
  expect(await run()).toEqual({ ...fine, told })
  expect(server.log()).toEqual([ASK])

  await atlas.run(['sync'])
  const inSync = await run()
  const lastSync = inSync.told.last_sync
  const modified = (): string => fs.statSync(file).mtime.toISOString()
  expect(inSync).toEqual({
    ...fine,
    told: {
      ...told,
      verdict: 'in_sync',
      local: { file, size: 8, modified: modified() },
      last_sync: {
        synced_at: new Date(lastSync.synced_at).toISOString(),
        commit_sha: '0123456789abcdef',
      },
    },
  })
  atlas.claude.edit('mine')
  const local = { file, size: 4, modified: modified() }
  const edited = { ...inSync.told, local, verdict: 'local_changed' }
  expect(await run()).toEqual({ ...fine, told: edited })
  atlas.server.setConfiguration('# New\n')
  const remote = { size: 6, commit_sha: 'fedcba9876543210', updated_at: '2026-02-03T04:05:06.000Z' }
  expect(await run()).toEqual({ ...fine, told: { ...edited, remote, verdict: 'diverged' } })
  atlas.claude.edit('# Rules\n')
  expect((await run()).told.verdict).toBe('remote_changed')
  atlas.server.setConfiguration('', '')
  expect((await run()).told).toMatchObject({
    verdict: 'remote_empty',
    remote: { size: 0, commit_sha: null },
  })
})

test('status: prints a table', async () => {
  await using atlas = await stage({ loggedIn: true })
  await atlas.run(['sync'])
  atlas.claude.edit('mine')
  const { status, stdout, stderr } = await atlas.run(['status'])
  const fixed = stdout.replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d \([^)]*\)/g, 'WHEN')
  expect({ status, stderr, fixed: fixed.split('\n') }).toEqual({
    status: 0,
    stderr: 'See the differences with: atlas push --dry-run, and send them with: atlas push\n',
    fixed: [
      `Server     ${atlas.server.url}`,
      'Profile    default',
      'Account    ada@example.com',
      `Local      ${atlas.claude.file}`,
      '           4 bytes, modified WHEN, changed since the last sync',
      'Remote     8 bytes, commit 0123456, WHEN',
      'Last sync  commit 0123456, WHEN',
      'Verdict    local_changed: the local file has changes that the server does not have.',
      '',
    ],
  })
})

test('status: prints the local half without a login, a server or a store', async () => {
  await using atlas = await inProcess({ loggedIn: true })
  await atlas.run(['sync'])
  const run = async (env: Record<string, string> = {}) => {
    const { status, stdout, stderr } = await atlas.run(['status', '--json'], { env })
    const { verdict, reason, local, remote } = JSON.parse(stdout)
    return { status, stderr, verdict, reason, size: local.size, remote }
  }
  const half = { stderr: '', verdict: 'unknown', size: 8, remote: null }
  atlas.server.fault('GET /configuration/me', response => answer(response, 503, {}), 1)
  expect(await run()).toEqual({
    ...half,
    status: 5,
    reason: `${atlas.server.url} failed (503) on GET /configuration/me.`,
  })
  expect(await run({ ATLAS_ACCESS_TOKEN: 'wrong', ATLAS_API_URL: atlas.server.apiRoot })).toEqual({
    ...half,
    status: 4,
    reason: `${atlas.server.url} rejects the access token (401).`,
  })
  fs.chmodSync(path.join(atlas.configFolder, 'credentials'), 0o777)
  const denied = await run()
  expect(denied).toEqual({ ...half, status: 6, reason: denied.reason })
  expect(denied.reason).toContain('cannot be used: others can change it')
  fs.chmodSync(path.join(atlas.configFolder, 'credentials'), 0o700)

  await atlas.run(['auth', 'logout'])
  expect(await run()).toEqual({ ...half, status: 4, reason: `Not logged in to ${atlas.server.url}.` })
})

test('status: prints the server’s half when the local file cannot be read', async () => {
  await using atlas = await inProcess({ loggedIn: true })
  fs.mkdirSync(atlas.claude.file, { recursive: true })
  const { status, stdout } = await atlas.run(['status', '--json'])
  expect([
    status,
    JSON.parse(stdout).verdict,
    JSON.parse(stdout).reason,
    JSON.parse(stdout).remote.size,
  ]).toEqual([1, 'unknown', `${atlas.claude.file} cannot be used: a folder is in its place.`, 8])
})

test.each([
  ['', 'it is empty, which cannot be told from a text that the server cannot read'],
  [Buffer.from([0xff, 0xfe]), 'it is not UTF-8 text'],
])('status: an edit to %j, which no push takes, is not said to be sent', async (text, reason) => {
  await using atlas = await inProcess({ loggedIn: true })
  await atlas.run(['sync'])
  fs.writeFileSync(atlas.claude.file, text)
  const advice = `Your text cannot be sent: ${reason}. Take the server’s with: atlas sync --force (yours is kept as a backup).`
  expect((await atlas.run(['status'])).stderr).toBe(`${advice}\n`)
  expect((await atlas.run(['sync'])).stderr).toEndWith(`${advice}\n`)
  expect((await atlas.run(['sync', '--force'])).status).toBe(0)
})
