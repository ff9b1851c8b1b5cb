#!/usr/bin/env python3
"""Trains the keyword spotter's network on spoken words and writes keyword.tflite.

usage: train_keyword.py [--sds PROGRAM] [--recordings FOLDER] [--check]

The recordings are those of `speak.py training` (made in a temporary folder unless --recordings names one that has them),
their features those of `sds replay` with features.yml, the labelled windows those of `sds export npz`. TensorFlow (1.6 GB)
is installed into a temporary environment, unless this Python has it already. --check compares with the committed model
instead of writing it. Takes some ten minutes of a processor.
"""
import argparse
import glob
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))

from tensorflow_script import run_in_own_environment, write_or_check

CLASSES = ["silence", "other", "yes", "no", "start", "stop"]
FRAMES, BANDS = 49, 20
SEED, EPOCHS, BATCH = 1, 30, 128

# One thread, and Eigen's own kernels: sums in one order, whatever the machine has.
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0", CUDA_VISIBLE_DEVICES="", KERAS_BACKEND="tensorflow")


def make_windows(sds, recordings, folder):
    """Windows of features and their classes: x of (windows, FRAMES, BANDS) as int8 values, y of (windows,)."""
    import numpy
    features = []
    for name in sorted(glob.glob(os.path.join(recordings, "*.sdsz"))):
        out = os.path.join(folder, os.path.basename(name))
        subprocess.run([sds, "replay", name, "--pipeline", os.path.join(HERE, "features.yml"), "--out-yaml",
                        os.path.join(HERE, "Features.sds.yml"), "-o", out], check=True, stdout=subprocess.DEVNULL)
        shutil.copy(name[:-5] + ".labels.yml", out[:-5] + ".labels.yml")
        features.append(out)
    if not features:
        sys.exit("there are no recordings in " + recordings)
    dataset = os.path.join(folder, "dataset")
    subprocess.run([sds, "export", "npz", *features, "-s", "Features", "--window", "0.98s", "--stride", "60ms",
                    "-o", dataset], check=True)
    with numpy.load(os.path.join(dataset, "train.npz")) as data:
        names = [str(c) for c in data["classes"]]
        order = numpy.array([CLASSES.index(n) for n in names])
        return data["x"], order[data["y"]]


def make_network(keras, batch=None):
    """Convolutions of 8 x 4, then depthwise and pointwise ones: about 0.4 million multiplications a window."""
    def normalised(x):
        return keras.layers.ReLU()(keras.layers.BatchNormalization()(x))

    inputs = keras.Input((FRAMES * BANDS,), batch, name="features")
    x = keras.layers.Reshape((FRAMES, BANDS, 1))(inputs)
    x = normalised(keras.layers.Conv2D(16, (8, 4), (2, 2), padding="same", use_bias=False)(x))
    for filters, stride in ((24, 2), (32, 2), (32, 1)):
        x = normalised(keras.layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x))
        x = normalised(keras.layers.Conv2D(filters, 1, use_bias=False)(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2, seed=SEED)(x)
    return keras.Model(inputs, keras.layers.Dense(len(CLASSES), activation="softmax", name="scores")(x))


def train(tensorflow, numpy, x, y):
    keras = tensorflow.keras
    keras.utils.set_random_seed(SEED)
    tensorflow.config.experimental.enable_op_determinism()
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    counts = numpy.bincount(y, minlength=len(CLASSES))
    print("windows:", ", ".join("%d %s" % (n, c) for n, c in zip(counts, CLASSES)))
    # Each word weighs the same, silence twice as much, all else five times: most of what is heard is no word.
    share = numpy.array([2, 5, 1, 1, 1, 1]) / counts
    weights = (share / numpy.sum(share * counts) * len(y))[y].astype("float32")
    model = make_network(keras)
    steps = EPOCHS * (len(y) // BATCH)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.004, steps)),
                  "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    rng = numpy.random.Generator(numpy.random.PCG64(SEED))
    for epoch in range(EPOCHS):
        order = rng.permutation(len(y))[:len(y) // BATCH * BATCH]
        # Other loudness (steps of 0.75 dB), other microphones (a tilt over the bands), a band or a moment that is masked.
        louder = rng.integers(-12, 13, (len(order), 1, 1)) + rng.uniform(-0.4, 0.4, (len(order), 1, 1)) * (
            numpy.arange(BANDS) - BANDS / 2)
        heard = numpy.rint(x[order].reshape(-1, FRAMES, BANDS) + louder)
        for row in heard[::3]:
            at, wide = rng.integers(0, BANDS), rng.integers(1, 4)
            row[:, at:at + wide] = row.mean()
        heard = numpy.clip(heard, -128, 127).reshape(len(order), -1).astype("float32")
        told = model.fit(heard, y[order], BATCH, sample_weight=weights[order], shuffle=False, verbose=0).history
        print("epoch %d: loss %.4f, accuracy %.4f" % (epoch + 1, told["loss"][0], told["accuracy"][0]), flush=True)
    return model


def convert(tensorflow, numpy, model, x):
    """To int8, input and output, too. Each sample has -128 and 127 in a corner, so that the input's values are the features."""
    def samples():
        for window in x[::max(1, len(x) // 400)]:
            features = window.reshape(1, -1).astype(numpy.float32)
            features[0, 0], features[0, -1] = -128, 127
            yield [features]

    # One window at a time, as it runs: of any number there would be operators that count them.
    single = make_network(tensorflow.keras, 1)
    single.set_weights(model.get_weights())
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(single)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tensorflow.int8
    return converter.convert()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sds", default="sds", help="the program (default: the one in the PATH)")
    parser.add_argument("--recordings", help="the folder that `speak.py training` has filled")
    parser.add_argument("--check", action="store_true", help="compare with the committed model; exit 1 if it differs")
    args = parser.parse_args()
    try:
        import numpy
        import tensorflow
    except ImportError:
        run_in_own_environment()
    with tempfile.TemporaryDirectory() as folder:
        recordings = args.recordings
        if not recordings:
            recordings = os.path.join(folder, "recordings")
            subprocess.run([sys.executable, os.path.join(HERE, "speak.py"), "training", recordings, "--sds", args.sds],
                           check=True)
        x, y = make_windows(args.sds, recordings, folder)
    model = convert(tensorflow, numpy, train(tensorflow, numpy, x, y), x)
    write_or_check(os.path.join(HERE, "keyword.tflite"), model, args.check)


if __name__ == "__main__":
    main()
