import fs from 'node:fs'
import path from 'node:path'
import { JQ_PACKAGE, noticesOfJq } from './jq.ts'
import { type LockFile, pinned } from './packages.ts'
import type { Target } from './targets.ts'

const RULE = `\n${'-'.repeat(78)}\n\n`
/** In the package of an addon: what it was built from. */
export const LICENSE_LIST = 'LICENSE.third-party.md'
/** License texts that no package has. */
const LICENSES = 'release/licenses'
const LICENSE_FILE = /^licen[cs]e(\.md|\.txt)?$/i

export interface Bundled {
  /** The npm packages whose code is in the program. */
  readonly packages: readonly string[]
  readonly nodeModules: string
  readonly target: Target
  /** The folder of the target's addon package. */
  readonly addonFolder: string
  readonly lock: LockFile
}

/**
 * The licenses of everything in a program that is not atlas: packages, the libraries of jq, keyring addon and runtime.
 * @throws names the package whose license text is missing.
 */
export function thirdPartyNotices({ packages, nodeModules, target, addonFolder, lock }: Bundled): string {
  const titled = (name: string, text: string): string => {
    const { version, license } = pinned(lock, name)
    return `${name} ${version} (${license})\n\n${text.trim()}\n`
  }
  const { package: addon } = target.addon
  const ofCrates = read(path.join(addonFolder, LICENSE_LIST), addon)
  return [
    'The atlas program contains the software named here.\n',
    ...packages
      .filter(name => name !== addon)
      .map(name => titled(name, licenseIn(path.join(nodeModules, name), name))),
    ...(packages.includes(JQ_PACKAGE) ? noticesOfJq(pinned(lock, JQ_PACKAGE).version) : []).map(
      ({ title, file }) => `${title}\n\n${read(path.join(LICENSES, file), title).trim()}\n`,
    ),
    titled(addon, [licenseIn(path.join(nodeModules, '@napi-rs/keyring'), addon), ofCrates].join('\n\n')),
    titled(target.runtime.package, runtimeLicense(nodeModules)),
  ].join(RULE)
}

function licenseIn(folder: string, name: string): string {
  const file = fs.readdirSync(folder).find(entry => LICENSE_FILE.test(entry))
  if (file === undefined) throw new Error(`${name} has no license file in ${folder}`)
  return read(path.join(folder, file), name)
}

/** Bun's packages for single machines carry no license text; its documentation has it, with that of its parts. */
const runtimeLicense = (nodeModules: string): string =>
  read(path.join(nodeModules, 'bun-types/docs/project/license.mdx'), 'bun-types').replace(
    /^---\n.*?\n---\n/s,
    '',
  )

function read(file: string, name: string): string {
  try {
    return fs.readFileSync(file, 'utf8').replaceAll('\r\n', '\n')
  } catch {
    throw new Error(`the license text of ${name} is missing: ${file}`)
  }
}
