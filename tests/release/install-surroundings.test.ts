import { beforeEach, describe, expect } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import {
  archiveOf,
  INSTALL_SCRIPT,
  type InstallStage,
  installStage,
  installTest,
  installTools,
  sha256,
} from '../support/install-stage.ts'
import { mountTest } from '../support/mounts.ts'
import { testWithTools, twoUsersTest } from '../support/needs.ts'
import { startRawServer } from '../support/raw-server.ts'
import { createSmallDisk, smallDiskTest } from '../support/small-disk.ts'

let stage: InstallStage
beforeEach(() => {
  stage = installStage()
  return () => stage[Symbol.dispose]()
})

const bin = (): string => path.join(stage.home, '.local/bin')
const modeOf = (place: string): string => (fs.statSync(place).mode & 0o7777).toString(8)
const withUmask = (umask: string): string[] => ['sh', '-c', `umask ${umask}; exec "$@"`, 'sh', 'sh']

describe.each([
  ['dash', ['dash']],
  ['bash', ['bash', '--posix']],
  ['busybox', ['busybox', 'sh']],
  ['mksh', ['mksh']],
])('install.sh in %s', (name, shell) => {
  const shellTest = testWithTools(name, 'ssh-keygen')

  shellTest('installs, and says so in the same words', async () => {
    stage.publish('9.0.0')
    expect(await stage.install('9.0.0', { shell })).toEqual({
      status: 0,
      stdout: `Downloading ${stage.url}${archiveOf('9.0.0').name}
Installed atlas/9.0.0 test as ${bin()}/atlas
Put it on your PATH with this line in ~/.profile:
  export PATH="${bin()}:$PATH"
`,
      stderr: '',
    })
    expect(stage.left()).toEqual(['.local/bin/atlas 755'])
  })

  shellTest('refuses a wrong checksum, and leaves nothing', async () => {
    stage.publish('9.0.0', ({ name: archive }) => `${'1'.repeat(64)}  ${archive}\n`)
    const { status, stderr } = await stage.install('9.0.0', { shell })
    expect({ status, says: stderr.split('\n')[0] }).toEqual({
      status: 1,
      says: `install.sh: ${archiveOf('9.0.0').name} is not what SHA256SUMS says it is.`,
    })
    expect(stage.left()).toEqual([])
  })

  shellTest('cut short anywhere on its way into the shell, does nothing and shows nothing', async () => {
    const script = fs.readFileSync(INSTALL_SCRIPT, 'utf8').trimEnd()
    stage.publish('9.0.0')
    const lineEnds = [...script.matchAll(/\n/g)].map(({ index }) => index)
    const lastBytes = Array.from({ length: 60 }, (_, cut) => script.length - 1 - cut)
    const shown: string[] = []
    for (const end of [...lineEnds, ...lastBytes]) {
      const { stdout } = Bun.spawnSync([...shell, '-s', '--', '--version', '9.0.0'], {
        cwd: stage.home,
        env: { HOME: stage.home, PATH: process.env['PATH'] ?? '', ATLAS_INSTALL_BASE_URL: stage.url },
        stdin: Buffer.from(script.slice(0, end)),
      })
      if (stdout.length > 0) shown.push(script.slice(0, end).slice(-20))
    }
    expect({ shown, asked: stage.asked, left: stage.left() }).toEqual({ shown: [], asked: [], left: [] })
  })

  for (const [signal, status] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const) {
    shellTest(`ended by ${signal} while it downloads, ends the download and leaves nothing`, async () => {
      const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
      const { promise: ended, resolve: end } = Promise.withResolvers<void>()
      const silent = Bun.serve({
        port: 0,
        hostname: '127.0.0.1',
        idleTimeout: 0,
        fetch(request) {
          request.signal.addEventListener('abort', () => end())
          begin()
          return new Promise<Response>(() => {})
        },
      })
      const child = stage.start('9.0.0', { shell, env: { ATLAS_INSTALL_BASE_URL: silent.url.href } })
      await begun
      child.kill(signal)
      expect(await child.exited).toBe(status)
      await ended
      await silent.stop(true)
      expect(fs.readdirSync(stage.home)).toEqual([])
    })
  }
})

