"""What the scripts that write models have in common: TensorFlow in an environment of its own, and --check."""
import os
import subprocess
import sys
import tempfile

TENSORFLOW = "tensorflow-cpu==2.21.0"


def run_in_own_environment():
    """Runs this script once more where TensorFlow (1.6 GB) has been installed for it, and exits as that does."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = os.path.join(folder, "bin", "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", TENSORFLOW], check=True)
        sys.exit(subprocess.run([python, os.path.abspath(sys.argv[0])] + sys.argv[1:]).returncode)


def write_or_check(path, model, check):
    """Writes the model, or exits with 0 where the file at `path` is it and with 1 where it is another one."""
    name = os.path.basename(path)
    if check:
        with open(path, "rb") as f:
            same = f.read() == model
        print(f"the committed {name} is what this script writes" if same else f"{name} differs")
        sys.exit(0 if same else 1)
    with open(path, "wb") as f:
        f.write(model)
    print("%s: %d bytes" % (name, len(model)))
