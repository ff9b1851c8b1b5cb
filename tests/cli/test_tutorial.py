"""docs/tutorial.md: every command as it stands there, in a folder like the project's, and what it says that is printed."""
import os
import re
import shutil
import subprocess
import sys
import unittest

import peers

from harness import ADDRESS_SANITIZER, BUILD, SOURCE, THREAD_SANITIZER, Case, engine, main

peers.use("numpy")  # for speak.py


def told(text):
    """Without what differs from machine to machine and from run to run: times, memory, and fingerprints of sounds, whose last
    bits are those of NumPy's Fourier transform."""
    text = re.sub(r"\b[0-9a-f]{16}(?:[0-9a-f]{16})?\b", "FINGERPRINT", text)
    text = re.sub(r"[\d.,]+(?= (?:us|ms|MB|times real time|executions)\b)", "#", text)
    lines = [re.sub(r"[\d.,]+", "#", line) if re.match(r"(?:arena|engine) ", line) else line for line in text.splitlines()]
    return [re.sub(r"\s+", " ", line).strip() for line in lines]


@unittest.skipIf(shutil.which("espeak-ng") is None, "espeak-ng is not there")
@unittest.skipIf(ADDRESS_SANITIZER or THREAD_SANITIZER, "the answers are looked at where it is fast")
@engine("tflm")
class Tutorial(Case):
    def test_every_command_prints_what_the_page_says(self):
        with open(os.path.join(SOURCE, "docs", "tutorial.md")) as f:
            blocks = re.findall(r"^```(sh|text)\n(.*?)^```$", f.read(), re.M | re.S)
        shutil.copytree(os.path.join(SOURCE, "data"), self.path("data"))
        os.symlink(os.path.join(SOURCE, "cmake"), self.path("cmake"))
        os.makedirs(self.path("build"))
        os.symlink(BUILD, self.path("build", "release"))
        # speak.py runs in the Python of the tests, which has NumPy.
        environment = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{BUILD}/bin:{os.environ['PATH']}"}
        self.maxDiff = None
        self.assertGreater(len(blocks), 15)
        self.assertIn("install-packages.sh", blocks[0][1])  # what is there already
        printed = ""
        for kind, text in blocks[1:]:
            if kind == "text":
                self.assertEqual(told(printed), told(text))
                continue
            done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", text], cwd=self.folder.name, env=environment, timeout=300,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(done.returncode, 0, text + done.stdout)
            printed = done.stdout


main()
