import { BINARY, type Machine } from './binary.ts'

/** A program on a pseudo-terminal, driven as a person would. */
export interface TerminalSession {
  /** All that has been on the screen so far, control sequences included. */
  readonly transcript: string
  /** Wait until the text has appeared, at or behind a place of the transcript. @throws after ten seconds. */
  see(text: string, from?: number): Promise<void>
  type(keys: string | Uint8Array): void
  /** Send a signal to the program. */
  signal(name: NodeJS.Signals): void
  /** The exit status, once the program has ended. */
  ended(): Promise<number>
  /** The terminal's settings, as `stty -a` prints them. */
  settings(): Promise<string>
}

export interface TerminalLook {
  /** A redirection as the shell writes it, such as `>file`; a relative file is in the sandbox's folder. */
  readonly redirect?: string
  /** The terminal's width; 0 where it does not say. */
  readonly columns?: number
  /** What runs atlas. Nothing runs a session leader, which has no settings to see. */
  readonly parent?: 'sh' | 'nothing'
}

const PATIENCE_MS = 10_000

/** A program on a pseudo-terminal of its own, as the leader of its session. */
export interface Pty {
  readonly pid: number
  /** All that has been on the screen so far, control sequences included. */
  readonly transcript: string
  readonly exited: Promise<number>
  /** Wait until the transcript is as wanted. @throws after ten seconds. */
  wait(find: () => boolean, what: string): Promise<void>
  /** Wait until the text has appeared, at or behind a place of the transcript. @throws after ten seconds. */
  see(text: string, from?: number): Promise<void>
  type(keys: string | Uint8Array): void
  resize(columns: number, rows: number): void
  close(): void
}

export function openPty(
  argv: readonly string[],
  { cwd, env, columns }: { cwd: string; env: Record<string, string>; columns: number },
): Pty {
  let transcript = ''
  const watchers = new Set<() => void>()
  const decoder = new TextDecoder()
  const program = Bun.spawn([...argv], {
    cwd,
    env,
    terminal: {
      cols: columns,
      rows: 30,
      data(_, data) {
        transcript += decoder.decode(data, { stream: true })
        for (const watcher of watchers) watcher()
      },
    },
  })
  const wait: Pty['wait'] = (find, what) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => settle(() => reject(new Error(`never saw ${what} in:\n${transcript}`))),
        PATIENCE_MS,
      )
      const settle = (done: () => void): void => {
        clearTimeout(timer)
        watchers.delete(watcher)
        done()
      }
      const watcher = (): void => {
        if (find()) settle(resolve)
      }
      watchers.add(watcher)
      watcher()
    })
  return {
    pid: program.pid,
    get transcript() {
      return transcript
    },
    exited: program.exited,
    wait,
    see: (text, from = 0) => wait(() => transcript.includes(text, from), JSON.stringify(text)),
    type: keys => void program.terminal?.write(keys),
    resize: (columns, rows) => void program.terminal?.resize(columns, rows),
    close: () => program.terminal?.close(),
  }
}

/**
 * Run atlas on a pseudo-terminal. It runs below a shell that outlives it, so that the state in which it
 * leaves the terminal can be looked at.
 */
export function openTerminal(
  sandbox: Pick<Machine, 'cwd' | 'env'>,
  args: readonly string[],
  env: Record<string, string> = {},
  { redirect = '', columns = 100, parent = 'sh' }: TerminalLook = {},
): TerminalSession {
  const script = [
    'trap : INT HUP TERM QUIT',
    columns === 0 ? 'stty cols 0' : ':',
    `"$@" ${redirect}; status=$?`,
    'stty -a; echo "atlas ended with $status"; read -r _',
  ].join('; ')
  const program = [BINARY, ...args]
  const argv = parent === 'sh' ? ['sh', '-c', script, 'sh', ...program] : program
  const pty = openPty(argv, { cwd: sandbox.cwd, env: { ...sandbox.env, TERM: 'xterm', ...env }, columns })

  const ENDED = /atlas ended with (\d+)/
  return {
    get transcript() {
      return pty.transcript
    },
    see: pty.see,
    type: pty.type,
    signal(name) {
      const { stdout } = Bun.spawnSync(['ps', '-o', 'pid=', '--ppid', String(pty.pid)])
      process.kill(Number(stdout.toString().trim().split('\n')[0]), name)
    },
    async ended() {
      if (parent === 'nothing') return pty.exited
      await pty.wait(() => ENDED.test(pty.transcript), 'the end of atlas')
      pty.type('\n')
      await pty.exited
      pty.close()
      return Number(ENDED.exec(pty.transcript)?.[1])
    },
    async settings() {
      await pty.wait(() => ENDED.test(pty.transcript), 'the end of atlas')
      return pty.transcript.slice(pty.transcript.indexOf('speed '))
    },
  }
}
