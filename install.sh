#!/bin/sh
# Installs atlas for the user who runs it, or replaces it by a newer one. Never needs root.
#
#   sh install.sh [--version VERSION] [--base-url URL] [--dir FOLDER]
#
#   ATLAS_VERSION           the version; this script's own unless set
#   ATLAS_INSTALL_BASE_URL  where the release's files are
#   ATLAS_INSTALL_DIR       where the program goes; ~/.local/bin unless set
#   ATLAS_REQUIRE_SIGNATURE 1 refuses to install where the signature cannot be checked. Unset, only a missing ssh-keygen
#                           is no reason to refuse; 0 does not refuse either where it does not work
#
# Nothing that was downloaded runs, or is marked as a program, before its SHA-256 is that in SHA256SUMS, and before the
# signature of SHA256SUMS was checked where ssh-keygen can do that.

DEFAULT_VERSION=0.1.0
DEFAULT_BASE_URL=https://atlas.example.com/releases
# The line of release/allowed_signers: who signs SHA256SUMS, and by which key.
SIGNER='release@atlas namespaces="atlas-release" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN1CUCqk4L8rGPrLjzKVfRBmPr70cJkbZQUlfsySf0nq'
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
      --version=?* | --base-url=?* | --dir=?*)
        option=$1
        shift
        set -- "${option%%=*}" "${option#*=}" "$@"
        ;;
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

  require_tools
  require_own_name
  target=$(detect_target)
  name=atlas-$version-$target
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
  [ "$checks_signature" = no ] || download "$base_url/SHA256SUMS.sig" "$work/SHA256SUMS.sig" 'there is no signature of SHA256SUMS'
  download "$base_url/$name.tar.gz" "$work/$name.tar.gz"
  if [ "$checks_signature" = no ]; then
    say "The signature was not checked: $why_not"
  else
    verify_signature "$work"
  fi
  verify "$work" "$name.tar.gz"

  (cd "$work" && gzip -dc "$name.tar.gz" | tar -xf - "$name/atlas") ||
    fail "$name.tar.gz cannot be unpacked" "Make room in ${TMPDIR:-/tmp}. If there is room, the release is broken: report it."
  # A link would stand for a file of this machine.
  if [ -L "$work/$name/atlas" ] || [ ! -f "$work/$name/atlas" ]; then
    fail "$name.tar.gz holds no program" 'Report it. Nothing was installed.'
  fi
  install_program "$work/$name/atlas"
}

usage() {
  cat <<EOF
Installs atlas into ~/.local/bin, or replaces it by a newer one.

  sh install.sh [--version VERSION] [--base-url URL] [--dir FOLDER]

Environment: ATLAS_VERSION, ATLAS_INSTALL_BASE_URL, ATLAS_INSTALL_DIR, ATLAS_REQUIRE_SIGNATURE.
EOF
}

# Before anything is downloaded.
require_tools() {
  missing=
  for tool in uname mktemp awk sed grep gzip tar mkdir cp cat chmod mv rm ls id; do
    has "$tool" || missing="$missing $tool"
  done
  has sha256sum || has shasum || missing="$missing sha256sum"
  [ -z "$missing" ] || fail "these programs are missing:$missing" 'Install them and try again.'
  checks_signature=yes
  why_not=$(why_signature_cannot_be_checked)
  [ -n "$why_not" ] || return 0
  checks_signature=no
  case ${ATLAS_REQUIRE_SIGNATURE:-}:$why_not in
    0:* | :'there is no '*) ;;
    *)
      fail "the signature cannot be checked: $why_not" \
        'Mend that, or set ATLAS_REQUIRE_SIGNATURE=0 to install without the check.'
      ;;
  esac
}

# Nothing where it can. Before 8.1, -Y is an unknown option.
why_signature_cannot_be_checked() {
  if ! has ssh-keygen; then
    echo 'there is no ssh-keygen'
    return
  fi
  said=$(ssh-keygen -Y verify 2>&1 </dev/null || :)
  case $said in
    *' verify'*) ;;
    *[Uu]sage*) echo 'there is no ssh-keygen of OpenSSH 8.1 or later' ;;
    *) printf 'ssh-keygen does not work (%s)\n' "${said%%"$NEWLINE"*}" ;;
  esac
}

