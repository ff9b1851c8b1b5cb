"""docs/metadata.md: its examples are read as they stand there, and lie in memory as the C beside them does."""
import csv
import io
import json
import os
import re
import shutil
import struct
import subprocess
import unittest

from harness import SOURCE, Case, main, plain, run


def page():
    with open(os.path.join(SOURCE, "docs", "metadata.md")) as f:
        return f.read()


# C and the metadata that follow each other: what is assigned, and the channels' physical values by the scales on the page.
PAIRS = {
    "Imu": ("sample.x = -2; sample.y = 300; sample.z = 1672; sample.t = 250;",
            {"x": -2 * 0.000598, "y": 300 * 0.000598, "z": 1672 * 0.000598, "t": 22.5}),
    "State": ("sample.state = 7; sample.value = 1.5f;",
              {"state": 7, "padding[0]": 0, "padding[1]": 0, "padding[2]": 0, "value": 1.5}),
    "Panel": ("sample.button = 1; sample.mode = 5; sample.angle = -900;", {"button": 1, "mode": 5, "angle": -90}),
}


class MetadataPage(Case):
    def examples(self):
        """{name: yaml} of the page."""
        found = re.findall(r"^```yaml\n(.*?)^```$", page(), re.M | re.S)
        return {re.search(r"name: (\w+)", text)[1]: text for text in found}

    def stream(self, name, text, *samples):
        self.write(f"{name}.sds.yml", text)
        return self.write(f"{name}.0.sds", plain(*((i * 10, s) for i, s in enumerate(samples))))

    def test_each_example_is_read_without_a_word(self):
        samples = {"Imu": 8, "State": 8, "Panel": 2, "Microphone": 4, "Camera": 192 * 96}
        examples = self.examples()
        self.assertEqual(sorted(examples), sorted(samples), "each example has a size here")
        for name, size in samples.items():
            out, err = run("info", self.stream(name, examples[name], bytes(size)), "--json")
            self.assertEqual(err, "", name)
            self.assertEqual(json.loads(out)["recordings"][0]["streams"][0]["samples"], 1, name)
            run("check", self.path(f"{name}.0.sds"))

    @unittest.skipIf(shutil.which("cc") is None, "needs a C compiler")
    def test_the_c_beside_it_is_what_is_read(self):
        structs = re.findall(r"^```c\n(struct.*?)^```$", page(), re.M | re.S)
        self.assertEqual(len(structs), len(PAIRS), "each struct has values here")
        examples = self.examples()
        for declared, (name, (assigned, values)) in zip(structs, PAIRS.items()):
            source = self.write("a.c", "#include <stdint.h>\n#include <stdio.h>\n"
                                       f"static {declared.strip()}\nint main(void) {{ {assigned} "
                                       "fwrite(&sample, sizeof sample, 1, stdout); return 0; }\n")
            subprocess.run(["cc", "-o", self.path("a.out"), source], check=True)
            sample = subprocess.run([self.path("a.out")], check=True, capture_output=True).stdout
            out, _ = run("export", "csv", self.stream(name, examples[name], sample), "-o", "-")
            rows = list(csv.DictReader(io.StringIO(out)))
            self.assertEqual(len(rows), 1, name)
            for channel, value in values.items():
                self.assertAlmostEqual(float(rows[0][channel]), value, 12, f"{name} {channel}")

    def test_what_is_called_an_error_is_one_with_its_line(self):
        right = "sds:\n  name: A\n  sample-frequency: 10\n  content:\n    - {value: x, type: int16_t}\n"
        self.stream("A", right, struct.pack("<h", 1))
        for wrong, line in ((right.replace("sds:", "sdsx:"), 1), (right[:right.index("  content")], 2),
                            (right.replace("int16_t", "int17_t"), 5), (right.replace(", type: int16_t", ""), 5),
                            (right.replace("int16_t", "int16_t, scale: a"), 5),
                            (right.replace("  content", "  name: B\n  content"), 4)):
            self.write("A.sds.yml", wrong)
            _, err = run("export", "csv", self.path("A.0.sds"), "-o", "-", expect=3)
            self.assertRegex(err, rf"A\.sds\.yml: line {line}: ", wrong)
        self.write("A.sds.yml", right.encode() + b"# \xff\n")
        self.assertIn("UTF-8", run("export", "csv", self.path("A.0.sds"), "-o", "-", expect=3)[1])

    def test_what_is_called_a_warning_is_one(self):
        right = "sds:\n  name: A\n  sample-frequency: 10\n  content:\n    - {value: x, type: int16_t}\n"
        self.stream("A", right, struct.pack("<h", 1))
        for odd, word in ((right.replace("int16_t", "int16_t, scael: 2"), "scael"),
                          (right + "    - {value: x, type: int16_t}\n", "listed twice"),
                          (right.replace("{value: x, type: int16_t}", "value: x\n      type: int16_t\n      unit: %"), "quotes"),
                          (right.replace("  name: A\n", ""), "name")):
            self.write("A.sds.yml", odd)
            self.stream("A", odd, bytes(4) if "twice" in word else bytes(2))
            self.assertIn(word, run("info", self.path("A.0.sds"))[1])

    def test_frequencies_with_many_digits_are_fractions(self):
        for text, told in (("0.333333333333333", 1 / 3), ("0.3333", 0.3333)):
            a = self.stream("A", f"sds:\n  name: A\n  sample-frequency: {text}\n  content:\n    - {{value: x, type: int16_t}}\n",
                            bytes(4))
            out, _ = run("export", "csv", a, "-o", "-")
            second = float(out.splitlines()[2].split(",")[0])
            self.assertEqual(second, 1 / told if text == "0.3333" else 3.0)


main()
