"""What -o may be called: by its ending, as a file or a directory, and over what is still being recorded."""
import os
import shutil
import struct
import subprocess

from harness import Case, DEVICE, SOURCE, Server, main, plain, run, wait_until


class OutputNames(Case):
    def setUp(self):
        super().setUp()
        for name in "AB":
            self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: 100\n  content:\n    - {{value: x, type: int16_t}}\n")
            self.write(f"{name}.0.sds", plain(*[(100 * i, struct.pack("<10h", *range(10))) for i in range(50)]))
        run("pack", self.path("A.0.sds"), "-o", self.path("a.sdsz"))
        run("pack", self.path("A.0.sds"), self.path("B.0.sds"), "-o", self.path("ab.sdsz"))
        self.before = sorted(os.listdir(self.path("")))

    def refused(self, *args, said, expect=2):
        _, err = run(*args, expect=expect)
        self.assertIn(said, err)
        self.assertEqual(sorted(os.listdir(self.path(""))), self.before, args)

    def test_an_ending_of_another_format_is_an_error(self):
        a = self.path("a.sdsz")
        right = {"csv": "csv", "wav": "wav", "flac": "flac", "hdf5": "h5", "npz": "npz", "qeexo": "csv", "edge-impulse": "json", "mcap": "mcap"}
        for form, own in right.items():
            for other in ("csv", "wav", "flac", "h5", "npz", "json", "mcap", "sdsz", "SDSZ", "sds", "cbor", "png", "yml"):
                if other != own:
                    self.refused("export", form, a, "-f", "-o", self.path("x." + other), said=f"x.{other} ends like another format")
        self.refused("export", "edge-impulse", a, "--cbor", "-o", self.path("x.json"), said="what is written here is called .cbor")
        for command in (["pack", self.path("A.0.sds")], ["cut", a, "--to", 1], ["merge", a, self.path("ab.sdsz")], ["recover", a],
                        ["resample", a, "--rate", 50], ["import", "csv", self.write("in.csv", "time,x\n0,1\n1,2\n")]):
            self.before = sorted(os.listdir(self.path("")))
            self.refused(*command, "-f", "-o", self.path("x.npz"), said="x.npz ends like another format: what is written here is called .sdsz")
        self.refused("plot", a, "-o", self.path("x.csv"), said="what is written here is called .png or .svg or .html")
        self.refused("label", "export", a, "-o", self.path("x.npz"), said="what is written here is called .csv or .txt")
        self.refused("test", os.path.join(SOURCE, "data", "motion-suite.yml"), "--junit", self.path("x.html"), said="is called .xml")
        # An ending that is nobody's, or none, is as good as any.
        for name in ("x.data", "x", "x.CSV", "x.v2"):
            run("export", "csv", a, "-o", self.path(name))
        run("export", "hdf5", a, "-o", self.path("y.hdf5"))

    def test_a_file_where_a_directory_is_made(self):
        a, ab = self.path("a.sdsz"), self.path("ab.sdsz")
        for args in (["export", "csv", a, ab], ["export", "npz", a, "--window", "1s", "--unlabelled"], ["export", "npz", a, "--split", "100/0"],
                     ["export", "mcap", a, ab]):
            self.refused(*args, "-o", self.path("x.npz"), said="x.npz is the name of a file, and what is made is a directory")
        self.refused("export", "csv", ab, "-o", self.path("x.csv"), said="several streams: choose one with -s, or a directory with -o")
        self.refused("unpack", a, "-d", self.path("x.sds"), said="is the name of a file, and what is made is a directory")
        self.write("there", "somebody else's")
        self.before = sorted(os.listdir(self.path("")))
        for args in (["export", "csv", a, ab, "-o"], ["export", "csv", ab, "-o"], ["export", "mcap", a, ab, "-o"], ["unpack", a, "-d"]):
            for force in ([], ["-f"]):
                self.refused(*args, self.path("there"), *force, said="there: is a file, and a directory is to be made of that name")
        self.refused("export", "csv", a, ab, "-o", self.path("there", "in", "it"), said="there: is a file")
        self.assertEqual(self.read("there"), b"somebody else's")
        for form, name in (("npz", "a.npz"), ("hdf5", "a.h5"), ("mcap", "a.mcap"), ("csv", "A.csv"), ("qeexo", "a.csv")):
            run("export", form, a, "-o", self.path("new-" + form) + "/")
            self.assertEqual(os.listdir(self.path("new-" + form)), [name])

    def test_a_directory_where_a_file_is_made(self):
        os.mkdir(self.path("folder.sdsz"))
        self.before = sorted(os.listdir(self.path("")))
        a = self.path("a.sdsz")
        for args in (["pack", self.path("A.0.sds")], ["cut", a, "--to", 1], ["recover", a], ["plot", a], ["label", "export", a],
                     ["resample", a, "--rate", 50], ["merge", a, self.path("ab.sdsz")]):
            for force in ([], ["-f"]):
                if args[0] not in ("plot", "label"):
                    self.refused(*args, *force, "-o", self.path("folder.sdsz"), said="is a directory, and a file is to be made: give its name")
        self.refused("label", "export", a, "-f", "-o", self.path("folder.sdsz"), said="is a directory")
        self.assertEqual(os.listdir(self.path("folder.sdsz")), [])

    def test_a_recording_with_its_log_is_not_replaced(self):
        a = self.path("a.sdsz")
        shutil.copyfile(a, self.path("live.sdsz"))
        os.symlink("live.sdsz", self.path("link.sdsz"))
        for log in ("live.sdsz.wal", "live.sdsz.wal.new"):
            self.write(log, b"a log")
            self.before = sorted(os.listdir(self.path("")))
            content = self.read("live.sdsz")
            for name in ("live.sdsz", "link.sdsz"):
                for args in (["pack", self.path("A.0.sds")], ["cut", a, "--to", 1], ["recover", a], ["merge", a, self.path("ab.sdsz")],
                             ["resample", a, "--rate", 50]):
                    self.refused(*args, "-f", "-o", self.path(name), said=f"is being recorded, or was never closed: its log {log} is beside it")
            self.refused("export", "csv", a, "-f", "-o", self.path(log), said="is the name of a recording's log")
            self.refused("label", "export", a, "-f", "-o", self.path(log), said="is the name of a recording's log")
            self.assertEqual(self.read("live.sdsz"), content)
            self.assertEqual(self.read(log), b"a log")
            os.remove(self.path(log))
        run("pack", self.path("A.0.sds"), "-f", "-o", self.path("live.sdsz"))

    def test_a_recording_that_grows_is_not_replaced(self):
        os.mkdir(self.path("session"))
        with Server(self.path("session"), "--sessions", "1") as server:
            board = subprocess.Popen([DEVICE, "--port", server.port, "--seconds", "20"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until(lambda: os.path.exists(self.path("session", "recording.0.sdsz.wal")), "the recording")
            _, err = run("pack", self.path("A.0.sds"), "-f", "-o", self.path("session", "recording.0.sdsz"), expect=2)
            self.assertIn("is being recorded", err)
            board.kill()
            board.wait()
        run("info", self.path("session", "recording.0.sdsz"), expect=0)


if __name__ == "__main__":
    main()
