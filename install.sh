#!/bin/sh
# Installs atlas for the user who runs it, or replaces it by a newer one. Never needs root.
#
#   sh install.sh [--version VERSION] [--base-url URL] [--dir FOLDER]
#
#   ATLAS_VERSION           the version; this script's own unless set
#   ATLAS_INSTALL_BASE_URL  where the release's files are
#   ATLAS_INSTALL_DIR       where the program goes; ~/.local/bin unless set
#
# Nothing that was downloaded runs, or is marked as a program, before its SHA-256 is that in SHA256SUMS.

DEFAULT_VERSION=0.1.0
DEFAULT_BASE_URL=https://atlas.example.com/releases
NEWLINE='
'

# All in functions, called on the last line: a script that arrives cut short does nothing.
main() {
  set -eu
  # Ranges such as [a-f] mean these letters alone.
  export LC_ALL=C
  # Others never get to write to what is made here; a stricter umask stays.
  umask u=rwx,go-w

  version=${ATLAS_VERSION:-$DEFAULT_VERSION}
  base_url=${ATLAS_INSTALL_BASE_URL:-}
  folder=${ATLAS_INSTALL_DIR:-}
  while [ $# -gt 0 ]; do
    case $1 in
      --version) need_value "$@" && version=$2 && shift 2 ;;
      --base-url) need_value "$@" && base_url=$2 && shift 2 ;;
      --dir) need_value "$@" && folder=$2 && shift 2 ;;
      -h | --help) usage && exit 0 ;;
      *) fail "there is no option \"$1\"" "Use --version, --base-url or --dir." ;;
    esac
  done
  case $version in
    '' | *[!A-Za-z0-9.+-]*) fail "\"$version\" is not a version" "Give one such as $DEFAULT_VERSION." ;;
  esac
  [ -n "$base_url" ] || base_url=$DEFAULT_BASE_URL/$version
  base_url=${base_url%/}
  is_safe_url "$base_url" ||
    fail "$base_url is not an https URL" 'Give one with --base-url or ATLAS_INSTALL_BASE_URL.'
  if [ -z "$folder" ]; then
    [ -n "${HOME:-}" ] || fail 'HOME is not set' 'Set ATLAS_INSTALL_DIR to the folder that atlas is to go to.'
    folder=$HOME/.local/bin
  fi
  case $folder in
    /*) ;;
    *) folder=$PWD/$folder ;;
  esac
  while [ "$folder" != "${folder%/}" ]; do folder=${folder%/}; done
  # A program that is moved onto a folder, or a link to one, ends up inside.
  [ ! -d "$folder/atlas" ] ||
    fail "$folder/atlas is a folder" 'Move it away, or choose another folder with --dir.'

  name=atlas-$version-$(detect_target)
  work='' staged='' child=''
  trap clean_up EXIT
  trap 'stop 129' HUP
  trap 'stop 130' INT
  trap 'stop 131' QUIT
  trap 'stop 141' PIPE
  trap 'stop 143' TERM
  work=$(mktemp -d "${TMPDIR:-/tmp}/atlas-install.XXXXXX") || fail 'no temporary folder can be made' 'Set TMPDIR.'

  say "Downloading $base_url/$name.tar.gz"
  download "$base_url/SHA256SUMS" "$work/SHA256SUMS"
  download "$base_url/$name.tar.gz" "$work/$name.tar.gz"
  verify "$work" "$name.tar.gz"

  (cd "$work" && gzip -dc "$name.tar.gz" | tar -xf - "$name/atlas") ||
    fail "$name.tar.gz cannot be unpacked" "Make room in ${TMPDIR:-/tmp}. If there is room, the release is broken: report it."
  install_program "$work/$name/atlas"
}

usage() {
  cat <<EOF
Installs atlas into ~/.local/bin, or replaces it by a newer one.

  sh install.sh [--version VERSION] [--base-url URL] [--dir FOLDER]

Environment: ATLAS_VERSION, ATLAS_INSTALL_BASE_URL, ATLAS_INSTALL_DIR.
EOF
}

need_value() {
  if [ $# -lt 2 ] || [ -z "$2" ]; then fail "$1 needs a value" 'See: sh install.sh --help'; fi
}

detect_target() {
  system=$(uname -s)
  machine=$(uname -m)
  case $machine in
    x86_64 | amd64) arch=x64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) fail "there is no atlas for $machine" 'It is built for x86-64 and arm64.' ;;
  esac
  case $system in
    Linux) if uses_musl; then echo "linux-$arch-musl"; else echo "linux-$arch"; fi ;;
    Darwin)
      # A shell that Rosetta translates says x86_64 on an arm64 machine.
      [ "$(sysctl -n sysctl.proc_translated 2>/dev/null || echo 0)" = 1 ] && arch=arm64
      echo "darwin-$arch"
      ;;
    *) fail "there is no atlas for $system here" 'On Windows, use install.ps1.' ;;
  esac
}

# Machines that have a musl loader beside glibc are glibc machines.
uses_musl() {
  case $(ldd --version 2>&1 || :) in
    *musl*) return 0 ;;
    *GLIBC* | *GNU* | *glibc*) return 1 ;;
  esac
  for loader in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1; do
    [ -e "$loader" ] && return 1
  done
  for loader in /lib/ld-musl-*; do
    [ -e "$loader" ] && return 0
  done
  return 1
}

# https, or http to this machine alone.
is_safe_url() {
  case $1 in *[!!-~]*) return 1 ;; esac
  # Host and port alone: what stands before an @ may look like a host, and is none.
  authority=${1#*://}
  authority=${authority%%/*}
  case $authority in '' | *[!][A-Za-z0-9.:-]*) return 1 ;; esac
  case ${1%%://*}://$authority in
    https://*) ;;
    http://127.0.0.1:*[!0-9]* | http://localhost:*[!0-9]*) return 1 ;;
    http://127.0.0.1 | http://127.0.0.1:* | http://localhost | http://localhost:*) ;;
    *) return 1 ;;
  esac
}

# Redirects are followed here, where each is checked: curl would go from this machine to any other by plain http.
download() {
  url=$1
  for _ in 1 2 3 4 5 6; do
    redirect=
    fetch "$url" "$2" || fail 'the download failed' "$advice Nothing was installed."
    [ -n "$redirect" ] || return 0
    case $url in https://*) allowed='https://*' ;; *) allowed='*' ;; esac
    # shellcheck disable=SC2254 # A pattern is meant.
    case $redirect in $allowed) is_safe_url "$redirect" ;; *) false ;; esac ||
      fail "$url redirects to plain http or to an invalid URL" 'Report it. Nothing was installed.'
    url=$redirect
  done
  fail "$1 redirects more than five times" 'Report it. Nothing was installed.'
}

# One request, without the configuration files of curl and wget, and without a proxy for this machine.
fetch() {
  advice='Check the connection, the version and the base URL.'
  if has curl; then
    case $1 in https://*) no_proxy_for= ;; *) no_proxy_for='*' ;; esac
    interruptible curl -q --fail --silent --show-error --globoff --proto "=${1%%:*}" --retry 2 --connect-timeout 30 \
      --speed-limit 1 --speed-time 60 ${no_proxy_for:+--noproxy "$no_proxy_for"} \
      --output "$2" --write-out '%{http_code} %{redirect_url}' "$1" >"$work/answer" || return 1
    # The line has no end, which read takes for a failure.
    read -r status redirect <"$work/answer" || :
    [ -n "$redirect" ] || [ "$status" = 200 ]
    return
  fi
  # Neither BusyBox nor Wget2 can be told not to follow a redirect to plain http.
  case $(wget --version 2>&1 </dev/null || :) in
    'GNU Wget 1.'*) ;;
    *) fail 'neither curl nor GNU Wget 1 is here' 'Install curl and try again.' ;;
  esac
  advice="$advice Redirects are followed with curl alone."
  case $1 in https://*) proxy=on ;; *) proxy=off ;; esac
  interruptible wget --no-config -q --max-redirect=0 -e "use_proxy=$proxy" -O "$2" "$1"
}

# While a program runs in the foreground, a signal to this script waits.
interruptible() {
  "$@" &
  child=$!
  exit_status=0
  wait "$child" || exit_status=$?
  child=
  return "$exit_status"
}

# The line of the archive alone: other lines of the file may be wrong, or made to mislead, without effect.
verify() {
  expected=$(awk -v name="$2" '{
    sub(/\r$/, "")
    sum = $0
    sub(/ .*/, "", sum)
    rest = substr($0, length(sum) + 1)
    if (rest == "  " name || rest == " *" name) print tolower(sum)
  }' "$1/SHA256SUMS")
  case $expected in
    *"$NEWLINE"*) fail "SHA256SUMS names $2 more than once" 'Nothing was installed.' ;;
    *[!0-9a-f]*) expected= ;;
  esac
  [ ${#expected} -eq 64 ] || fail "SHA256SUMS has no checksum of $2" 'Check the base URL. Nothing was installed.'
  if has sha256sum; then
    actual=$(sha256sum <"$1/$2")
  elif has shasum; then
    actual=$(shasum -a 256 <"$1/$2")
  else
    fail 'neither sha256sum nor shasum is here' 'Install one of them and try again.'
  fi
  [ "${actual%% *}" = "$expected" ] ||
    fail "$2 is not what SHA256SUMS says it is" 'It is damaged or was tampered with. Nothing was installed.'
}

# Beside its place first, then over what is there: a program that runs meanwhile keeps running.
install_program() {
  mkdir -p "$folder" || fail "$folder cannot be made" 'Choose another folder with --dir.'
  warn_of_other_writers
  staged=$(mktemp "$folder/.atlas.XXXXXX") || fail "$folder cannot be written" 'Choose another folder with --dir.'
  cp "$1" "$staged" || fail "$folder has no room" 'Make room and try again.'
  chmod 755 "$staged"
  running=$("$staged" --version </dev/null) || case $name in
    *-musl) fail "this machine cannot run $name" 'It needs libstdc++ (on Alpine: apk add libstdc++).' ;;
    *) fail "this machine cannot run $name" 'Report it with the output of: uname -a' ;;
  esac
  previous=$("$folder/atlas" --version 2>/dev/null </dev/null || :)
  mv -f "$staged" "$folder/atlas" || fail "$folder/atlas cannot be replaced" 'Remove it and try again.'
  staged=
  [ "$("$folder/atlas" --version 2>/dev/null </dev/null || :)" = "$running" ] ||
    fail "$folder/atlas is not what was installed" 'Look at what else writes there, and try again.'
  say "Installed $running as $folder/atlas"
  [ -z "$previous" ] || [ "$previous" = "$running" ] || say "It replaces $previous"
  case :${PATH:-}: in
    *":$folder:"*)
      found=$(command -v atlas || :)
      [ "$found" = "$folder/atlas" ] || say "Another atlas comes first on your PATH: $found"
      ;;
    *) say "Put it on your PATH with this line in ~/.profile:" "  export PATH=\"$(quotable "$folder"):\$PATH\"" ;;
  esac
}

