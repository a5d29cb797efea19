import fs from 'node:fs'
import net, { type Socket } from 'node:net'
import os from 'node:os'
import path from 'node:path'

/** A D-Bus socket that accepts everybody and never says a word. */
export interface SilentBus extends AsyncDisposable {
  /** What a process needs in its environment to find it. */
  readonly env: Record<string, string>
  /** How many connections there have been. */
  readonly connections: number
  /** Resolves when one more has come. */
  nextConnection(): Promise<void>
}

export async function startSilentBus(): Promise<SilentBus> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-bus-'))
  const file = path.join(folder, 'bus')
  const sockets = new Set<Socket>()
  let waiting: (() => void)[] = []
  let connections = 0
  const server = net.createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.resume()
    connections++
    for (const tell of waiting) tell()
    waiting = []
  })
  await new Promise<void>(resolve => server.listen(file, resolve))
  return {
    env: { DBUS_SESSION_BUS_ADDRESS: `unix:path=${file}` },
    get connections() {
      return connections
    },
    nextConnection: () => new Promise(resolve => waiting.push(resolve)),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
}
