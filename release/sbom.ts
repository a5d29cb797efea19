import type { NativePart } from './native.ts'
import { type LockedPackage, type LockFile, pinned } from './packages.ts'
import type { Target } from './targets.ts'

interface Component {
  readonly type: 'library' | 'platform'
  readonly 'bom-ref': string
  readonly name: string
  readonly version?: string
  readonly purl?: string
  readonly licenses?: readonly object[]
  readonly hashes?: readonly object[]
  readonly properties?: readonly object[]
}

/** What was compiled into the runtime and the addon of a target. */
export interface NativeParts {
  readonly runtime: readonly NativePart[]
  readonly addon: readonly NativePart[]
}

export interface SbomOptions {
  readonly name: string
  readonly version: string
  readonly license: string
  /** The npm packages whose code is in the program, on any machine. */
  readonly packages: readonly string[]
  readonly targets: readonly Target[]
  /** By the name of the target. */
  readonly native: ReadonlyMap<string, NativeParts>
  /** What was compiled into an npm package that is the same on any machine, by its name. */
  readonly inPackages: ReadonlyMap<string, readonly NativePart[]>
  readonly lock: LockFile
}

/**
 * A software bill of materials for a release. Made from the lock file rather than by `npm sbom`, whose answer
 * changes with its version, its clock and a random number.
 * @see https://cyclonedx.org/docs/1.6/json/
 */
export function cycloneDx({
  name,
  version,
  license,
  packages,
  targets,
  native,
  inPackages,
  lock,
}: SbomOptions): string {
  const addons = new Map(targets.map(target => [target.addon.package, target.name]))
  const runtimes = new Map(targets.map(target => [target.runtime.package, target.name]))
  const everywhere = packages
    .filter(found => !addons.has(found))
    .map(found => ({
      whole: component(pinned(lock, found)),
      parts: (inPackages.get(found) ?? []).map(nativeComponent),
    }))
  const inOne = [...addons, ...runtimes].map(([found, target]) => {
    const [type, part] = runtimes.has(found)
      ? (['platform', 'runtime'] as const)
      : (['library', 'addon'] as const)
    const whole = component(pinned(lock, found), target, type)
    return { whole, parts: (native.get(target)?.[part] ?? []).map(nativeComponent) }
  })
  const all = [...everywhere, ...inOne]
  const direct = all.map(({ whole }) => whole)
  const ref = `pkg:npm/${name}@${version}`
  // Most parts are in several runtimes or addons.
  const compiledIn = new Map(all.flatMap(({ parts }) => parts.map(part => [part['bom-ref'], part])))
  const document = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: { type: 'application', 'bom-ref': ref, name, version, licenses: licenseOf(license) },
    },
    components: [...direct, ...[...compiledIn.values()].toSorted(byRef)],
    dependencies: [
      { ref, dependsOn: direct.map(part => part['bom-ref']) },
      ...all
        .filter(({ parts }) => parts.length > 0)
        .map(({ whole, parts }) => ({
          ref: whole['bom-ref'],
          dependsOn: parts.map(part => part['bom-ref']),
        })),
    ],
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

const byRef = (a: Component, b: Component): number => (a['bom-ref'] < b['bom-ref'] ? -1 : 1)

function nativeComponent({ name, version, purl, license }: NativePart): Component {
  return {
    type: 'library',
    'bom-ref': purl ?? `bun:${name}@${version}`,
    name,
    ...(version && { version }),
    ...(purl && { purl }),
    ...(license && {
      licenses:
        'expression' in license ? licenseOf(license.expression) : [{ license: { name: license.name } }],
    }),
  }
}

function component(
  { name, version, license, integrity }: LockedPackage,
  target?: string,
  type: Component['type'] = 'library',
): Component {
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`
  const content = Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex')
  return {
    type,
    'bom-ref': purl,
    name,
    version,
    purl,
    licenses: licenseOf(license),
    hashes: [{ alg: 'SHA-512', content }],
    ...(target && { properties: [{ name: 'atlas:target', value: target }] }),
  }
}

const licenseOf = (expression: string): object[] =>
  / (OR|AND|WITH) /.test(expression) ? [{ expression }] : [{ license: { id: expression } }]
