import { spawnSync } from 'node:child_process'
import fs from 'node:fs'

const GNU_TIME = '/usr/bin/time'

/** A command that is measured, as a whole process. */
export interface Subject {
  readonly command: readonly string[]
  readonly env?: Record<string, string>
}

export interface Figures {
  /** Medians, in milliseconds of wall time. */
  readonly ms: number
  readonly baseMs: number
  /** The median of the ratios run by run, which a machine whose speed drifts leaves alone. */
  readonly ratio: number
}

/**
 * Compare two commands in runs that alternate.
 * @throws where a run fails: a failure is quick.
 */
export function compare(subject: Subject, base: Subject, runs: number): Figures {
  for (const one of [subject, base]) run(one)
  const pairs = Array.from({ length: runs }, () => ({ ms: run(subject), baseMs: run(base) }))
  return {
    ms: median(pairs.map(({ ms }) => ms)),
    baseMs: median(pairs.map(({ baseMs }) => baseMs)),
    ratio: median(pairs.map(({ ms, baseMs }) => ms / baseMs)),
  }
}

/**
 * The most memory that a command holds, in MiB; the median of a few runs. Undefined where GNU time is missing:
 * a process that is started from here would be charged with the memory of this one.
 */
export function peakMemory({ command, env = {} }: Subject): number | undefined {
  if (!fs.existsSync(GNU_TIME)) return undefined
  const peaks = Array.from({ length: 5 }, () => {
    const { status, stderr } = spawnSync(GNU_TIME, ['--format=%M', ...command], {
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
    })
    if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status}`)
    return Number(stderr.trim().split('\n').at(-1)) / 1024
  })
  return median(peaks)
}

function run({ command: [program = '', ...args], env = {} }: Subject): number {
  const startedAt = performance.now()
  const { status } = spawnSync(program, args, { env, stdio: 'ignore' })
  const ms = performance.now() - startedAt
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}`)
  return ms
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle) - 1] ?? 0)) / 2
}
