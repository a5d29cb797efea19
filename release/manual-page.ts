import { cac } from 'cac'
import type { Context } from '../lib/commands/context.ts'
import { defineProgram } from '../lib/commands/program.ts'
import { VERSION } from '../lib/version.ts'
import { renderManual } from './manual.ts'

/** The source of atlas(1), from the definitions that help comes from. No command is run. */
export async function manualPage(): Promise<string> {
  const cli = cac('atlas')
  await defineProgram(cli, {} as Context)
  return renderManual(cli, VERSION)
}
