import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { AtlasError } from '../../lib/errors.ts'
import { createFileStore } from '../../lib/store/file.ts'
import type { CredentialStore } from '../../lib/store/store.ts'
import { startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox, createUnprivilegedSandbox } from '../support/binary.ts'
import { posixTest, twoUsersTest } from '../support/needs.ts'
import { createSmallDisk, smallDiskTest } from '../support/small-disk.ts'

const ACCOUNT = 'default@https://atlas.example.com'
const RECORD = '{"version":1}'

/** A file store in a folder of its own, whose name a shell would take apart. */
function createStore() {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "atlas it's a test-"))
  const store = createFileStore({ configFolder: root, uid: process.getuid?.(), debug() {} })
  return {
    root,
    store,
    folder: path.join(root, 'credentials'),
    /** The one file in the store. */
    get file() {
      const [name = ''] = fs.readdirSync(this.folder)
      return path.join(this.folder, name)
    },
    [Symbol.dispose]: () => fs.rmSync(root, { recursive: true, force: true }),
  }
}

const modeOf = (file: string): string => (fs.lstatSync(file).mode & 0o777).toString(8)

describe('a record', () => {
  test('file store: a record is found, replaced and deleted', async () => {
    using kit = createStore()
    const { store } = kit
    expect(await store.read(ACCOUNT)).toBeUndefined()
    await store.write(ACCOUNT, RECORD)
    expect(await store.read(ACCOUNT)).toBe(RECORD)
    await store.write(ACCOUNT, 'x'.repeat(200_000))
    expect(await store.read(ACCOUNT)).toBe('x'.repeat(200_000))
    expect(fs.readdirSync(kit.folder)).toHaveLength(1)
    expect(await store.delete(ACCOUNT)).toBe(true)
    expect(await store.delete(ACCOUNT)).toBe(false)
    expect(await store.read(ACCOUNT)).toBeUndefined()
    expect(fs.readdirSync(kit.folder)).toEqual([])
  })

  test('file store: each account has its own file, inside the folder', () =>
    fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.string({ unit: 'grapheme' }), { minLength: 2, maxLength: 4 }),
        async accounts => {
          using kit = createStore()
          for (const account of accounts) await kit.store.write(account, `record of ${account}`)
          expect(await Promise.all(accounts.map(account => kit.store.read(account)))).toEqual(
            accounts.map(account => `record of ${account}`),
          )
          expect(fs.readdirSync(kit.root)).toEqual(['credentials'])
          expect(fs.readdirSync(kit.folder)).toHaveLength(accounts.length)
        },
      ),
      { numRuns: 20 },
    ))

  posixTest('file store: a record is private, whatever the umask', async () => {
    using kit = createStore()
    const before = process.umask(0)
    try {
      await kit.store.write(ACCOUNT, RECORD)
    } finally {
      process.umask(before)
    }
    expect({ folder: modeOf(kit.folder), file: modeOf(kit.file) }).toEqual({ folder: '700', file: '600' })
  })
})

describe('proving a write', () => {
  test('file store: leaves the record and its folder as they were', async () => {
    using kit = createStore()
    const nothingToProve = await kit.store.prove(ACCOUNT, true)
    nothingToProve()
    expect(fs.existsSync(kit.folder)).toBe(false)
    await kit.store.write(ACCOUNT, RECORD)
    const before = snapshot(kit.root)
    const giveRoomBack = await kit.store.prove(ACCOUNT, true)
    giveRoomBack()
    giveRoomBack()
    expect(snapshot(kit.root)).toEqual(before)
  })

  smallDiskTest('file store: on a full disk it is an error that keeps the record', async () => {
    using disk = createSmallDisk()
    const store = createFileStore({ configFolder: disk.folder, uid: process.getuid?.(), debug() {} })
    await store.write(ACCOUNT, RECORD)
    disk.fill()
    const { code, message, hint } = await refusal(store.prove(ACCOUNT, true))
    expect({ code, message, hint }).toEqual({
      code: 'store_unavailable',
      message: expect.stringMatching(/^The credential store .*\.json cannot be used: the disk is full\.$/),
      hint: 'Make room, or choose another folder with ATLAS_CONFIG_DIR.',
    })
    expect(await store.read(ACCOUNT)).toBe(RECORD)
  })

  smallDiskTest('file store: a record fits that grew, on a disk that filled up after the proof', async () => {
    using disk = createSmallDisk()
    const store = createFileStore({ configFolder: disk.folder, uid: process.getuid?.(), debug() {} })
    await store.write(ACCOUNT, RECORD)
    const giveRoomBack = await store.prove(ACCOUNT, true)
    disk.fill()
    const grown = RECORD + ' '.repeat(12_000)
    expect((await refusal(store.write(ACCOUNT, grown))).code).toBe('store_unavailable')
    giveRoomBack()
    await store.write(ACCOUNT, grown)
    expect(await store.read(ACCOUNT)).toBe(grown)
  })
})

