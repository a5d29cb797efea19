import { expect } from 'bun:test'
import path from 'node:path'
import { hasImmutableFiles, setImmutable } from '../../support/immutable.ts'
import { secretServiceTest } from '../../support/needs.ts'
import { hasSecretService } from '../../support/secret-service.ts'
import { createSmallDisk, type SmallDisk, smallDiskTest } from '../../support/small-disk.ts'
import { stage } from '../../support/stage.ts'

const keyringTest = hasSecretService ? smallDiskTest : secretServiceTest
const WRITING_COMMANDS = [
  ['auth', 'refresh'],
  ['auth', 'status'],
  ['auth', 'token', '--min-ttl', '2h'],
  ['api', '/auth/me'],
]
const MENDING =
  'Make room on its disk, or make its folder writable (gnome-keyring: ~/.local/share/keyrings), use "atlas auth login --store file" (plain text, readable by you alone), or set ATLAS_ACCESS_TOKEN.'

const keyrings = ({ folder }: SmallDisk) => path.join(folder, 'keyrings')
const immutable = (place: (disk: SmallDisk) => string) =>
  hasImmutableFiles
    ? {
        spoil: (disk: SmallDisk) => setImmutable(place(disk), true),
        mend: (disk: SmallDisk) => setImmutable(place(disk), false),
      }
    : undefined
const FAULTS = {
  'whose disk is full': { spoil: (disk: SmallDisk) => disk.fill(), mend: (disk: SmallDisk) => disk.empty() },
  'whose disk is read-only': {
    spoil: (disk: SmallDisk) => disk.makeReadOnly(),
    mend: (disk: SmallDisk) => disk.makeWritable(),
  },
  'whose folder is immutable': immutable(keyrings),
  'whose file is immutable': immutable(disk => path.join(keyrings(disk), 'login.keyring')),
}

for (const [what, fault] of Object.entries(FAULTS)) {
  if (fault === undefined) continue
  keyringTest(`keychain: one ${what} is reported before a login or refresh is sent`, async () => {
    using disk = createSmallDisk()
    await using atlas = await stage({ rotate: true, store: 'keychain', keyringFolder: disk.folder })
    const { keychain, server } = atlas
    await atlas.logIn()
    const before = keychain.search('atlas-cli')
    server.expireAccessTokens()
    fault.spoil(disk)
    try {
      server.forget()
      const { status, stderr } = await atlas.run(['auth', 'refresh', '--json'])
      const { code, message, hint } = JSON.parse(stderr).error
      expect({ status, code, message, hint }).toEqual({
        status: 6,
        code: 'store_unavailable',
        message: "The Secret Service keychain cannot be written (DBus error: Couldn't set item secret).",
        hint: MENDING,
      })
      for (const command of WRITING_COMMANDS)
        expect({ command, status: (await atlas.run(command)).status }).toEqual({ command, status: 6 })
      expect((await atlas.logIn()).status).toBe(6)
      expect(server.log().filter(line => /login|refresh/.test(line))).toEqual([])
      expect(keychain.search('atlas-cli')).toEqual(before)
      const { checks } = JSON.parse((await atlas.run(['doctor', '--json'])).stdout)
      expect(checks.find(({ name }: { name: string }) => name === 'store')).toMatchObject({
        status: 'fail',
        fix: MENDING,
      })
    } finally {
      fault.mend(disk)
    }
    expect((await atlas.run(['auth', 'refresh'])).status).toBe(0)
    expect(keychain.search('atlas-cli').map(({ secret }) => JSON.parse(secret).refresh_token)).toEqual([
      server.lastTokens.refresh,
    ])
  })
}
