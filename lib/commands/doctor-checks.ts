import fs from 'node:fs'
import path from 'node:path'
import { hasNoPath, isLoopback } from '../api-url.ts'
import { readClaims } from '../auth/protocol.ts'
import type { Config, Environment } from '../config.ts'
import { AtlasError, errorCode } from '../errors.ts'
import type { System } from '../system.ts'
import { describeDuration, describeMoment } from './time.ts'

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
  /** What to do; null where all is well. */
  readonly fix: string | null
}

type Finding = Omit<Check, 'name'>

/** The longest that the server is waited for, in milliseconds. */
const SERVER_TIMEOUT_MS = 5_000
/** An HTTP date has whole seconds, and an answer takes its time. */
const TOLERATED_SKEW_MS = 30_000
const BROKEN_SKEW_MS = 300_000

const ok = (detail: string): Finding => ({ status: 'ok', detail, fix: null })
const warn = (detail: string, fix: string | null = null): Finding => ({ status: 'warn', detail, fix })
const fail = (detail: string, fix: string | null): Finding => ({ status: 'fail', detail, fix })

/** What an error says, as a finding. */
export const failedBy = (error: unknown): Finding => {
  if (error instanceof AtlasError) return fail(error.message, error.hint ?? null)
  throw error
}

export function checkConfig(config: Config): Finding {
  const { folder, profile, apiUrl, store, timeoutMs, keychainTimeoutMs } = config
  const said = [
    `server ${apiUrl.value} (${apiUrl.from})`,
    `profile ${profile.value} (${profile.from})`,
    `store ${store.value} (${store.from})`,
    `timeout ${timeoutMs.value / 1000} s (${timeoutMs.from})`,
    `keychain wait ${keychainTimeoutMs.value / 1000} s (${keychainTimeoutMs.from})`,
    `folder ${folder.value} (${folder.from})`,
  ].join('; ')
  const fault = writeFault(folder.value)
  if (fault === undefined) return ok(said)
  return fail(
    `The config folder ${folder.value} cannot be written (${fault}), so a login cannot be remembered. ${said}`,
    'Mend its permissions, or choose another folder with ATLAS_CONFIG_DIR.',
  )
}

