import { beforeEach, describe, expect } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { checksums } from '../../release/release.ts'
import { testWith, testWithTools } from '../support/needs.ts'
import { createReleaseKey, type ReleaseKey } from '../support/release-key.ts'

const canBeAnother = ['ssh-keygen', 'setpriv'].every(name => Bun.which(name)) && process.getuid?.() === 0
const SCRIPT = path.resolve(import.meta.dir, '../../release/verify.sh')

let key: ReleaseKey
let folder: string
beforeEach(() => {
  key = createReleaseKey()
  fs.writeFileSync(path.join(key.folder, 'allowed_signers'), `${key.signer}\n`)
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas release-'))
  return () => {
    key[Symbol.dispose]()
    fs.rmSync(folder, { recursive: true })
  }
})

const inFolder = (name: string): string => path.join(folder, name)

/** Put the files of a release into the folder, in place of those that are there, and sign them. */
function publish(version: string): void {
  for (const name of fs.readdirSync(folder)) fs.rmSync(inFolder(name))
  for (const name of ['linux-x64.tar.gz', 'windows-x64.zip'])
    fs.writeFileSync(inFolder(`atlas-${version}-${name}`), `${name} of ${version}`)
  fs.writeFileSync(inFolder(`atlas-${version}.cdx.json`), '{}')
  fs.writeFileSync(inFolder('install.sh'), version)
  fs.writeFileSync(inFolder('SHA256SUMS'), checksums(folder))
  sign(key)
}
const sign = (by: ReleaseKey): void =>
  fs.writeFileSync(inFolder('SHA256SUMS.sig'), by.sign(fs.readFileSync(inFolder('SHA256SUMS'))))

interface Verifying {
  readonly cwd?: string
  readonly of?: string
  /** Replaces the one of this machine. */
  readonly PATH?: string
}

