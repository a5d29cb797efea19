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

/** The rows of the house, from the top, as docs/architecture.md draws them. */
const rows = (): string[][] => {
  const [, drawing = ''] =
    /## Which way imports go\n[^`]*```\n(.*?)```/s.exec(
      fs.readFileSync(path.join(ROOT, 'docs/architecture.md'), 'utf8'),
    ) ?? []
  return drawing
    .split('\n')
    .filter(line => /\w/.test(line))
    .map(line => line.split(',').map(room => room.trim()))
}

/** Every import of a file of the project by another one, those of types too. */
const imports = [
  'atlas.ts',
  ...fs.readdirSync(path.join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' }).map(name => `lib/${name}`),
]
  .filter(name => name.endsWith('.ts'))
  .flatMap(from =>
    [...fs.readFileSync(path.join(ROOT, from), 'utf8').matchAll(/(?: from |import\()'(\.[^']+)'/g)].map(
      ([, to = '']) => ({ from, to: path.join(path.dirname(from), to) }),
    ),
  )
  .filter(({ to }) => !to.endsWith('.json'))

test('architecture: imports run downward as drawn', () => {
  const drawn = rows()
  const roomOf = (file: string): string => file.replace(/^lib\//, '').split('/')[0] ?? ''
  const rowOf = (file: string): number => drawn.findIndex(row => row.includes(roomOf(file)))
  const upward = imports.filter(
    ({ from, to }) => roomOf(from) !== roomOf(to) && !(rowOf(from) >= 0 && rowOf(from) < rowOf(to)),
  )
  expect(upward).toEqual([])
})

test('architecture: no command imports another', () => {
  const isCommand = (file: string): boolean =>
    /^export const register/m.test(fs.readFileSync(path.join(ROOT, file), 'utf8'))
  expect(imports.filter(({ from, to }) => from !== 'lib/commands/program.ts' && isCommand(to))).toEqual([])
})

test('architecture: the refresh does not go through the client that refreshes', () => {
  const isRefresh = ({ from, to }: { from: string; to: string }): boolean =>
    from === 'lib/session/refresh.ts' && to === 'lib/http/client.ts'
  expect(imports.filter(isRefresh)).toEqual([])
})
