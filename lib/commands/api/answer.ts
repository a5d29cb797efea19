import type { FetchResponse } from 'ofetch'
import { bodyForTerminal } from '../../terminal/json.ts'
import type { Terminal } from '../../terminal/output.ts'
import { describeProgress } from '../../terminal/spinner.ts'
import { renderLine, styled } from '../../terminal/style.ts'

/** Shorter transfers show no progress, in milliseconds. */
const PROGRESS_DELAY_MS = 1_000

export type StreamedResponse = FetchResponse<ReadableStream<Uint8Array>>

/** Status line and headers, as they are written on the wire. */
export async function printHead(
  { status, statusText, headers }: Response,
  terminal: Terminal,
): Promise<void> {
  const colour = terminal.stdoutIsTerminal && terminal.colour.stdout
  const lines = [
    renderLine([styled('bold', `HTTP/1.1 ${status} ${statusText}`.trimEnd())], colour),
    ...[...headers].map(([name, value]) => renderLine([styled('cyan', name), `: ${value}`], colour)),
  ]
  await terminal.raw(Buffer.from(`${lines.join('\n')}\n\n`))
}

/**
 * The body as it comes; made readable and harmless where it goes to a terminal.
 * @param silent read it to its end, but print nothing.
 * @param what the request, for the progress display.
 */
export async function printBody(
  response: StreamedResponse,
  { silent, what }: { silent: boolean; what: string },
  terminal: Terminal,
): Promise<void> {
  const body = response._data ?? response.body
  if (!body) return
  let received = 0
  const copy = async (): Promise<void> => {
    const reader = body.getReader()
    const isJson = /\bjson\b/i.test(response.headers.get('content-type') ?? '')
    const show = terminal.stdoutIsTerminal ? bodyForTerminal(isJson, terminal.colour.stdout) : undefined
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) break
        received += value.byteLength
        if (!silent) await terminal.raw(show ? Buffer.from(show(value)) : value)
      }
    } catch (error) {
      await reader.cancel().catch(() => {})
      throw error
    } finally {
      if (show && !silent) await terminal.raw(Buffer.from(`${show()}\n`))
    }
  }
  // Where the body itself goes to the terminal, it shows how far it is.
  if (terminal.stdoutIsTerminal && !silent) return copy()
  const startedAt = performance.now()
  const total = lengthOf(response)
  const label = (): string =>
    `${what}  ${describeProgress({ bytes: received, total, elapsedMs: performance.now() - startedAt })}`
  return terminal.during(label, copy(), PROGRESS_DELAY_MS)
}

/** How long the body will be, in bytes; not known where the length is that of its packed form. */
function lengthOf({ headers }: Response): number | undefined {
  const length = headers.get('content-length')
  return length === null || headers.has('content-encoding') ? undefined : Number(length)
}
