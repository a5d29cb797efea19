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
import type { StoreKind } from './config/values.ts'
import { createLock, type Lock } from './files/lock.ts'
import { addonFolder, userLockFolder } from './files/user-folder.ts'
import type { Reader } from './http/answer.ts'
import { proxyFor } from './http/proxy.ts'
import { createHttp, type Http } from './http/requests.ts'
import type { Interrupts } from './interrupts.ts'
import { refuseDebugger } from './runtime-variables.ts'
import { type Credentials, environmentCredentials, storedCredentials } from './session/credentials.ts'
import type { SessionDependencies } from './session/session.ts'
import { accountOf, partsOf, StoredSession } from './session/stored-session.ts'
import { createFileStore } from './store/file.ts'
import { createKeychainStore } from './store/keychain/keychain.ts'
import type { CredentialStore } from './store/store.ts'
import type { Terminal } from './terminal/output.ts'
import type { Secrets } from './terminal/secrets.ts'

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
}

/** What a command says of itself before it runs. */
export interface RunOptions {
  /** A bound on all requests and waits of the run together, in milliseconds. */
  readonly budgetMs?: number
  /** The command works without the server, so a URL that must not be used is not an error. */
  readonly worksOffline?: boolean
  /** The command creates profiles, so an unknown one is not worth a notice. */
  readonly mayBeNewProfile?: boolean
  /** The longest wait for a keychain where none is configured, in milliseconds. */
  readonly keychainWaitMs?: number
}

/** Where the credentials of a login are. */
export type LoginPlace = Omit<Login, 'email'>

/** What one run of a command is given. Every part is made when it is first used. */
export interface Run extends Host {
  readonly config: Config
  /** Where this run's bearer token comes from. */
  readonly credentials: Credentials
  /** The stored session of the configured profile and server, whatever the environment says. */
  readonly stored: StoredSession
  /** The stored session of another login. */
  storedAs(login: LoginPlace): StoredSession
  /** The logins whose records are in the file store, whether the config file knows them or not. */
  loginsInFiles(): Promise<LoginPlace[]>
  readonly http: Http
  /** What login and logout work with. */
  readonly session: SessionDependencies
  /** How a server's answers become messages. */
  readonly reader: Reader
  readonly configFile: {
    /** See that it can be written. @throws {AtlasError} `file_error`, `lock_timeout` */
    prove(): Promise<void>
    /** Change it; two processes that do so at once lose nothing. @throws {AtlasError} as `prove` does */
    update(change: (file: ConfigFile) => ConfigFile): Promise<void>
    readonly lock: Lock
  }
  /** The lock of the configured profile and server. */
  readonly lock: Lock
  /** The lock of a file that belongs to the user, whatever profile or config folder changes it. */
  lockOf(file: string): Lock
}

/** @throws {AtlasError} `usage`, `insecure_url`: configuration that cannot be used. */
export function createRun(host: Host, flags: GivenFlags, options: RunOptions = {}): Run {
  const { keychainWaitMs, worksOffline = false, mayBeNewProfile = false } = options
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
  const debug = config.debug.value ? host.terminal.diagnose : () => {}
  for (const { name, value, from } of describeSettings(config)) debug(`config ${name}: ${value} (${from})`)
  host.secrets.add(config.accessToken.value)
  if (!mayBeNewProfile) mentionUnknownProfile(config, host.terminal)
  return new LazyRun(host, config, options.budgetMs ?? Number.POSITIVE_INFINITY, debug)
}

/** Commands take members out of a run, so those that are functions are bound to it. */
class LazyRun implements Run {
  readonly config: Config
  readonly env: Host['env']
  readonly platform: Host['platform']
  readonly homeFolder: Host['homeFolder']
  readonly accountHomeFolder: Host['accountHomeFolder']
  readonly interactive: boolean
  readonly uid: Host['uid']
  readonly terminal: Terminal
  readonly interrupts: Interrupts
  readonly secrets: Secrets
  readonly now: () => Date
  readonly readStdin: Host['readStdin']
  readonly #debug: (line: string) => void
  readonly #budgetMs: number
  #budgetEndsAt: number | undefined
  #credentials: Credentials | undefined
  #http: Http | undefined
  #stored: StoredSession | undefined
  readonly #stores = new Map<StoreKind, CredentialStore>()

  constructor(host: Host, config: Config, budgetMs: number, debug: (line: string) => void) {
    this.config = config
    this.env = host.env
    this.platform = host.platform
    this.homeFolder = host.homeFolder
    this.accountHomeFolder = host.accountHomeFolder
    this.interactive = host.interactive
    this.uid = host.uid
    this.terminal = host.terminal
    this.interrupts = host.interrupts
    this.secrets = host.secrets
    this.now = host.now
    this.readStdin = host.readStdin
    this.#debug = debug
    this.#budgetMs = budgetMs
  }

