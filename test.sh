#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests. Safe to run again: quick the second time.
set -euo pipefail
cd "$(dirname "$0")"
cmake/install-packages.sh build test
cmake --preset release > build.log 2>&1 || { cat build.log; exit 1; }
rm -f build.log
cmake --build --preset release
ctest --preset release -j "$(nproc)"
