#!/usr/bin/env bash
# Measures everything on a RAM disk and writes bench/RESULTS.md (and RESULTS.json): bench/run.sh [FOLDER OF .sds FILES]
# Without a folder, the codecs are measured on recordings of the simulated device.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake/install-packages.sh build test
cmake --preset release > /dev/null
cmake --build --preset release --target sds-bench sds sds-sim-device | tail -n 1
bin=$PWD/build/release/bin
work=$(mktemp -d -p /dev/shm sds-bench-XXXXXX)
trap 'rm -rf "$work"' EXIT
data=${1:-}
if [ -z "$data" ]; then
  data=$work/data
  mkdir "$data"
  cp data/motion/*.sds.yml "$data"
  "$bin/sds" serve socket --port 5951 --workdir "$data" --format sds --sessions 1 --quiet > /dev/null &
  "$bin/sds-sim-device" --port 5951 --seconds 1200 --speed max > /dev/null
  wait
fi
{
  echo "# Results"
  echo
  echo "Written by \`bench/run.sh${1:+ FOLDER}\` on $(date -u +%Y-%m-%d)."
  echo "CPU: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores, shared with others; $(c++ --version | head -n 1)."
  echo "Compare the figures within a table: they come from one run, in turn."
  echo
  "$bin/sds-bench" tools --data "$work" --json "$work/tools.json"
  "$bin/sds-bench" datasets --data "$work" --json "$work/datasets.json"
  "$bin/sds-bench" replay --data "$work" --json "$work/replay.json"
  "$bin/sds-bench" serve --json "$work/serve.json"
  "$bin/sds-bench" codecs --data "$data" --json "$work/codecs.json"
} > "$work/RESULTS.md"
mv "$work/RESULTS.md" bench/RESULTS.md
python3 - "$work" bench/RESULTS.json <<'PY'
import json, sys
tables = []
for name in ("tools", "datasets", "replay", "serve", "codecs"):
    with open(f"{sys.argv[1]}/{name}.json") as f:
        tables += json.load(f)
with open(sys.argv[2], "w") as f:
    json.dump(tables, f, indent=1)
    f.write("\n")
PY
cat bench/RESULTS.md
