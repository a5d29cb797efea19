import net, { type AddressInfo, type Socket } from 'node:net'

export interface Listening extends AsyncDisposable {
  /** On the loopback interface; 0 where the server listens at a path. */
  readonly port: number
}

/** Let a server listen, on a free port unless a path is given. Disposing ends it with all its connections. */
export async function listening(server: net.Server, socketPath?: string): Promise<Listening> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>(resolve => {
    if (socketPath === undefined) server.listen(0, '127.0.0.1', resolve)
    else server.listen(socketPath, resolve)
  })
  return {
    port: socketPath === undefined ? (server.address() as AddressInfo).port : 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

/** Connect a socket with a port of this machine, both ways, until one of them ends. */
export function connectTo(port: number, outside: Socket): void {
  const inside = net.connect(port, '127.0.0.1')
  for (const [one, other] of [
    [inside, outside],
    [outside, inside],
  ] as const) {
    one.on('error', () => one.destroy())
    one.on('close', () => other.destroy())
    one.pipe(other)
  }
}
