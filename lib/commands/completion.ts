import bash from '../cli/completion/atlas.bash' with { type: 'text' }
import fish from '../cli/completion/atlas.fish' with { type: 'text' }
import powershell from '../cli/completion/atlas.ps1' with { type: 'text' }
import zsh from '../cli/completion/atlas.zsh' with { type: 'text' }
import { SHELLS, type Shell } from '../cli/completion/shells.ts'
import { usageError } from '../errors.ts'
import type { Register } from './context.ts'

/*
 * Each script passes the words on as arguments of their own, never through the shell's `eval`, which would
 * run what somebody has typed but not yet entered. Where atlas offers nothing, the shell offers file names.
 */
const SCRIPTS: Record<Shell, string> = { bash, zsh, fish, powershell }

export const registerCompletion: Register = (cli, { terminal }) =>
  cli
    .command(
      'completion <shell>',
      'Print a completion script for bash, zsh, fish or (experimental) powershell',
    )
    .example('  $ eval "$(atlas completion bash)"')
    .example('  $ eval "$(atlas completion zsh)"')
    .example('  $ atlas completion fish > ~/.config/fish/completions/atlas.fish')
    .action(async (name: string) => {
      const shell = SHELLS.find(known => known === name)
      if (shell) return terminal.raw(SCRIPTS[shell])
      throw usageError(`Unsupported shell "${name.slice(0, 80)}".`, `Use ${SHELLS.join(', ')}.`)
    })
