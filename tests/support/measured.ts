import path from 'node:path'
import type { Outcome } from './binary.ts'

export interface Measured extends Outcome {
  /** Of standard output: its text is cut after a megabyte. */
  readonly stdoutBytes: number
  /** The most memory that the program, or one that it waited for, has had. */
  readonly peakMemoryBytes: number
}

export interface Program {
  readonly command: readonly string[]
  readonly cwd: string
  readonly env: Record<string, string>
  readonly input?: string
}

export interface Job extends Program {
  readonly id: number
  readonly input: string
}

let runner: Bun.Subprocess | undefined
let nextId = 0
const waiting = new Map<number, (measured: Measured) => void>()

function start(): Bun.Subprocess {
  const started = Bun.spawn(
    [process.execPath, '--no-env-file', path.join(import.meta.dir, 'measuring-runner.ts')],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
      ipc({ id, ...measured }: Measured & { id: number }) {
        waiting.get(id)?.(measured)
        waiting.delete(id)
        if (waiting.size === 0) started.unref()
      },
    },
  )
  return started
}

/**
 * Run a program and measure its memory. Below a process that stays small: the kernel counts into a
 * program's peak what the process held that started it, and a test run grows large.
 */
export function measured({ command, cwd, env, input = '' }: Program): Promise<Measured> {
  runner ??= start()
  const current = runner
  current.ref()
  const id = nextId++
  return new Promise(resolve => {
    waiting.set(id, resolve)
    current.send({ id, command, cwd, env, input } satisfies Job)
  })
}
