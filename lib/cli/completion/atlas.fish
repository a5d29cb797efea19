# Completion of atlas for fish. Save it with:
#   atlas completion fish > ~/.config/fish/completions/atlas.fish
function __atlas_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l candidates (command atlas __complete $words[2..-1] 2>/dev/null)
  if test (count $candidates) -gt 0
    printf '%s\n' $candidates
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c atlas -f -a '(__atlas_complete)'
