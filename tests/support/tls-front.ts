import tls from 'node:tls'
import type { AtlasServer } from './atlas-server.ts'
import type { Certificate } from './certificates.ts'
import { connectTo, type Listening, listening } from './listening.ts'

/** A port that speaks TLS and passes everything on to an Atlas server. */
export function startTlsFront(
  server: Pick<AtlasServer, 'url'>,
  certificate: Certificate,
): Promise<Listening> {
  const front = tls.createServer({ ...certificate }, outside =>
    connectTo(Number(new URL(server.url).port), outside),
  )
  front.on('tlsClientError', () => {})
  return listening(front)
}
