#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests. Safe to run again: quick the second time.
set -euo pipefail
cd "$(dirname "$0")"
cmake/install-packages.sh build engines plot test speech
cmake/configure-release.sh
cmake --build --preset release
# Models are tested in real engines; where they cannot be installed, those tests are skipped and say so.
build/release/bin/sds-install-engines tflm litert onnx || echo "the inference engines could not be installed"
# Exports are read back with the formats' own libraries, in an environment of the tests.
cmake/install-test-python.sh || echo "the formats' own libraries could not be installed: tests of exports and imports are skipped"
ctest --preset release -j "$(($(nproc) + 1))"  # some wait, for devices and time limits
