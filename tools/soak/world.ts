import fs from 'node:fs'
import path from 'node:path'
import { lockPath } from '../../lib/files/lock.ts'
import { decodeRecord } from '../../lib/session/record.ts'
import { accountOf } from '../../lib/session/stored-session.ts'
import { SERVICE } from '../../lib/store/keychain/failures.ts'
import { startSlowBus } from '../../tests/support/slow-bus.ts'
import { type Stage, stage } from '../../tests/support/stage.ts'
import { type Front, startFront } from './front.ts'

/** Servers of a soak give tokens that live so long, in seconds: for hours, or for less than atlas uses. */
export const LASTING_S = 7200
export const EXPIRING_S = 20

/** A machine with a store, and a server behind a front that spoils answers. */
export interface World extends AsyncDisposable {
  readonly store: 'file' | 'keychain'
  readonly atlas: Stage
  readonly front: Front
  /** The refresh token that is stored; null where nothing is. @throws where the record is damaged. */
  storedToken(): string | null
  /** Delete the lock of the session, as a cleaner of temporary folders does. @returns whether it was there. */
  deleteLock(): boolean
  deleteTemporaries(): void
  /** Let each answer of the keychain take so long. */
  delayKeychain(ms: number): void
  temporaries(): string[]
}

export async function createWorld(store: World['store']): Promise<World> {
  const atlas = await stage({ rotate: true, loginsPerMinute: Number.POSITIVE_INFINITY, store })
  const front = await startFront(atlas.server)
  const { env, configFolder } = atlas
  Object.assign(env, { ATLAS_API_URL: front.url, ATLAS_CREDENTIAL_STORE: store })
  const bus = store === 'keychain' ? await startSlowBus(atlas.keychain.env) : undefined
  if (bus) Object.assign(env, bus.env, { ATLAS_KEYCHAIN_TIMEOUT: '10' })
  const account = accountOf('default', front.url)
  const folder = path.join(configFolder, 'credentials')
  const file = lockPath(folder, account).replace(/lock$/, 'json')
  const { stderr } = await atlas.logIn({ env: { ATLAS_API_URL: front.url, ATLAS_DEBUG: '1' } })
  const locks = [...stderr.matchAll(/lock (.*): held/g)].map(([, place = '']) => place)
  const lock = locks.find(place => path.dirname(place) !== configFolder)
  if (lock === undefined) throw new Error(`the login names no lock of its session:\n${stderr}`)

  const record = (): string | undefined => {
    if (store === 'keychain') return atlas.keychain.lookup(SERVICE, account)
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined
  }
  const temporaries = (): string[] =>
    [configFolder, folder]
      .filter(place => fs.existsSync(place))
      .flatMap(place => fs.readdirSync(place).map(name => path.join(place, name)))
      .filter(place => place.endsWith('.atlas-tmp'))
  return {
    store,
    atlas,
    front,
    storedToken() {
      const config = path.join(configFolder, 'config.json')
      if (fs.existsSync(config)) JSON.parse(fs.readFileSync(config, 'utf8'))
      const text = record()
      return text === undefined ? null : decodeRecord(account, front.url, text).refreshToken
    },
    deleteLock() {
      const isThere = fs.existsSync(lock)
      fs.rmSync(lock, { force: true })
      return isThere
    },
    deleteTemporaries() {
      for (const place of temporaries()) fs.rmSync(place, { force: true })
    },
    delayKeychain: ms => bus?.delayReplies(ms),
    temporaries,
    async [Symbol.asyncDispose]() {
      await front[Symbol.asyncDispose]()
      await bus?.[Symbol.asyncDispose]()
      await atlas[Symbol.asyncDispose]()
    },
  }
}
