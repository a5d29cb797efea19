import net, { type AddressInfo, type Socket } from 'node:net'
import tls from 'node:tls'

/** A server that speaks no HTTP of its own: a test writes the bytes. */
export interface RawServer extends AsyncDisposable {
  readonly port: number
  /** All that has been received, of all connections together. */
  readonly received: string
  /** How many connections there have been, silent ones too. */
  readonly connections: number
}

export interface RawServerOptions {
  /** Speak TLS with this key and certificate (PEM). */
  readonly tls?: { readonly key: string; readonly cert: string }
}

/** @param respond called once a connection when the first bytes have come. */
export async function startRawServer(
  respond: (socket: Socket) => void,
  options: RawServerOptions = {},
): Promise<RawServer> {
  let received = ''
  let connections = 0
  const sockets = new Set<Socket>()
  const accept = (socket: Socket): void => {
    sockets.add(socket)
    connections++
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', data => {
      received += data.toString('latin1')
    })
    socket.once('data', () => respond(socket))
  }
  const server = options.tls ? tls.createServer(options.tls, accept) : net.createServer(accept)
  server.on('tlsClientError', () => {})
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    get received() {
      return received
    },
    get connections() {
      return connections
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

/** Bytes of an HTTP answer with a known length. */
export const httpAnswer = (status: string, headers: readonly string[], body: string): string =>
  [`HTTP/1.1 ${status}`, ...headers, `Content-Length: ${Buffer.byteLength(body)}`, '', body].join('\r\n')
