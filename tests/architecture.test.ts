import { expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'

const ROOT = path.resolve(import.meta.dir, '..')

/** Every package and file that loading a module loads with it, lazily imported ones left out. */
function loadedWith(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen
  seen.add(file)
  if (!file.endsWith('.ts')) return seen
  const source = fs.readFileSync(path.join(ROOT, file), 'utf8')
  for (const { path: name, kind } of new Bun.Transpiler({ loader: 'ts' }).scanImports(source)) {
    if (kind !== 'import-statement') continue
    loadedWith(name.startsWith('.') ? path.join(path.dirname(file), name) : name, seen)
  }
  return seen
}

test('starting atlas loads cac and no other package', () => {
  const packages = [...loadedWith('atlas.ts')].filter(name => !/\.(ts|json)$|^node:/.test(name))
  expect(packages).toEqual(['cac'])
})

test('starting atlas loads none of the built-in modules, each of which would delay every run', () => {
  const builtIn = [...loadedWith('atlas.ts')].filter(name => /^(node|bun):/.test(name))
  expect(builtIn).toEqual([])
})

test('nothing below the entry point imports cac, and no module imports the entry point', () => {
  const modules = fs.readdirSync(path.join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' })
  const imports = modules
    .filter(name => name.endsWith('.ts'))
    .flatMap(name => {
      const source = fs.readFileSync(path.join(ROOT, 'lib', name), 'utf8')
      return new Bun.Transpiler({ loader: 'ts' }).scanImports(source).map(({ path: imported }) => imported)
    })
  expect(imports.filter(name => name === 'cac' || name.endsWith('/atlas.ts'))).toEqual([])
})
