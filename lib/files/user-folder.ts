import path from 'node:path'
import { usageError } from '../errors.ts'

/** Where the keychain addon is unpacked. */
export interface AddonFolder {
  readonly path: string
  /** The variable that names the temporary folder; undefined for the default one. */
  readonly from: string | undefined
  readonly uid: number | undefined
}

/**
 * The folder for the locks of an operating-system user, whatever HOME, TMPDIR or XDG variables say: the
 * keychain does not depend on those either.
 * @param uid the numeric user id; undefined on Windows.
 * @param homeFolder from the user database, not from the environment; Windows alone needs it.
 * @throws {AtlasError} `usage`: Windows does not know it.
 */
export function userLockFolder(uid: number | undefined, homeFolder: string | undefined): string {
  if (uid !== undefined) return `/tmp/atlas-${uid}`
  if (homeFolder !== undefined) return path.win32.join(homeFolder, 'AppData', 'Local', 'atlas', 'locks')
  throw usageError('Windows has no profile folder for this user.', 'Run atlas as another user.')
}

/** The user's own folder in the temporary folder, for the keychain addon of the compiled program. */
export function addonFolder(
  env: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform,
  uid: number | undefined,
): AddonFolder {
  const variables = platform === 'win32' ? ['TEMP', 'TMP'] : ['TMPDIR']
  const from = variables.find(name => env[name])
  const parent = (from && env[from]) || (platform === 'win32' ? 'C:\\Windows\\Temp' : '/tmp')
  const { join } = platform === 'win32' ? path.win32 : path.posix
  return { path: join(parent, uid === undefined ? 'atlas' : `atlas-${uid}`), from, uid }
}
