import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { checksums } from '../../release/release.ts'
import { testWithTools } from '../support/needs.ts'

const ROOT = path.resolve(import.meta.dir, '../..')
const FOLDER = path.join(ROOT, '.github/workflows')

interface Step {
  readonly name?: string
  readonly id?: string
  readonly uses?: string
  readonly run?: string
  readonly with?: Record<string, unknown>
  readonly env?: Record<string, string>
}
interface Job {
  readonly permissions?: Record<string, string>
  readonly env?: Record<string, string>
  readonly steps: readonly Step[]
}
interface Workflow {
  readonly on: Record<string, unknown>
  readonly permissions: Record<string, string>
  readonly jobs: Record<string, Job>
}

const WORKFLOWS = fs.readdirSync(FOLDER).map(name => {
  const text = fs.readFileSync(path.join(FOLDER, name), 'utf8')
  return { name, text, workflow: Bun.YAML.parse(text) as Workflow }
})
const RELEASE = WORKFLOWS.find(({ name }) => name === 'release.yml')?.workflow as Workflow

const mayWrite = ({ permissions }: Job): boolean => Object.values(permissions ?? {}).includes('write')
const hasSecrets = (job: Job): boolean => JSON.stringify(job).includes('secrets.')
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

  test('workflow: nothing may be written, but a release by the job that publishes', () => {
    expect(workflow.permissions).toEqual({ contents: 'read' })
    const writing = Object.entries(workflow.jobs).filter(([, job]) => mayWrite(job))
    expect(writing.map(([name, { permissions }]) => [name, permissions])).toEqual(
      workflow === RELEASE ? [['publish', { contents: 'write' }]] : [],
    )
  })

  test('workflow: beside a secret or the right to write, neither packages nor sources nor other actions run', () => {
    const privileged = jobs.filter(job => mayWrite(job) || hasSecrets(job))
    const actions = privileged.flatMap(({ steps: own }) => own.map(({ uses = '' }) => uses.split('@')[0]))
    expect([...new Set(actions)].sort()).toEqual(
      workflow === RELEASE ? ['', 'actions/download-artifact', 'actions/upload-artifact'] : [],
    )
    const scripts = privileged.map(scriptOf)
    expect(scripts.filter(script => /\b(npm|npx|node|bun|git)\b|\.\/|\.ci\//.test(script))).toEqual([])
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
  for (const name of ['atlas-9.0.0.cdx.json', 'install.sh', 'install.ps1'])
    fs.writeFileSync(path.join(folder, name), name)
  const built = checksums(folder)
  fs.writeFileSync(path.join(folder, 'SHA256SUMS'), built)
  return { folder, built, [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }) }
}

const stepThat = (job: string, isIt: (step: Step) => boolean): string =>
  RELEASE.jobs[job]?.steps.find(isIt)?.run ?? ''

/** Run a step as the runner does. */
const runStep = (script: string, cwd: string, env: Record<string, string>) =>
  Bun.spawnSync(['bash', '-e', '-c', script], { cwd, env: { PATH: process.env['PATH'] ?? '', ...env } })

/** What GitHub makes of checksums that a job hands on. */
const handedOn = (sums: string): string => sums.trimEnd()

const CHECK = stepThat('publish', ({ env }) => env?.['SIGNED'] !== undefined)
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
  'a file less': { change: folder => fs.rmSync(path.join(folder, DARWIN)), passes: false },
}
for (const [what, { change, signed, passes }] of Object.entries(PUBLISHED)) {
  test(`workflow: ${passes ? 'publishes' : 'does not publish'} ${what}`, () => {
    using release = builtRelease()
    change(release.folder)
    const sums = handedOn(signed?.(release.built) ?? release.built)
    const env = { BUILT: handedOn(release.built), SIGNED: sums, LC_ALL: 'C' }
    const { exitCode } = runStep(CHECK, release.folder, env)
    expect(exitCode === 0).toBe(passes)
    if (passes) expect(fs.readFileSync(path.join(release.folder, 'SHA256SUMS'), 'utf8')).toBe(`${sums}\n`)
  })
}

testWithTools('shasum')(
  'workflow: signing hands on the checksums of the build, but for what it has packed anew',
  () => {
    using release = builtRelease()
    using work = builtRelease()
    fs.mkdirSync(path.join(work.folder, 'packed'))
    for (const target of ['arm64', 'x64']) {
      const name = `atlas-9.0.0-darwin-${target}.tar.gz`
      fs.copyFileSync(path.join(release.folder, name), path.join(work.folder, 'packed', name))
    }
    const output = path.join(work.folder, 'output')
    const script = stepThat('sign', ({ id }) => id === 'sums')
    const handOn = (): string => {
      fs.rmSync(output, { force: true })
      const { exitCode } = runStep(script, work.folder, {
        BUILT: handedOn(release.built),
        GITHUB_OUTPUT: output,
      })
      expect(exitCode).toBe(0)
      return fs.readFileSync(output, 'utf8')
    }
    expect(handOn()).toBe(`sums<<END_OF_SUMS\n${release.built}END_OF_SUMS\n`)
    fs.writeFileSync(path.join(work.folder, 'packed', DARWIN), 'signed')
    fs.writeFileSync(path.join(release.folder, DARWIN), 'signed')
    fs.rmSync(path.join(release.folder, 'SHA256SUMS'))
    expect(handOn()).toBe(`sums<<END_OF_SUMS\n${checksums(release.folder)}END_OF_SUMS\n`)
  },
)
