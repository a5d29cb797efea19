import { expect, test } from 'bun:test'
import { addonFolder, userLockFolder } from '../../lib/files/user-folder.ts'

test.each([
  [1000, '/home/ada', '/tmp/atlas-1000'],
  [0, '/root', '/tmp/atlas-0'],
  [501, '/Users/ada', '/tmp/atlas-501'],
  [undefined, 'C:\\Users\\ada', 'C:\\Users\\ada\\AppData\\Local\\atlas\\locks'],
])('locks: those of user %p with home %p are in %p, whatever the environment says', (uid, home, folder) => {
  expect(userLockFolder(uid, home)).toBe(folder)
})

test('locks: on Windows a user without a home folder is refused', () => {
  expect(userLockFolder(1000, undefined)).toBe('/tmp/atlas-1000')
  expect(() => userLockFolder(undefined, undefined)).toThrow('Windows has no profile folder for this user.')
})

test.each([
  ['linux', 1000, {}, { path: '/tmp/atlas-1000', from: undefined, uid: 1000 }],
  ['linux', 1000, { TMPDIR: '/var/t' }, { path: '/var/t/atlas-1000', from: 'TMPDIR', uid: 1000 }],
  ['linux', 1000, { TMPDIR: '', TEMP: '/t' }, { path: '/tmp/atlas-1000', from: undefined, uid: 1000 }],
  ['win32', undefined, {}, { path: 'C:\\Windows\\Temp\\atlas', from: undefined, uid: undefined }],
  ['win32', undefined, { TMP: 'D:\\t' }, { path: 'D:\\t\\atlas', from: 'TMP', uid: undefined }],
] as const)('keychain addon: on %s user %p with %p unpacks it into %p', (platform, uid, env, folder) => {
  expect(addonFolder(env, platform, uid)).toEqual(folder)
})
