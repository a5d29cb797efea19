import { describe, expect } from 'bun:test'
import { type AtlasServer, startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox, type Sandbox } from '../support/binary.ts'
import { type InteractiveShell, openShell, type SHELLS } from '../support/interactive-shell.ts'
import { testWithTools } from '../support/needs.ts'
import { openTerminal } from '../support/pseudo-terminal.ts'

type Shell = keyof typeof SHELLS
const ALL_SHELLS: readonly Shell[] = ['bash', 'zsh', 'dash']
const CTRL_Z = '\u001a'
const EMAIL = 'ada@example.com'
const PASSWORD = 'correct horse'

const shellTest = testWithTools('bash', 'zsh', 'dash', 'stty')

const sandboxFor = (server: AtlasServer): Sandbox =>
  createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url, NO_COLOR: '1' })

/** E-mail and password of the logins that the server received. */
const receivedLogins = (server: AtlasServer): [string | null, string | null][] =>
  server.requests
    .filter(({ path }) => path === '/api/v1/auth/login')
    .map(({ body }) => new URLSearchParams(body))
    .map(form => [form.get('username'), form.get('password')])

/** Start a login and wait for the prompt, which is the last word that the screen shows. */
async function startLogin(shell: InteractiveShell, prompt: string): Promise<number> {
  await shell.run(`atlas auth login${prompt === 'Password' ? ` --email ${EMAIL}` : ''}`, prompt)
  await shell.see(': ')
  return shell.atlas()
}

const stopByKey = (shell: InteractiveShell): void => shell.type(CTRL_Z)

/** Each leaves atlas stopped, with the shell's prompt on the screen. */
const WAYS: [how: string, stop: (shell: InteractiveShell, pid: number, prompt: string) => unknown][] = [
  ['Ctrl-Z', stopByKey],
  ['Ctrl-Z within the answer', shell => shell.type(`corr${CTRL_Z}`)],
  ['Ctrl-Z within a paste, whose rest is dropped', shell => shell.type(`corr${CTRL_Z}ect pony\r`)],
  ['SIGTSTP from outside', (_, pid) => process.kill(pid, 'SIGTSTP')],
  ['SIGSTOP from outside', (_, pid) => process.kill(pid, 'SIGSTOP')],
  [
    'Ctrl-Z twice',
    async (shell, _, prompt) => {
      stopByKey(shell)
      await shell.untilAtlas('T')
      await shell.run('fg', prompt)
      await shell.see(': ')
      shell.type(`cor${CTRL_Z}`)
    },
  ],
  [
    'Ctrl-Z and bg, which stops it again',
    async shell => {
      stopByKey(shell)
      await shell.untilAtlas('T')
      await shell.settings()
      // Until the shell has noticed, as it continues only what it knows to be stopped.
      const isStopped = 'jobs > jobs; grep -qi "stopped\\|suspended" jobs'
      await shell.run(`bg; until ${isStopped}; do :; done; echo still$((1+1))`, 'still2')
    },
  ],
]

const TABLE = ALL_SHELLS.flatMap(shell =>
  ['E-mail', 'Password'].flatMap(prompt =>
    WAYS.map(([how, stop]): [string, string, Shell, (typeof WAYS)[number][1]] => [prompt, how, shell, stop]),
  ),
)

