import path from 'node:path'

/**
 * The folder for locks on credentials that belong to an operating-system user, whatever HOME, TMPDIR
 * or XDG variables say: the keychain does not depend on those either.
 * @param uid the numeric user id; undefined on Windows.
 * @param homeFolder the home folder from the user database, not from the environment.
 */
export const userLockFolder = (uid: number | undefined, homeFolder: string): string =>
  uid === undefined ? path.win32.join(homeFolder, 'AppData', 'Local', 'atlas', 'locks') : `/tmp/atlas-${uid}`
