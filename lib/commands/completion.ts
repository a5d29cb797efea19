import { COMPLETION_SCRIPTS, SHELLS, type Shell } from '../cli/completion/scripts.ts'
import { AtlasError } from '../errors.ts'
import type { Register } from './context.ts'

function parseShell(name: string): Shell {
  const shell = SHELLS.find(known => known === name)
  if (shell) return shell
  throw new AtlasError('usage', `Unsupported shell "${name.slice(0, 80)}".`, `Use ${SHELLS.join(', ')}.`)
}

export const registerCompletion: Register = (cli, { terminal }) =>
  cli
    .command('completion <shell>', 'Print a completion script for bash, zsh, fish or powershell')
    .example('  $ source <(atlas completion bash)')
    .example('  $ source <(atlas completion zsh)')
    .example('  $ atlas completion fish > ~/.config/fish/completions/atlas.fish')
    .action(async (shell: string) => terminal.raw(COMPLETION_SCRIPTS[parseShell(shell)]))
