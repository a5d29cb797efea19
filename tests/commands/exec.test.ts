import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { signToken } from '../support/atlas-server.ts'
import { outcomeOf } from '../support/binary.ts'
import { inProcess } from '../support/in-process.ts'
import { openShell } from '../support/interactive-shell.ts'
import { forRun, testWithTools, traceTest } from '../support/needs.ts'
import { type Stage, stage } from '../support/stage.ts'

const shellTest = testWithTools('bash', 'stty')
const linuxTest = test.skipIf(process.platform !== 'linux')
const sh = (script: string, ...args: string[]): string[] => ['exec', '--', 'sh', '-c', script, 'sh', ...args]

function script(atlas: Stage, name: string, text: string, mode = 0o755): string {
  const file = path.join(atlas.cwd, name)
  fs.writeFileSync(file, text, { mode })
  return file
}

describe('atlas exec', () => {
  test('exec: gives the program token and API in its environment, and its arguments as they are', async () => {
    await using atlas = await stage({ loggedIn: true })
    const args = ['', 'a b', '--help', '-x', "'", '$HOME']
    const { status, stdout, stderr } = await atlas.run(
      sh('printf "%s\\n" "$ATLAS_ACCESS_TOKEN" "$ATLAS_API_URL" "$@"', ...args),
    )
    expect({ status, stdout: stdout.split('\n'), stderr, asked: atlas.server.log() }).toEqual({
      status: 0,
      stdout: [atlas.server.lastTokens.access, `${atlas.server.url}/api/v1`, ...args, ''],
      stderr: '',
      asked: [],
    })
  })

  test('exec: another variable gets the token instead, and the rest of the environment stays', async () => {
    await using atlas = await stage({ loggedIn: true })
    const script = 'echo "$MY_TOKEN|$ATLAS_ACCESS_TOKEN|$OTHER"'
    const { stdout } = await atlas.run(['exec', '-e', 'MY_TOKEN', '--', 'sh', '-c', script], {
      env: { MY_TOKEN: 'older', OTHER: 'a=b c' },
    })
    expect(stdout).toBe(`${atlas.server.lastTokens.access}||a=b c\n`)
  })

  test('exec: refreshes first where too little time is left, and says so where no token lives that long', async () => {
    await using atlas = await stage({ loggedIn: true, accessTtlS: 600 })
    const run = (ttl: string) =>
      atlas.run(['exec', '--min-ttl', ttl, '--', 'sh', '-c', 'echo "$ATLAS_ACCESS_TOKEN"'])
    atlas.server.expireAccessTokens()
    expect((await run('1h')).status).toBe(1)
    expect((await run('9m')).stdout).toBe(`${atlas.server.lastTokens.access}\n`)
    expect(atlas.server.log()).toEqual(['POST /api/v1/auth/refresh'])
  })

  test('exec: a ready-made token is passed on, which --debug says', async () => {
    await using atlas = await stage()
    const token = signToken({ sub: 'ada' }, 600)
    const env = { ATLAS_ACCESS_TOKEN: token, ATLAS_API_URL: `${atlas.server.url}/api/v1` }
    const { status, stdout, stderr } = await atlas.run(['--debug', ...sh('echo "$ATLAS_ACCESS_TOKEN"')], {
      env,
    })
    expect({
      status,
      stdout,
      said: stderr.includes('passed on as it is'),
      asked: atlas.server.log(),
    }).toEqual({
      status: 0,
      stdout: `${token}\n`,
      said: true,
      asked: [],
    })
  })

  const STATUSES: [what: string, command: (atlas: Stage) => string[], status: number, said: string][] = [
    ['ends with 7', () => ['sh', '-c', 'exit 7'], 7, ''],
    ['does not exist', () => ['nowhere'], 127, 'There is no program "nowhere" in PATH.'],
    ['does not exist where it is said to be', () => ['./nowhere'], 127, './nowhere does not exist.'],
    ['is a command line', () => ['ls -l'], 127, "atlas exec -- sh -c 'ls -l'"],
    ['has no name', () => [''], 127, 'There is no program "" in PATH.'],
    ['is a folder', ({ home }) => [home], 126, 'is a folder.'],
    ['is not executable', atlas => [script(atlas, 'x', '#!/bin/sh\n', 0o644)], 126, 'is not executable.'],
    ['needs what is not there', atlas => [script(atlas, 'x', '#!/nowhere\n')], 127, 'needs another program'],
    ['is a script for no program', atlas => [script(atlas, 'x', 'exit 9\n')], 9, ''],
  ]
  test.each(STATUSES)('exec: a program that %s', async (_, command, status, said) => {
    await using atlas = await stage({ loggedIn: true })
    const outcome = await atlas.run(['exec', '--', ...command(atlas)])
    expect({
      status: outcome.status,
      said: outcome.stderr.includes(said),
      asked: atlas.server.log(),
    }).toEqual({
      status,
      said: true,
      asked: [],
    })
  })

  test('exec: a program is found in PATH as a shell finds it', async () => {
    await using atlas = await stage({ loggedIn: true })
    script(atlas, 'tool', '#!/bin/sh\necho here\n')
    fs.mkdirSync(path.join(atlas.home, 'first/tool'), { recursive: true })
    const found = async (PATH: string) => {
      const { status, stdout } = await atlas.run(['exec', '--', 'tool'], { env: { PATH } })
      return [status, stdout]
    }
    const usual = atlas.env['PATH'] ?? ''
    expect(await found(`/nowhere:${atlas.cwd}:${usual}`)).toEqual([0, 'here\n'])
    expect(await found(`${atlas.home}/first:${atlas.cwd}:${usual}`)).toEqual([0, 'here\n'])
    expect(await found(`${usual}:`)).toEqual([0, 'here\n'])
    expect(await found(`${atlas.home}/first:${usual}`)).toEqual([126, ''])
  })

  test('exec: nothing of atlas stays: one process, its standard input unread, signals as they were', async () => {
    await using atlas = await stage({ loggedIn: true })
    const child = atlas.start(sh('echo $$; cat; grep -E "^Sig(Ign|Blk)" /proc/self/status'), {
      input: 'in\0put\n',
    })
    const { status, stdout } = await outcomeOf(child)
    const none = `${'0'.repeat(16)}\n`
    expect([status, stdout]).toEqual([0, `${child.pid}\nin\0put\nSigBlk:\t${none}SigIgn:\t${none}`])
  })

  linuxTest(
    'exec: what a shell hands on is handed on: descriptors, bytes in the environment, a limit',
    async () => {
      await using atlas = await stage({ loggedIn: true })
      const told = 'cat <&7; printf %s "$ODD" | od -An -tx1; ulimit -Sn'
      const via = [
        'bash',
        '-c',
        'ODD=$(printf "a\\377b"); export ODD; ulimit -Sn 321; "$0" "$@" 7<<< seven; exit $?',
      ]
      const { status, stdout } = await atlas.run(sh(told), { via })
      expect([status, stdout]).toEqual([0, 'seven\n 61 ff 62\n321\n'])
    },
  )

  linuxTest('exec: a name that is not UTF-8 is the name it is, in PATH and in an argument', async () => {
    await using atlas = await stage({ loggedIn: true })
    const run = `mkdir -p $'b\\xffn' && printf '#!/bin/sh\\nprintf %%s "$1" | od -An -tx1\\n' > $'b\\xffn/t\\xfe' &&
      chmod +x $'b\\xffn/t\\xfe' && PATH="$PWD/"$'b\\xffn:'"$PATH" exec "$0" exec -- $'t\\xfe' $'a\\xff\\ufffd'`
    const { status, stdout, stderr } = await atlas.run([], {
      via: ['bash', '-c', run],
      env: { LC_ALL: 'C.UTF-8' },
    })
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: ' 61 ff ef bf bd\n', stderr: '' })
    const flag = await atlas.run([], { via: ['bash', '-c', `exec "$0" exec -e $'A\\xff' -- true`] })
    expect([flag.status, flag.stderr]).toEqual([2, expect.stringContaining('is not UTF-8 text')])
  })

  linuxTest('exec: where another program has set the limits, the usual one is given', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { stdout } = await atlas.run(sh('ulimit -Sn; ulimit -Hn'), {
      via: ['prlimit', '--nofile=7000:8000'],
    })
    expect(stdout).toBe('1024\n8000\n')
  })

  const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const
  test.each(SIGNALS)('exec: %s reaches the program, once', async signal => {
    await using atlas = await stage({ loggedIn: true })
    const name = signal.slice(3)
    const child = atlas.start(
      sh(`trap 'echo got ${name}' ${name}; echo ready; until read -r line; do :; done; echo "$line"; exit 3`),
    )
    const reader = child.stdout.getReader()
    let text = ''
    const see = async (wanted: string): Promise<void> => {
      while (!text.includes(wanted)) {
        const { done, value } = await reader.read()
        if (done) throw new Error(`never saw ${wanted} in ${text}`)
        text += Buffer.from(value).toString()
      }
    }
    await see('ready\n')
    child.kill(signal)
    await see('got ')
    child.stdin.write('line\n')
    child.stdin.end()
    await see('line\n')
    expect([await child.exited, text]).toEqual([3, `ready\ngot ${name}\nline\n`])
  })

  test('exec: a signal at any moment ends atlas or the program, and is never lost', async () => {
    await using atlas = await stage({ loggedIn: true })
    const ends = async (delayMs: number) => {
      const child = atlas.start(['exec', '--', 'sleep', '60'], { input: '' })
      await Bun.sleep(delayMs)
      child.kill('SIGTERM')
      const status = await Promise.race([child.exited, Bun.sleep(5000).then(() => 'lost')])
      child.kill('SIGKILL')
      return status
    }
    const delays = Array.from({ length: forRun({ short: 40, full: 400 }) }, (_, index) => (index % 40) / 2)
    const statuses = new Set<unknown>()
    for (const delay of delays) statuses.add(await ends(delay))
    expect([...statuses].filter(status => status !== 143)).toEqual([])
  }, 120_000)

  traceTest('exec: a signal while atlas stops listening is not lost', async () => {
    await using atlas = await stage({ loggedIn: true })
    const caught = (pid: number): number =>
      Number.parseInt(
        /^SigCgt:\t.*(.{8})$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '',
        16,
      )
    const isCaught = (pid: number, signal: number): boolean => ((caught(pid) >>> (signal - 1)) & 1) === 1
    const [INT, TERM] = [2, 15]
    // Each change is held back from the one that atlas makes first when it listens no more.
    const trace = ['strace', '-D', '-f', '-o', '/dev/null', '-e', 'trace=rt_sigaction']
    const via = [...trace, '-e', 'inject=rt_sigaction:delay_exit=100000:when=10+']
    const child = atlas.start(['exec', '--', 'true'], { input: '', via })
    while (!isCaught(child.pid, INT) || !isCaught(child.pid, TERM)) await Bun.sleep(5)
    while (isCaught(child.pid, INT)) await Bun.sleep(5)
    child.kill('SIGTERM')
    expect(await child.exited).toBe(143)
  })

  test('exec: --json behind the dashes is the program’s', async () => {
    await using atlas = await stage()
    const { stderr } = await atlas.run(['exec', '--', 'nowhere', '--json'])
    expect(stderr).toStartWith('atlas: There is no program')
  })

  test('exec: a program that a signal ends has its status', async () => {
    await using atlas = await stage({ loggedIn: true })
    const { stdout } = await atlas.run(sh('kill -TERM $$'), { via: ['bash', '-c', '"$0" "$@"; echo $?'] })
    expect(stdout).toBe('143\n')
  })

  shellTest(
    'exec: Ctrl-Z stops the program, fg brings it back, and it learns the size of the window',
    async () => {
      await using atlas = await stage({ loggedIn: true })
      await using shell = await openShell(atlas, 'bash')
      await shell.run(
        `atlas exec -- sh -c 'trap "stty size" WINCH; trap "echo contin""ued" CONT; echo rea""dy; until read -r line; do :; done; echo got "$line"'`,
        'ready',
      )
      shell.type('\x1a')
      await shell.see('Stopped')
      await shell.run('fg', 'continued')
      shell.resize(72, 20)
      await shell.see('20 72')
      shell.type('hello\n')
      await shell.see('got hello')
      await shell.run('echo status $?', 'status 0')
    },
  )

  test('exec: without a login it runs nothing', async () => {
    await using atlas = await stage()
    const { status, stdout, stderr } = await atlas.run([...sh('echo ran'), '--json'])
    expect({ status, stdout, stderr }).toEqual({
      status: 4,
      stdout: '',
      stderr: expect.stringContaining('Not logged in'),
    })
  })

  const MISUSE: [what: string, args: string[], said: string][] = [
    ['no program', [], 'needs a program to run'],
    ['nothing behind the dashes', ['--'], 'needs a program to run'],
    ['no dashes', ['ls', '-l'], 'As in: atlas exec -- ls …'],
    [
      'no dashes before a program with a flag of atlas',
      ['-e', 'T', 'curl', '--json'],
      'As in: atlas exec -- curl …',
    ],
    ['a flag that is none', ['--nope', '--', 'ls'], 'has no flag --nope'],
    ['a variable of other programs', ['-e', 'PATH', '--', 'ls'], 'which programs need for something else'],
    ['no dashes before a word', ['ls'], 'needs "--" before the program'],
    ['a variable that is none', ['-e', 'A-B', '--', 'ls'], '--env is "A-B"'],
    ['the variable of the address', ['-e', 'ATLAS_API_URL', '--', 'ls'], 'which holds the address'],
    ['a flag that is cut off', ['-e', '--', 'ls'], 'needs a value'],
    ['a duration that is none', ['--min-ttl', '1d', '--', 'ls'], 'not a duration'],
  ]
  test.each(MISUSE)('exec: %s is a usage error', async (_, args, said) => {
    await using atlas = await inProcess({ loggedIn: true })
    const { status, stdout, stderr } = await atlas.run(['exec', ...args])
    expect({ status, stdout, stderr }).toEqual({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining(said),
    })
  })
})
