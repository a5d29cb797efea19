import http from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'

/** A proxy that opens a tunnel to one port of this machine, whatever host it is asked for. */
export interface ConnectProxy extends AsyncDisposable {
  readonly port: number
  /** What it was asked, as `METHOD target`. */
  readonly asked: readonly string[]
  /** The headers of all requests together, by lower-case name. */
  readonly headers: ReadonlySet<string>
}

/** @param port where tunnels lead; a status to refuse them with instead. */
export async function startConnectProxy(port: number, refuseWith?: number): Promise<ConnectProxy> {
  const asked: string[] = []
  const headers = new Set<string>()
  const sockets = new Set<Socket>()
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    return socket.on('close', () => sockets.delete(socket))
  }
  const note = (request: http.IncomingMessage): void => {
    asked.push(`${request.method} ${request.url}`)
    for (const name of Object.keys(request.headers)) headers.add(name)
  }
  const proxy = http.createServer((request, response) => {
    note(request)
    response.writeHead(502).end()
  })
  proxy.on('connect', (request, outside: Socket) => {
    note(request)
    keep(outside)
    if (refuseWith !== undefined) {
      outside.end(`HTTP/1.1 ${refuseWith} Refused\r\nContent-Length: 0\r\n\r\n`)
      return
    }
    const inside = keep(net.connect(port, '127.0.0.1'))
    outside.write('HTTP/1.1 200 Connection established\r\n\r\n')
    outside.pipe(inside).pipe(outside)
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  return {
    port: (proxy.address() as AddressInfo).port,
    asked,
    headers,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      proxy.closeAllConnections()
      await new Promise(resolve => proxy.close(resolve))
    },
  }
}
