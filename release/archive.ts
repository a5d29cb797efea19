import { zipSync } from 'fflate'
import { createTar } from 'nanotar'

/** A file of a release archive. */
export interface ArchiveFile {
  /** Its path in the archive, parts separated by `/`. */
  readonly name: string
  readonly content: Uint8Array
  readonly executable?: boolean
}

/** A folder of an archive, where a format wants these named too. */
export interface ArchiveFolder {
  /** Its path in the archive, with a `/` at its end. */
  readonly name: string
}

/** Times tell nothing and would differ: every file has the earliest that both formats can express. */
const YEAR = 1980
const UNIX = 3
/** nanotar leaves these blocks out where the files fill their last record. */
const TAR_END = Buffer.alloc(1024)
const REGULAR_FILE = 0o100000

const modeOf = ({ executable }: ArchiveFile): number => (executable ? 0o755 : 0o644)
const byName = (a: ArchiveFolder, b: ArchiveFolder): number => (a.name < b.name ? -1 : 1)

/** A `.tar.gz` of files; the same bytes for the same files, whoever packs them and when. */
export function tarGz(entries: readonly (ArchiveFile | ArchiveFolder)[]): Uint8Array {
  const tar = createTar(
    entries.toSorted(byName).map(entry => ({
      name: entry.name,
      ...('content' in entry && { data: entry.content }),
      attrs: {
        mode: ('content' in entry ? modeOf(entry) : 0o755).toString(8),
        mtime: Date.UTC(YEAR, 0, 1),
        uid: 0,
        gid: 0,
        user: 'root',
        group: 'root',
      },
    })),
  )
  return gzip(Buffer.concat([tar, TAR_END]))
}

/** Without a name and a time, and as small as can be. */
export const gzip = (bytes: Uint8Array): Uint8Array =>
  Bun.gzipSync(bytes as Uint8Array<ArrayBuffer>, { level: 9, library: 'libdeflate' })

/** A `.zip` of files; the same bytes for the same files, whoever packs them and when. */
export function zip(files: readonly ArchiveFile[]): Uint8Array {
  // A time in a zip is that of the clock on the wall: midnight, in whatever zone this runs.
  const mtime = new Date(YEAR, 0, 1)
  return zipSync(
    Object.fromEntries(
      files
        .toSorted(byName)
        .map(file => [
          file.name,
          [file.content, { mtime, os: UNIX, attrs: ((REGULAR_FILE | modeOf(file)) << 16) >>> 0 }],
        ]),
    ),
    { level: 9 },
  )
}
