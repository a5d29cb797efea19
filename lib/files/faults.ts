import fs from 'node:fs'
import path from 'node:path'
import { type AtlasCode, AtlasError, errorCode } from '../errors.ts'
import { shellQuoted } from '../shell-quote.ts'

/** What to do about each kind of fault, beside choosing another folder. */
const NEXT_STEP = {
  denied: 'Check its permissions',
  full: 'Make room',
  /** Its folder does not exist, or never can. */
  missing: 'Fix this',
  /** A link, a pipe or a folder is where a file should be, or it is too large. */
  unfit: 'Move it away',
  foreign: 'Run atlas as that user',
  /** Others can read or change it. */
  exposed: 'Take their permissions away',
  /** Something is mounted in the place of the file itself. */
  mounted: 'Mount its folder instead of the file',
  other: 'Fix this',
}

type FaultKind = keyof typeof NEXT_STEP

/** Why a file or folder cannot be used; the message is the end of a sentence, such as "the disk is full". */
export class FileFault extends Error {
  readonly kind: FaultKind
  /** The file or folder that it is about, where that is known. */
  readonly place: string | undefined
  /** The command that puts it right, where there is one. */
  readonly fix: string | undefined

  constructor(kind: FaultKind, reason: string, place?: string, fix?: string) {
    super(reason)
    this.kind = kind
    this.place = place
    this.fix = fix
  }

  /** The code where it is a credential store that cannot be used. */
  get storeCode(): 'store_denied' | 'store_unavailable' {
    return ['full', 'missing', 'other'].includes(this.kind) ? 'store_unavailable' : 'store_denied'
  }

  /**
   * @param failure what could not be done, as the beginning of a sentence.
   * @param choice what chooses another folder, such as "--dir".
   */
  toError(code: AtlasCode, failure: string, choice: string): AtlasError {
    const hint =
      this.fix === undefined
        ? `${NEXT_STEP[this.kind]}, or choose another folder with ${choice}.`
        : `If that was not meant, fix it with: ${this.fix}`
    return new AtlasError(code, `${failure}: ${this.message}.`, hint)
  }
}

/** What an error of the system, or of a check in `files/`, says of a file; undefined for any other error. */
export function faultOf(error: unknown, place?: string): FileFault | undefined {
  if (error instanceof FileFault) return error
  // Cleaning up failed too; why it was begun says more.
  if (error instanceof SuppressedError) return faultOf(error.suppressed, place)
  const code = error instanceof AtlasError ? undefined : errorCode(error)
  if (code === undefined) return undefined
  const [kind, reason] = FAULTS[code] ?? ['other', code]
  const left = kind === 'denied' && place !== undefined ? leftByRoot(place) : undefined
  if (left === undefined) return new FileFault(kind, reason, place)
  const fix = `sudo chown -R ${process.getuid?.()} ${shellQuoted(left)}`
  return new FileFault(kind, `${reason}, as ${left} belongs to root`, place, fix)
}

/** What is root's in a folder of the user, as a run with `sudo` leaves it: the place, or a folder on the way to it. */
function leftByRoot(place: string): string | undefined {
  const ownerOf = (one: string): number | undefined => {
    try {
      return fs.lstatSync(one).uid
    } catch {
      return undefined
    }
  }
  const uid = process.getuid?.() ?? 0
  if (uid === 0) return undefined
  let reached = path.resolve(place)
  while (ownerOf(path.dirname(reached)) !== uid && path.dirname(reached) !== reached)
    reached = path.dirname(reached)
  return ownerOf(reached) === 0 && path.dirname(reached) !== reached ? reached : undefined
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
  EBUSY: ['mounted', 'it is mounted by itself or in use'],
  EROFS: ['denied', 'the file system is read-only'],
  ENOSPC: ['full', 'the disk is full'],
  EFBIG: ['full', 'a file may not be that large here (see ulimit -f)'],
  EDQUOT: ['full', 'the disk quota is used up'],
  ENOENT: ['missing', 'its folder does not exist'],
  EISDIR: ['unfit', 'a folder is in its place'],
  ENOTDIR: ['missing', 'a file is in the place of its folder'],
  EEXIST: ['unfit', 'a file is in the place of its folder'],
  ELOOP: ['unfit', 'its symbolic links lead in a circle'],
  ENAMETOOLONG: ['missing', 'its path is too long'],
  SQLITE_CANTOPEN: ['denied', 'it cannot be opened'],
  SQLITE_READONLY: ['denied', 'it is read-only'],
  SQLITE_FULL: ['full', 'the disk is full'],
  SQLITE_IOERR_LOCK: ['other', 'its file system has no locks'],
}
