import type { Config } from '../../config/load.ts'
import { isLoopback } from '../../config/server.ts'
import { NAME_YOUR_SERVER } from '../../config/settings.ts'
import { recoverable } from '../../errors.ts'
import { servedAtMs } from '../../http/answer.ts'
import { findApiRoot } from '../../http/api-root.ts'
import type { Run } from '../../run.ts'
import { describeDuration } from '../../terminal/time.ts'
import { type Finding, fail, failedBy, notChecked, ok, warn } from './finding.ts'
import type { Findings } from './report.ts'

/** The longest wait for an answer. */
const SERVER_TIMEOUT_MS = 5_000
/** An HTTP date has whole seconds, and an answer takes its time. */
const TOLERATED_SKEW_MS = 30_000
const BROKEN_SKEW_MS = 300_000

type ServerFindings = Pick<Findings, 'server' | 'tls' | 'clock'>

/** Whether the server is there and trusted, and what time it has. */
export async function checkServer(run: Run): Promise<ServerFindings> {
  const { config, http, now, interrupts } = run
  const { apiUrl, allowHttp } = config
  const server = new URL(apiUrl.value)
  const isPlain = server.protocol === 'http:'
  if (isPlain && !isLoopback(server.hostname) && !allowHttp.value) {
    const unchecked = notChecked('nothing is sent over plain http; see config.')
    return { server: unchecked, tls: unchecked, clock: unchecked }
  }
  const limits = { timeoutMs: SERVER_TIMEOUT_MS, signal: interrupts.cancelled }
  try {
    const startedAt = performance.now()
    const health = await http.ask(apiUrl.value, '/health', { method: 'GET', ...limits })
    const elapsedMs = Math.round(performance.now() - startedAt)
    const apiRoot = await findApiRoot(apiUrl.value, run, limits).catch(recoverable)
    return {
      server:
        typeof apiRoot === 'string'
          ? checkHealth(apiUrl.value, apiRoot, health.status, elapsedMs)
          : failedBy(apiRoot),
      tls: isPlain ? plainHttp(server) : ok(`The certificate of ${server.host} is trusted.`),
      clock: checkClock(servedAtMs(health.headers), now()),
    }
  } catch (error) {
    return notReached(error, config, now())
  }
}

function checkHealth(apiUrl: string, apiRoot: string, status: number, elapsedMs: number): Finding {
  if (status === 200) return ok(`${apiRoot} answers, its health check in ${elapsedMs} ms.`)
  return warn(`${apiRoot} answers, but ${apiUrl}/health says ${status}.`, 'Ask the server’s administrator.')
}

function notReached(error: unknown, { apiUrl }: Config, now: Date): ServerFindings {
  const { code } = recoverable(error)
  const finding = failedBy(error)
  const clock = notChecked(`the server was not reached. Here it is ${now.toISOString().slice(0, 16)}Z.`)
  if (code === 'tls')
    return { server: notChecked('there is no trusted connection; see tls.'), tls: finding, clock }
  const server = new URL(apiUrl.value)
  return {
    server: apiUrl.source === 'default' ? { ...finding, fix: NAME_YOUR_SERVER } : finding,
    tls: server.protocol === 'http:' ? plainHttp(server) : notChecked('the server was not reached.'),
    clock,
  }
}

const plainHttp = (server: URL): Finding =>
  isLoopback(server.hostname)
    ? ok('Plain http, which does not leave this machine.')
    : warn(
        `Plain http to ${server.host}: others on the network can read the credentials.`,
        'Use https if the server has it.',
      )

function checkClock(serverMs: number, now: Date): Finding {
  const skewMs = serverMs - now.getTime()
  if (Number.isNaN(skewMs)) return notChecked('the server does not send its time.')
  if (Math.abs(skewMs) <= TOLERATED_SKEW_MS) return ok('It agrees with the server’s.')
  const side = skewMs > 0 ? 'behind' : 'ahead of'
  const judge = Math.abs(skewMs) > BROKEN_SKEW_MS ? fail : warn
  return judge(
    `The clock of this machine is ${describeDuration(Math.abs(skewMs))} ${side} the server’s.`,
    'Set the clock, or switch on its synchronisation.',
  )
}
