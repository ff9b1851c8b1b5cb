"""What is said of integers of 64 bits, of which doubles do not have all digits: as Python's integers and fractions have it."""
import json
import os
import struct
import subprocess
from fractions import Fraction

from harness import Case, SDS, main, plain, run
from test_damage import sections

N = 2**60
FAR = [N + 1, N + 3, N + 3, N + 1] * 200  # each of them is the double 2**60
HIGH = [2**64 - 2 - k % 2 for k in range(800)]  # never at the limit of its type, which is the nearest double


class ExactValues(Case):
    def recordings(self, rows=tuple(zip(FAR, HIGH)), kinds=("int64_t", "uint64_t"), more="", name="S"):
        """The same, plain and packed: channels a and b."""
        self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: 1000\n  content:\n" + "".join(
            f"    - {{value: {channel}, type: '{kind}'{more}}}\n" for channel, kind in zip("ab", kinds)))
        letters = "<" + "".join("Q" if kind.startswith("u") else "q" for kind in kinds)
        samples = [struct.pack(letters, *row) for row in rows]
        one = self.write(f"{name}.0.sds", plain(*((k, b"".join(samples[k:k + 100])) for k in range(0, len(samples), 100))))
        run("pack", one, "-o", self.path(f"{name}.sdsz"), "-f")
        return one, self.path(f"{name}.sdsz")

    def said(self, *args):
        done = subprocess.run([SDS, *map(str, args), "--json"], capture_output=True, text=True, timeout=300)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return json.loads(done.stdout)

    def test_statistics_have_all_digits(self):
        for one in self.recordings():
            for exact in ((), ("--exact",)):
                a, b = self.said("stats", one, *exact)["channels"]
                self.assertEqual((a["min"], a["max"], b["min"], b["max"]), (N + 1, N + 3, 2**64 - 3, 2**64 - 2), (one, exact))
                self.assertEqual((a["mean"], b["mean"]), (float(N + 2), float(2**64)))  # the nearest doubles
                if exact or not one.endswith(".sdsz"):
                    self.assertEqual((a["deviation"], b["deviation"]), (1.0, 0.5))
                text = run("stats", one, *exact)[0]
                for digits in (N + 1, N + 3, 2**64 - 3, 2**64 - 2):
                    self.assertIn(f" {digits} ", text)

    def test_negative_ones_and_the_largest_do_too(self):
        for one in self.recordings([(-2**63, 2**64 - 1), (-2**63 + 1, 0)]):
            a, b = self.said("stats", one)["channels"]
            self.assertEqual((a["min"], a["max"], b["min"], b["max"]), (-2**63, -2**63 + 1, 0, 2**64 - 1))
        for one in self.recordings([(-2**53 - 1, 2**53), (2**53 - 1, 2**53 + 1)]):
            a, b = self.said("stats", one)["channels"]
            self.assertEqual((a["min"], a["max"], b["min"], b["max"]), (-2**53 - 1, 2**53 - 1, 2**53, 2**53 + 1))

    def test_small_ones_are_known_without_reading(self):
        _, packed = self.recordings([(-2**53 + 1, 2**53 - 1), (2**53 - 1, 0)])
        a, b = self.said("stats", packed)["channels"]
        self.assertTrue(a["from_index"] and b["from_index"])
        self.assertEqual((a["min"], a["max"], b["min"], b["max"]), (-2**53 + 1, 2**53 - 1, 0, 2**53 - 1))

    def test_numbers_beyond_64_bits_are_exact_as_sums_are(self):
        low, high = -2**63, 2**64 - 1
        for one in self.recordings([(low, high)] * 100):
            for sum_text, true in (("b + b", 2 * high), ("b - a", high - low), ("b + 1", 2**64), ("b + 2", 2**64 + 1), ("b", high)):
                for number in (true - 1, true, true + 1):
                    for sign, holds in (("<", true < number), ("==", true == number), (">=", true >= number)):
                        said = self.said("query", one, f"{sum_text} {sign} {number}")
                        self.assertEqual(said["samples"], 100 if holds else 0, (one, sum_text, sign, number))
                self.assertEqual(self.said("query", one, f"0 - ({sum_text}) > 0 - {true + 1}.0")["samples"], 100)
            for limits, passes in (("a: {max: -9223372036854775809}", False), ("a: {max: -9223372036854775808}", True),
                                   ("b: {min: 18446744073709551616}", False), ("b: {max: 18446744073709551616}", True)):
                profile = self.write("p.yml", f"quality:\n  channels:\n    S.{limits}\n")
                run("check", one, "--profile", profile, expect=0 if passes else 1)

    def test_digits_that_are_lost_with_a_section_are_not_made_up(self):
        # The largest value, 2^64 - 1, is in another section than the smallest one; both doubles are in the index.
        rows = [(N + 1 + k % 2, 2**64 - 1 if k == 5050 else 2**63 + 1 + k) for k in range(20000)]
        packed = self.path("S.sdsz")
        run("pack", self.recordings(rows)[0], "-o", packed, "-f", "--section-kib", 16)
        data = self.read("S.sdsz")
        first = 0
        for at, size, kind, stored, blocks in sections(data):
            if kind != 3:
                continue
            # A block has 100 samples. Every section has the double of channel a's values.
            lost_min, lost_max = first == 0, first <= 50 < first + blocks
            first += blocks
            broken = bytearray(data)
            broken[at + size + stored // 2] ^= 0x55
            damaged = self.write("D.sdsz", bytes(broken))
            for command in ("stats", "info"):
                done = subprocess.run([SDS, command, damaged, "--json"], capture_output=True, text=True, timeout=300)
                self.assertEqual(done.returncode, 3, done.stderr)
                report = json.loads(done.stdout)
                channels = report["channels"] if command == "stats" else report["recordings"][0]["streams"][0]["channels"]
                raw = "" if command == "stats" else "raw_"
                self.assertEqual([(c[raw + "min"], c[raw + "max"]) for c in channels],
                                 [(None, None), (None if lost_min else 2**63 + 1, None if lost_max else 2**64 - 1)], command)
                text = subprocess.run([SDS, command, damaged], capture_output=True, text=True, timeout=300).stdout
                self.assertEqual(" ? " in text, True, text)
                self.assertEqual(str(2**64 - 1) in text, not lost_max, text)

    def test_info_has_all_digits(self):
        _, packed = self.recordings()
        a, b = self.said("info", packed)["recordings"][0]["streams"][0]["channels"]
        self.assertEqual((a["raw_min"], a["raw_max"], b["raw_min"], b["raw_max"]), (N + 1, N + 3, 2**64 - 3, 2**64 - 2))
        text = run("info", packed)[0]
        self.assertIn(f"{N + 1} to {N + 3}, mean ", text)
        self.assertIn(f"{2**64 - 3} to {2**64 - 2}, mean ", text)

    def test_quality_tells_them_apart(self):
        for one in self.recordings():
            a, b = self.said("check", one, "--quality")["recordings"][0]["quality"]["streams"][0]["channels"]
            self.assertEqual((a["min"], a["max"], b["min"], b["max"]), (N + 1, N + 3, 2**64 - 3, 2**64 - 2))
            self.assertEqual((a["longest_run"], b["longest_run"]), (2, 1))
            self.assertEqual((a["deviation"], a["noise"], b["deviation"], b["noise"]), (1, 1, 0.5, 0.5))
            self.assertEqual(b["clipped"], 0)
        for one in self.recordings([(-2**63, 2**64 - 1), (-2**63 + 1, 2**64 - 2), (2**63 - 1, 2**64 - 1), (2**63 - 2, 5)]):
            a, b = self.said("check", one, "--quality")["recordings"][0]["quality"]["streams"][0]["channels"]
            self.assertEqual((a["clipped"], b["clipped"]), (2, 2))

    def test_limits_are_compared_with_all_digits(self):
        one, _ = self.recordings()
        for limits, broken in (((N + 1, N + 3), []), ((N + 2, N + 3), [f"minimum {N + 1}, less than {N + 2}"]),
                               ((N, N + 2), [f"maximum {N + 3}, more than {N + 2}"])):
            profile = self.write("p.yml", f"quality:\n  channels:\n    a: {{min: {limits[0]}, max: {limits[1]}}}\n")
            found = self.said("check", one, "--quality", "--profile", profile)["recordings"][0]["quality"]["broken"]
            self.assertEqual(found, [f"S.a: {text}" for text in broken])

    def test_scores_are_compared_with_all_digits(self):
        for scale, best in (("", "b"), (", scale: -2", "a")):
            one, _ = self.recordings([(N, N + 1)] * 200, ("int64_t", "int64_t"), scale)
            run("label", "auto", one, "--scores", "S")
            with open(self.path("S.0.labels.yml")) as file:
                self.assertIn(f"class: {best}", file.read())
            os.remove(self.path("S.0.labels.yml"))
        one, _ = self.recordings([(N, N + 1)] * 200, ("int64_t", "int64_t"))
        for threshold, made in ((N + 1, 1), (N + 2, 0)):
            self.assertEqual(self.said("label", "auto", one, "--scores", "S", "--score-threshold", threshold)["made"], made)

    def test_bit_fields_are_no_exception(self):
        rows = [(-2**58 - 1, 2**63 - 1), (2**58 + 1, 2**62 + 1)]  # of 60 and 63 bits
        for one in self.recordings([(a % 2**60, b) for a, b in rows], ("int64_t:60", "uint64_t:63")):
            table = run("export", "csv", one)[0].splitlines()
            self.assertEqual([tuple(map(int, row.split(",")[1:])) for row in table[1:]], rows)
            a, b = self.said("stats", one)["channels"]
            self.assertEqual((a["min"], a["max"], b["min"], b["max"]), (rows[0][0], rows[1][0], rows[1][1], rows[0][1]))
            self.assertEqual(self.said("query", one, f"a == {rows[1][0]} and b == {rows[1][1]}")["samples"], 1)
            self.assertEqual(self.said("query", one, f"b > {2**63 - 2}")["samples"], 1)

    def test_sums_in_conditions_are_exact(self):
        rows = [(2**63, 2**64 - 1), (2**64 - 1, 2**64 - 2), (2**53 + 1, 5)]
        for one in self.recordings(rows, ("uint64_t", "uint64_t")):
            for text, true in ((f"a + b == {2**64 - 1} + {2**63}", lambda a, b: a + b == 2**64 - 1 + 2**63),
                               ("a + a + b - a - a == b", lambda a, b: True), ("a - b < -1", lambda a, b: a - b < -1),
                               (f"a + 0.5 > {2**53 + 1}", lambda a, b: a + Fraction(1, 2) > 2**53 + 1),
                               (f"a > {2**53 + 1}.5", lambda a, b: a > 2**53 + Fraction(3, 2))):
                done = subprocess.run([SDS, "query", one, text, "--json"], capture_output=True, text=True)
                self.assertEqual(json.loads(done.stdout)["samples"], sum(true(*row) for row in rows), (text, one))

    def test_a_number_with_an_exponent_is_the_whole_number_that_it_is(self):
        rows = [(2**53 - 1, 2**63 + 1), (2**53, 2**63), (2**53 + 1, 2**64 - 1)]
        for one in self.recordings(rows, ("int64_t", "uint64_t")):
            for text, found in (("a == 9.007199254740993e15", 1), ("a == 9.007199254740993E+15", 1), ("a == 9007199254740993e0", 1),
                                ("a == 90071992547409930e-1", 1), ("a == 0.0009007199254740993e19", 1), ("a > 9.0071992547409925e15", 1),
                                ("a < 9007199254740992e0", 1), ("b == 1.8446744073709551615e19", 1), ("b == 0.9223372036854775809e19", 1),
                                ("b < 1e20", 3), ("a < 1e-300", 0), ("0 - a == -9.007199254740993e15", 1)):
                self.assertEqual(self.said("query", one, text)["samples"], found, (text, one))

    def test_edge_impulse_files_have_all_digits_and_give_them_back(self):
        rows = [(-2**63, 2**64 - 1), (-2**53 - 1, 2**53 + 1), (7, 0), (2**63 - 1, 2**60 + 1)]
        for one in self.recordings(rows):
            run("export", "edge-impulse", one, "-o", self.path("a.json"), "-f")
            with open(self.path("a.json")) as file:
                self.assertEqual(json.load(file)["payload"]["values"], [list(row) for row in rows])
            run("export", "edge-impulse", one, "--cbor", "-o", self.path("a.cbor"), "-f")
            for kind in ("json", "cbor"):
                run("import", "edge-impulse", self.path(f"a.{kind}"), "-o", self.path("back.sdsz"), "-f")
                table = run("export", "csv", self.path("back.sdsz"))[0].splitlines()
                self.assertEqual([tuple(map(int, row.split(",")[1:])) for row in table[1:]], rows, kind)

    def test_sound_says_which_bit_fields_it_rounds(self):
        # Of 2^58 + 1 and 5 a double holds 5; of 2^62 + 1 and 2^62 the second.
        rows = [(2**58 + 1, 2**62 + 1), (5, 2**62)] * 100
        for kinds in (("int64_t:60", "uint64_t:63"), ("int64_t", "uint64_t")):
            one, _ = self.recordings(rows, kinds)
            told = run("export", "wav", one, "-o", self.path("a.wav"), "-f")[1]
            self.assertEqual(told.count("100 values"), 2, told)


if __name__ == "__main__":
    main()
