import path from 'node:path'
import { parseArgs } from 'node:util'
import { cac } from 'cac'
import type { Context } from './lib/commands/context.ts'
import { renderManual } from './lib/commands/manual.ts'
import { defineProgram } from './lib/commands/program.ts'
import { VERSION } from './lib/version.ts'

/** A machine that atlas is built for, and the keyring addon that its binary carries. */
interface Target {
  readonly platform: 'linux' | 'darwin' | 'win32'
  readonly arch: 'x64' | 'arm64'
  readonly libc?: 'musl'
}

const TARGETS: Record<string, Target> = {
  'linux-x64': { platform: 'linux', arch: 'x64' },
  'linux-arm64': { platform: 'linux', arch: 'arm64' },
  'linux-x64-musl': { platform: 'linux', arch: 'x64', libc: 'musl' },
  'linux-arm64-musl': { platform: 'linux', arch: 'arm64', libc: 'musl' },
  'darwin-x64': { platform: 'darwin', arch: 'x64' },
  'darwin-arm64': { platform: 'darwin', arch: 'arm64' },
  'windows-x64': { platform: 'win32', arch: 'x64' },
  'windows-arm64': { platform: 'win32', arch: 'arm64' },
}

const hostTarget = (): string => {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  const musl = process.platform === 'linux' && header?.glibcVersionRuntime === undefined
  return `${platform}-${process.arch}${musl ? '-musl' : ''}`
}

/** Compile atlas for one machine. @throws where the target or its addon is missing. */
async function build(name: string, outfile: string): Promise<void> {
  const target = TARGETS[name]
  if (!target) throw new Error(`no such target: ${name}; there are ${Object.keys(TARGETS).join(', ')}`)
  const { platform, arch, libc } = target
  const result = await Bun.build({
    entrypoints: ['./atlas.ts', './lib/store/keychain-worker.ts'],
    root: '.',
    naming: { entry: '[name].[ext]' },
    format: 'esm',
    minify: true,
    // What is imported lazily stays out of start-up; one bundle would load the imports of every part at once.
    splitting: true,
    // Bytecode of another operating system crashes at start.
    bytecode: name === hostTarget(),
    define: {
      'process.platform': JSON.stringify(platform),
      'process.arch': JSON.stringify(arch),
      'process.env.ATLAS_BUILD_LIBC': JSON.stringify(libc ?? ''),
      'process.env.NODE_ENV': '"production"',
    },
    compile: {
      target: `bun-${name}` as Bun.Build.CompileTarget,
      outfile,
      // Most runs are over before compiled code would have paid for its compilation.
      jitPolicy: 8,
      // Companies put certificate authorities of their own into the operating system's store.
      execArgv: ['--use-system-ca'],
      // A file in the current directory must not configure atlas.
      autoloadDotenv: false,
      autoloadBunfig: false,
      autoloadTsconfig: false,
      autoloadPackageJson: false,
    },
  })
  if (!result.success) throw new AggregateError(result.logs, `the build of ${name} failed`)
}

/** The manual page, from the definitions that help comes from. No command is run. */
function manual(): string {
  const cli = cac('atlas')
  defineProgram(cli, {} as Context)
  return renderManual(cli, VERSION)
}

const { values } = parseArgs({ options: { target: { type: 'string' }, outfile: { type: 'string' } } })
const { target = hostTarget() } = values
const outfile = values.outfile ?? path.join('dist', target.startsWith('windows') ? 'atlas.exe' : 'atlas')
await build(target, outfile)
await Bun.write(path.join(path.dirname(outfile), 'atlas.1'), manual())
process.stdout.write(`built ${outfile} for ${target}\n`)