/** Why a folder, or the nearest one above it that exists, cannot be written; undefined where it can. */
export function writeFault(folder: string): string | undefined {
  try {
    fs.accessSync(folder, fs.constants.W_OK)
    return undefined
  } catch (error) {
    const code = errorCode(error)
    const above = path.dirname(folder)
    return code === 'ENOENT' && above !== folder ? writeFault(above) : code
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
  const server = new URL(config.apiUrl.value)
  const plain = server.protocol === 'http:'
  const startedAt = performance.now()
  try {
    const health = await guardedFetch(`${server.origin}/health`, { guard: { timeoutMs: SERVER_TIMEOUT_MS } })
    const elapsedMs = Math.round(performance.now() - startedAt)
    const apiRoot = await findApi(
      config.apiUrl.value,
      guardedFetch,
      fixedToken === undefined ? sessions : undefined,
    )
    const isHealthy = health.status === 200
    return {
      server:
        apiRoot === undefined
          ? fail(
              `${server.origin} answers, but there is no Atlas API at ${config.apiUrl.value}.`,
              'Check the path of the server URL; the API is usually at /api/v1.',
            )
          : isHealthy
            ? ok(`${apiRoot} answers; health in ${elapsedMs} ms`)
            : warn(
                `${apiRoot} answers, but ${server.origin}/health says ${health.status}.`,
                'Ask who runs the server.',
              ),
      tls: plain ? plainHttp(server) : ok(`The certificate of ${server.host} is trusted.`),
      clock: checkClock(health.headers.get('date'), now()),
    }
  } catch (error) {
    if (!(error instanceof AtlasError)) throw error
    const unchecked = warn('Not checked: the server was not reached.')
    if (error.code === 'tls') {
      return {
        server: warn('Not checked: there is no trusted connection; see tls.'),
        tls: failedBy(error),
        clock: unchecked,
      }
    }
    return { server: failedBy(error), tls: plain ? plainHttp(server) : unchecked, clock: unchecked }
  }
}

const plainHttp = (server: URL): Finding =>
  isLoopback(server.hostname)
    ? ok('Plain http, which does not leave this machine.')
    : warn(
        `Plain http to ${server.host}: everybody on the way can read the credentials.`,
        'Use https if the server has it.',
      )

/** Where the API answers without a token as it does: that one is needed. */
async function findApi(
  apiUrl: string,
  guardedFetch: System['guardedFetch'],
  sessions: System['sessions'] | undefined,
): Promise<string | undefined> {
  const known = await sessions?.current().catch(() => undefined)
  const roots = known ? [known.apiRoot] : hasNoPath(apiUrl) ? [apiUrl, `${apiUrl}/api/v1`] : [apiUrl]
  for (const root of roots) {
    const { status } = await guardedFetch(`${root}/auth/me`, { guard: { timeoutMs: SERVER_TIMEOUT_MS } })
    if (status === 401 || status === 200) return root
  }
  return undefined
}

function checkClock(date: string | null, now: Date): Finding {
  const skewMs = Date.parse(date ?? '') - now.getTime()
  if (Number.isNaN(skewMs)) return warn('Not checked: the server does not say what time it has.')
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
  const plain = store.kind === 'file' ? ', in plain text' : ''
  return ok(`${store.location}: written, read and deleted a probe in ${elapsedMs} ms${plain}`)
}

export async function checkCredentials({
  sessions,
  fixedToken,
  now,
}: Pick<System, 'sessions' | 'fixedToken' | 'now'>): Promise<Finding> {
  if (fixedToken !== undefined) {
    const { expiresAt } = readClaims(fixedToken)
    const until = expiresAt ? `; by its own word valid until ${describeMoment(expiresAt, now())}` : ''
    return ok(`ATLAS_ACCESS_TOKEN is set and beats the store${until}`)
  }
  const session = await sessions.current()
  if (session === undefined) return warn('Not logged in.', 'Log in with: atlas auth login')
  const ends = session.sessionExpiresAt
  const said = `Logged in as ${session.email}`
  if (ends && ends < now())
    return fail(
      `${said}, but the session ended ${describeMoment(ends, now())}.`,
      'Log in again with: atlas auth login',
    )
  return ok(
    `${said}${ends ? `; the session ends ${describeMoment(ends, now())}` : ''}; the server was not asked (atlas auth status does)`,
  )
}

export async function checkLock({ lock, store }: Pick<System, 'lock' | 'store'>): Promise<Finding> {
  const startedAt = performance.now()
  await lock.hold(async () => {})
  return ok(`taken and released in ${(performance.now() - startedAt).toFixed(0)} ms, in ${store.lockFolder}`)
}

/** Which proxy and which certificate authorities are in force for the configured server. */
export function checkProxy(config: Config, env: Environment): Finding {
  const server = new URL(config.apiUrl.value)
  const variables =
    server.protocol === 'https:' ? ['https_proxy', 'HTTPS_PROXY'] : ['http_proxy', 'HTTP_PROXY']
  const variable = variables.find(name => env[name])
  const authorities = env['NODE_EXTRA_CA_CERTS']
  if (authorities && !isReadable(authorities))
    return warn(
      `NODE_EXTRA_CA_CERTS names ${authorities}, which cannot be read.`,
      'Correct the path, or unset it.',
    )
  const trusted = authorities ? `; certificate authorities also from ${authorities}` : ''
  if (variable === undefined) return ok(`no proxy${trusted}`)
  if (isLoopback(server.hostname)) return ok(`${variable} is set, but is not used for this machine${trusted}`)
  const proxy = URL.parse(env[variable] ?? '')
  if (proxy === null) return warn(`${variable} is not a URL.`, 'Correct it, or unset it.')
  const exceptions = env['no_proxy'] || env['NO_PROXY'] ? ' (NO_PROXY names exceptions)' : ''
  return ok(`${proxy.protocol}//${proxy.host} from ${variable}${exceptions}${trusted}`)
}

function isReadable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.R_OK)
    return true
  } catch {
    return false
  }
}
