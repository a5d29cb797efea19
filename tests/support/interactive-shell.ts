import fs from 'node:fs'
import path from 'node:path'
import { Terminal } from '@xterm/headless'
import { BINARY, type Machine } from './binary.ts'
import { openPty, type Pty } from './pseudo-terminal.ts'

export const SHELLS = {
  bash: ['bash', '--norc', '--noprofile', '-i'],
  zsh: ['zsh', '-f', '-i'],
  dash: ['dash', '-i'],
} as const

const COLUMNS = 100
const ROWS = 40
const PATIENCE_MS = 10_000
const LOOK_AGAIN_MS = 5

/** A shell with job control, at which a person types. */
export interface InteractiveShell extends Pick<Pty, 'transcript' | 'type' | 'resize'>, AsyncDisposable {
  /** Type a command, and wait for what it, or something after it, shows. */
  run(command: string, shows: string): Promise<void>
  /** Wait for a text behind all that was waited for before. */
  see(text: string): Promise<void>
  /** The terminal's settings as the shell gives them to a program. */
  settings(): Promise<string>
  /** The process of atlas that was started last. */
  atlas(): Promise<number>
  /** Wait until the process is in a state of proc_pid_stat(5), such as `T` for stopped; `gone` where it has ended. */
  untilAtlas(state: string): Promise<void>
  /** The lines that the terminal shows now. */
  screen(): Promise<string[]>
}

/** @param env beside the machine's, `TERM` for one. Commands find atlas as `atlas`. */
export async function openShell(
  { cwd, env: base }: Pick<Machine, 'cwd' | 'env'>,
  shell: keyof typeof SHELLS,
  env: Record<string, string> = {},
): Promise<InteractiveShell> {
  const PATH = `${path.dirname(BINARY)}:${base['PATH']}`
  const pty = openPty(SHELLS[shell], {
    cwd,
    env: { ...base, TERM: 'xterm', PS1: '$ ', ...env, PATH },
    columns: COLUMNS,
  })
  let seen = 0
  let commands = 0
  let pid = 0
  const see = async (text: string): Promise<void> => {
    await pty.see(text, seen)
    seen = pty.transcript.indexOf(text, seen) + text.length
  }
  const run = async (command: string, shows: string): Promise<void> => {
    pty.type(`${command}\n`)
    await see(shows)
  }
  await see('$ ')
  return {
    get transcript() {
      return pty.transcript
    },
    type: pty.type,
    resize: pty.resize,
    see,
    run,
    async settings() {
      const file = path.join(cwd, `settings-${++commands}`)
      // The sum is not in what is typed.
      await run(`stty -g > ${file}; echo done$((1000+${commands}))`, `done${1000 + commands}`)
      return fs.readFileSync(file, 'utf8')
    },
    async atlas() {
      await until(() => {
        pid = programsOf(pty.pid).at(-1) ?? 0
        return pid !== 0
      }, 'a process of atlas')
      return pid
    },
    untilAtlas: state => until(() => stateOf(pid) === state, `state ${state} of atlas`),
    screen: () => render(pty.transcript),
    async [Symbol.asyncDispose]() {
      for (const pid of [...programsOf(pty.pid), pty.pid]) end(pid)
      await pty.exited
      pty.close()
    },
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself meanwhile.
  }
}

async function until(isSo: () => boolean, what: string): Promise<void> {
  for (const startedAt = performance.now(); !isSo(); await Bun.sleep(LOOK_AGAIN_MS))
    if (performance.now() - startedAt > PATIENCE_MS) throw new Error(`never saw ${what}`)
}

/** The processes of atlas in the session. */
const programsOf = (session: number): number[] =>
  fs
    .readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => {
      const [name, , , , ofSession] = statOf(pid)
      return name === 'atlas' && Number(ofSession) === session
    })
    .sort((a, b) => a - b)

const stateOf = (pid: number): string => {
  const [, state = 'gone'] = statOf(pid)
  return state === 'Z' ? 'gone' : state
}

/** Name, state, parent, group and session of a process; empty where it has ended. */
function statOf(pid: number): string[] {
  try {
    const [, name = '', rest = ''] = /\((.*)\) (.*)/s.exec(fs.readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? []
    return [name, ...rest.split(' ').slice(0, 4)]
  } catch {
    return []
  }
}

async function render(transcript: string): Promise<string[]> {
  const terminal = new Terminal({ cols: COLUMNS, rows: ROWS, allowProposedApi: true })
  await new Promise<void>(resolve => terminal.write(transcript, resolve))
  const { active } = terminal.buffer
  const lines = Array.from(
    { length: active.length },
    (_, row) => active.getLine(row)?.translateToString(true) ?? '',
  )
  while (lines.at(-1) === '') lines.pop()
  return lines
}
