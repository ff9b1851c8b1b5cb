#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests. Safe to run again: quick the second time.
set -euo pipefail
cd "$(dirname "$0")"
cmake/install-packages.sh build engines test
cmake --preset release > build.log 2>&1 || { cat build.log; exit 1; }
rm -f build.log
cmake --build --preset release
# Models are tested in real engines; where they cannot be installed, those tests are skipped and say so.
build/release/bin/sds-install-engines tflm litert || echo "the inference engines could not be installed"
ctest --preset release -j "$(nproc)"
