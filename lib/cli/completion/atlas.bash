# Completion of atlas for bash. Put this line into ~/.bashrc:
#   source <(atlas completion bash)
_atlas() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("${line%%$'\t'*}")
  done < <(command atlas __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o bashdefault -o default -F _atlas atlas
