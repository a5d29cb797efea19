import { BINARY, type Machine } from './binary.ts'

/** A program on a pseudo-terminal, driven as a person would. */
export interface TerminalSession {
  /** All that has been on the screen so far, control sequences included. */
  readonly transcript: string
  /** Wait until the text has appeared, at or behind a place of the transcript. @throws after ten seconds. */
  see(text: string, from?: number): Promise<void>
  type(keys: string): void
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
  /**
   * What runs atlas. `bash` is an interactive one: when atlas is suspended, it prints the terminal's settings and
   * `atlas is suspended`, waits for a line, and runs `fg`. Nothing runs a session leader, which has no settings to see.
   */
  readonly parent?: 'sh' | 'bash' | 'nothing'
}

const PATIENCE_MS = 10_000

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
  let transcript = ''
  const watchers = new Set<() => void>()
  const script = [
    'trap : INT HUP TERM QUIT',
    columns === 0 ? 'stty cols 0' : ':',
    `"$@" ${redirect}; status=$?`,
    // Ended by SIGSTOP or SIGTSTP. Not a loop: bash leaves one when a job in it is suspended.
    ...Array(3).fill(
      'if [ $status = 147 ] || [ $status = 148 ]; then stty -a; echo "atlas is suspended"; read -r _; fg; status=$?; fi',
    ),
    'stty -a; echo "atlas ended with $status"; read -r _',
  ].join('; ')
  const program = [BINARY, ...args]
  const argv = {
    sh: ['sh', '-c', script, 'sh', ...program],
    bash: ['bash', '--norc', '-i', '-c', script, 'bash', ...program],
    nothing: program,
  }[parent]
  const shell = Bun.spawn(argv, {
    cwd: sandbox.cwd,
    env: { ...sandbox.env, TERM: 'xterm', ...env },
    terminal: {
      cols: columns,
      rows: 30,
      data(_, data) {
        transcript += Buffer.from(data).toString()
        for (const watcher of watchers) watcher()
      },
    },
  })

  const waitFor = (find: () => boolean, what: string): Promise<void> =>
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

  const ENDED = /atlas ended with (\d+)/
  return {
    get transcript() {
      return transcript
    },
    see: (text, from = 0) => waitFor(() => transcript.includes(text, from), JSON.stringify(text)),
    type: keys => void shell.terminal?.write(keys),
    signal(name) {
      const { stdout } = Bun.spawnSync(['ps', '-o', 'pid=', '--ppid', String(shell.pid)])
      process.kill(Number(stdout.toString().trim().split('\n')[0]), name)
    },
    async ended() {
      if (parent === 'nothing') return shell.exited
      await waitFor(() => ENDED.test(transcript), 'the end of atlas')
      shell.terminal?.write('\n')
      await shell.exited
      shell.terminal?.close()
      return Number(ENDED.exec(transcript)?.[1])
    },
    async settings() {
      await waitFor(() => ENDED.test(transcript), 'the end of atlas')
      return transcript.slice(transcript.indexOf('speed '))
    },
  }
}
