import fs from 'node:fs'
import { AtlasError, errorCode } from '../errors.ts'
import type { BodyReader } from './body.ts'
import type { Deadline } from './deadline.ts'

/** A shorter body is on its way at once, in bytes. */
const MIN_WATCHED_BYTES = 64 * 1024
/** How often the kernel is asked how far it is, in milliseconds; more often for a short time limit. */
const LOOK_EVERY_MS = 1_000
const LOOKS_PER_TIMEOUT = 4

/** A request's body on its way. */
export interface Upload {
  readonly body: RequestInit['body']
  /** To be sent as its Content-Length; undefined where the runtime knows it, or nobody does. */
  readonly length: number | undefined
  /** The server has answered, or the request has failed: time no longer depends on the body. */
  end(): void
}

/**
 * Send a body so that every step forward gives the server the whole time again, and so that the clock stands still
 * while a stream gives its next piece.
 * @throws {AtlasError} through the request. `file_error`: a file became shorter meanwhile, or cannot be read.
 */
export function startUpload(body: RequestInit['body'], deadline: Deadline, timeoutMs: number): Upload {
  const source = sourceOf(body)
  if (source === undefined) return { body, length: undefined, end() {} }
  let isOver = false
  let isWaiting = false
  const restart = (): void => {
    if (!isOver && !isWaiting) deadline.restart()
  }
  let unsent = unsentBytes()
  const looks = setInterval(
    () => {
      const now = unsentBytes()
      if (now !== unsent) restart()
      unsent = now
    },
    Math.min(LOOK_EVERY_MS, timeoutMs / LOOKS_PER_TIMEOUT),
  )
  const end = (): void => {
    isOver = true
    clearInterval(looks)
  }
  const { length, reader } = source
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        isWaiting = true
        if (!isOver) deadline.pause()
        const { done, value } = await reader.read()
        isWaiting = false
        restart()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: reason => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
  return { body: stream, length, end }
}

interface Source {
  readonly reader: BodyReader
  readonly length: number | undefined
}

/** Undefined for a body that need not be watched. */
function sourceOf(body: RequestInit['body']): Source | undefined {
  if (body instanceof ReadableStream) return { reader: body.getReader(), length: undefined }
  if (body instanceof Blob) return fileSource(body)
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  if (!(bytes instanceof Uint8Array) || bytes.byteLength < MIN_WATCHED_BYTES) return undefined
  return { reader: new Blob([bytes]).stream().getReader(), length: bytes.byteLength }
}

/** A file as long as it is now: what is written behind that meanwhile is not sent. */
function fileSource(file: Blob): Source | undefined {
  const { size: length, name = 'The file' } = file as Blob & { name?: string }
  if (length < MIN_WATCHED_BYTES) return undefined
  const reader = file.stream().getReader()
  let left = length
  return {
    length,
    reader: {
      async read() {
        const { done, value } = await reader.read().catch(error => {
          throw new AtlasError('file_error', `${name} cannot be read (${errorCode(error)}).`)
        })
        if (done && left > 0)
          throw new AtlasError(
            'file_error',
            `${name} became shorter while it was being sent.`,
            'Run the command again when nothing writes to the file.',
          )
        if (done || left === 0) return { done: true, value: undefined }
        const piece = value.subarray(0, left)
        left -= piece.byteLength
        return { done: false, value: piece }
      },
      cancel: reason => reader.cancel(reason),
    },
  }
}

/**
 * What the kernel has yet to hand over for this process, in bytes: its buffers take megabytes, which a slow line needs
 * minutes for. Undefined where the kernel does not say. @see proc_pid_net(5)
 */
function unsentBytes(): number | undefined {
  try {
    const own = new Set(fs.readdirSync('/proc/self/fd').map(inodeOf))
    let unsent = 0
    for (const table of ['tcp', 'tcp6'])
      for (const line of fs.readFileSync(`/proc/self/net/${table}`, 'latin1').split('\n')) {
        const [, , , , queues = '', , , , , inode] = line.trim().split(/\s+/)
        if (inode !== undefined && own.has(inode)) unsent += Number.parseInt(queues, 16)
      }
    return unsent
  } catch {
    return undefined
  }
}

function inodeOf(descriptor: string): string | undefined {
  try {
    return /^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/self/fd/${descriptor}`))?.[1]
  } catch {
    return undefined
  }
}
