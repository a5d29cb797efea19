import { AtlasError, errorCode } from '../errors.ts'

/** What the operating system says of a file, as an error that names the file. */
export function fileError(file: string, error: unknown): unknown {
  if (error instanceof AtlasError) return error
  const code = errorCode(error)
  if (code === undefined) return error
  const [reason, hint] = FAULTS[code] ?? [code, 'Mend that and try again.']
  return unusable(file, reason, hint)
}

/** @returns a `file_error` */
export const unusable = (file: string, reason: string, hint: string): AtlasError =>
  new AtlasError('file_error', `${file} cannot be used: ${reason}.`, hint)

const PERMISSIONS = 'Check the permissions of the file and its folder, or choose another folder with --dir.'
const MOVE_AWAY = 'Move it away, or choose another folder with --dir.'
const MAKE_ROOM = 'Make room and try again; nothing was overwritten.'

const FAULTS: Record<string, [reason: string, hint: string]> = {
  ENOENT: ['its folder is not there and cannot be made', 'Choose another folder with --dir.'],
  EACCES: ['permission denied', PERMISSIONS],
  EPERM: ['permission denied', PERMISSIONS],
  EROFS: ['the file system is read-only', 'Choose another folder with --dir.'],
  ENOSPC: ['the disk is full', MAKE_ROOM],
  EDQUOT: ['the disk quota is used up', MAKE_ROOM],
  EISDIR: ['a folder is in its place', MOVE_AWAY],
  ENOTDIR: ['a file is in the place of its folder', MOVE_AWAY],
  EEXIST: ['a file is in the place of its folder', MOVE_AWAY],
  ELOOP: ['its symbolic links lead in a circle', 'Correct the links, or choose another folder with --dir.'],
  ENAMETOOLONG: ['its path is too long', 'Choose another folder with --dir.'],
}
