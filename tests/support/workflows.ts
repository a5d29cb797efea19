import fs from 'node:fs'
import path from 'node:path'

const FOLDER = path.resolve(import.meta.dir, '../../.github/workflows')

export interface Step {
  readonly name?: string
  readonly id?: string
  readonly if?: string
  readonly uses?: string
  readonly run?: string
  readonly with?: Record<string, unknown>
  readonly env?: Record<string, string>
}
export interface Job {
  readonly permissions?: Record<string, string>
  readonly if?: string
  readonly environment?: string
  readonly env?: Record<string, string>
  readonly steps: readonly Step[]
}
interface Workflow {
  readonly on: Record<string, unknown>
  readonly permissions: Record<string, string>
  readonly jobs: Record<string, Job>
}

export const WORKFLOWS = fs.readdirSync(FOLDER).map(name => {
  const text = fs.readFileSync(path.join(FOLDER, name), 'utf8')
  return { name, text, workflow: Bun.YAML.parse(text) as Workflow }
})
export const RELEASE = WORKFLOWS.find(({ name }) => name === 'release.yml')?.workflow as Workflow

export const mayWrite = ({ permissions }: Job): boolean => Object.values(permissions ?? {}).includes('write')
export const hasSecrets = (job: Job): boolean => JSON.stringify(job).includes('secrets.')

/** The script of the first step of a job of the release that is the one meant. */
export const stepThat = (job: string, isIt: (step: Step) => boolean): string =>
  RELEASE.jobs[job]?.steps.find(isIt)?.run ?? ''

/** Run a step as the runner does. */
export const runStep = (script: string, cwd: string, env: Record<string, string>) =>
  Bun.spawnSync(['bash', '-e', '-c', script], { cwd, env: { PATH: process.env['PATH'] ?? '', ...env } })
