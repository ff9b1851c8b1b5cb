"""Events against labels: the most pairs that there are, by a search of its own, and times as fractions."""
import json
import random
import unittest
from fractions import Fraction

from harness import Case, main, run, sample_of


def label_file(frequency, labels, stream=None):
    about = f", stream: {stream}" if stream else ""
    return (f"labels:\n  version: 1\n  tick-frequency: {frequency}\n  intervals:\n" +
            "".join(f"    - {{class: {name}, begin: {begin}, end: {end}{about}}}\n" for name, begin, end in labels) or "    []\n")


def most_pairs(fits):
    """The largest number of pairs, by augmenting paths; fits[e]: the labels that event e can find."""
    taken = {}

    def find(event, seen):
        for label in fits[event]:
            if label not in seen:
                seen.add(label)
                if label not in taken or find(taken[label], seen):
                    taken[label] = event
                    return True
        return False
    return sum(find(event, set()) for event in range(len(fits)))


class LabelEvents(Case):
    def compare(self, a, b, *options):
        return json.loads(run("label", "compare", self.write("a.labels.yml", a), self.write("b.labels.yml", b), "--events",
                              "--json", *options)[0])

    def test_as_many_pairs_as_there_can_be(self):
        for seed in sample_of(range(40)):
            rng = random.Random(seed)
            fa, fb = rng.choice((1000, 48000, 333)), rng.choice((1000, 7, 100))
            tolerance_ms = rng.choice((0, 50, 143, 1000))
            labels = []
            for _ in range(rng.randint(1, 40)):
                begin = rng.randint(0, 20 * fa)
                labels.append((rng.choice("xy"), begin, begin + rng.randint(1, 2 * fa)))
            events = [(rng.choice("xyz"), at, at + 1) for at in (rng.randint(0, 22 * fb) for _ in range(rng.randint(1, 40)))]
            labels.sort(key=lambda l: (l[1], l[2], l[0]))
            events.sort(key=lambda e: (e[1], e[2], e[0]))
            report = self.compare(label_file(fa, labels), label_file(fb, events), "--tolerance", f"{tolerance_ms}ms")
            right = 0
            for name in "xyz":
                own = [(Fraction(b, fa), Fraction(e, fa)) for n, b, e in labels if n == name]
                at = [Fraction(t, fb) for n, t, _ in events if n == name]
                slack = Fraction(tolerance_ms, 1000)
                pairs = most_pairs([[i for i, (b, e) in enumerate(own) if b - slack <= t <= e + slack] for t in at])
                if not own and not at:
                    self.assertNotIn(name, report["classes"])
                    continue
                said = report["classes"][name]
                self.assertEqual((said["labels"], said["events"], said["right"]), (len(own), len(at), pairs), (seed, name))
                self.assertEqual(said["precision"], pairs / len(at) if at else None)
                self.assertEqual(said["recall"], pairs / len(own) if own else None)
                self.assertAlmostEqual(said["f1"], 2 * pairs / (len(at) + len(own)))
                right += pairs
            self.assertEqual(report["all"]["right"], right)
            self.assertEqual(len(report["missed"]), len(labels) - right)
            self.assertEqual(len(report["wrong"]), len(events) - right)

    def test_onsets_and_edges_on_paper(self):
        labels = label_file(10, [("yes", 7, 12), ("yes", 30, 40), ("no", 50, 60)])
        # 0.1 s before the first label; 0.1 s behind the end of the second, and once more; a class that is no label's.
        events = label_file(1000, [("yes", 600, 601), ("yes", 4100, 4200), ("yes", 4101, 4102), ("maybe", 5000, 5001)])
        report = self.compare(labels, events, "--tolerance", "100ms")
        yes = report["classes"]["yes"]
        self.assertEqual((yes["labels"], yes["events"], yes["right"]), (2, 3, 2))
        self.assertAlmostEqual(yes["mean_onset_s"], (-0.1 + 1.1) / 2)
        self.assertAlmostEqual(yes["largest_onset_s"], 1.1)
        self.assertEqual(report["missed"], [{"class": "no", "from_s": 5.0, "to_s": 6.0}])
        self.assertEqual(report["wrong"], [{"class": "yes", "at_s": 4.101}, {"class": "maybe", "at_s": 5.0}])
        self.assertEqual((report["classes"]["no"]["precision"], report["classes"]["no"]["recall"]), (None, 0.0))
        self.assertEqual(report["classes"]["maybe"]["recall"], None)
        # Neither edge is reached any more.
        self.assertEqual(self.compare(labels, events, "--tolerance", "99.999999ms")["all"]["right"], 0)
        text = run("label", "compare", self.path("a.labels.yml"), self.path("b.labels.yml"), "--events", "--tolerance", "0.1")[0]
        self.assertEqual([line.split() for line in text.splitlines()[1:]], [
            ["maybe", "0", "1", "0", "0.000", "-", "0.000", "-", "-"],
            ["no", "1", "0", "0", "-", "0.000", "0.000", "-", "-"],
            ["yes", "2", "3", "2", "0.667", "1.000", "0.800", "+500", "ms", "1100", "ms"],
            ["(all)", "3", "4", "2", "0.500", "0.667", "0.571", "+500", "ms", "1100", "ms"],
            ["missed", "5", "s", "to", "6", "s", "no"], ["wrong", "4.101", "s", "yes"], ["wrong", "5", "s", "maybe"]])

    def test_streams(self):
        a, b = self.write("a.labels.yml", label_file(10, [("x", 1, 2)], "S")), self.write("b.labels.yml", label_file(10, [("x", 1, 2)], "T"))
        self.assertIn("choose one with -s; there are: S, T", run("label", "compare", a, b, "--events", expect=2)[1])
        self.assertIn("no label is about the stream 'U'; there are: S, T",
                      run("label", "compare", a, b, "--events", "-s", "U", expect=2)[1])
        report = json.loads(run("label", "compare", a, b, "--events", "-s", "S", "--json")[0])
        self.assertEqual((report["all"]["labels"], report["all"]["events"]), (1, 0))

    def test_options_without_effect_are_errors(self):
        a = self.write("a.labels.yml", label_file(10, [("x", 1, 2)]))
        for options in (("--tolerance", "1s"), ("-s", "S")):
            self.assertIn("--events", run("label", "compare", a, a, *options, expect=2)[1])
        run("label", "compare", a, a, "--events", "--tolerance", "-1s", expect=2)


if __name__ == "__main__":
    main()
