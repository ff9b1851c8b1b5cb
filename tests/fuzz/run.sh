#!/usr/bin/env bash
# Runs every fuzzer for a while: run.sh BIN_DIR SECONDS_EACH [SEED]. What makes one fail is left in the current directory.
# The seed is 1 unless told, so that what passed once passes again; a search for new faults wants another (0: any).
set -euo pipefail
bin=$1
seconds=$2
seed=${3:-1}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 "$here/make_seeds.py" "$bin/sds" "$work"
one() {
  local name log
  name=$(basename "$1")
  log=$work/$name.log
  if ! "$1" -seed="$seed" -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=2048 -timeout=20 -print_final_stats=1 \
    "$work/${name#fuzz_}" > "$log" 2>&1; then
    tail -n 40 "$log"
    return 1
  fi
  printf '%-16s %s\n' "$name" "$(sed -n 's/stat::number_of_executed_units: */runs: /p' "$log")"
}
export -f one
export work seconds seed
printf '%s\0' "$bin"/fuzz_* | xargs -0 -P "$(nproc)" -n 1 bash -c 'one "$0"'
