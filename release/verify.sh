#!/bin/sh
# Verifies the files of a release that are in a folder: their checksums, who signed these, and the version.
#
#   sh verify.sh FOLDER VERSION [ALLOWED_SIGNERS]
#
# ALLOWED_SIGNERS is the allowed_signers beside this script unless given. Take both from the repository: what comes from
# the place of the download proves nothing about it.

main() {
  set -eu
  # Ranges such as [a-f] mean these letters alone.
  export LC_ALL=C
  [ $# -eq 2 ] || [ $# -eq 3 ] || fail 'usage: sh verify.sh FOLDER VERSION [ALLOWED_SIGNERS]'
  folder=$1
  version=$2
  signers=${3:-$(dirname "$0")/allowed_signers}
  case $version in '' | *[!A-Za-z0-9.+-]*) fail "\"$version\" is not a version" ;; esac
  [ -d "$folder" ] || fail "\"$folder\" is not a folder"
  # Other programs would take its name for an option.
  case $folder in -*) folder=./$folder ;; esac
  sums=$folder/SHA256SUMS
  { [ -f "$signers" ] && [ -r "$signers" ]; } || fail "$signers is not a file that can be read"
  is_there "$sums" || fail "there is no SHA256SUMS in $folder"
  is_there "$sums.sig" || fail "there is no signature of SHA256SUMS in $folder"
  require_file SHA256SUMS
  require_file SHA256SUMS.sig
  require_ssh_keygen
  verify_signature
  verify_version
  verified=0
  for file in "$folder"/* "$folder"/.[!.]* "$folder"/..?*; do
    # A pattern that nothing matches stays as it is.
    is_there "$file" || continue
    case ${file#"$folder"/} in
      SHA256SUMS | SHA256SUMS.sig) ;;
      *) verify_file "${file#"$folder"/}" ;;
    esac
  done
  [ "$verified" -gt 0 ] || fail "there are no other files in $folder"
  printf 'atlas %s: %s\n' "$version" "the signature is good, and $verified of $(grep -c '' "$sums") files are here and as signed"
}

# A link that leads nowhere is there too.
is_there() {
  [ -e "$1" ] || [ -L "$1" ]
}

# A pipe would be waited for, and what a link leads to is not in the folder.
require_file() {
  { [ -f "$folder/$1" ] && [ ! -L "$folder/$1" ]; } || fail "$1 is not a regular file"
  [ -r "$folder/$1" ] || fail "$1 cannot be read"
}

# One that can verify asks for what it lacks. It also fails for other reasons: for a user without a name, for example.
require_ssh_keygen() {
  command -v ssh-keygen >/dev/null || fail 'there is no ssh-keygen; install OpenSSH 8.1 or later'
  said=$(ssh-keygen -Y verify 2>&1 </dev/null || :)
  case $said in
    *verify*) ;;
    *'option -- '*Y*) fail 'ssh-keygen is too old to verify signatures; install OpenSSH 8.1 or later' ;;
    *) fail "ssh-keygen failed: $(printf '%s\n' "${said:-it said nothing}" | head -n 1)" ;;
  esac
}

verify_signature() {
  ssh-keygen -Y verify -f "$signers" -I release@atlas -n atlas-release -s "$sums.sig" <"$sums" >/dev/null 2>&1 && return
  ssh-keygen -Y check-novalidate -n atlas-release -s "$sums.sig" <"$sums" >/dev/null 2>&1 ||
    fail 'SHA256SUMS is not what was signed: it is damaged or was tampered with'
  fail "SHA256SUMS was signed with another key than that in $signers"
}

# What was signed for an older release stays signed. The bill of materials is in every release and has its version.
verify_version() {
  named=$(sed -n 's/^[0-9a-f]\{64\}  atlas-\(.*\)\.cdx\.json$/\1/p' "$sums")
  [ -n "$named" ] || fail 'SHA256SUMS names no bill of materials, and so no version'
  [ "$named" = "$version" ] || fail "SHA256SUMS is that of release $named, not of $version"
}

verify_file() {
  # A name of two lines would be looked for as either of them.
  case $1 in *[!A-Za-z0-9._+~-]*) fail 'a file in the folder has a name that no release has' ;; esac
  cut -c 67- "$sums" | grep -qxF -e "$1" || fail "SHA256SUMS does not name $1"
  require_file "$1"
  if command -v sha256sum >/dev/null; then
    sum=$(sha256sum <"$folder/$1")
  else
    sum=$(shasum -a 256 <"$folder/$1")
  fi
  grep -qxF -e "${sum%% *}  $1" "$sums" || fail "$1 is not what SHA256SUMS says it is: it is damaged or was tampered with"
  verified=$((verified + 1))
}

fail() {
  printf 'verify.sh: %s.\n' "$1" >&2
  exit 1
}

main "$@"