# There are other programs of that name. It is asked what it is, which only a program that others cannot change may be.
require_own_name() {
  [ -e "$folder/atlas" ] || return 0
  owner=$(owner_of "$folder/atlas")
  if [ "$owner" != 0 ] && [ "$owner" != "$(id -u)" ] || others_can_write "$folder/atlas"; then
    fail "another user can change $folder/atlas" 'Remove it if it is not needed, or choose another folder with --dir.'
  fi
  case $("$folder/atlas" --version 2>/dev/null </dev/null || :) in
    atlas/[0-9]*) ;;
    *) fail "$folder/atlas is another program, or does not run" 'Remove it if it is not needed, or choose another folder with --dir.' ;;
  esac
}

need_value() {
  if [ $# -lt 2 ] || [ -z "$2" ]; then fail "$1 needs a value" 'See: sh install.sh --help'; fi
}

detect_target() {
  system=$(uname -s)
  machine=$(uname -m)
  case $machine in
    x86_64 | amd64)
      arch=x64
      # Older processors end the program with "Illegal instruction".
      [ ! -r /proc/cpuinfo ] || grep -q '^flags.* sse4_2' /proc/cpuinfo ||
        fail 'this processor is too old for atlas' 'It needs the instructions called SSE4.2, which processors have had since 2009.'
      ;;
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
# @param $1 a URL, $2 where its content goes, $3 what to say where it cannot be had.
download() {
  url=$1
  for _ in 1 2 3 4 5 6; do
    redirect=
    fetch "$url" "$2" || fail "${3:-the download failed}" "$advice Nothing was installed."
    [ -n "$redirect" ] || return 0
    case $url in https://*) allowed='https://*' ;; *) allowed='*' ;; esac
    # shellcheck disable=SC2254 # A pattern is meant.
    case $redirect in $allowed) is_safe_url "$redirect" ;; *) false ;; esac ||
      fail "$url redirects to plain http or to an invalid URL" 'Report it. Nothing was installed.'
    url=$redirect
  done
  fail "$1 redirects more than five times" 'Report it. Nothing was installed.'
}

