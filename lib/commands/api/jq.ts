import { AtlasError, usageError } from '../../errors.ts'
import { unlessAborted } from '../../interrupts.ts'
import type { Run } from '../../run.ts'
import { sanitizeBlock } from '../../terminal/safe-text.ts'
import type { JqReply, JqRequest } from './jq-worker.ts'

const MANUAL = 'See: https://jqlang.org/manual'
/** What the runtime of jq can have. */
const MEMORY = '256 MiB'

export interface Filter {
  /** Print what jq makes of a JSON text: strings as they are; the rest in a line each, or indented on a terminal. */
  print(json: string): Promise<void>
}

/**
 * An expression of jq, ready to be used. It runs on a thread, as it may never end.
 * @throws {AtlasError} `usage`: it cannot be compiled.
 */
export async function openFilter(
  expression: string,
  { interrupts, terminal }: Pick<Run, 'interrupts' | 'terminal'>,
): Promise<Filter> {
  if (expression === '') throw usageError('--jq is not an expression of jq: it is empty.', MANUAL)
  const worker = new Worker(new URL('./jq-worker.ts', import.meta.url))
  const ask = (request: JqRequest): Promise<JqReply> =>
    unlessAborted(
      interrupts.cancelled,
      new Promise((resolve, reject) => {
        worker.onmessage = ({ data }: MessageEvent<JqReply>) => resolve(data)
        worker.onerror = ({ message }) => reject(new AtlasError('internal', `jq cannot be run: ${message}`))
        worker.postMessage(request)
      }),
    )
  // Without input nothing of it is run.
  const compiled = await ask({ input: '', expression, flags: [] })
  if (compiled.exitCode !== 0)
    throw usageError(`--jq is not an expression of jq: ${reasonOf(compiled)}.`, MANUAL)
  return {
    async print(json) {
      const flags = terminal.stdoutIsTerminal ? ['-r'] : ['-r', '-c']
      const reply = await terminal.during('Running jq', ask({ input: json, expression, flags }))
      // As jq does, what came before an error is printed.
      await terminal.raw(terminal.stdoutIsTerminal ? sanitizeBlock(reply.stdout) : reply.stdout)
      if (reply.exitCode !== 0) throw failureOf(reply)
    },
  }
}

/** The first line says it; the others repeat the expression. */
const reasonOf = ({ stderr }: JqReply): string =>
  (stderr.split('\n')[0] ?? '').replace(/^jq: (?:parse )?error(?: \(at .*?\))?: /, '').replace(/:$/, '')

function failureOf(reply: JqReply): AtlasError {
  if (reply.stderr.startsWith('jq: parse error'))
    return new AtlasError('bad_response', `The answer is not valid JSON: ${reasonOf(reply)}.`)
  const reason =
    reply.exitCode === undefined ? `it gave up, as where ${MEMORY} of memory are too few` : reasonOf(reply)
  return new AtlasError(
    'api_error',
    `The answer came, but --jq failed on it: ${reason}.`,
    'See the answer without --jq.',
  )
}
