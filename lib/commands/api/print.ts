import { isUtf8 } from 'node:buffer'
import { bodyForTerminal } from '../../terminal/json.ts'
import type { Terminal } from '../../terminal/output.ts'
import { describeProgress } from '../../terminal/spinner.ts'
import { renderLine, styled } from '../../terminal/style.ts'

/** Shorter transfers show no progress. */
const PROGRESS_DELAY_MS = 1_000

/** Print status line and headers: readable on a terminal, else with the bytes of each value as they came. */
export async function printHead(
  { status, statusText, headers }: Response,
  terminal: Terminal,
): Promise<void> {
  const colour = terminal.stdoutIsTerminal && terminal.colour.stdout
  const statusLine = renderLine([styled('bold', `HTTP/1.1 ${status} ${statusText}`.trimEnd())], colour)
  await terminal.raw(`${statusLine}\n`)
  for (const [name, value] of headers) {
    // The runtime makes one character of each byte.
    const bytes = Buffer.from(value, 'latin1')
    const shown = isUtf8(bytes) ? bytes.toString() : value
    await terminal.raw(
      terminal.stdoutIsTerminal
        ? `${renderLine([styled('cyan', name), `: ${shown}`], colour)}\n`
        : Buffer.concat([Buffer.from(`${name}: `), bytes, Buffer.from('\n')]),
    )
  }
  await terminal.raw('\n')
}

/** A longer answer holds no error message. */
const MAX_KEPT_BYTES = 64 * 1024

/**
 * Print the body as it comes, readable and harmless on a terminal; if `silent`, only read it to its end.
 * @returns the body, where it is short enough to hold an error message; else empty.
 */
export async function printBody(
  { body, headers }: Response,
  request: string,
  silent: boolean,
  terminal: Terminal,
): Promise<Uint8Array> {
  if (!body) return new Uint8Array()
  const isJson = /\bjson\b/i.test(headers.get('content-type') ?? '')
  const isShown = terminal.stdoutIsTerminal && !silent
  const show = isShown ? bodyForTerminal(isJson, terminal.colour.stdout) : undefined
  let received = 0
  const kept: Uint8Array[] = []
  const copy = async (): Promise<void> => {
    try {
      for await (const piece of body) {
        received += piece.byteLength
        if (received <= MAX_KEPT_BYTES) kept.push(piece)
        if (!silent) await terminal.raw(show ? show(piece) : piece)
      }
    } finally {
      if (show && received > 0) await terminal.raw(`${show()}\n`)
    }
  }
  const whole = (): Uint8Array => (received <= MAX_KEPT_BYTES ? Buffer.concat(kept) : new Uint8Array())
  // A body on the terminal shows by itself how far it is.
  if (show) return copy().then(whole)
  const length = headers.get('content-length')
  // Of a packed body it is the packed length.
  const total = length === null || headers.has('content-encoding') ? undefined : Number(length)
  const label = (): string => `${request}  ${describeProgress(received, total)}`
  return terminal.during(label, copy(), PROGRESS_DELAY_MS).then(whole)
}
