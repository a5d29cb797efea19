import { expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import manifest from '../../package.json' with { type: 'json' }
import { type Companions, readCompanions } from '../../release/companions.ts'
import { debianChangelog, debianFile, debianPackage, debianVersion } from '../../release/debian.ts'
import { hostTarget, targetNamed } from '../../release/targets.ts'
import { BINARY } from '../support/binary.ts'
import { testWith, testWithTools } from '../support/needs.ts'

const LICENSE = fs.readFileSync('LICENSE', 'utf8')
const SCRIPT = Buffer.from('# A script.\n')
const COMPANIONS: Companions = {
  manual: Buffer.from('.TH ATLAS 1\n'),
  completions: { bash: SCRIPT, zsh: SCRIPT, fish: SCRIPT, ps1: SCRIPT },
}
const CHANGELOG = `# Changelog

## Unreleased

- Not yet.

## 2.0.0 - 2027-03-01

### Added

- One thing, which is told
  on two lines.
- Another thing, which is so long that it does not fit onto one line of those that Debian allows.

## 1.0.0 - 2026-12-01

- The first.
`

interface Packed extends Disposable {
  readonly folder: string
  readonly file: string
}

/** A package with a program, for x64 unless said otherwise. */
function pack(program: Uint8Array, name = 'linux-x64', companions = COMPANIONS, version = '2.0.0'): Packed {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-debian-'))
  const content = {
    name: manifest.name,
    version,
    target: targetNamed(name),
    program,
    companions,
    license: LICENSE,
    notices: '# Notices\n',
    changelog: CHANGELOG,
  }
  const file = path.join(folder, debianFile(content))
  fs.writeFileSync(file, debianPackage(content))
  return { folder, file, [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }) }
}

const PROGRAM = Buffer.from('#!/bin/sh\necho atlas/2.0.0\n')

function run(...command: string[]): { status: number; stdout: string; stderr: string } {
  // dpkg insists on programs that are in no ordinary user's PATH.
  const env = { PATH: `${process.env['PATH']}:/usr/sbin:/sbin`, LC_ALL: 'C', TZ: 'UTC' }
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { env })
  return { status: exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
}

const debianTest = testWithTools('dpkg-deb')

debianTest.each([
  ['linux-x64', 'amd64'],
  ['linux-arm64', 'arm64'],
])('a Debian package for %s says what it is, and what it needs', (target, architecture) => {
  using packed = pack(PROGRAM, target)
  expect(path.basename(packed.file)).toBe(`atlas-cli_2.0.0_${architecture}.deb`)
  expect(run('dpkg-deb', '--field', packed.file)).toEqual({
    status: 0,
    stdout: `Package: atlas-cli
Version: 2.0.0
Architecture: ${architecture}
Maintainer: The atlas authors <atlas@atlas.example.com>
Installed-Size: 10
Depends: libc6 (>= 2.17), libgcc-s1 | libgcc1
Suggests: gnome-keyring
Section: utils
Priority: optional
Homepage: https://atlas.example.com
Description: log in to an Atlas server and use its API
 atlas keeps a session in the keychain of the desktop, refreshes it when needed,
 even when many copies run at once, and sends a credential only to the server
 that issued it.
`,
    stderr: '',
  })
})

