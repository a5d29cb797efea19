import { AtlasError, errorCode } from '../errors.ts'

/** What kind of next step a fault asks for. */
export type FaultKind =
  /** Permission is missing. */
  | 'denied'
  | 'read-only'
  | 'full'
  /** Its folder does not exist, or never can. */
  | 'missing'
  /** Something else is in its place. */
  | 'occupied'
  /** It is a link, a pipe or a folder where it should not be, or too large. */
  | 'unfit'
  /** Symbolic links lead in a circle. */
  | 'loop'
  /** It belongs to another user. */
  | 'foreign'
  /** Others can read or change it. */
  | 'exposed'
  | 'other'

/** Why a file or folder cannot be used. Each caller makes an error of it that names what it wanted to do. */
export class FileFault extends Error {
  readonly kind: FaultKind
  /** The end of a sentence, such as "the disk is full". */
  readonly reason: string
  /** The file or folder that it is about, where that is known. */
  readonly place: string | undefined
  /** The command that puts it right, where there is one. */
  readonly fix: string | undefined

  constructor(kind: FaultKind, reason: string, place?: string, fix?: string) {
    super(place === undefined ? reason : `${place}: ${reason}`)
    this.kind = kind
    this.reason = reason
    this.place = place
    this.fix = fix
  }

  /** The code where it is a credential store that cannot be used. */
  get storeCode(): 'store_denied' | 'store_unavailable' {
    const unavailable = this.kind === 'full' || this.kind === 'missing' || this.kind === 'other'
    return unavailable ? 'store_unavailable' : 'store_denied'
  }
}

/** What an error of the system, or of a check in `files/`, says of a file; undefined for any other error. */
export function faultOf(error: unknown, place?: string): FileFault | undefined {
  if (error instanceof FileFault) return error
  const code = error instanceof AtlasError ? undefined : errorCode(error)
  if (code === undefined) return undefined
  const [kind, reason] = FAULTS[code] ?? ['other', code]
  return new FileFault(kind, reason, place)
}

/** Do something with a file. @throws {FileFault} about that place, where the system refuses. */
export function at<T>(place: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw faultOf(error, place) ?? error
  }
}

const FAULTS: Record<string, [kind: FaultKind, reason: string]> = {
  EACCES: ['denied', 'permission denied'],
  EPERM: ['denied', 'permission denied'],
  EROFS: ['read-only', 'the file system is read-only'],
  ENOSPC: ['full', 'the disk is full'],
  EDQUOT: ['full', 'the disk quota is used up'],
  ENOENT: ['missing', 'its folder does not exist'],
  EISDIR: ['occupied', 'a folder is in its place'],
  ENOTDIR: ['missing', 'a file is in the place of its folder'],
  EEXIST: ['occupied', 'a file is in the place of its folder'],
  ELOOP: ['loop', 'its symbolic links lead in a circle'],
  ENAMETOOLONG: ['missing', 'its path is too long'],
  SQLITE_CANTOPEN: ['denied', 'it cannot be opened'],
  SQLITE_READONLY: ['read-only', 'it is read-only'],
  SQLITE_FULL: ['full', 'the disk is full'],
  SQLITE_IOERR_LOCK: ['other', 'its file system has no locks'],
}
