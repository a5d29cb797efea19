import fs from 'node:fs'
import path from 'node:path'
import manifest from '../package.json' with { type: 'json' }
import { type ArchiveFile, tarGz, zip } from './archive.ts'
import { signAdHoc } from './code-signature.ts'
import { type Companions, inArchive, readCompanions } from './companions.ts'
import { compile } from './compile.ts'
import { debianFile, debianPackage } from './debian.ts'
import { inspect, MAX_ARCHIVE_BYTES } from './inspect.ts'
import { JQ_PACKAGE, partsOfJq } from './jq.ts'
import { manifests } from './manifests.ts'
import { cratesIn, librariesIn } from './native.ts'
import { LICENSE_LIST, thirdPartyNotices } from './notices.ts'
import { type LockFile, pinned, readLockFile, unpackPackage } from './packages.ts'
import { cycloneDx, type NativeParts } from './sbom.ts'
import { hostTarget, TARGETS, type Target } from './targets.ts'

const OUTPUT = 'dist/release'
/** Programs as they are packed, to be tried out. */
const PROGRAMS = 'dist/programs'
const PACKAGES = 'dist/packages'

/**
 * Build, check and pack atlas for each target, with checksums, a bill of materials and, for all targets
 * together, what package managers need, in dist/release.
 * The same sources give the same bytes.
 * @throws names the target that could not be built, and why.
 */
export async function release(targets: readonly Target[], say: (line: string) => void): Promise<void> {
  const lock = readLockFile('package-lock.json')
  fs.rmSync(OUTPUT, { recursive: true, force: true })
  fs.mkdirSync(OUTPUT, { recursive: true })
  const bundled = new Set<string>()
  const native = new Map<string, NativeParts>()
  const companions = await readCompanions()
  for (const target of targets) {
    try {
      const { archive, packages, parts, found } = await releaseOne(target, lock, companions)
      for (const name of packages) bundled.add(name)
      native.set(target.name, parts)
      say(`${archive}: ${found}`)
    } catch (error) {
      throw new Error(`${target.name}: ${error instanceof Error ? error.message : error}`, { cause: error })
    }
  }
  const { name, version, license } = manifest
  const packages = [...bundled].sort()
  const inPackages = new Map([[JQ_PACKAGE, partsOfJq(pinned(lock, JQ_PACKAGE).version)]])
  fs.writeFileSync(
    path.join(OUTPUT, `atlas-${version}.cdx.json`),
    cycloneDx({ name, version, license, packages, targets, native, inPackages, lock }),
  )
  // They name archives of several targets.
  if (targets.length === TARGETS.length)
    for (const [file, text] of Object.entries(manifests({ version, license, sums: checksums(OUTPUT) })))
      fs.writeFileSync(path.join(OUTPUT, file), text)
  for (const script of ['install.sh', 'install.ps1']) fs.copyFileSync(script, path.join(OUTPUT, script))
  fs.writeFileSync(path.join(OUTPUT, 'SHA256SUMS'), checksums(OUTPUT))
}

async function releaseOne(
  target: Target,
  lock: LockFile,
  companions: Companions,
): Promise<{ archive: string; packages: string[]; parts: NativeParts; found: string }> {
  const runtime = path.join(unpackPackage(target.runtime, lock, PACKAGES), target.runtime.file)
  const addonFolder = unpackPackage(target.addon, lock, PACKAGES)
  const addon = path.join(addonFolder, target.addon.file)
  const outfile = path.join(PROGRAMS, target.name, target.executable)
  fs.rmSync(outfile, { force: true })
  const packages = await compile(target, {
    outfile,
    bytecode: target.bytecode,
    parts: { runtime, addon },
  })
  if (target.platform === 'darwin')
    fs.writeFileSync(outfile, signAdHoc(fs.readFileSync(outfile), manifest.name))
  const program = fs.readFileSync(outfile)
  const found = inspect(program, target, fs.readFileSync(addon), manifest.version)
  if (target.name === hostTarget().name) tryOut(outfile)

  const folder = `atlas-${manifest.version}-${target.name}`
  const notices = thirdPartyNotices({ packages, nodeModules: 'node_modules', target, addonFolder, lock })
  const files: ArchiveFile[] = [
    { name: target.executable, content: program, executable: true },
    { name: 'LICENSE', content: fs.readFileSync('LICENSE') },
    { name: 'THIRD-PARTY-NOTICES.md', content: Buffer.from(notices) },
    ...inArchive(companions),
  ].map(file => ({ ...file, name: `${folder}/${file.name}` }))
  const packed = target.platform === 'win32' ? zip(files) : tarGz(files)
  if (packed.length > MAX_ARCHIVE_BYTES)
    throw new Error(`its archive weighs ${packed.length} bytes, more than ${MAX_ARCHIVE_BYTES}`)
  const archive = `${folder}${target.platform === 'win32' ? '.zip' : '.tar.gz'}`
  fs.writeFileSync(path.join(OUTPUT, archive), packed)
  if (target.libc === 'glibc') {
    const content = {
      name: manifest.name,
      version: manifest.version,
      target,
      program,
      companions,
      license: fs.readFileSync('LICENSE', 'utf8'),
      notices,
      changelog: fs.readFileSync('CHANGELOG.md', 'utf8'),
    }
    fs.writeFileSync(path.join(OUTPUT, debianFile(content)), debianPackage(content))
  }
  const parts = {
    runtime: librariesIn(fs.readFileSync(runtime), process.versions),
    addon: cratesIn(fs.readFileSync(path.join(addonFolder, LICENSE_LIST), 'utf8')),
  }
  return { archive, packages, parts, found }
}

/** @throws where the program does not say the version that it was built as. */
function tryOut(program: string): void {
  const { stdout } = Bun.spawnSync([path.resolve(program), '--version'])
  const expected = `atlas/${manifest.version} ${process.platform}-${process.arch}\n`
  if (stdout.toString() !== expected)
    throw new Error(`--version printed ${JSON.stringify(stdout.toString())}`)
}

/** The SHA-256 of each file in a folder, as `sha256sum --check` reads it. */
export function checksums(folder: string): string {
  return fs
    .readdirSync(folder)
    .sort()
    .map(name => {
      const hash = new Bun.CryptoHasher('sha256').update(fs.readFileSync(path.join(folder, name)))
      return `${hash.digest('hex')}  ${name}\n`
    })
    .join('')
}
