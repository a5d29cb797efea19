import { expect, test } from 'bun:test'
import { answer } from '../support/atlas-server.ts'
import { openTerminal } from '../support/pseudo-terminal.ts'
import { stage } from '../support/stage.ts'

const COMMANDS: [args: string[], coloured: string][] = [
  [
    ['auth', 'status'],
    '\u001b[2mStatus\u001b[22m        \u001b[32mLogged in; the server confirmed it.\u001b[39m',
  ],
  [
    ['auth', 'status', '--offline'],
    '\u001b[33mNot verified. The server was not asked (--offline).\u001b[39m',
  ],
  [['auth', 'status', '--profile', 'other'], '\u001b[33mNot logged in.'],
  [['auth', 'list'], '\u001b[32m* default  '],
  [['auth', 'switch', 'default'], '\u001b[32mSwitched to profile default'],
  [['auth', 'switch', 'nobody'], '\u001b[31matlas:\u001b[39m There is no profile "nobody".'],
  [['auth', '--help'], '\u001b[1mUsage:\u001b[22m'],
  [['doctor'], '\u001b[32mok\u001b[39m    version'],
  [['auth', 'refresh'], '\u001b[32mRefreshed the session on '],
]

/** What both streams hold, with times that differ from run to run made equal. */
const said = ({ stdout, stderr }: { stdout: string; stderr: string }): string =>
  `${stdout}${stderr}`.replace(/\d+ ms/g, 'N ms').replace(/\d\d:\d\d \(in/g, 'TIME (in')

test.each(COMMANDS)('colour: atlas %j prints the same text with and without it', async (args, coloured) => {
  await using atlas = await stage()
  await atlas.logIn()
  const plain = said(await atlas.run(args))
  const forced = said(await atlas.run(args, { env: { FORCE_COLOR: '1' } }))
  expect(plain).not.toContain('\u001b')
  expect(forced).toContain(coloured)
  expect(Bun.stripANSI(forced)).toBe(plain)
  for (const env of [{ FORCE_COLOR: '0' }, { NO_COLOR: '1' }, { FORCE_COLOR: '', NO_COLOR: '' }])
    expect(said(await atlas.run(args, { env }))).toBe(plain)
})

test('colour: JSON and tokens never have it', async () => {
  await using atlas = await stage({ env: { FORCE_COLOR: '1' } })
  await atlas.logIn()
  for (const args of [
    ['auth', 'status', '--json'],
    ['auth', 'token'],
    ['doctor', '--json'],
    ['api', '/auth/me'],
    ['auth', 'switch', 'x', '--json'],
  ]) {
    const { stdout, stderr } = await atlas.run(args)
    expect(stdout + stderr).not.toContain('\u001b')
  }
})

test.each([
  ...COMMANDS.map(([args]) => args),
  ['auth', 'logout'],
  ['api', '/slow'],
])('colour: a dumb terminal gets no control sequence from atlas %s %s', async (...args) => {
  await using atlas = await stage()
  await atlas.logIn()
  const words = args.filter(word => word !== undefined)
  // Longer than the spinner waits before it shows.
  for (const route of ['GET /auth/me', 'GET /slow'])
    atlas.server.fault(route, async response => {
      await Bun.sleep(250)
      answer(response, 200, { email: 'ada@example.com' })
    })
  const terminal = openTerminal(atlas, words, { TERM: 'dumb' })
  await terminal.ended()
  expect(terminal.transcript).not.toContain('\u001b')
})