describe('install.sh: who can write where the program is', () => {
  const says = (place: string): string =>
    `install.sh: other users can write to ${place}.\n` +
    `            They can replace atlas. To stop that: chmod go-w "${place}"\n`

  for (const [umask, folder] of [
    ['000', '755'],
    ['002', '755'],
    ['077', '700'],
    ['777', '700'],
  ] as const) {
    installTest(`with umask ${umask}, what it makes has mode ${folder}, and the program 755`, async () => {
      stage.publish('9.0.0')
      expect(await stage.install('9.0.0', { shell: withUmask(umask) })).toMatchObject({
        status: 0,
        stderr: '',
      })
      expect([path.dirname(bin()), bin(), path.join(bin(), 'atlas')].map(modeOf)).toEqual([
        folder,
        folder,
        '755',
      ])
    })
  }

  installTest(
    'a folder that others can write keeps its mode and is named, the folders above it too',
    async () => {
      stage.publish('9.0.0')
      fs.mkdirSync(bin(), { recursive: true })
      for (const place of [path.dirname(bin()), bin()]) fs.chmodSync(place, 0o777)
      const { status, stderr } = await stage.install('9.0.0')
      expect({ status, stderr }).toEqual({ status: 0, stderr: says(bin()) + says(path.dirname(bin())) })
      expect(modeOf(bin())).toBe('777')
    },
  )

  installTest('a folder where everybody replaces what is theirs alone is not named', async () => {
    stage.publish('9.0.0')
    fs.mkdirSync(bin(), { recursive: true })
    fs.chmodSync(bin(), 0o1777)
    expect(await stage.install('9.0.0')).toMatchObject({ status: 0, stderr: '' })
  })

  installTest('a folder that is a link is named, with where it leads', async () => {
    stage.publish('9.0.0')
    const real = path.join(stage.home, 'real')
    fs.mkdirSync(real, { mode: 0o700 })
    fs.mkdirSync(path.dirname(bin()))
    fs.symlinkSync(real, bin())
    expect(await stage.install('9.0.0')).toMatchObject({
      status: 0,
      stderr:
        `install.sh: ${bin()} is a link to ${fs.realpathSync(real)}.\n` +
        '            Whoever can change what it leads to can replace atlas.\n',
    })
    expect(fs.readdirSync(real)).toEqual(['atlas'])
  })
})

describe('install.sh: where the program cannot be put', () => {
  smallDiskTest('a full disk keeps what was installed, and no part of the new program', async () => {
    using disk = createSmallDisk()
    stage.publish('9.0.0')
    await stage.install('9.0.0', { args: ['--dir', disk.folder] })
    disk.fill()
    stage.publish('9.1.0')
    const { status, stderr } = await stage.install('9.1.0', { args: ['--dir', disk.folder] })
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining(
        `install.sh: ${disk.folder} has no room.\n            Make room and try again.\n`,
      ),
    })
    expect(fs.readdirSync(disk.folder).sort()).toEqual(['atlas', 'filler'])
    expect(stage.runInstalled(disk.folder)).toBe('atlas/9.0.0 test\n')
  })

  smallDiskTest('a folder that is read-only is named', async () => {
    using disk = createSmallDisk()
    disk.makeReadOnly()
    stage.publish('9.0.0')
    const { status, stderr } = await stage.install('9.0.0', { args: ['--dir', disk.folder] })
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining(
        `install.sh: ${disk.folder} cannot be written.\n            Choose another folder with --dir.\n`,
      ),
    })
    expect(stage.left()).toEqual([])
  })

  installTest('a program that this machine cannot run is not installed, and the old one stays', async () => {
    stage.publish('9.0.0')
    await stage.install('9.0.0')
    stage.publish('9.1.0', undefined, 'exit 127')
    const { status, stderr } = await stage.install('9.1.0')
    expect({ status, says: stderr.split('\n')[0] }).toEqual({
      status: 1,
      says: `install.sh: this machine cannot run ${archiveOf('9.1.0').name.replace('.tar.gz', '')}.`,
    })
    expect(stage.left()).toEqual(['.local/bin/atlas 755'])
    expect(stage.runInstalled()).toBe('atlas/9.0.0 test\n')
  })
})

