import net, { type AddressInfo, type Socket } from 'node:net'
import tls from 'node:tls'
import type { AtlasServer } from './atlas-server.ts'
import type { Certificate } from './certificates.ts'

/** An Atlas server's front door that speaks TLS. */
export interface TlsFront extends AsyncDisposable {
  readonly port: number
}

export async function startTlsFront(
  server: Pick<AtlasServer, 'url'>,
  certificate: Certificate,
): Promise<TlsFront> {
  const sockets = new Set<Socket>()
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    return socket.on('close', () => sockets.delete(socket))
  }
  const front = tls.createServer({ ...certificate }, outside => {
    const inside = keep(net.connect(Number(new URL(server.url).port), '127.0.0.1'))
    keep(outside).pipe(inside).pipe(outside)
  })
  front.on('tlsClientError', () => {})
  await new Promise<void>(resolve => front.listen(0, '127.0.0.1', resolve))
  return {
    port: (front.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => front.close(resolve))
    },
  }
}
