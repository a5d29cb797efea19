import fs from 'node:fs'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import { type AtlasServer, answer } from '../../tests/support/atlas-server.ts'
import { listening } from '../../tests/support/listening.ts'
import type { AnswerFault, REFUSALS } from './plan.ts'

const SLOW_MS = 5500

/** A login or a refresh, as the server saw it. */
export interface Exchange {
  readonly route: 'login' | 'refresh'
  /** The refresh token that came with it. */
  readonly sent: string
  /** The process that sent it; undefined where that had gone already. */
  readonly by: number | undefined
  /** The refresh token that the answer gives. */
  issued?: string
  /** What the client was answered, as far as it went. */
  answered: string
}

/** Who is told of refreshes, and says what becomes of their answers. */
export interface Watcher {
  /** The processes that may be clients. */
  readonly pids: () => readonly number[]
  readonly nextAnswer: () => AnswerFault
  /** Whether a token that was replaced ends the session; else it is only refused. */
  readonly reuseEndsSession: boolean
  arrived(exchange: Exchange): void
  answered(exchange: Exchange): void
}

export interface Front extends AsyncDisposable {
  readonly url: string
  readonly exchanges: readonly Exchange[]
  /** Whether a refresh is waiting for its answer. */
  isBusy(): boolean
  /** Forget what has been, and tell somebody else from now on. */
  watch(watcher: Watcher): void
}

/** What stands before an Atlas server: it sees who refreshes, and spoils the answers. */
export async function startFront(server: AtlasServer): Promise<Front> {
  const exchanges: Exchange[] = []
  const replaced = new Set<string>()
  let inFlight = 0
  let watcher: Watcher | undefined

  const refresh = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const sent = refreshTokenIn(incoming.headers.cookie ?? '')
    const by = ownerOf(incoming.socket.remotePort ?? 0, watcher?.pids() ?? [])
    const exchange: Exchange = { route: 'refresh', sent, by, answered: 'nothing' }
    exchanges.push(exchange)
    watcher?.arrived(exchange)
    const fault = watcher?.nextAnswer() ?? 'plain'
    if (fault === 'proxy 401' || fault === 'gateway 401' || fault === '500') {
      exchange.answered = fault
      refuse(response, fault)
    } else if (replaced.has(sent) && watcher?.reuseEndsSession === false) {
      exchange.answered = '401, replaced before'
      answer(response, 401, { detail: 'Invalid refresh token' }, { 'www-authenticate': 'Bearer' })
    } else {
      // Marked before the server is asked: another process may send the same one meanwhile.
      replaced.add(sent)
      const upstream = await forward(server, incoming, '')
      const issued = refreshTokenIn(upstream.cookies.join('; '))
      if (issued !== '') exchange.issued = issued
      if (upstream.status !== 200) replaced.delete(sent)
      if (fault === 'slow') await Bun.sleep(SLOW_MS)
      exchange.answered = `${upstream.status}${fault === 'plain' ? '' : `, ${fault}`}${incoming.socket.destroyed ? ', but it had gone' : ''}`
      deliver(response, upstream, upstream.status === 200 ? fault : 'plain')
    }
    watcher?.answered(exchange)
  }

  const other = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const pieces: Uint8Array[] = []
    for await (const piece of incoming) pieces.push(piece)
    const body = Buffer.concat(pieces).toString()
    const isLogin = incoming.url?.endsWith('/auth/login') === true
    const by = isLogin ? ownerOf(incoming.socket.remotePort ?? 0, watcher?.pids() ?? []) : undefined
    const upstream = await forward(server, incoming, body)
    const issued = refreshTokenIn(upstream.cookies.join('; '))
    if (isLogin) exchanges.push({ route: 'login', sent: '', by, issued, answered: String(upstream.status) })
    deliver(response, upstream, 'plain')
  }

  const front = http.createServer(async (incoming, response) => {
    const isRefresh = incoming.url?.endsWith('/auth/refresh') === true
    if (!isRefresh) return other(incoming, response)
    inFlight++
    await refresh(incoming, response).finally(() => inFlight--)
  })
  const { port, [Symbol.asyncDispose]: dispose } = await listening(front)
  return {
    url: `http://127.0.0.1:${port}`,
    exchanges,
    isBusy: () => inFlight > 0,
    watch(next) {
      exchanges.length = 0
      watcher = next
    },
    [Symbol.asyncDispose]: dispose,
  }
}

