#!/usr/bin/env bash
# Installs the Debian packages of the named groups (see debian-packages.txt): install-packages.sh build test
# Asks for sudo only if something is missing and we are not root; does nothing, quickly, when all is there.
set -euo pipefail
list=$(dirname "$0")/debian-packages.txt
wanted=()
group=""
while read -r word rest; do
  case "$word $rest" in
    "# group: "*) group=${rest#group: } ;;
    "#"* | " ") ;;
    *) for g in "$@"; do [ "$g" = "$group" ] && wanted+=("$word"); done ;;
  esac
done < "$list"
missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  [ "${state:0:2}" = ii ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if ! command -v apt-get > /dev/null; then
  echo "these packages (Debian 12 names) are needed, and there is no apt-get here to install them: ${missing[*]}" >&2
  exit 1
fi
sudo=""
if [ "$(id -u)" != 0 ]; then
  command -v sudo > /dev/null || { echo "as root, run: apt-get install ${missing[*]}" >&2; exit 1; }
  sudo=sudo
fi
echo "installing Debian packages: ${missing[*]}"
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
