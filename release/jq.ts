import type { NativePart } from './native.ts'

/** The npm package that has jq, and its libraries, in its WebAssembly. */
export const JQ_PACKAGE = 'jq-web'

interface JqPart extends NativePart {
  readonly license: { readonly expression: string }
  /** What the WebAssembly calls something of it. */
  readonly mark: string
  /** The file in `release/licenses`; the license of jq-web's package has the others. */
  readonly notice?: string
}

/** None has a version: jq-web tells none, and the jq in it gives an empty one as its own. */
const PARTS: readonly JqPart[] = [
  { name: 'jq', purl: 'pkg:github/jqlang/jq', license: { expression: 'MIT' }, mark: 'jq_next' },
  { name: 'dtoa', purl: 'pkg:generic/dtoa', license: { expression: 'dtoa' }, mark: 'jvp_dtoa_fmt' },
  {
    name: 'Oniguruma',
    purl: 'pkg:github/kkos/oniguruma',
    license: { expression: 'BSD-2-Clause' },
    mark: 'onig_search',
    notice: 'oniguruma.txt',
  },
  {
    name: 'decNumber',
    purl: 'pkg:generic/decnumber',
    license: { expression: 'ICU' },
    mark: 'decNumberFromString',
    notice: 'decnumber.txt',
  },
  {
    name: 'Emscripten',
    purl: 'pkg:github/emscripten-core/emscripten',
    license: { expression: 'MIT OR NCSA' },
    mark: 'emscripten_resize_heap',
    notice: 'emscripten.txt',
  },
  {
    name: 'musl',
    purl: 'pkg:generic/musl',
    license: { expression: 'MIT' },
    mark: 'system/lib/libc/musl/src',
    notice: 'musl.txt',
  },
  {
    name: 'dlmalloc',
    purl: 'pkg:generic/dlmalloc',
    license: { expression: 'CC0-1.0' },
    mark: 'dlmalloc',
    notice: 'dlmalloc.txt',
  },
  {
    name: 'compiler-rt',
    purl: 'pkg:github/llvm/llvm-project#compiler-rt',
    license: { expression: 'Apache-2.0 WITH LLVM-exception' },
    mark: 'system/lib/compiler-rt/lib/builtins',
    notice: 'compiler-rt.txt',
  },
]

/**
 * The libraries in the WebAssembly of jq-web.
 * @throws names one that is not in it, as this list is then that of another version.
 */
export function librariesOfJq(wasm: Buffer): NativePart[] {
  return PARTS.map(({ mark, notice: _, ...part }) => {
    if (!wasm.includes(mark)) throw new Error(`the WebAssembly of ${JQ_PACKAGE} does not hold ${part.name}`)
    return part
  })
}

/** Whose license texts are not in the package of jq-web: a title, and the file in `release/licenses`. */
export const noticesOfJq = (): { title: string; file: string }[] =>
  PARTS.flatMap(({ name, license, notice }) =>
    notice === undefined
      ? []
      : [{ title: `${name}, in ${JQ_PACKAGE} (${license.expression})`, file: notice }],
  )
