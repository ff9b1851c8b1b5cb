#!/usr/bin/env python3
"""An algorithm in Python: the mean square of each block of int16 samples, smoothed over blocks.

    sds replay REC --worker "python3 example_worker.py" --in Microphone -o out.sdsz
"""
import array
import struct

import sds_worker

state = {"smoothed": 0.0}


def reset():
    state["smoothed"] = 0.0


def execute(block):
    if len(block.data) % 2 != 0:
        raise sds_worker.Failure(1, "a block of %d bytes is no whole number of int16 samples" % len(block.data))
    samples = array.array("h", bytes(block.data))
    power = sum(s * s for s in samples) / len(samples)
    state["smoothed"] += (power - state["smoothed"]) / 8
    return [struct.pack("<f", state["smoothed"])]


METADATA = """sds:
  name: Power
  content:
    - {value: power, type: float}
"""

sds_worker.run(["audio"], [{"name": "Power", "bytes": 4, "metadata": METADATA}], execute, reset)
