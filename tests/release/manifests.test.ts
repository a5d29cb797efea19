import { expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { manifests } from '../../release/manifests.ts'
import { DOWNLOADS } from '../../release/project.ts'
import { TARGETS } from '../../release/targets.ts'
import { testWithTools } from '../support/needs.ts'

/** A checksum that tells whose it is. */
const sumOf = (target: string): string => Buffer.from(target.padEnd(32, '.')).toString('hex')
const SUMS = TARGETS.map(({ name, platform }) => {
  const file = `atlas-1.2.3-${name}${platform === 'win32' ? '.zip' : '.tar.gz'}`
  return `${sumOf(name)}  ${file}\n`
}).join('')
const MANIFESTS = manifests({ version: '1.2.3', license: 'MIT', sums: SUMS })

const FORMULA = `class Atlas < Formula
  desc "Log in to an Atlas server and use its API"
  homepage "https://atlas.example.com"
  version "1.2.3"
  license "MIT"

  on_macos do
    on_arm do
      url "https://atlas.example.com/releases/1.2.3/atlas-1.2.3-darwin-arm64.tar.gz"
      sha256 "${sumOf('darwin-arm64')}"
    end
    on_intel do
      url "https://atlas.example.com/releases/1.2.3/atlas-1.2.3-darwin-x64.tar.gz"
      sha256 "${sumOf('darwin-x64')}"
    end
  end

  on_linux do
    on_arm do
      url "https://atlas.example.com/releases/1.2.3/atlas-1.2.3-linux-arm64.tar.gz"
      sha256 "${sumOf('linux-arm64')}"
    end
    on_intel do
      url "https://atlas.example.com/releases/1.2.3/atlas-1.2.3-linux-x64.tar.gz"
      sha256 "${sumOf('linux-x64')}"
    end
  end

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

test('manifests: the Homebrew formula installs the archive of each machine, with its manual and completions', () => {
  expect(MANIFESTS['atlas.rb']).toBe(FORMULA)
})

testWithTools('ruby')('manifests: ruby reads the formula', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-formula-'))
  const file = path.join(folder, 'atlas.rb')
  fs.writeFileSync(file, MANIFESTS['atlas.rb'] ?? '')
  const { stdout } = Bun.spawnSync(['ruby', '-wc', file])
  fs.rmSync(folder, { recursive: true })
  expect(stdout.toString()).toBe('Syntax OK\n')
})

test('manifests: Scoop gets the zip of each machine', () => {
  const archive = (arch: string) => ({
    url: `https://atlas.example.com/releases/1.2.3/atlas-1.2.3-windows-${arch}.zip`,
    hash: sumOf(`windows-${arch}`),
    extract_dir: `atlas-1.2.3-windows-${arch}`,
  })
  expect(JSON.parse(MANIFESTS['atlas.json'] ?? '')).toEqual({
    version: '1.2.3',
    description: 'Log in to an Atlas server and use its API',
    homepage: 'https://atlas.example.com',
    license: 'MIT',
    architecture: { '64bit': archive('x64'), arm64: archive('arm64') },
    bin: 'atlas.exe',
  })
})

test('manifests: winget gets three files, in which a version is text and not a number', () => {
  const common = { PackageIdentifier: 'Atlas.Atlas', PackageVersion: '1.2.3', ManifestVersion: '1.6.0' }
  const installer = (arch: string) => ({
    Architecture: arch,
    InstallerUrl: `https://atlas.example.com/releases/1.2.3/atlas-1.2.3-windows-${arch}.zip`,
    InstallerSha256: sumOf(`windows-${arch}`).toUpperCase(),
    NestedInstallerFiles: [
      { RelativeFilePath: `atlas-1.2.3-windows-${arch}\\atlas.exe`, PortableCommandAlias: 'atlas' },
    ],
  })
  const parsed = Object.entries(MANIFESTS)
    .filter(([name]) => name.endsWith('.yaml'))
    .map(([name, text]) => [name, text.split('\n')[0], Bun.YAML.parse(text)])
  const schema = (type: string) =>
    `# yaml-language-server: $schema=https://aka.ms/winget-manifest.${type}.1.6.0.schema.json`
  expect(parsed).toEqual([
    ['Atlas.Atlas.yaml', schema('version'), { ...common, DefaultLocale: 'en-US', ManifestType: 'version' }],
    [
      'Atlas.Atlas.installer.yaml',
      schema('installer'),
      {
        ...common,
        InstallerType: 'zip',
        NestedInstallerType: 'portable',
        Installers: [installer('x64'), installer('arm64')],
        ManifestType: 'installer',
      },
    ],
    [
      'Atlas.Atlas.locale.en-US.yaml',
      schema('defaultLocale'),
      {
        ...common,
        PackageLocale: 'en-US',
        Publisher: 'The atlas authors',
        PackageName: 'atlas',
        PackageUrl: 'https://atlas.example.com',
        License: 'MIT',
        ShortDescription: 'Log in to an Atlas server and use its API',
        Moniker: 'atlas',
        ManifestType: 'defaultLocale',
      },
    ],
  ])
})

test('manifests: an archive without a checksum stops them, and so does a name that only begins the same', () => {
  const sums = SUMS.replace('atlas-1.2.3-darwin-x64.tar.gz', 'atlas-1.2.3-darwin-x64.tar.gz.old')
  expect(() => manifests({ version: '1.2.3', license: 'MIT', sums })).toThrow(
    'there is no checksum of atlas-1.2.3-darwin-x64.tar.gz',
  )
})

test('manifests: they download from where the install scripts do', () => {
  const urlIn = (file: string, pattern: RegExp) => pattern.exec(fs.readFileSync(file, 'utf8'))?.[1]
  expect({
    sh: urlIn('install.sh', /^DEFAULT_BASE_URL=(.*)$/m),
    ps1: urlIn('install.ps1', /^\$DefaultBaseUrl = '(.*)'$/m),
  }).toEqual({ sh: DOWNLOADS, ps1: DOWNLOADS })
})
