import net, { type Socket } from 'node:net'
import tls from 'node:tls'
import { type Listening, listening } from './listening.ts'

/** A server that speaks no HTTP of its own: a test writes the bytes. */
export interface RawServer extends Listening {
  /** All that has been received, of all connections together. */
  readonly received: string
  /** How many connections there have been, silent ones too. */
  readonly connections: number
}

export interface RawServerOptions {
  /** Speak TLS with this key and certificate (PEM). */
  readonly tls?: { readonly key: string; readonly cert: string }
}

/** @param respond called once a connection with the first bytes that have come. */
export async function startRawServer(
  respond: (socket: Socket, request: string) => void,
  options: RawServerOptions = {},
): Promise<RawServer> {
  let received = ''
  let connections = 0
  const accept = (socket: Socket): void => {
    connections++
    socket.on('error', () => {})
    socket.on('data', data => {
      received += data.toString('latin1')
    })
    socket.once('data', data => respond(socket, data.toString('latin1')))
  }
  const server = options.tls ? tls.createServer(options.tls, accept) : net.createServer(accept)
  server.on('tlsClientError', () => {})
  return {
    ...(await listening(server)),
    get received() {
      return received
    },
    get connections() {
      return connections
    },
  }
}

/** Bytes of an HTTP answer with a known length. */
export const httpAnswer = (status: string, headers: readonly string[], body: string): string =>
  [`HTTP/1.1 ${status}`, ...headers, `Content-Length: ${Buffer.byteLength(body)}`, '', body].join('\r\n')
