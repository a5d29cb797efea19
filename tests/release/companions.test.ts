import { expect, test } from 'bun:test'
import { inArchive, readCompanions } from '../../release/companions.ts'
import { manualPage } from '../../release/manual.ts'
import { BINARY } from '../support/binary.ts'

test('an archive holds the manual page, and the completion scripts that the program prints', async () => {
  const printed = (shell: string): string => Bun.spawnSync([BINARY, 'completion', shell]).stdout.toString()
  const files = inArchive(await readCompanions()).map(({ name, content }) => [
    name,
    Buffer.from(content).toString(),
  ])
  expect(files).toEqual([
    ['atlas.1', await manualPage()],
    ['completions/_atlas', printed('zsh')],
    ['completions/atlas.bash', printed('bash')],
    ['completions/atlas.fish', printed('fish')],
    ['completions/atlas.ps1', printed('powershell')],
  ])
  expect(printed('zsh')).toStartWith('#compdef atlas\n')
})
