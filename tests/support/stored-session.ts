import fs from 'node:fs'
import { normalizeApiUrl } from '../../lib/config/server.ts'
import { encodeRecord, type Session } from '../../lib/session/record.ts'
import { accountOf } from '../../lib/session/stored-session.ts'
import { createFileStore } from '../../lib/store/file.ts'
import type { Machine } from './binary.ts'

/** Secrets that no run may print, long and odd enough to be no part of anything else. */
export const CANARY = {
  password: 'Canary-Password!7421',
  access: 'canary-access-token-0c5f1e',
  refresh: 'canary-refresh-token-9d27ab',
} as const

/** What the file store holds for a session, as it is on disk. */
export interface StoredSession {
  readonly file: string
  /** Its bytes now; undefined where it is gone. */
  bytes(): string | undefined
}

/** Put a session into a sandbox's file store, as a login would have left it that found the API there. */
export async function storeSession(
  { configFolder }: Pick<Machine, 'configFolder'>,
  apiRoot: string,
  session: Partial<Session> = {},
): Promise<StoredSession> {
  const account = accountOf('default', normalizeApiUrl(apiRoot, 'the API root'))
  const before = new Set(filesOf(configFolder))
  const store = createFileStore({ configFolder, uid: process.getuid?.(), debug: () => {} })
  await store.write(
    account,
    encodeRecord(account, {
      apiRoot,
      email: 'ada@example.com',
      accessToken: CANARY.access,
      refreshToken: CANARY.refresh,
      expiresAt: new Date(Date.now() + 3_600_000),
      sessionExpiresAt: new Date(Date.now() + 86_400_000),
      ...session,
    }),
  )
  const file = filesOf(configFolder).find(name => !before.has(name)) ?? ''
  return {
    file,
    bytes: () => (fs.existsSync(file) ? fs.readFileSync(file, 'latin1') : undefined),
  }
}

const filesOf = (configFolder: string): string[] =>
  fs.existsSync(`${configFolder}/credentials`)
    ? fs.readdirSync(`${configFolder}/credentials`).map(name => `${configFolder}/credentials/${name}`)
    : []
