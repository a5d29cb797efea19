import type { $Fetch } from 'ofetch'
import {
  type ConfigFile,
  type Login,
  profilesOf,
  proveConfigFile,
  readConfigFile,
  writeConfigFile,
} from './config/file.ts'
import { type Config, type GivenFlags, loadConfig, type Surroundings } from './config/load.ts'
import { requireSecure } from './config/server.ts'
import { describeSettings, loginCommand } from './config/settings.ts'
import { AtlasError } from './errors.ts'
import { createLock, type Lock } from './files/lock.ts'
import { addonFolder, userLockFolder } from './files/user-folder.ts'
import { type BearerSource, createClient } from './http/client.ts'
import { proxyFor } from './http/proxy.ts'
import { createGuardedFetch, type GuardedFetch } from './http/transport.ts'
import type { Interrupts } from './interrupts.ts'
import { refuseDebugger } from './runtime-variables.ts'
import type { Session } from './session/record.ts'
import { accountOf, createSessions, partsOf, type Sessions } from './session/session.ts'
import { createFileStore } from './store/file.ts'
import { createKeychainStore } from './store/keychain/keychain.ts'
import type { CredentialStore } from './store/store.ts'
import type { Terminal } from './terminal/output.ts'
import type { Secrets } from './terminal/secrets.ts'
import { standardInput } from './terminal/standard-input.ts'
import { USER_AGENT } from './version.ts'

/** Added to request timeout and keychain wait, it is the longest wait for a lock, in milliseconds. */
const LOCK_MARGIN_MS = 5_000

/** What the outside world lends to a run of atlas. */
export interface Host extends Surroundings {
  /** The numeric user id; undefined on Windows. */
  readonly uid: number | undefined
  /** From the user database, whatever HOME says; undefined for a user whom it does not know. */
  readonly accountHomeFolder: string | undefined
  readonly terminal: Terminal
  readonly interrupts: Interrupts
  readonly secrets: Secrets
  readonly now: () => Date
  readonly readStdin: () => AsyncIterable<Uint8Array>
  readonly stdinIsTerminal: boolean
}

export interface SystemOptions {
  /** A bound on all requests and waits of the run together, in milliseconds. */
  readonly budgetMs?: number
  /** The command does its work without the server, so one that must not be talked to is no hindrance. */
  readonly worksOffline?: boolean
  /** The command makes profiles, so one that is not known yet is nothing to mention. */
  readonly mayBeNewProfile?: boolean
  /** The longest wait for a keychain where none is configured, in milliseconds. */
  readonly keychainWaitMs?: number
}

/** What commands work with, put together once a command has its flags. */
export interface System extends Host {
  readonly config: Config
  readonly store: CredentialStore
  readonly sessions: Sessions
  /** The sessions of another profile, server or store than the configured one. */
  sessionsOf(target: Omit<Login, 'email'>): { sessions: Sessions; store: CredentialStore }
  /** The token in ATLAS_ACCESS_TOKEN, as a session is one. */
  readonly fixedToken: string | undefined
  /** The sessions in the file store, whether the config file knows of them or not, and why others cannot be told. */
  sessionsInFiles(): Promise<{ sessions: Omit<Login, 'email'>[]; faults: AtlasError[] }>
  /** A client that carries the session's token, or the one in ATLAS_ACCESS_TOKEN. */
  authenticatedClient(session: Session | undefined): { client: $Fetch; apiRoot: string; bearer: BearerSource }
  /** A client that carries a session's token as it is, and refreshes nothing. */
  unrefreshedClient(session: Session, signal: AbortSignal): $Fetch
  /** See that the config file can be written. @throws {AtlasError} `file_error`, `lock_timeout` */
  proveConfigFile(): Promise<void>
  /** The lock of a file that belongs to the user, whatever profile or config folder changes it. */
  fileLock(file: string): Lock
  /** Change the config file; two processes that do so at once lose nothing. */
  updateConfigFile(change: (file: ConfigFile) => ConfigFile): Promise<void>
  readonly guardedFetch: GuardedFetch
  /** The lock of the configured profile and server. */
  readonly lock: Lock
  /** The lock of the config file. */
  readonly configLock: Lock
  readonly debug: (line: string) => void
}

