import fs from 'node:fs'
import path from 'node:path'
import type { Config, Environment } from '../../config/load.ts'
import { hasNoPath, isLoopback, requireSecure } from '../../config/server.ts'
import { describeSettings, loginCommand } from '../../config/settings.ts'
import { AtlasError, errorCode } from '../../errors.ts'
import { faultOf } from '../../files/faults.ts'
import { proxyFor, proxyVariable } from '../../http/proxy.ts'
import type { System } from '../../run.ts'
import { parseJsonObject, readClaims } from '../../session/protocol.ts'
import { describeDuration, describeMoment } from '../../terminal/time.ts'

export const CHECK_NAMES = [
  'version',
  'config',
  'server',
  'tls',
  'clock',
  'store',
  'credentials',
  'lock',
  'proxy',
  'sync',
] as const

export type CheckName = (typeof CHECK_NAMES)[number]

export interface Check {
  readonly name: CheckName
  readonly status: 'ok' | 'warn' | 'fail'
  readonly detail: string
  /** What else is worth knowing, each on a line of its own. */
  readonly more: readonly string[]
  /** What to do; null where all is well. */
  readonly fix: string | null
}

export type Finding = Omit<Check, 'name'>

/** The longest that the server is waited for, in milliseconds. */
const SERVER_TIMEOUT_MS = 5_000
/** An HTTP date has whole seconds, and an answer takes its time. */
const TOLERATED_SKEW_MS = 30_000
const BROKEN_SKEW_MS = 300_000

export const ok = (detail: string, ...more: readonly string[]): Finding => ({
  status: 'ok',
  detail,
  more,
  fix: null,
})
export const warn = (detail: string, fix: string | null = null): Finding => ({
  status: 'warn',
  detail,
  more: [],
  fix,
})
export const fail = (detail: string, fix: string | null): Finding => ({
  status: 'fail',
  detail,
  more: [],
  fix,
})

export const notChecked = (reason: string): Finding => warn(`Not checked: ${reason}`)

/** What an error says, as a finding. */
export const failedBy = (error: unknown): Finding => {
  if (error instanceof AtlasError) return fail(error.message, error.hint ?? null)
  throw error
}

export function checkConfig(config: Config): Finding {
  const { apiUrl, allowHttp, folder } = config
  const more = describeSettings(config).map(({ name, value, from }) => `${name} ${value} (${from})`)
  try {
    requireSecure(new URL(apiUrl.value), allowHttp.value)
  } catch (error) {
    return { ...failedBy(error), more }
  }
  const fault = writeFault(folder.value)
  if (fault === undefined) return ok('It can be used.', ...more)
  const unwritable = fail(
    `The config folder ${folder.value} cannot be written (${fault}), so a login cannot be remembered.`,
    'Mend its permissions, or choose another folder with ATLAS_CONFIG_DIR.',
  )
  return { ...unwritable, more }
}

/** Why nothing can be written to a folder, or to the nearest one above it that exists; undefined where it can. */
export function writeFault(folder: string): string | undefined {
  try {
    fs.rmdirSync(fs.mkdtempSync(path.join(folder, '.atlas-probe-')))
    return undefined
  } catch (error) {
    const code = errorCode(error)
    const isThere = fs.existsSync(folder)
    const above = path.dirname(folder)
    if (code === 'ENOENT' && !isThere && above !== folder) return writeFault(above)
    return faultOf(error)?.reason
  }
}

/** What one look at the server tells: whether it is there, trusted, and what time it has. */
export async function checkServer({
  config,
  guardedFetch,
  now,
  sessions,
  fixedToken,
}: Pick<System, 'config' | 'guardedFetch' | 'now' | 'sessions' | 'fixedToken'>): Promise<
  Record<'server' | 'tls' | 'clock', Finding>
