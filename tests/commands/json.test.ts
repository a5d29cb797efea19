import { expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { type Stage, stage } from '../support/stage.ts'

/** The objects that docs/json.md shows, in its order. */
const SHOWN = fs
  .readFileSync(path.resolve(import.meta.dir, '../../docs/json.md'), 'utf8')
  .split(/^```(?:json)?$/m)
  .filter((_, index) => index % 2 === 1)
  .map(text => JSON.parse(text))

/** The names in a value, in order; of a list those of its first item. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf)
  if (typeof value !== 'object' || value === null) return '…'
  return Object.entries(value).map(([name, inside]) => [name, shapeOf(inside)])
}

async function resultOf(atlas: Stage, ...args: string[]): Promise<unknown> {
  const { stdout, stderr } = await atlas.run([...args, '--json'])
  return JSON.parse(stdout || stderr)
}

test('json: every result has the fields that docs/json.md shows, in that order', async () => {
  await using atlas = await stage({ loggedIn: true })
  const file = path.join(atlas.home, '.claude', 'CLAUDE.md')
  const sync = await resultOf(atlas, 'sync')
  fs.appendFileSync(file, 'mine\n')
  const push = await resultOf(atlas, 'push')
  const history = await resultOf(atlas, 'history')
  const { versions } = history as { versions: { commit_sha: string }[] }
  const rollback = await resultOf(atlas, 'rollback', versions[0]?.commit_sha ?? '', '--yes')
  const login = [await resultOf(atlas, 'auth', 'status'), await resultOf(atlas, 'auth', 'refresh')]
  const status = await resultOf(atlas, 'status')
  const token = await resultOf(atlas, 'auth', 'token')
  const list = await resultOf(atlas, 'auth', 'list')
  const current = await resultOf(atlas, 'auth', 'switch', 'default')
  const doctor = await resultOf(atlas, 'doctor')
  const logout = await resultOf(atlas, 'auth', 'logout')
  const error = await resultOf(atlas, 'auth', 'token')

  const [shownError, shownLogin, ...others] = SHOWN.map(shapeOf)
  expect(login.map(shapeOf)).toEqual([shownLogin, shownLogin])
  expect(shapeOf(push)).toEqual(shapeOf(sync))
  expect([error, token, list, current, logout, sync, status, history, rollback, doctor].map(shapeOf)).toEqual(
    [shownError, ...others],
  )
})
