import { expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { version as versionOfJq } from 'jq-wasm'
import manifest from '../../package.json' with { type: 'json' }
import { tarGz } from '../../release/archive.ts'
import { compile } from '../../release/compile.ts'
import { JQ_PACKAGE, partsOfJq } from '../../release/jq.ts'
import { cratesIn, librariesIn } from '../../release/native.ts'
import { thirdPartyNotices } from '../../release/notices.ts'
import { integrityOf, readLockFile, unpackPackage } from '../../release/packages.ts'
import { checksums } from '../../release/release.ts'
import { cycloneDx } from '../../release/sbom.ts'
import { hostTarget, TARGETS } from '../../release/targets.ts'

const host = hostTarget()
const lock = readLockFile('package-lock.json')
const addonFolder = `node_modules/${host.addon.package}`

function inFolder<T>(work: (folder: string) => T): T {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-release-'))
  const remove = (): void => fs.rmSync(folder, { recursive: true, force: true })
  const result = work(folder)
  if (result instanceof Promise) return result.finally(remove) as T
  remove()
  return result
}

/** The packages that are for development alone must not be in the program. */
const { packages: locked } = JSON.parse(fs.readFileSync('package-lock.json', 'utf8')) as {
  packages: Record<string, { dev?: boolean }>
}
const DEVELOPMENT = Object.keys(locked)
  .filter(key => locked[key]?.dev)
  .map(key => key.replace('node_modules/', ''))

test('the lock file pins a runtime and an addon for every target', () => {
  const missing = TARGETS.flatMap(({ runtime, addon }) => [runtime.package, addon.package]).filter(
    name => !lock.get(name)?.integrity.startsWith('sha512-'),
  )
  expect(missing).toEqual([])
})

test('compiling says which packages are inside, and gives the same bytes twice', () =>
  inFolder(async folder => {
    const hashes: string[] = []
    for (const attempt of ['one', 'two']) {
      const outfile = path.join(folder, attempt, host.executable)
      const packages = await compile(host, { outfile, bytecode: true })
      expect(packages.filter(name => DEVELOPMENT.includes(name))).toEqual([])
      expect(packages).toContain(host.addon.package)
      expect(packages).toContain('ofetch')
      hashes.push(integrityOf(fs.readFileSync(outfile)))
    }
    expect(hashes[0]).toBe(hashes[1] ?? '')
  }))

test('an addon of another machine is not embedded', () =>
  inFolder(async folder => {
    const addon = { package: '@napi-rs/keyring-plan9-x64', file: 'keyring.plan9-x64.node' }
    const parts = { runtime: process.execPath, addon: path.join(addonFolder, host.addon.file) }
    const outfile = path.join(folder, host.executable)
    const error = await compile({ ...host, addon }, { outfile, bytecode: false, parts }).catch(
      thrown => thrown,
    )
    expect(String(error.errors?.[0] ?? error)).toContain(`${host.name} would embed ${host.addon.package}`)
  }))

test('notices hold the license of every package, of the addon’s parts and of the runtime', () => {
  const packages = ['cac', 'ofetch', host.addon.package]
  const notices = thirdPartyNotices({
    packages,
    nodeModules: 'node_modules',
    target: host,
    addonFolder,
    lock,
  })
  for (const name of ['cac', 'ofetch']) {
    const license = fs.readFileSync(`node_modules/${name}/LICENSE`, 'utf8').trim()
    expect(notices).toContain(`${name} ${lock.get(name)?.version} (MIT)\n\n${license}`)
  }
  expect(notices).toContain(fs.readFileSync(`${addonFolder}/LICENSE.third-party.md`, 'utf8').trim())
  expect(notices).toContain(
    `${host.runtime.package} ${lock.get('bun')?.version} (MIT)\n\nBun itself is MIT-licensed.`,
  )
})

/** What is in the WebAssembly of jq, and its license. */
const JQ_LIBRARIES = {
  jq: ['pkg:github/jqlang/jq@jq-1.8.2', 'MIT', '1.8.2'],
  dtoa: ['pkg:generic/dtoa', 'dtoa'],
  Oniguruma: ['pkg:github/kkos/oniguruma', 'BSD-2-Clause'],
  decNumber: ['pkg:generic/decnumber', 'ICU'],
  Emscripten: ['pkg:github/emscripten-core/emscripten', 'MIT OR NCSA'],
  musl: ['pkg:generic/musl', 'MIT'],
  dlmalloc: ['pkg:generic/dlmalloc', 'CC0-1.0'],
  'compiler-rt': ['pkg:github/llvm/llvm-project#compiler-rt', 'Apache-2.0 WITH LLVM-exception'],
} satisfies Record<string, [purl: string, license: string, version?: string]>

test('notices hold the licenses of jq and of every library in its WebAssembly', () => {
  const options = { nodeModules: 'node_modules', target: host, addonFolder, lock }
  const notices = thirdPartyNotices({ ...options, packages: [JQ_PACKAGE] })
  const [, own = '', ...texts] = notices.split(`\n${'-'.repeat(78)}\n\n`)
  expect(own).toStartWith('jq-wasm 3.0.0-jq-1.8.2 (MIT)\n')
  const titled = Object.entries(JQ_LIBRARIES)
  expect(texts.slice(0, titled.length)).toEqual(
    titled.map(([name, [, license]]) => {
      const text = fs.readFileSync(`release/licenses/${name.toLowerCase()}.txt`, 'utf8')
      return `${name}, in jq-wasm (${license})\n\n${text}`
    }),
  )
  expect(thirdPartyNotices({ ...options, packages: ['cac'] })).not.toContain('in jq-wasm')
})

test('jq is named with its version, and with what was compiled into it', async () => {
  expect(partsOfJq('3.0.0-jq-1.8.2')).toEqual(
    Object.entries(JQ_LIBRARIES).map(([name, [purl, expression, version]]) => ({
      name,
      ...(version && { version }),
      purl,
      license: { expression },
    })),
  )
  expect(await versionOfJq()).toBe(`jq-${partsOfJq(lock.get(JQ_PACKAGE)?.version ?? '')[0]?.version}`)
  expect(() => partsOfJq('4.0.0')).toThrow('the version 4.0.0 of jq-wasm names no version of jq')
})

test('a package without a license text stops a release by name', () => {
  const options = { nodeModules: 'node_modules', target: host, addonFolder, lock }
  expect(() => thirdPartyNotices({ ...options, packages: ['@oven/bun-nowhere'] })).toThrow(
    '@oven/bun-nowhere',
  )
  expect(() => thirdPartyNotices({ ...options, packages: [], addonFolder: 'docs' })).toThrow(
    host.addon.package,
  )
})

const CRATES = `| Crate | Version | License |
| --- | --- | --- |
| aes | 0.8.4 | MIT OR Apache-2.0 |
| aes | 0.9.3 | MIT |
`
const COMMIT = { webkit: 'a'.repeat(40), zig: 'b'.repeat(40), zlib: 'c'.repeat(40), ares: 'd'.repeat(40) }

test('the crates of an addon are those that its license list names', () => {
  expect(cratesIn(CRATES)).toEqual([
    {
      name: 'aes',
      version: '0.8.4',
      purl: 'pkg:cargo/aes@0.8.4',
      license: { expression: 'MIT OR Apache-2.0' },
    },
    { name: 'aes', version: '0.9.3', purl: 'pkg:cargo/aes@0.9.3', license: { expression: 'MIT' } },
  ])
  const own = cratesIn(fs.readFileSync(`${addonFolder}/LICENSE.third-party.md`, 'utf8'))
  expect(own.map(crate => crate.name)).toContain('keyring-core')
  expect(() => cratesIn('| Crate | Version | License |')).toThrow('names no crates')
})

test('the libraries of a runtime are its engine and those whose commit it holds', () => {
  const versions = { ...COMMIT, bun: '1.0.0' }
  const runtime = Buffer.from(`-${COMMIT.webkit}-${COMMIT.zig}-${COMMIT.zlib}-1.0.0-`)
  expect(librariesIn(runtime, versions)).toEqual([
    {
      name: 'JavaScriptCore',
      version: COMMIT.webkit,
      purl: `pkg:github/oven-sh/webkit@${COMMIT.webkit}`,
      license: { name: 'LGPL-2' },
    },
    { name: 'zlib', version: COMMIT.zlib },
  ])
  expect(() => librariesIn(Buffer.from('other'), versions)).toThrow(
    `the runtime does not hold JavaScriptCore of WebKit ${COMMIT.webkit}`,
  )
  const own = librariesIn(fs.readFileSync(process.execPath), process.versions)
  expect(own.map(library => library.name)).toEqual(expect.arrayContaining(['JavaScriptCore', 'boringssl']))
})

test('the bill of materials names each part once, with the hash that the lock file pins', () => {
  const { name, version, license } = manifest
  const runtime = librariesIn(Buffer.from(COMMIT.webkit + COMMIT.zlib), COMMIT)
  const options = {
    name,
    version,
    license,
    packages: ['cac', JQ_PACKAGE, host.addon.package],
    targets: [host],
    inPackages: new Map([[JQ_PACKAGE, partsOfJq(lock.get(JQ_PACKAGE)?.version ?? '')]]),
    native: new Map([[host.name, { runtime, addon: cratesIn(CRATES) }]]),
    lock,
  }
  const bill = JSON.parse(cycloneDx(options))
  const hashOf = (part: string) =>
    Buffer.from((lock.get(part)?.integrity ?? '').slice(7), 'base64').toString('hex')
  const part = (found: string, type: string, target?: string) => ({
    type,
    'bom-ref': `pkg:npm/${found.replace('@', '%40')}@${lock.get(found)?.version}`,
    name: found,
    version: lock.get(found)?.version,
    purl: `pkg:npm/${found.replace('@', '%40')}@${lock.get(found)?.version}`,
    licenses: [{ license: { id: lock.get(found)?.license } }],
    hashes: [{ alg: 'SHA-512', content: hashOf(found) }],
    ...(target && { properties: [{ name: 'atlas:target', value: target }] }),
  })
  const engine = `pkg:github/oven-sh/webkit@${COMMIT.webkit}`
  const refOf = (found: string) => part(found, 'library')['bom-ref']
  const native = (found: string, of: string, licenses: object[], purl = `pkg:cargo/${found}@${of}`) => ({
    type: 'library',
    'bom-ref': purl,
    name: found,
    version: of,
    purl,
    licenses,
  })
  const inJq = (found: string) => {
    const [purl = '', id = '', version] = JQ_LIBRARIES[found as keyof typeof JQ_LIBRARIES]
    const license = id.includes(' ') ? { expression: id } : { license: { id } }
    return {
      type: 'library',
      'bom-ref': purl,
      name: found,
      ...(version && { version }),
      purl,
      licenses: [license],
    }
  }
  expect({
    format: bill.bomFormat,
    version: bill.specVersion,
    components: bill.components,
    dependencies: bill.dependencies,
  }).toEqual({
    format: 'CycloneDX',
    version: '1.6',
    dependencies: [
      {
        ref: `pkg:npm/${name}@${version}`,
        dependsOn: ['cac', JQ_PACKAGE, host.addon.package, host.runtime.package].map(refOf),
      },
      { ref: refOf(JQ_PACKAGE), dependsOn: Object.values(JQ_LIBRARIES).map(([purl]) => purl) },
      { ref: refOf(host.addon.package), dependsOn: ['pkg:cargo/aes@0.8.4', 'pkg:cargo/aes@0.9.3'] },
      { ref: refOf(host.runtime.package), dependsOn: [engine, `bun:zlib@${COMMIT.zlib}`] },
    ],
    components: [
      part('cac', 'library'),
      part(JQ_PACKAGE, 'library'),
      part(host.addon.package, 'library', host.name),
      part(host.runtime.package, 'platform', host.name),
      { type: 'library', 'bom-ref': `bun:zlib@${COMMIT.zlib}`, name: 'zlib', version: COMMIT.zlib },
      native('aes', '0.8.4', [{ expression: 'MIT OR Apache-2.0' }]),
      native('aes', '0.9.3', [{ license: { id: 'MIT' } }]),
      ...['decNumber', 'dlmalloc', 'dtoa', 'musl', 'Emscripten', 'jq', 'Oniguruma', 'compiler-rt'].map(inJq),
      native('JavaScriptCore', COMMIT.webkit, [{ license: { name: 'LGPL-2' } }], engine),
    ],
  })
  expect(cycloneDx(options)).toBe(cycloneDx(options))
})

test('a package that is not what the lock file pins is not used, and fetched anew next time', () =>
  inFolder(folder => {
    const file = { package: 'cac', file: 'package.json' }
    const archive = path.join(folder, `cac-${lock.get('cac')?.version}.tgz`)
    fs.writeFileSync(archive, tarGz([{ name: 'package/package.json', content: Buffer.from('{}') }]))
    expect(() => unpackPackage(file, lock, folder)).toThrow('is not what package-lock.json pins')
    expect(fs.readdirSync(folder)).toEqual([])
  }))

test('a package is unpacked inside its own folder, whatever names its archive holds', () =>
  inFolder(folder => {
    const bytes = tarGz([
      { name: 'package/bin/tool', content: Buffer.from('tool') },
      { name: 'package/../../../outside', content: Buffer.from('outside') },
    ])
    const integrity = integrityOf(bytes)
    const own = new Map([['thing', { name: 'thing', version: '1.0.0', integrity, license: 'MIT' }]])
    fs.writeFileSync(path.join(folder, 'thing-1.0.0.tgz'), bytes)
    expect(unpackPackage({ package: 'thing', file: 'bin/tool' }, own, folder)).toBe(
      path.join(folder, 'thing@1.0.0'),
    )
    expect(fs.readdirSync(folder, { recursive: true }).sort()).toEqual([
      'thing-1.0.0.tgz',
      'thing@1.0.0',
      'thing@1.0.0/bin',
      'thing@1.0.0/bin/tool',
    ])
    expect(() => unpackPackage({ package: 'thing', file: 'bin/bun' }, own, folder)).toThrow(
      'thing 1.0.0 has no bin/bun',
    )
  }))

test.if(Bun.which('sha256sum') !== null)('sha256sum reads the checksums', () =>
  inFolder(folder => {
    fs.writeFileSync(path.join(folder, 'b'), 'b')
    fs.writeFileSync(path.join(folder, 'a'), 'a')
    fs.writeFileSync(path.join(folder, 'SHA256SUMS'), checksums(folder))
    const { stdout } = Bun.spawnSync(['sha256sum', '--check', '--strict', 'SHA256SUMS'], { cwd: folder })
    expect(stdout.toString()).toBe('a: OK\nb: OK\n')
  }),
)
