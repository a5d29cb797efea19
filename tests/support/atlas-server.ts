import { createHmac, randomUUID } from 'node:crypto'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** A request as the server received it. */
export interface ReceivedRequest {
  readonly method: string
  /** The path with its query, as sent. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface User {
  readonly email: string
  readonly password: string
  readonly username: string
  readonly role: string
}

export interface AtlasServerOptions {
  readonly users?: readonly User[]
  /** Lifetime of access tokens in seconds, as announced and as enforced. */
  readonly accessTtlS?: number
  readonly refreshTtlS?: number
  /** Give a new refresh token at each refresh, and end the whole session when an old one comes back. */
  readonly rotate?: boolean
  /** Where the API is below the origin. */
  readonly apiPath?: string
}

/** What a test puts in place of the server's own answer. */
export type Fault = (
  response: ServerResponse,
  request: ReceivedRequest,
  socket: Socket,
) => void | Promise<void>

export interface Held {
  /** The request has come; nothing has happened by it yet. */
  readonly arrived: Promise<void>
  /** Deal with it, whether or not its sender is still there. */
  release(): void
  /** It has been dealt with and answered. */
  readonly answered: Promise<void>
}

export interface AtlasServer extends AsyncDisposable {
  /** The origin, such as `http://127.0.0.1:40123`. */
  readonly url: string
  /** Origin and API path. */
  readonly apiRoot: string
  readonly requests: readonly ReceivedRequest[]
  /** The requests as `METHOD path`, for whole-value assertions. */
  log(): string[]
  forget(): void
  /** Answer requests for `METHOD /path` (below the API root) with a fault, a number of times. */
  fault(route: string, fault: Fault, times?: number): void
  clearFaults(): void
  /** Keep the next request for a route waiting at the door until it is let in. */
  hold(route: string): Held
  /** Lifetime of access tokens that are given from now on, in seconds. */
  accessTtlS: number
  /** Reject every access token given so far. */
  expireAccessTokens(): void
  /** Refuse every refresh token given so far. */
  revokeSessions(): void
  /** Whether a refresh with that token would be granted. */
  accepts(refreshToken: string): boolean
  /** How often a refresh token came back that had been replaced. */
  readonly reuses: number
  readonly lastTokens: { readonly access: string; readonly refresh: string }
  /** What Ada's configuration is from now on. */
  setConfiguration(content: string, commitSha?: string): void
}

export const ADA: User = {
  email: 'ada@example.com',
  password: 'correct horse',
  username: 'ada',
  role: 'admin',
}

const SECRET = 'a key for tests'

interface Grant {
  readonly user: User
  /** Of all tokens that came from one login. */
  readonly family: string
  valid: boolean
  replaced: boolean
}

