import http from 'node:http'
import type { Socket } from 'node:net'
import { connectTo, type Listening, listening } from './listening.ts'

/** A proxy that opens a tunnel to one port of this machine, whatever host it is asked for. */
export interface ConnectProxy extends Listening {
  /** What it was asked, as `METHOD target`. */
  readonly asked: readonly string[]
  /** The headers of all requests together, by lower-case name. */
  readonly headers: ReadonlySet<string>
}

/** @param port where tunnels lead. @param refuseWith a status to refuse them with instead. */
export async function startConnectProxy(port: number, refuseWith?: number): Promise<ConnectProxy> {
  const asked: string[] = []
  const headers = new Set<string>()
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
    if (refuseWith !== undefined) {
      outside.end(`HTTP/1.1 ${refuseWith} Refused\r\nContent-Length: 0\r\n\r\n`)
      return
    }
    outside.write('HTTP/1.1 200 Connection established\r\n\r\n')
    connectTo(port, outside)
  })
  return { ...(await listening(proxy)), asked, headers }
}
