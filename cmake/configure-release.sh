#!/usr/bin/env bash
# Configures the release build; options are passed on to CMake. A first build joins sources, which takes half of the time;
# whoever works on them configures without (docs/contributing.md). Says nothing unless it fails.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f build/release/CMakeCache.txt ] && unity=() || unity=(-DCMAKE_UNITY_BUILD=ON)
mkdir -p build
cmake --preset release "${unity[@]}" "$@" > build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
rm build/configure.log
