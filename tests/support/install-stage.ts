import { test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { tarGz } from '../../release/archive.ts'
import { hostTarget } from '../../release/targets.ts'
import { testWithTools } from './needs.ts'
import { createReleaseKey, type ReleaseKey } from './release-key.ts'

export const INSTALL_SCRIPT = path.resolve(import.meta.dir, '../../install.sh')

/** The script checks signatures wherever it can. */
export const installTest =
  process.platform === 'win32' ? (test.skip as typeof test) : testWithTools('ssh-keygen')

/** Debian's shell knows no bash-isms. */
const SHELL = [Bun.which('dash') ?? 'sh']

/** What install.sh runs on every machine, whatever it downloads and checks with. */
const USED_TOOLS = 'uname ldd mktemp awk sed grep gzip tar mkdir cp cat chmod mv rm ls id sh'.split(' ')

/** Make a folder with those tools, and others, but without some. @returns the folder, for a PATH. */
export function installTools(
  folder: string,
  others: Readonly<Record<string, string | null>>,
  missing: readonly string[] = [],
): string {
  fs.mkdirSync(folder)
  const tools = { ...Object.fromEntries(USED_TOOLS.map(name => [name, Bun.which(name)])), ...others }
  for (const [name, file] of Object.entries(tools))
    if (file && !missing.includes(name)) fs.symlinkSync(file, path.join(folder, name))
  return folder
}

export interface ReleaseArchive {
  readonly name: string
  readonly bytes: Buffer
}

export const sha256 = (bytes: Uint8Array | string): string =>
  new Bun.CryptoHasher('sha256').update(bytes).digest('hex')

/** @param program a shell script; one that prints its version unless given. */
export function archiveOf(version: string, program = `echo "atlas/${version} test"`): ReleaseArchive {
  const folder = `atlas-${version}-${hostTarget().name}`
  // What a real archive weighs is not what a tampered one is known by; some length lets it be cut.
  const bytes = tarGz([
    { name: `${folder}/atlas`, content: Buffer.from(`#!/bin/sh\n${program}\n`), executable: true },
    { name: `${folder}/LICENSE`, content: crypto.getRandomValues(new Uint8Array(20_000)) },
  ])
  return { name: `${folder}.tar.gz`, bytes: Buffer.from(bytes) }
}

export interface Installation {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** The shell and its flags. */
  readonly shell?: readonly string[]
  readonly cwd?: string
}

/** A server with the files of a release, and the home folder of somebody who installs from it. */
export interface InstallStage extends Disposable {
  readonly home: string
  readonly url: string
  readonly files: Map<string, Uint8Array | string>
  /** Where a path of the server leads to. */
  readonly redirects: Map<string, string>
  /** The paths that the server was asked for. */
  readonly asked: string[]
  /** By which the server signs what it says are the checksums, unless it holds a signature. */
  readonly key: ReleaseKey
  /** The script, with that key. */
  readonly script: string
  /** Put a release onto the server, its checksum line right unless given. */
  publish(version: string, line?: (archive: ReleaseArchive) => string, program?: string): Buffer
  start(version: string, options?: Installation): Bun.Subprocess<'ignore', 'pipe', 'pipe'>
  install(
    version: string,
    options?: Installation,
  ): Promise<{ status: number; stdout: string; stderr: string }>
  /** Every file in the home folder, and its mode. */
  left(): string[]
  /** What the program prints that was installed. */
  runInstalled(folder?: string): string
}

interface Server {
  readonly hostname?: string
  readonly tls?: { readonly key: string; readonly cert: string }
}

export function installStage({ hostname = '127.0.0.1', tls }: Server = {}): InstallStage {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas install-'))
  const files = new Map<string, Uint8Array | string>()
  const redirects = new Map<string, string>()
  const asked: string[] = []
  const key = createReleaseKey()
  const script = path.join(key.folder, 'install.sh')
  fs.writeFileSync(
    script,
    fs.readFileSync(INSTALL_SCRIPT, 'utf8').replace(/^SIGNER=.*$/m, `SIGNER='${key.signer}'`),
  )
  const server = Bun.serve({
    port: 0,
    hostname,
    ...(tls && { tls }),
    fetch({ url }) {
      const { pathname } = new URL(url)
      asked.push(pathname)
      const location = redirects.get(pathname)
      if (location !== undefined) return new Response(null, { status: 302, headers: { location } })
      const sums = pathname.endsWith('.sig') ? files.get(pathname.replace(/\.sig$/, '')) : undefined
      const content = files.get(pathname) ?? (sums === undefined ? undefined : key.sign(sums))
      return content === undefined ? new Response('no', { status: 404 }) : new Response(content as string)
    },
  })
  const url = server.url.href
  const start: InstallStage['start'] = (version, { args = [], env = {}, shell = SHELL, cwd = home } = {}) =>
    Bun.spawn([...shell, script, '--version', version, ...args], {
      cwd,
      env: { HOME: home, TMPDIR: home, PATH: process.env['PATH'] ?? '', ATLAS_INSTALL_BASE_URL: url, ...env },
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    })
  return {
    home,
    url,
    files,
    redirects,
    asked,
    key,
    script,
    start,
    publish(version, line, program) {
      const archive = archiveOf(version, program)
      files.set(`/${archive.name}`, archive.bytes)
      const right = `${sha256(archive.bytes)}  ${archive.name}\n`
      files.set('/SHA256SUMS', `${'0'.repeat(64)}  other.tar.gz\n${line ? line(archive) : right}`)
      return archive.bytes
    },
    async install(version, options) {
      const child = start(version, options)
      const [stdout, stderr, status] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.exited,
      ])
      return { status, stdout, stderr }
    },
    left: () =>
      fs
        .readdirSync(home, { recursive: true, withFileTypes: true })
        .filter(entry => entry.isFile())
        .map(entry => path.join(entry.parentPath, entry.name))
        .map(file => `${path.relative(home, file)} ${(fs.statSync(file).mode & 0o777).toString(8)}`)
        .sort(),
    runInstalled: (folder = path.join(home, '.local/bin')) =>
      Bun.spawnSync([path.join(folder, 'atlas')]).stdout.toString(),
    [Symbol.dispose]() {
      server.stop(true)
      key[Symbol.dispose]()
      fs.rmSync(home, { recursive: true, force: true })
    },
  }
}
