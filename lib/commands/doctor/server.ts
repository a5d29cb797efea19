import type { Config } from '../../config/load.ts'
import { hasNoPath, isLoopback } from '../../config/server.ts'
import { AtlasError } from '../../errors.ts'
import { parseJsonObject } from '../../http/answer.ts'
import type { Run } from '../../run.ts'
import { describeDuration } from '../../terminal/time.ts'
import { type Finding, fail, failedBy, notChecked, ok, warn } from './finding.ts'

/** The longest that the server is waited for, in milliseconds. */
const SERVER_TIMEOUT_MS = 5_000
/** An HTTP date has whole seconds, and an answer takes its time. */
const TOLERATED_SKEW_MS = 30_000
const BROKEN_SKEW_MS = 300_000

type ServerFindings = Record<'server' | 'tls' | 'clock', Finding>

/** What one look at the server tells: whether it is there, trusted, and what time it has. */
export async function checkServer({
  config,
  credentials,
  http,
  now,
}: Pick<Run, 'config' | 'credentials' | 'http' | 'now'>): Promise<ServerFindings> {
  const { apiUrl, allowHttp } = config
  const server = new URL(apiUrl.value)
  const plain = server.protocol === 'http:'
  if (plain && !isLoopback(server.hostname) && !allowHttp.value) {
    const unchecked = notChecked('nothing is sent over plain http; see config.')
    return { server: unchecked, tls: unchecked, clock: unchecked }
  }
  const startedAt = performance.now()
  const ask = (url: string) => http.fetch(url, { guard: { timeoutMs: SERVER_TIMEOUT_MS } })
  try {
    const health = await ask(`${server.origin}/health`)
    const elapsedMs = Math.round(performance.now() - startedAt)
    const known = await credentials.find().catch(() => undefined)
    const api = await findApi(known?.apiRoot, apiUrl.value, ask)
    return {
      server: judgeServer(server.origin, apiUrl.value, { health: health.status, elapsedMs, ...api }),
      tls: plain ? plainHttp(server) : ok(`The certificate of ${server.host} is trusted.`),
      clock: checkClock(health.headers.get('date'), now()),
    }
  } catch (error) {
    return whereUnreached(error, config, now())
  }
}

/** @throws the error, where it says nothing of the server. */
function whereUnreached(error: unknown, { apiUrl }: Config, now: Date): ServerFindings {
  if (!(error instanceof AtlasError)) throw error
  const server = new URL(apiUrl.value)
  const clock = notChecked(`the server was not reached. Here it is ${now.toISOString().slice(0, 16)}Z.`)
  if (error.code === 'tls')
    return {
      server: notChecked('there is no trusted connection; see tls.'),
      tls: failedBy(error),
      clock,
    }
  const reached = failedBy(error)
  const fix = 'Name your server: atlas auth login --api-url https://atlas.example.com'
  return {
    server: apiUrl.source === 'default' ? { ...reached, fix } : reached,
    tls: server.protocol === 'http:' ? plainHttp(server) : notChecked('the server was not reached.'),
    clock,
  }
}

interface Look {
  readonly health: number
  readonly elapsedMs: number
  readonly apiRoot: string | undefined
  /** What the last place that was looked at answered. */
  readonly status: number
}

function judgeServer(origin: string, apiUrl: string, { health, elapsedMs, apiRoot, status }: Look): Finding {
  if (apiRoot === undefined && status >= 500)
    return fail(
      `${origin} answers with an error (${status}).`,
      'Try again later, or ask who runs the server.',
    )
  if (apiRoot === undefined)
    return fail(
      `${origin} answers, but there is no Atlas API at ${apiUrl}.`,
      'Check the path of the server URL; the API is usually at /api/v1.',
    )
  return health === 200
    ? ok(`${apiRoot} answers, its health check in ${elapsedMs} ms.`)
    : warn(`${apiRoot} answers, but ${origin}/health says ${health}.`, 'Ask who runs the server.')
}

const plainHttp = (server: URL): Finding =>
  isLoopback(server.hostname)
    ? ok('Plain http, which does not leave this machine.')
    : warn(
        `Plain http to ${server.host}: everybody on the way can read the credentials.`,
        'Use https if the server has it.',
      )

/** Where the API answers without a token as it does: that one is needed. A web page there is no API. */
async function findApi(
  known: string | undefined,
  apiUrl: string,
  ask: (url: string) => Promise<Response>,
): Promise<Pick<Look, 'apiRoot' | 'status'>> {
  const roots = known ? [known] : hasNoPath(apiUrl) ? [apiUrl, `${apiUrl}/api/v1`] : [apiUrl]
  let status = 0
  for (const root of roots) {
    const answer = await ask(`${root}/auth/me`)
    status = answer.status
    const type = answer.headers.get('content-type')
    const isJson = type === null ? parseJsonObject(await answer.text()) !== undefined : /\bjson\b/i.test(type)
    if (isJson && [200, 401, 403].includes(status)) return { apiRoot: root, status }
  }
  return { apiRoot: undefined, status }
}

function checkClock(date: string | null, now: Date): Finding {
  const skewMs = Date.parse(date ?? '') - now.getTime()
  if (Number.isNaN(skewMs)) return notChecked('the server does not say what time it has.')
  if (Math.abs(skewMs) <= TOLERATED_SKEW_MS) return ok('It agrees with the server’s.')
  const said = `The clock of this machine is ${describeDuration(Math.abs(skewMs))} ${skewMs > 0 ? 'behind' : 'ahead of'} the server’s.`
  const fix = 'Set the clock, or switch on its synchronisation.'
  return Math.abs(skewMs) > BROKEN_SKEW_MS ? fail(said, fix) : warn(said, fix)
}
