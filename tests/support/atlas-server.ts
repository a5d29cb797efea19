import { createHash, createHmac, randomUUID } from 'node:crypto'
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
  readonly id: string
  readonly email: string
  readonly password: string
  readonly username: string
  /** Left out of what the server says where there is none. */
  readonly role?: string
}

/** How a web application on the same origin answers a path that is not the API's. */
export type WebApplication = 'page' | 'not found' | 'forbidden' | 'none'

export interface AtlasServerOptions {
  readonly users?: readonly User[]
  /** Lifetime of access tokens in seconds, as announced and as enforced. */
  readonly accessTtlS?: number
  readonly refreshTtlS?: number
  /** Give a new refresh token at each refresh, and end the whole session when an old one comes back. */
  readonly rotate?: boolean
  /** Tell tokens of one second apart, as a server that rotates must; without it they are the same text. */
  readonly jti?: boolean
  /** Where the API is below the origin. */
  readonly apiPath?: string
  /** What is around the API: GET is answered with a page unless given, and anything else with 405. */
  readonly webApplication?: WebApplication
  /** How many logins an address may try in a minute. */
  readonly loginsPerMinute?: number
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
  /**
   * Answer requests for `METHOD /path` (below the API root) with a fault, a number of times. `API_SEARCH_ROUTE` is the question
   * whether the API is there.
   */
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
  /** The text of Ada's configuration. */
  configuration(): string
  /** Save another one, with a commit and a line in the history, as another machine does. */
  saveConfiguration(content: string, message?: string): void
  /** What Ada's configuration is from now on. */
  setConfiguration(content: string, commitSha?: string): void
}

/** What a login asks first, as the log has it. */
export const API_SEARCH = 'GET /api/v1/auth/me'

/** The route of `GET /auth/me` without a token, for faults and holds. */
export const API_SEARCH_ROUTE = 'GET /auth/me without a token'

