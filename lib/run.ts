import {
  emailAt,
  type LoginPlace,
  loginElsewhere,
  profilesOf,
  readConfigFile,
  type SharedConfigFile,
  shareConfigFile,
  withoutRecord,
} from './config/file.ts'
import { type Config, type GivenFlags, loadConfig, type Surroundings } from './config/load.ts'
import { requireSecure } from './config/server.ts'
import { describeSettings, loginCommand } from './config/settings.ts'
import { refuseDebugger } from './debugger.ts'
import { AtlasError } from './errors.ts'
import { createLock, type Lock, type LockOptions } from './files/lock.ts'
import { accountHome, addonFolders, userLockFolder } from './files/user-folder.ts'
import type { Reader } from './http/answer.ts'
import { authoritiesFault } from './http/authorities.ts'
import { type Budget, createBudget } from './http/deadline.ts'
import { proxyFor } from './http/proxy.ts'
import { createHttp, type Http } from './http/requests.ts'
import type { Interrupts } from './interrupts.ts'
import { type Credentials, environmentCredentials, storedCredentials } from './session/credentials.ts'
import { endsWithin, SOON_MS } from './session/record.ts'
import { accountOf, createStoredSession, partsOf, type StoredSession } from './session/stored-session.ts'
import { createFileStore } from './store/file.ts'
import { createKeychainStore } from './store/keychain/keychain.ts'
import type { Terminal } from './terminal/output.ts'
import type { Secrets } from './terminal/secrets.ts'
import type { Line } from './terminal/style.ts'
import { describeMoment, useTimeZone } from './terminal/time.ts'

/** The longest wait for a lock is the request timeout, the keychain wait and this together, in milliseconds. */
const LOCK_MARGIN_MS = 5_000

/** What the outside world lends to a run of atlas. */
export interface Host extends Surroundings {
  /** The numeric user id; undefined on Windows. */
  readonly uid: number | undefined
  /** The user's home folder as the runtime knows it: HOME, but on Windows from the user database. */
  readonly runtimeHome: string | undefined
  readonly terminal: Terminal
  readonly interrupts: Interrupts
  readonly secrets: Secrets
  readonly now: () => Date
  readonly readStdin: () => AsyncIterable<Uint8Array>
}

/** What a command says of itself before it runs. */
export interface RunOptions {
  /** A bound on all requests and waits of the run together, in milliseconds. */
  readonly budgetMs?: number
  /** The command works without the server, so a URL that must not be used is not an error. */
  readonly worksOffline?: boolean
  /** The command creates profiles, so an unknown one is not worth a notice. */
  readonly mayBeNewProfile?: boolean
  /** A config file that cannot be used is not an error: see `Config.fileFault`. */
  readonly mayLackConfigFile?: boolean
  /** The command itself says when the session ends. */
  readonly saysWhenSessionEnds?: boolean
  /** A bound on the wait for a keychain where none is configured, in milliseconds. */
  readonly maxKeychainWaitMs?: number
}

/** What one run of a command is given. Nothing is opened, loaded or asked before it is used. */
export interface Run extends Host {
  readonly config: Config
  readonly configFile: SharedConfigFile
  /** Where this run's bearer token comes from. */
  readonly credentials: Credentials
  /** The stored session of the configured profile and server, whatever the environment says. */
  readonly stored: StoredSession
  /** The stored session of another login. */
  storedAs(login: LoginPlace): StoredSession
  /** The records in the file store, whether the config file lists them or not, and what could not be read. */
  loginsInFiles(): Promise<{ places: LoginPlace[]; faults: AtlasError[] }>
  readonly http: Http
  /** How a server's answers become messages. */
  readonly reader: Reader
  /** The lock of a file that belongs to the user, whatever profile or config folder changes it. */
  lockOf(file: string): Lock
}

/** @throws {AtlasError} `usage`, `insecure_url`: configuration that cannot be used. */
export function createRun(host: Host, flags: GivenFlags, options: RunOptions = {}): Run {
  const { terminal, secrets, env, now, uid } = host
  useTimeZone(env['TZ'])
  const config = configure(host, flags, options)
  const { profile, apiUrl, store, folder } = config
  const debug = config.debug.value ? terminal.diagnose : () => {}
  if (config.debug.value)
    for (const { name, value, from } of describeSettings(config)) debug(`config ${name}: ${value} (${from})`)
  secrets.add(config.accessToken.value)

  const budget = createBudget(options.budgetMs ?? Number.POSITIVE_INFINITY)
  const lockIn = createLocks(host, config, budget, debug)
  const stores = createStores(host, config, debug)
  const configFile = shareConfigFile(folder.value, lockIn(folder.value, 'config'))
  const storedAs = (login: LoginPlace): StoredSession => {
    const store = stores[login.store]
    const lock = lockIn(store.lockFolder, accountOf(login.profile, login.apiUrl), {
      inStore: login.store === 'file',
      amongOthers: login.store === 'keychain',
    })
    const listed = listedIn(config, configFile, login)
    return createStoredSession({
      ...login,
      ...listed,
      store,
      lock,
      secrets,
      now,
      loginCommand: loginCommand(config),
    })
  }
  const stored = storedAs({ profile: profile.value, apiUrl: apiUrl.value, store: store.value })
  const http = createHttp(
    {
      timeoutMs: config.timeoutMs.value,
      budget,
      allowHttp: config.allowHttp.value,
      proxyOf: server => proxyFor(server, env),
      authoritiesFault: () => authoritiesFault(env),
      debug,
      isSafeToShow: secrets.isSafeToShow,
    },
    now,
  )
  const reader: Reader = { isSafeToShow: secrets.isSafeToShow }
  const credentials = credentialsOf(host, config, stored, { http, reader, interrupts: host.interrupts })
  if (!options.saysWhenSessionEnds) terminal.atEnd(() => describeEnd(credentials.sessionEnd(), stored))
  return {
    ...host,
    config,
    configFile,
    credentials,
    stored,
    storedAs,
    async loginsInFiles() {
      const found = await stores.file.accounts()
      return {
        places: found.flatMap(account => {
          const parts = typeof account === 'string' ? partsOf(account) : undefined
          return parts ? [{ ...parts, store: 'file' }] : []
        }),
        faults: found.filter(account => account instanceof AtlasError),
      }
    },
    http,
    reader: { ...reader, renewHint: credentials.renewHint, tokenFault: credentials.tokenFault },
    lockOf: file =>
      lockIn(userLockFolder(uid, host.runtimeHome), `file ${file}`, { otherFolder: folder.value }),
  }
}

