#!/usr/bin/env bash
# Makes build/test-python: the Python environment with the libraries that exports are read back with
# (tests/cli/requirements.txt). Quick, and without a network, where it is there already.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=build/test-python
list=tests/cli/requirements.txt
cmp -s "$list" "$venv/installed.txt" && exit 0
# Debian's own interpreter where there is one: others on the PATH may be too new for the libraries' wheels.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
echo "installing $(grep -v '^#' "$list" | tr '\n' ' ')into $venv"
mkdir -p build
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$list"
cp "$list" "$venv/installed.txt"
