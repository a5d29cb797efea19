import { readFileSync } from 'node:fs'

/** What the terminal and its session make of this process's group, the job of a shell. */
export interface Job {
  /** Whether the job may read from the terminal and change its mode. */
  readonly isInForeground: boolean
  /** Whether somebody could continue the job if it stopped: it has a parent in its session that is not of the job. */
  readonly canBeContinued: boolean
}

interface ProcessStat {
  readonly parent: number
  readonly group: number
  readonly session: number
  /** The group in the foreground of the process's terminal; -1 where it has none. */
  readonly foreground: number
}

/** Read anew each time, as a shell moves its jobs. */
export function readJob(): Job {
  switch (process.platform) {
    case 'linux':
      return jobOf(readStat)
    case 'win32':
      return { isInForeground: true, canBeContinued: false }
    default: {
      // ps(1) of BSD and macOS: `+` is the foreground, `s` a session leader.
      const { stdout } = Bun.spawnSync(['ps', '-o', 'stat=', '-p', String(process.pid)])
      const state = stdout.toString()
      return { isInForeground: state.includes('+'), canBeContinued: !state.includes('s') }
    }
  }
}

/** @param statOf what Linux says of a process; undefined where that cannot be seen. */
export function jobOf(statOf: (pid: number | 'self') => ProcessStat | undefined): Job {
  const own = statOf('self')
  if (own === undefined) return { isInForeground: true, canBeContinued: false }
  const { group, session, foreground } = own
  let above = statOf(own.parent)
  while (above?.session === session && above.group === group) above = statOf(above.parent)
  return { isInForeground: [group, -1].includes(foreground), canBeContinued: above?.session === session }
}

/** @see proc_pid_stat(5) */
function readStat(pid: number | 'self'): ProcessStat | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The program's name comes first, in parentheses, and may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [parent = 0, group = 0, session = 0, , foreground = 0] = fields.slice(1).map(Number)
    return { parent, group, session, foreground }
  } catch {
    return undefined
  }
}