type Debug = (line: string) => void
type LockPlace = Pick<LockOptions, 'inStore' | 'amongOthers' | 'otherFolder'>
type LockIn = (folder: string, name: string, place?: LockPlace) => Lock

function configure(host: Host, flags: GivenFlags, options: RunOptions): Config {
  refuseDebugger(host.env)
  const config = loadConfig(flags, host, options.mayLackConfigFile)
  const { apiUrl, allowHttp, keychainTimeoutMs } = config
  if (!options.worksOffline) {
    requireSecure(new URL(apiUrl.value), allowHttp.value)
    proxyFor(new URL(apiUrl.value), host.env)
  }
  if (!options.mayBeNewProfile) mentionUnknownProfile(config, host.terminal)
  const { maxKeychainWaitMs: maxMs = Number.POSITIVE_INFINITY } = options
  return keychainTimeoutMs.source !== 'default' || keychainTimeoutMs.value <= maxMs
    ? config
    : { ...config, keychainTimeoutMs: { ...keychainTimeoutMs, value: maxMs, from: 'in doctor' } }
}

function createLocks({ uid, interrupts }: Host, config: Config, budget: Budget, debug: Debug): LockIn {
  const waitMs = config.timeoutMs.value + config.keychainTimeoutMs.value + LOCK_MARGIN_MS
  const { cancelled } = interrupts
  return (folder, name, place) => ({
    hold: work =>
      createLock({ folder, name, ...place, uid, timeoutMs: budget.within(waitMs), cancelled, debug }).hold(
        work,
      ),
  })
}

/** What the config file says of a login, and is told of it. */
function listedIn({ folder, file, fileFault }: Config, shared: SharedConfigFile, login: LoginPlace) {
  let readAtStart = fileFault === undefined ? file : undefined
  return {
    elsewhere: () => loginElsewhere(readConfigFile(folder.value), login),
    // What was read at the start is good enough to agree with; a disagreement is looked into.
    listedEmail: () => {
      const known = readAtStart ?? readConfigFile(folder.value)
      readAtStart = undefined
      return emailAt(known, login)
    },
    noteEnd: () => shared.update(file => withoutRecord(file, login)),
  }
}

const createStores = ({ platform, uid, env, runtimeHome }: Host, config: Config, debug: Debug) => ({
  file: createFileStore({ configFolder: config.folder.value, uid, debug }),
  keychain: createKeychainStore({
    platform,
    timeoutMs: config.keychainTimeoutMs.value,
    mayOpenDialogue: config.keychainMayAsk,
    loginCommand: loginCommand(config),
    lockFolder: userLockFolder(uid, runtimeHome),
    addonFolders: () => addonFolders(env, platform, uid, accountHome(platform, uid, runtimeHome)),
    env,
    uid,
    debug,
  }),
})

/** The one decision between a token of the environment and a stored session. */
function credentialsOf(
  { now }: Host,
  { accessToken, apiUrl, apiRoot }: Config,
  stored: StoredSession,
  requests: Pick<Run, 'http' | 'reader' | 'interrupts'>,
): Credentials {
  if (accessToken.value === undefined)
    return storedCredentials(stored, async seen => {
      const { refresh } = await import('./session/refresh.ts')
      return refresh(seen, stored, requests)
    })
  const findRoot = async (): Promise<string> => {
    if (apiRoot !== undefined) return apiRoot
    const { findApiRoot } = await import('./http/api-root.ts')
    return findApiRoot(apiUrl.value, requests, { signal: requests.interrupts.cancelled })
  }
  return environmentCredentials(accessToken.value, findRoot, now)
}

/** A session that ends soon must be renewed by a login, which a person may prefer to do before it is urgent. */
function describeEnd(end: Date | null, { apiUrl, loginCommand, now }: StoredSession): Line | undefined {
  if (!endsWithin(end, SOON_MS, now())) return undefined
  const verb = end > now() ? 'ends' : 'ended'
  return `The session on ${apiUrl} ${verb} ${describeMoment(end, now())}. Log in again with: ${loginCommand}`
}

/** A mistyped profile has no login; "Not logged in" alone would send a person to log in again. */
function mentionUnknownProfile({ profile, file }: Config, { json, notice }: Terminal): void {
  const profiles = profilesOf(file)
  if (json || profiles.size === 0 || profiles.has(profile.value)) return
  const names = [...profiles.keys()].join(', ')
  notice(`There is no profile "${profile.value}" yet (${profile.from}). Known profiles: ${names}.`)
}
