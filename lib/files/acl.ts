import { openLibc, terminated } from '../libc.ts'

/** What Linux keeps a file's list in. @see acl(5) */
const ATTRIBUTE = 'system.posix_acl_access'
/** As much as the kernel takes (XATTR_SIZE_MAX). */
const MAX_BYTES = 65_536

/** The POSIX access control list of a file; undefined where it has none, or the file system or platform knows none. */
export function readAcl(file: string): Uint8Array | undefined {
  const list = new Uint8Array(MAX_BYTES)
  const size = libc()?.getxattr(terminated(file), terminated(ATTRIBUTE), list, MAX_BYTES) ?? -1
  return size > 0 ? list.slice(0, Number(size)) : undefined
}

/** Give a file that list, or none whatever its folder hands down. @returns whether the file has it. */
export function writeAcl(file: string, list: Uint8Array | undefined): boolean {
  const calls = libc()
  if (list === undefined) {
    calls?.removexattr(terminated(file), terminated(ATTRIBUTE))
    return readAcl(file) === undefined
  }
  return calls?.setxattr(terminated(file), terminated(ATTRIBUTE), list, list.byteLength, 0) === 0
}

type Libc = ReturnType<typeof load>
let loaded: Libc | undefined

function libc(): Libc {
  loaded ??= load()
  return loaded
}

function load() {
  if (process.platform !== 'linux') return undefined
  return openLibc({
    getxattr: { args: ['ptr', 'ptr', 'ptr', 'usize'], returns: 'i64' },
    setxattr: { args: ['ptr', 'ptr', 'ptr', 'usize', 'i32'], returns: 'i32' },
    removexattr: { args: ['ptr', 'ptr'], returns: 'i32' },
  })
}
