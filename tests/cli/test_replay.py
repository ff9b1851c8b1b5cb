"""sds replay: what is asked for has an effect, or is an error."""
import json
import os
import shutil

from harness import BUILD, Case, main, plain, run

ECHO = os.path.join(BUILD, "lib", "bad_prints.so")       # Arm's three functions: the sum of bytes so far, as 4 bytes
TABLE = os.path.join(BUILD, "lib", "table_algorithm.so")  # sds_algorithm(): inputs A and B, outputs Text and Times
YAML = "sds:\n  name: {0}\n  content:\n    - {{value: {1}, type: {2}}}\n"


class Replay(Case):
    def setUp(self):
        super().setUp()
        self.write("In.0.sds", plain(*((10 * t, bytes([t, 2, 3])) for t in range(5))))
        self.write("In.sds.yml", "sds:\n  name: In\n  sample-frequency: 300\n  content:\n    - {value: v, type: uint8_t}\n")
        run("pack", self.path("In.0.sds"), "-o", self.path("in.sdsz"))
        self.out = self.path("out.sdsz")

    def replay(self, *args, expect=0):
        return run("replay", self.path("in.sdsz"), *args, expect=expect)

    def test_given_metadata_are_those_of_the_output_that_they_name(self):
        pipeline = self.write("p.yml", "pipeline:\n  name: W\n  input: In\n  stages:\n"
                              "    - {window: {length: 3}, record: V}\n    - stack: {count: 1}\n    - argmax: true\n")
        for name, value in (("W", "best"), ("V", "scores")):
            yaml = self.write("m.yml", YAML.format(name, value, "uint8_t"))
            self.replay("-p", pipeline, "--out-yaml", yaml, "-o", self.out, "-f")
            run("unpack", self.out, "-d", self.path(name))
            other = {"W": "V", "V": "W"}[name]
            self.assertIn(value, self.read(name, name + ".sds.yml").decode())
            self.assertNotIn(value, self.read(name, other + ".sds.yml").decode())
        os.remove(self.out)
        yaml = self.write("m.yml", YAML.format("Sum", "s", "uint8_t"))
        _, err = self.replay("-p", pipeline, "--out-yaml", yaml, "-o", self.out, expect=2)
        self.assertIn("m.yml: the metadata of 'Sum' are of none of the outputs V, W", err)
        self.assertFalse(os.path.exists(self.out))
        # Of an only output they are whatever they name, but not of another size.
        single = self.write("q.yml", "pipeline:\n  name: W\n  input: In\n  stages:\n    - window: {length: 3}\n    - stack: {count: 1}\n    - argmax: true\n")
        self.replay("-p", single, "--out-yaml", yaml, "-o", self.out)
        yaml = self.write("m.yml", YAML.format("W", "s", "uint32_t"))
        _, err = self.replay("-p", single, "--out-yaml", yaml, "-o", self.out, "-f", expect=2)
        self.assertIn("samples of 4 bytes are none of what W holds, 1 bytes", err)
        # So it is for libraries.
        self.write("A.0.sds", plain((1, b"x")))
        self.write("B.0.sds", plain((2, b"y")))
        run("pack", self.path("A.0.sds"), self.path("B.0.sds"), "-o", self.path("ab.sdsz"))
        yaml = self.write("m.yml", YAML.format("Times", "tick", "uint64_t"))
        run("replay", self.path("ab.sdsz"), "-a", TABLE, "--out-yaml", yaml, "-o", self.out, "-f")
        run("unpack", self.out, "-d", self.path("table"))
        self.assertIn("tick", self.read("table", "Times.sds.yml").decode())
        self.assertFalse(os.path.exists(self.path("table", "Text.sds.yml")))

    def test_labels_of_what_is_replaced_are_not_those_of_the_outputs(self):
        echo = ("-a", ECHO, "--out", "Sum:4")
        for output, recording in (("out.sdsz", "out.sdsz"), ("outputs", "outputs/Sum.0.p.sds")):
            self.replay(*echo, "-o", self.path(output))
            labels = recording.removesuffix(".sdsz").removesuffix(".sds") + ".labels.yml"
            os.remove(self.path(recording))
            self.write(labels, "mine")
            _, err = self.replay(*echo, "-o", self.path(output), expect=4)
            self.assertIn(f"{os.path.basename(labels)}: exists already (--force replaces it)", err)
            self.assertFalse(os.path.exists(self.path(recording)))
            out, err = self.replay(*echo, "-o", self.path(output), "-f", "--json")
            note = f"they are kept as {os.path.basename(labels)}.bak"
            self.assertIn(note, err)
            self.assertIn(note, "".join(json.loads(out)["notes"]))
            self.assertFalse(os.path.exists(self.path(labels)))
            self.assertEqual(self.read(labels + ".bak"), b"mine")
        os.mkdir(self.path("both"))
        self.write("both/a.labels.yml", "mine")
        both = ("--a", ECHO, "--b", ECHO, "--out", "Sum:4", "-o", self.path("both"))
        self.assertIn("a.labels.yml: exists already", self.replay(*both, expect=4)[1])
        self.assertIn("they are kept as a.labels.yml.bak", self.replay(*both, "-f")[1])
        self.assertEqual(self.read("both/a.labels.yml.bak"), b"mine")

    def test_what_the_library_has_no_use_for_is_an_error(self):
        echo = ("-a", ECHO, "--out", "Sum:4")
        for place in ((), ("--in-process",)):
            _, err = self.replay(*echo, "--config", "x", *place, expect=2)
            self.assertIn("a library with Arm's three functions takes no configuration", err)
        self.write("A.0.sds", plain((1, b"x")))
        self.write("B.0.sds", plain((2, b"y")))
        run("pack", self.path("A.0.sds"), self.path("B.0.sds"), "-o", self.path("ab.sdsz"))
        for place in ((), ("--in-process",)):
            _, err = run("replay", self.path("ab.sdsz"), "-a", TABLE, "--out", "Text:64", *place, expect=2)
            self.assertIn("the library says itself what it puts out", err)
            run("replay", self.path("ab.sdsz"), "-a", TABLE, "--config", "x", *place)
        # Of two they are for the one that has a use for them.
        pipeline = self.write("w.yml", "pipeline:\n  name: W\n  input: In\n  stages:\n    - window: {length: 1}\n")
        for other in (pipeline, ECHO):
            for sides in ((ECHO, other), (other, ECHO)):
                self.replay("--a", sides[0], "--b", sides[1], "--out", "Sum:4", expect=1 if other == pipeline else 0)
                _, err = self.replay("--a", sides[0], "--b", sides[1], "--out", "Sum:4", "--config", "x", expect=2)
                self.assertIn("no configuration", err)
                _, err = self.replay("--a", sides[0], "--b", sides[1], "--out", "Sum:4", "--engine", "tflm", expect=2 if other == ECHO else 1)
                self.assertEqual("--engine has no effect on what runs here" in err, other == ECHO)
        for what in (("-p", pipeline), ("--a", pipeline, "--b", pipeline)):
            self.assertIn("--in-process has no effect on what runs here", self.replay(*what, "--in-process", expect=2)[1])
        _, err = self.replay("--a", pipeline, "--b", pipeline, "--out", "Sum:4", expect=2)
        self.assertIn("STREAM:BYTES is for libraries with Arm's three functions", err)
        _, err = run("replay", self.path("ab.sdsz"), "--a", TABLE, "--b", TABLE, "--out", "Text:64", expect=2)
        self.assertIn("the library says itself what it puts out", err)
        pipeline = self.write("p.yml", "pipeline:\n  name: W\n  input: In\n  stages:\n    - window: {length: 3}\n"
                              f"    - algorithm: {ECHO}\n      output: {{type: uint32}}\n      config: x\n")
        _, err = self.replay("-p", pipeline, expect=3)
        self.assertRegex(err, r"p\.yml: line 6: .*a library with Arm's three functions takes no configuration")

    def test_metadata_beside_the_library_are_told_and_not_taken(self):
        library = self.path("lib", "sum.so")
        os.mkdir(self.path("lib"))
        shutil.copy(ECHO, library)
        out, _ = self.replay("-a", library, "--out", "Sum:4", "-o", self.out)
        self.assertNotIn("beside the library", out)
        self.write("lib/Sum.sds.yml", YAML.format("Sum", "total", "uint32_t"))
        out, err = self.replay("-a", library, "--out", "Sum:4", "-o", self.out, "--force")
        self.assertIn("Sum has no metadata, so that it is bytes; with '--out-yaml " + self.path("lib", "Sum.sds.yml") +
                      "', which lies beside the library, its values would be: total", out + err)
        self.assertIsNone(json.loads(run("info", self.out, "--json")[0])["recordings"][0]["streams"][0].get("metadata"))
        out, err = self.replay("-a", library, "--out", "Sum:4", "-o", self.out, "--force", "--out-yaml", self.path("lib", "Sum.sds.yml"))
        self.assertNotIn("beside the library", out + err)
        self.write("lib/Sum.sds.yml", "sds: [")
        self.assertIn("those beside the library cannot be read", "".join(self.replay("-a", library, "--out", "Sum:4", "-o", self.out,
                                                                                     "--force")))


main()
