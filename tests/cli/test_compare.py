"""sds compare: what it is told to compare."""
import struct

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


main()
