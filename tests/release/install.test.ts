import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import manifest from '../../package.json' with { type: 'json' }
import { tarGz } from '../../release/archive.ts'
import { hostTarget } from '../../release/targets.ts'

const SCRIPT = path.resolve(import.meta.dir, '../../install.sh')
const posixTest = process.platform === 'win32' ? (test.skip as typeof test) : test
/** Debian's shell knows no bash-isms. */
const SHELL = Bun.which('dash') ?? 'sh'

const archiveOf = (version: string, target = hostTarget().name): { name: string; bytes: Buffer } => {
  const folder = `atlas-${version}-${target}`
  const program = `#!/bin/sh\necho "atlas/${version} test"\n`
  // What a real archive weighs is not what a tampered one is known by; some length lets it be cut.
  const bytes = tarGz([
    { name: `${folder}/atlas`, content: Buffer.from(program), executable: true },
    { name: `${folder}/LICENSE`, content: crypto.getRandomValues(new Uint8Array(20_000)) },
  ])
  return { name: `${folder}.tar.gz`, bytes: Buffer.from(bytes) }
}
const sha256 = (bytes: Uint8Array): string => new Bun.CryptoHasher('sha256').update(bytes).digest('hex')

let server: Bun.Server<undefined>
let home: string
let asked: string[] = []
const files = new Map<string, Uint8Array | string>()
const redirects = new Map<string, string>()

beforeAll(() => {
  server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch({ url }) {
      const { pathname } = new URL(url)
      asked.push(pathname)
      const location = redirects.get(pathname)
      if (location !== undefined) return new Response(null, { status: 302, headers: { location } })
      const content = files.get(pathname)
      return content === undefined ? new Response('no', { status: 404 }) : new Response(content as string)
    },
  })
})
afterAll(() => server.stop(true))
beforeEach(() => {
  files.clear()
  asked = []
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas install-'))
  return () => fs.rmSync(home, { recursive: true, force: true })
})

/** Put a release onto the server, its checksum line right unless given. */
function publish(version: string, line?: (archive: { name: string; bytes: Buffer }) => string): Buffer {
  const archive = archiveOf(version)
  files.set(`/${archive.name}`, archive.bytes)
  const right = `${sha256(archive.bytes)}  ${archive.name}\n`
  files.set('/SHA256SUMS', `${'0'.repeat(64)}  other.tar.gz\n${line ? line(archive) : right}`)
  return archive.bytes
}

