#!/usr/bin/env python3
"""Makes the fuzzers' seed inputs: make_seeds.py SDS_PROGRAM OUT_DIR"""
import os
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MOTION = os.path.join(HERE, "..", "..", "data", "motion")


def main():
    sds, out = sys.argv[1:3]
    for name in ("column", "metadata", "plain", "recording", "sdsio"):
        os.makedirs(os.path.join(out, name), exist_ok=True)
    blocks = b"".join(struct.pack("<II12h", i * 10, 24, *((i * k * 7) % 200 - 100 for k in range(12))) for i in range(60))
    plain = os.path.join(out, "plain", "Imu.0.sds")
    with open(plain, "wb") as f:
        f.write(blocks)
    for yaml in sorted(os.listdir(MOTION)):
        if yaml.endswith(".yml"):
            with open(os.path.join(MOTION, yaml), "rb") as f, open(os.path.join(out, "metadata", yaml), "wb") as g:
                g.write(f.read())
    for level in "012":
        subprocess.run([sds, "pack", plain, "-y", os.path.join(MOTION, "Imu.sds.yml"), "-o",
                        os.path.join(out, "recording", f"{level}.sdsz"), "--level", level, "--section-kib", "16", "-f"],
                       check=True, stdout=subprocess.DEVNULL)
    for kind in range(12):
        with open(os.path.join(out, "column", str(kind)), "wb") as f:
            f.write(bytes([kind, kind, 1, kind % 3, 100, 0, 0, 0]) + blocks)
    with open(os.path.join(out, "sdsio", "session"), "wb") as f:
        f.write(b"\x20" + struct.pack("<IIII", 1, 0, 1, 3) + b"Imu" + struct.pack("<IIII", 3, 1, 0, 64) + blocks[:64]
                + struct.pack("<IIII", 2, 1, 0, 0))


if __name__ == "__main__":
    main()
