import fs from 'node:fs'
import type { Environment } from '../../config/load.ts'
import { openLibc } from '../../libc.ts'
import { type Bytes, bufferOf, bytesOf, environmentOf, textOf } from './bytes.ts'
import { notFound, ProgramError } from './find-program.ts'

const SHELL = '/bin/sh'
/** Of fcntl(2) and setrlimit(2), as Linux numbers them. */
const F_SETFD = 2
const RLIMIT_NOFILE = 7
/** Of errno(3), the same on Linux and macOS. */
const ERRNO = { ENOENT: 2, E2BIG: 7, ENOEXEC: 8, ENOTDIR: 20 }

/**
 * The descriptors beyond the standard streams that whoever started atlas has handed on, as `<(…)` of a shell does.
 * The runtime marks them to be closed. Asked before atlas opens anything itself.
 */
export function inheritedDescriptors(): number[] {
  if (process.platform !== 'linux') return []
  try {
    return fs
      .readdirSync('/proc/self/fd')
      .map(Number)
      .filter(descriptor => descriptor > 2 && isForeign(descriptor))
  } catch {
    return []
  }
}

/** The runtime's own are those of its event loop, and the one that has just listed them. */
function isForeign(descriptor: number): boolean {
  try {
    return !fs.readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('anon_inode:')
  } catch {
    return false
  }
}

export interface Program {
  /** A path. */
  readonly file: Bytes
  /** Its arguments, its name first. */
  readonly args: readonly Bytes[]
  /** The environment of this process. */
  readonly env: Environment
  /** Variables that have another value for the program. */
  readonly changes: Readonly<Record<string, string>>
  /** What `inheritedDescriptors` gave. */
  readonly descriptors: readonly number[]
}

/**
 * Go on as another program, in the same process: its job, terminal, signals and descriptors are those of atlas, and
 * nothing of atlas is left.
 * @throws {ProgramError} the system refuses it.
 */
export function replaceProcess({ file, args, env, changes, descriptors }: Program): never {
  const errnoCall = process.platform === 'darwin' ? '__error' : '__errno_location'
  const libc = openLibc({
    execve: { args: ['ptr', 'ptr', 'ptr'], returns: 'i32' },
    fcntl: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
    setrlimit: { args: ['i32', 'ptr'], returns: 'i32' },
    [errnoCall]: { args: [], returns: 'ptr' },
  } as const)
  if (libc === undefined)
    throw new ProgramError(126, `${textOf(file)} cannot be started: the C library was not found.`)
  const { ptr, read } = process.getBuiltinModule('bun:ffi') as typeof import('bun:ffi')
  const kept: Uint8Array[] = []
  const vectorOf = (items: readonly Uint8Array[]): BigUint64Array => {
    kept.push(...items)
    return BigUint64Array.from([...items.map(item => BigInt(ptr(item))), 0n])
  }

  // The runtime ignores it, which a program would inherit; what has a listener is back to normal in the program.
  process.on('SIGPIPE', () => {})
  for (const descriptor of descriptors) libc.fcntl(descriptor, F_SETFD, 0)
  const limit = limitOfFiles()
  if (limit !== undefined) libc.setrlimit(RLIMIT_NOFILE, limit)
  const environment = vectorOf(environmentWith(env, changes))
  const start = (path: Bytes, words: readonly Bytes[]): number => {
    libc.execve(terminated(path), vectorOf(words.map(terminated)), environment)
    return read.i32(libc[errnoCall]?.() ?? 0)
  }
  let errno = start(file, args)
  // A script without "#!" is one for the shell. @see execvp(3)
  if (errno === ERRNO.ENOEXEC) errno = start(SHELL, ['sh', file, ...args.slice(1)])
  throw refusal(textOf(file), errno)
}

/** As the C library takes it. */
const terminated = (bytes: Bytes): Uint8Array => bufferOf(`${bytes}\0`)

function refusal(file: string, errno: number): ProgramError {
  if (errno === ERRNO.ENOENT || errno === ERRNO.ENOTDIR)
    return fs.existsSync(file)
      ? new ProgramError(
          127,
          `${file} needs another program that does not exist.`,
          'Check its first line, and that it has no line endings of Windows.',
        )
      : notFound(file)
  if (errno === ERRNO.E2BIG)
    return new ProgramError(126, `${file} cannot be started: its arguments and environment are too long.`)
  return new ProgramError(126, `${file} cannot be started (errno ${errno}).`)
}

/** The environment of this process with other values for some variables. */
function environmentWith(env: Environment, changes: Program['changes']): Uint8Array[] {
  const isChanged = (entry: string): boolean => Object.hasOwn(changes, entry.split('=')[0] ?? '')
  const kept = environmentOf(env).filter(entry => !isChanged(entry))
  const added = Object.entries(changes).map(([name, value]) => bytesOf(`${name}=${value}`))
  return [...kept, ...added].map(terminated)
}

/** The soft limit where a service manager has set the limits, which is not said to a process whose runtime raised it. */
const USUAL_LIMIT = 1024

/** What the runtime has raised is set back to what the parent has: with a high limit some old programs take minutes. */
function limitOfFiles(): BigUint64Array | undefined {
  try {
    const limitsOf = (pid: number | 'self'): number[] => {
      const limits = fs.readFileSync(`/proc/${pid}/limits`, 'utf8')
      return (/^Max open files\s+(\d+)\s+(\d+)/m.exec(limits) ?? []).slice(1).map(Number)
    }
    const [parentSoft, parentHard] = limitsOf(process.ppid)
    const [, hard] = limitsOf('self')
    if (parentSoft === undefined || hard === undefined) return undefined
    const soft = parentHard === hard ? parentSoft : USUAL_LIMIT
    return BigUint64Array.of(BigInt(Math.min(soft, hard)), BigInt(hard))
  } catch {
    return undefined
  }
}
