/** Something that was compiled into a runtime, an addon or a WebAssembly. */
export interface NativePart {
  readonly name: string
  /** Left out where nothing tells it. */
  readonly version?: string
  readonly purl?: string
  /** An SPDX expression, or words where no expression says which it is. */
  readonly license?: { readonly expression: string } | { readonly name: string }
}

const CRATE = /^\| ([\w-]+) \| (\d[\w.+-]*) \| (.+) \|$/gm

/**
 * The Rust crates that an addon was built from, as the license list in its package names them.
 * @throws where the list names none.
 */
export function cratesIn(licenseList: string): NativePart[] {
  const crates = [...licenseList.matchAll(CRATE)].map(([, name = '', version = '', expression = '']) => ({
    name,
    version,
    purl: `pkg:cargo/${name}@${version}`,
    license: { expression },
  }))
  if (crates.length === 0) throw new Error('the license list of the addon names no crates')
  return crates
}

const ENGINE = 'webkit'
/** A library's version is the commit that it was taken from. */
const COMMIT = /^[0-9a-f]{40}$/
/** It compiles Bun and is not in it. */
const COMPILER = 'zig'

/**
 * The engine of a runtime, and the libraries in it whose commits are known: what the Bun that runs this says of
 * itself, as far as the runtime holds it too.
 * @param versions `process.versions` of the same version of Bun.
 * @throws where the runtime holds no engine of that commit, and so is of another version.
 */
export function librariesIn(runtime: Buffer, versions: Record<string, string | undefined>): NativePart[] {
  const { [ENGINE]: engine = '' } = versions
  if (!COMMIT.test(engine) || !runtime.includes(engine))
    throw new Error(`the runtime does not hold JavaScriptCore of WebKit ${engine}`)
  const libraries = Object.entries(versions).filter(
    ([name, version = '']) =>
      name !== ENGINE && name !== COMPILER && COMMIT.test(version) && runtime.includes(version),
  )
  return [
    {
      name: 'JavaScriptCore',
      version: engine,
      purl: `pkg:github/oven-sh/webkit@${engine}`,
      license: { name: 'LGPL-2' },
    },
    ...libraries.map(([name, version = '']) => ({ name, version })),
  ]
}