  get credentials(): Credentials {
    const { accessToken, apiUrl } = this.config
    this.#credentials ??= accessToken.value
      ? environmentCredentials(accessToken.value, apiUrl.value)
      : storedCredentials(this.stored, async seen => {
          const { refresh } = await import('./session/refresh.ts')
          return refresh(seen, this.stored, this.session)
        })
    return this.#credentials
  }

  get stored(): StoredSession {
    const { profile, apiUrl, store } = this.config
    this.#stored ??= this.storedAs({ profile: profile.value, apiUrl: apiUrl.value, store: store.value })
    return this.#stored
  }

  readonly storedAs = (login: LoginPlace): StoredSession => {
    const { secrets, now } = this
    const store = this.#storeOf(login.store)
    const lock = this.#lockIn(
      store.lockFolder,
      accountOf(login.profile, login.apiUrl),
      login.store === 'file',
    )
    return new StoredSession({ ...login, store, lock, secrets, now, loginCommand: loginCommand(this.config) })
  }

  readonly loginsInFiles = async (): Promise<LoginPlace[]> => {
    const { config, uid } = this
    const store = createFileStore({ configFolder: config.folder.value, uid, debug: this.#debug })
    const logins = (await store.accounts()).map(partsOf).filter(parts => parts !== undefined)
    return logins.map(parts => ({ ...parts, store: 'file' }))
  }

  get http(): Http {
    const { config, env, secrets, now } = this
    this.#http ??= createHttp(
      {
        timeoutMs: () => this.#withinBudget(config.timeoutMs.value),
        allowHttp: config.allowHttp.value,
        proxyOf: server => proxyFor(server, env),
        debug: this.#debug,
        isSafeToShow: secrets.isSafeToShow,
      },
      now,
    )
    return this.#http
  }

  get session(): SessionDependencies {
    const { http, interrupts, secrets, reader } = this
    return { http, interrupts, secrets, reader }
  }

  get reader(): Reader {
    return { isSafeToShow: this.secrets.isSafeToShow, renewHint: this.credentials.renewHint }
  }

  get configFile(): Run['configFile'] {
    const folder = this.config.folder.value
    const lock = this.#lockIn(folder, 'config')
    return {
      lock,
      prove: () => lock.hold(async () => proveConfigFile(folder)),
      update: change => lock.hold(async () => writeConfigFile(folder, change(readConfigFile(folder)))),
    }
  }

  get lock(): Lock {
    const { store, account } = this.stored
    return this.#lockIn(store.lockFolder, account, store.kind === 'file')
  }

  readonly lockOf = (file: string): Lock => {
    return this.#lockIn(userLockFolder(this.uid, this.accountHomeFolder), `file ${file}`)
  }

  #lockIn(folder: string, name: string, inStore = false): Lock {
    const { config, uid, interrupts } = this
    const waitMs = config.timeoutMs.value + config.keychainTimeoutMs.value + LOCK_MARGIN_MS
    return {
      hold: work => {
        const timeoutMs = this.#withinBudget(waitMs)
        const { cancelled } = interrupts
        return createLock({ folder, name, inStore, uid, timeoutMs, cancelled, debug: this.#debug }).hold(work)
      },
    }
  }

  #storeOf(kind: StoreKind): CredentialStore {
    const { config, platform, uid, env } = this
    const store =
      this.#stores.get(kind) ??
      (kind === 'file'
        ? createFileStore({ configFolder: config.folder.value, uid, debug: this.#debug })
        : createKeychainStore({
            platform,
            timeoutMs: config.keychainTimeoutMs.value,
            lockFolder: userLockFolder(uid, this.accountHomeFolder),
            addonFolder: addonFolder(env, platform, uid),
            debug: this.#debug,
          }))
    this.#stores.set(kind, store)
    return store
  }

  /** The budget begins with the first request or wait for a lock: unlocking a keychain may take a minute. */
  #withinBudget(ms: number): number {
    this.#budgetEndsAt ??= performance.now() + this.#budgetMs
    return Math.max(1, Math.round(Math.min(ms, this.#budgetEndsAt - performance.now())))
  }
}

/** With a mistyped profile nobody is logged in, which alone would send a person to log in again. */
function mentionUnknownProfile({ profile, file }: Config, { json, notice }: Terminal): void {
  const profiles = profilesOf(file)
  if (json || profiles.size === 0 || profiles.has(profile.value)) return
  const names = [...profiles.keys()].join(', ')
  notice(`There is no profile "${profile.value}" yet (${profile.from}). Known profiles: ${names}.`)
}
