import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { parseTar } from 'nanotar'
import type { PackageFile } from './targets.ts'

/** An npm package as the lock file pins it. */
export interface LockedPackage {
  readonly name: string
  readonly version: string
  /** Subresource integrity of the package's archive, such as `sha512-…`. */
  readonly integrity: string
  /** An SPDX expression. */
  readonly license: string
}

export type LockFile = ReadonlyMap<string, LockedPackage>

/** The packages that package-lock.json pins at the top level of node_modules, by name. */
export function readLockFile(file: string): LockFile {
  const { packages } = JSON.parse(fs.readFileSync(file, 'utf8')) as {
    packages: Record<string, Omit<LockedPackage, 'name'>>
  }
  const prefix = 'node_modules/'
  const names = Object.keys(packages).filter(key => key.lastIndexOf(prefix) === 0)
  return new Map(
    names.map(key => [key.slice(prefix.length), { ...packages[key], name: key.slice(prefix.length) }]),
  ) as LockFile
}

/** @throws where the lock file pins no such package. */
export function pinned(lock: LockFile, name: string): LockedPackage {
  const found = lock.get(name)
  if (found) return found
  throw new Error(`package-lock.json pins no ${name}`)
}

/**
 * The folder of a package's content, fetched through npm where it is not at hand, whatever machine the package
 * is for. The archive is checked against the lock file each time, and unpacked anew.
 * @param folder where archives are kept.
 * @throws names the package that could not be had, or that is not what the lock file pins.
 */
export function unpackPackage({ package: name, file }: PackageFile, lock: LockFile, folder: string): string {
  const locked = pinned(lock, name)
  const archive = path.join(folder, archiveName(locked))
  if (!fs.existsSync(archive)) fetchArchive(locked, folder)
  const bytes = fs.readFileSync(archive)
  if (integrityOf(bytes) !== locked.integrity) {
    fs.rmSync(archive)
    throw new Error(`${name} ${locked.version} is not what package-lock.json pins: ${archive} was removed`)
  }
  const unpacked = path.join(folder, `${name}@${locked.version}`)
  fs.rmSync(unpacked, { recursive: true, force: true })
  for (const item of parseTar(Bun.gunzipSync(bytes))) {
    const inside = path.normalize(item.name).split(path.sep).slice(1).join(path.sep)
    if (item.type !== 'file' || inside === '') continue
    fs.mkdirSync(path.dirname(path.join(unpacked, inside)), { recursive: true })
    fs.writeFileSync(path.join(unpacked, inside), item.data ?? '')
  }
  if (!fs.existsSync(path.join(unpacked, file))) throw new Error(`${name} ${locked.version} has no ${file}`)
  return unpacked
}

function fetchArchive({ name, version }: LockedPackage, folder: string): void {
  fs.mkdirSync(folder, { recursive: true })
  const { status, stderr } = spawnSync(
    'npm',
    ['pack', `${name}@${version}`, '--pack-destination', folder, '--ignore-scripts', '--loglevel=error'],
    { shell: process.platform === 'win32', encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`npm could not fetch ${name} ${version}: ${stderr.trim()}`)
}

/** What `npm pack` calls the archive of a package. */
const archiveName = ({ name, version }: LockedPackage): string =>
  `${name.replace(/^@/, '').replaceAll('/', '-')}-${version}.tgz`

export const integrityOf = (bytes: Uint8Array): string =>
  `sha512-${new Bun.CryptoHasher('sha512').update(bytes).digest('base64')}`
