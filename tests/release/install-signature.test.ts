import { beforeEach, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import {
  archiveOf,
  type InstallStage,
  installStage,
  installTest,
  installTools,
} from '../support/install-stage.ts'
import { createReleaseKey } from '../support/release-key.ts'

const ROOT = path.resolve(import.meta.dir, '../..')

let stage: InstallStage
beforeEach(() => {
  stage = installStage()
  return () => stage[Symbol.dispose]()
})

const sumsOf = (): string => String(stage.files.get('/SHA256SUMS'))
const setSignature = (signature: Uint8Array | string): void =>
  void stage.files.set('/SHA256SUMS.sig', signature)

const TAMPERED = {
  says: 'SHA256SUMS is not what was signed',
  hint: 'It is damaged or was tampered with. Nothing was installed.',
}
/** What install.sh says of a release 9.1.0 that is not as its makers signed it. */
const REFUSALS: Record<string, { change: () => void; says: string; hint: string }> = {
  'a tampered archive': {
    change: () => void stage.files.set(`/${archiveOf('9.1.0').name}`, archiveOf('9.1.0').bytes),
    says: `${archiveOf('9.1.0').name} is not what SHA256SUMS says it is`,
    hint: 'It is damaged or was tampered with. Nothing was installed.',
  },
  'tampered checksums': {
    change() {
      setSignature(stage.key.sign(sumsOf()))
      stage.publish('9.1.0')
    },
    ...TAMPERED,
  },
  'a file in place of the signature': { change: () => setSignature('<html></html>'), ...TAMPERED },
  'an empty signature': { change: () => setSignature(''), ...TAMPERED },
  'a signature for another purpose': {
    change: () => setSignature(stage.key.sign(sumsOf(), 'git')),
    ...TAMPERED,
  },
  'a signature by a foreign key': {
    change() {
      using other = createReleaseKey()
      setSignature(other.sign(sumsOf()))
    },
    says: 'SHA256SUMS was signed with another key',
    hint: 'Use the install.sh of the same release. Nothing was installed.',
  },
  'a release without a signature': {
    change: () => void stage.redirects.set('/SHA256SUMS.sig', '/nowhere'),
    says: 'there is no signature of SHA256SUMS',
    hint: 'Check the connection, the version and the base URL. Nothing was installed.',
  },
  'an older release in its place': {
    change() {
      stage.publish('9.0.0')
      const { bytes } = archiveOf('9.0.0')
      stage.files.set(`/${archiveOf('9.1.0').name}`, bytes)
    },
    says: 'SHA256SUMS is that of release 9.0.0, not of 9.1.0',
    hint: 'Check the version and the base URL. Nothing was installed.',
  },
}
for (const [what, { change, says, hint }] of Object.entries(REFUSALS)) {
  installTest(`install.sh: refuses ${what}, even if only signed ones are asked for`, async () => {
    stage.publish('9.1.0')
    change()
    for (const env of [{}, { ATLAS_REQUIRE_SIGNATURE: '1' }]) {
      const { status, stderr } = await stage.install('9.1.0', { env })
      // The program that downloads says of its own what it did not get.
      const own = stderr.split('\n').filter(line => !line.startsWith('curl: '))
      expect({ status, own, left: stage.left() }).toEqual({
        status: 1,
        own: [`install.sh: ${says}.`, `            ${hint}`, ''],
        left: [],
      })
    }
  })
}

const OLD_SSH_KEYGEN = 'echo "unknown option -- Y" >&2; echo "usage: ssh-keygen [-q] [-b bits]" >&2; exit 1'
/** A PATH with another ssh-keygen before all. */
function pathWith(sshKeygen: string): string {
  const tools = path.join(stage.home, 'tools')
  fs.mkdirSync(tools, { recursive: true })
  fs.writeFileSync(path.join(tools, 'ssh-keygen'), `#!/bin/sh\n${sshKeygen}\n`, { mode: 0o755 })
  return `${tools}:${process.env['PATH']}`
}
/** A PATH without an ssh-keygen that verifies. */
const PATHS: Record<string, { pathOf: () => string; because: string }> = {
  'no ssh-keygen': {
    pathOf: () =>
      installTools(path.join(stage.home, 'tools'), {
        curl: Bun.which('curl'),
        sha256sum: Bun.which('sha256sum'),
      }),
    because: 'there is no ssh-keygen',
  },
  'an ssh-keygen that is too old': {
    pathOf: () => pathWith(OLD_SSH_KEYGEN),
    because: 'there is no ssh-keygen of OpenSSH 8.1 or later',
  },
}
const success = (because: string) => ({
  status: 0,
  stdout: `Downloading ${stage.url}${archiveOf('9.0.0').name}
The signature was not checked: ${because}
Installed atlas/9.0.0 test as ${stage.home}/.local/bin/atlas
Put it on your PATH with this line in ~/.profile:
  export PATH="${stage.home}/.local/bin:$PATH"
`,
  stderr: '',
})
const refusal = (because: string) => ({
  status: 1,
  stdout: '',
  stderr:
    `install.sh: the signature cannot be checked: ${because}.\n` +
    '            Mend that, or set ATLAS_REQUIRE_SIGNATURE=0 to install without the check.\n',
})
for (const [what, { pathOf, because }] of Object.entries(PATHS)) {
  installTest(`install.sh: with ${what}, says that the signature was not checked`, async () => {
    stage.publish('9.0.0')
    expect(await stage.install('9.0.0', { env: { PATH: pathOf() } })).toEqual(success(because))
  })

  installTest(`install.sh: with ${what}, downloads nothing if a signature is required`, async () => {
    stage.publish('9.0.0')
    const PATH = pathOf()
    for (const value of ['1', 'true', 'yes', ' 1'])
      expect(await stage.install('9.0.0', { env: { PATH, ATLAS_REQUIRE_SIGNATURE: value } })).toEqual(
        refusal(because),
      )
    expect(stage.asked).toEqual([])
  })
}

installTest(
  'install.sh: refuses where ssh-keygen is there and fails, unless told to go without',
  async () => {
    stage.publish('9.0.0')
    const env = { PATH: pathWith('echo "No user exists for uid 54321" >&2; exit 255') }
    const because = 'ssh-keygen does not work (No user exists for uid 54321)'
    expect(await stage.install('9.0.0', { env })).toEqual(refusal(because))
    expect(stage.asked).toEqual([])
    expect(await stage.install('9.0.0', { env: { ...env, ATLAS_REQUIRE_SIGNATURE: '0' } })).toEqual(
      success(because),
    )
  },
)

test('both install scripts trust the one key of release/allowed_signers, for releases alone', () => {
  const read = (file: string): string => fs.readFileSync(path.join(ROOT, file), 'utf8')
  const signer = read('release/allowed_signers')
  expect(signer).toMatch(
    /^release@atlas namespaces="atlas-release" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5[A-Za-z0-9+/]{48}\n$/,
  )
  expect({
    sh: /^SIGNER='(.*)'$/m.exec(read('install.sh'))?.[1],
    ps1: /^\$Signer = '(.*)'$/m.exec(read('install.ps1'))?.[1],
  }).toEqual({ sh: signer.trimEnd(), ps1: signer.trimEnd() })
})
