/** The shells that a completion script exists for. */
export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const
export type Shell = (typeof SHELLS)[number]

/** The hidden command that the scripts ask; its arguments are the words typed so far. */
export const COMPLETE_COMMAND = '__complete'

/*
 * Each script passes the words on as arguments of their own, never through the shell's `eval`, which
 * would run what somebody has typed but not yet entered. Where atlas has nothing to offer, the shell
 * offers file names.
 */
export const COMPLETION_SCRIPTS: Record<Shell, string> = {
  bash: `# Completion of atlas for bash. Put this line into ~/.bashrc:
#   source <(atlas completion bash)
_atlas() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("\${line%%$'\\t'*}")
  done < <(command atlas ${COMPLETE_COMMAND} "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o bashdefault -o default -F _atlas atlas
`,
  zsh: `#compdef atlas
# Completion of atlas for zsh. Put this line into ~/.zshrc, after compinit:
#   source <(atlas completion zsh)
_atlas() {
  local line
  local -a candidates
  while IFS= read -r line; do
    candidates+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done < <(command atlas ${COMPLETE_COMMAND} "\${(@Q)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#candidates} )); then
    _describe -V 'atlas' candidates
  else
    _files
  fi
}
if [[ "$funcstack[1]" == _atlas ]]; then
  _atlas "$@"
else
  compdef _atlas atlas
fi
`,
  fish: `# Completion of atlas for fish. Save it with:
#   atlas completion fish > ~/.config/fish/completions/atlas.fish
function __atlas_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l candidates (command atlas ${COMPLETE_COMMAND} $words[2..-1] 2>/dev/null)
  if test (count $candidates) -gt 0
    printf '%s\\n' $candidates
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c atlas -f -a '(__atlas_complete)'
`,
  powershell: `# Completion of atlas for PowerShell. Put this line into $PROFILE:
#   atlas completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName atlas -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
  # PowerShell drops empty arguments; a space stands for the word that is about to begin.
  if ($wordToComplete -eq '') { $words += ' ' }
  & atlas ${COMPLETE_COMMAND} @words 2>$null | ForEach-Object {
    $value, $description = $_ -split "\`t", 2
    if (-not $description) { $description = $value }
    [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $description)
  }
}
`,
}