# One request, without the configuration files of curl and wget, and without a proxy for this machine. A server that says
# nothing is given up, with what is tried again, within a minute.
fetch() {
  advice='Check the connection, the version and the base URL.'
  if has curl; then
    case $1 in https://*) no_proxy_for= ;; *) no_proxy_for='*' ;; esac
    progress=--silent
    case $2 in *.tar.gz) [ ! -t 2 ] || progress=--progress-bar ;; esac
    # Not with ":", at whose failure a shell would end.
    { true >"$2" && true >"$work/answer"; } 2>/dev/null || fail_without_room
    interruptible curl -q --fail "$progress" --show-error --globoff --proto "=${1%%:*}" --retry 2 --retry-max-time 30 \
      --connect-timeout 15 --speed-limit 100 --speed-time 15 ${no_proxy_for:+--noproxy "$no_proxy_for"} \
      --output "$2" --write-out '%{http_code} %{size_download} %{redirect_url}' "$1" >"$work/answer" || failed_by curl $? || return 1
    # The line has no end, which read takes for a failure.
    read -r status size redirect <"$work/answer" || :
    [ -n "$status" ] || fail_without_room
    [ -n "$redirect" ] && return 0
    [ "$status" = 200 ] || return 1
    [ "$size" = 0 ] || [ -s "$2" ] || curl_is_confined
    return 0
  fi
  # Neither BusyBox nor Wget2 can be told not to follow a redirect to plain http.
  case $(wget --version 2>&1 </dev/null || :) in
    'GNU Wget 1.'*) ;;
    *) fail 'neither curl nor GNU Wget 1 is here' 'Install curl and try again.' ;;
  esac
  case $1 in https://*) proxy=on ;; *) proxy=off ;; esac
  exit_status=0
  { true >"$work/answer"; } 2>/dev/null || fail_without_room
  interruptible wget --no-config -q -S --max-redirect=0 --tries=3 --waitretry=2 --timeout=15 -e "use_proxy=$proxy" \
    -O "$2" "$1" 2>"$work/answer" || exit_status=$?
  [ "$exit_status" -ne 0 ] || return 0
  redirect=$(sed -n 's/^ *[Ll]ocation: *//p' "$work/answer" | sed -n '$p' | awk '{ sub(/\r$/, ""); print }')
  case $redirect in
    '')
      sed '/^ /d' "$work/answer" >&2
      failed_by wget "$exit_status"
      ;;
    /*) redirect=${1%%://*}://$authority$redirect ;;
  esac
}

fail_without_room() {
  fail "${TMPDIR:-/tmp} has no room" 'Make room there, or set TMPDIR to another folder. Nothing was installed.'
}

curl_is_confined() {
  fail "curl cannot write to $work" 'One that comes as a snap may not: install curl as a package of the system, and try again.'
}

# @param $1 curl or wget, $2 its exit status. Always fails.
failed_by() {
  case $1$2 in
    curl23 | wget3)
      # The shell itself may write where a confined program may not.
      if { echo room >"$work/room"; } 2>/dev/null; then curl_is_confined; fi
      fail_without_room
      ;;
    curl28) fail "${url%/*} does not answer" 'Check the connection, or try again later. Nothing was installed.' ;;
  esac
  return 1
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

# By the key of this script alone, whatever keys the user trusts otherwise.
verify_signature() {
  { printf '%s\n' "$SIGNER" >"$1/signer"; } 2>/dev/null || fail_without_room
  ssh-keygen -Y verify -f "$1/signer" -I "${SIGNER%% *}" -n atlas-release -s "$1/SHA256SUMS.sig" \
    <"$1/SHA256SUMS" >/dev/null 2>&1 && return
  ssh-keygen -Y check-novalidate -n atlas-release -s "$1/SHA256SUMS.sig" <"$1/SHA256SUMS" >/dev/null 2>&1 ||
    fail 'SHA256SUMS is not what was signed' 'It is damaged or was tampered with. Nothing was installed.'
  fail 'SHA256SUMS was signed with another key' 'Use the install.sh of the same release. Nothing was installed.'
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
  # What was signed for an older release stays signed: only the names tell releases apart.
  if [ -z "$expected" ]; then
    other=$(sed -n "s/^[0-9a-f]\{64\} [ *]atlas-\([0-9A-Za-z.+-]*\)-$target\.tar\.gz\$/\1/p" "$1/SHA256SUMS")
    case $other in
      '' | "$version" | *"$NEWLINE"*) ;;
      *) fail "SHA256SUMS is that of release $other, not of $version" 'Check the version and the base URL. Nothing was installed.' ;;
    esac
  fi
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
  exit_status=0
  { true >"$work/said"; } 2>/dev/null || fail_without_room
  running=$("$staged" --version </dev/null 2>"$work/said") || exit_status=$?
  # What shells say where a program may not be run.
  [ "$exit_status" -ne 126 ] ||
    fail "programs may not run in $folder" 'It may be mounted noexec: choose another folder with --dir.'
  cat "$work/said" >&2
  [ "$exit_status" -eq 0 ] || case $name in
    *-musl) fail "this machine cannot run $name" 'It needs libstdc++ (on Alpine: apk add libstdc++).' ;;
    *) fail "this machine cannot run $name" 'Report it with the output of: uname -a' ;;
  esac
  case $running in
    "atlas/$version "*) ;;
    *) fail "$name holds another version: $running" 'Report it. Nothing was installed.' ;;
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
    *) say_path_line ;;
  esac
}

# For the shell in which people of this account log in.
# shellcheck disable=SC2088 # For people to read.
say_path_line() {
  line="export PATH=\"$(quotable "$folder"):\$PATH\""
  case ${SHELL:-} in
    */fish)
      say 'Put it on your PATH with:' "  fish_add_path \"$(quotable "$folder")\""
      return
      ;;
    */zsh) file='~/.zshrc' ;;
    # Where it is there, bash reads no ~/.profile.
    */bash) if [ -e "${HOME:-}/.bash_profile" ]; then file='~/.bash_profile'; else file='~/.profile'; fi ;;
    *) file='~/.profile' ;;
  esac
  say "Put it on your PATH with this line in $file:" "  $line"
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

# The numeric user id. Of a link, that of what it leads to.
owner_of() {
  read -r _ _ owner _ <<EOF
$(ls -ldnL "$1" 2>/dev/null)
EOF
  echo "$owner"
}

others_can_write() {
  read -r mode _ owner group _ <<EOF
$(ls -ldnL "$1" 2>/dev/null)
EOF
  case $mode in
    # In a sticky folder everybody replaces what is theirs alone.
    d????????[tT]*) return 1 ;;
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
