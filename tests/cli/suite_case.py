"""What the tests of suites share: recordings, an algorithm, and a suite around cases."""
import json
import os

from harness import BUILD, Case, plain, run

ECHO = os.path.join(BUILD, "lib", "bad_prints.so")     # the sum of bytes so far, as 4 bytes
COPIES = os.path.join(BUILD, "lib", "copies.so")       # what comes in
YAML = "sds:\n  name: {0}\n  content:\n    - {{value: {1}, type: {2}}}\n"


class SuiteCase(Case):
    def setUp(self):
        super().setUp()
        for i in range(5):
            self.write(f"In.{i}.sds", plain(*((t, bytes([i + t])) for t in range(1, 4))))
        self.write("In.sds.yml", YAML.format("In", "v", "uint8_t"))
        self.write("Sum.sds.yml", YAML.format("Sum", "sum", "uint32_t"))

    def suite(self, cases, defaults=f"algorithm: {ECHO}, out: 'Sum:4'"):
        return self.write("suite.yml", f"suite:\n  name: t\n  defaults: {{{defaults}}}\n  cases:\n" + cases)

    def results(self, *args, expect=0):
        return json.loads(run("test", *args, "--json", expect=expect)[0])["tests"]
