import { EventEmitter } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { normalizeApiUrl } from '../../lib/config/server.ts'
import { createLock, lockPath } from '../../lib/files/lock.ts'
import { createClient } from '../../lib/http/client.ts'
import { createBudget } from '../../lib/http/deadline.ts'
import { createHttp } from '../../lib/http/requests.ts'
import { createInterrupts } from '../../lib/interrupts.ts'
import { oneAtATime, sessionBearer } from '../../lib/session/credentials.ts'
import type { Session } from '../../lib/session/record.ts'
import { refresh } from '../../lib/session/refresh.ts'
import { type EndedSession, logIn, logOut } from '../../lib/session/session.ts'
import { createStoredSession, type StoredSession } from '../../lib/session/stored-session.ts'
import { createFileStore } from '../../lib/store/file.ts'
import type { CredentialStore } from '../../lib/store/store.ts'
import { createSecrets } from '../../lib/terminal/secrets.ts'

/** Everything below the commands, put together in this process over a temporary folder. */
export interface SessionKit extends Disposable {
  readonly stored: StoredSession
  readonly store: CredentialStore
  readonly account: string
  readonly lockFile: string
  /** The file of the record, which must be there. */
  recordFile(): string
  /** What the clock says; a test moves it. */
  clock: Date
  /** Where signals come from. */
  readonly signals: EventEmitter
  logIn(email: string, password: string): Promise<Session>
  refresh(seen: Session): Promise<Session>
  logOut(): Promise<EndedSession | undefined>
  /** The record as stored, undefined where there is none. */
  record(): Promise<string | undefined>
  client(session: Session): ReturnType<typeof createClient>
}

export interface SessionKitOptions {
  readonly apiRoot: string
  readonly timeoutMs?: number
  readonly budgetMs?: number
  /** Put something between the session and its store. */
  readonly wrapStore?: (store: CredentialStore) => CredentialStore
}

export function createSessionKit({
  apiRoot,
  timeoutMs = 2_000,
  budgetMs = Number.POSITIVE_INFINITY,
  wrapStore = store => store,
}: SessionKitOptions): SessionKit {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-kit-'))
  const uid = process.getuid?.()
  const debug = (): void => {}
  const signals = new EventEmitter()
  const interrupts = createInterrupts(signals)
  const store = createFileStore({ configFolder: root, uid, debug })
  const kit = { clock: new Date() }
  const now = (): Date => kit.clock
  const secrets = createSecrets()
  const isSafeToShow = (): boolean => true
  const policy = {
    timeoutMs,
    budget: createBudget(budgetMs),
    allowHttp: false,
    proxyOf: () => undefined,
    debug,
    isSafeToShow,
  }
  const http = createHttp(policy, now)
  const profile = 'default'
  const apiUrl = normalizeApiUrl(apiRoot, 'the server')
  const stored: StoredSession = createStoredSession({
    profile,
    apiUrl,
    store: wrapStore(store),
    lock: createLock({
      folder: store.lockFolder,
      name: `${profile}@${apiUrl}`,
      uid,
      timeoutMs: 5_000,
      cancelled: interrupts.cancelled,
      debug,
    }),
    secrets,
    now,
    loginCommand: 'atlas auth login',
    noteEnd: async () => {},
    elsewhere: () => undefined,
    listedEmail: () => undefined,
  })
  const dependencies = { http, interrupts, secrets, reader: { isSafeToShow } }
  const renew = oneAtATime(seen => refresh(seen, stored, dependencies))
  return Object.assign(kit, {
    stored,
    store,
    account: stored.account,
    lockFile: lockPath(store.lockFolder, stored.account),
    recordFile: () =>
      path.join(store.location, fs.readdirSync(store.location).find(name => name.endsWith('.json')) ?? ''),
    signals,
    logIn: (email: string, password: string) => logIn({ apiRoot, email, password }, stored, dependencies),
    refresh: renew,
    logOut: () => logOut(stored, dependencies),
    record: () => store.read(stored.account),
    client: (session: Session) =>
      createClient({ apiRoot: async () => apiRoot, bearer: sessionBearer(session, renew, now) }, http.fetch),
    [Symbol.dispose]: () => fs.rmSync(root, { recursive: true, force: true }),
  })
}

/** The code of the AtlasError that a promise ends with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
  return 'no error'
}
