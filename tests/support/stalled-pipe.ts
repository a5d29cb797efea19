import fs from 'node:fs'

/** A named pipe that is full, and that nobody reads until somebody does. */
export interface StalledPipe extends Disposable {
  readonly path: string
  /** Take out what is in it. @returns what has been written to it, the filling aside. */
  drain(): string
}

export function createStalledPipe(place: string): StalledPipe {
  const made = Bun.spawnSync(['mkfifo', place])
  if (made.exitCode !== 0) throw new Error(`mkfifo: ${made.stderr}`)
  // Open for reading too, so that a writer can open it and is never told that the reader has gone.
  const descriptor = fs.openSync(place, fs.constants.O_RDWR | fs.constants.O_NONBLOCK)
  const filling = Buffer.alloc(4096, ' ')
  let filledBytes = 0
  for (const size of [filling.length, 1])
    untilFull(() => {
      filledBytes += fs.writeSync(descriptor, filling, 0, size)
    })
  const buffer = Buffer.alloc(65_536)
  return {
    path: place,
    drain() {
      let text = ''
      untilFull(() => {
        const size = fs.readSync(descriptor, buffer)
        const start = Math.min(filledBytes, size)
        filledBytes -= start
        text += buffer.toString('utf8', start, size)
      })
      return text
    },
    [Symbol.dispose]() {
      fs.closeSync(descriptor)
      fs.rmSync(place)
    },
  }
}

/** Do something again and again until it would have to wait. */
function untilFull(work: () => void): void {
  try {
    for (;;) work()
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error
  }
}
