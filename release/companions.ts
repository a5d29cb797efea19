import fs from 'node:fs'
import type { ArchiveFile } from './archive.ts'
import { manualPage } from './manual.ts'

/** What comes with the program on every machine. */
export interface Companions {
  readonly manual: Uint8Array
  readonly completions: Readonly<Record<'bash' | 'zsh' | 'fish' | 'ps1', Uint8Array>>
}

export async function readCompanions(): Promise<Companions> {
  const script = (extension: string): Uint8Array => fs.readFileSync(`lib/cli/completion/atlas.${extension}`)
  return {
    manual: Buffer.from(await manualPage()),
    completions: { bash: script('bash'), zsh: script('zsh'), fish: script('fish'), ps1: script('ps1') },
  }
}

/** Where they are in an archive. zsh finds its script by this name. */
export const inArchive = ({ manual, completions }: Companions): ArchiveFile[] => [
  { name: 'atlas.1', content: manual },
  { name: 'completions/_atlas', content: completions.zsh },
  { name: 'completions/atlas.bash', content: completions.bash },
  { name: 'completions/atlas.fish', content: completions.fish },
  { name: 'completions/atlas.ps1', content: completions.ps1 },
]