debianTest('a Debian package holds the program, its manual page and its completions, all of root', () => {
  using packed = pack(PROGRAM)
  const listed = run('dpkg-deb', '--contents', packed.file).stdout.trimEnd().split('\n')
  expect(listed.map(line => line.replace(/^(\S+) (\S+) +\d+ (\S+ \S+) /, '$1 $2 $3 '))).toEqual(
    [
      'drwxr-xr-x ./',
      'drwxr-xr-x ./usr/',
      'drwxr-xr-x ./usr/bin/',
      '-rwxr-xr-x ./usr/bin/atlas',
      'drwxr-xr-x ./usr/share/',
      'drwxr-xr-x ./usr/share/bash-completion/',
      'drwxr-xr-x ./usr/share/bash-completion/completions/',
      '-rw-r--r-- ./usr/share/bash-completion/completions/atlas',
      'drwxr-xr-x ./usr/share/doc/',
      'drwxr-xr-x ./usr/share/doc/atlas-cli/',
      '-rw-r--r-- ./usr/share/doc/atlas-cli/THIRD-PARTY-NOTICES.md.gz',
      '-rw-r--r-- ./usr/share/doc/atlas-cli/changelog.gz',
      '-rw-r--r-- ./usr/share/doc/atlas-cli/copyright',
      'drwxr-xr-x ./usr/share/fish/',
      'drwxr-xr-x ./usr/share/fish/vendor_completions.d/',
      '-rw-r--r-- ./usr/share/fish/vendor_completions.d/atlas.fish',
      'drwxr-xr-x ./usr/share/lintian/',
      'drwxr-xr-x ./usr/share/lintian/overrides/',
      '-rw-r--r-- ./usr/share/lintian/overrides/atlas-cli',
      'drwxr-xr-x ./usr/share/man/',
      'drwxr-xr-x ./usr/share/man/man1/',
      '-rw-r--r-- ./usr/share/man/man1/atlas.1.gz',
      'drwxr-xr-x ./usr/share/zsh/',
      'drwxr-xr-x ./usr/share/zsh/vendor-completions/',
      '-rw-r--r-- ./usr/share/zsh/vendor-completions/_atlas',
    ].map(line => line.replace(' ', ' root/root 1980-01-01 00:00 ')),
  )
})

debianTest(
  'a Debian package can be read whatever the length of its parts, and is the same bytes each time',
  () => {
    for (let length = 0; length < 8; length++) {
      const program = crypto.getRandomValues(new Uint8Array(length))
      using packed = pack(program)
      using again = pack(program)
      expect(run('dpkg-deb', '--extract', packed.file, path.join(packed.folder, 'root'))).toMatchObject({
        status: 0,
        stderr: '',
      })
      expect(new Uint8Array(fs.readFileSync(path.join(packed.folder, 'root/usr/bin/atlas')))).toEqual(program)
      expect(fs.readFileSync(packed.file).equals(fs.readFileSync(again.file))).toBe(true)
    }
  },
)

debianTest('a Debian package has the texts that Debian asks for', () => {
  using packed = pack(PROGRAM)
  const root = path.join(packed.folder, 'root')
  run('dpkg-deb', '--extract', packed.file, root)
  const documents = path.join(root, 'usr/share/doc/atlas-cli')
  const unpacked = (name: string): string =>
    Buffer.from(Bun.gunzipSync(fs.readFileSync(path.join(documents, name)))).toString()
  const [, terms = ''] = /(Permission is hereby.*)/s.exec(LICENSE) ?? []
  const [, owners = ''] = /^Copyright \(c\) (.*)$/m.exec(LICENSE) ?? []
  expect({
    copyright: fs.readFileSync(path.join(documents, 'copyright'), 'utf8'),
    notices: unpacked('THIRD-PARTY-NOTICES.md.gz'),
    changelog: unpacked('changelog.gz'),
  }).toEqual({
    copyright: `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: atlas
Source: https://atlas.example.com
Comment: The program also contains the software that
 /usr/share/doc/atlas-cli/THIRD-PARTY-NOTICES.md.gz names, with its licenses.

Files: *
Copyright: ${owners}
License: Expat

License: Expat
${terms.trimEnd().replaceAll(/^$/gm, '.').replaceAll(/^/gm, ' ')}
`,
    notices: '# Notices\n',
    changelog: `atlas-cli (2.0.0) unstable; urgency=medium

  * One thing, which is told on two lines.
  * Another thing, which is so long that it does not fit onto one line of those
    that Debian allows.

 -- The atlas authors <atlas@atlas.example.com>  Mon, 01 Mar 2027 00:00:00 +0000
`,
  })
})

test('the Debian changelog of a version without a date tells what is not released yet', () => {
  expect(debianChangelog('atlas-cli', '3.0.0', CHANGELOG)).toBe(`atlas-cli (3.0.0) unstable; urgency=medium

  * Not yet.

 -- The atlas authors <atlas@atlas.example.com>  Tue, 01 Jan 1980 00:00:00 +0000
`)
})