installTest('install.sh: replaces a program that is running', async () => {
  stage.publish(
    '9.0.0',
    undefined,
    'case $1 in --version) echo atlas/9.0.0 test;; *) read line; echo "old $line";; esac',
  )
  await stage.install('9.0.0')
  const running = Bun.spawn([path.join(bin(), 'atlas')], { stdin: 'pipe', stdout: 'pipe' })
  stage.publish('9.1.0')
  expect(await stage.install('9.1.0')).toMatchObject({ status: 0, stderr: '' })
  running.stdin.write('still here\n')
  running.stdin.end()
  expect(await new Response(running.stdout).text()).toBe('old still here\n')
  expect(stage.runInstalled()).toBe('atlas/9.1.0 test\n')
})

installTest('install.sh: names the version that it replaces, so that an older one is noticed', async () => {
  stage.publish('9.1.0')
  await stage.install('9.1.0')
  stage.publish('9.0.0')
  const { stdout } = await stage.install('9.0.0')
  expect(stdout.split('\n').slice(1, 3)).toEqual([
    `Installed atlas/9.0.0 test as ${bin()}/atlas`,
    'It replaces atlas/9.1.0 test',
  ])
})

installTest('install.sh: the line for the PATH means the folder, whatever its name holds', async () => {
  stage.publish('9.0.0')
  const folder = path.join(stage.home, 'a "b" $(touch c) `touch d` \\e')
  const { stdout } = await stage.install('9.0.0', { args: ['--dir', `${folder}//`] })
  const line = stdout.trimEnd().split('\n').at(-1) ?? ''
  const shown = Bun.spawnSync(['sh', '-c', `PATH=/usr/bin:/bin; ${line}; printf %s "$PATH"`], {
    cwd: stage.home,
  })
  expect(shown.stdout.toString()).toBe(`${folder}:/usr/bin:/bin`)
  expect(stage.runInstalled(folder)).toBe('atlas/9.0.0 test\n')
  expect(fs.readdirSync(stage.home)).toEqual([path.basename(folder)])
})