function refuse(response: ServerResponse, fault: (typeof REFUSALS)[number]): void {
  if (fault === '500') answer(response, 500, { detail: 'Internal Server Error' })
  else if (fault === 'gateway 401') response.writeHead(401).end('Jwt is missing')
  else response.writeHead(401, { 'www-authenticate': 'Basic realm="proxy"' }).end('<h1>Sign in</h1>')
}

interface Upstream {
  readonly status: number
  readonly headers: Record<string, string>
  readonly cookies: string[]
  readonly body: Buffer
}

async function forward(server: AtlasServer, incoming: IncomingMessage, body: string): Promise<Upstream> {
  const { method = 'GET', url = '/' } = incoming
  const { authorization, cookie, 'content-type': type } = incoming.headers
  const given = Object.entries({ authorization, cookie, 'content-type': type })
  const headers = Object.fromEntries(
    given.filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
  const answered = await fetch(server.url + url, {
    method,
    headers,
    // A kept connection may have been closed meanwhile.
    keepalive: false,
    ...(body !== '' && { body }),
  })
  const kept = ['content-type', 'www-authenticate'].map(name => [name, answered.headers.get(name)] as const)
  return {
    status: answered.status,
    headers: Object.fromEntries(kept.filter((entry): entry is [string, string] => entry[1] !== null)),
    cookies: answered.headers.getSetCookie(),
    body: Buffer.from(await answered.arrayBuffer()),
  }
}

function deliver(response: ServerResponse, upstream: Upstream, fault: AnswerFault): void {
  const { headers, body } = upstream
  const twins = [
    'refresh_token=""; Max-Age=0; Path=/',
    'refresh_token=another; Path=/wiki; Domain=example.com',
  ]
  const cookies = fault === 'twins' ? [...upstream.cookies, ...twins] : upstream.cookies
  response.writeHead(fault === '201' ? 201 : upstream.status, {
    ...headers,
    ...(fault === 'garbled' && { 'content-encoding': 'gzip' }),
    ...(cookies.length > 0 && { 'set-cookie': cookies }),
    'content-length': body.byteLength,
  })
  if (fault !== 'cut') response.end(body)
  else response.write(body.subarray(0, body.byteLength / 2), () => response.socket?.end())
}

/** The last one that is not cleared. */
const refreshTokenIn = (cookies: string): string =>
  [...cookies.matchAll(/(?:^|; ?)refresh_token=([^;"]+)/g)].at(-1)?.[1] ?? ''

/** Which of the processes, or of their children, has the socket with that local port (proc_net_tcp(5)). */
function ownerOf(port: number, pids: readonly number[]): number | undefined {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const row = fs
    .readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .find(fields => fields[1]?.endsWith(local))
  const link = `socket:[${row?.[9]}]`
  return pids.find(pid => [pid, ...childrenOf(pid)].some(one => holds(one, link)))
}

export function childrenOf(pid: number): number[] {
  try {
    return fs
      .readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number)
  } catch {
    return []
  }
}

function holds(pid: number, link: string): boolean {
  const folder = `/proc/${pid}/fd`
  try {
    return fs.readdirSync(folder).some(name => linkOf(`${folder}/${name}`) === link)
  } catch {
    return false
  }
}

function linkOf(place: string): string {
  try {
    return fs.readlinkSync(place)
  } catch {
    return ''
  }
}
