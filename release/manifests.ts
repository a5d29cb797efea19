import { AUTHORS, DOWNLOADS, HOMEPAGE, SUMMARY } from './project.ts'

/** What Homebrew, Scoop and winget install a release by: a text for each file. */
export type Manifests = Readonly<Record<string, string>>

export interface ManifestOptions {
  readonly version: string
  readonly license: string
  /** The text of SHA256SUMS, with all archives. */
  readonly sums: string
}

/** How an archive of the release is named, fetched and checked. */
interface Archive {
  readonly folder: string
  readonly url: string
  readonly sha256: string
}

/**
 * The manifests of a release, from its checksums alone.
 * @throws names an archive that they have no checksum of.
 */
export function manifests({ version, license, sums }: ManifestOptions): Manifests {
  const archiveOf = (target: string): Archive => {
    const folder = `atlas-${version}-${target}`
    const file = `${folder}${target.startsWith('windows') ? '.zip' : '.tar.gz'}`
    const sha256 = sums
      .split('\n')
      .find(line => line.slice(66) === file)
      ?.slice(0, 64)
    if (sha256 === undefined) throw new Error(`there is no checksum of ${file}`)
    return { folder, url: `${DOWNLOADS}/${version}/${file}`, sha256 }
  }
  return {
    'atlas.rb': homebrew(version, license, archiveOf),
    'atlas.json': scoop(version, license, archiveOf),
    ...winget(version, license, archiveOf),
  }
}

type ArchiveOf = (target: string) => Archive

/** @see https://docs.brew.sh/Formula-Cookbook */
function homebrew(version: string, license: string, archiveOf: ArchiveOf): string {
  const block = (on: string, system: string): string => `  ${on} do
${[
  ['on_arm', 'arm64'],
  ['on_intel', 'x64'],
]
  .map(([processor, arch]) => {
    const { url, sha256 } = archiveOf(`${system}-${arch}`)
    return `    ${processor} do\n      url "${url}"\n      sha256 "${sha256}"\n    end\n`
  })
  .join('')}  end
`
  return `class Atlas < Formula
  desc "${SUMMARY}"
  homepage "${HOMEPAGE}"
  version "${version}"
  license "${license}"

${block('on_macos', 'darwin')}
${block('on_linux', 'linux')}
  def install
    bin.install "atlas"
    man1.install "atlas.1"
    bash_completion.install "completions/atlas.bash" => "atlas"
    zsh_completion.install "completions/_atlas"
    fish_completion.install "completions/atlas.fish"
  end

  test do
    assert_match "atlas/#{version} ", shell_output("#{bin}/atlas --version")
  end
end
`
}

/** @see https://github.com/ScoopInstaller/Scoop/wiki/App-Manifests */
function scoop(version: string, license: string, archiveOf: ArchiveOf): string {
  const part = (target: string): object => {
    const { url, sha256, folder } = archiveOf(target)
    return { url, hash: sha256, extract_dir: folder }
  }
  const architecture = { '64bit': part('windows-x64'), arm64: part('windows-arm64') }
  const manifest = {
    version,
    description: SUMMARY,
    homepage: HOMEPAGE,
    license,
    architecture,
    bin: 'atlas.exe',
  }
  return `${JSON.stringify(manifest, null, 4)}\n`
}

const WINGET_PACKAGE = 'Atlas.Atlas'
const WINGET_SCHEMA = '1.6.0'

/** @see https://learn.microsoft.com/windows/package-manager/package/manifest */
function winget(version: string, license: string, archiveOf: ArchiveOf): Manifests {
  const file = (type: string, content: string): string =>
    `# yaml-language-server: $schema=https://aka.ms/winget-manifest.${type}.${WINGET_SCHEMA}.schema.json
PackageIdentifier: ${WINGET_PACKAGE}
PackageVersion: ${version}
${content}ManifestType: ${type}
ManifestVersion: ${WINGET_SCHEMA}
`
  const installer = (architecture: string): string => {
    const { folder, url, sha256 } = archiveOf(`windows-${architecture}`)
    return `- Architecture: ${architecture}
  InstallerUrl: ${url}
  InstallerSha256: ${sha256.toUpperCase()}
  NestedInstallerFiles:
  - RelativeFilePath: ${folder}\\atlas.exe
    PortableCommandAlias: atlas
`
  }
  return {
    [`${WINGET_PACKAGE}.yaml`]: file('version', 'DefaultLocale: en-US\n'),
    [`${WINGET_PACKAGE}.installer.yaml`]: file(
      'installer',
      `InstallerType: zip
NestedInstallerType: portable
Installers:
${installer('x64')}${installer('arm64')}`,
    ),
    [`${WINGET_PACKAGE}.locale.en-US.yaml`]: file(
      'defaultLocale',
      `PackageLocale: en-US
Publisher: ${AUTHORS}
PackageName: atlas
PackageUrl: ${HOMEPAGE}
License: ${license}
ShortDescription: ${SUMMARY}
Moniker: atlas
`,
    ),
  }
}
