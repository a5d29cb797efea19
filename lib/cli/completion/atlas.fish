# Completion of atlas for fish. Save it with:
#   atlas completion fish > ~/.config/fish/completions/atlas.fish
function __atlas_complete
  set -l words (commandline -opc)
  # Behind "exec --" stands the command line of another program.
  if set -l dashes (contains -i -- -- $words); and contains -- exec $words[1..$dashes]
    set -e words[1..$dashes]
    complete -C (string join -- ' ' (string escape -- $words) (commandline -ct))
    return
  end
  set -a words (commandline -ct)
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