describe('install.sh: what is found before anything is downloaded', () => {
  const toolsWithout = (name: string): string => {
    const others = { curl: Bun.which('curl'), sha256sum: Bun.which('sha256sum') }
    return installTools(path.join(stage.home, 'tools'), others, [name])
  }
  installTest.each(['tar', 'gzip', 'awk', 'mktemp', 'cp', 'sha256sum'])('%s that is missing', async name => {
    stage.publish('9.0.0')
    const { status, stderr } = await stage.install('9.0.0', { env: { PATH: toolsWithout(name) } })
    expect({ status, stderr, asked: stage.asked }).toEqual({
      status: 1,
      stderr: `install.sh: these programs are missing: ${name}.\n            Install them and try again.\n`,
      asked: [],
    })
  })

  installTest('another program of that name, which stays', async () => {
    stage.publish('9.0.0')
    fs.mkdirSync(bin(), { recursive: true })
    const other = path.join(bin(), 'atlas')
    fs.writeFileSync(other, '#!/bin/sh\necho "atlascli version: 1.2.3"\n', { mode: 0o755 })
    const before = fs.readFileSync(other, 'utf8')
    expect(await stage.install('9.0.0')).toEqual({
      status: 1,
      stdout: '',
      stderr: `install.sh: ${other} is another program, or does not run.\n            Remove it if it is not needed, or choose another folder with --dir.\n`,
    })
    expect({ after: fs.readFileSync(other, 'utf8'), asked: stage.asked }).toEqual({
      after: before,
      asked: [],
    })
  })

  twoUsersTest.each([
    ['belongs to another user', 65534, 0o755],
    ['another user can write to', 0, 0o777],
  ])('a program that %s is not run', async (_, owner, mode) => {
    stage.publish('9.0.0')
    fs.mkdirSync(bin(), { recursive: true })
    const other = path.join(bin(), 'atlas')
    const proof = path.join(stage.home, 'proof')
    fs.writeFileSync(other, `#!/bin/sh\ntouch '${proof}'\necho atlas/1.0.0 test\n`)
    fs.chownSync(other, owner, 0)
    fs.chmodSync(other, mode)
    expect(await stage.install('9.0.0')).toEqual({
      status: 1,
      stdout: '',
      stderr: `install.sh: another user can change ${other}.\n            Remove it if it is not needed, or choose another folder with --dir.\n`,
    })
    expect({ ran: fs.existsSync(proof), asked: stage.asked }).toEqual({ ran: false, asked: [] })
  })

  mountTest('a processor that is too old', async () => {
    stage.publish('9.0.0')
    const processors = path.join(stage.home, 'cpuinfo')
    fs.writeFileSync(processors, 'processor\t: 0\nflags\t\t: fpu sse sse2 ssse3 sse4_1\n')
    const shell = [
      'unshare',
      '--mount',
      'sh',
      '-c',
      `mount --bind '${processors}' /proc/cpuinfo && exec dash "$@"`,
      'sh',
    ]
    const { status, stderr } = await stage.install('9.0.0', { shell })
    expect({ status, says: stderr.split('\n')[0], asked: stage.asked }).toEqual(
      process.arch === 'x64'
        ? { status: 1, says: 'install.sh: this processor is too old for atlas.', asked: [] }
        : { status: 0, says: '', asked: ['/SHA256SUMS', expect.any(String)] },
    )
  })

  installTest('options with an equals sign', async () => {
    stage.publish('9.0.0')
    const folder = path.join(stage.home, 'a=b')
    expect(await stage.install('9.0.0', { args: [`--dir=${folder}`] })).toMatchObject({
      status: 0,
      stderr: '',
    })
    expect(stage.runInstalled(folder)).toBe('atlas/9.0.0 test\n')
  })
})