async function install(
  version: string,
  { args = [], env = {} }: { args?: string[]; env?: Record<string, string> } = {},
) {
  const child = Bun.spawn([SHELL, SCRIPT, '--version', version, ...args], {
    cwd: home,
    env: {
      HOME: home,
      TMPDIR: home,
      PATH: process.env['PATH'] ?? '',
      ATLAS_INSTALL_BASE_URL: server.url.href,
      ...env,
    },
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { status, stdout, stderr }
}

/** Everything that the script left in the home folder, and whether it could run. */
const left = (): string[] =>
  fs
    .readdirSync(home, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => path.join(entry.parentPath, entry.name))
    .map(file => `${path.relative(home, file)} ${(fs.statSync(file).mode & 0o777).toString(8)}`)

const runInstalled = (folder = path.join(home, '.local/bin')): string =>
  Bun.spawnSync([path.join(folder, 'atlas')]).stdout.toString()

posixTest('installs a program that can be run, and says how to put it on the PATH', async () => {
  publish('9.0.0')
  const { name } = archiveOf('9.0.0')
  const bin = path.join(home, '.local/bin')
  expect(await install('9.0.0')).toEqual({
    status: 0,
    stdout: `Downloading ${server.url.href}${name}
Installed atlas/9.0.0 test as ${bin}/atlas
Put it on your PATH with this line in ~/.profile:
  export PATH="${bin}:$PATH"
`,
    stderr: '',
  })
  expect(left()).toEqual(['.local/bin/atlas 755'])
  expect(runInstalled()).toBe('atlas/9.0.0 test\n')
})

posixTest('run again, replaces the program as a whole', async () => {
  publish('9.0.0')
  await install('9.0.0')
  const running = fs.openSync(path.join(home, '.local/bin/atlas'), 'r')
  publish('9.1.0')
  expect((await install('9.1.0')).status).toBe(0)
  expect(runInstalled()).toBe('atlas/9.1.0 test\n')
  expect(fs.readFileSync(running, 'utf8')).toContain('9.0.0')
  fs.closeSync(running)
  expect(left()).toEqual(['.local/bin/atlas 755'])
})

posixTest(
  'says nothing about the PATH where the folder, which may have spaces in its name, is on it',
  async () => {
    publish('9.0.0')
    const folder = path.join(home, 'my programs')
    const { status, stdout } = await install('9.0.0', {
      env: { ATLAS_INSTALL_DIR: folder, PATH: `${folder}:${process.env['PATH']}` },
    })
    expect({ status, lines: stdout.trim().split('\n').length }).toEqual({ status: 0, lines: 2 })
    expect(runInstalled(folder)).toBe('atlas/9.0.0 test\n')
  },
)

const REFUSALS: Record<string, { break: () => void; says: string }> = {
  'a tampered archive': {
    break() {
      const bytes = publish('9.1.0')
      bytes[bytes.length - 20_000] = (bytes.at(-20_000) ?? 0) ^ 1
    },
    says: 'is not what SHA256SUMS says it is',
  },
  'a truncated archive': {
    break() {
      const bytes = publish('9.1.0')
      files.set(`/${archiveOf('9.1.0').name}`, bytes.subarray(0, bytes.length / 2))
    },
    says: 'is not what SHA256SUMS says it is',
  },
  'the checksum of another file': {
    break: () => void publish('9.1.0', ({ bytes }) => `${sha256(bytes)}  atlas-9.1.0-other.tar.gz\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'two checksums': {
    break: () =>
      void publish('9.1.0', ({ bytes, name }) => `${'1'.repeat(64)}  ${name}\n${sha256(bytes)}  ${name}\n`),
    says: 'more than once',
  },
  'a checksum of a name with more words': {
    break: () => void publish('9.1.0', ({ bytes, name }) => `${sha256(bytes)}  ${name} and more\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a checksum with words between it and the name': {
    break: () => void publish('9.1.0', ({ bytes, name }) => `${sha256(bytes)}  of  ${name}\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a checksum of a name with a path': {
    break: () => void publish('9.1.0', ({ bytes, name }) => `${sha256(bytes)}  ./${name}\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a page in place of the checksums': {
    break() {
      publish('9.1.0')
      files.set('/SHA256SUMS', `<html>${archiveOf('9.1.0').name}</html>`)
    },
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a checksum that is none': {
    break: () => void publish('9.1.0', ({ name }) => `../../etc  ${name}\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a release without checksums': {
    break() {
      publish('9.1.0')
      files.delete('/SHA256SUMS')
    },
    says: 'the download failed',
  },
  'a release without this machine': {
    break() {
      publish('9.1.0')
      files.delete(`/${archiveOf('9.1.0').name}`)
    },
    says: 'the download failed',
  },
}
for (const [what, { break: breakRelease, says }] of Object.entries(REFUSALS)) {
  posixTest(`refuses ${what}, and leaves what was installed`, async () => {
    publish('9.0.0')
    await install('9.0.0')
    breakRelease()
    const { status, stderr } = await install('9.1.0')
    expect(status).toBe(1)
    expect(stderr).toContain(says)
    expect(left()).toEqual(['.local/bin/atlas 755'])
    expect(runInstalled()).toBe('atlas/9.0.0 test\n')
  })
}

const LINES: [what: string, line: (sum: string, name: string) => string][] = [
  ['binary marks', (sum, name) => `${sum} *${name}\n`],
  ['line ends of Windows', (sum, name) => `${sum}  ${name}\r\n`],
  ['capitals', (sum, name) => `${sum.toUpperCase()}  ${name}\n`],
  ['no end of the last line', (sum, name) => `${sum}  ${name}`],
]
for (const [what, line] of LINES) {
  posixTest(`accepts checksums with ${what}`, async () => {
    publish('9.0.0', ({ bytes, name }) => line(sha256(bytes), name))
    expect((await install('9.0.0')).status).toBe(0)
    expect(runInstalled()).toBe('atlas/9.0.0 test\n')
  })
}

posixTest('follows redirects on this machine, and none to another one by plain http', async () => {
  publish('9.0.0')
  const { name, bytes } = archiveOf('9.0.0')
  files.set(`/moved/${name}`, bytes)
  using _ = redirecting(`/${name}`, `${server.url.href}moved/${name}`)
  files.set('/SHA256SUMS', `${sha256(bytes)}  ${name}\n`)
  expect((await install('9.0.0')).status).toBe(0)
  using __ = redirecting(`/${name}`, `http://atlas.example.com/${name}`)
  const { status, stderr } = await install('9.0.0')
  expect({ status, refused: stderr.includes('redirects to plain http') }).toEqual({
    status: 1,
    refused: true,
  })
})

/** Let the server answer a path with a redirect. */
function redirecting(pathname: string, location: string): Disposable {
  redirects.set(pathname, location)
  return { [Symbol.dispose]: () => void redirects.delete(pathname) }
}

posixTest('gives nobody else the right to write, whatever the umask', async () => {
  publish('9.0.0')
  const child = Bun.spawn(['sh', '-c', 'umask 000; exec "$@"', 'sh', SHELL, SCRIPT, '--version', '9.0.0'], {
    cwd: home,
    env: {
      HOME: home,
      TMPDIR: home,
      PATH: process.env['PATH'] ?? '',
      ATLAS_INSTALL_BASE_URL: server.url.href,
    },
  })
  expect(await child.exited).toBe(0)
  const modes = ['.local', '.local/bin', '.local/bin/atlas'].map(place =>
    (fs.statSync(path.join(home, place)).mode & 0o777).toString(8),
  )
  expect(modes).toEqual(['755', '755', '755'])
})

const OTHER_MACHINES = [
  'http://atlas.example.com',
  'http://127.0.0.10:9',
  'http://localhost.example.com',
  'http://localhost:1@atlas.example.com',
  'http://localhost:1?@atlas.example.com',
  'http://localhost\\@atlas.example.com',
  'https://localhost@atlas.example.com',
]
for (const url of OTHER_MACHINES) {
  posixTest(`refuses ${url}, and downloads nothing`, async () => {
    expect(await install('9.0.0', { env: { ATLAS_INSTALL_BASE_URL: url } })).toEqual({
      status: 1,
      stdout: '',
      stderr:
        `install.sh: ${url} is not an https URL.\n` +
        '            Give one with --base-url or ATLAS_INSTALL_BASE_URL.\n',
    })
  })
}

for (const [what, make] of [
  ['a folder', (place: string) => fs.mkdirSync(place)],
  ['a link to a folder', (place: string) => fs.symlinkSync(fs.mkdtempSync(path.join(home, 'other-')), place)],
] as const) {
  posixTest(`does not put the program into ${what} of its name`, async () => {
    publish('9.0.0')
    const bin = path.join(home, '.local/bin')
    fs.mkdirSync(bin, { recursive: true })
    make(path.join(bin, 'atlas'))
    expect(await install('9.0.0')).toEqual({
      status: 1,
      stdout: '',
      stderr:
        `install.sh: ${bin}/atlas is a folder.\n` +
        '            Move it away, or choose another folder with --dir.\n',
    })
    expect({ asked, files: left() }).toEqual({ asked: [], files: [] })
  })
}

posixTest('says so where the program is not there in the end', async () => {
  publish('9.0.0')
  const tools = path.join(home, 'tools')
  fs.mkdirSync(tools)
  fs.writeFileSync(path.join(tools, 'mv'), '#!/bin/sh\n', { mode: 0o755 })
  const { status, stderr } = await install('9.0.0', { env: { PATH: `${tools}:${process.env['PATH']}` } })
  expect({ status, says: stderr.split('\n')[0] }).toEqual({
    status: 1,
    says: `install.sh: ${home}/.local/bin/atlas is not what was installed.`,
  })
})

const MACHINES = [
  ['Linux', 'x86_64', 'ldd (GNU libc) 2.36', 'linux-x64'],
  ['Linux', 'aarch64', 'ldd (GNU libc) 2.36', 'linux-arm64'],
  ['Linux', 'x86_64', 'musl libc (x86_64)', 'linux-x64-musl'],
  ['Linux', 'aarch64', 'musl libc (aarch64)', 'linux-arm64-musl'],
  ['Darwin', 'x86_64', '', 'darwin-x64'],
  ['Darwin', 'arm64', '', 'darwin-arm64'],
] as const
for (const [system, machine, ldd, target] of MACHINES) {
  posixTest(`asks for ${target} on ${system} ${machine}${ldd && ` with "${ldd}"`}`, async () => {
    const tools = path.join(home, 'tools')
    fs.mkdirSync(tools)
    const tool = (name: string, body: string) =>
      fs.writeFileSync(path.join(tools, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 })
    tool('uname', `[ "$1" = -s ] && echo ${system} || echo ${machine}`)
    tool('ldd', `echo '${ldd}' >&2; exit 1`)
    tool('sysctl', 'exit 1')
    files.set('/SHA256SUMS', 'none')
    const { status } = await install('9.0.0', { env: { PATH: `${tools}:${process.env['PATH']}` } })
    expect({ status, asked: asked.at(-1) }).toEqual({ status: 1, asked: `/atlas-9.0.0-${target}.tar.gz` })
  })
}

const hasWget = ['wget', 'shasum', 'perl'].every(name => Bun.which(name)) || process.env['CI'] === 'true'
const wgetTest = hasWget ? posixTest : (test.skip as typeof test)
/** A folder with all that the script uses, but curl and sha256sum. */
function toolsWithWget(): string {
  const tools = path.join(home, 'tools')
  fs.mkdirSync(tools)
  const needed = ['wget', 'shasum', 'perl', 'uname', 'ldd', 'mktemp', 'awk', 'gzip', 'tar', 'mkdir', 'cp']
  for (const name of [...needed, 'chmod', 'mv', 'rm', 'sh', 'cat']) {
    const found = Bun.which(name)
    if (found) fs.symlinkSync(found, path.join(tools, name))
  }
  return tools
}

wgetTest('does without curl and sha256sum where wget and shasum are', async () => {
  publish('9.0.0')
  const { status, stderr } = await install('9.0.0', { env: { PATH: toolsWithWget() } })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(runInstalled()).toBe('atlas/9.0.0 test\n')
})

wgetTest('does not let wget be sent elsewhere, which might be plain http', async () => {
  publish('9.0.0')
  const redirect = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: ({ url }) => Response.redirect(new URL(new URL(url).pathname, server.url).href),
  })
  const env = { PATH: toolsWithWget(), ATLAS_INSTALL_BASE_URL: redirect.url.href }
  const { status, stderr } = await install('9.0.0', { env })
  await redirect.stop(true)
  expect({ status, stderr, asked }).toEqual({
    status: 1,
    stderr: expect.stringContaining('the download failed'),
    asked: [],
  })
})

posixTest('cut short on its way, does nothing', async () => {
  const script = fs.readFileSync(SCRIPT, 'utf8')
  publish('9.0.0')
  const child = Bun.spawn([SHELL, '-c', script.slice(0, script.lastIndexOf('main "$@"'))], {
    cwd: home,
    env: { HOME: home, PATH: process.env['PATH'] ?? '', ATLAS_INSTALL_BASE_URL: server.url.href },
  })
  await child.exited
  expect({ asked, files: left() }).toEqual({ asked: [], files: [] })
})

test('both scripts install the version that they were released with', () => {
  const versionIn = (file: string, pattern: RegExp) =>
    pattern.exec(fs.readFileSync(path.resolve(import.meta.dir, '../..', file), 'utf8'))?.[1]
  expect({
    sh: versionIn('install.sh', /^DEFAULT_VERSION=(.*)$/m),
    ps1: versionIn('install.ps1', /^\$DefaultVersion = '(.*)'$/m),
  }).toEqual({ sh: manifest.version, ps1: manifest.version })
})

const hasShellcheck = Bun.which('shellcheck') !== null || process.env['CI'] === 'true'
test.if(hasShellcheck).each([
  ['sh', SCRIPT],
  ['bash', path.resolve(import.meta.dir, '../../lib/cli/completion/atlas.bash')],
])('shellcheck finds nothing in the %s script %s', (shell, script) => {
  const { stdout } = Bun.spawnSync(['shellcheck', `--shell=${shell}`, script])
  expect(stdout.toString()).toBe('')
})
