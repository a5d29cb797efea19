import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { BINARY, createSandbox, type Sandbox } from '../support/binary.ts'
import { openShell } from '../support/interactive-shell.ts'

/** A test that needs a shell: skipped where it is missing, but failing there in CI. */
const testIn = (shell: string) =>
  Bun.which(shell) !== null || process.env['CI'] === 'true' ? test : (test.skip as typeof test)

const PROFILES = {
  logins: [
    { profile: 'home', api_url: 'http://127.0.0.1:1', store: 'file', email: null },
    { profile: 'work', api_url: 'http://127.0.0.1:2', store: 'file', email: 'ada@example.com' },
  ],
}

/** Run a script in a shell that finds atlas on its PATH, with two profiles in the config file. */
async function inShell(command: readonly string[], sandbox: Sandbox): Promise<string> {
  fs.mkdirSync(sandbox.configFolder, { recursive: true })
  fs.writeFileSync(path.join(sandbox.configFolder, 'config.json'), JSON.stringify(PROFILES))
  const child = Bun.spawn([...command], {
    cwd: sandbox.cwd,
    env: { ...sandbox.env, PATH: `${path.dirname(BINARY)}:${sandbox.env['PATH']}`, TERM: 'dumb' },
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  expect({ status: await child.exited, stderr }).toEqual({ status: 0, stderr: '' })
  return stdout
}

const CASES: [typed: string[], offered: string[]][] = [
  [['au'], ['auth']],
  [
    ['auth', 'lo'],
    ['login', 'logout'],
  ],
  [['h'], ['history', 'help']],
  [
    ['help', 'e'],
    ['exec', 'environment', 'exit-codes'],
  ],
  [
    ['help', 'auth', 'lo'],
    ['login', 'logout'],
  ],
  [['auth', 'login', '--em'], ['--email']],
  [
    ['auth', 'login', '--store', ''],
    ['auto', 'keychain', 'file'],
  ],
  [
    ['auth', 'switch', ''],
    ['home', 'work'],
  ],
  [['--profile', 'w'], ['work']],
  [['completion', 'f'], ['fish']],
  [
    ['api', '--method', 'P'],
    ['POST', 'PUT', 'PATCH'],
  ],
  [['api', '--input', ''], []],
]

describe('the bash script', () => {
  const quoted = (words: readonly string[]): string => words.map(word => `'${word}'`).join(' ')

  testIn('bash')('offers commands, flags and values', async () => {
    using sandbox = createSandbox()
    const tries = CASES.map(([typed]) => `try atlas ${quoted(typed)}`).join('\n')
    const script = `eval "$(atlas completion bash)"
      try() { COMP_WORDS=("$@"); COMP_LINE="$*"; COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _atlas; echo "[\${COMPREPLY[*]}]"; }
      ${tries}`
    const offered = (await inShell(['bash', '--norc', '-c', script], sandbox)).trimEnd().split('\n')
    expect(offered).toEqual(CASES.map(([, values]) => `[${values.join(' ')}]`))
  })

  /** Where bash breaks words: what is typed before TAB, and what stands there after it. */
  const BROKEN: [typed: string, completed: string][] = [
    ['atlas auth login --store=f', 'atlas auth login --store=file '],
    ['atlas auth login --store=', 'atlas auth login --store='],
    ['atlas --api-url http://localhost:8000 auth swit', 'atlas --api-url http://localhost:8000 auth switch '],
    ['atlas --api-url=http://localhost:8000 auth swit', 'atlas --api-url=http://localhost:8000 auth switch '],
    ['atlas api /notes:search --meth', 'atlas api /notes:search --method '],
    ['atlas api --input=bo', 'atlas api --input=body.json '],
    ['atlas api --input=my', 'atlas api --input=my\\ note.json '],
  ]
  testIn('bash').each(BROKEN)('completes %j at a prompt', async (typed, completed) => {
    using sandbox = createSandbox()
    for (const name of ['body.json', 'my note.json']) fs.writeFileSync(path.join(sandbox.cwd, name), '{}')
    await using shell = await openShell(sandbox, 'bash')
    await shell.run('eval "$(atlas completion bash)"', '$ ')
    shell.type(`${typed}\t`)
    await shell.see(completed)
  })

  testIn('bash')('leaves what stands behind exec -- to the completion of that program', async () => {
    using sandbox = createSandbox()
    const script = `eval "$(atlas completion bash)"
      _atla() { :; }
      try() { COMP_WORDS=("$@"); COMP_LINE="$*"; COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _atlas; echo "[\${COMPREPLY[*]}]"; }
      try atlas exec -e NAME -- _atla; try atlas exec -- atlas au
      _command_offset() { COMPREPLY=("\${COMP_WORDS[@]:$1}"); }
      try atlas exec -- atlas au; try atlas api -- au`
    const offered = await inShell(['bash', '--norc', '-c', script], sandbox)
    expect(offered).toBe('[_atla _atlas]\n[]\n[atlas au]\n[]\n')
  })

  testIn('bash')('runs nothing of what is typed', async () => {
    using sandbox = createSandbox()
    const script = `eval "$(atlas completion bash)"
      COMP_WORDS=(atlas '$(touch run)' ';touch' 'run' ''); COMP_LINE="\${COMP_WORDS[*]}"; COMP_CWORD=4; _atlas; ls`
    expect(await inShell(['bash', '--norc', '-c', script], sandbox)).toBe('')
  })
})

describe('the zsh script', () => {
  testIn('zsh')('offers what atlas knows, and files where it knows nothing', async () => {
    using sandbox = createSandbox()
    const script = `autoload -Uz compinit; compinit -u -D; eval "$(atlas completion zsh)"
      _describe() { print -l -- "\${(@P)3}" }
      _files() { print files }
      compset() { true }
      words=(atlas auth lo); CURRENT=3; _atlas
      words=(atlas auth switch ''); CURRENT=4; _atlas
      words=(atlas api --input ''); CURRENT=4; _atlas
      _normal() { echo "$CURRENT of $words" }
      words=(atlas exec -e NAME -- git ch); CURRENT=7; _atlas
      words=(atlas api -- ex); CURRENT=4; _atlas`
    expect(await inShell(['zsh', '-f', '-c', script], sandbox)).toBe(
      'login:Log in to an Atlas server and keep the session in the keychain\n' +
        'logout:Log out and delete the stored credentials\nhome:\nwork:\nfiles\n2 of git ch\nfiles\n',
    )
  })
})

describe('zsh at a prompt', () => {
  const TYPED: [typed: string, completed: string][] = [
    ['atlas api --input=bo', 'atlas api --input=body.json'],
    ['atlas api --input=my', 'atlas api --input=my\\ note.json'],
    ['atlas api --input bo', 'atlas api --input body.json'],
    ['atlas auth login --store=f', 'atlas auth login --store=file'],
    ['atlas --api-url http://localhost:8000 auth swit', 'atlas --api-url http://localhost:8000 auth switch'],
    ['atlas exec -- ls bo', 'atlas exec -- ls body.json'],
    ['atlas exec -- atlas auth swit', 'atlas exec -- atlas auth switch'],
  ]
  testIn('zsh').each(TYPED)('completes %j', async (typed, completed) => {
    using sandbox = createSandbox()
    for (const name of ['body.json', 'my note.json']) fs.writeFileSync(path.join(sandbox.cwd, name), '{}')
    await using shell = await openShell(sandbox, 'zsh')
    await shell.run(
      'autoload -Uz compinit; compinit -u -D; eval "$(atlas completion zsh)"; echo rea""dy',
      'ready',
    )
    await shell.see('$ ')
    shell.type(`${typed}\t`)
    const deadline = performance.now() + 10_000
    let lines = await shell.screen()
    while (!lines.some(line => line.includes(completed)) && performance.now() < deadline) {
      await Bun.sleep(20)
      lines = await shell.screen()
    }
    expect(lines.join('\n')).toContain(completed)
  })
})

describe('the fish script', () => {
  testIn('fish')('offers what atlas knows, and files where it knows nothing', async () => {
    using sandbox = createSandbox()
    for (const name of ['body.json', 'my note.json']) fs.writeFileSync(path.join(sandbox.cwd, name), '{}')
    const script = `atlas completion fish | source
      complete -C 'atlas auth lo'
      complete -C 'atlas auth login --store=f'
      complete -C 'atlas auth switch '
      complete -C 'atlas api --input b'
      complete -C 'atlas api --input=b'
      complete -C 'atlas api --input=my'
      complete -C 'atlas api --input=my\\ n'
      complete -C 'atlas --api-url http://localhost:8000 auth swit'
      complete -C 'atlas exec -e NAME -- atlas auth swit'
      complete -C 'atlas exec -- atla' | string match -r '^atlas\\b'`
    expect(await inShell(['fish', '--no-config', '-c', script], sandbox)).toBe(
      'login\tLog in to an Atlas server and keep the session in the keychain\n' +
        'logout\tLog out and delete the stored credentials\n--store=file\nhome\nwork\nbody.json\n' +
        '--input=body.json\n--input=my note.json\n--input=my note.json\n' +
        'switch\tMake another profile the current one\n'.repeat(2) +
        'atlas\n',
    )
  })
})

test('a shell that atlas does not know is a usage error', async () => {
  using sandbox = createSandbox()
  expect(await sandbox.run(['completion', 'tcsh'])).toEqual({
    status: 2,
    stdout: '',
    stderr: 'atlas: Unsupported shell "tcsh".\n       Use bash, zsh, fish, powershell.\n',
  })
})
