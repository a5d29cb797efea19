import { expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import Ajv from 'ajv'
import { cac } from 'cac'
import { describeForPrograms } from '../../lib/cli/help-json.ts'
import type { Context } from '../../lib/commands/context.ts'
import { defineProgram } from '../../lib/commands/program.ts'
import { EXIT_CODE } from '../../lib/errors.ts'
import { createSandbox } from '../support/binary.ts'

/** Written anew with: npm run --silent dev -- help --json > tests/cli/help.golden.json, and then npm run format */
const GOLDEN = path.join(import.meta.dir, 'help.golden.json')
const SCHEMA = path.resolve(import.meta.dir, '../../docs/help.schema.json')

const read = (file: string) => JSON.parse(fs.readFileSync(file, 'utf8'))
const cli = cac('atlas')
await defineProgram(cli, {} as Context)

async function printed(args: readonly string[]) {
  using sandbox = createSandbox()
  const { status, stdout, stderr } = await sandbox.run(args)
  expect([status, stderr]).toEqual([0, ''])
  return JSON.parse(stdout)
}

test('help as JSON: all of it, as it was agreed on', async () => {
  expect({ ...(await printed(['help', '--json'])), version: '' }).toEqual({ ...read(GOLDEN), version: '' })
})

test.each([
  [[]],
  [['auth']],
  [['exec']],
  [['environment']],
])('help as JSON: %j is as the schema says', words => {
  const validate = new Ajv({ allErrors: true }).compile(read(SCHEMA))
  validate(describeForPrograms(cli, words))
  expect(validate.errors).toBeNull()
})

test('help as JSON: names every error code once, beside that of exec', () => {
  const codes = describeForPrograms(cli, []).exit_codes.filter(({ status }) => status < 126 || status === 130)
  expect(codes.flatMap(({ error_codes }) => error_codes).sort()).toEqual(
    Object.keys(EXIT_CODE).sort() as never,
  )
})

test.each([
  [['sync', '--help', '--json'], ['sync']],
  [['--json', 'help', 'auth', 'switch'], ['auth switch']],
  [['help', 'environment', '--json'], []],
])('help as JSON: %j describes %j', async (args, names) => {
  const { commands, flags } = await printed(args)
  expect([commands.map(({ name }: { name: string }) => name), flags.length]).toEqual([names, 9])
})
