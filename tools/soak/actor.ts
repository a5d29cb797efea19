import path from 'node:path'
import { ADA } from '../../tests/support/atlas-server.ts'
import { LOGIN, outcomeOf } from '../../tests/support/binary.ts'
import type { Stage } from '../../tests/support/stage.ts'
import { createStalledPipe } from '../../tests/support/stalled-pipe.ts'
import { childrenOf } from './front.ts'
import type { Fault, Moment, Plan } from './plan.ts'

/** Two signals closer than 100 ms count as one. */
const SECOND_SIGNAL_MS = 300
/** From the start, without what it was stopped for. Waits for a lock, a keychain and a server add up to less. */
const LONGEST_LIFE_MS = 60_000
/** From a signal: up to 5 s for an answer, then the storing of it. */
const LONGEST_END_MS = 15_000
/** From a signal, where it only waits for a reader. */
const LONGEST_STALLED_END_MS = 5000

/** A process of a round, what was done to it, and what became of it. */
export interface Actor {
  readonly args: readonly string[]
  readonly fault: Fault
  /** Of the process that was started: strace has atlas for a child. */
  readonly pid: number
  readonly arrived: PromiseWithResolvers<void>
  readonly answered: PromiseWithResolvers<void>
  readonly signals: NodeJS.Signals[]
  /** Resolves when it has ended. */
  readonly ended: Promise<Ending>
}

export interface Ending {
  /** The exit status; of a process that a signal ended, 128 and its number. */
  readonly status: number
  readonly stdout: string
  readonly stderr: string
  /** Where it had to be killed: what it did not do in time. */
  readonly overdue?: string
}

/** @param isQuiet whether no refresh waits for an answer; only then a stalled process is signalled. */
export function startActor(
  atlas: Stage,
  { args, fault, debug }: Plan['commands'][number],
  isQuiet: () => boolean,
): Actor {
  using stack = new DisposableStack()
  const pipe =
    fault.kind === 'stall'
      ? stack.use(createStalledPipe(path.join(atlas.home, `pipe-${crypto.randomUUID()}`)))
      : undefined
  const child = atlas.start(args, {
    input: args === LOGIN ? ADA.password : '',
    env: { ...(debug && { ATLAS_DEBUG: '1' }), ...(pipe && { STALLED: pipe.path }) },
    via: viaOf(fault),
  })
  const signals: NodeJS.Signals[] = []
  const send = (signal: NodeJS.Signals): void => {
    if (child.exitCode !== null || child.signalCode !== null) return
    signals.push(signal)
    child.kill(signal)
  }
  const arrived = Promise.withResolvers<void>()
  const answered = Promise.withResolvers<void>()
  const { exited } = child
  const reached = async ({ after, ms }: Moment): Promise<void> => {
    await Promise.race([
      { start: undefined, arrived: arrived.promise, answered: answered.promise }[after],
      exited,
    ])
    await elapse(ms)
  }
  let overdue: string | undefined
  const endWithin = async (ms: number, what: string): Promise<void> => {
    const timer = setTimeout(() => {
      overdue = what
      for (const pid of childrenOf(child.pid)) process.kill(pid, 'SIGKILL')
      child.kill('SIGKILL')
    }, ms)
    await exited
    clearTimeout(timer)
  }
  let late = ''
  const happen = async (): Promise<void> => {
    if (fault.kind === 'signal') {
      await reached(fault.moment)
      for (const [index, signal] of fault.signals.entries()) {
        if (index > 0) await elapse(SECOND_SIGNAL_MS)
        send(signal)
      }
      await endWithin(LONGEST_END_MS, `did not end within ${LONGEST_END_MS} ms of ${fault.signals[0]}`)
    } else if (fault.kind === 'stop') {
      await reached(fault.moment)
      send('SIGSTOP')
      await Bun.sleep(fault.forMs)
      send('SIGCONT')
    } else if (pipe && fault.kind === 'stall') {
      await Promise.race([exited, Bun.sleep(1000)])
      while (!isQuiet()) await Bun.sleep(50)
      if (fault.ends === 'read') {
        const reader = setInterval(() => {
          late += pipe.drain()
        }, 20)
        await endWithin(LONGEST_LIFE_MS, 'did not end after its output was read')
        clearInterval(reader)
      } else {
        send(fault.ends)
        await endWithin(LONGEST_STALLED_END_MS, `with nobody reading, it survived ${fault.ends}`)
      }
      late += pipe.drain()
    }
  }
  const pipeOwner = stack.move()
  const finish = async (): Promise<Ending> => {
    using _ = pipeOwner
    const happened = happen()
    const life = endWithin(LONGEST_LIFE_MS + (fault.kind === 'stop' ? fault.forMs : 0), 'never ended')
    const { status, stdout, stderr } = await outcomeOf(child)
    await Promise.all([happened, life])
    const [out, err] = fault.kind === 'stall' && fault.stream === 1 ? [late, stderr] : [stdout, stderr + late]
    return { status, stdout: out, stderr: err, ...(overdue && { overdue }) }
  }
  return { args, fault, pid: child.pid, arrived, answered, signals, ended: finish() }
}

function viaOf(fault: Fault): string[] {
  if (fault.kind === 'strace') {
    const [calls = ''] = fault.inject.split(':')
    return ['strace', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', `inject=${fault.inject}`]
  }
  return fault.kind === 'stall' ? ['sh', '-c', `exec "$0" "$@" ${fault.stream}>"$STALLED"`] : []
}

/** Wait with a finer grain than that of timers. */
async function elapse(ms: number): Promise<void> {
  const until = performance.now() + ms
  while (performance.now() < until) await new Promise(resolve => setImmediate(resolve))
}