/** An Atlas server on a free port of the loopback interface, that remembers what it received. */
export async function startAtlasServer(options: AtlasServerOptions = {}): Promise<AtlasServer> {
  const {
    users = [ADA],
    accessTtlS = 1800,
    refreshTtlS = 604_800,
    rotate = false,
    apiPath = '/api/v1',
  } = options
  const requests: ReceivedRequest[] = []
  const accessTokens = new Map<string, Grant & { expiresAtMs: number }>()
  const refreshTokens = new Map<string, Grant>()
  const faults: { route: string; fault: Fault; left: number }[] = []
  const holds: { route: string; arrive(): void; released: Promise<void>; answered(): void }[] = []
  const state = { accessTtlS, reuses: 0, lastTokens: { access: '', refresh: '' } }
  let configuration = {
    content: '# Rules\n',
    commit_sha: '0123456789abcdef',
    updated_at: '2026-01-02T03:04:05Z',
  }

  const give = (user: User, family: string, withCookie: boolean) => {
    const access = signToken({ sub: user.username, email: user.email, type: 'access' }, state.accessTtlS)
    accessTokens.set(access, {
      user,
      family,
      valid: true,
      replaced: false,
      expiresAtMs: Date.now() + state.accessTtlS * 1000,
    })
    state.lastTokens.access = access
    const headers: Record<string, string> = {}
    if (withCookie) {
      const refresh = signToken({ sub: user.username, email: user.email, type: 'refresh' }, refreshTtlS)
      refreshTokens.set(refresh, { user, family, valid: true, replaced: false })
      state.lastTokens.refresh = refresh
      headers['set-cookie'] =
        `refresh_token=${refresh}; HttpOnly; Max-Age=${refreshTtlS}; Path=${apiPath}/auth; SameSite=lax`
    }
    return { headers, body: { access_token: access, token_type: 'bearer', expires_in: state.accessTtlS } }
  }

  const holder = ({ headers }: ReceivedRequest): User | undefined => {
    const grant = accessTokens.get((headers['authorization'] ?? '').replace(/^Bearer /, ''))
    return grant?.valid && grant.expiresAtMs > Date.now() ? grant.user : undefined
  }

  const routes: Record<string, (request: ReceivedRequest, response: ServerResponse) => void> = {
    'POST /auth/login'(request, response) {
      const form = new URLSearchParams(request.body)
      const isForm = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded')
      if (!isForm || !form.has('username') || !form.has('password')) {
        return answer(response, 422, {
          detail: [{ loc: ['body', 'username'], msg: 'Field required', type: 'missing' }],
        })
      }
      const user = users.find(({ email }) => email === form.get('username'))
      if (!user || user.password !== form.get('password'))
        return answer(response, 401, { detail: 'Incorrect email or password' })
      const { headers, body } = give(user, randomUUID(), true)
      answer(response, 200, body, headers)
    },
    'POST /auth/refresh'(request, response) {
      const token = /(?:^|; )refresh_token=([^;]*)/.exec(request.headers['cookie'] ?? '')?.[1] ?? ''
      const grant = refreshTokens.get(token)
      if (grant?.replaced) {
        state.reuses++
        for (const other of [...refreshTokens.values(), ...accessTokens.values()]) {
          if (other.family === grant.family) other.valid = false
        }
      }
      if (!grant?.valid || grant.replaced) return answer(response, 401, { detail: 'Invalid refresh token' })
      grant.replaced = rotate
      const { headers, body } = give(grant.user, grant.family, rotate)
      answer(response, 200, body, headers)
    },
    'GET /auth/me'(request, response) {
      const user = holder(request)
      if (!user) return unauthorized(response)
      const { email, username, role } = user
      answer(response, 200, { id: 1, email, username, role, created_at: '2026-01-01T00:00:00Z' })
    },
    'POST /auth/logout'(request, response) {
      if (!holder(request)) return unauthorized(response)
      answer(
        response,
        200,
        { message: 'Logged out' },
        { 'set-cookie': 'refresh_token=""; Max-Age=0; Path=/api/v1/auth' },
      )
    },
    'GET /configuration/me'(request, response) {
      if (!holder(request)) return unauthorized(response)
      answer(response, 200, configuration)
    },
  }

  /** What tests of `atlas api` talk to: tells back what arrived. */
  const echo = (request: ReceivedRequest, response: ServerResponse): void => {
    const { method, path, body } = request
    if (!holder(request)) unauthorized(response)
    else
      answer(response, 200, {
        method,
        path: path.slice(apiPath.length),
        type: request.headers['content-type'] ?? null,
        body,
      })
  }

  const server = http.createServer(async (incoming, response) => {
    const request = await receive(incoming)
    requests.push(request)
    const pathname = request.path.split('?')[0] ?? ''
    if (pathname === '/health') return answer(response, 200, { status: 'healthy' })
    const below = pathname.startsWith(`${apiPath}/`) ? pathname.slice(apiPath.length) : undefined
    const route = below === undefined ? undefined : `${request.method} ${below}`
    const planned = faults.find(fault => fault.route === route && fault.left > 0)
    if (planned) {
      planned.left--
      return planned.fault(response, request, incoming.socket)
    }
    const holdIndex = holds.findIndex(hold => hold.route === route)
    const held = holdIndex < 0 ? undefined : holds.splice(holdIndex, 1)[0]
    held?.arrive()
    await held?.released
    response.once('finish', () => held?.answered())
    if (below === '/echo' || below?.startsWith('/echo/')) return echo(request, response)
    const handler = route === undefined ? undefined : routes[route]
    if (handler) return handler(request, response)
    answer(response, 404, { detail: 'Not Found' })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  return Object.assign(state, {
    url,
    apiRoot: url + apiPath,
    requests,
    log: () => requests.map(({ method, path }) => `${method} ${path}`),
    forget: () => void requests.splice(0),
    fault: (route, fault, times = Number.POSITIVE_INFINITY) =>
      void faults.push({ route, fault, left: times }),
    clearFaults: () => void faults.splice(0),
    hold(route) {
      const arrived = Promise.withResolvers<void>()
      const released = Promise.withResolvers<void>()
      const answered = Promise.withResolvers<void>()
      holds.push({ route, arrive: arrived.resolve, released: released.promise, answered: answered.resolve })
      return { arrived: arrived.promise, release: released.resolve, answered: answered.promise }
    },
    expireAccessTokens() {
      for (const grant of accessTokens.values()) grant.valid = false
    },
    revokeSessions() {
      for (const grant of refreshTokens.values()) grant.valid = false
    },
    accepts(refreshToken) {
      const grant = refreshTokens.get(refreshToken)
      return grant?.valid === true && !grant.replaced
    },
    setConfiguration(content, commitSha = 'fedcba9876543210') {
      configuration = { content, commit_sha: commitSha, updated_at: '2026-02-03T04:05:06Z' }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  } satisfies Omit<AtlasServer, keyof typeof state>)
}

async function receive(incoming: IncomingMessage): Promise<ReceivedRequest> {
  const pieces: Uint8Array[] = []
  for await (const piece of incoming) pieces.push(piece)
  return {
    method: incoming.method ?? '',
    path: incoming.url ?? '',
    headers: Object.fromEntries(
      Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]),
    ),
    body: Buffer.concat(pieces).toString(),
  }
}

/** A JSON answer. */
export function answer(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}

const unauthorized = (response: ServerResponse): void =>
  answer(response, 401, { detail: 'Could not validate credentials' }, { 'www-authenticate': 'Bearer' })

/** An HS256 JWT. Tokens given within one second differ by their `jti`. */
export function signToken(claims: Record<string, unknown>, ttlS: number): string {
  const iat = Math.floor(Date.now() / 1000)
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const content = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ ...claims, iat, exp: iat + ttlS, jti: randomUUID() })}`
  return `${content}.${createHmac('sha256', SECRET).update(content).digest('base64url')}`
}
