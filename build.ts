import path from 'node:path'
import { parseArgs } from 'node:util'
import { compile } from './release/compile.ts'
import { manualPage } from './release/manual.ts'
import { release } from './release/release.ts'
import { hostTarget, TARGETS, targetNamed } from './release/targets.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)

const { values } = parseArgs({
  options: {
    /** Pack every target into dist/release; without it, atlas is compiled for this machine alone. */
    release: { type: 'boolean', default: false },
    /** Release these targets alone. */
    target: { type: 'string', multiple: true },
    outfile: { type: 'string' },
  },
})
try {
  if (values.release) {
    await release(values.target?.map(targetNamed) ?? TARGETS, say)
  } else {
    const target = hostTarget()
    const outfile = values.outfile ?? path.join('dist', target.executable)
    await compile(target, { outfile, bytecode: true })
    await Bun.write(path.join(path.dirname(outfile), 'atlas.1'), await manualPage())
    say(`built ${outfile} for ${target.name}`)
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exit(1)
}
