import { EventEmitter } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createLock } from '../../lib/files/lock.ts'
import { createClient } from '../../lib/http/client.ts'
import { createGuardedFetch, type GuardedFetch } from '../../lib/http/transport.ts'
import { createInterrupts } from '../../lib/interrupts.ts'
import type { Session } from '../../lib/session/record.ts'
import { accountOf, createSessions, type Sessions } from '../../lib/session/session.ts'
import { createFileStore } from '../../lib/store/file.ts'
import type { CredentialStore } from '../../lib/store/store.ts'
import { createSecrets } from '../../lib/terminal/secrets.ts'

/** Everything below the commands, put together in this process over a temporary folder. */
export interface SessionKit extends Disposable {
  readonly sessions: Sessions
  readonly store: CredentialStore
  readonly guardedFetch: GuardedFetch
  readonly account: string
  /** What the clock says; a test moves it. */
  clock: Date
  /** Where signals come from. */
  readonly signals: EventEmitter
  /** The record as stored, undefined where there is none. */
  record(): Promise<string | undefined>
  client(session: Session): ReturnType<typeof createClient>
}

export interface SessionKitOptions {
  readonly apiUrl: string
  readonly folder?: string
  readonly timeoutMs?: number
  /** Put something between the sessions and their store. */
  readonly wrapStore?: (store: CredentialStore) => CredentialStore
}

export function createSessionKit({
  apiUrl,
  folder,
  timeoutMs = 2_000,
  wrapStore = store => store,
}: SessionKitOptions): SessionKit {
  const root = folder ?? fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-kit-'))
  const uid = process.getuid?.()
  const debug = (): void => {}
  const signals = new EventEmitter()
  const interrupts = createInterrupts(signals)
  const store = createFileStore({ configFolder: root, uid, debug })
  const account = accountOf('default', apiUrl)
  const guardedFetch = createGuardedFetch({
    timeoutMs: () => timeoutMs,
    allowHttp: false,
    proxyOf: () => undefined,
    debug,
    quotable: () => true,
  })
  const kit = { clock: new Date() }
  const sessions = createSessions({
    profile: 'default',
    apiUrl,
    store: wrapStore(store),
    lock: createLock({
      folder: store.lockFolder,
      name: account,
      uid,
      timeoutMs: 5_000,
      cancelled: interrupts.cancelled,
      debug,
    }),
    guardedFetch,
    userAgent: 'atlas-cli/test',
    interrupts,
    secrets: createSecrets(),
    now: () => kit.clock,
  })
  return Object.assign(kit, {
    sessions,
    store,
    guardedFetch,
    account,
    signals,
    record: () => store.read(account),
    client: (session: Session) =>
      createClient({
        apiRoot: session.apiRoot,
        guardedFetch,
        userAgent: 'atlas-cli/test',
        bearer: sessions.bearer(session),
      }),
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
