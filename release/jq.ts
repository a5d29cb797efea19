import type { NativePart } from './native.ts'

/** The npm package that has jq, and its libraries, in its WebAssembly. */
export const JQ_PACKAGE = 'jq-wasm'

interface JqPart extends NativePart {
  readonly license: { readonly expression: string }
}

/** Their versions are those that jq and the compiler bring along, which nothing tells. */
const LIBRARIES: readonly JqPart[] = [
  { name: 'dtoa', purl: 'pkg:generic/dtoa', license: { expression: 'dtoa' } },
  {
    name: 'Oniguruma',
    purl: 'pkg:github/kkos/oniguruma',
    license: { expression: 'BSD-2-Clause' },
  },
  {
    name: 'decNumber',
    purl: 'pkg:generic/decnumber',
    license: { expression: 'ICU' },
  },
  {
    name: 'Emscripten',
    purl: 'pkg:github/emscripten-core/emscripten',
    license: { expression: 'MIT OR NCSA' },
  },
  {
    name: 'musl',
    purl: 'pkg:generic/musl',
    license: { expression: 'MIT' },
  },
  {
    name: 'dlmalloc',
    purl: 'pkg:generic/dlmalloc',
    license: { expression: 'CC0-1.0' },
  },
  {
    name: 'compiler-rt',
    purl: 'pkg:github/llvm/llvm-project#compiler-rt',
    license: { expression: 'Apache-2.0 WITH LLVM-exception' },
  },
]

/**
 * jq and the libraries in the WebAssembly of its package.
 * @param version of the package, which names jq's at its end. @throws where it does not.
 */
export function partsOfJq(version: string): JqPart[] {
  const [, jq] = /-jq-([\d.]+)$/.exec(version) ?? []
  if (jq === undefined) throw new Error(`the version ${version} of ${JQ_PACKAGE} names no version of jq`)
  const purl = `pkg:github/jqlang/jq@jq-${jq}`
  return [{ name: 'jq', version: jq, purl, license: { expression: 'MIT' } }, ...LIBRARIES]
}

/** Whose license texts the package lacks: a title, and the file in `release/licenses`. */
export const noticesOfJq = (version: string): { title: string; file: string }[] =>
  partsOfJq(version).map(({ name, license }) => ({
    title: `${name}, in ${JQ_PACKAGE} (${license.expression})`,
    file: `${name.toLowerCase()}.txt`,
  }))
