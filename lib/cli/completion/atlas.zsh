#compdef atlas
# Completion of atlas for zsh. Put this line into ~/.zshrc, after compinit:
#   eval "$(atlas completion zsh)"
_atlas() {
  local line
  local -a candidates
  local -i dashes=${words[(Ie)--]} exec=${words[(Ie)exec]}
  # Behind "exec --" stands the command line of another program.
  if ((exec && exec < dashes && dashes < CURRENT)); then
    shift dashes words
    ((CURRENT -= dashes))
    _normal
    return
  fi
  while IFS= read -r line; do
    candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done < <(command atlas __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)
  if (( ${#candidates} )); then
    _describe -V 'atlas' candidates
  else
    # The file of a flag such as --input=FILE.
    compset -P '--*='
    _files
  fi
}
if [[ "$funcstack[1]" == _atlas ]]; then
  _atlas "$@"
else
  compdef _atlas atlas
fi
