#!/usr/bin/env bash
# Unpacks the arm64 packages that sdskit is built from (debian-packages.txt) into a folder to cross-build against
# (preset aarch64): -dev packages of HDF5 and yaml-cpp cannot be installed beside amd64's. Changes nothing on the
# machine; does nothing when the folder is there: arm64-sysroot.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
sysroot=${1:-build/arm64-sysroot}
[ ! -d "$sysroot" ] || exit 0
mkdir -p "$(dirname "$sysroot")"
work=$(mktemp -d "$(realpath "$(dirname "$sysroot")")/arm64.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,root}
: > "$work/status"  # to apt nothing is installed: it fetches all that is needed, the C library included
apt=(apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$work" -o Dir::State::status="$work/status"
  -o Dir::Cache="$work/cache" -o Debug::NoLocking=1)
[ "$(id -u)" != 0 ] || apt+=(-o APT::Sandbox::User=root)
# Libraries; programs are those of this machine.
mapfile -t packages < <(awk '/^# group:/ {g = $3} (g == "build" || g == "test") && /^(lib|nlohmann)/ && !/^libjs/' cmake/debian-packages.txt)
"${apt[@]}" update
"${apt[@]}" install -y --download-only --no-install-recommends libstdc++-12-dev "${packages[@]}" > /dev/null
for package in "$work"/cache/archives/*.deb; do dpkg -x "$package" "$work/root"; done
# Links to /lib/... mean the folder's own.
find "$work/root" -type l -lname '/*' -print0 | while IFS= read -r -d '' link; do
  ln -sfnr "$work/root$(readlink "$link")" "$link"
done
# What is chosen when it is installed.
ln -s hdf5-serial.pc "$work/root/usr/lib/aarch64-linux-gnu/pkgconfig/hdf5.pc"
mv "$work/root" "$sysroot"