function verify(
  shell: readonly string[],
  version: string,
  { cwd = folder, of = folder, PATH = process.env['PATH'] ?? '' }: Verifying = {},
): { status: number; stdout: string; stderr: string } {
  const [program = '', ...options] = shell
  const { exitCode, stdout, stderr } = Bun.spawnSync(
    [
      Bun.which(program) ?? program,
      ...options,
      SCRIPT,
      of,
      version,
      path.join(key.folder, 'allowed_signers'),
    ],
    // A pipe that is opened is waited for without end.
    { cwd, env: { PATH }, timeout: 20_000 },
  )
  return { status: exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
}

const ARCHIVE = 'atlas-9.1.0-linux-x64.tar.gz'
/** Put something else in the place of a file of the release. */
function replace(name: string, by: (file: string) => void): void {
  fs.rmSync(inFolder(name))
  by(inFolder(name))
}
const pipe = (file: string): void => void Bun.spawnSync(['mkfifo', file])

const ACCEPTED: Record<string, { change: () => void; files: number }> = {
  'a release as it was signed': { change: () => {}, files: 4 },
  'one file of a release': {
    change() {
      fs.rmSync(inFolder('atlas-9.1.0-windows-x64.zip'))
      fs.rmSync(inFolder('atlas-9.1.0.cdx.json'))
      fs.rmSync(inFolder('install.sh'))
    },
    files: 1,
  },
}

const REFUSED: Record<string, { change: () => void; says: () => string }> = {
  'a tampered archive': {
    change: () => fs.appendFileSync(inFolder('atlas-9.1.0-linux-x64.tar.gz'), '!'),
    says: () =>
      'atlas-9.1.0-linux-x64.tar.gz is not what SHA256SUMS says it is: it is damaged or was tampered with',
  },
  'tampered checksums': {
    change() {
      fs.appendFileSync(inFolder('atlas-9.1.0-linux-x64.tar.gz'), '!')
      const signature = fs.readFileSync(inFolder('SHA256SUMS.sig'))
      for (const name of ['SHA256SUMS', 'SHA256SUMS.sig']) fs.rmSync(inFolder(name))
      fs.writeFileSync(inFolder('SHA256SUMS'), checksums(folder))
      fs.writeFileSync(inFolder('SHA256SUMS.sig'), signature)
    },
    says: () => 'SHA256SUMS is not what was signed: it is damaged or was tampered with',
  },
  'a signature by a foreign key': {
    change() {
      using other = createReleaseKey()
      sign(other)
    },
    says: () => `SHA256SUMS was signed with another key than that in ${key.folder}/allowed_signers`,
  },
  'a release without a signature': {
    change: () => fs.rmSync(inFolder('SHA256SUMS.sig')),
    says: () => `there is no signature of SHA256SUMS in ${folder}`,
  },
  'an older release': {
    change: () => publish('9.0.0'),
    says: () => 'SHA256SUMS is that of release 9.0.0, not of 9.1.0',
  },
  'an older release under the names of the newer one': {
    change() {
      publish('9.0.0')
      for (const name of fs.readdirSync(folder))
        fs.renameSync(inFolder(name), inFolder(name.replace('9.0.0', '9.1.0')))
    },
    says: () => 'SHA256SUMS is that of release 9.0.0, not of 9.1.0',
  },
  'a file more': {
    change: () => fs.writeFileSync(inFolder('more'), ''),
    says: () => 'SHA256SUMS does not name more',
  },
  'a hidden file more': {
    change: () => fs.writeFileSync(inFolder('.more'), ''),
    says: () => 'SHA256SUMS does not name .more',
  },
  'a name that holds the line of another file': {
    change() {
      const [line = ''] = fs.readFileSync(inFolder('SHA256SUMS'), 'utf8').split('\n')
      fs.writeFileSync(inFolder(`more\n${line.slice(66)}`), '')
    },
    says: () => 'a file in the folder has a name that no release has',
  },
  'a pipe with the name of a signed file': {
    change: () => replace(ARCHIVE, pipe),
    says: () => `${ARCHIVE} is not a regular file`,
  },
  'a folder with the name of a signed file': {
    change: () => replace(ARCHIVE, fs.mkdirSync),
    says: () => `${ARCHIVE} is not a regular file`,
  },
  'a link that leads nowhere with the name of a signed file': {
    change: () => replace(ARCHIVE, file => fs.symlinkSync('nowhere', file)),
    says: () => `${ARCHIVE} is not a regular file`,
  },
  'a link to a file as it was signed': {
    change() {
      fs.renameSync(inFolder(ARCHIVE), path.join(key.folder, 'archive'))
      fs.symlinkSync(path.join(key.folder, 'archive'), inFolder(ARCHIVE))
    },
    says: () => `${ARCHIVE} is not a regular file`,
  },
  'a link that leads nowhere with another name': {
    change: () => fs.symlinkSync('nowhere', inFolder('more')),
    says: () => 'SHA256SUMS does not name more',
  },
  'checksums that are a pipe': {
    change: () => replace('SHA256SUMS', pipe),
    says: () => 'SHA256SUMS is not a regular file',
  },
  'a signature that is a pipe': {
    change: () => replace('SHA256SUMS.sig', pipe),
    says: () => 'SHA256SUMS.sig is not a regular file',
  },
  'signed checksums that name no version': {
    change() {
      for (const name of ['atlas-9.1.0.cdx.json', 'SHA256SUMS', 'SHA256SUMS.sig']) fs.rmSync(inFolder(name))
      fs.writeFileSync(inFolder('SHA256SUMS'), checksums(folder))
      sign(key)
    },
    says: () => 'SHA256SUMS names no bill of materials, and so no version',
  },
  'checksums without files': {
    change() {
      for (const name of fs.readdirSync(folder)) if (!name.startsWith('SHA')) fs.rmSync(inFolder(name))
    },
    says: () => `there are no other files in ${folder}`,
  },
}

describe.each([
  ['dash', ['dash']],
  ['busybox', ['busybox', 'sh']],
])('verify.sh in %s', (name, shell) => {
  const verifyTest = testWithTools(name, 'ssh-keygen')

  for (const [what, { change, files }] of Object.entries(ACCEPTED)) {
    verifyTest(`accepts ${what}`, () => {
      publish('9.1.0')
      change()
      expect(verify(shell, '9.1.0')).toEqual({
        status: 0,
        stdout: `atlas 9.1.0: the signature is good, and ${files} of 4 files are here and as signed\n`,
        stderr: '',
      })
    })
  }

  for (const [what, { change, says }] of Object.entries(REFUSED)) {
    verifyTest(`refuses ${what}`, () => {
      publish('9.1.0')
      change()
      expect(verify(shell, '9.1.0')).toEqual({ status: 1, stdout: '', stderr: `verify.sh: ${says()}.\n` })
    })
  }

  verifyTest.each(['', '9.1.0/..', '9.1.0\n9.0.0'])('refuses %j as a version', version => {
    publish('9.1.0')
    expect(verify(shell, version)).toEqual({
      status: 1,
      stdout: '',
      stderr: `verify.sh: "${version}" is not a version.\n`,
    })
  })

  verifyTest('refuses what is not a folder', () => {
    expect(verify(shell, '9.1.0', { of: '' })).toEqual({
      status: 1,
      stdout: '',
      stderr: 'verify.sh: "" is not a folder.\n',
    })
  })

  verifyTest('takes a folder whose name begins with a hyphen for a folder', () => {
    publish('9.1.0')
    const parent = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-verify-'))
    fs.cpSync(folder, path.join(parent, '-e'), { recursive: true })
    const verified = verify(shell, '9.1.0', { cwd: parent, of: '-e' })
    fs.rmSync(parent, { recursive: true })
    expect(verified).toEqual({
      status: 0,
      stdout: 'atlas 9.1.0: the signature is good, and 4 of 4 files are here and as signed\n',
      stderr: '',
    })
  })

  verifyTest.each([
    ['there is none', undefined, 'there is no ssh-keygen; install OpenSSH 8.1 or later'],
    [
      'it is too old',
      "echo 'unknown option -- Y' >&2; echo 'usage: ssh-keygen [-q]' >&2",
      'ssh-keygen is too old to verify signatures; install OpenSSH 8.1 or later',
    ],
    [
      'it is too old, on macOS',
      "echo 'ssh-keygen: illegal option -- Y' >&2; echo 'usage: ssh-keygen [-q]' >&2",
      'ssh-keygen is too old to verify signatures; install OpenSSH 8.1 or later',
    ],
    [
      'it knows no such user',
      "echo 'No user exists for uid 54321' >&2",
      'ssh-keygen failed: No user exists for uid 54321',
    ],
    ['it says nothing', ':', 'ssh-keygen failed: it said nothing'],
  ])('says why ssh-keygen cannot verify: %s', (_, script, says) => {
    publish('9.1.0')
    const programs = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-verify-'))
    for (const needed of ['dirname', 'head'])
      fs.symlinkSync(Bun.which(needed) ?? '', path.join(programs, needed))
    if (script !== undefined)
      fs.writeFileSync(path.join(programs, 'ssh-keygen'), `#!/bin/sh\n${script}\nexit 255\n`, { mode: 0o755 })
    const verified = verify(shell, '9.1.0', { PATH: programs })
    fs.rmSync(programs, { recursive: true })
    expect(verified).toEqual({ status: 1, stdout: '', stderr: `verify.sh: ${says}.\n` })
  })
})

testWith('ssh-keygen, setpriv, and root, to be another user', canBeAnother)(
  'verify.sh says that a file cannot be read',
  () => {
    publish('9.1.0')
    for (const open of [folder, key.folder]) fs.chmodSync(open, 0o755)
    fs.chmodSync(inFolder(ARCHIVE), 0)
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'sh']
    expect(verify(nobody, '9.1.0')).toEqual({
      status: 1,
      stdout: '',
      stderr: `verify.sh: ${ARCHIVE} cannot be read.\n`,
    })
  },
)
