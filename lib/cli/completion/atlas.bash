# Completion of atlas for bash. Put this line into ~/.bashrc:
#   eval "$(atlas completion bash)"
_atlas() {
  COMPREPLY=()
  # Behind "exec --" stands the command line of another program.
  local index is_exec line
  for ((index = 1; index < COMP_CWORD; index++)); do
    [[ ${COMP_WORDS[index]} == exec ]] && is_exec=1
    [[ $is_exec && ${COMP_WORDS[index]} == -- ]] || continue
    if declare -F _command_offset >/dev/null; then
      _command_offset $((index + 1))
    elif ((COMP_CWORD == index + 1)); then
      while IFS= read -r line; do
        COMPREPLY+=("$line")
      done < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}" | sort -u)
    fi
    return
  done
  # bash makes words of ":" and "=", which are none to atlas: what no blank parts belongs together.
  local words=() rest=$COMP_LINE blanks word
  for ((index = 0; index <= COMP_CWORD; index++)); do
    word=${COMP_WORDS[index]}
    blanks=${rest%%[![:space:]]*}
    rest=${rest#"$blanks"}
    rest=${rest#"$word"}
    if [[ $index -gt 0 && -z $blanks ]]; then
      words[${#words[@]} - 1]+=$word
    else
      words+=("$word")
    fi
  done
  # Of the last word, bash replaces what follows its own last break.
  local current=${words[${#words[@]} - 1]} fixed
  fixed=${current%"$word"}
  [[ $word == [:=] ]] && fixed=$current
  while IFS= read -r line; do
    line=${line%%$'\t'*}
    COMPREPLY+=("${line#"$fixed"}")
  done < <(command atlas __complete "${words[@]:1}" 2>/dev/null)
}
complete -o bashdefault -o default -F _atlas atlas
