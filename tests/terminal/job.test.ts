import { describe, expect, test } from 'bun:test'
import { jobOf } from '../../lib/terminal/job.ts'

/** Parent, group, session and the group in the foreground. */
type Stat = [parent: number, group: number, session: number, foreground: number]

describe('a job', () => {
  const CASES: [
    what: string,
    stats: Record<number | 'self', Stat>,
    foreground: boolean,
    continued: boolean,
  ][] = [
    [
      'that an interactive shell runs in the foreground can be continued',
      { self: [10, 20, 10, 20], 10: [1, 10, 10, 20], 1: [0, 1, 1, -1] },
      true,
      true,
    ],
    [
      'that an interactive shell runs in the background can be continued',
      { self: [10, 20, 10, 10], 10: [1, 10, 10, 10], 1: [0, 1, 1, -1] },
      false,
      true,
    ],
    [
      'that is a script, whose shell is in an interactive one, can be continued',
      { self: [21, 20, 10, 20], 21: [20, 20, 10, 20], 20: [10, 20, 10, 20], 10: [1, 10, 10, 20] },
      true,
      true,
    ],
    [
      'that leads its session cannot be continued',
      { self: [5, 20, 20, 20], 5: [1, 5, 5, -1], 1: [0, 1, 1, -1] },
      true,
      false,
    ],
    ['that is the first process of a container cannot be continued', { self: [0, 1, 1, 1] }, true, false],
    [
      'of a script that leads its session cannot be continued',
      { self: [20, 20, 20, 20], 20: [5, 20, 20, 20], 5: [1, 5, 5, -1] },
      true,
      false,
    ],
    ['whose shell has ended cannot be continued', { self: [1, 20, 10, 20], 1: [0, 1, 1, -1] }, true, false],
    [
      'whose terminal is not that of its session may use it',
      { self: [10, 20, 10, -1], 10: [1, 10, 10, -1] },
      true,
      true,
    ],
    [
      'whose shell cannot be seen, in another pid namespace, is left running',
      { self: [0, 0, 0, 0] },
      true,
      false,
    ],
  ]
  test.each(CASES)('%s', (_, stats, isInForeground, canBeContinued) => {
    const statOf = (pid: number | 'self') => {
      const stat = stats[pid]
      if (stat === undefined) return undefined
      const [parent, group, session, foreground] = stat
      return { parent, group, session, foreground }
    }
    expect(jobOf(statOf)).toEqual({ isInForeground, canBeContinued })
  })
})
