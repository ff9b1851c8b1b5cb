"""Runs a test module under the Python environment that has the formats' own libraries, or skips it with a message."""
import importlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.environ.get("SDSKIT_TEST_PYTHON",
                        os.path.join(HERE, "..", "..", "build", "test-python", "bin", "python"))


def use(*modules):
    """Goes on only where h5py and the others, or the `modules` that are named, can be imported."""
    try:
        for module in modules or ("cbor2", "h5py", "mcap", "numpy", "pyxdf", "soundfile", "yaml"):
            importlib.import_module(module)
    except ImportError as missing:
        if os.path.exists(PYTHON) and os.environ.get("SDSKIT_PEERS") != "1":
            os.environ["SDSKIT_PEERS"] = "1"
            os.execv(PYTHON, [PYTHON, *sys.argv])
        print(f"skipped: {missing}; ./test.sh installs the libraries that the exports are read back with")
        sys.exit(77)
