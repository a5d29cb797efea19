import { beforeEach, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import manifest from '../../package.json' with { type: 'json' }
import {
  archiveOf,
  INSTALL_SCRIPT,
  type InstallStage,
  installStage,
  installTest,
  sha256,
} from '../support/install-stage.ts'

let stage: InstallStage
beforeEach(() => {
  stage = installStage()
  return () => stage[Symbol.dispose]()
})

installTest('installs a program that can be run, and says how to put it on the PATH', async () => {
  stage.publish('9.0.0')
  const { name } = archiveOf('9.0.0')
  const bin = path.join(stage.home, '.local/bin')
  expect(await stage.install('9.0.0')).toEqual({
    status: 0,
    stdout: `Downloading ${stage.url}${name}
Installed atlas/9.0.0 test as ${bin}/atlas
Put it on your PATH with this line in ~/.profile:
  export PATH="${bin}:$PATH"
`,
    stderr: '',
  })
  expect(stage.left()).toEqual(['.local/bin/atlas 755'])
  expect(stage.runInstalled()).toBe('atlas/9.0.0 test\n')
})

installTest('run again, replaces the program as a whole', async () => {
  stage.publish('9.0.0')
  await stage.install('9.0.0')
  const running = fs.openSync(path.join(stage.home, '.local/bin/atlas'), 'r')
  stage.publish('9.1.0')
  expect((await stage.install('9.1.0')).status).toBe(0)
  expect(stage.runInstalled()).toBe('atlas/9.1.0 test\n')
  expect(fs.readFileSync(running, 'utf8')).toContain('9.0.0')
  fs.closeSync(running)
  expect(stage.left()).toEqual(['.local/bin/atlas 755'])
})

installTest(
  'says nothing about the PATH where the folder, which may have spaces in its name, is on it',
  async () => {
    stage.publish('9.0.0')
    const folder = path.join(stage.home, 'my programs')
    const { status, stdout } = await stage.install('9.0.0', {
      env: { ATLAS_INSTALL_DIR: folder, PATH: `${folder}:${process.env['PATH']}` },
    })
    expect({ status, lines: stdout.trim().split('\n').length }).toEqual({ status: 0, lines: 2 })
    expect(stage.runInstalled(folder)).toBe('atlas/9.0.0 test\n')
  },
)

const REFUSALS: Record<string, { break: () => void; says: string }> = {
  'a tampered archive': {
    break() {
      const bytes = stage.publish('9.1.0')
      bytes[bytes.length - 20_000] = (bytes.at(-20_000) ?? 0) ^ 1
    },
    says: 'is not what SHA256SUMS says it is',
  },
  'a truncated archive': {
    break() {
      const bytes = stage.publish('9.1.0')
      stage.files.set(`/${archiveOf('9.1.0').name}`, bytes.subarray(0, bytes.length / 2))
    },
    says: 'is not what SHA256SUMS says it is',
  },
  'the checksum of another file': {
    break: () => void stage.publish('9.1.0', ({ bytes }) => `${sha256(bytes)}  atlas-9.1.0-other.tar.gz\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'two checksums': {
    break: () =>
      void stage.publish(
        '9.1.0',
        ({ bytes, name }) => `${'1'.repeat(64)}  ${name}\n${sha256(bytes)}  ${name}\n`,
      ),
    says: 'more than once',
  },
  'a checksum of a name with more words': {
    break: () => void stage.publish('9.1.0', ({ bytes, name }) => `${sha256(bytes)}  ${name} and more\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a checksum with words between it and the name': {
    break: () => void stage.publish('9.1.0', ({ bytes, name }) => `${sha256(bytes)}  of  ${name}\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'the same checksum twice': {
    break: () => void stage.publish('9.1.0', ({ bytes, name }) => `${sha256(bytes)}  ${name}\n`.repeat(2)),
    says: 'more than once',
  },
  'a right checksum beside one that is none': {
    break: () =>
      void stage.publish('9.1.0', ({ bytes, name }) => `none  ${name}\n${sha256(bytes)}  ${name}\n`),
    says: 'more than once',
  },
  'the checksum of a longer name': {
    break: () => void stage.publish('9.1.0', ({ bytes, name }) => `${sha256(bytes)}  old-${name}\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a checksum of a name with a space at its end': {
    break: () => void stage.publish('9.1.0', ({ bytes, name }) => `${sha256(bytes)}  ${name} \n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a checksum of a name with a space before it': {
    break: () => void stage.publish('9.1.0', ({ bytes, name }) => `${sha256(bytes)}   ${name}\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a checksum with a tab before the name': {
    break: () => void stage.publish('9.1.0', ({ bytes, name }) => `${sha256(bytes)}\t${name}\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a checksum in the format of BSD': {
    break: () => void stage.publish('9.1.0', ({ bytes, name }) => `SHA256 (${name}) = ${sha256(bytes)}\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a checksum that is cut short': {
    break: () => void stage.publish('9.1.0', ({ bytes, name }) => `${sha256(bytes).slice(1)}  ${name}\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'an empty file of checksums': {
    break() {
      stage.publish('9.1.0')
      stage.files.set('/SHA256SUMS', '')
    },
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a checksum of a name with a path': {
    break: () => void stage.publish('9.1.0', ({ bytes, name }) => `${sha256(bytes)}  ./${name}\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a page in place of the checksums': {
    break() {
      stage.publish('9.1.0')
      stage.files.set('/SHA256SUMS', `<html>${archiveOf('9.1.0').name}</html>`)
    },
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a checksum that is none': {
    break: () => void stage.publish('9.1.0', ({ name }) => `../../etc  ${name}\n`),
    says: 'SHA256SUMS has no checksum of atlas-9.1.0-',
  },
  'a release without checksums': {
    break() {
      stage.publish('9.1.0')
      stage.files.delete('/SHA256SUMS')
    },
    says: 'the download failed',
  },
  'a release without this machine': {
    break() {
      stage.publish('9.1.0')
      stage.files.delete(`/${archiveOf('9.1.0').name}`)
    },
    says: 'the download failed',
  },
}
for (const [what, { break: breakRelease, says }] of Object.entries(REFUSALS)) {
  installTest(`refuses ${what}, and leaves what was installed`, async () => {
    stage.publish('9.0.0')
    await stage.install('9.0.0')
    breakRelease()
    const { status, stderr } = await stage.install('9.1.0')
    expect(status).toBe(1)
    expect(stderr).toContain(says)
    expect(stage.left()).toEqual(['.local/bin/atlas 755'])
    expect(stage.runInstalled()).toBe('atlas/9.0.0 test\n')
  })
}

const LINES: [what: string, line: (sum: string, name: string) => string][] = [
  ['binary marks', (sum, name) => `${sum} *${name}\n`],
  ['line ends of Windows', (sum, name) => `${sum}  ${name}\r\n`],
  ['capitals', (sum, name) => `${sum.toUpperCase()}  ${name}\n`],
  ['no end of the last line', (sum, name) => `${sum}  ${name}`],
]
for (const [what, line] of LINES) {
  installTest(`accepts checksums with ${what}`, async () => {
    stage.publish('9.0.0', ({ bytes, name }) => line(sha256(bytes), name))
    expect((await stage.install('9.0.0')).status).toBe(0)
    expect(stage.runInstalled()).toBe('atlas/9.0.0 test\n')
  })
}

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
  installTest(`refuses ${url}, and downloads nothing`, async () => {
    expect(await stage.install('9.0.0', { env: { ATLAS_INSTALL_BASE_URL: url } })).toEqual({
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
  [
    'a link to a folder',
    (place: string) => fs.symlinkSync(fs.mkdtempSync(path.join(stage.home, 'other-')), place),
  ],
] as const) {
  installTest(`does not put the program into ${what} of its name`, async () => {
    stage.publish('9.0.0')
    const bin = path.join(stage.home, '.local/bin')
    fs.mkdirSync(bin, { recursive: true })
    make(path.join(bin, 'atlas'))
    expect(await stage.install('9.0.0')).toEqual({
      status: 1,
      stdout: '',
      stderr:
        `install.sh: ${bin}/atlas is a folder.\n` +
        '            Move it away, or choose another folder with --dir.\n',
    })
    expect({ asked: stage.asked, files: stage.left() }).toEqual({ asked: [], files: [] })
  })
}

installTest('says so where the program is not there in the end', async () => {
  stage.publish('9.0.0')
  const tools = path.join(stage.home, 'tools')
  fs.mkdirSync(tools)
  fs.writeFileSync(path.join(tools, 'mv'), '#!/bin/sh\n', { mode: 0o755 })
  const { status, stderr } = await stage.install('9.0.0', {
    env: { PATH: `${tools}:${process.env['PATH']}` },
  })
  expect({ status, says: stderr.split('\n')[0] }).toEqual({
    status: 1,
    says: `install.sh: ${stage.home}/.local/bin/atlas is not what was installed.`,
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
  installTest(`asks for ${target} on ${system} ${machine}${ldd && ` with "${ldd}"`}`, async () => {
    const tools = path.join(stage.home, 'tools')
    fs.mkdirSync(tools)
    const tool = (name: string, body: string) =>
      fs.writeFileSync(path.join(tools, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 })
    tool('uname', `[ "$1" = -s ] && echo ${system} || echo ${machine}`)
    tool('ldd', `echo '${ldd}' >&2; exit 1`)
    tool('sysctl', 'exit 1')
    stage.files.set('/SHA256SUMS', 'none')
    const { status } = await stage.install('9.0.0', { env: { PATH: `${tools}:${process.env['PATH']}` } })
    expect({ status, asked: stage.asked.at(-1) }).toEqual({
      status: 1,
      asked: `/atlas-9.0.0-${target}.tar.gz`,
    })
  })
}

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
  ['sh', INSTALL_SCRIPT],
  ['sh', path.resolve(import.meta.dir, '../../release/verify.sh')],
  ['bash', path.resolve(import.meta.dir, '../../lib/cli/completion/atlas.bash')],
])('shellcheck finds nothing in the %s script %s', (shell, script) => {
  const { stdout } = Bun.spawnSync(['shellcheck', `--shell=${shell}`, script])
  expect(stdout.toString()).toBe('')
})
