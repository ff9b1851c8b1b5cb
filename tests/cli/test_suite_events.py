"""Suites that judge events by the recording's labels."""
import json
import xml.etree.ElementTree as ElementTree

from harness import Case, main, plain, run

PIPELINE = "pipeline:\n  name: Hits\n  input: In\n  stages:\n    - window: {length: 1}\n"


class SuiteEvents(Case):
    def setUp(self):
        super().setUp()
        self.write("p.yml", PIPELINE)

    def recording(self, name, events, labels=None):
        """A stream whose blocks are numbers of classes, 1 kHz; labels in ms: (class, begin, end, stream or nothing)."""
        self.write("In.0.sds", plain(*((tick, bytes([number])) for tick, number in events)))
        self.write("In.sds.yml", "sds:\n  name: In\n  content:\n    - {value: n, type: uint8_t}\n")
        run("pack", self.path("In.0.sds"), "-o", self.path(f"{name}.sdsz"))
        if labels is not None:
            self.write(f"{name}.labels.yml", "labels:\n  version: 1\n  intervals:" + ("\n" if labels else " []\n") + "".join(
                f"    - {{class: {l[0]}, begin: {l[1]}, end: {l[2]}{', stream: ' + l[3] if len(l) > 3 else ''}}}\n" for l in labels))

    def judge(self, recordings, case, expect=0, *options):
        suite = self.write("s.yml", f"suite:\n  name: s\n  cases:\n    - name: c\n      recordings: {recordings}\n      in: In\n"
                                    f"      pipeline: p.yml\n" + "".join(f"      {line}\n" for line in case))
        return run("test", suite, *options, expect=expect)

    def results(self, recordings, case, expect=0):
        return json.loads(self.judge(recordings, case, expect, "--json")[0])["tests"]

    CASE = ['classes: [none, "yes", "no"]', "events: {tolerance-ms: 100, ignore: [none]}"]

    def test_all_found_passes_and_the_numbers_are_those_of_label_compare(self):
        self.recording("a", [(50, 0), (950, 1), (2100, 2), (2200, 0)], [("yes", 1000, 1400), ("no", 2000, 2050)])
        test = self.results("a.sdsz", self.CASE)[0]
        self.assertEqual(test["status"], "passed")
        self.assertIn("2 of 2 labels are found, 0 of 2 events are wrong, with a tolerance of 100 ms", test["notes"])
        self.assertEqual({name: (e["labels"], e["events"], e["right"]) for name, e in test["events"].items()},
                         {"yes": (1, 1, 1), "no": (1, 1, 1)})
        self.assertAlmostEqual(test["events"]["yes"]["onset_sum_s"], -0.05)
        self.assertAlmostEqual(test["events"]["no"]["largest_onset_s"], 0.1)
        came = self.write("came.labels.yml", "labels:\n  version: 1\n  intervals:\n    - {class: 'yes', begin: 950, end: 951}\n"
                                             "    - {class: 'no', begin: 2100, end: 2101}\n")
        report = json.loads(run("label", "compare", self.path("a.labels.yml"), came, "--events", "--tolerance", "100ms", "--json")[0])
        for name in ("yes", "no"):
            self.assertEqual(report["classes"][name]["largest_onset_s"], test["events"][name]["largest_onset_s"])

    def test_what_is_missed_and_what_is_wrong_is_told(self):
        self.recording("a", [(1050, 1), (1060, 1), (7000, 2)], [("yes", 1000, 1400), ("yes", 4000, 5000), ("no", 2000, 2050)])
        out, _ = self.judge("a.sdsz", self.CASE, 1)
        self.assertIn("F1 is 0.3333, below the limit of 1: 1 of 3 labels are found, 1 of 3 events are right", out)
        for line in ("missed: yes from 4 s to 5 s", "missed: no from 2 s to 2.05 s", "wrong: yes at 1.06 s", "wrong: no at 7 s"):
            self.assertIn(line, out)
        table = [line.split()[:5] for line in out.splitlines() if line.startswith(("yes ", "no ", "(all)"))]
        self.assertEqual(table, [["no", "1", "1", "0", "0.000"], ["yes", "2", "2", "1", "0.500"], ["(all)", "3", "3", "1", "0.333"]])

    def test_where_no_event_is_right_no_onset_is_the_largest(self):
        self.recording("a", [(7000, 1)], [("yes", 1000, 1400)])
        test = self.results("a.sdsz", self.CASE, 1)[0]
        self.assertEqual((test["events"]["yes"]["right"], test["events"]["yes"]["largest_onset_s"]), (0, None))
        came = self.write("came.labels.yml", "labels:\n  version: 1\n  intervals:\n    - {class: 'yes', begin: 7000, end: 7001}\n")
        report = run("label", "compare", self.path("a.labels.yml"), came, "--events", "--tolerance", "100ms", "--json")[0]
        self.assertIsNone(json.loads(report)["classes"]["yes"]["largest_onset_s"])
        whole = self.judge("a.sdsz", self.CASE, 1, "--shard", "1/1", "--results", self.path("part.json"), "--json")[0]
        merged = run("test", "merge", self.path("part.json"), "--json", expect=1)[0]
        self.assertEqual(json.loads(merged)["tests"][0]["events"], json.loads(whole)["tests"][0]["events"])

    def test_limits(self):
        self.recording("a", [(1050, 1), (1060, 1), (7000, 2)], [("yes", 1000, 1400), ("yes", 4000, 5000), ("no", 7010, 7050)])
        # yes: 1 of 2 found, 1 of 2 right; no: 1 of 1.
        for limits, passes in (("{precision: 0.66, recall: 0.66}", True), ("{precision: 0.67}", False), ("{recall: 0.67}", False),
                               ("{recall: {no: 1, yes: 0.5}}", True), ("{recall: {yes: 0.51}}", False),
                               ("{precision: {no: 1}}", True), ("{f1: 0.66}", True), ("{f1: 0.67}", False),
                               ("{f1: {yes: 0.5}}", True), ("{f1: 0.5, onset-ms: 50}", True), ("{f1: 0.5, onset-ms: 49}", False)):
            with self.subTest(limits):
                case = [*self.CASE, f"limits: {limits}".replace("yes", '"yes"').replace("no:", '"no":')]
                self.assertEqual(self.results("a.sdsz", case, 0 if passes else 1)[0]["status"], "passed" if passes else "failed")
        for name in ("maybe", "none"):
            self.assertIn(f"there is no class '{name}' to limit",
                          self.judge("a.sdsz", [*self.CASE, f"limits: {{recall: {{{name}: 0.5}}}}"], 3)[1])

    def test_an_onset_of_exactly_the_limit_keeps_it(self):
        def onset(at, begin, frequency, limit, expect):
            self.write("In.0.sds", plain((at, b"\1")))
            self.write("In.sds.yml", "sds:\n  name: In\n  content:\n    - {value: n, type: uint8_t}\n")
            self.write("In.0.labels.yml", f"labels:\n  version: 1\n  tick-frequency: {frequency}\n  intervals:\n"
                                       f"    - {{class: 'yes', begin: {begin}, end: {begin + 1}}}\n")
            case = [self.CASE[0], "events: {tolerance-ms: 5000, ignore: [none]}", f"limits: {{onset-ms: {limit}}}"]
            self.judge("In.0.sds", case, expect)
        for ms in (2007, 2011, 2035):  # of these (ms / 1000) * 1000 is larger than ms, in doubles
            onset(ms, 0, 1000, ms, 0)
            onset(ms + 1, 0, 1000, ms, 1)
        for begin, frequency, ms in ((3, 10, 10), (7, 10, 110), (1, 3, 667), (2, 30, 934)):  # of a 30th: 1000 is no whole number of ms
            at = -(-begin * 1000 // frequency) + ms
            late = at * frequency - begin * 1000 - ms * frequency  # units of 1 / frequency ms behind the limit
            onset(at, begin, frequency, ms, 1 if late > 0 else 0)
            onset(at - 1 if late > 0 else at + 1, begin, frequency, ms, 0 if late > 0 else 1)

    def test_a_limit_that_judges_nothing_does_not_pass(self):
        # Nothing comes out: no precision is reached by silence.
        self.recording("silent", [(50, 0)], [("yes", 1000, 1400)])
        for limits in ('{precision: 0.5}', '{precision: {"yes": 0.5}}'):
            self.assertIn("precision is undefined: no event came, for 1 labels",
                          self.judge("silent.sdsz", [*self.CASE, f"limits: {limits}"], 1)[0])
        # A recall of what no label of any test is.
        self.recording("a", [(1050, 1)], [("yes", 1000, 1400)])
        out, _ = self.judge("a.sdsz", [*self.CASE, 'limits: {recall: {"no": 0.5}}'], 1)
        self.assertIn("the limit of recall of no of the case c has no effect in any test", out)
        for limits in ('{f1: {"no": 0.5}}', '{precision: {"no": 0.5}}'):
            self.assertIn("has no effect in any test", self.judge("a.sdsz", [*self.CASE, f"limits: {limits}"], 1)[0])
        self.recording("w", [(7050, 1)], [("yes", 1000, 1400)])
        self.assertIn("the limit of onset-ms of the case c has no effect in any test",
                      self.judge("w.sdsz", [*self.CASE, "limits: {onset-ms: 1, recall: 0}"], 1)[0])
        self.recording("b", [(1050, 2)], [("no", 1000, 1400)])
        self.judge("'[ab].sdsz'", [*self.CASE, 'limits: {recall: {"no": 0.5}}'])
        # Recordings in which nothing is to be found are judged by what is wrong.
        self.recording("quiet", [(50, 0)], [])
        self.judge("quiet.sdsz", [*self.CASE, "limits: {precision: 0.5}"])

    def test_a_test_that_cannot_be_judged_might_have_used_a_limit(self):
        self.recording("a", [(1050, 1)], [("yes", 1000, 1400)])
        self.recording("b", [(1050, 2)], [("no", 1000, 1400), ("maybe", 2000, 2100)])
        case = [*self.CASE, 'limits: {recall: {"yes": 1, "no": 1}}']
        out, _ = self.judge("'[ab].sdsz'", case, 1)
        self.assertNotIn("has no effect in any test", out)
        self.assertIn("cannot be found: maybe", out)
        self.assertEqual([t["status"] for t in self.results("'[ab].sdsz'", case, 1)], ["passed", "failed"])
        for i in (1, 2):
            self.judge("'[ab].sdsz'", case, i - 1, "--shard", f"{i}/2", "--results", self.path(f"{i}.json"), "--force")
        merged = json.loads(run("test", "merge", self.path("1.json"), self.path("2.json"), "--json", expect=1)[0])["tests"]
        self.assertEqual([t["status"] for t in merged], ["passed", "failed"])

    def test_recordings_without_events(self):
        self.recording("quiet", [(50, 0), (60, 0)], [])
        self.assertEqual(self.results("quiet.sdsz", self.CASE)[0]["status"], "passed")
        self.recording("unlabelled", [(50, 1)])
        self.assertIn("there are no labels for 'events:'", self.judge("unlabelled.sdsz", self.CASE, 1)[0])
        self.recording("false", [(50, 1)], [])
        self.assertIn("wrong: yes at 0.05 s", self.judge("false.sdsz", self.CASE, 1)[0])
        self.recording("other", [(50, 7)], [("maybe", 0, 100)])
        self.assertIn("labels that are none of 'classes:' cannot be found: maybe", self.judge("other.sdsz", self.CASE, 1)[0])
        self.recording("beyond", [(50, 7)], [])
        self.assertIn("wrong: class 7 at 0.05 s", self.judge("beyond.sdsz", self.CASE, 1)[0])

    def test_streams_and_outputs(self):
        self.recording("a", [(50, 1)], [("yes", 0, 100, "In"), ("yes", 0, 100, "Other")])
        self.write("Other.0.sds", plain((0, b"x")))
        labels = self.read("a.labels.yml")
        run("pack", self.path("In.0.sds"), self.path("Other.0.sds"), "-o", self.path("a.sdsz"), "--force")
        self.write("a.labels.yml", labels)
        self.assertIn("choose one with 'events: stream:'; there are: In, Other", self.judge("a.sdsz", self.CASE, 1)[0])
        case = [self.CASE[0], "events: {tolerance-ms: 0, stream: In}"]
        self.assertEqual(self.results("a.sdsz", case)[0]["events"]["yes"]["labels"], 1)
        self.recording("lost", [(50, 1)], [("yes", 0, 100, "Other")])
        self.assertIn("the label 'yes' is about a stream 'Other' that there is not", self.judge("lost.sdsz", self.CASE, 1)[0])
        self.write("a.labels.yml", "labels:\n  version: 1\n  intervals:\n    - {class: 'yes', begin: 0, end: 9, stream: Other}\n")
        self.assertIn("none of its 1 labels is about In", self.judge("a.sdsz", case, 1)[0])
        self.assertIn("Nowhere", self.judge("a.sdsz", [self.CASE[0], "events: {tolerance-ms: 0, stream: Nowhere}"], 1)[0])
        self.write("p.yml", PIPELINE.replace("window: {length: 1}", "window: {length: 2}"))
        self.recording("b", [(50, 1), (60, 1)], [("yes", 0, 100)])
        self.assertIn("has 2 values", self.judge("b.sdsz", self.CASE, 1)[0])
        self.write("p.yml", PIPELINE.replace("window: {length: 1}", "select: [n]"))
        self.write("In.0.sds", plain((50, b"\1\1")))
        run("pack", self.path("In.0.sds"), "-o", self.path("c.sdsz"))
        self.write("c.labels.yml", "labels:\n  version: 1\n  intervals: []\n")
        self.assertIn("an event has a time of its own", self.judge("c.sdsz", self.CASE, 1)[0])

    def test_parts_and_reports(self):
        self.recording("a", [(50, 1)], [("yes", 0, 100)])
        self.recording("b", [(50, 2), (70, 1)], [("yes", 60, 100), ("no", 500, 600)])
        for i in (1, 2):
            self.judge('"[ab].sdsz"', self.CASE, i - 1, "--shard", f"{i}/2", "--results", self.path(f"{i}.json"), "--force")
        out, _ = run("test", "merge", self.path("1.json"), self.path("2.json"), "--html", self.path("r.html"), "--junit",
                     self.path("r.xml"), expect=1)
        self.assertIn(["(all)", "3", "3", "2", "0.667", "0.667", "0.667"], [line.split()[:7] for line in out.splitlines()])
        page = ElementTree.fromstring(self.read("r.html").decode().split("\n", 1)[1])
        rows = [["".join(cell.itertext()) for cell in row] for row in page.iter("tr")]
        self.assertIn(["all", "3", "3", "2", "66.7 %", "66.7 %", "0.6667", "30 ms", "50 ms"], rows)
        failure = ElementTree.fromstring(self.read("r.xml").decode()).find(".//failure")
        self.assertIn("missed: no from 0.5 s to 0.6 s", failure.text)

    def test_what_does_not_fit_is_told(self):
        self.recording("a", [(50, 1)], [])
        classes = self.CASE[0]
        for case, message in ((["events: {tolerance-ms: 1}"], "'events:' needs 'classes:'"),
                              ([classes, "events: {tolerance-ms: 1, ignore: [noe]}"], "'ignore: noe' is none of 'classes:'"),
                              ([classes, "events: {tolerance-ms: 1, ignore: ['yes', 'no', none]}"], "names all of 'classes:'"),
                              (["events: {}"], "empty"), (["events: {tolerance-ms: -1}"], "below 0"),
                              (["events: {ignore: [a]}"], "tolerance-ms"), (["events: {tolerance-ms: 1, onset: 2}"], "onset"),
                              (["events: {tolerance-ms: 1}", "label: a"], "not both"),
                              (["events: {tolerance-ms: 1}", "decide: event"], "has no effect"),
                              (["events: {tolerance-ms: 1}", "limits: {accuracy: 0.5}"], "has no effect"),
                              (["events: {tolerance-ms: 1}", "limits: {recall: 2}"], "from 0 to 1"),
                              (["label: a", "limits: {recall: 0.5}"], "has no effect without 'events:'"),
                              (["limits: {onset-ms: 5}"], "has no effect without 'events:'")):
            with self.subTest(case):
                self.assertIn(message, self.judge("a.sdsz", case, 3)[1])

    def test_a_case_with_a_label_takes_no_events_from_the_defaults(self):
        self.recording("a", [(50, 1)], [("yes", 0, 100)])
        suite = self.write("s.yml", "suite:\n  name: s\n  defaults:\n    recordings: a.sdsz\n    in: In\n    pipeline: p.yml\n"
                                    '    classes: [none, "yes"]\n    events: {tolerance-ms: 5, ignore: [none]}\n  cases:\n'
                                    '    - {name: events}\n    - {name: label, label: "yes", decide: event}\n')
        tests = json.loads(run("test", suite, "--json")[0])["tests"]
        self.assertEqual([(t["status"], bool(t["events"]), len(t["decisions"])) for t in tests],
                         [("passed", True, 0), ("passed", False, 1)])


if __name__ == "__main__":
    main()
