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
for fuzzer in "$bin"/fuzz_*; do
  name=$(basename "$fuzzer")
  if ! "$fuzzer" -seed="$seed" -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=2048 -timeout=20 -print_final_stats=1 \
    "$work/${name#fuzz_}" > "$work/log" 2>&1; then
    tail -n 40 "$work/log"
    exit 1
  fi
  printf '%-16s %s\n' "$name" "$(sed -n 's/stat::number_of_executed_units: */runs: /p' "$work/log")"
done
