#!/usr/bin/env python3
"""Trains the example algorithm's network and writes motion_model.h.

usage: train_motion.py [--seed N] [--check]

The data are blocks of the simulated IMU (recorder/device/host/sim_signals.c) and the features are those of the
algorithm itself (motion_features.c): both are compiled here with `cc` and called, so nothing is written twice.
Plain Python, no packages. --check trains and compares with the committed header instead of writing it.
"""
import argparse
import ctypes
import math
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
HOST = os.path.join(HERE, "..", "..", "recorder", "device", "host")
CLASSES = ["idle", "walk", "shake", "rotate"]
FEATURES, HIDDEN = 18, 12
FRAMES = 160


def load_library(folder):
    library = os.path.join(folder, "motion_training.so")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-I", HOST, "-I", HERE, "-o", library,
                    os.path.join(HOST, "sim_signals.c"), os.path.join(HERE, "motion_features.c")], check=True)
    return ctypes.CDLL(library)


def make_data(library, seeds, seconds):
    """Lists of (smoothed int8 features, class) as the algorithm sees them; blocks where the motion changes are left out."""
    data = []
    block = (ctypes.c_int16 * (6 * FRAMES))()
    features = (ctypes.c_int8 * FEATURES)()
    changed = ctypes.c_int()
    state = ctypes.create_string_buffer(256)
    for seed in seeds:
        library.sim_imu_init(state, ctypes.c_uint64(seed))
        smoothed = None
        since_change = 0
        for _ in range(seconds * 10):
            motion = library.sim_imu_block(state, block, FRAMES, ctypes.byref(changed))
            library.motion_features(block, FRAMES, features)
            fresh = [16 * f for f in features]
            smoothed = fresh if smoothed is None else [s + int((f - s) / 4) for s, f in zip(smoothed, fresh)]
            since_change = 0 if changed.value else since_change + 1
            if since_change >= 4:
                data.append(([int(s / 16) for s in smoothed], motion))
    return data


def train(data, rng):
    """Plain stochastic gradient descent on a float network with inputs / 64."""
    w1 = [[rng.gauss(0, math.sqrt(2 / FEATURES)) for _ in range(FEATURES)] for _ in range(HIDDEN)]
    b1 = [0.1] * HIDDEN
    w2 = [[rng.gauss(0, math.sqrt(1 / HIDDEN)) for _ in range(HIDDEN)] for _ in range(len(CLASSES))]
    b2 = [0.0] * len(CLASSES)
    samples = [([f / 64 for f in x], y) for x, y in data]
    for epoch in range(14):
        rng.shuffle(samples)
        rate = 0.02 * (0.75 ** epoch)
        for x, y in samples:
            h = [max(0.0, b + sum(w * v for w, v in zip(row, x))) for row, b in zip(w1, b1)]
            z = [b + sum(w * v for w, v in zip(row, h)) for row, b in zip(w2, b2)]
            top = max(z)
            e = [math.exp(v - top) for v in z]
            total = sum(e)
            g = [v / total - (i == y) for i, v in enumerate(e)]
            gh = [sum(g[c] * w2[c][i] for c in range(len(CLASSES))) if h[i] > 0 else 0.0 for i in range(HIDDEN)]
            for c, gc in enumerate(g):
                step = rate * gc
                w2[c] = [w - step * v for w, v in zip(w2[c], h)]
                b2[c] -= step
            for i, gi in enumerate(gh):
                if gi:
                    step = rate * gi
                    w1[i] = [w - step * v for w, v in zip(w1[i], x)]
                    b1[i] -= step
    return w1, b1, w2, b2


def quantise(w1, b1, w2, b2, data):
    """int8 weights with power-of-two steps; hidden values are 8-bit. Scores come out in 1/256."""
    q1 = 2 ** math.floor(math.log2(127 / max(abs(w) for row in w1 for w in row)))
    peak = max(b + sum(w * f / 64 for w, f in zip(row, x)) for x, _ in data for row, b in zip(w1, b1))
    h_scale = 2 ** math.floor(math.log2(255 / peak))      # hidden integer = value * h_scale
    q2 = 2 ** math.floor(math.log2(127 / max(abs(w) for row in w2 for w in row)))
    shift1 = int(math.log2(q1 * 64 / h_scale))
    shift2 = int(math.log2(q2 * h_scale / 256))
    if shift1 < 1 or shift2 < 1:
        raise SystemExit("the weights do not suit the quantisation: train with another seed")
    return ([[round(w * q1) for w in row] for row in w1], [round(b * q1 * 64) for b in b1], shift1,
            [[round(w * q2) for w in row] for row in w2], [round(b * q2 * h_scale) for b in b2], shift2)


def infer(model, x):
    w1, b1, s1, w2, b2, s2 = model
    h = [min(255, max(0, (b + sum(w * v for w, v in zip(row, x)) + (1 << (s1 - 1))) >> s1)) for row, b in zip(w1, b1)]
    z = [(b + sum(w * v for w, v in zip(row, h)) + (1 << (s2 - 1))) >> s2 for row, b in zip(w2, b2)]
    return max(range(len(z)), key=lambda i: z[i])


def header(model, accuracy):
    w1, b1, s1, w2, b2, s2 = model

    def matrix(rows):
        return "{\n" + ",\n".join("    {" + ", ".join(map(str, r)) + "}" for r in rows) + "}"

    return f"""/* Written by train_motion.py; do not edit. Accuracy on simulated recordings that it was not trained on: {accuracy:.1%}. */
#ifndef MOTION_MODEL_H
#define MOTION_MODEL_H

#include <stdint.h>

#define MOTION_CLASSES {len(CLASSES)} /* {', '.join(CLASSES)} */
#define MOTION_HIDDEN {HIDDEN}
#define MOTION_HIDDEN_SHIFT {s1}
#define MOTION_OUTPUT_SHIFT {s2} /* scores come out in steps of 1/256 */

static const int8_t motion_hidden_weights[MOTION_HIDDEN][{FEATURES}] = {matrix(w1)};
static const int32_t motion_hidden_bias[MOTION_HIDDEN] = {{{', '.join(map(str, b1))}}};
static const int8_t motion_output_weights[MOTION_CLASSES][MOTION_HIDDEN] = {matrix(w2)};
static const int32_t motion_output_bias[MOTION_CLASSES] = {{{', '.join(map(str, b2))}}};

#endif
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="compare with the committed header; exit 1 if it differs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = load_library(folder)
        training = make_data(library, range(1000, 1024), 60)
        test = make_data(library, range(2000, 2008), 60)
    rng = random.Random(args.seed)
    weights = train(training, rng)
    model = quantise(*weights, training)
    accuracy = sum(infer(model, x) == y for x, y in test) / len(test)
    text = header(model, accuracy)
    print(f"{len(training)} blocks to train, {len(test)} to test: accuracy of the int8 network {accuracy:.1%}")
    path = os.path.join(HERE, "motion_model.h")
    if args.check:
        with open(path, encoding="ascii") as f:
            same = f.read() == text
        print("the committed motion_model.h is what this script writes" if same else "motion_model.h differs")
        sys.exit(0 if same else 1)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


if __name__ == "__main__":
    main()
