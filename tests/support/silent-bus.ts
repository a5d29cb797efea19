import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { listening } from './listening.ts'

/** A D-Bus socket that accepts every connection and never answers. */
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
  let connections = 0
  const server = net.createServer(socket => {
    socket.resume()
    connections++
  })
  const bus = await listening(server, file)
  return {
    env: { DBUS_SESSION_BUS_ADDRESS: `unix:path=${file}` },
    get connections() {
      return connections
    },
    nextConnection: () => new Promise(resolve => server.once('connection', () => resolve())),
    async [Symbol.asyncDispose]() {
      await bus[Symbol.asyncDispose]()
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
}
