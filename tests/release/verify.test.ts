import { beforeEach, describe, expect } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { checksums } from '../../release/release.ts'
import { testWithTools } from '../support/needs.ts'
import { createReleaseKey, type ReleaseKey } from '../support/release-key.ts'

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

function verify(
  shell: readonly string[],
  version: string,
): { status: number; stdout: string; stderr: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync([
    ...shell,
    SCRIPT,
    folder,
    version,
    path.join(key.folder, 'allowed_signers'),
  ])
  return { status: exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
}

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
})
