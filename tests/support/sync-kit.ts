import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createLock } from '../../lib/files/lock.ts'
import { createInterrupts } from '../../lib/interrupts.ts'
import { listBackups } from '../../lib/sync/backups.ts'
import { createSyncMemory, type SyncMemory } from '../../lib/sync/memory.ts'
import { findPlace } from '../../lib/sync/place.ts'
import { type SyncOptions, sync } from '../../lib/sync/pull.ts'
import { type PushOptions, push } from '../../lib/sync/push.ts'
import type { Configuration } from '../../lib/sync/remote.ts'

export const NOW = new Date('2026-01-02T03:04:05.678Z')
const debug = (): void => {}

/** A folder to sync into, and a server that is a variable. Nothing is asked for or sent over a network. */
export function createSyncKit() {
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-sync-')))
  const env = {}
  const place = findPlace(path.join(root, 'claude'), {
    env,
    platform: process.platform,
    homeFolder: root,
    interactive: false,
  })
  const configFolder = path.join(root, 'config')
  const memoryOf = (profile: string): SyncMemory =>
    createSyncMemory({ configFolder, profile, apiUrl: 'https://h', file: place.target })
  const newLock = () =>
    createLock({
      folder: path.join(root, 'locks'),
      name: place.target,
      uid: process.getuid?.(),
      timeoutMs: 5_000,
      cancelled: createInterrupts({ on() {} }).cancelled,
      debug,
    })
  /** What the server has, and had, the newest first. */
  const kit = { remote: '', history: [] as string[], clock: NOW }
  const configuration = (): Configuration => ({
    content: Buffer.from(kit.remote),
    commitSha: kit.remote === '' ? null : `sha of ${kit.remote}`,
    updatedAt: null,
  })
  return Object.assign(kit, {
    place,
    memory: memoryOf('default'),
    memoryOf,
    newLock,
    configuration,
    sync: (options: Partial<SyncOptions> = {}, during = () => {}, memory = memoryOf('default')) =>
      sync(
        { force: false, dryRun: false, ...options },
        {
          place,
          memory,
          lock: newLock(),
          account: 'ada@example.com',
          fetchConfiguration: async () => {
            const answer = configuration()
            during()
            return answer
          },
          now: () => kit.clock,
        },
      ),
    /** Somebody saves a text on the server, this machine or another one. */
    save(text: string) {
      kit.remote = text
      kit.history.unshift(text)
    },
    /** @param saving what the server does with a text that is sent. */
    push: (options: Partial<PushOptions>, saving: (text: string) => void, memory = memoryOf('default')) =>
      push(
        { force: false, dryRun: false, ...options },
        {
          place,
          memory,
          lock: newLock(),
          account: 'ada@example.com',
          fetchConfiguration: async () => configuration(),
          saveConfiguration: async content => saving(Buffer.from(content).toString()),
          fetchNewest: async () =>
            kit.history.slice(0, 2).map(text => ({
              commitSha: `sha of ${text}`,
              message: '',
              author: '',
              timestamp: null,
            })),
          now: () => kit.clock,
        },
      ),
    local: () => (fs.existsSync(place.target) ? fs.readFileSync(place.target, 'utf8') : undefined),
    edit(text: string) {
      fs.mkdirSync(place.folder.value, { recursive: true })
      fs.writeFileSync(place.target, text)
    },
    /** An editor that writes a new file and renames it into place. */
    editByRename(text: string) {
      fs.mkdirSync(place.folder.value, { recursive: true })
      const swap = path.join(root, 'swap')
      fs.writeFileSync(swap, text)
      fs.renameSync(swap, place.target)
    },
    remove: () => fs.rmSync(place.target, { force: true }),
    textsOf: (names: readonly string[]): string[] =>
      names.map(name => fs.readFileSync(path.join(place.folder.value, name), 'utf8')),
    /** All that is in the folder, by name; backups as their texts, oldest first. */
    contents() {
      if (!fs.existsSync(place.folder.value)) return { others: [], backups: [] }
      const backups = listBackups(place.target)
      return {
        others: fs
          .readdirSync(place.folder.value)
          .filter(name => name !== 'CLAUDE.md' && !backups.includes(name)),
        backups: backups.map(name => fs.readFileSync(path.join(place.folder.value, name), 'utf8')),
      }
    },
    [Symbol.dispose]: () => fs.rmSync(root, { recursive: true, force: true }),
  })
}

export type SyncKit = ReturnType<typeof createSyncKit>

/** A memory whose process is killed at one of its writes. */
export function failing(memory: SyncMemory, failsAt: number | undefined): SyncMemory {
  let writes = 0
  return {
    recall: memory.recall,
    remember(state) {
      if (++writes === failsAt) throw new Error('killed')
      memory.remember(state)
    },
  }
}
