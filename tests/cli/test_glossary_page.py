"""docs/glossary.md: messages that it explains are ones that are printed, and exit codes are those that come."""
import os
import re
import struct
import subprocess
import unittest

from harness import SDS, SOURCE, Case, main, plain, run

METADATA = "sds:\n  name: A\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n"


class Glossary(Case):
    def setUp(self):
        super().setUp()
        with open(os.path.join(SOURCE, "docs", "glossary.md")) as f:
            self.page = f.read()
        self.write("A.sds.yml", METADATA)
        self.write("A.0.sds", plain(*((10 * i, struct.pack("<h", i)) for i in range(100))))
        run("pack", self.path("A.0.sds"), "-o", self.path("a.sdsz"))

    def messages(self):
        """What stands in code type in the first column of the last table, without names of this example."""
        table = self.page[self.page.index("## When"):]
        found = [m for row in re.findall(r"^\| (`.*?) \|", table, re.M) for m in re.findall(r"`([^`]+)`", row)]
        return [m for m in found if not m.startswith(("sds ", "replay ", "sample-"))]

    def test_each_message_is_one_of_the_programs(self):
        text = ""
        for folder in ("tools", "sds_format", "player", "inference_bridge", "recorder"):
            for where, _, names in os.walk(os.path.join(SOURCE, folder)):
                for name in names:
                    if name.endswith((".cpp", ".hpp")):
                        with open(os.path.join(where, name)) as f:
                            text += f.read()
        text = re.sub(r'"\s*\n\s*"', "", text)
        self.assertGreater(len(self.messages()), 7)
        for message in self.messages():
            # Up to and behind a name in it.
            for part in re.split(r"Imu|…", message):
                self.assertTrue(part.strip() in text, message)

    def test_exit_codes(self):
        a, b = self.path("a.sdsz"), self.path("b.sdsz")
        self.write("A.1.sds", plain(*((10 * i, struct.pack("<h", i + (i == 50))) for i in range(100))))
        run("pack", self.path("A.1.sds"), "-o", b)
        self.write("torn.sds", plain((0, bytes(200))) * 10 + struct.pack("<II", 9, 1000))
        with open(a, "rb") as f:
            self.write("cut.sdsz", f.read()[:700])
        for code, *words in ((0, "check", a), (1, "compare", a, b), (1, "query", a, "v > 1000"), (1, "check", self.path("torn.sds")),
                             (2, "info", a, "--nix"), (2, "query", a, "w > 1"), (2, "cut", a, "--to", "1", "-o", a, "-f"),
                             (3, "info", self.path("A.sds.yml")), (3, "info", self.path("cut.sdsz")), (4, "info", self.path("none.sdsz")),
                             (4, "pack", self.path("A.0.sds"), "-o", a), (4, "pack", self.path("A.0.sds"), "-o", self.path("no", "a.sdsz"))):
            done = subprocess.run([SDS, *words], capture_output=True, text=True)
            self.assertEqual(done.returncode, code, f"{words}\n{done.stdout}\n{done.stderr}")


main()
