#!/usr/bin/env python3
"""Makes the fuzzers' seed inputs: make_seeds.py SDS_PROGRAM OUT_DIR"""
import os
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MOTION = os.path.join(HERE, "..", "..", "data", "motion")


def write_imports(sds, plain, out):
    """One file of each format that is imported, behind the byte that chooses it (fuzz_import.cpp)."""
    yaml = os.path.join(MOTION, "Imu.sds.yml")
    for number, (form, name) in enumerate((("csv", "a.csv"), ("qeexo", "b.csv"), ("edge-impulse", "c.json"), ("mcap", "d.mcap"))):
        path = os.path.join(out, name)
        subprocess.run([sds, "export", form, plain, "-y", yaml, "-o", path], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        with open(path, "rb") as f:
            content = f.read()
        with open(path, "wb") as f:
            f.write(bytes([number]) + content)
    with open(os.path.join(out, "cbor"), "wb") as f:
        f.write(b"\2\xa1\x67payload\xa3\x6binterval_ms\x0a\x67sensors\x81\xa1\x64name\x61x\x66values\x82\x81\x01\x81\xf9\x3c\x00")

    def chunk(tag, content):
        return struct.pack("<BIH", 4, len(content) + 2, tag) + content

    header = (b"<info><name>E</name><channel_count>2</channel_count><nominal_srate>100</nominal_srate>"
              b"<channel_format>int16</channel_format></info>")
    with open(os.path.join(out, "xdf"), "wb") as f:
        f.write(b"\4XDF:" + chunk(2, struct.pack("<I", 1) + header) + chunk(4, struct.pack("<Idd", 1, 1.0, 0.5))
                + chunk(3, struct.pack("<IBB", 1, 1, 2) + struct.pack("<Bdhh", 8, 1.5, 1, 2) + struct.pack("<Bhh", 0, 3, 4)))


def main():
    sds, out = sys.argv[1:3]
    for name in ("column", "import", "metadata", "plain", "recording", "sdsio", "text"):
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
    write_imports(sds, plain, os.path.join(out, "import"))
    for name, text in (("labels", b"\0labels:\n  version: 1\n  classes: [a, b]\n  intervals:\n    - {class: a, begin: 1, end: 20, "
                                  b"from: 0.001, stream: Imu, author: me, confidence: 0.5, note: \"x: y\"}\n"),
                       ("audacity", b"\x011.5\t2.5\twalk\n\\\t100\t200\n3\t4\trest\n"),
                       ("csv", b"\2class,from,to,stream,author,confidence,note\nwalk,1,2,,me,0.5,\"a, b\"\n"),
                       ("condition", b"\3not (abs(ax) > 2 and `b c` / 3 <= -1e3 * sqrt(d[2])) or min(a, b.c) != 4")):
        with open(os.path.join(out, "text", name), "wb") as f:
            f.write(text)
    with open(os.path.join(out, "sdsio", "session"), "wb") as f:
        f.write(b"\x20" + struct.pack("<IIII", 1, 0, 1, 3) + b"Imu" + struct.pack("<IIII", 3, 1, 0, 64) + blocks[:64]
                + struct.pack("<IIII", 2, 1, 0, 0))


if __name__ == "__main__":
    main()