export const ADA: User = {
  id: '7f3c1b9e-0d5a-4c1e-9b62-2f6d1f0a8e11',
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
    jti = rotate,
    apiPath = '/api/v1',
    webApplication = 'page',
    loginsPerMinute = 5,
  } = options
  const requests: ReceivedRequest[] = []
  const accessTokens = new Map<string, Grant & { expiresAtMs: number }>()
  const refreshTokens = new Map<string, Grant>()
  const faults: { route: string; fault: Fault; left: number }[] = []
  const holds: { route: string; arrive(): void; released: Promise<void>; answered(): void }[] = []
  const state = { accessTtlS, reuses: 0, lastTokens: { access: '', refresh: '' } }
  const logins = new Map<string, number[]>()
  let configuration = {
    content: '# Rules\n',
    commit_sha: '0123456789abcdef',
    updated_at: '2026-01-02T03:04:05.678901',
  }

  /** Oldest first. */
  const versions: {
    content: string
    commit_sha: string
    message: string
    author: string
    timestamp: string
  }[] = []
  const save = (content: string, message: string, { email: author }: Pick<User, 'email'>): void => {
    const commit = createHash('sha1').update(`${versions.length} ${content}`).digest('hex')
    const timestamp = new Date(Date.UTC(2026, 1, 1, 0, 0, versions.length)).toISOString().slice(0, 19)
    versions.push({ content, commit_sha: commit, message, author, timestamp })
    configuration = { content, commit_sha: commit, updated_at: timestamp }
  }

  const give = (user: User, family: string, withCookie: boolean) => {
    const claims = { sub: user.id, email: user.email, ...(jti && { jti: randomUUID() }) }
    const access = signToken({ ...claims, type: 'access' }, state.accessTtlS)
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
      const refresh = signToken({ ...claims, type: 'refresh' }, refreshTtlS)
      refreshTokens.set(refresh, { user, family, valid: true, replaced: false })
      state.lastTokens.refresh = refresh
      headers['set-cookie'] =
        `refresh_token=${refresh}; HttpOnly; Max-Age=${refreshTtlS}; Path=${apiPath}/auth; SameSite=lax; Secure`
    }
    return { headers, body: { access_token: access, token_type: 'bearer', expires_in: state.accessTtlS } }
  }

  const bearerOf = ({ headers }: ReceivedRequest): string | undefined =>
    /^Bearer (.*)$/i.exec(headers['authorization'] ?? '')?.[1]
  const holder = (request: ReceivedRequest): User | undefined => {
    const bearer = bearerOf(request) ?? ''
    const grant = accessTokens.get(bearer)
    if (grant?.valid && grant.expiresAtMs > Date.now()) return grant.user
    // The server does not look at the type of a token.
    const session = refreshTokens.get(bearer)
    return session?.valid && !session.replaced ? session.user : undefined
  }
  const refuse = (request: ReceivedRequest, response: ServerResponse): void => {
    const detail = bearerOf(request) === undefined ? 'Not authenticated' : 'Could not validate credentials'
    answer(response, 401, { detail }, CHALLENGE)
  }
  const isOverLimit = (address: string): boolean => {
    const recent = (logins.get(address) ?? []).filter(time => time > Date.now() - 60_000)
    logins.set(address, [...recent, Date.now()])
    return recent.length >= loginsPerMinute
  }

  const routes: Record<string, (request: ReceivedRequest, response: ServerResponse) => void> = {
    'POST /auth/login'(request, response) {
      if (isOverLimit(response.socket?.remoteAddress ?? ''))
        return answer(response, 429, {
          error: `Rate limit exceeded: ${loginsPerMinute} per 1 minute`,
        })
      const form = new URLSearchParams(request.body)
      const isForm = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded')
      if (!isForm || !form.has('username') || !form.has('password')) {
        return answer(response, 422, {
          detail: [{ type: 'missing', loc: ['body', 'username'], msg: 'Field required', input: null }],
        })
      }
      const user = users.find(({ email }) => email === form.get('username'))
      if (!user || user.password !== form.get('password'))
        return answer(response, 401, { detail: 'Incorrect email or password' }, CHALLENGE)
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
      if (!grant?.valid || grant.replaced)
        return answer(response, 401, { detail: 'Invalid refresh token' }, CHALLENGE)
      grant.replaced = rotate
      const { headers, body } = give(grant.user, grant.family, rotate)
      answer(response, 200, body, headers)
    },
    'GET /auth/me'(request, response) {
      const user = holder(request)
      if (!user) return refuse(request, response)
      const { id, email, username, role } = user
      answer(response, 200, { id, email, username, role, created_at: '2026-01-01T00:00:00.123456' })
    },
    'POST /auth/logout'(request, response) {
      if (!holder(request)) return refuse(request, response)
      answer(
        response,
        200,
        { message: 'Logged out' },
        { 'set-cookie': `refresh_token=""; Max-Age=0; Path=${apiPath}/auth` },
      )
    },
    'GET /configuration/me'(request, response) {
      if (!holder(request)) return refuse(request, response)
      answer(response, 200, configuration)
    },
    'PUT /configuration/me'(request, response) {
      const user = holder(request)
      if (!user) return refuse(request, response)
      const { content, message = 'Saved' } = JSON.parse(request.body)
      if (typeof content !== 'string') return answer(response, 422, { detail: 'content is not a string' })
      save(content, message, user)
      answer(response, 200, configuration)
    },
    'GET /configuration/me/history'(request, response) {
      if (!holder(request)) return refuse(request, response)
      const limit = Number(new URL(request.path, 'http://h').searchParams.get('limit') ?? 20)
      const listed = versions.map(({ content: _, ...version }) => version).reverse()
      answer(response, 200, { versions: listed.slice(0, limit), total: listed.length })
    },
    'GET /catalog'(request, response) {
      // A bad token is not refused here.
      const items = holder(request) ? ['public', 'private'] : ['public']
      answer(response, 200, { items, total: items.length, page: 1, size: 100, pages: 1 })
    },
    'GET /admin/users/'(request, response) {
      if (!holder(request)) return refuse(request, response)
      answer(response, 200, { items: [], total: 0, page: 1, page_size: 20 })
    },
  }

  /** What tests of `atlas api` talk to: tells back what arrived. */
  const echo = (request: ReceivedRequest, response: ServerResponse): void => {
    const { method, path, body } = request
    if (!holder(request)) refuse(request, response)
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
    const isLooking = below === '/auth/me' && bearerOf(request) === undefined
    const route = isLooking ? API_SEARCH_ROUTE : below && `${request.method} ${below}`
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
    const handler = routes[`${request.method} ${below}`]
    if (handler) return handler(request, response)
    const [, commit] = /^\/configuration\/me\/rollback\/(\w+)$/.exec(below ?? '') ?? []
    if (request.method === 'POST' && commit !== undefined) {
      const user = holder(request)
      const version = versions.find(({ commit_sha: sha }) => sha === commit)
      if (!user) return refuse(request, response)
      if (version === undefined) return answer(response, 404, { detail: 'No such version' })
      save(version.content, `Back to ${commit}`, user)
      return answer(response, 200, configuration)
    }
    if (below === undefined) return aroundApi(request, response, webApplication)
    const withSlash = `${pathname}/`.slice(apiPath.length)
    if (Object.keys(routes).some(known => known.endsWith(` ${withSlash}`))) {
      const location = request.path.replace(pathname, `http://${request.headers['host']}${pathname}/`)
      response.writeHead(307, { location })
      return response.end()
    }
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
    configuration: () => configuration.content,
    saveConfiguration: (content, message = 'Elsewhere') =>
      save(content, message, { email: 'web@example.com' }),
    setConfiguration(content, commitSha = 'fedcba9876543210') {
      configuration = { content, commit_sha: commitSha, updated_at: '2026-02-03T04:05:06' }
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

const CHALLENGE = { 'www-authenticate': 'Bearer' }

function aroundApi({ method }: ReceivedRequest, response: ServerResponse, application: WebApplication): void {
  const isRead = method === 'GET' || method === 'HEAD'
  const statuses = { page: 200, 'not found': 404, forbidden: 403, none: 404 }
  const status = isRead || application === 'none' ? statuses[application] : 405
  if (application === 'none') answer(response, status, { detail: 'Not Found' })
  else {
    response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' })
    response.end('<!doctype html><title>Atlas</title>')
  }
}

/** An HS256 JWT; one of the same claims and second is the same text. */
export function signToken(claims: Record<string, unknown>, ttlS: number): string {
  const iat = Math.floor(Date.now() / 1000)
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const content = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ ...claims, iat, exp: iat + ttlS })}`
  return `${content}.${createHmac('sha256', SECRET).update(content).digest('base64url')}`
}