describe('a prompt that is stopped and continued', () => {
  shellTest.each(TABLE)(
    '(%s, by %s, in %s) works and does not echo the password',
    async (prompt, how, name, stop) => {
      await using server = await startAtlasServer()
      using sandbox = sandboxFor(server)
      await using shell = await openShell(sandbox, name)
      const before = await shell.settings()
      const pid = await startLogin(shell, prompt)
      await stop(shell, pid, prompt)
      await shell.untilAtlas('T')
      // Nothing can be done before a SIGSTOP, and dash does not put the terminal right.
      const isLeftRaw = name === 'dash' && how.startsWith('SIGSTOP')
      const whileStopped = await shell.settings()
      if (!isLeftRaw) expect(whileStopped).toBe(before)
      await shell.run('fg', prompt)
      await shell.see(': ')
      const from = shell.transcript.length
      if (prompt === 'E-mail') {
        shell.type(`${EMAIL}\r`)
        await shell.see('Password (not shown): ')
      }
      for (const character of PASSWORD) shell.type(character)
      shell.type('\r')
      await shell.see('Logged in to')
      await shell.untilAtlas('gone')
      if (!isLeftRaw) expect(await shell.settings()).toBe(before)
      expect(receivedLogins(server)).toEqual([[EMAIL, PASSWORD]])
      expect(shell.transcript).not.toContain('ect pony')
      const afterwards = shell.transcript.slice(from)
      expect(afterwards).not.toContain('horse')
      expect(afterwards.match(/E-mail|Password \(/g) ?? []).toEqual(prompt === 'E-mail' ? ['Password ('] : [])
      const screen = await shell.screen()
      const dialogue = [
        `E-mail for ${server.url}: ${EMAIL}`,
        'Password (not shown): ',
        `Logged in to ${server.url} as ${EMAIL}`,
      ]
      const question = screen.findLastIndex(line => line.startsWith(prompt))
      expect(screen.slice(question).slice(0, prompt === 'E-mail' ? 3 : 2)).toEqual(
        dialogue.slice(prompt === 'E-mail' ? 0 : 1),
      )
    },
  )

  shellTest('works at a dumb terminal, to which no escape sequence is sent', async () => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    await using shell = await openShell(sandbox, 'dash', { TERM: 'dumb' })
    await startLogin(shell, 'E-mail')
    shell.type(`nobody${CTRL_Z}`)
    await shell.untilAtlas('T')
    await shell.run('fg', 'E-mail')
    await shell.see(': ')
    shell.type(`${EMAIL}x\u007f\r`)
    await shell.see('Password (not shown): ')
    shell.type(`corr${CTRL_Z}`)
    await shell.untilAtlas('T')
    await shell.run('fg', 'Password (not shown): ')
    shell.type(`${PASSWORD}\r`)
    await shell.see('Logged in to')
    expect(receivedLogins(server)).toEqual([[EMAIL, PASSWORD]])
    expect(shell.transcript).not.toContain('\u001b')
    expect(shell.transcript).not.toContain('corr')
  })

  shellTest.each(ALL_SHELLS)('works in a script that %s runs', async name => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    await using shell = await openShell(sandbox, name)
    await shell.run(`sh -c 'atlas auth login --email ${EMAIL}; echo script ends with $?'`, '(not shown): ')
    await shell.atlas()
    shell.type(`corr${CTRL_Z}`)
    await shell.untilAtlas('T')
    await shell.run('fg', '(not shown): ')
    shell.type(`${PASSWORD}\r`)
    await shell.see('script ends with 0')
    expect(receivedLogins(server)).toEqual([[EMAIL, PASSWORD]])
    expect(shell.transcript).not.toContain('horse')
  })

  shellTest('takes nothing for the password that was typed while it was stopped', async () => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    await using shell = await openShell(sandbox, 'dash')
    // Without job control nobody takes the terminal, so that what is typed waits there.
    await shell.run(`set +m; atlas auth login --email ${EMAIL}`, '(not shown): ')
    const pid = await shell.atlas()
    process.kill(pid, 'SIGSTOP')
    await shell.untilAtlas('T')
    // As a shell would, so that the terminal shows when the keys have arrived.
    Bun.spawnSync(['stty', '-F', `/proc/${pid}/fd/0`, 'sane'])
    shell.type('pony\r')
    await shell.see('pony')
    process.kill(pid, 'SIGCONT')
    await shell.see('(not shown): ')
    shell.type(`${PASSWORD}\r`)
    await shell.see('Logged in to')
    expect(receivedLogins(server)).toEqual([[EMAIL, PASSWORD]])
    expect(shell.transcript).not.toContain('horse')
  })

  shellTest('asks again after SIGCONT alone, and outlives a change of the window', async () => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    await using shell = await openShell(sandbox, 'bash')
    const pid = await startLogin(shell, 'E-mail')
    shell.type('nobody')
    await shell.see('nobody')
    process.kill(pid, 'SIGCONT')
    await shell.see('E-mail')
    await shell.see(': ')
    shell.type(`${EMAIL}\r`)
    await shell.see('Password (not shown): ')
    shell.resize(40, 20)
    shell.type(`${PASSWORD}\r`)
    await shell.see('Logged in to')
    expect(receivedLogins(server)).toEqual([[EMAIL, PASSWORD]])
    expect(shell.transcript).not.toContain('horse')
  })

  const ENDS: [how: 'Ctrl-Z' | 'SIGSTOP', shell: Shell][] = [
    ['Ctrl-Z', 'bash'],
    ['Ctrl-Z', 'zsh'],
    ['SIGSTOP', 'bash'],
    ['SIGSTOP', 'zsh'],
  ]
  shellTest.each(ENDS)('(by %s) is ended by the kill command of %s', async (how, name) => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    await using shell = await openShell(sandbox, name)
    const before = await shell.settings()
    const pid = await startLogin(shell, 'Password')
    if (how === 'Ctrl-Z') stopByKey(shell)
    else process.kill(pid, how)
    await shell.untilAtlas('T')
    await shell.settings()
    await shell.run('kill %1', 'Ended by SIGTERM')
    await shell.untilAtlas('gone')
    expect(await shell.settings()).toBe(before)
    expect(receivedLogins(server)).toEqual([])
  })
})