/** @throws {AtlasError} `usage`, `insecure_url`: configuration that cannot be used. */
export function createSystem(host: Host, flags: GivenFlags, options: SystemOptions = {}): System {
  const {
    budgetMs = Number.POSITIVE_INFINITY,
    worksOffline = false,
    mayBeNewProfile = false,
    keychainWaitMs,
  } = options
  refuseDebugger(host.env)
  const loaded = loadConfig(flags, host)
  const { keychainTimeoutMs } = loaded
  const config =
    keychainWaitMs !== undefined && keychainTimeoutMs.source === 'default'
      ? { ...loaded, keychainTimeoutMs: { ...keychainTimeoutMs, value: keychainWaitMs, from: 'in doctor' } }
      : loaded
  if (!worksOffline) {
    requireSecure(new URL(config.apiUrl.value), config.allowHttp.value)
    proxyFor(new URL(config.apiUrl.value), host.env)
  }
  const { terminal, interrupts, secrets, now, uid, platform } = host
  const debug = config.debug.value ? terminal.diagnose : () => {}
  for (const { name, value, from } of describeSettings(config)) debug(`config ${name}: ${value} (${from})`)
  secrets.add(config.accessToken.value)
  if (!mayBeNewProfile) mentionUnknownProfile(config, terminal)

  // The budget begins with the first request or wait for a lock: unlocking a keychain may take a person a minute.
  let endsAt: number | undefined
  const withinBudget = (ms: number): number => {
    endsAt ??= performance.now() + budgetMs
    return Math.max(1, Math.round(Math.min(ms, endsAt - performance.now())))
  }
  const guardedFetch: GuardedFetch = createGuardedFetch({
    timeoutMs: () => withinBudget(config.timeoutMs.value),
    allowHttp: config.allowHttp.value,
    proxyOf: server => proxyFor(server, host.env),
    debug,
    quotable: secrets.isSafeToShow,
  })
  const lockWaitMs = config.timeoutMs.value + config.keychainTimeoutMs.value + LOCK_MARGIN_MS
  const lockOf = (folder: string, name: string, inStore = false): Lock => ({
    hold(work) {
      const timeoutMs = withinBudget(lockWaitMs)
      const { cancelled } = interrupts
      return createLock({ folder, name, inStore, uid, timeoutMs, cancelled, debug }).hold(work)
    },
  })

  const storeOf = (kind: Login['store']): CredentialStore =>
    kind === 'file'
      ? createFileStore({ configFolder: config.folder.value, uid, debug })
      : createKeychainStore({
          platform,
          timeoutMs: config.keychainTimeoutMs.value,
          lockFolder: userLockFolder(uid, host.accountHomeFolder),
          addonFolder: addonFolder(host.env, platform, uid),
          debug,
        })

  const sessionsOf = ({
    profile,
    apiUrl,
    store: kind,
  }: Omit<Login, 'email'>): { sessions: Sessions; store: CredentialStore } => {
    const store = kind === config.store.value ? configuredStore : storeOf(kind)
    const sessions = createSessions({
      profile,
      apiUrl,
      store,
      lock: lockOf(store.lockFolder, accountOf(profile, apiUrl), store.kind === 'file'),
      guardedFetch,
      userAgent: USER_AGENT,
      interrupts,
      secrets,
      now,
      loginCommand: loginCommand(config),
    })
    return { sessions, store }
  }

  const configuredStore = storeOf(config.store.value)
  const { profile, apiUrl, store } = config
  const { sessions } = sessionsOf({ profile: profile.value, apiUrl: apiUrl.value, store: store.value })
  const fixedToken = config.accessToken.value
  const configLock = lockOf(config.folder.value, 'config')

  return {
    ...host,
    readStdin: () => standardInput(host.readStdin),
    config,
    store: configuredStore,
    sessions,
    sessionsOf,
    guardedFetch,
    configLock,
    lock: lockOf(
      configuredStore.lockFolder,
      accountOf(profile.value, apiUrl.value),
      configuredStore.kind === 'file',
    ),
    fixedToken,
    debug,
    authenticatedClient(session) {
      const apiRoot = session?.apiRoot ?? apiUrl.value
      const bearer = session ? sessions.bearer(session) : fixedBearer(fixedToken ?? '')
      return {
        client: createClient({ apiRoot, guardedFetch, userAgent: USER_AGENT, bearer }),
        apiRoot,
        bearer,
      }
    },
    async sessionsInFiles() {
      try {
        const accounts = await createFileStore({ configFolder: config.folder.value, uid, debug }).accounts()
        const parts = accounts.flatMap(account => partsOf(account) ?? [])
        return { sessions: parts.map(owner => ({ ...owner, store: 'file' })), faults: [] }
      } catch (error) {
        if (error instanceof AtlasError) return { sessions: [], faults: [error] }
        throw error
      }
    },
    unrefreshedClient: ({ apiRoot, accessToken }, signal) =>
      createClient({
        apiRoot,
        guardedFetch: (input, init) => guardedFetch(input, { ...init, signal }),
        userAgent: USER_AGENT,
        bearer: fixedBearer(accessToken),
      }),
    proveConfigFile: () => configLock.hold(async () => proveConfigFile(config.folder.value)),
    fileLock: file => lockOf(userLockFolder(uid, host.accountHomeFolder), `file ${file}`),
    updateConfigFile: change =>
      configLock.hold(async () => {
        writeConfigFile(config.folder.value, change(readConfigFile(config.folder.value)))
      }),
  }
}

/** A token that is used as it is: never stored, never refreshed. */
const fixedBearer = (token: string): BearerSource => ({
  accessToken: async () => token,
  replace: async () => false,
})

/** A mistyped profile is not logged in, which alone would send a person to log in again. */
function mentionUnknownProfile({ profile, file }: Config, { json, notice }: Terminal): void {
  const names = [...profilesOf(file).keys()]
  if (json || names.length === 0 || names.includes(profile.value)) return
  notice(`There is no profile "${profile.value}" yet (${profile.from}); there is ${names.join(', ')}.`)
}
