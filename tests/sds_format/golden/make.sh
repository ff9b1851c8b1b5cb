#!/usr/bin/env bash
# How golden/v1.sdsz and v2.sdsz were made. Not run again: they must stay as the first version of their format wrote them.
# make.sh SDS_PROGRAM
set -euo pipefail
cd "$(dirname "$0")"
python3 - <<'PY'
import math, random, struct
random.seed(1)
def plain(name, blocks):
    with open(name, "wb") as f:
        for t, d in blocks:
            f.write(struct.pack("<II", t & 0xFFFFFFFF, len(d)) + d)
imu = [(2**32 - 500 + 12 * i, b"".join(struct.pack("<3hB", int(2000 * math.sin((i * 20 + k) / 40)) + random.randint(-4, 4),
       random.randint(-30000, 30000), i * k % 7, i % 2) for k in range(20))) for i in range(300)]
imu[100] = (imu[100][0], imu[100][1][:-3])
imu[101] = (imu[101][0], b"")
plain("v1.imu.0.sds", imu)
plain("v1.slow.0.sds", [(100 * i, struct.pack("<fd", round(20 + math.sin(i / 50), 2), i * 0.125)) for i in range(900)])
plain("v1.opaque.x.p.sds", [(5, b"odd"), (4, b""), (4, bytes(range(256)))])
PY
cat > v1.imu.sds.yml <<'YAML'
sds:
  name: v1.imu
  sample-frequency: 1600
  content:
    - {value: x, type: int16_t}
    - {value: y, type: int16_t}
    - {value: z, type: int16_t}
    - {value: flag, type: "uint8_t:1"}
YAML
cat > v1.slow.sds.yml <<'YAML'
sds:
  name: v1.slow
  content:
    - {value: temperature, type: float}
    - {value: position, type: double}
YAML
"$1" pack v1.imu.0.sds v1.slow.0.sds v1.opaque.x.p.sds -o v2.sdsz --level 2 --force