test('file store: lists the accounts of its records, and what cannot be read as one', async () => {
  using kit = createStore()
  const found = async () =>
    (await kit.store.accounts())
      .map(account => (typeof account === 'string' ? account : account.message))
      .sort()
  expect(await found()).toEqual([])
  await kit.store.write(ACCOUNT, JSON.stringify({ account: ACCOUNT }))
  await kit.store.write('probe', 'atlas probe 1')
  fs.writeFileSync(path.join(kit.folder, 'notes.txt'), '')
  expect(await found()).toEqual([ACCOUNT])

  // What a writer that was killed has left of another record.
  const left = `${kit.file}.0a1b2c3d-99999-0a1b2c3d.atlas-tmp`.replace(/([^/]+)$/, '.$1')
  fs.renameSync(kit.file, left)
  expect(await found()).toEqual([ACCOUNT])
  fs.renameSync(left, kit.file)

  await kit.store.write('other', '{"account":')
  const other = path.join(kit.folder, `${Bun.SHA256.hash('other', 'hex').slice(0, 32)}.json`)
  expect(await found()).toEqual([`The credential file ${other} does not say whose it is.`, ACCOUNT])
  fs.chmodSync(other, 0o644)
  expect(await found()).toEqual([
    `The credential store ${other} cannot be used: others can read it.`,
    ACCOUNT,
  ])
  fs.chmodSync(kit.folder, 0o777)
  expect(await found()).toEqual([`The credential store ${kit.folder} cannot be used: others can change it.`])
})

type Kit = ReturnType<typeof createStore>

/** What is in the way, how it comes there, and what is read once it is fixed. */
const REFUSED: [what: string, reason: string, harm: (kit: Kit) => void, repaired: string | undefined][] = [
  ['a file that all can read', 'others can read it', kit => fs.chmodSync(kit.file, 0o644), RECORD],
  ['a file that the group can read', 'others can read it', kit => fs.chmodSync(kit.file, 0o640), RECORD],
  ['a file that others can write', 'others can read it', kit => fs.chmodSync(kit.file, 0o602), RECORD],
  ['a folder that all can change', 'others can change it', kit => fs.chmodSync(kit.folder, 0o777), RECORD],
  ['a folder of the group', 'others can change it', kit => fs.chmodSync(kit.folder, 0o770), RECORD],
  [
    'a symbolic link',
    'it is a symbolic link',
    kit => plantLink(kit.file, path.join(kit.root, 'aim')),
    undefined,
  ],
  [
    'a symbolic link to nothing',
    'it is a symbolic link',
    kit => {
      const { file } = kit
      fs.rmSync(file)
      fs.symlinkSync('/nonexistent', file)
    },
    undefined,
  ],
  [
    'a folder that is a symbolic link',
    'it is a symbolic link',
    kit => plantLink(kit.folder, path.join(kit.root, 'aim')),
    undefined,
  ],
  [
    'a named pipe',
    'it is not a regular file',
    kit => {
      const { file } = kit
      fs.rmSync(file)
      Bun.spawnSync(['mkfifo', '-m', '600', file])
    },
    undefined,
  ],
  [
    'a folder in place of the file',
    'it is not a regular file',
    kit => {
      const { file } = kit
      fs.rmSync(file)
      fs.mkdirSync(file, { mode: 0o700 })
      fs.writeFileSync(path.join(file, 'x'), '')
    },
    undefined,
  ],
  [
    'a file in place of the folder',
    'it is not a folder',
    kit => {
      fs.rmSync(kit.folder, { recursive: true })
      fs.writeFileSync(kit.folder, '')
    },
    undefined,
  ],
]

/** Move what is there to another place and leave a link to it. */
function plantLink(place: string, aim: string): void {
  fs.renameSync(place, aim)
  fs.symlinkSync(aim, place)
}

const refusal = async (work: Promise<unknown>): Promise<AtlasError> => {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof AtlasError) return error
  throw new Error('nothing was refused')
}

