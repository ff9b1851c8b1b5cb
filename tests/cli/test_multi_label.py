"""Edge Impulse's info.labels: one file with several classes, as its documentation has it ("Edge Impulse labels" and
"Multi-label"): every sample has one class, and what is next begins where what is before ends."""
import json
import os

import peers

peers.use()

import numpy as np
import yaml

from harness import Case, main, plain, run


class MultiLabel(Case):
    def recording(self, name, rate=100, samples=1000, streams=("A",), labels=()):
        """Streams of `samples` values 0, 1, ... in blocks of 10 samples, with labels (class, from, to[, stream])."""
        files = []
        for stream in streams:
            self.write(f"{stream}.sds.yml", f"sds:\n  name: {stream}\n  sample-frequency: {rate}\n"
                                            f"  tick-frequency: {rate}\n  content:\n    - {{value: x, type: int32_t}}\n")
            files.append(self.write(f"{stream}.0.sds", plain(*[
                (k, np.arange(k, min(k + 10, samples), dtype="<i4").tobytes()) for k in range(0, samples, 10)])))
        run("pack", *files, "-o", self.path(name + ".sdsz"))
        if labels:
            self.write(name + ".labels.yml", "labels:\n  version: 1\n  intervals:\n" + "".join(
                f"    - {{class: {l[0]}, from: {l[1]}, to: {l[2]}{f', stream: {l[3]}' if len(l) > 3 else ''}}}\n" for l in labels))
        return self.path(name + ".sdsz")

    def info(self, *names):
        """{path: (category, label)} of an info.labels that has the documented keys and no other."""
        document = json.loads(self.read(*names))
        self.assertEqual(document["version"], 1)
        self.assertEqual(set(document), {"version", "files"})
        folder = self.path(*names[:-1])
        for file in document["files"]:
            self.assertEqual(set(file), {"path", "name", "category", "label"})
            self.assertEqual(file["name"], os.path.splitext(os.path.basename(file["path"]))[0])
            self.assertIn(file["category"], ("training", "testing", "split"))
            label = file["label"]
            self.assertIn(label["type"], ("unlabeled", "multi-label"))
            if label["type"] == "unlabeled":
                self.assertEqual(set(label), {"type"})
            else:
                self.assertEqual(set(label), {"type", "labels"})
                ahead = 0  # "the next segment after endIndex: 300 needs to be startIndex: 301"
                for one in label["labels"]:
                    self.assertEqual(set(one), {"label", "startIndex", "endIndex"})
                    self.assertEqual(one["startIndex"], ahead)
                    self.assertGreaterEqual(one["endIndex"], ahead)
                    ahead = one["endIndex"] + 1
            self.assertTrue(os.path.isfile(os.path.join(folder, file["path"])), file["path"])
        return {file["path"]: (file["category"], file["label"]) for file in document["files"]}

    def spans(self, label):
        return [(one["label"], one["startIndex"], one["endIndex"]) for one in label["labels"]]

    def values(self, *names):
        return [row[0] for row in json.loads(self.read(*names))["payload"]["values"]]

    def test_all_labels_are_in_one_file(self):
        # The shake begins within the walk: what begins last counts, as in all that compares labels.
        rec = self.recording("walk", labels=[("walk", 1, 4), ("shake", 3, 3.5), ("rest", 6, 20)])
        out, err = run("export", "edge-impulse", rec, "--multi-label", "--label-index", "milliseconds", "-o",
                       self.path("walk.json"))
        self.assertEqual(self.values("walk.json"), list(range(1000)))
        self.assertIn("info.labels", out)
        self.assertIn("walk.json: 300 of its 1000 samples have no label, and Edge Impulse wants one of each: they are "
                      "'unlabelled' (--rest-class)", err)
        category, label = self.info("info.labels")["walk.json"]
        self.assertEqual(category, "split")
        self.assertEqual(self.spans(label), [("unlabelled", 0, 999), ("walk", 1000, 2999), ("shake", 3000, 3499),
                                             ("walk", 3500, 3999), ("unlabelled", 4000, 5999), ("rest", 6000, 9999)])
        _, err = run("export", "edge-impulse", rec, "--multi-label", "-o", self.path("walk.json"), expect=4)
        _, err = run("export", "edge-impulse", rec, "--multi-label", "--rest-class", "idle", "-f", "-o", self.path("walk.json"))
        self.assertEqual(err, "")
        self.assertEqual(self.spans(self.info("info.labels")["walk.json"][1]), [
            ("idle", 0, 99), ("walk", 100, 299), ("shake", 300, 349), ("walk", 350, 399), ("idle", 400, 599), ("rest", 600, 999)])

    def test_milliseconds_of_rates_that_are_none(self):
        # Sample n is at n / rate s: it is in millisecond floor(1000 n / rate). The file ends behind its last sample.
        for rate, samples in ((62.5, 1000), (48000, 9600), (3, 100), (16000, 16001)):
            with self.subTest(rate=rate):
                edge = samples // 3
                name = f"r{samples}"
                rec = self.recording(name, rate, samples)
                self.write(name + ".labels.yml", f"labels:\n  version: 1\n  tick-frequency: {rate}\n  intervals:\n"
                                           f"    - {{class: a, begin: 0, end: {edge}}}\n    - {{class: b, begin: {edge}, end: {10 * samples}}}\n")
                run("export", "edge-impulse", rec, "--multi-label", "--label-index", "milliseconds", "-f", "-o",
                    self.path(name + ".json"))
                numerator = int(rate * 2)
                start, length = edge * 2000 // numerator, -(-samples * 2000 // numerator)
                self.assertEqual(self.spans(self.info("info.labels")[name + ".json"][1]), [("a", 0, start - 1), ("b", start, length - 1)])

    def test_labels_within_a_millisecond_are_told(self):
        rec = self.recording("r", 48000, 4800)
        self.write("r.labels.yml", "labels:\n  version: 1\n  tick-frequency: 48000\n  intervals:\n"
                                   "    - {class: a, begin: 0, end: 100}\n    - {class: tick, begin: 100, end: 120}\n    - {class: b, begin: 120, end: 4800}\n")
        _, err = run("export", "edge-impulse", rec, "--multi-label", "--label-index", "milliseconds", "-o",
                     self.path("r.json"))
        self.assertIn("r.json: 1 label within a millisecond is left out (--label-index samples keeps all)", err)
        self.assertEqual(self.spans(self.info("info.labels")["r.json"][1]), [("a", 0, 1), ("b", 2, 99)])
        run("export", "edge-impulse", rec, "--multi-label", "-f", "-o", self.path("r.json"))
        self.assertEqual(self.spans(self.info("info.labels")["r.json"][1]), [("a", 0, 99), ("tick", 100, 119), ("b", 120, 4799)])

    def test_streams_and_recordings_share_one_file_of_labels(self):
        one = self.recording("one", streams=("A", "B"), labels=[("a", 0, 5, "A"), ("all", 5, 10)])
        bare = self.recording("bare")
        for out in ("out", "out2/"):
            _, err = run("export", "edge-impulse", one, bare, "--multi-label", "-o", self.path("") + out)
            info = self.info(out.strip("/"), "info.labels")
            self.assertEqual(sorted(info), ["bare.json", "one.A.json", "one.B.json"])
            self.assertEqual(self.spans(info["one.A.json"][1]), [("a", 0, 499), ("all", 500, 999)])
            self.assertEqual(self.spans(info["one.B.json"][1]), [("unlabelled", 0, 499), ("all", 500, 999)])
            self.assertEqual(info["bare.json"][1], {"type": "unlabeled"})
            self.assertIn("bare.json: there is no label: it is told as unlabeled", err)
        # One recording of several streams goes into a folder, too.
        run("export", "edge-impulse", one, "--multi-label", "--rest-class", "none", "-o", self.path("both"))
        self.assertEqual(sorted(self.info("both", "info.labels")), ["one.A.json", "one.B.json"])
        run("export", "edge-impulse", bare, "--multi-label", "--rest-class", "none", "--cbor", "-o", self.path("bare.cbor"))
        self.assertEqual(self.spans(self.info("info.labels")["bare.cbor"][1]), [("none", 0, 999)])

    def test_a_part_and_a_class_have_their_own_edges(self):
        rec = self.recording("walk", labels=[("walk", 1, 4), ("shake", 3, 3.5), ("rest", 6, 8)])
        run("export", "edge-impulse", rec, "--multi-label", "--from", 2, "--to", 3.25, "-o", self.path("part.json"))
        self.assertEqual(self.values("part.json"), list(range(200, 325)))
        self.assertEqual(self.spans(self.info("info.labels")["part.json"][1]), [("walk", 0, 99), ("shake", 100, 124)])
        # Stretches of --label follow each other; labels of other classes say nothing.
        _, err = run("export", "edge-impulse", rec, "--multi-label", "--label", "walk", "--label", "rest", "-f", "-o", self.path("part.json"))
        self.assertEqual(self.values("part.json"), [*range(100, 400), *range(600, 800)])
        self.assertEqual(self.spans(self.info("info.labels")["part.json"][1]), [("walk", 0, 299), ("rest", 300, 499)])
        self.assertIn("2 stretches of the time are joined", err)

    def test_a_split_tells_the_parts(self):
        recs = [self.recording(n, samples=100 + 10 * i, labels=[(c, 0, 5)]) for i, (n, c) in enumerate((("a", "x"), ("b", "y"), ("c", "x"), ("d", "y")))]
        _, err = run("export", "edge-impulse", *recs, "--multi-label", "--split", "50/25/25", "-o", self.path("set"))
        manifest = yaml.safe_load(self.read("set", "manifest.yml"))["dataset"]
        self.assertIn("info.labels", manifest["files"])
        info = self.info("set", "info.labels")
        self.assertEqual(sorted(info), sorted(f for f in manifest["files"] if f.endswith(".json")))
        for path, (category, _) in info.items():
            self.assertEqual(category, {"train": "training", "validation": "training", "test": "testing"}[path.split("/")[0]])
        self.assertIn("info.labels has no validation set", err)
        first = self.read("set", "info.labels")
        run("export", "edge-impulse", *reversed(recs), "--multi-label", "--split", "50/25/25", "-f", "-o", self.path("set"))
        self.assertEqual(first, self.read("set", "info.labels"))

    def test_options_without_effect_are_errors(self):
        rec = self.recording("walk", labels=[("walk", 1, 4)])
        for options, said in ((["--rest-class", "x"], "--rest-class needs --multi-label"),
                              (["--label-index", "samples"], "--label-index needs --multi-label"),
                              (["--multi-label", "--rest-class", ""], "a class needs a name"),
                              (["--multi-label", "--class", "x"], "--class has no effect with --multi-label")):
            _, err = run("export", "edge-impulse", rec, *options, "-o", self.path("x.json"), expect=2)
            self.assertIn(said, err)
        self.write("info.labels", "somebody else's")
        run("export", "edge-impulse", rec, "--multi-label", "-o", self.path("x.json"), expect=4)
        self.assertFalse(os.path.exists(self.path("x.json")))
        self.assertEqual(self.read("info.labels"), b"somebody else's")
        said = json.loads(run("export", "edge-impulse", rec, "--multi-label", "--json", "-f", "-o", self.path("x.json"))[0])
        self.assertEqual([f for one in said["outputs"] for f in one["files"]], [self.path("x.json"), self.path("info.labels")])


if __name__ == "__main__":
    main()
