import { expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { accountHome, addonFolders, userLockFolder } from '../../lib/files/user-folder.ts'

test.each([
  [1000, '/home/ada', '/tmp/atlas-1000'],
  [0, '/root', '/tmp/atlas-0'],
  [501, '/Users/ada', '/tmp/atlas-501'],
  [undefined, 'C:\\Users\\ada', 'C:\\Users\\ada\\AppData\\Local\\atlas\\locks'],
])('locks: those of user %p with home %p are in %p, whatever the environment says', (uid, home, folder) => {
  expect(userLockFolder(uid, home, '/nonexistent')).toBe(folder)
})

test('locks: on Windows a user without a home folder is refused', () => {
  expect(userLockFolder(1000, undefined, '/nonexistent')).toBe('/tmp/atlas-1000')
  expect(() => userLockFolder(undefined, undefined)).toThrow('Windows has no profile folder for this user.')
})

test.skipIf(process.platform === 'win32')(
  'locks: are in the folder of the session where that is the user’s own',
  () => {
    const uid = process.getuid?.() ?? 0
    const sessions = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-sessions-'))
    const session = path.join(sessions, String(uid))
    try {
      fs.mkdirSync(session, { mode: 0o700 })
      expect(userLockFolder(uid, undefined, sessions)).toBe(`${session}/atlas`)
      fs.chmodSync(session, 0o777)
      expect(userLockFolder(uid, undefined, sessions)).toBe(`/tmp/atlas-${uid}`)
      fs.rmdirSync(session)
      fs.symlinkSync('/tmp', session)
      expect(userLockFolder(uid, undefined, sessions)).toBe(`/tmp/atlas-${uid}`)
    } finally {
      fs.rmSync(sessions, { recursive: true })
    }
  },
)

test.each([
  ['linux', 1000, {}, '/home/ada', ['/home/ada/.cache/atlas', '/tmp/atlas-1000'], undefined],
  ['linux', 1000, { TMPDIR: '/var/t' }, undefined, ['/var/t/atlas-1000'], 'TMPDIR'],
  ['linux', 1000, { TMPDIR: '', TEMP: '/t' }, undefined, ['/tmp/atlas-1000'], undefined],
  ['darwin', 501, {}, '/Users/ada', ['/Users/ada/Library/Caches/atlas', '/tmp/atlas-501'], undefined],
  ['win32', undefined, {}, undefined, ['C:\\Windows\\Temp\\atlas'], undefined],
  ['win32', undefined, { TMP: 'D:\\t' }, 'C:\\u', ['C:\\u\\AppData\\Local\\atlas', 'D:\\t\\atlas'], 'TMP'],
] as const)('keychain addon: on %s user %p with %p and home %p unpacks it into %p', (platform, uid, env, home, paths, from) => {
  const folders = addonFolders(env, platform, uid, home)
  expect(folders.map(folder => folder.path)).toEqual([...paths])
  expect(folders.at(-1)?.from as string | undefined).toBe(from)
})

test('account home: is that of the user database, whatever the runtime says of HOME', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-passwd-'))
  const passwd = path.join(folder, 'passwd')
  fs.writeFileSync(
    passwd,
    'root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000:Ada:/home/ada:/bin/sh\nodd:x:1001:1001::relative:\n+::::::\n',
  )
  try {
    const home = (platform: NodeJS.Platform, uid: number | undefined, runtime: string, file = passwd) =>
      accountHome(platform, uid, runtime, file)
    expect([
      home('linux', 1000, '/evil'),
      home('linux', 0, '/home/ada'),
      home('linux', 1001, '/evil'),
      home('linux', 4711, '/evil'),
      home('linux', 1000, '/evil', '/nonexistent'),
      home('darwin', 501, '/Users/grace'),
      home('darwin', 501, '/Users/grace/evil'),
      home('darwin', 0, '/Users/grace'),
      home('win32', undefined, 'C:\\Users\\grace'),
    ]).toEqual([
      '/home/ada',
      '/root',
      undefined,
      undefined,
      undefined,
      '/Users/grace',
      undefined,
      '/root',
      'C:\\Users\\grace',
    ])
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
})