> {
  const { apiUrl, allowHttp } = config
  const server = new URL(apiUrl.value)
  const plain = server.protocol === 'http:'
  if (plain && !isLoopback(server.hostname) && !allowHttp.value) {
    const unchecked = notChecked('nothing is sent over plain http; see config.')
    return { server: unchecked, tls: unchecked, clock: unchecked }
  }
  const startedAt = performance.now()
  const ask = (url: string) => guardedFetch(url, { guard: { timeoutMs: SERVER_TIMEOUT_MS } })
  try {
    const health = await ask(`${server.origin}/health`)
    const elapsedMs = Math.round(performance.now() - startedAt)
    const known = fixedToken === undefined ? await sessions.current().catch(() => undefined) : undefined
    // Only a login looks for the API below an origin.
    const api = await findApi(fixedToken === undefined ? known?.apiRoot : apiUrl.value, apiUrl.value, ask)
    return {
      server: judgeServer(server.origin, apiUrl.value, { health: health.status, elapsedMs, ...api }),
      tls: plain ? plainHttp(server) : ok(`The certificate of ${server.host} is trusted.`),
      clock: checkClock(health.headers.get('date'), now()),
    }
  } catch (error) {
    if (!(error instanceof AtlasError)) throw error
    const clock = notChecked(`the server was not reached. Here it is ${now().toISOString().slice(0, 16)}Z.`)
    if (error.code === 'tls') {
      return {
        server: notChecked('there is no trusted connection; see tls.'),
        tls: failedBy(error),
        clock,
      }
    }
    const notNamed = apiUrl.source === 'default'
    const reached = failedBy(error)
    return {
      server: notNamed
        ? {
            ...reached,
            fix: 'Name your server: atlas auth login --api-url https://atlas.example.com',
          }
        : reached,
      tls: plain ? plainHttp(server) : notChecked('the server was not reached.'),
      clock,
    }
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

export async function checkStore({
  sessions,
  store,
  fixedToken,
}: Pick<System, 'sessions' | 'store' | 'fixedToken'>): Promise<Finding> {
  if (fixedToken !== undefined) return ok(`Not used: ATLAS_ACCESS_TOKEN is set and beats ${store.location}`)
  const startedAt = performance.now()
  await sessions.prove()
  const elapsedMs = (performance.now() - startedAt).toFixed(0)
  const plain = store.kind === 'file' ? ['What is there is plain text, readable by you alone.'] : []
  return ok(`A probe was written to ${store.location}, read and deleted in ${elapsedMs} ms.`, ...plain)
}

export async function checkCredentials({
  config,
  sessions,
  fixedToken,
  now,
}: Pick<System, 'config' | 'sessions' | 'fixedToken' | 'now'>): Promise<Finding> {
  if (fixedToken !== undefined) {
    const { expiresAt } = readClaims(fixedToken)
    const until = expiresAt ? [`By its own word it is valid until ${describeMoment(expiresAt, now())}.`] : []
    return ok('ATLAS_ACCESS_TOKEN is set and beats the store.', ...until)
  }
  const session = await sessions.current()
  if (session === undefined) return warn('Not logged in.', `Log in with: ${loginCommand(config)}`)
  const ends = session.sessionExpiresAt
  const said = `Logged in as ${shortenedEmail(session.email)}`
  if (ends && ends < now())
    return fail(
      `${said}, but the session ended ${describeMoment(ends, now())}.`,
      `Log in again with: ${loginCommand(config)}`,
    )
  return ok(
    `${said}.`,
    ...(ends ? [`The session ends ${describeMoment(ends, now())}.`] : []),
    'The server was not asked whether it agrees; atlas auth status does that.',
  )
}

/** Enough of an e-mail to tell accounts apart, in a report that may be published. */
const shortenedEmail = (email: string): string => email.replace(/^(.)[^@]*/, '$1…')

export async function checkLock({
  lock,
  configLock,
  config,
  store,
}: Pick<System, 'lock' | 'configLock' | 'config' | 'store'>): Promise<Finding> {
  const startedAt = performance.now()
  await lock.hold(async () => {})
  const elapsedMs = (performance.now() - startedAt).toFixed(0)
  // A login needs this one too; the folder is not made for a report's sake.
  if (fs.existsSync(config.folder.value)) await configLock.hold(async () => {})
  return ok(`Taken and released in ${elapsedMs} ms, in ${store.lockFolder}.`)
}

/** Which proxy and which certificate authorities are in force for the configured server. */
export function checkProxy(config: Config, env: Environment): Finding {
  const server = new URL(config.apiUrl.value)
  const variable = proxyVariable(server, env)
  const authorities = env['NODE_EXTRA_CA_CERTS']
  if (authorities && !isReadable(authorities))
    return warn(
      `NODE_EXTRA_CA_CERTS names ${authorities}, which cannot be read.`,
      'Correct the path, or unset it.',
    )
  const more = authorities
    ? [`Certificate authorities also come from ${authorities} (NODE_EXTRA_CA_CERTS).`]
    : []
  if (variable === undefined) return ok('No proxy is used.', ...more)
  const exceptions = env['no_proxy'] || env['NO_PROXY'] ? '; NO_PROXY names exceptions' : ''
  try {
    const url = proxyFor(server, env)
    if (url === undefined) return ok(`${variable} is set, but is not used for this machine.`, ...more)
    return ok(`${url.protocol}//${url.host} is used (${variable}${exceptions}).`, ...more)
  } catch (error) {
    return { ...failedBy(error), more }
  }
}

function isReadable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.R_OK)
    return true
  } catch {
    return false
  }
}
