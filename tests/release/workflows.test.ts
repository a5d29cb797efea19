import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { checksums } from '../../release/release.ts'
import { testWithTools } from '../support/needs.ts'
import { createReleaseKey } from '../support/release-key.ts'
import {
  hasSecrets,
  type Job,
  mayWrite,
  RELEASE,
  runStep,
  stepThat,
  WORKFLOWS,
} from '../support/workflows.ts'

const ROOT = path.resolve(import.meta.dir, '../..')

const scriptOf = ({ steps }: Job): string => steps.map(({ run = '' }) => run).join('\n')

describe.each(WORKFLOWS)('$name', ({ text, workflow }) => {
  const jobs = Object.values(workflow.jobs)
  const steps = jobs.flatMap(job => job.steps)

  test('workflow: every action is pinned by the hash of its commit, beside the version that it is', () => {
    const actions = text.split('\n').filter(line => /\buses:/.test(line))
    expect(actions.length).toBe(steps.filter(({ uses }) => uses).length)
    expect(actions.filter(line => !/uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))).toEqual(
      [],
    )
  })

  test('workflow: every container image is pinned by its digest', () => {
    const images = text.replaceAll('\\\n', ' ').match(/docker run .*/g) ?? []
    expect(images.filter(line => !/@sha256:[0-9a-f]{64} /.test(line))).toEqual([])
  })

  test('workflow: no checkout leaves its token behind, and no pull request of others gets one', () => {
    const checkouts = steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'))
    expect(checkouts.map(({ with: options }) => options?.['persist-credentials'])).toEqual(
      checkouts.map(() => false),
    )
    expect(Object.keys(workflow.on)).not.toContain('pull_request_target')
  })

  test('workflow: nothing may be written, but a release and an attestation by the jobs for that', () => {
    expect(workflow.permissions).toEqual({ contents: 'read' })
    const writing = Object.entries(workflow.jobs).filter(([, job]) => mayWrite(job))
    expect(writing.map(([name, { permissions }]) => [name, permissions])).toEqual(
      workflow === RELEASE
        ? [
            ['attest', { attestations: 'write', 'id-token': 'write' }],
            ['publish', { contents: 'write' }],
          ]
        : [],
    )
  })

  test('workflow: beside a secret or the right to write, neither packages nor sources nor other actions run', () => {
    const privileged = jobs.filter(job => mayWrite(job) || hasSecrets(job))
    const actions = privileged.flatMap(({ steps: own }) => own.map(({ uses = '' }) => uses.split('@')[0]))
    expect([...new Set(actions)].sort()).toEqual(
      workflow === RELEASE
        ? ['', 'actions/attest-build-provenance', 'actions/download-artifact', 'actions/upload-artifact']
        : [],
    )
    const scripts = privileged.map(scriptOf)
    expect(scripts.filter(script => /\b(npm|npx|node|bun|git)\b|\.\/|\.ci\//.test(script))).toEqual([])
  })

  test('workflow: the release key is in a job of its own, which uses no action and is given to one step', () => {
    const named = Object.entries(workflow.jobs).filter(([, job]) =>
      JSON.stringify(job).includes('RELEASE_SIGNING_KEY'),
    )
    const given = named.map(([name, job]) => ({
      name,
      permissions: job.permissions,
      actions: job.steps.filter(({ uses }) => uses),
      steps: job.steps.filter(step => hasSecrets({ steps: [step] })).map(({ id }) => id),
    }))
    expect(given).toEqual(
      workflow === RELEASE ? [{ name: 'seal', permissions: {}, actions: [], steps: ['signature'] }] : [],
    )
    const running = jobs.filter(({ steps: own }) => own.some(({ uses }) => uses?.includes('/attest-')))
    const others = running.flatMap(({ steps: own }) =>
      own.flatMap(({ run = '' }) => run.match(/^\w+/gm) ?? []),
    )
    expect(others).toEqual(workflow === RELEASE ? ['printf', 'sha256sum', 'diff'] : [])
  })

  test('workflow: what others can name, a branch or a title, is not pasted into a script', () => {
    expect(steps.filter(({ run }) => run?.includes('${{'))).toEqual([])
  })

  test('workflow: nothing is taken from a cache that another run has filled', () => {
    expect(text).not.toMatch(/\bcache:|actions\/cache/)
  })
})

test('packages: npm runs none of their install scripts, and Bun is the only one that has one', () => {
  const { stdout } = Bun.spawnSync(['npm', 'config', 'get', 'ignore-scripts'], { cwd: ROOT })
  const { packages } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { hasInstallScript?: boolean }>
  }
  const scripted = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript)
  expect({ ignored: stdout.toString().trim(), scripted: scripted.map(([name]) => name) }).toEqual({
    ignored: 'true',
    scripted: ['node_modules/bun'],
  })
})

