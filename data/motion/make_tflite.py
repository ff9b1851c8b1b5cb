#!/usr/bin/env python3
"""Writes motion.tflite: the network of motion_model.h as an int8 TensorFlow Lite model.

usage: make_tflite.py [--check]

The weights are those that train_motion.py learned; the ranges of the activations come from simulated recordings that it
trained on. TensorFlow (1.6 GB) is installed into a temporary environment, unless this Python has it already.
--check compares with the committed model instead of writing it.
"""
import argparse
import os
import re
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))

from tensorflow_script import run_in_own_environment, write_or_check



def read_header():
    """The integer network: (arrays by name, shifts by name)."""
    with open(os.path.join(HERE, "motion_model.h"), encoding="ascii") as f:
        text = f.read()
    arrays = {name: [int(n) for n in re.findall(r"-?\d+", body)]
              for name, body in re.findall(r"(motion_\w+)\[[^=]*= (\{.*?\});", text, re.DOTALL)}
    shifts = {name: int(n) for name, n in re.findall(r"#define MOTION_(\w+)_SHIFT (\d+)", text)}
    return arrays, shifts


def convert(tensorflow, numpy):
    sys.path.insert(0, HERE)
    import train_motion
    arrays, shifts = read_header()
    inputs, hidden, classes = train_motion.FEATURES, train_motion.HIDDEN, len(train_motion.CLASSES)
    # As real numbers: hidden values as the C code has them, scores in the units of its output stream.
    to_hidden = 1 / 2 ** shifts["HIDDEN"]
    to_score = 1 / 2 ** shifts["OUTPUT"] / 256
    layers = [
        (arrays["motion_hidden_weights"], arrays["motion_hidden_bias"], (inputs, hidden), to_hidden),
        (arrays["motion_output_weights"], arrays["motion_output_bias"], (hidden, classes), to_score),
    ]
    model = tensorflow.keras.Sequential([
        tensorflow.keras.Input((inputs,), name="features"),
        tensorflow.keras.layers.Dense(hidden, activation="relu", name="hidden"),
        tensorflow.keras.layers.Dense(classes, name="scores"),
    ])
    for layer, (weights, bias, shape, scale) in zip(model.layers, layers):
        matrix = numpy.array(weights, numpy.float32).reshape(shape[1], shape[0]).T
        layer.set_weights([matrix * scale, numpy.array(bias, numpy.float32) * scale])
    with tempfile.TemporaryDirectory() as folder:
        data = train_motion.make_data(train_motion.load_library(folder), range(1000, 1004), 60)

    def samples():
        for features, _ in data[::3]:
            yield [numpy.array([features], numpy.float32)]

    converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tensorflow.int8
    return converter.convert()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed model; exit 1 if it differs")
    args = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import numpy
        import tensorflow
    except ImportError:
        run_in_own_environment()
    model = convert(tensorflow, numpy)
    write_or_check(os.path.join(HERE, "motion.tflite"), model, args.check)


if __name__ == "__main__":
    main()
