import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { AtlasServer } from './atlas-server.ts'

/** The compiled program that the tests drive. */
export const BINARY = path.resolve(
  import.meta.dir,
  '../../dist',
  process.platform === 'win32' ? 'atlas.exe' : 'atlas',
)

export interface Outcome {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly env?: Record<string, string | undefined>
  readonly input?: string | Uint8Array
  readonly cwd?: string
  /** What starts the program: `['strace', '-f']`, or `['sh', '-c', script]`, which finds it as `$0`. */
  readonly via?: readonly string[]
  /** Who runs it; the sandbox's user unless given. */
  readonly user?: User
  /** Another program than the compiled one, or a copy of it. */
  readonly binary?: string
}

export interface User {
  readonly uid: number
  readonly gid: number
}

/** A machine as a test sees it: the compiled program, a home folder and an environment of its own. */
export interface Machine {
  readonly home: string
  readonly configFolder: string
  /** An empty folder, where commands run. */
  readonly cwd: string
  readonly env: Record<string, string>
  readonly binary: string
  /** Who runs the program, where that is not the test's own user. */
  readonly user: User | undefined
  run(args: readonly string[], options?: RunOptions): Promise<Outcome>
  start(args: readonly string[], options?: RunOptions): Bun.Subprocess<'pipe', 'pipe', 'pipe'>
  /** The paths of all files below the home folder whose content holds the text. */
  filesHolding(text: string): string[]
}

/** Removed after use. */
export interface Sandbox extends Machine, Disposable {
  /** Log in as Ada. */
  logIn(server: AtlasServer, options?: RunOptions): Promise<Outcome>
}

/** Log in as Ada, whose password comes on standard input. */
export const LOGIN = ['auth', 'login', '--email', 'ada@example.com', '--password-stdin']

/**
 * @param env on top of an environment that holds nothing but the home folder and the file store's choice.
 * @param user who runs the program; the test's own user unless given.
 */
export function createSandbox(
  env: Record<string, string> = { ATLAS_CREDENTIAL_STORE: 'file' },
  user?: User,
): Sandbox {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-test-'))
  const home = path.join(root, 'home')
  const cwd = path.join(home, 'cwd')
  fs.mkdirSync(cwd, { recursive: true })
  const binary = user ? path.join(root, 'atlas') : BINARY
  if (user) {
    // The clone may lie in a folder that others cannot enter.
    fs.chmodSync(root, 0o755)
    linkOrCopy(BINARY, binary)
    for (const folder of [home, cwd]) fs.chownSync(folder, user.uid, user.gid)
  }
  const base = { HOME: home, PATH: process.env['PATH'] ?? '', TZ: 'UTC', ...env }

  const start = (args: readonly string[], options: RunOptions = {}) => {
    const given = Object.entries({ ...base, ...options.env }).filter(([, value]) => value !== undefined)
    const child = Bun.spawn([...(options.via ?? []), options.binary ?? binary, ...args], {
      ...(options.user ?? user),
      cwd: options.cwd ?? cwd,
      env: Object.fromEntries(given),
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'pipe',
    })
    if (options.input !== undefined) feed(child.stdin, options.input)
    return child
  }

  const run = async (args: readonly string[], options: RunOptions = {}): Promise<Outcome> => {
    const child = start(args, { input: '', ...options })
    return outcomeOf(child)
  }

  return {
    home,
    configFolder: path.join(home, '.config', 'atlas'),
    cwd,
    env: base,
    binary,
    user,
    run,
    start,
    logIn: (server, options) =>
      run(LOGIN, {
        input: 'correct horse\n',
        ...options,
        env: { ATLAS_API_URL: server.url, ...options?.env },
      }),
    filesHolding: text =>
      fs
        .readdirSync(home, { recursive: true, withFileTypes: true })
        .filter(entry => entry.isFile())
        .map(entry => path.join(entry.parentPath, entry.name))
        .filter(file => fs.readFileSync(file).includes(text)),
    [Symbol.dispose]: () => fs.rmSync(root, { recursive: true, force: true }),
  }
}

const NOBODY: User = { uid: 65_534, gid: 65_534 }

/** A sandbox of a user whom permissions bind. Root is not such a user, and continuous integration is root. */
export const createUnprivilegedSandbox = (
  env?: Record<string, string>,
  user: User | undefined = process.getuid?.() === 0 ? NOBODY : undefined,
): Sandbox => createSandbox(env, user)

function linkOrCopy(file: string, copy: string): void {
  try {
    fs.linkSync(file, copy)
  } catch {
    fs.copyFileSync(file, copy)
  }
}

/** Give a program its input; one that has ended without reading it is no failure. */
function feed(stdin: Bun.FileSink, input: string | Uint8Array): void {
  const ignoreGone = (error: unknown): void => {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error
  }
  try {
    stdin.write(input)
    Promise.resolve(stdin.end()).catch(ignoreGone)
  } catch (error) {
    ignoreGone(error)
  }
}

/** Wait for a process and collect what it printed. */
export async function outcomeOf(child: Bun.Subprocess<'pipe', 'pipe', 'pipe'>): Promise<Outcome> {
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { status, stdout, stderr }
}

/** Read what a process prints until it matches; the rest is read and dropped, so that no pipe fills up. */
export async function readUntil(stream: ReadableStream<Uint8Array>, pattern: RegExp): Promise<string> {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  let text = ''
  while (!pattern.test(text)) {
    const { done, value } = await reader.read()
    if (done) throw new Error(`never saw ${pattern} in:\n${text}`)
    text += decoder.decode(value, { stream: true })
  }
  const drain = async (): Promise<void> => {
    while (!(await reader.read()).done);
  }
  drain().catch(() => {})
  return text
}
