import path from 'node:path'
import { wrap } from '../lib/terminal/style.ts'
import { type ArchiveFile, type ArchiveFolder, gzip, tarGz } from './archive.ts'
import type { Companions } from './companions.ts'
import { AUTHORS, HOMEPAGE } from './project.ts'
import type { Target } from './targets.ts'

const ARCHITECTURES: Record<Target['arch'], string> = { x64: 'amd64', arm64: 'arm64' }
const MAINTAINER = `${AUTHORS} <atlas@${new URL(HOMEPAGE).hostname}>`

/** What lintian wants otherwise, and why it stays as it is. */
const OVERRIDES = [
  ['embedded-library libjpeg', 'The runtime in the program is one file, with what its makers put into it.'],
  ['unstripped-binary-or-object', 'The program is read from the end of its own file, which strip cuts off.'],
  ['hardening-no-pie', 'The runtime in the program is as its makers link it.'],
  ['hardening-no-relro', 'The runtime in the program is as its makers link it.'],
] as const

export interface DebianPackage {
  readonly name: string
  readonly version: string
  readonly target: Target
  readonly program: Uint8Array
  readonly companions: Companions
  readonly license: string
  readonly notices: string
  /** The project's changelog, in Markdown. */
  readonly changelog: string
}

/**
 * A version as Debian sorts it: a prerelease before its release, which a tilde alone does.
 * @see deb-version(7)
 */
export const debianVersion = (version: string): string => version.replace(/^([^+-]*)-/, '$1~')

/** What the package is called as a file. */
export const debianFile = ({
  name,
  version,
  target,
}: Pick<DebianPackage, 'name' | 'version' | 'target'>): string =>
  `${name}_${version}_${ARCHITECTURES[target.arch]}.deb`

/**
 * A Debian package of atlas; the same bytes for the same content.
 * @see deb(5), and https://www.debian.org/doc/debian-policy/
 */
export function debianPackage(content: DebianPackage): Uint8Array {
  const files = filesOf(content)
  const sums = files.map(({ name, content: bytes }) => `${md5(bytes)}  ${name}\n`).join('')
  return ar([
    { name: 'debian-binary', content: Buffer.from('2.0\n') },
    {
      name: 'control.tar.gz',
      content: tarGz(
        inPlace([
          { name: 'control', content: Buffer.from(control(content, files)) },
          { name: 'md5sums', content: Buffer.from(sums) },
        ]),
      ),
    },
    { name: 'data.tar.gz', content: tarGz(inPlace(files)) },
  ])
}

function filesOf({
  name,
  version,
  program,
  companions,
  license,
  notices,
  changelog,
}: DebianPackage): ArchiveFile[] {
  const { manual, completions } = companions
  const documents = `usr/share/doc/${name}`
  return [
    { name: 'usr/bin/atlas', content: program, executable: true },
    { name: 'usr/share/man/man1/atlas.1.gz', content: gzip(manual) },
    { name: 'usr/share/bash-completion/completions/atlas', content: completions.bash },
    { name: 'usr/share/zsh/vendor-completions/_atlas', content: completions.zsh },
    { name: 'usr/share/fish/vendor_completions.d/atlas.fish', content: completions.fish },
    { name: `${documents}/copyright`, content: Buffer.from(copyright(license, documents)) },
    { name: `${documents}/THIRD-PARTY-NOTICES.md.gz`, content: gzip(Buffer.from(notices)) },
    {
      name: `${documents}/changelog.gz`,
      content: gzip(Buffer.from(debianChangelog(name, version, changelog))),
    },
    { name: `usr/share/lintian/overrides/${name}`, content: Buffer.from(overrides(name)) },
  ]
}

function control({ name, version, target }: DebianPackage, files: readonly ArchiveFile[]): string {
  const kibibytes = files.reduce((total, { content }) => total + Math.ceil(content.length / 1024), 0)
  return `Package: ${name}
Version: ${debianVersion(version)}
Architecture: ${ARCHITECTURES[target.arch]}
Maintainer: ${MAINTAINER}
Installed-Size: ${kibibytes}
Depends: libc6 (>= 2.17), libgcc-s1 | libgcc1
Suggests: gnome-keyring
Section: utils
Priority: optional
Homepage: ${HOMEPAGE}
Description: log in to an Atlas server and use its API
 atlas keeps a session in the keychain of the desktop, refreshes it when needed,
 even when many copies run at once, and sends a credential only to the server
 that issued it.
`
}

const copyright = (
  license: string,
  documents: string,
): string => `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: atlas
Source: ${HOMEPAGE}
Comment: The program also contains the software that
 /${documents}/THIRD-PARTY-NOTICES.md.gz names, with its licenses.

Files: *
Copyright: ${/^Copyright \(c\) (.*)$/m.exec(license)?.[1]}
License: Expat

License: Expat
${license
  .slice(license.indexOf('Permission is'))
  .trimEnd()
  .split('\n')
  .map(line => ` ${line === '' ? '.' : line}`)
  .join('\n')}
`

const overrides = (name: string): string =>
  OVERRIDES.map(([tag, reason]) => `# ${reason}\n${name}: ${tag} [usr/bin/atlas]\n`).join('')

const MAX_LINE = 79
/** A date for what has none yet: the same in every build. */
const UNDATED = '1980-01-01'

/** The section of a version in the project's changelog, or else what is not released yet, as Debian writes it. */
export function debianChangelog(name: string, version: string, changelog: string): string {
  const sections = changelog.split(/^## /m).slice(1)
  const section = sections.find(text => text.startsWith(`${version} `)) ?? sections[0] ?? ''
  const date = new Date(/\d{4}-\d\d-\d\d/.exec(section.split('\n')[0] ?? '')?.[0] ?? UNDATED)
  const items = section.split(/^- /m).slice(1)
  const changes = items.flatMap(item => {
    const [text = ''] = item.split('\n\n')
    return wrap(text.replaceAll(/\s+/g, ' ').trim(), MAX_LINE - 4).map(
      (line, index) => `${index === 0 ? '  * ' : '    '}${line}`,
    )
  })
  return `${name} (${debianVersion(version)}) unstable; urgency=medium\n\n${changes.join('\n')}\n\n -- ${MAINTAINER}  ${date.toUTCString().replace('GMT', '+0000')}\n`
}

/** As `./name`, after the folders that lead there. */
function inPlace(files: readonly ArchiveFile[]): (ArchiveFile | ArchiveFolder)[] {
  const folders = new Set(['./'])
  for (const { name } of files)
    for (let folder = path.posix.dirname(name); folder !== '.'; folder = path.posix.dirname(folder))
      folders.add(`./${folder}/`)
  return [
    ...[...folders].map(name => ({ name })),
    ...files.map(file => ({ ...file, name: `./${file.name}` })),
  ]
}

/** @see ar(5) */
const ar = (members: readonly ArchiveFile[]): Uint8Array =>
  Buffer.concat([
    Buffer.from('!<arch>\n'),
    ...members.flatMap(({ name, content }) => [
      Buffer.from(
        `${name.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}${String(content.length).padEnd(10)}\`\n`,
      ),
      content,
      Buffer.from(content.length % 2 === 0 ? '' : '\n'),
    ]),
  ])

const md5 = (bytes: Uint8Array): string => new Bun.CryptoHasher('md5').update(bytes).digest('hex')