/** A release's files, and what the jobs that made them say their checksums are. */
function builtRelease(): Disposable & { folder: string; built: string } {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-release-'))
  const names = ['darwin-arm64.tar.gz', 'darwin-x64.tar.gz', 'linux-x64.tar.gz', 'windows-x64.zip']
  for (const name of names) fs.writeFileSync(path.join(folder, `atlas-9.0.0-${name}`), name)
  for (const name of ['atlas-9.0.0.cdx.json', 'atlas-cli_9.0.0_amd64.deb', 'install.sh', 'install.ps1'])
    fs.writeFileSync(path.join(folder, name), name)
  fs.writeFileSync(path.join(folder, 'atlas.rb'), checksums(folder))
  const built = checksums(folder)
  fs.writeFileSync(path.join(folder, 'SHA256SUMS'), built)
  return { folder, built, [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }) }
}

/** What GitHub makes of checksums that a job hands on. */
const handedOn = (sums: string): string => sums.trimEnd()

const SAME = stepThat('seal', ({ id }) => id === undefined)
const CHECKS = ['attest', 'publish'].map(job => stepThat(job, ({ env }) => env?.['SIGNED'] !== undefined))
const DARWIN = 'atlas-9.0.0-darwin-arm64.tar.gz'

const PUBLISHED: Record<
  string,
  { change: (folder: string) => void; signed?: (built: string) => string; passes: boolean }
> = {
  'what was built': { change: () => {}, passes: true },
  'a macOS archive that was signed': {
    change: folder => fs.writeFileSync(path.join(folder, DARWIN), 'signed'),
    signed: built =>
      built.replace(
        /^\w+(?= {2}atlas-9.0.0-darwin-arm64)/m,
        new Bun.CryptoHasher('sha256').update('signed').digest('hex'),
      ),
    passes: true,
  },
  'a Homebrew formula that names the checksum of a signed archive': {
    change: folder => fs.writeFileSync(path.join(folder, 'atlas.rb'), 'signed'),
    signed: built =>
      built.replace(/^\w+(?= {2}atlas.rb)/m, new Bun.CryptoHasher('sha256').update('signed').digest('hex')),
    passes: true,
  },
  'an archive that is not what was built': {
    change: folder => fs.writeFileSync(path.join(folder, 'atlas-9.0.0-linux-x64.tar.gz'), 'other'),
    passes: false,
  },
  'an archive that is not what was built, beside checksums made anew': {
    change(folder) {
      fs.writeFileSync(path.join(folder, 'atlas-9.0.0-linux-x64.tar.gz'), 'other')
      fs.rmSync(path.join(folder, 'SHA256SUMS'))
      fs.writeFileSync(path.join(folder, 'SHA256SUMS'), checksums(folder))
    },
    passes: false,
  },
  'an archive that the signing job says is another': {
    change: folder => fs.writeFileSync(path.join(folder, 'atlas-9.0.0-linux-x64.tar.gz'), 'other'),
    signed: built =>
      built.replace(
        /^\w+(?= {2}atlas-9.0.0-linux)/m,
        new Bun.CryptoHasher('sha256').update('other').digest('hex'),
      ),
    passes: false,
  },
  'a file more': { change: folder => fs.writeFileSync(path.join(folder, 'more'), ''), passes: false },
  'a file less, of which the signing job does not speak': {
    change: folder => fs.rmSync(path.join(folder, DARWIN)),
    signed: built => built.replace(/^.*darwin-arm64.*\n/m, ''),
    passes: false,
  },
  'a file less': { change: folder => fs.rmSync(path.join(folder, DARWIN)), passes: false },
}
for (const [what, { change, signed, passes }] of Object.entries(PUBLISHED)) {
  test(`workflow: ${passes ? 'publishes' : 'does not publish'} ${what}`, () => {
    using release = builtRelease()
    change(release.folder)
    const sums = handedOn(signed?.(release.built) ?? release.built)
    const env = { BUILT: handedOn(release.built), SIGNED: sums, SIGNATURE: 'signature' }
    const passing = CHECKS.map(check => {
      const isSigned = runStep(SAME, release.folder, env).exitCode === 0
      return isSigned && runStep(check, release.folder, env).exitCode === 0
        ? fs.readFileSync(path.join(release.folder, 'SHA256SUMS'), 'utf8')
        : 'refused'
    })
    const expected = passes ? `${sums}\n` : 'refused'
    expect(passing).toEqual([expected, expected])
    const signature = path.join(release.folder, 'SHA256SUMS.sig')
    expect(fs.existsSync(signature) && fs.readFileSync(signature, 'utf8')).toBe(passes && 'signature\n')
  })
}

