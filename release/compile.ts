import path from 'node:path'
import type { Target } from './targets.ts'

/** The program and, as files of their own, its threads: the one that talks to keychains, and the one that runs jq. */
const ATLAS = ['./atlas.ts', './lib/store/keychain/worker.ts', './lib/commands/api/jq-worker.ts']

export interface CompileOptions {
  readonly outfile: string
  /** Compile ahead to what the runtime executes. */
  readonly bytecode: boolean
  /** What is compiled; atlas unless given. */
  readonly entrypoints?: readonly string[]
  /** Paths of a runtime and an addon for the target; those installed here unless given. */
  readonly parts?: { readonly runtime: string; readonly addon: string }
}

/**
 * Compile atlas for one machine.
 * @returns the names of the npm packages whose code is inside, sorted.
 * @throws where the runtime or the addon is missing.
 */
export async function compile(
  target: Target,
  { outfile, bytecode, parts, entrypoints = ATLAS }: CompileOptions,
): Promise<string[]> {
  const { name, platform, arch, libc } = target
  const result = await Bun.build({
    entrypoints: [...entrypoints],
    root: '.',
    naming: { entry: '[name].[ext]' },
    format: 'esm',
    minify: true,
    metafile: true,
    // What is imported lazily stays out of start-up; one bundle would load the imports of every part at once.
    splitting: true,
    bytecode,
    define: {
      'process.platform': JSON.stringify(platform),
      'process.arch': JSON.stringify(arch),
      'process.env.ATLAS_BUILD_LIBC': JSON.stringify(libc === 'musl' ? 'musl' : ''),
      'process.env.NODE_ENV': '"production"',
    },
    plugins: [untrimmedJq, ...(parts ? [addonFrom(target, parts.addon)] : [])],
    compile: {
      target: `bun-${name}` as Bun.Build.CompileTarget,
      ...(parts && { executablePath: path.resolve(parts.runtime) }),
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
  return packagesIn(Object.keys(result.metafile?.inputs ?? {}))
}

/** What the package of jq does to its output, in all three of its builds: blanks at its ends are part of a text. */
const TRIMMED = 'stdout: stdoutSink.toString().trim()'

const untrimmedJq: Bun.BunPlugin = {
  name: 'jq',
  setup(build) {
    build.onLoad({ filter: /[\\/]jq-wasm[\\/]dist[\\/]index\.[cm]js$/ }, async ({ path: file }) => {
      const text = await Bun.file(file).text()
      if (!text.includes(TRIMMED)) throw new Error(`jq-wasm has no "${TRIMMED}" any more`)
      return { contents: text.replace(TRIMMED, 'stdout: stdoutSink.toString()'), loader: 'js' }
    })
  },
}

/** Take the addon from a path, where npm installs those of this machine alone. */
const addonFrom = (target: Target, file: string): Bun.BunPlugin => ({
  name: 'addon',
  setup(build) {
    build.onResolve({ filter: /^@napi-rs\/keyring-.*\.node$/ }, ({ path: imported }) => {
      if (imported === `${target.addon.package}/${target.addon.file}`) return { path: path.resolve(file) }
      throw new Error(`${target.name} would embed ${imported}`)
    })
  },
})

function packagesIn(inputs: readonly string[]): string[] {
  const names = inputs.map(
    input => /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules\/)/.exec(input)?.[1],
  )
  return [...new Set(names.filter(name => name !== undefined))].sort()
}