describe('a login in the background', () => {
  shellTest.each(ALL_SHELLS)('waits for %s to bring it to the foreground before it asks', async name => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    await using shell = await openShell(sandbox, name)
    const before = await shell.settings()
    shell.type(`atlas auth login --email ${EMAIL} &\n`)
    await shell.atlas()
    await shell.untilAtlas('T')
    expect(await shell.settings()).toBe(before)
    expect(shell.transcript).not.toContain('not shown')
    await shell.run('fg', '(not shown): ')
    shell.type(`${PASSWORD}\r`)
    await shell.see('Logged in to')
    await shell.untilAtlas('gone')
    expect(await shell.settings()).toBe(before)
    expect(receivedLogins(server)).toEqual([[EMAIL, PASSWORD]])
    expect(shell.transcript).not.toContain('horse')
  })

  shellTest.each(ALL_SHELLS)('ends there (%s) once the server answers, having asked before', async name => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    await using shell = await openShell(sandbox, name)
    const before = await shell.settings()
    const held = server.hold('POST /auth/login')
    const pid = await startLogin(shell, 'Password')
    shell.type(`${PASSWORD}\r`)
    await held.arrived
    stopByKey(shell)
    await shell.untilAtlas('T')
    await shell.settings()
    await shell.run(
      `bg; until grep -q '^State:.[RS]' /proc/${pid}/status; do :; done; echo on$((1+1))`,
      'on2',
    )
    held.release()
    await shell.see('Logged in to')
    await shell.untilAtlas('gone')
    expect(await shell.settings()).toBe(before)
  })
})

describe('Ctrl-Z where nobody could continue atlas', () => {
  shellTest.each(['nothing', 'sh'] as const)('is ignored, and nothing is echoed (below %s)', async parent => {
    await using server = await startAtlasServer()
    using sandbox = sandboxFor(server)
    const terminal = openTerminal(sandbox, ['auth', 'login', '--email', EMAIL], {}, { parent })
    await terminal.see('Password')
    // Many, as an echo would need a key just when the terminal is not in raw mode.
    for (let times = 0; times < 500; times++) {
      terminal.type(CTRL_Z)
      for (const key of '######') terminal.type(key)
    }
    terminal.type(`\u0015${PASSWORD}\r`)
    expect(await terminal.ended()).toBe(0)
    expect(receivedLogins(server)).toEqual([[EMAIL, PASSWORD]])
    expect(terminal.transcript).not.toContain('#')
    expect(terminal.transcript).not.toContain('horse')
  })
})
