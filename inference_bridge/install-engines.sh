#!/usr/bin/env bash
# Installs inference engines for sdskit into a virtual environment: sds-install-engines [tflm] [litert] [onnx] [npu]
# Without names: tflm and litert. The environment is $SDSKIT_ENGINES, or ~/.local/share/sdskit/engines.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for list in "$here/python/engines.txt" "$here/../python/engines.txt" "$here/../libexec/sdskit/python/engines.txt"; do
  [ -f "$list" ] && break
done
venv=${SDSKIT_ENGINES:-${XDG_DATA_HOME:-$HOME/.local/share}/sdskit/engines}
[ $# -gt 0 ] || set -- tflm litert
wanted=()
for engine in "$@"; do
  package=$(sed -n "s/^$engine //p" "$list")
  if [ -z "$package" ]; then
    echo "sds-install-engines: no engine '$engine'; there is: $(sed -n 's/^\([a-z]*\) .*/\1/p' "$list" | tr '\n' ' ')" >&2
    exit 2
  fi
  wanted+=("$package")
done
# Installed already? Then this is quick and needs no network.
if [ -x "$venv/bin/python" ] && "$venv/bin/python" - "${wanted[@]}" <<'PY'
import sys
from importlib.metadata import PackageNotFoundError, version
try:
    sys.exit(any(version(w.split("==")[0]) != w.split("==")[1] for w in sys.argv[1:]))
except PackageNotFoundError:
    sys.exit(1)
PY
then
  exit 0
fi
# Debian's own interpreter where there is one: others on the PATH may be too new for the engines' wheels.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
if ! "$python" -c 'import ensurepip' 2> /dev/null; then
  echo "sds-install-engines: python3-venv is missing; on Debian: apt-get install python3-venv" >&2
  exit 4
fi
echo "installing ${wanted[*]} into $venv"
mkdir -p "$(dirname "$venv")"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check "${wanted[@]}"
