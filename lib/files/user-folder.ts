import fs from 'node:fs'
import path from 'node:path'
import { usageError } from '../errors.ts'
import { checkPrivateFolder } from './private.ts'

/** Where the keychain addon may be unpacked. */
export interface AddonFolder {
  readonly path: string
  /** What must be there already: a home or temporary folder that does not exist is a mistake, and is not made. */
  readonly below: string
  /** The variable that names the temporary folder; undefined for the default one. */
  readonly from: string | undefined
  readonly uid: number | undefined
}

/**
 * The folder for the locks of an operating-system user, whatever HOME, TMPDIR or XDG variables say: the
 * keychain does not depend on those either. Where the system makes a folder for the user's session, locks
 * have the scope of the session bus, also for services that have a temporary folder of their own.
 * @param uid the numeric user id; undefined on Windows.
 * @param homeFolder from the user database, not from the environment; Windows alone needs it.
 * @param sessions where the system keeps the folders of users' sessions.
 * @throws {AtlasError} `usage`: Windows does not know it.
 */
export function userLockFolder(
  uid: number | undefined,
  homeFolder: string | undefined,
  sessions = '/run/user',
): string {
  if (uid !== undefined) {
    const session = path.posix.join(sessions, String(uid))
    return isOwn(session, uid) ? path.posix.join(session, 'atlas') : `/tmp/atlas-${uid}`
  }
  if (homeFolder !== undefined) return path.win32.join(homeFolder, 'AppData', 'Local', 'atlas', 'locks')
  throw usageError('Windows has no profile folder for this user.', 'Run atlas as another user.')
}

function isOwn(folder: string, uid: number): boolean {
  try {
    return checkPrivateFolder(folder, uid)
  } catch {
    return false
  }
}

/**
 * The folders for the keychain addon of the compiled program, the best first: in the cache of the home of the user
 * database, whatever HOME says, then in the temporary folder.
 */
export function addonFolders(
  env: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform,
  uid: number | undefined,
  homeFolder: string | undefined,
): AddonFolder[] {
  const { join } = platform === 'win32' ? path.win32 : path.posix
  const cache = { win32: 'AppData/Local', darwin: 'Library/Caches' }[platform as string] ?? '.cache'
  const atHome = homeFolder && {
    path: join(homeFolder, cache, 'atlas'),
    below: homeFolder,
    from: undefined,
    uid,
  }
  const variables = platform === 'win32' ? ['TEMP', 'TMP'] : ['TMPDIR']
  const from = variables.find(name => env[name])
  const below = (from && env[from]) || (platform === 'win32' ? 'C:\\Windows\\Temp' : '/tmp')
  const temporary = { path: join(below, uid === undefined ? 'atlas' : `atlas-${uid}`), below, from, uid }
  return atHome ? [atHome, temporary] : [temporary]
}

/**
 * The home folder of a user in the user database; undefined for a user who is not in that file. The runtime's own
 * answer is HOME, which whoever sets a variable can lead into files of theirs.
 * @param runtimeHome the runtime's answer.
 */
export function accountHome(
  platform: NodeJS.Platform,
  uid: number | undefined,
  runtimeHome: string | undefined,
  userDatabase = '/etc/passwd',
): string | undefined {
  if (platform === 'win32') return runtimeHome
  try {
    const entries = fs.readFileSync(userDatabase, 'utf8').split('\n')
    const home = entries.map(entry => entry.split(':')).find(([, , id]) => id === String(uid))?.[5]
    if (home?.startsWith('/')) return home
  } catch {}
  // macOS keeps its people elsewhere, and their homes here.
  const isHome =
    platform === 'darwin' && runtimeHome !== undefined && path.posix.dirname(runtimeHome) === '/Users'
  return isHome ? runtimeHome : undefined
}
