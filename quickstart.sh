#!/usr/bin/env bash
# From nothing to a replayed recording: installs what is missing, builds, then records from a simulated device,
# checks, replays, compares and exports. Everything it writes is in build/ and quickstart-data/.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
run() { printf '\033[32m$ %s\033[0m\n' "$*"; "$@"; }

say "1. Install and build"
cmake/install-packages.sh build engines
# The release build without tests and benchmark; ./test.sh goes on from here and adds them.
cmake/configure-release.sh -DSDSKIT_BUILD_TESTS=OFF -DSDSKIT_BUILD_BENCH=OFF
if ! cmake --build --preset release > build/quickstart.log 2>&1; then
  cat build/quickstart.log
  exit 1
fi
bin=build/release/bin
echo "built $bin/sds"

data=quickstart-data
rm -rf "$data"
mkdir "$data"
cp data/motion/*.sds.yml "$data"

say "2. Record: a simulated device streams an IMU, a microphone and a thermometer over SDSIO/TCP"
echo "It also runs the example algorithm on its own IMU data and streams the outputs (ML_Out)."
"$bin/sds" serve socket --port 0 --workdir "$data" --sessions 1 > "$data/serve.txt" 2> "$data/serve.log" &
server=$!
trap 'kill $server 2> /dev/null || true' EXIT
for _ in $(seq 100); do grep -q '^listening' "$data/serve.txt" && break; sleep 0.05; done
port=$(sed -n 's/^listening on [0-9.]*:\([0-9]*\),.*/\1/p' "$data/serve.txt")
printf '\033[32m$ %s\033[0m\n' "$bin/sds serve socket --port $port --workdir $data --sessions 1 &"
cat "$data/serve.txt"
run "$bin/sds-sim-device" --port "$port" --seconds 60 --seed 7 --speed max
wait $server
trap - EXIT
cat "$data/serve.log"
recording=$data/recording.0.sdsz

say "3. Look at the recording, and check that it is sound"
run "$bin/sds" info "$recording"
run "$bin/sds" check "$recording"

say "4. Replay it into the algorithm, twice: the fingerprints must be equal"
run "$bin/sds" replay "$recording" --algorithm build/release/lib/motion.so --in Imu --out ML_Out:9 \
  -o "$data/replayed.sdsz" --repeat 2

say "5. Compare the outputs with those that the device recorded live"
run "$bin/sds" compare "$data/replayed.sdsz" "$recording" --stream ML_Out

say "6. The same network as a TensorFlow Lite model, in the interpreter that runs on microcontrollers"
if "$bin/sds-install-engines" tflm; then
  run "$bin/sds" model info data/motion/motion.tflite
  run "$bin/sds" replay "$recording" --in Imu --out ML_Out:9 --a build/release/lib/motion.so --b data/motion.yml \
    --tolerance 0.34 --channel idle --channel walk --channel shake --channel rotate

  say "7. Both as a test suite, with a report"
  run "$bin/sds" test data/motion-suite.yml --html "$data/report.html" --junit "$data/junit.xml"
  echo "the report is $data/report.html"
else
  echo "The engine could not be installed; steps 6 and 7 are left out."
fi

say "8. Label it by the scores, look for what happened, and draw it"
run "$bin/sds" label auto "$recording" --scores ML_Out --score-channel idle --score-channel walk --score-channel shake \
  --score-channel rotate --min-duration 1
run "$bin/sds" label list "$recording"
run "$bin/sds" query "$recording" "abs(ax) > 1" --merge-gap 1 --explain
run "$bin/sds" plot "$recording" -o "$data/plot.html"

say "9. Export it: a table for each stream, and labelled windows for training"
run "$bin/sds" export csv "$recording" -o "$data/csv"
run head -n 4 "$data/csv/ML_Out.csv"
run "$bin/sds" export npz "$recording" -s Imu --window 2s --stride 500ms -o "$data/dataset"

say "Done"
echo "The recording is $recording; 'sds --help' lists the commands, README.md goes on from here."