debianTest('a Debian package of a prerelease says so to dpkg, in its fields and its changelog', () => {
  using packed = pack(PROGRAM, 'linux-x64', COMPANIONS, '2.0.0-rc.1')
  expect(path.basename(packed.file)).toBe('atlas-cli_2.0.0-rc.1_amd64.deb')
  expect(run('dpkg-deb', '--field', packed.file, 'Version').stdout).toBe('2.0.0~rc.1\n')
  const root = path.join(packed.folder, 'root')
  run('dpkg-deb', '--extract', packed.file, root)
  const changelog = fs.readFileSync(path.join(root, 'usr/share/doc/atlas-cli/changelog.gz'))
  const [title] = Buffer.from(Bun.gunzipSync(changelog)).toString().split('\n')
  expect(title).toBe('atlas-cli (2.0.0~rc.1) unstable; urgency=medium')
})

testWithTools('dpkg')('dpkg sorts versions as Semantic Versioning does', () => {
  const sorted = [
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    '1.0.0',
    '1.0.0+build-1',
    '1.0.1-rc.1',
    '1.0.1',
  ].map(debianVersion)
  const older = sorted.slice(1).filter((version, index) => {
    const { status, stderr } = run('dpkg', '--compare-versions', sorted[index] ?? '', 'lt', version)
    return status !== 0 || stderr !== ''
  })
  expect(older).toEqual([])
})

/** An empty Debian, with the packages that atlas depends on. */
function debianRoot(folder: string): string {
  const database = path.join(folder, 'root/var/lib/dpkg')
  for (const name of ['updates', 'info', 'triggers'])
    fs.mkdirSync(path.join(database, name), { recursive: true })
  const installed = ['libc6 2.36', 'libgcc-s1 12.2'].map(entry => {
    const [name, version] = entry.split(' ')
    fs.writeFileSync(path.join(database, 'info', `${name}.list`), '/.\n')
    return `Package: ${name}\nStatus: install ok installed\nMaintainer: nobody\nArchitecture: amd64\nVersion: ${version}\nDescription: none\n`
  })
  fs.writeFileSync(path.join(database, 'status'), `${installed.join('\n')}\n`)
  return path.join(folder, 'root')
}

const installingTest = testWith(
  'dpkg, and root, to install packages',
  Bun.which('dpkg') !== null && process.getuid?.() === 0,
)

installingTest('dpkg installs, verifies, upgrades and removes the package', () => {
  using packed = pack(PROGRAM)
  using second = pack(PROGRAM)
  const root = debianRoot(packed.folder)
  const dpkg = (...args: string[]) => run('dpkg', `--root=${root}`, '--force-architecture', ...args)
  const usr = (): string[] =>
    fs
      .readdirSync(root, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile() && entry.parentPath.startsWith(path.join(root, 'usr')))
      .map(entry => path.relative(root, path.join(entry.parentPath, entry.name)))

  expect(dpkg('--install', packed.file)).toMatchObject({ status: 0, stderr: '' })
  expect(run(path.join(root, 'usr/bin/atlas')).stdout).toBe('atlas/2.0.0\n')
  expect(dpkg('--verify', 'atlas-cli')).toEqual({ status: 0, stdout: '', stderr: '' })
  fs.appendFileSync(path.join(root, 'usr/share/doc/atlas-cli/copyright'), '!')
  expect(dpkg('--verify', 'atlas-cli').stdout).toBe('??5??????   /usr/share/doc/atlas-cli/copyright\n')
  expect(dpkg('--install', second.file)).toMatchObject({ status: 0, stderr: '' })
  expect(usr().length).toBe(9)
  expect(dpkg('--purge', 'atlas-cli')).toMatchObject({ status: 0, stderr: '' })
  expect(usr()).toEqual([])
})

testWithTools('lintian')(
  'lintian finds nothing in the package with the program of this machine',
  async () => {
    using packed = pack(fs.readFileSync(BINARY), hostTarget().name, await readCompanions())
    const command = ['lintian', '--allow-root', '--fail-on=error,warning', packed.file]
    expect(run(...command)).toEqual({ status: 0, stdout: '', stderr: '' })
  },
)
