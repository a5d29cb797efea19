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
set -eu

DEFAULT_VERSION=0.1.0
DEFAULT_BASE_URL=https://atlas.example.com/releases

# All in functions, called on the last line: a script that arrives cut short does nothing.
main() {
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
  # Host and port alone: what stands before an @ may look like a host, and is none.
  host=${base_url#*://}
  host=${host%%/*}
  case $host in
    '' | *[!][A-Za-z0-9.:-]*) protocol= ;;
    *) protocol=${base_url%%://*} ;;
  esac
  case $protocol://$host in
    https://*) ;;
    http://127.0.0.1 | http://127.0.0.1:* | http://localhost | http://localhost:*) ;;
    *) fail "$base_url is not an https URL" "Give one with --base-url or ATLAS_INSTALL_BASE_URL." ;;
  esac
  if [ -z "$folder" ]; then
    [ -n "${HOME:-}" ] || fail 'HOME is not set' 'Set ATLAS_INSTALL_DIR to the folder that atlas is to go to.'
    folder=$HOME/.local/bin
  fi
  case $folder in
    /*) ;;
    *) folder=$PWD/$folder ;;
  esac
  # A program that is moved onto a folder, or a link to one, ends up inside.
  [ ! -d "$folder/atlas" ] ||
    fail "$folder/atlas is a folder" 'Move it away, or choose another folder with --dir.'

  name=atlas-$version-$(detect_target)
  work=$(mktemp -d "${TMPDIR:-/tmp}/atlas-install.XXXXXX") || fail 'no temporary folder can be made' 'Set TMPDIR.'
  staged=
  trap clean_up EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM

  say "Downloading $base_url/$name.tar.gz"
  download "$base_url/SHA256SUMS" "$work/SHA256SUMS"
  download "$base_url/$name.tar.gz" "$work/$name.tar.gz"
  verify "$work" "$name.tar.gz"

  (cd "$work" && gzip -dc "$name.tar.gz" | tar -xf - "$name/atlas") ||
    fail "$name.tar.gz does not hold $name/atlas" 'The release is broken: report it.'
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

download() {
  if has curl; then
    set -- curl --fail --silent --show-error --location --proto "=$protocol" --retry 2 --output "$2" "$1"
  elif has wget; then
    # wget would follow a redirect to plain http. That of BusyBox cannot be told not to.
    case $(wget --help 2>&1 || :) in
      *--max-redirect*) set -- wget -q --max-redirect=0 -O "$2" "$1" ;;
      *) set -- wget -q -O "$2" "$1" ;;
    esac
  else
    fail 'neither curl nor wget is here' 'Install one of them and try again.'
  fi
  "$@" || fail "the download failed" 'Check the connection, the version and the base URL. Nothing was installed.'
}

# The line of the archive alone: other lines of the file may be wrong, or made to mislead, without effect.
verify() {
  expected=$(awk -v name="$2" '$2 == name || $2 == "*" name { print $1 }' "$1/SHA256SUMS")
  case $expected in
    *[!0-9a-f]* | '') fail "SHA256SUMS has no checksum of $2" 'Nothing was installed.' ;;
  esac
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
  staged=$(mktemp "$folder/.atlas.XXXXXX") || fail "$folder cannot be written" 'Choose another folder with --dir.'
  cp "$1" "$staged" || fail "$folder has no room" 'Make room and try again.'
  chmod 755 "$staged"
  running=$("$staged" --version) || case $name in
    *-musl) fail "this machine cannot run $name" 'It needs libstdc++ (on Alpine: apk add libstdc++).' ;;
    *) fail "this machine cannot run $name" 'Report it with the output of: uname -a' ;;
  esac
  mv -f "$staged" "$folder/atlas" || fail "$folder/atlas cannot be replaced" 'Remove it and try again.'
  staged=
  [ "$("$folder/atlas" --version 2>/dev/null || :)" = "$running" ] ||
    fail "$folder/atlas is not what was installed" 'Look at what else writes there, and try again.'
  say "Installed $running as $folder/atlas"
  case :${PATH:-}: in
    *":$folder:"*)
      found=$(command -v atlas || :)
      [ "$found" = "$folder/atlas" ] || say "Another atlas comes first on your PATH: $found"
      ;;
    *) say "Put it on your PATH with this line in ~/.profile:" "  export PATH=\"$folder:\$PATH\"" ;;
  esac
}

clean_up() {
  rm -rf "$work"
  [ -z "$staged" ] || rm -f "$staged"
}

has() {
  command -v "$1" >/dev/null 2>&1
}

say() {
  printf '%s\n' "$@"
}

fail() {
  printf 'install.sh: %s.\n            %s\n' "$1" "$2" >&2
  exit 1
}

main "$@"
