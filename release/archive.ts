import { zipSync } from 'fflate'
import { createTar } from 'nanotar'

/** A file of a release archive. */
export interface ArchiveFile {
  /** Its path in the archive, parts separated by `/`. */
  readonly name: string
  readonly content: Uint8Array
  readonly executable?: boolean
}

/** Times tell nothing and would differ: every file has the earliest that both formats can express. */
const YEAR = 1980
const UNIX = 3
const REGULAR_FILE = 0o100000

const modeOf = ({ executable }: ArchiveFile): number => (executable ? 0o755 : 0o644)
const byName = (a: ArchiveFile, b: ArchiveFile): number => (a.name < b.name ? -1 : 1)

/** A `.tar.gz` of files; the same bytes for the same files, whoever packs them and when. */
export function tarGz(files: readonly ArchiveFile[]): Uint8Array {
  const tar = createTar(
    files.toSorted(byName).map(file => ({
      name: file.name,
      data: file.content,
      attrs: {
        mode: modeOf(file).toString(8),
        mtime: Date.UTC(YEAR, 0, 1),
        uid: 0,
        gid: 0,
        user: 'root',
        group: 'root',
      },
    })),
  )
  return Bun.gzipSync(tar as Uint8Array<ArrayBuffer>, { level: 9, library: 'libdeflate' })
}

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
