"""sds compare: what it is told to compare."""
import json
import struct
from fractions import Fraction

from harness import Case, main, plain, run


class Compare(Case):
    def setUp(self):
        super().setUp()
        self.write("A.0.sds", plain((1, struct.pack("<3B", 1, 2, 3))))
        self.write("B.0.sds", plain((1, struct.pack("<3B", 5, 2, 4))))
        names = {"A": ("a=b", "c", "d"), "B": ("a", "b=c", "d")}
        for side, channels in names.items():
            self.write(f"{side}.sds.yml", f"sds:\n  name: {side}\n  content:\n" +
                       "".join(f"    - {{value: '{name}', type: uint8_t}}\n" for name in channels))

    def compare(self, *args, expect=0):
        out, err = run("compare", self.path("A.0.sds"), self.path("B.0.sds"), "-s", "A=B", *args, expect=expect)
        return out + err

    def test_an_option_that_says_the_same_thing_twice_is_an_error(self):
        d = ("--channel", "d")
        self.compare(*d, expect=1)
        self.compare(*d, "--tolerance", "d=1")
        for twice, what in ((("d=0", "d=1"), "for 'd'"), (("0", "1"), "for all channels")):
            self.assertIn(f"--tolerance is given twice {what}", self.compare(*d, *(f"--tolerance={t}" for t in twice), expect=2))
        self.compare(*d, "--tolerance", "0", "--tolerance", "d=1")
        self.assertIn("channel 'd' is named twice", self.compare(*d, *d, expect=2))
        self.assertIn("stream 'A=B' is named twice", self.compare("-s", "A=B", expect=2))

    def test_names_with_equals_signs_can_be_named(self):
        self.assertIn("no channel 'a' in A", self.compare("--channel", "a=b=c", expect=2))
        self.compare("--channel", r"a\=b=a", "--tolerance", "a=b=4")       # 1 against 5
        self.compare("--channel", r"a\=b=a", "--tolerance", "a=b=3", expect=1)
        self.compare("--channel", r"c=b\=c")                               # 2 against 2
        self.compare("--channel", r"c\\=b\=c", expect=2)                   # of A the channel c\

    def test_a_pair_of_channels_has_one_tolerance(self):
        pair = ("--channel", "d=a")                                        # 3 against 5
        self.compare(*pair, "--tolerance", "a=2")
        self.compare(*pair, "--tolerance", "d=2")
        for tolerances in (("a=2", "d=0"), ("d=2", "a=0")):
            self.assertIn("the tolerances for 'd' and for 'a' are of one pair of channels, d=a",
                          self.compare(*pair, *(f"--tolerance={t}" for t in tolerances), expect=2))

    def test_shares_are_of_one_channel_or_of_all(self):
        for options, expect in ((("--channel=d", "--relative=d=0.25"), 0), (("--channel=d", "--relative=d=25%"), 0), (("--channel=d", "--relative=d=0.24"), 1),
                                (("--channel=d", "--relative=0.1", "--relative=d=0.25"), 0), (("--channel=d", "--relative=0.25", "--relative=d=0"), 1),
                                ((r"--channel=a\=b=a", "--relative=a=80%"), 0), ((r"--channel=a\=b=a", "--relative=a=b=79%"), 1)):
            self.compare(*options, expect=expect)
        for options, said in ((("--relative=x=1",), "there is no channel 'x' for the tolerance given"), (("--relative=2",), "a share from 0 to 1"),
                              (("--relative=d=-1",), "a share from 0 to 1"), (("--relative=d=1", "--relative=d=0"), "given twice for 'd'"),
                              (("--channel=d=a", "--relative=d=1", "--relative=a=1"), "are of one pair of channels, d=a")):
            self.assertIn(said, self.compare(*options, expect=2))

    def test_integers_of_64_bits_are_compared_exactly_where_scales_are_whole_numbers(self):
        def differ(kind_a, a, scale_a, offset_a, kind_b, b, scale_b, offset_b):
            types = {"q": "int64_t", "Q": "uint64_t", "d": "double", "f": "float", "h": "int16_t"}
            for side, kind, value, scale, offset in (("A", kind_a, a, scale_a, offset_a), ("B", kind_b, b, scale_b, offset_b)):
                self.write(f"{side}.0.sds", plain((1, struct.pack("<" + kind, value))))
                self.write(f"{side}.sds.yml", f"sds:\n  name: {side}\n  content:\n    - {{value: v, type: {types[kind]}, scale: {scale}, "
                                              f"offset: {offset}}}\n")
            differ = Fraction(a) * scale_a + offset_a != Fraction(b) * scale_b + offset_b
            self.compare("--channel=v", expect=1 if differ else 0)
        for last in (0, 1):
            differ("q", 2**60 + last, 1, 0, "q", 2**59, 2, 0)
            differ("q", 2**60 + last, 1, 0, "d", 2.0**59, 2, 0)
            differ("q", -2**60 - last, 3, 0, "q", -3 * 2**60, 1, 0)
            differ("Q", 2**64 - 1 - last, 1, 0, "q", -1, 1, 2**52)
            differ("q", 2**60 + last, 1, 5, "q", 2**60, 1, 6)
            differ("q", 2**62 + last, -2, 0, "f", -2.0**63, 1, 0)
            # Nanoseconds since 1970, and other offsets and scales beyond 2^53; products beyond 64 bits; fractions.
            differ("q", 17 * 10**17 + 200 + last, 1, 0, "q", 200, 1, 17 * 10**17)
            differ("h", 200 + last, 1, 2**53, "q", 200, 1, 2**53)
            differ("q", 200 + last, 1, 10**17, "h", 200, 1, 10**17)
            differ("q", 2**60 + 2 * last, 10**16, 0, "q", 2**59, 2 * 10**16, 0)
            differ("q", 2**60 + last, 2**50, 0, "d", 2.0**110, 1, 0)
            differ("q", 2**53 + last, 1, 1 - 2**53, "d", 0.5, 2, 0)
            differ("q", 2**53 + last, 1, 1 - 2**53, "f", 0.25, 4, 0)
            differ("q", 2**53, 1, -2**53, "d", 5e-324 * last, 3, 0)

    def test_differences_of_integers_of_64_bits_are_exact(self):
        # 2^53 + 1 - (2^53 - 1) is 2, whose double is 1 where the integer was rounded first.
        self.write("A.0.sds", plain((1, struct.pack("<q", 2**53 + 1))))
        self.write("A.sds.yml", f"sds:\n  name: A\n  content:\n    - {{value: v, type: int64_t, offset: {1 - 2**53}}}\n")
        self.write("B.0.sds", plain((1, struct.pack("<d", 1.5))))
        self.write("B.sds.yml", "sds:\n  name: B\n  content:\n    - {value: v, type: double}\n")
        self.assertIn("equal within 0.5", self.compare("--channel=v", "--tolerance=0.5"))
        self.compare("--channel=v", "--tolerance=0.49", expect=1)
        # 100 against 201: 101.
        self.write("A.0.sds", plain((1, struct.pack("<q", 17 * 10**17 + 100))))
        self.write("A.sds.yml", "sds:\n  name: A\n  content:\n    - {value: v, type: int64_t}\n")
        self.write("B.0.sds", plain((1, struct.pack("<I", 201))))
        self.write("B.sds.yml", f"sds:\n  name: B\n  content:\n    - {{value: v, type: uint32_t, offset: {17 * 10**17}}}\n")
        self.assertIn("equal within 101", self.compare("--channel=v", "--tolerance=101"))
        self.assertIn(str(17 * 10**17 + 201), self.compare("--channel=v", "--tolerance=100", expect=1))

    def test_each_stretch_that_differs_is_told(self):
        # 5 samples a block at 100 Hz, ticks of ms: samples 3 to 6 and 12 differ (fewer than ten apart), and 40.
        def blocks(values):
            return plain(*((50 * k, bytes(values[5 * k:5 * k + 5])) for k in range(12)))
        a = [0] * 60
        b = list(a)
        for i, value in ((3, 1), (4, 7), (5, 2), (6, 1), (12, 3), (40, 9)):
            b[i] = value
        for side, values in (("L", a), ("R", b)):
            self.write(f"{side}.0.sds", blocks(values))
            self.write(f"{side}.sds.yml", f"sds:\n  name: {side}\n  sample-frequency: 100\n  content:\n"
                                          "    - {value: v, type: uint8_t}\n")
        done = ("compare", self.path("L.0.sds"), self.path("R.0.sds"), "-s", "L=R")
        out, _ = run(*done, expect=1)
        self.assertIn("    5 values from 0.03 s to 0.12 s (ticks 0 to 100), by up to 7\n    1 value at 0.4 s (tick 400), by up to 9\n", out)
        channel = json.loads(run(*done, "--json", expect=1)[0])["streams"][0]["channels"][0]
        self.assertEqual(channel["stretch_count"], 2)
        self.assertEqual(channel["stretches"], [
            {"from_tick": 0, "to_tick": 100, "from_s": 0.03, "to_s": 0.12, "values": 5, "max_difference": 7.0},
            {"from_tick": 400, "to_tick": 400, "from_s": 0.4, "to_s": 0.4, "values": 1, "max_difference": 9.0}])
        self.assertEqual(run(*done, "--tolerance", "9.5")[0].splitlines()[-1], "equal within 9")
        # Within the tolerance there is no difference: one stretch, of which the first difference says all.
        out, _ = run(*done, "--tolerance", "3", expect=1)
        self.assertIn("1 value at 0.04 s", out)
        channel = json.loads(run(*done, "--tolerance", "7", "--json", expect=1)[0])["streams"][0]["channels"][0]
        self.assertEqual([s["from_tick"] for s in channel["stretches"]], [400])
        # The first difference is at its sample's time.
        channel = json.loads(run(*done, "--json", expect=1)[0])["streams"][0]["channels"][0]
        self.assertEqual((channel["first"]["tick"], channel["first"]["sample"], channel["first"]["seconds"]), (0, 3, 0.03))
        # Blocks that only one side has part what differs on either side of them: block 1 is missing, with samples 5 to 9.
        self.write("R.0.sds", plain(*((50 * k, bytes(b[5 * k:5 * k + 5])) for k in range(12) if k != 1)))
        channel = json.loads(run(*done, "--json", expect=1)[0])["streams"][0]["channels"][0]
        self.assertEqual([(s["from_s"], s["to_s"]) for s in channel["stretches"]], [(0.03, 0.04), (0.12, 0.12), (0.4, 0.4)])

    def test_of_very_many_stretches_the_first_are_told(self):
        a, b = [0] * 6000, [1 if i % 20 == 0 else 0 for i in range(6000)]
        for side, values in (("L", a), ("R", b)):
            self.write(f"{side}.0.sds", plain(*((k, bytes(values[10 * k:10 * k + 10])) for k in range(600))))
            self.write(f"{side}.sds.yml", f"sds:\n  name: {side}\n  content:\n    - {{value: v, type: uint8_t}}\n")
        done = ("compare", self.path("L.0.sds"), self.path("R.0.sds"), "-s", "L=R")
        self.assertIn("and 295 more such stretches", run(*done, expect=1)[0])
        channel = json.loads(run(*done, "--json", expect=1)[0])["streams"][0]["channels"][0]
        self.assertEqual((channel["stretch_count"], len(channel["stretches"])), (300, 100))


main()
