/* Runs programs for `measured`, in a process that stays small. */
import type { Job, Measured } from './measured.ts'

process.on('disconnect', () => process.exit())
process.on('message', async ({ id, command, cwd, env, input }: Job) => {
  const child = Bun.spawn([...command], {
    cwd,
    env,
    stdin: Buffer.from(input),
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [{ text: stdout, size: stdoutBytes }, { text: stderr }, status] = await Promise.all([
    drain(child.stdout),
    drain(child.stderr),
    child.exited,
  ])
  const peakMemoryBytes = child.resourceUsage()?.maxRSS ?? Number.POSITIVE_INFINITY
  process.send?.({ id, status, stdout, stdoutBytes, stderr, peakMemoryBytes } satisfies Measured & {
    id: number
  })
})

const MAX_KEPT_BYTES = 1024 * 1024

/** The beginning of what a program prints, and the size of all of it. */
async function drain(stream: ReadableStream<Uint8Array>): Promise<{ text: string; size: number }> {
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  for await (const piece of stream) {
    if (size < MAX_KEPT_BYTES) text += decoder.decode(piece, { stream: true })
    size += piece.byteLength
  }
  return { text, size }
}