describe('what others can reach', () => {
  for (const [what, reason, harm, repaired] of REFUSED) {
    posixTest(`file store: refuses ${what} with the command that fixes it`, async () => {
      using kit = createStore()
      const { store } = kit as { store: CredentialStore }
      await store.write(ACCOUNT, RECORD)
      harm(kit)
      const before = snapshot(kit.root)
      for (const work of [store.read(ACCOUNT), store.check(ACCOUNT)]) {
        const { code, message } = await refusal(work)
        expect({ code, named: message.includes(reason) }).toEqual({ code: 'store_denied', named: true })
      }
      expect(snapshot(kit.root)).toEqual(before)

      const { hint } = await refusal(store.read(ACCOUNT))
      const command = /fix it with: (.*)$/.exec(hint ?? '')?.[1] ?? ''
      expect(Bun.spawnSync(['sh', '-c', command]).exitCode).toBe(0)
      expect(await store.read(ACCOUNT)).toBe(repaired as string)
      await store.write(ACCOUNT, 'new')
      expect(await store.read(ACCOUNT)).toBe('new')
      // What a link led to is as it was.
      const aim = path.join(kit.root, 'aim')
      if (fs.existsSync(aim) && fs.statSync(aim).isFile()) expect(fs.readFileSync(aim, 'utf8')).toBe(RECORD)
    })
  }
})

posixTest('file store: refuses a file of 8 GiB without reading it', async () => {
  using kit = createStore()
  await kit.store.write(ACCOUNT, RECORD)
  fs.truncateSync(kit.file, 8 * 1024 ** 3)
  for (const work of [kit.store.read(ACCOUNT), kit.store.check(ACCOUNT)]) {
    const { code, message, hint } = await refusal(work)
    expect({ code, message, hint }).toEqual({
      code: 'store_denied',
      message: `The credential store ${kit.file} cannot be used: it is too large (8589934592 bytes).`,
      hint: 'Move it away, or choose another folder with ATLAS_CONFIG_DIR.',
    })
  }
})

/** Every path below a folder with its kind, mode and size. */
function snapshot(root: string): string[] {
  return fs
    .readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map(name => {
      const { mode, size, ino } = fs.lstatSync(path.join(root, name))
      return `${name} ${mode.toString(8)} ${size} ${ino}`
    })
    .sort()
}

describe('through the program', () => {
  posixTest(
    'file store: with a file that others can read, every command ends with 6 and sends nothing',
    async () => {
      await using server = await startAtlasServer()
      using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url })
      await sandbox.logIn(server)
      const [file = ''] = sandbox.filesHolding(server.lastTokens.access)
      fs.chmodSync(file, 0o644)
      server.forget()
      for (const args of [
        ['auth', 'status'],
        ['auth', 'token'],
        ['auth', 'refresh'],
        ['auth', 'logout'],
        ['api', '/auth/me'],
      ])
        expect({ args, ...(await sandbox.run(args)) }).toEqual({
          args,
          status: 6,
          stdout: '',
          stderr:
            `atlas: The credential store ${file} cannot be used: others can read it.\n` +
            `       If that was not meant, fix it with: chmod 600 ${file}\n`,
        })
      expect(server.log()).toEqual([])
      expect(sandbox.filesHolding(server.lastTokens.access)).toEqual([file])
    },
  )

  twoUsersTest('file store: refuses what belongs to another user, to root too', async () => {
    await using server = await startAtlasServer()
    using sandbox = createUnprivilegedSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url })
    expect((await sandbox.logIn(server)).status).toBe(0)

    const [file = ''] = sandbox.filesHolding(server.lastTokens.access)
    for (const place of [file, path.dirname(file)]) {
      fs.chownSync(place, 0, 0)
      // A folder that others may enter shows them that the file in it is not theirs.
      fs.chmodSync(path.dirname(file), 0o755)
      const { status, stderr } = await sandbox.run(['auth', 'status'])
      expect({ status, stderr }).toEqual({
        status: 6,
        stderr:
          `atlas: The credential store ${place} cannot be used: it belongs to another user.\n` +
          `       If that was not meant, fix it with: sudo chown -R ${sandbox.user?.uid} ${place}\n`,
      })
      Bun.spawnSync(['sh', '-c', / sudo (.*)$/m.exec(stderr)?.[1] ?? ''])
      expect((await sandbox.run(['auth', 'status'])).status).toBe(0)
    }

    const { status, stderr } = await sandbox.run(['auth', 'status'], { user: { uid: 0, gid: 0 } })
    expect({ status, hint: stderr.split('\n')[1]?.trim() }).toEqual({
      status: 6,
      hint: 'Run atlas as that user, or choose another folder with ATLAS_CONFIG_DIR.',
    })
    expect((await sandbox.run(['auth', 'status'])).status).toBe(0)
  })
})