describe('install.sh: what goes wrong on the way', () => {
  installTest('an archive that holds another version is not installed', async () => {
    stage.publish('9.0.0', undefined, 'echo "atlas/8.0.0 test"')
    const { status, stderr } = await stage.install('9.0.0')
    const { name } = archiveOf('9.0.0')
    expect({ status, stderr, left: stage.left() }).toEqual({
      status: 1,
      stderr: `install.sh: ${path.basename(name, '.tar.gz')} holds another version: atlas/8.0.0 test.\n            Report it. Nothing was installed.\n`,
      left: [],
    })
  })

  installTest('an archive whose program is a link is not installed', async () => {
    const { name } = archiveOf('9.0.0')
    const folder = path.basename(name, '.tar.gz')
    const link = path.join(stage.home, folder, 'atlas')
    fs.mkdirSync(path.dirname(link))
    fs.symlinkSync('/bin/true', link)
    const bytes = Bun.spawnSync(['tar', '-cz', '-C', stage.home, folder]).stdout
    fs.rmSync(path.dirname(link), { recursive: true })
    stage.files.set(`/${name}`, bytes)
    stage.files.set('/SHA256SUMS', `${sha256(bytes)}  ${name}\n`)
    const { status, stderr } = await stage.install('9.0.0')
    expect({ status, stderr, left: stage.left() }).toEqual({
      status: 1,
      stderr: `install.sh: ${name} holds no program.\n            Report it. Nothing was installed.\n`,
      left: [],
    })
  })

  mountTest('a temporary folder without room is named, however little it has', async () => {
    stage.publish('9.0.0')
    const work = path.join(stage.home, 'tmp')
    fs.mkdirSync(work)
    const sizes = ['size=4k', 'size=8k', 'size=12k', 'size=16k', 'nr_inodes=3', 'nr_inodes=4', 'nr_inodes=5']
    for (const size of [...sizes, 'nr_inodes=6', 'nr_inodes=7', 'nr_inodes=8', 'nr_inodes=9']) {
      const mounted = `mount -t tmpfs -o ${size} tmpfs '${work}' && exec dash "$@"`
      const shell = ['unshare', '--mount', 'sh', '-c', mounted, 'sh']
      const { status, stderr } = await stage.install('9.0.0', { shell, env: { TMPDIR: work } })
      const said =
        /^install\.sh: (?:.* has no room|no temporary folder can be made|.* cannot be unpacked)\.$/m
      expect({ size, status, stderr }).toEqual({ size, status: 1, stderr: expect.stringMatching(said) })
    }
    expect(stage.left()).toEqual([])
  })

  smallDiskTest('no room for the download is named with its folder', async () => {
    using disk = createSmallDisk()
    stage.publish('9.0.0')
    const work = path.join(disk.folder, 'tmp')
    fs.mkdirSync(work)
    disk.fill()
    const { status, stderr } = await stage.install('9.0.0', { env: { TMPDIR: work } })
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining(
        `install.sh: ${work} has no room.\n            Make room there, or set TMPDIR to another folder. Nothing was installed.\n`,
      ),
    })
    expect(stage.left()).toEqual([])
  })

  installTest('a curl that may not write there', async () => {
    stage.publish('9.0.0')
    const tools = path.join(stage.home, 'tools')
    fs.mkdirSync(tools)
    // As one that comes as a snap: it says that all went well, and has written to a folder of its own.
    fs.writeFileSync(path.join(tools, 'curl'), '#!/bin/sh\nprintf "200 1234 "\n', { mode: 0o755 })
    const { status, stderr } = await stage.install('9.0.0', {
      env: { PATH: `${tools}:${process.env['PATH']}` },
    })
    expect({ status, says: stderr.split('\n')[0] }).toEqual({
      status: 1,
      says: expect.stringMatching(/^install\.sh: curl cannot write to .*atlas-install\.\w+\.$/),
    })
  })

  mountTest('a folder whose programs may not run', async () => {
    stage.publish('9.0.0')
    const folder = path.join(stage.home, 'noexec')
    fs.mkdirSync(folder)
    Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', 'noexec', 'none', folder])
    try {
      const { status, stderr } = await stage.install('9.0.0', { args: ['--dir', folder] })
      expect({ status, stderr, left: fs.readdirSync(folder) }).toEqual({
        status: 1,
        stderr: `install.sh: programs may not run in ${folder}.\n            It may be mounted noexec: choose another folder with --dir.\n`,
        left: [],
      })
    } finally {
      Bun.spawnSync(['umount', folder])
    }
  })

  installTest(
    'a server that says nothing is given up within a minute',
    async () => {
      await using silent = await startRawServer(() => {})
      const url = `http://127.0.0.1:${silent.port}`
      const startedAt = performance.now()
      const { status, stderr } = await stage.install('9.0.0', { env: { ATLAS_INSTALL_BASE_URL: url } })
      expect({
        status,
        said: stderr.split('\n').at(-3),
        inTime: performance.now() - startedAt < 60_000,
      }).toEqual({
        status: 1,
        said: `install.sh: ${url} does not answer.`,
        inTime: true,
      })
    },
    70_000,
  )
})

describe('install.sh: the line for the PATH', () => {
  const SHELLS: [shell: string, profile: string | undefined, line: string][] = [
    ['/bin/zsh', undefined, '~/.zshrc'],
    ['/bin/bash', undefined, '~/.profile'],
    ['/bin/bash', '.bash_profile', '~/.bash_profile'],
    ['/bin/sh', '.bash_profile', '~/.profile'],
    ['/usr/bin/fish', undefined, 'fish_add_path'],
  ]
  installTest.each(SHELLS)('in %s with %s is for %s', async (shell, profile, place) => {
    stage.publish('9.0.0')
    if (profile !== undefined) fs.writeFileSync(path.join(stage.home, profile), '')
    const { stdout } = await stage.install('9.0.0', { env: { SHELL: shell } })
    const said = stdout.split('\n').slice(-3)
    expect(said).toEqual(
      place === 'fish_add_path'
        ? ['Put it on your PATH with:', `  fish_add_path "${bin()}"`, '']
        : [`Put it on your PATH with this line in ${place}:`, `  export PATH="${bin()}:$PATH"`, ''],
    )
  })
})