testWithTools('shasum')(
  'workflow: signing hands on the checksums of the build, but for what it has packed anew',
  () => {
    using release = builtRelease()
    using work = builtRelease()
    fs.mkdirSync(path.join(work.folder, 'packed'))
    fs.mkdirSync(path.join(work.folder, 'built'))
    fs.copyFileSync(path.join(release.folder, 'atlas.rb'), path.join(work.folder, 'built/atlas.rb'))
    for (const target of ['arm64', 'x64']) {
      const name = `atlas-9.0.0-darwin-${target}.tar.gz`
      fs.copyFileSync(path.join(release.folder, name), path.join(work.folder, 'packed', name))
    }
    const output = path.join(work.folder, 'output')
    const scripts = ['formula', 'sums'].map(name => stepThat('sign', ({ id }) => id === name))
    const env = { BUILT: handedOn(release.built), GITHUB_OUTPUT: output }
    const handOn = (): string => {
      fs.rmSync(output, { force: true })
      expect(scripts.map(script => runStep(script, work.folder, env).exitCode)).toEqual([0, 0])
      return fs.readFileSync(output, 'utf8')
    }
    expect(handOn()).toBe(`sums<<END_OF_SUMS\n${release.built}END_OF_SUMS\n`)
    fs.writeFileSync(path.join(work.folder, 'packed', DARWIN), 'signed')
    fs.writeFileSync(path.join(release.folder, DARWIN), 'signed')
    for (const name of ['SHA256SUMS', 'atlas.rb']) fs.rmSync(path.join(release.folder, name))
    fs.writeFileSync(path.join(release.folder, 'atlas.rb'), checksums(release.folder))
    expect(handOn()).toBe(`sums<<END_OF_SUMS\n${checksums(release.folder)}END_OF_SUMS\n`)
  },
)

describe('workflow: signing', () => {
  const script = stepThat('seal', ({ id }) => id === 'signature')

  /** Sign checksums with a secret. @returns what the job hands on, or says. */
  function seal(secret: string, signer: string): { status: number; handedOn: string; says: string[] } {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-seal-'))
    const output = path.join(folder, 'output')
    const env = { KEY: secret, SIGNED: 'sums', SIGNER: signer, GITHUB_OUTPUT: output, TMPDIR: folder }
    const { exitCode, stdout } = runStep(script, folder, env)
    const handedOn = fs.existsSync(output) ? fs.readFileSync(output, 'utf8') : ''
    const left = fs.readdirSync(folder).filter(name => name !== 'output')
    fs.rmSync(folder, { recursive: true })
    const says = stdout
      .toString()
      .split('\n')
      .filter(line => line.startsWith('::error::'))
    return { status: exitCode, handedOn, says: [...says, ...left] }
  }

  const signingTest = testWithTools('ssh-keygen')

  signingTest('hands on a signature of the checksums by the key of the repository', () => {
    using key = createReleaseKey()
    expect(seal(key.secret().trimEnd(), key.signer)).toEqual({
      status: 0,
      handedOn: `signature<<END_OF_SIGNATURE\n${key.sign('sums\n')}END_OF_SIGNATURE\n`,
      says: [],
    })
  })

  signingTest('refuses no key, what is not a key, and one that is not that of the repository', () => {
    using key = createReleaseKey()
    using other = createReleaseKey()
    const refused = [seal('', key.signer), seal('not a key', key.signer), seal(other.secret(), key.signer)]
    const says = [
      'is not set',
      'is not a private key without a passphrase',
      'does not belong to the key in release/allowed_signers',
    ]
    expect(refused).toEqual(
      says.map(what => ({
        status: 1,
        handedOn: '',
        says: [`::error::The secret RELEASE_SIGNING_KEY ${what}; see docs/releasing.md`],
      })),
    )
  })
})
