import { expect, test } from 'bun:test'
import { userLockFolder } from '../../lib/files/user-folder.ts'

test.each([
  [1000, '/home/ada', '/tmp/atlas-1000'],
  [0, '/root', '/tmp/atlas-0'],
  [501, '/Users/ada', '/tmp/atlas-501'],
  [undefined, 'C:\\Users\\ada', 'C:\\Users\\ada\\AppData\\Local\\atlas\\locks'],
])('user %p has locks where the keychain’s scope is: by the user, not by the environment', (uid, home, folder) => {
  expect(userLockFolder(uid, home)).toBe(folder)
})

test('a user without a home folder is refused where the locks need one', () => {
  expect(userLockFolder(1000, undefined)).toBe('/tmp/atlas-1000')
  expect(() => userLockFolder(undefined, undefined)).toThrow('Windows has no profile folder for this user.')
})
