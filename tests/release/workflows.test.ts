import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'

const FOLDER = path.resolve(import.meta.dir, '../../.github/workflows')

interface Step {
  readonly name?: string
  readonly uses?: string
  readonly run?: string
  readonly with?: Record<string, unknown>
  readonly env?: Record<string, string>
}
interface Workflow {
  readonly on: Record<string, unknown>
  readonly permissions: Record<string, string>
  readonly jobs: Record<string, { readonly permissions?: Record<string, string>; readonly steps: Step[] }>
}

const WORKFLOWS = fs
  .readdirSync(FOLDER)
  .map(name => [name, Bun.YAML.parse(fs.readFileSync(path.join(FOLDER, name), 'utf8')) as Workflow] as const)

const jobsOf = (workflow: Workflow) => Object.entries(workflow.jobs)

describe.each(WORKFLOWS)('%s', (_, workflow) => {
  const steps = jobsOf(workflow).flatMap(([, job]) => job.steps)

  test('workflow: every action is pinned by the hash of its commit', () => {
    const loose = steps.flatMap(({ uses }) =>
      uses === undefined || /@[0-9a-f]{40}$/.test(uses) ? [] : [uses],
    )
    expect(loose).toEqual([])
  })

  test('workflow: no checkout leaves its token behind, and no pull request of others gets one', () => {
    const checkouts = steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'))
    expect(checkouts.map(({ with: options }) => options?.['persist-credentials'])).toEqual(
      checkouts.map(() => false),
    )
    expect(Object.keys(workflow.on)).not.toContain('pull_request_target')
    expect(workflow.permissions).toEqual({ contents: 'read' })
  })

  test('workflow: a job that may write installs and builds nothing', () => {
    const writing = jobsOf(workflow).filter(([, { permissions }]) =>
      Object.values(permissions ?? {}).includes('write'),
    )
    const commands = writing.flatMap(([, { steps: own }]) => own.map(({ run = '' }) => run))
    expect(commands.filter(command => /\b(npm|npx|bun|node)\b/.test(command))).toEqual([])
  })

  test('workflow: the key is gone before code of packages runs, and install scripts stay off beside it', () => {
    for (const [, { steps: own }] of jobsOf(workflow)) {
      const signing = own.find(({ run }) => run?.includes('unlock-keychain'))
      if (signing === undefined) continue
      expect(signing.run?.trimEnd().endsWith('security delete-keychain "$keychain"')).toBe(true)
      expect(signing.run).not.toMatch(/\bnpm\b/)
      const installs = own.flatMap(({ run = '' }) => run.match(/npm (?:ci|install).*/g) ?? [])
      expect(installs).toEqual(installs.map(() => 'npm ci --ignore-scripts'))
    }
  })
})

test('workflow: checksums are those of the jobs that made the archives, checked before publishing', () => {
  const release = Object.fromEntries(WORKFLOWS)['release.yml']
  const runs = (job: string): string => release?.jobs[job]?.steps.map(({ run = '' }) => run).join('\n') ?? ''
  expect(runs('publish')).toContain('sha256sum --check --strict SHA256SUMS')
  expect(runs('publish')).not.toMatch(/sha256sum -- |sha256sum \*/)
  expect(runs('macos')).toContain('shasum -a 256 "$archive" > "$archive.sha256"')
})
