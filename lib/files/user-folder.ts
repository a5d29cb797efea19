import path from 'node:path'
import { AtlasError } from '../errors.ts'

/**
 * The folder for locks on credentials that belong to an operating-system user, whatever HOME, TMPDIR
 * or XDG variables say: the keychain does not depend on those either.
 * @param uid the numeric user id; undefined on Windows.
 * @param homeFolder the home folder from the user database, not from the environment; Windows alone needs it.
 * @throws {AtlasError} `usage`: Windows does not know it.
 */
export function userLockFolder(uid: number | undefined, homeFolder: string | undefined): string {
  if (uid !== undefined) return `/tmp/atlas-${uid}`
  if (homeFolder !== undefined) return path.win32.join(homeFolder, 'AppData', 'Local', 'atlas', 'locks')
  throw new AtlasError(
    'usage',
    'Windows knows no profile folder for this user.',
    'Run atlas as another user.',
  )
}