# A folder that was there keeps its mode.
warn_of_other_writers() {
  [ ! -L "$folder" ] || warn "$folder is a link to $(cd -P "$folder" && pwd)" 'Whoever can change what it leads to can replace atlas.'
  place=$(cd -P "$folder" && pwd)
  while [ -n "$place" ]; do
    ! others_can_write "$place" ||
      warn "other users can write to $place" "They can replace atlas. To stop that: chmod go-w \"$(quotable "$place")\""
    place=${place%/*}
  done
}

others_can_write() {
  read -r mode _ owner group _ <<EOF
$(ls -ldn "$1" 2>/dev/null)
EOF
  case $mode in
    # In a sticky folder everybody replaces what is theirs alone.
    ?????????[tT]*) return 1 ;;
    ????????w*) return 0 ;;
    # A group with the number of its user is that user's own.
    ?????w*) [ "$owner" != "$group" ] ;;
    *) return 1 ;;
  esac
}

# As it stands between double quotes in a shell.
quotable() {
  case $1 in
    *[\"\$\`\\]*) printf '%s\n' "$1" | sed 's/["$`\\]/\\&/g' ;;
    *) printf '%s\n' "$1" ;;
  esac
}

# shellcheck disable=SC2317 # Called by traps.
stop() {
  # mksh loses the status where an exit in a trap runs another trap.
  trap - EXIT
  clean_up
  exit "$1"
}

# shellcheck disable=SC2317 # Called by a trap.
clean_up() {
  [ -z "$child" ] || { kill "$child" && wait "$child"; } 2>/dev/null || :
  [ -z "$work" ] || rm -rf "$work"
  [ -z "$staged" ] || rm -f "$staged"
}

has() {
  command -v "$1" >/dev/null 2>&1
}

say() {
  printf '%s\n' "$@"
}

warn() {
  printf 'install.sh: %s.\n            %s\n' "$1" "$2" >&2
}

fail() {
  warn "$@"
  exit 1
}

# In braces: where the last line is cut short too, nothing runs.
{ main "$@"; exit; }
