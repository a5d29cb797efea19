# Completion of atlas for fish. Save it with:
#   atlas completion fish > ~/.config/fish/completions/atlas.fish
function __atlas_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l candidates (command atlas __complete $words[2..-1] 2>/dev/null)
  if test (count $candidates) -gt 0
    printf '%s\n' $candidates
  else
    # The file of a flag such as --input=FILE.
    set -l token (string unescape -- (commandline -ct))
    set -l flag (string match -r -- '^--[^=]+=' $token)
    for path in (__fish_complete_path (string replace -r -- '^--[^=]+=' '' $token))
      printf '%s\n' "$flag"$path
    end
  end
end
complete -c atlas -f -a '(__atlas_complete)'
