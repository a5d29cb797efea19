# Completion of atlas for bash. Put this line into ~/.bashrc:
#   eval "$(atlas completion bash)"
_atlas() {
  # bash makes words of ":" and "=", which are none to atlas: what no blank parts belongs together.
  local words=() rest=$COMP_LINE blanks word line index
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
  COMPREPLY=()
  while IFS= read -r line; do
    line=${line%%$'\t'*}
    COMPREPLY+=("${line#"$fixed"}")
  done < <(command atlas __complete "${words[@]:1}" 2>/dev/null)
}
complete -o bashdefault -o default -F _atlas atlas
