"""What commands print with --json is what docs/json.md says: every key is there, with its type, and stands on the page."""
import json
import os
import re
import subprocess

import peers

peers.use("numpy")

import numpy as np

from harness import BUILD, SDS, SOURCE, Case, main, plain, run

PAGE = os.path.join(SOURCE, "docs", "json.md")


def anchor(title):
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def read_page():
    """{anchor of a title: {key: (type, optional)}}, and {command: anchor}."""
    tables, commands, here = {}, {}, None
    with open(PAGE) as page:
        for line in page:
            if title := re.match(r"(##+) (.*)", line):
                here = anchor(title[2])
                if title[1] == "##":
                    group = re.match(r"label (?!check|export|compare)", title[2])
                    for name in title[2].split(", "):
                        commands["label " + name.removeprefix("label ") if group else name] = here
            elif row := re.match(r"\| `([^`]+)`(\??) \| ([^|]+) \|", line):
                tables.setdefault(here, {})[row[1]] = (row[3].strip(), bool(row[2]))
    return tables, commands


TABLES, COMMANDS = read_page()
BASIC = {"text": str, "integer": int, "number": (int, float), "time": (int, float), "boolean": bool}


class JsonPage(Case):
    def value(self, value, kind, path):
        if kind.startswith("list of "):
            self.assertIsInstance(value, list, path)
            for one in value:
                self.value(one, kind[len("list of "):], path + "[]")
        elif kind.startswith("map of "):
            self.assertIsInstance(value, dict, path)
            for one in value.values():
                self.value(one, kind[len("map of "):], path + ".*")
        elif kind.endswith(") or null") and kind.startswith("["):
            if value is not None:
                self.value(value, kind[:-len(" or null")], path)
        elif link := re.fullmatch(r"\[[^\]]+\]\(#([\w-]+)\)", kind):
            self.object(value, TABLES[link[1]], path)
        else:
            kinds = kind.split(" or ")
            if value is None:
                self.assertIn("null", kinds, path)
                return
            fits = [BASIC[one] for one in kinds if one != "null"]
            self.assertTrue(any(isinstance(value, fit) for fit in fits) and (bool in fits or not isinstance(value, bool)), f"{path}: {value!r} is no {kind}")

    def object(self, value, table, path, more=()):
        self.assertIsInstance(value, dict, path)
        every = {**TABLES["every-report"], **table} if more else table
        for key, one in value.items():
            self.assertIn(key, every, path)
            self.value(one, every[key][0], f"{path}.{key}")
        for key, (_, optional) in table.items():
            self.assertTrue(optional or key in value, f"{path} lacks {key}")

    def report(self, command, *args, codes=(0, 1)):
        done = subprocess.run([SDS, *command.split(), *map(str, args), "--json"], capture_output=True, text=True, cwd=self.folder.name, timeout=120)
        self.assertIn(done.returncode, codes, done.stderr)
        report = json.loads(done.stdout)
        first = command.split()[0]
        table = TABLES[COMMANDS[command if command in COMMANDS else first]]
        if "errors" in report and set(report) <= {"errors", "damages", "not_closed"}:
            table = {}
        self.object(report, table, command, more=True)
        return report

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(1)
        for name, shift in (("Imu", 0), ("Other", 1)):
            self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: 100\n  content:\n" +
                       "".join(f"    - {{value: {axis}, type: float, unit: g}}\n" for axis in ("ax", "ay", "az", "gx", "gy", "gz")))
            self.write(f"{name}.0.sds", plain(*[(10 * k + 5000 * (k > 600), (rng.normal(shift, 1, 6)).astype("<f4").tobytes()) for k in range(1000)]))
        self.write("Mic.sds.yml", "sds:\n  name: Mic\n  sample-frequency: 16000\n  content:\n    - {value: left, type: int16_t, scale: 0.001}\n")
        self.write("Mic.0.sds", plain(*[(20 * k, (rng.integers(-999, 999, 320) * (k % 3)).astype("<i2").tobytes()) for k in range(300)]))
        run("pack", *(self.path(f"{name}.0.sds") for name in ("Imu", "Mic")), "-o", self.path("r.sdsz"))
        run("pack", self.path("Other.0.sds"), "-o", self.path("b.sdsz"))
        for name, begin, end in (("walk", 1, 2.5), ("run", 3, 5)):
            run("label", "add", self.path("r.sdsz"), "-c", name, "--from", begin, "--to", end)
        whole = bytearray(self.read("r.sdsz"))
        whole[5000:5100] = bytes(100)
        self.write("bad.sdsz", bytes(whole))

    def test_recordings(self):
        self.report("pack", "Imu.0.sds", "-o", "p.sdsz")
        self.report("pack", "Imu.0.sds", "-o", "p.sdsz", codes=(4,))
        self.report("unpack", "r.sdsz", "-d", "plain")
        for one in ("r.sdsz", "Imu.0.sds"):
            self.report("info", one)
            self.report("check", one, "--quality", "--against", "b.sdsz")
            self.report("stats", one, "--label", "run", codes=(0, 2))
        for command in ("info", "check", "stats", "label list"):
            self.report(command, "bad.sdsz", codes=(0, 1, 3))
        self.report("check", "nothing.sdsz", codes=(4,))
        self.report("recover", "bad.sdsz", "-o", "rescued.sdsz", codes=(0, 3))
        self.report("query", "r.sdsz", "ax > 1.5", "--add-label", "high")
        self.report("query", "r.sdsz", "ax > 1.5", "--count")
        self.report("cut", "r.sdsz", "--from", 1, "--to", 3, "-o", "c.sdsz")
        self.report("merge", "r.sdsz", "b.sdsz", "--no-align", "-o", "m.sdsz")
        self.report("resample", "r.sdsz", "-s", "Imu", "--rate", 50, "-o", "rs.sdsz")
        self.report("plot", "r.sdsz", "-o", "p.html")
        self.report("bench", "Imu.0.sds", "--rounds", 1)

    def test_labels(self):
        self.report("label add", "r.sdsz", "-c", "run", "-s", "Imu", "--from", 6, "--to", 8, "--author", "me", "--note", "n", "--confidence", 0.5)
        self.report("label list", "r.sdsz")
        self.report("label check", "r.sdsz")
        self.report("label export", "r.sdsz", "-o", "l.csv")
        self.report("label import", "r.sdsz", "-i", "l.csv", "--labels", "i.yml")
        self.write("other.yml", self.read("r.labels.yml"))
        self.report("label move", "r.sdsz", "-n", 1, "--by", 1.2)
        for more in ((), ("--events",)):
            self.report("label compare", "other.yml", "r.labels.yml", *more)
        self.report("label merge", "r.sdsz", "--with", "other.yml")
        self.report("label rename", "r.sdsz", "-c", "walk", "--to", "stroll")
        self.report("label rm", "r.sdsz", "-n", 1)
        self.report("label auto", "Mic.0.sds")

    def test_exports_and_imports(self):
        for kind, output in (("csv", "csv"), ("wav", "wav/"), ("npz", "npz"), ("hdf5", "r.h5"), ("mcap", "r.mcap"), ("qeexo", "q.csv"), ("edge-impulse", "ei")):
            self.report(f"export {kind}", "r.sdsz", "-o", output)
        self.report("export npz", "r.sdsz", "-s", "Imu", "--window", "1s", "-o", "windows")
        self.report("export flac", "r.sdsz", "-o", "r.flac", codes=(2,))
        self.report("import csv", "csv/Imu.csv", "-o", "csv.sdsz")
        self.report("import audio", "wav/Mic.wav", "-o", "wav.sdsz")
        self.report("import mcap", "r.mcap", "-o", "mcap.sdsz")

    def test_replays_suites_and_comparisons(self):
        motion, fails = (os.path.join(BUILD, "lib", name) for name in ("motion.so", "bad_returns_error.so"))
        job = ("r.sdsz", "--in", "Imu", "--out", "ML_Out:9")
        self.report("replay", *job, "-a", motion, "-o", "o.sdsz", "--repeat", 2, "--check-reset")
        self.report("replay", *job, "-a", fails, "--repeat", 2, "--check-reset")
        self.report("replay", *job, "--a", motion, "--b", fails, "-o", "both")
        self.write("p.yml", "pipeline:\n  name: Out\n  input: Mic\n  stages:\n    - window: {length: 400}\n    - features: [rms]\n")
        self.report("replay", "r.sdsz", "-p", "p.yml", "--stage-times")
        self.report("replay", "bad.sdsz", "-p", "p.yml", codes=(0, 1, 3))
        self.report("compare", "r.sdsz", "b.sdsz")
        self.report("compare", "Imu.0.sds", "Other.0.sds", codes=(0, 1, 2))
        self.report("compare", "Imu.0.sds", "Imu.0.sds")
        run("pack", self.path("Imu.0.sds"), "-o", self.path("imu.sdsz"))
        yaml = os.path.join(SOURCE, "data", "motion", "ML_Out.sds.yml")
        self.write("s.yml", f"suite:\n  name: s\n  defaults: {{algorithm: {motion}, in: Imu, out: 'ML_Out:9'}}\n  cases:\n"
                            "    - {name: same, recordings: r.sdsz, expected: o.sdsz}\n"
                            f"    - {{name: labelled, recordings: r.sdsz, out-yaml: {yaml}, label: walk, judge: ML_Out}}\n")
        self.report("test", "s.yml")
        self.report("test", "s.yml", "--shard", "1/1", "--results", "part.json")
        self.report("test merge", "part.json")

    def test_all_commands_stand_on_the_page(self):
        for line in run("--help")[0].split("Subcommands:")[1].splitlines():
            if command := re.match(r"  (\w+) ", line):
                if command[1] not in ("serve", "completion", "man", "label"):
                    self.assertTrue(command[1] in COMMANDS or command[1] + " info" in COMMANDS, command[1])


if __name__ == "__main__":
    main()
