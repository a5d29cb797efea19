import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { hasSecrets, type Job, mayWrite, RELEASE, runStep, stepThat } from '../support/workflows.ts'

/** As a workflow writes what GitHub is to work out. */
const expression = (text: string): string => `$\{{ ${text} }}`

test('workflow: only a tag that is pushed reaches a secret, the name of GitHub or the right to write releases', () => {
  const isPrivileged = (job: Job): boolean => mayWrite(job) || hasSecrets(job)
  const privileged = Object.entries(RELEASE.jobs).filter(([, job]) => isPrivileged(job))
  const pushed = "github.event_name == 'push' && startsWith(github.ref, 'refs/tags/v')"
  expect(
    Object.fromEntries(
      privileged.map(([name, { if: condition, environment }]) => [name, { condition, environment }]),
    ),
  ).toEqual({
    sign: {
      condition: undefined,
      environment: expression("github.event_name == 'push' && 'release' || 'rehearsal'"),
    },
    seal: { condition: pushed, environment: 'release' },
    attest: { condition: pushed, environment: undefined },
    publish: { condition: pushed, environment: 'release' },
  })
})

test('workflow: started by hand, no step with a secret runs in the job that signs for macOS', () => {
  const { env = {}, steps } = RELEASE.jobs['sign'] as Job
  const secret = steps.filter(step => hasSecrets({ steps: [step] }))
  expect({ WITH_IDENTITY: env['WITH_IDENTITY'], conditions: secret.map(step => step.if) }).toEqual({
    WITH_IDENTITY: expression("github.event_name == 'push' && secrets.MACOS_CERTIFICATE_P12_BASE64 != ''"),
    conditions: ["env.WITH_IDENTITY == 'true'"],
  })
})

/** Run a step with a program in place of one that this machine lacks. @returns its status, and each call of the program. */
function runWith(program: string, script: string, step: string, env: Record<string, string> = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-step-'))
  const calls = path.join(folder, 'calls')
  fs.writeFileSync(path.join(folder, program), `#!/bin/sh\necho "$*" >> '${calls}'\n${script}`, {
    mode: 0o755,
  })
  for (const name of ['signed/arm64/atlas', 'signed/x64/atlas', 'release/SHA256SUMS']) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    fs.writeFileSync(path.join(folder, name), '')
  }
  const { exitCode } = runStep(step, folder, { PATH: `${folder}:${process.env['PATH']}`, ...env })
  const called = fs.readFileSync(calls, 'utf8').trimEnd().split('\n')
  fs.rmSync(folder, { recursive: true })
  return { status: exitCode, called }
}

describe('workflow: macOS signatures', () => {
  /** The steps that check signatures, where there is an identity or none. */
  const checking = (hasIdentity: boolean): string =>
    (RELEASE.jobs['sign']?.steps ?? [])
      .filter(({ run = '' }) => run.includes('codesign --verify'))
      .filter(
        step => step.if === undefined || step.if === `env.WITH_IDENTITY ${hasIdentity ? '==' : '!='} 'true'`,
      )
      .map(({ run }) => run)
      .join('\n')
  const verify = (arch: string): string => `--verify --strict --verbose=2 signed/${arch}/atlas`
  const adHoc = (arch: string): string => `--force --identifier atlas-cli --sign - signed/${arch}/atlas`
  /** Accepts nothing but what was signed ad hoc. */
  const REFUSING = 'case $1 in --force) : > resigned ;; *) test -e resigned ;; esac'

  test('one by the identity that macOS does not accept stops the release', () => {
    expect(runWith('codesign', REFUSING, checking(true))).toEqual({ status: 1, called: [verify('arm64')] })
  })

  test('without an identity, one that macOS does not accept is made again', () => {
    expect(runWith('codesign', REFUSING, checking(false))).toEqual({
      status: 0,
      called: [verify('arm64'), adHoc('arm64'), verify('x64'), verify('arm64'), verify('x64')],
    })
  })

  test('without an identity, one that macOS does not accept the second time either stops the release', () => {
    expect(runWith('codesign', 'test "$1" = --force', checking(false))).toEqual({
      status: 1,
      called: [verify('arm64'), adHoc('arm64'), verify('x64'), adHoc('x64'), verify('arm64')],
    })
  })
})

test.each([
  ['v1.0.0', 'false'],
  ['v1.0.0-rc.1', 'true'],
  ['v1.0.0+build-1', 'false'],
  ['v1.0.0-rc.1+build', 'true'],
])('workflow: publishes %s as a prerelease: %s', (tag, prerelease) => {
  const step = stepThat('publish', ({ name }) => name === 'Publish')
  expect(runWith('gh', '', step, { GITHUB_REF_NAME: tag, GITHUB_REPOSITORY: 'owner/name' })).toEqual({
    status: 0,
    called: [
      `release create ${tag} release/SHA256SUMS --repo owner/name --title ${tag} --verify-tag --prerelease=${prerelease}`,
    ],
  })
})
