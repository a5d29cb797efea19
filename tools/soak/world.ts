import fs from 'node:fs'
import path from 'node:path'
import { decodeRecord } from '../../lib/session/record.ts'
import { accountOf } from '../../lib/session/stored-session.ts'
import { SERVICE } from '../../lib/store/keychain/failures.ts'
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
  temporaries(): string[]
}

export async function createWorld(store: World['store']): Promise<World> {
  const atlas = await stage({ rotate: true, store })
  const front = await startFront(atlas.server)
  const { env, configFolder } = atlas
  Object.assign(env, { ATLAS_API_URL: front.url, ATLAS_CREDENTIAL_STORE: store })
  if (store === 'keychain') env['ATLAS_KEYCHAIN_TIMEOUT'] = '10'
  const account = accountOf('default', front.url)
  const folder = path.join(configFolder, 'credentials')
  const { stderr } = await atlas.logIn({ env: { ATLAS_API_URL: front.url, ATLAS_DEBUG: '1' } })
  const locks = [...stderr.matchAll(/lock (.*): held/g)].map(([, place = '']) => place)
  const lock = locks.find(place => path.dirname(place) !== configFolder)
  if (lock === undefined) throw new Error(`the login names no lock of its session:\n${stderr}`)

  const record = (): string | undefined => {
    if (store === 'keychain') return atlas.keychain.lookup(SERVICE, account)
    const records = fs.readdirSync(folder).filter(name => /^\w+\.json$/.test(name))
    if (records.length > 1) throw new Error(`${records.length} records are stored`)
    return records[0] === undefined ? undefined : fs.readFileSync(path.join(folder, records[0]), 'utf8')
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
    temporaries,
    async [Symbol.asyncDispose]() {
      await front[Symbol.asyncDispose]()
      await atlas[Symbol.asyncDispose]()
    },
  }
}
