"""Every export is read back with the format's own library: values, times and attributes must be what went in."""
import json
import math
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import unittest

import peers

peers.use()

import cbor2
import h5py
import mcap.reader
import numpy as np
import soundfile
import yaml

from harness import (Case, SDS, Server, SHARED, SOURCE, limit_files, main, peak_mb, plain, run,
                     skip_under_sanitizers)

MIXED = """sds:
  name: Mixed
  description: "a little of everything"
  sample-frequency: 100
  content:
    - {value: a, type: int16_t, scale: 0.5, offset: 1, unit: G}
    - {value: flag, type: "uint8_t:1"}
    - {value: count, type: "uint8_t:7"}
    - {value: grid, type: uint8_t, dim-x: 3, dim-y: 2}
    - {value: f, type: float, unit: "%"}
    - {value: "d/e", type: double}
"""
MIXED_ROW = struct.Struct("<hB6Bfd")


def mixed_rows(count):
    return [(i % 5000 - 50, i % 2 | (i % 100) << 1, *[(i + k) % 256 for k in range(6)],
             np.float32(i) / 3 if i != 7 else math.nan, i * 1e100) for i in range(count)]


class Exports(Case):
    def mixed(self, count=1000, block=10):
        rows = mixed_rows(count)
        self.write("Mixed.sds.yml", MIXED)
        blocks = [(1000 * i // 100, b"".join(MIXED_ROW.pack(*r) for r in rows[i:i + block]))
                  for i in range(0, count, block)]
        self.write("Mixed.0.sds", plain(*blocks))
        run("pack", self.path("Mixed.0.sds"), "-o", self.path("mixed.sdsz"))
        run("label", "add", self.path("mixed.sdsz"), "-c", "walk", "--from", 1, "--to", 4, "--author", "ann")
        run("label", "add", self.path("mixed.sdsz"), "-c", "rest", "--from", 4, "--to", 9.5, "--confidence", 0.5)
        return rows

    def audio(self, bits, channels, frames=5000, rate=16000):
        width = (bits + 7) // 8
        rng = np.random.default_rng(bits + channels)
        low, high = (0, 2**bits) if bits == 8 else (-2**(bits - 1), 2**(bits - 1))
        samples = rng.integers(low, high, size=(frames, channels), dtype=np.int64)
        samples[0], samples[1] = low, high - 1
        self.write("Mic.sds.yml", f"sds:\n  name: Mic\n  sample-frequency: {rate}\n  content:\n"
                                  f"    - audio: {{bit-depth: {bits}, channels: {channels}, format: pcm}}\n")
        data = b"".join(int(v).to_bytes(width, "little", signed=bits > 8) for v in samples.reshape(-1))
        block = 160 * width * channels
        self.write("Mic.0.sds", plain(*[(10 * i, data[i * block:(i + 1) * block])
                                        for i in range((len(data) + block - 1) // block)]))
        return samples

    def test_hdf5_holds_every_type_with_times_attributes_and_labels(self):
        rows = self.mixed()
        run("export", "hdf5", self.path("mixed.sdsz"), "-o", self.path("m.h5"))
        with h5py.File(self.path("m.h5")) as f:
            g = f["mixed/Mixed"]
            self.assertEqual(g.attrs["sample_frequency"], 100)
            self.assertEqual(g.attrs["metadata"].decode() if isinstance(g.attrs["metadata"], bytes)
                             else g.attrs["metadata"], MIXED)
            np.testing.assert_array_equal(g["time"], np.arange(1000) / 100)
            np.testing.assert_array_equal(g["a"], [r[0] for r in rows])
            self.assertEqual(g["a"].dtype, np.int16)
            self.assertEqual((g["a"].attrs["scale"], g["a"].attrs["offset"]), (0.5, 1))
            np.testing.assert_array_equal(g["flag"], [r[1] & 1 for r in rows])
            np.testing.assert_array_equal(g["count"], [r[1] >> 1 for r in rows])
            np.testing.assert_array_equal(g["grid"], np.array([r[2:8] for r in rows]).reshape(-1, 2, 3))
            np.testing.assert_array_equal(g["f"], np.array([r[8] for r in rows], np.float32))
            np.testing.assert_array_equal(g["d_e"], [r[9] for r in rows])
            self.assertEqual([bytes(c).decode() if isinstance(c, bytes) else c for c in f["mixed/labels/class"][:]],
                             ["walk", "rest"])
            np.testing.assert_array_equal(f["mixed/labels/begin"], [1, 4])
            np.testing.assert_array_equal(f["mixed/labels/end"], [4, 9.5])
            self.assertEqual(g["a"].compression, "gzip")
            self.assertTrue(g["a"].shuffle)

    def test_hdf5_is_the_same_for_any_number_of_threads_and_level_and_physical(self):
        rows = self.mixed(count=200_000, block=100)
        for level in (0, 1, 9):
            contents = []
            for jobs in (1, 3):
                run("export", "hdf5", self.path("mixed.sdsz"), "-o", self.path("t.h5"), "-f", "-j", jobs, "--deflate", level)
                contents.append(self.read("t.h5"))
                if level == 1 and jobs == 1:
                    time.sleep(1.1)  # nothing of the moment may be in the file
            self.assertEqual(contents[0], contents[1])
            with h5py.File(self.path("t.h5")) as f:
                np.testing.assert_array_equal(f["mixed/Mixed/a"], [r[0] for r in rows])
        run("export", "hdf5", self.path("mixed.sdsz"), "-o", self.path("p.h5"), "--physical")
        with h5py.File(self.path("p.h5")) as f:
            np.testing.assert_array_equal(f["mixed/Mixed/a"], [r[0] * 0.5 + 1 for r in rows])

    def test_times_follow_the_ticks_where_the_sensor_is_slower_than_it_says(self):
        # Said to be 100 Hz, one per cent slower in truth: ten samples each 101 ms; a value is its own time.
        self.write("Slow.sds.yml", "sds:\n  name: Slow\n  tick-frequency: 1000\n  sample-frequency: 100\n  content:\n"
                                   "    - {value: t, type: float}\n")
        blocks = [(101 * k, struct.pack("<10f", *(0.101 * k + 0.0101 * i for i in range(10)))) for k in range(6000)]
        slow = self.write("Slow.0.sds", plain(*blocks))
        run("label", "add", slow, "-c", "walk", "--from", 0, "--to", 500)
        run("label", "add", slow, "-c", "shake", "--from", 500, "--to", 606)
        run("export", "npz", slow, "--window", "2s", "--stride", "1s", "-o", self.path("slow"))
        z = np.load(self.path("slow", "train.npz"))
        first = z["x"][:, 0, 0].astype(float)
        self.assertEqual(len(first), (60000 - 200) // 100 + 1)
        # Within a block times go on at the nominal rate, and windows begin at most 10 samples into one.
        self.assertLess(np.abs(z["begin"] - first).max(), 0.0012)
        middle = (first + z["x"][:, -1, 0]) / 2
        clear = np.abs(middle - 500) > 0.01
        classes = z["classes"][z["y"]]
        np.testing.assert_array_equal((classes == "shake")[clear], (middle > 500)[clear])
        run("resample", slow, "--rate", 50, "-o", self.path("slow50.sdsz"))
        rows = np.loadtxt(run("export", "csv", self.path("slow50.sdsz"))[0].splitlines(), delimiter=",", skiprows=1)
        self.assertEqual(len(rows), 30000)
        inner = rows[500:-500]  # where the filter sees samples on both sides
        self.assertLess(np.abs(inner[:, 0] - inner[:, 1]).max(), 0.0012)

    def test_a_split_goes_by_labelled_time_that_is_there(self):
        # Ten recordings of 3 s, all of class c: 8, 1 and 1, also where one label claims to end after 1000 s.
        self.write("V.sds.yml", "sds:\n  name: V\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n")
        recordings = []
        for i in range(10):
            rec = self.write(f"V.{i}.sds", plain(*((100 * k, struct.pack("<10h", *range(i, i + 10))) for k in range(30))))
            run("pack", rec, "-o", self.path(f"r{i}.sdsz"))
            recordings.append(self.path(f"r{i}.sdsz"))
            self.write(f"r{i}.labels.yml", "labels:\n  intervals:\n    - {class: c, from: 0, to: %d}\n" % (1000 if i == 0 else 3))
        run("export", "npz", *recordings, "--window", "1s", "--stride", "1s", "--split", "80/10/10", "-o", self.path("parts"))
        manifest = yaml.safe_load(self.read("parts", "manifest.yml"))
        parts = [r["part"] for r in manifest["dataset"]["recordings"]]
        self.assertEqual(sorted(parts.count(p) for p in ("train", "validation", "test")), [1, 1, 8])
        for recording in manifest["dataset"]["recordings"]:
            self.assertAlmostEqual(recording["class-seconds"]["c"], 3, places=6)

    def parts(self, *args, expect=0):
        """The part of each recording of a split."""
        run("export", "csv", *args, "-o", self.path("set"), "-f", expect=expect)
        return {r["name"]: r["part"] for r in yaml.safe_load(self.read("set", "manifest.yml"))["dataset"]["recordings"]}

    def session_of(self, name, first):
        """A recording of 30 blocks as a server makes it, of one device."""
        with Server(self.folder.name) as server:
            connection = socket.create_connection(("127.0.0.1", int(server.port)), timeout=30)
            data = b"V"
            connection.sendall(struct.pack("<IIII", 1, 0, 1, len(data)) + data)
            command = handle = 0
            while command != 1:
                command, handle, _, _ = struct.unpack("<IIII", connection.recv(16, socket.MSG_WAITALL))
            for k in range(30):
                block = plain((100 * k, struct.pack("<10h", *range(first, first + 10))))
                connection.sendall(struct.pack("<IIII", 3, handle, 0, len(block)) + block)
            connection.sendall(struct.pack("<IIII", 2, handle, 0, 0))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):  # closed with FLAGS unread it would take back what was sent
                pass
            connection.close()
        made = max((n for n in os.listdir(self.path()) if re.fullmatch(r"recording\.\d+\.sdsz", n)), key=lambda n: int(n.split(".")[1]))
        os.rename(self.path(made), self.path(name))
        return self.path(name)

    def test_copies_and_parts_of_a_session_never_stand_on_both_sides_of_a_split(self):
        self.write("V.sds.yml", "sds:\n  name: V\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n")
        a, b = self.session_of("a.sdsz", 0), self.session_of("b.sdsz", 50)
        copy = self.path("z copy.sdsz")
        shutil.copy(a, copy)
        cuts = []
        for n in range(3):
            cuts.append(self.path(f"c{n}.sdsz"))
            run("cut", b, "--from", n, "--to", n + 1, "-o", cuts[-1])
        for seed in range(1, 13):
            parts = self.parts(a, copy, *cuts, "--split", "50/50", "--seed", seed)
            self.assertEqual(parts["a"], parts["z copy"])
            self.assertEqual(len({parts[f"c{n}"] for n in range(3)}), 1)
            self.assertNotEqual(parts["a"], parts["c0"])
            by_device = self.parts(a, b, copy, "--split", "50/50", "--split-by", "device", "--seed", seed)
            self.assertEqual(len(set(by_device.values())), 1)  # one address, whatever the port was
        # Asked for by name, each is for itself.
        seen = {tuple(self.parts(a, copy, *cuts, "--split", "50/50", "--split-by", "recording", "--seed", s).items()) for s in range(1, 13)}
        self.assertTrue(any(dict(parts)["a"] != dict(parts)["z copy"] for parts in seen), seen)
        _, err = run("export", "csv", a, b, "--split", "80/10/10", "-o", self.path("three"))
        self.assertEqual(err.count(" gets nothing: there are 2 groups of recordings only"), 1, err)

    def test_the_folder_of_a_split_has_one_split(self):
        self.write("V.sds.yml", "sds:\n  name: V\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n")
        recordings = []
        for i in range(8):
            recordings.append(self.path(f"r{i}.sdsz"))
            run("pack", self.write(f"V.{i}.sds", plain(*((100 * k, struct.pack("<10h", *range(i, i + 10))) for k in range(30)))), "-o", recordings[-1])
        seen = set()
        for command, suffix in ((["csv"], ".csv"), (["npz", "--window", "1s", "--unlabelled"], ".npz"), (["hdf5"], ".h5"), (["csv"], ".csv")):
            for seed in range(1, 4):
                out, _ = run("export", *command, *recordings, "--split", "50/25/25", "--seed", seed, "-o", self.path("set"), "-f")
                self.assertNotIn("partial", out)
                manifest = yaml.safe_load(self.read("set", "manifest.yml"))["dataset"]
                there = sorted(os.path.relpath(os.path.join(folder, n), self.path("set")) for folder, _, names in os.walk(self.path("set")) for n in names)
                self.assertEqual(there, sorted(manifest["files"] + ["manifest.yml"]))
                if suffix == ".csv":
                    self.assertEqual(manifest["files"], sorted(f"{r['part']}/{r['name']}.csv" for r in manifest["recordings"]))
                    seen.add(tuple(manifest["files"]))
                else:
                    self.assertEqual(manifest["files"], sorted(f"{part}{suffix}" for part in ("train", "validation", "test")))
        self.assertGreater(len(seen), 1)
        before = self.read("set", "manifest.yml")
        # Not without --force, not what fails, and not what somebody else has there.
        self.assertIn("is not empty (--force", run("export", "csv", *recordings, "--split", "50/50", "-o", self.path("set"), expect=4)[1])
        run("export", "csv", *recordings, "-s", "W", "--split", "50/50", "-o", self.path("set"), "-f", expect=2)
        self.assertEqual(self.read("set", "manifest.yml"), before)
        self.write("set/train/mine.txt", "mine")
        _, err = run("export", "csv", *recordings, "--split", "50/50", "-o", self.path("set"), "-f", expect=2)
        self.assertIn("has train/mine.txt, which the manifest of a dataset there does not list", err)
        self.assertEqual(self.read("set", "train", "mine.txt"), b"mine")
        self.assertEqual([n for n in os.listdir(self.path()) if "partial" in n or n.startswith("sds-")], [])

    def two(self, names=("a", "b")):
        """Recordings of 3 s at 100 Hz."""
        self.write("V.sds.yml", "sds:\n  name: V\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n")
        recordings = []
        for i, name in enumerate(names):
            recordings.append(self.path(name + ".sdsz"))
            data = plain(*((100 * k, struct.pack("<10h", *range(i, i + 10))) for k in range(30)))
            run("pack", self.write(f"V.{i}.sds", data), "-o", recordings[-1])
        return recordings

    def folders_beside(self):
        return sorted(n for n in os.listdir(self.path()) if n.startswith("set"))

    def test_of_two_exports_into_one_folder_one_succeeds(self):
        recordings = self.two()
        for prepare in (False, True):
            if prepare:
                os.mkdir(self.path("set"))
            running = [subprocess.Popen([SDS, "export", "csv", *recordings, "--split", "50/50", "--seed", str(n), "-o",
                                         self.path("set")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                       for n in range(6)]
            done = [(*p.communicate(timeout=120), p.returncode) for p in running]
            self.assertEqual(sorted(code for *_, code in done), [0] + 5 * [4], done)
            seed = [code for *_, code in done].index(0)
            manifest = yaml.safe_load(self.read("set", "manifest.yml"))["dataset"]
            self.assertEqual(manifest["seed"], seed)
            self.assertEqual(self.files_in("set"), sorted(manifest["files"] + ["manifest.yml"]))
            self.assertEqual(self.folders_beside(), ["set"])
            shutil.rmtree(self.path("set"))

    def files_in(self, folder):
        return sorted(os.path.relpath(os.path.join(at, n), self.path(folder))
                      for at, _, names in os.walk(self.path(folder)) for n in names)

    def test_only_a_dataset_of_ours_is_replaced(self):
        recordings = self.two()
        export = ["export", "csv", *recordings, "--split", "50/50", "-o", self.path("set"), "-f"]
        os.mkdir(self.path("set"))
        for text in ("mine", "dataset: 1\n", "dataset:\n  files: []\n", "files: [a]\n", "[", "",
                     "dataset:\n  version: 1\n  format: csv\n  files: []\n  recordings: [{name: a}]\n"):
            self.write("set/manifest.yml", text)
            _, err = run(*export, expect=2)
            self.assertIn("has a manifest.yml that is not one of a dataset", err)
            self.assertEqual(self.read("set", "manifest.yml").decode(), text)
        os.remove(self.path("set", "manifest.yml"))
        run(*export)
        os.mkdir(self.path("set", "train", "mine"))
        _, err = run(*export, expect=2)
        self.assertIn("has train/mine, which the manifest of a dataset there does not list", err)
        os.rmdir(self.path("set", "train", "mine"))
        run(*export)
        self.assertEqual(self.folders_beside(), ["set"])

    def test_an_empty_folder_is_filled_and_stays_the_same(self):
        recordings = self.two()
        export = ["export", "csv", *recordings, "--split", "50/50", "-o"]
        os.mkdir(self.path("set"), 0o750)
        os.symlink("set", self.path("link"))
        for name, cwd in (("set", "."), ("link", "."), (".", "set")):
            before = os.stat(self.path("set"))
            out, _ = run(*export, self.path(name) if cwd == "." else name, cwd=self.path(cwd))
            self.assertNotIn("partial", out)
            after = os.stat(self.path("set"))
            self.assertEqual((before.st_ino, before.st_mode), (after.st_ino, after.st_mode))
            self.assertEqual(len(self.files_in("set")), 3)
            self.assertEqual(self.folders_beside(), ["set"])
            _, err = run(*export, ".", "-f", cwd=self.path("set"), expect=2)
            self.assertIn("is where this command runs, which cannot be replaced", err)
            for entry in os.listdir(self.path("set")):
                (os.remove if entry.endswith(".yml") else shutil.rmtree)(self.path("set", entry))
        os.rmdir(self.path("set"))
        _, err = run(*export, self.path("link"), expect=2)
        self.assertIn("is a link to a folder that does not exist", err)
        self.assertEqual(self.folders_beside(), [])

    @unittest.skipIf(subprocess.run(["unshare", "-m", "-r", "true"], capture_output=True).returncode != 0, "needs namespaces")
    def test_a_mount_point_is_filled(self):
        recordings = self.two()
        os.mkdir(self.path("set"))
        script = (f"mount -t tmpfs none {self.path('set')} && {SDS} export csv {' '.join(recordings)} --split 50/50 -o {self.path('set')}"
                  f" && ls {self.path('set')} && {SDS} export csv {' '.join(recordings)} --split 50/50 -f -o {self.path('set')}")
        done = subprocess.run(["unshare", "-m", "-r", "sh", "-c", script], capture_output=True, text=True)
        self.assertIn("manifest.yml\ntest\ntrain\n", done.stdout, done.stderr)
        self.assertIn("is a mount point, which cannot be replaced", done.stderr)
        self.assertEqual(done.returncode, 2)

    def test_a_kill_at_any_moment_leaves_a_dataset(self):
        recordings = self.two()
        export = [SDS, "export", "csv", *recordings, "--split", "50/50", "-f", "-o", self.path("set")]
        begin = time.monotonic()
        subprocess.run(export, check=True, capture_output=True)
        usual = time.monotonic() - begin
        for n in range(30):
            running = subprocess.Popen(export, stdout=subprocess.DEVNULL)
            time.sleep(usual * n / 25)
            running.kill()
            running.wait()
            files = yaml.safe_load(self.read("set", "manifest.yml"))["dataset"]["files"]
            self.assertEqual(self.files_in("set"), sorted(files + ["manifest.yml"]))
            for name in self.folders_beside():
                if name != "set":
                    shutil.rmtree(self.path(name))

    def test_a_private_dataset_is_replaced_by_a_private_one(self):
        recordings = self.two()
        export = ["export", "csv", *recordings, "--split", "50/50", "-o", self.path("set"), "-f"]
        run(*export)
        for mode in (0o700, 0o2770):
            os.chmod(self.path("set"), mode)
            run(*export)
            self.assertEqual(os.stat(self.path("set")).st_mode & 0o7777, mode)

    def test_errors_name_the_folder_that_was_asked_for(self):
        recordings = self.two()
        done = subprocess.run([SDS, "export", "csv", *recordings, "--split", "50/50", "-o", self.path("set")],
                              capture_output=True, text=True, preexec_fn=limit_files(100))
        self.assertEqual(done.returncode, 4)
        self.assertIn(self.path("set", "t"), done.stderr)
        self.assertNotIn("partial", done.stderr)

    def test_files_of_one_export_never_share_a_name(self):
        self.write("Imu.sds.yml", "sds:\n  name: Imu\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n")
        self.write("Mic.sds.yml", "sds:\n  name: Mic\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n")
        for stream in ("Imu", "Mic"):
            self.write(f"{stream}.0.sds", plain(*((100 * k, struct.pack("<10h", *10 * [1 + (stream == "Mic")])) for k in range(5))))
        both, one = self.path("walk.sdsz"), self.path("walk.Imu.sdsz")
        run("pack", self.path("Imu.0.sds"), self.path("Mic.0.sds"), "-o", both)
        run("pack", self.path("Mic.0.sds"), "-o", one)
        for form, suffix in (("csv", "csv"), ("wav", "wav"), ("edge-impulse", "json")):
            contents = []
            for order in ((both, one), (one, both)):
                for jobs in (1, 4):
                    out, err = run("export", form, *order, "-o", self.path("out"), "-f", "-j", jobs)
                    self.assertIn(f"walk.Imu.{suffix} is written as walk.Imu~2.{suffix}: another file of this export has that name", err)
                    self.assertEqual(self.files_in("out"), sorted(f"walk.{n}.{suffix}" for n in ("Imu", "Imu~2", "Mic")))
                    contents.append([self.read("out", n) for n in self.files_in("out")])
                    shutil.rmtree(self.path("out"))
            self.assertTrue(all(c == contents[0] for c in contents))
            self.assertNotEqual(contents[0][0], contents[0][1])

    def test_a_class_that_is_no_name_of_a_file_is_changed_and_said(self):
        rec, other = self.two(("x", "1.x"))
        run("label", "add", rec, "-c", "rock.1", "--from", 0, "--to", 3)
        run("label", "add", other, "-c", "rock", "--from", 0, "--to", 3)
        _, err = run("export", "edge-impulse", rec, other, "-o", self.path("out"))
        self.assertEqual(self.files_in("out"), ["rock.1.x.json", "rock_1.x.json"])
        self.assertIn("the class rock.1 is written as rock_1: Edge Impulse takes it up to the first dot", err)
        out, err = run("export", "edge-impulse", rec, "--class", "a.b", "-o", self.path("out3") + "/")
        self.assertIn(self.path("out3", "a_b."), out)
        self.assertEqual(self.files_in("out3"), ["a_b.x.json"])
        _, err = run("export", "edge-impulse", *self.two(("bare.x", "x.1")), "-o", self.path("out4"))
        self.assertIn("from the name bare.x Edge Impulse takes 'bare' for the class (--class gives one)", err)
        # Two of x and one of x.1 want rock.x.1.
        run("label", "rename", rec, "-c", "rock.1", "--to", "rock")
        run("label", "move", rec, "-n", 1, "--to", 1)
        run("label", "add", rec, "-c", "rock", "--from", 1, "--to", 3)
        run("label", "add", self.path("x.1.sdsz"), "-c", "rock", "--from", 0, "--to", 3)
        _, err = run("export", "edge-impulse", rec, self.path("x.1.sdsz"), "-o", self.path("out5"))
        self.assertEqual(self.files_in("out5"), ["rock.x.1.json", "rock.x.1~2.json", "rock.x.2.json"])
        self.assertIn("rock.x.1.json is written as rock.x.1~2.json: another file of this export has that name", err)
        run("label", "rm", rec, "--all")
        run("label", "add", rec, "-c", "a/b", "--from", 0, "--to", 3)
        _, err = run("export", "edge-impulse", rec, other, "-o", self.path("out2"))
        self.assertEqual(self.files_in("out2"), ["a_b.x.json", "rock.1.x.json"])
        self.assertIn("a/b.x.json is written as a_b.x.json: that is no plain name of a file", err)
        _, err = run("export", "edge-impulse", rec, "--class", "foo", "-o", self.path("x.json"), expect=2)
        self.assertIn("--class is for the names of files in a directory", err)

    def test_a_class_that_no_recording_has_is_an_error_and_one_that_some_have_is_not(self):
        recordings = self.two(("a", "b", "c"))
        for n in (0, 2):
            run("label", "add", recordings[n], "-c", "walk", "--from", 1, "--to", 2)
        run("label", "add", recordings[1], "-c", "rest", "--from", 0, "--to", 1)
        for extra in ([], ["--split", "50/50"]):
            for form in ("csv", "wav", "npz", "mcap"):
                out = self.path("out", "deep")
                _, err = run("export", form, *recordings, "--label", "wlak", *extra, "-o", out, expect=2)
                self.assertIn("no label has the class 'wlak'; there are: rest, walk", err)
                self.assertFalse(os.path.exists(self.path("out")))
                _, err = run("export", form, *recordings, "--label", "walk", *extra, "-o", out)
                self.assertRegex(err, r"sds: note: \S*b\.sdsz: has no label of class 'walk': left out")
                names = {os.path.basename(n).split(".")[0] for n in self.files_in("out")} - {"manifest"}
                self.assertEqual(names, {"a", "c"})
                shutil.rmtree(self.path("out"))
        _, err = run("export", "csv", recordings[0], "--label", "wlak", "-o", self.path("x.csv"), expect=2)
        self.assertIn("no label has the class 'wlak'; there are: walk", err)
        self.assertFalse(os.path.exists(self.path("x.csv")))

    def test_nothing_in_a_normalized_part_says_what_there_is_on_the_clock_of_from_and_to(self):
        self.write("W.sds.yml", "sds:\n  name: W\n  sample-frequency: 10\n  content: [{value: x, type: uint8_t}]\n")
        late = self.write("W.0.sds", plain(*[(10_000 + 100 * i, b"x") for i in range(20)]))
        _, err = run("export", "csv", late, "--normalize", "--from", 1, "--to", 3, "-o", self.path("w.csv"), expect=2)
        self.assertIn("no sample lies in the time that was asked for; W has [10, 12) s", err)
        run("export", "csv", late, "--normalize", "--from", 11, "-o", self.path("w.csv"))
        self.assertEqual(self.read("w.csv").splitlines()[1], b"1,120")

    def test_nothing_in_the_time_that_was_asked_for_is_an_error_and_no_file(self):
        recordings = self.two()
        for form in ("csv", "wav", "hdf5", "npz", "mcap", "qeexo", "edge-impulse"):
            _, err = run("export", form, recordings[0], "--from", 50, "-o", self.path("out." + form), expect=2)
            self.assertIn("no sample lies in the time that was asked for; V has [0, 3) s", err, form)
            self.assertFalse(os.path.exists(self.path("out." + form)))
        out, _ = run("export", "csv", recordings[0], "--from", 50, expect=2)
        self.assertEqual(out, "")
        for extra in ([], ["--split", "50/50"]):
            run("export", "csv", *recordings, "--from", 50, *extra, "-o", self.path("out"), expect=2)
            self.assertFalse(os.path.exists(self.path("out")))

    def test_options_without_effect_are_errors(self):
        recordings = self.two()
        run("label", "add", recordings[0], "-c", "walk", "--from", 0, "--to", 3)
        window = ["npz", "--window", "1s"]
        for args, expected in (([*window, "--normalize"], "--normalize has no effect with --window"),
                               ([*window, "--times", "block"], "--times has no effect with --window"),
                               ([*window, "--channel", "nope"], "no channel 'nope'"),
                               (["npz", "--channel", "v"], "--channel needs --window"),
                               (["hdf5", "--stride", "1s"], "--stride needs --window"),
                               (["npz", "--label-share", "0.1"], "--label-share needs --window"),
                               (["npz", "--unlabelled"], "--unlabelled needs --window"),
                               (["csv", "--split-by", "device"], "--split-by needs --split"),
                               (["mcap", "--seed", "2"], "--seed needs --split"),
                               (["csv", "--split", "80/30"], "--split 80/30: write the per cent of")):
            _, err = run("export", args[0], *recordings, *args[1:], "-o", self.path("out"), expect=2)
            self.assertIn(expected, err)
            self.assertFalse(os.path.exists(self.path("out")), args)
        self.assertIn("--json needs -o", run("export", "csv", recordings[0], "--json", expect=2)[1])
        self.assertIn("--json and --rows", run("query", recordings[0], "v > 0", "--rows", "--json", expect=2)[1])
        sizes = {}
        for args in (["npz"], ["npz", "--compress"], ["hdf5", "--deflate", 0], ["hdf5", "--deflate", 9]):
            run("export", *args, *recordings, "--window", "500ms", "--stride", "10ms", "--unlabelled", "-o", self.path("out"))
            sizes[tuple(args)] = len(self.read("out", "train.npz" if args[0] == "npz" else "train.h5"))
            shutil.rmtree(self.path("out"))
        plain_npz, packed_npz, plain_h5, packed_h5 = sizes.values()
        self.assertLess(packed_npz, plain_npz / 4)
        self.assertLess(packed_h5, plain_h5 / 2)

    def test_the_manifest_counts_labels_of_what_is_exported(self):
        self.mixed()
        recording = self.path("mixed.sdsz")
        os.remove(self.path("mixed.labels.yml"))
        self.two(("v",))
        run("merge", recording, self.path("v.sdsz"), "--no-align", "-o", self.path("m.sdsz"))
        run("label", "add", self.path("m.sdsz"), "-c", "all", "--from", 0, "--to", 2)
        run("label", "add", self.path("m.sdsz"), "-c", "mixed", "-s", "Mixed", "--from", 0, "--to", 2)
        run("export", "edge-impulse", self.path("m.sdsz"), "-s", "V", "--split", "100/0", "-o", self.path("set"))
        manifest = yaml.safe_load(self.read("set", "manifest.yml"))["dataset"]
        self.assertEqual(manifest["format"], "edge-impulse")
        self.assertEqual(manifest["recordings"][0]["class-seconds"], {"all": 2})

    def test_windows_tell_losses(self):
        self.write("V.sds.yml", "sds:\n  name: V\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n")
        data = plain(*((100 * k, struct.pack("<10h", *range(10))) for k in range(30)))
        torn = self.write("V.0.sds", data + struct.pack("<II", 3000, 5000) + bytes(100))
        run("cut", torn, "--from", 0, "--to", 100, "-o", self.path("copy.sdsz"), expect=3)
        out, err = run("export", "npz", self.path("copy.sdsz"), "--window", "1s", "--unlabelled", "-o", self.path("out"), "--json")
        expected = "copy: V: 1 loss of the recording is cut out, no window reaches across: "
        self.assertIn(expected, err)
        self.assertTrue(any(note.startswith(expected) for note in json.loads(out)["notes"]))

    def test_windows_are_cut_with_the_metadata_that_is_given(self):
        self.two(("a",))
        bare = self.write("Bare.0.sds", self.read("V.0.sds"))
        run("export", "npz", bare, "-y", self.path("V.sds.yml"), "--window", "1s", "--unlabelled", "-o", self.path("out"))
        self.assertEqual(np.load(self.path("out", "train.npz"))["x"].shape, (3, 100, 1))

    def test_ogg_of_integers_sounds_as_the_wav_does(self):
        self.write("Mic.sds.yml", "sds:\n  name: Mic\n  sample-frequency: 16000\n  content:\n"
                                  "    - audio: {bit-depth: 16, channels: 1, format: pcm}\n")
        tone = (12000 * np.sin(np.arange(32000) * 2 * np.pi * 440 / 16000)).astype("<i2")
        mic = self.write("Mic.0.sds", plain(*((10 * i, tone[160 * i:160 * (i + 1)].tobytes()) for i in range(200))))
        run("export", "wav", mic, "-o", self.path("m.wav"))
        _, err = run("export", "audio", mic, "-o", self.path("m.ogg"))
        self.assertNotIn("clipped", err)
        wav, _ = soundfile.read(self.path("m.wav"))
        ogg, _ = soundfile.read(self.path("m.ogg"))
        self.assertGreater(np.corrcoef(wav, ogg[:len(wav)])[0, 1], 0.99)
        self.assertAlmostEqual(np.abs(ogg).max(), np.abs(wav).max(), delta=0.05)

    def test_ogg_of_floats_keeps_what_is_beyond_full_scale_and_says_so(self):
        self.write("F.sds.yml", "sds:\n  name: F\n  sample-frequency: 16000\n  content:\n    - {value: x, type: float}\n")
        tone = (3 * np.sin(np.arange(32000) * 2 * np.pi * 440 / 16000)).astype("<f4")
        f = self.write("F.0.sds", plain(*((10 * i, tone[160 * i:160 * (i + 1)].tobytes()) for i in range(200))))
        _, err = run("export", "audio", f, "-o", self.path("f.ogg"))
        self.assertIn("F: values up to 3 are kept, but full scale is 1: players clip them there", err)
        ogg, _ = soundfile.read(self.path("f.ogg"))
        self.assertAlmostEqual(np.abs(ogg).max(), 3, delta=0.2)
        run("export", "audio", f, "--to", 0.0005, "-o", self.path("f.ogg"), "-f")  # up to 3 sin(1.2)

    def test_what_two_authors_label_counts_once(self):
        # Windows of a second: c covers 0.3 s of the first, whoever says so; of the second d covers 0.55 s and c 0.3 s.
        self.write("V.sds.yml", "sds:\n  name: V\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n")
        rec = self.write("V.0.sds", plain(*((100 * k, struct.pack("<10h", *range(10))) for k in range(20))))
        for author in ("ann", "bob"):
            for begin, end, name in ((0, 0.3, "c"), (1, 1.3, "c")):
                run("label", "add", rec, "-c", name, "--from", begin, "--to", end, "--author", author)
        run("label", "add", rec, "-c", "d", "--from", 1.3, "--to", 1.85, "--author", "ann")
        run("export", "npz", rec, "--window", "1s", "--stride", "1s", "--unlabelled", "-o", self.path("v"))
        z = np.load(self.path("v", "train.npz"))
        self.assertEqual([z["classes"][y] if y >= 0 else None for y in z["y"]], [None, "d"])

    def test_npz_is_a_structured_array_a_stream(self):
        rows = self.mixed()
        for extra in ([], ["--compress"]):
            run("export", "npz", self.path("mixed.sdsz"), "-o", self.path("m.npz"), "-f", *extra)
            z = np.load(self.path("m.npz"))
            a = z["Mixed"]
            np.testing.assert_array_equal(a["a"], [r[0] for r in rows])
            np.testing.assert_array_equal(a["count"], [r[1] >> 1 for r in rows])
            np.testing.assert_array_equal(a["grid"], np.array([r[2:8] for r in rows]).reshape(-1, 2, 3))
            np.testing.assert_array_equal(a["f"], np.array([r[8] for r in rows], np.float32))
            np.testing.assert_array_equal(z["Mixed.time"], np.arange(1000) / 100)
            self.assertEqual(bytes(z["Mixed.metadata"]).decode(), MIXED)
            self.assertEqual(list(z["labels.class"]), ["walk", "rest"])
            np.testing.assert_array_equal(z["labels.time"], [[1, 4], [4, 9.5]])
        run("export", "npz", self.path("mixed.sdsz"), "-o", self.path("part.npz"), "--label", "walk", "--physical")
        part = np.load(self.path("part.npz"))
        np.testing.assert_array_equal(part["Mixed"]["a"], [r[0] * 0.5 + 1 for r in rows[100:400]])

    def test_audio_is_bit_exact_in_every_width_and_container(self):
        for bits, channels in ((8, 1), (16, 1), (16, 2), (24, 1), (24, 3), (32, 2)):
            samples = self.audio(bits, channels)
            formats = ["wav", "aiff", "caf", "w64"] + (["flac"] if bits <= 24 else [])
            for extension in formats:
                out = self.path(f"a.{extension}")
                run("export", "audio", self.path("Mic.0.sds"), "-o", out, "-f")
                got, rate = soundfile.read(out, dtype="int32", always_2d=True)
                self.assertEqual(rate, 16000)
                # Unsigned bytes where the format has them, in the middle of which libsndfile has 0; else as they are.
                unsigned = soundfile.info(out).subtype == "PCM_U8"
                self.assertEqual(unsigned, bits == 8 and extension in ("wav", "aiff", "w64"))
                expected = samples - 128 << 24 if unsigned else samples << (16 if bits == 8 else 32 - bits)
                np.testing.assert_array_equal(got, expected, f"{bits} bits, {channels} channels, {extension}")
        samples = self.audio(32, 2)
        _, err = run("export", "flac", self.path("Mic.0.sds"), "-o", self.path("no.flac"), expect=3)
        self.assertIn("cannot hold 2 channels of 32-bit integers", err)
        self.assertFalse(os.path.exists(self.path("no.flac")))

    def test_integers_of_every_type_go_through_every_audio_format_and_back(self):
        for kind, code in (("uint8_t", "u1"), ("int8_t", "i1"), ("uint16_t", "<u2"), ("int16_t", "<i2"), ("uint32_t", "<u4"),
                           ("int32_t", "<i4")):
            least, most = np.iinfo(code).min, np.iinfo(code).max
            values = np.concatenate([[least, most, 0, 1, 127, most // 2, most // 2 + 1, least // 2],
                                     np.random.default_rng(1).integers(least, most, 500)]).astype(code)
            self.write("I.sds.yml", f"sds:\n  name: I\n  sample-frequency: 1000\n  content: [{{value: x, type: {kind}}}]\n")
            self.write("I.0.sds", plain((0, values.tobytes())))
            for extension in ("wav", "flac", "aiff", "au", "caf", "w64", "rf64", "voc", "mat", "wavex"):
                with self.subTest(type=kind, extension=extension):
                    out = self.path("i." + extension)
                    # 32 bits do not fit, nor does an unsigned one, into formats with fewer.
                    small = {"flac": 24, "voc": 16}.get(extension, 64)
                    bits = np.iinfo(code).bits + (code[-2] == "u" and kind != "uint8_t")
                    _, err = run("export", "audio", self.path("I.0.sds"), "-o", out, "-f", expect=0 if bits <= small else 3)
                    if bits > small:
                        self.assertIn("cannot hold", err)
                        continue
                    run("import", "audio", out, "-o", self.path("back.sdsz"), "-f")
                    rows = run("export", "csv", self.path("back.sdsz"))[0].splitlines()[1:]
                    self.assertEqual([float(row.split(",")[1]) for row in rows], values.tolist())

    def test_float_sensors_become_float_wav(self):
        self.write("S.sds.yml", "sds:\n  name: S\n  sample-frequency: 52.5\n  content:\n    - {value: x, type: float}\n")
        values = np.array([0.1, -3.5, 1e30, math.inf], np.float32)
        self.write("S.0.sds", plain((0, values.tobytes())))
        _, err = run("export", "wav", self.path("S.0.sds"), "-o", self.path("s.wav"))
        self.assertIn("52.5 Hz is written as 53 Hz", err)
        got, _ = soundfile.read(self.path("s.wav"), dtype="float32")
        np.testing.assert_array_equal(got, values)

    def test_mcap_messages_have_the_values_and_times_of_the_samples(self):
        rows = self.mixed()
        self.write("T.sds.yml", "sds:\n  name: T\n  content:\n    - {value: t, type: int16_t, scale: 0.01}\n")
        self.write("T.0.sds", plain(*[(100 * i, struct.pack("<h", 2000 + i)) for i in range(100)]))
        run("export", "mcap", self.path("Mixed.0.sds"), self.path("T.0.sds"), "-o", self.path("m.mcap"))
        with open(self.path("m.mcap"), "rb") as f:
            reader = mcap.reader.make_reader(f, validate_crcs=True)
            summary = reader.get_summary()
            self.assertEqual(summary.statistics.message_count, 1100)
            self.assertEqual({c.topic for c in summary.channels.values()}, {"/Mixed", "/T"})
            schema = json.loads(next(iter(summary.schemas.values())).data)
            self.assertEqual(schema["type"], "object")
            got = {"/Mixed": [], "/T": []}
            times = []
            for _, channel, message in reader.iter_messages():
                times.append(message.log_time)
                got[channel.topic].append((message.log_time, json.loads(message.data)))
            self.assertEqual(times, sorted(times))
            for i, (time, values) in enumerate(got["/Mixed"]):
                self.assertEqual(time, i * 10_000_000)
                self.assertEqual(values["a"], rows[i][0] * 0.5 + 1)
                self.assertEqual(values["grid"], list(rows[i][2:8]))
                if i == 7:
                    self.assertIsNone(values["f"])
                else:
                    self.assertEqual(np.float32(values["f"]), rows[i][8])
            self.assertEqual([v["t"] for _, v in got["/T"]], [(2000 + i) * 0.01 for i in range(100)])

    def test_values_that_a_format_has_nothing_for_are_counted(self):
        self.write("F.sds.yml", "sds:\n  name: F\n  sample-frequency: 100\n  content:\n    - {value: f, type: float}\n"
                                "    - {value: d, type: double, dim-x: 2}\n")
        values = [(1, 2, math.inf), (-math.inf, math.nan, 3), (math.nan, 1e308, -math.inf), (math.inf, 5, 6)]
        self.write("F.0.sds", plain((0, b"".join(struct.pack("<fdd", *v) for v in values))))
        out, err = run("export", "mcap", self.path("F.0.sds"), "-o", self.path("f.mcap"), "--json")
        self.assertIn("F: 4 infinite values are written as null, which reads back as NaN: JSON has no number for them", err)
        self.assertEqual(json.loads(out)["outputs"][0]["values_not_written"], 4)
        with open(self.path("f.mcap"), "rb") as f:  # strict JSON
            got = [json.loads(m.data, parse_constant=self.fail) for _, _, m in mcap.reader.make_reader(f).iter_messages()]
        told = [[x if math.isfinite(x) else None for x in v] for v in values]
        self.assertEqual([[m["f"], *m["d"]] for m in got], told)
        run("import", "mcap", self.path("f.mcap"), "-o", self.path("back.sdsz"))
        rows = [[float(x) for x in row.split(",")[1:]] for row in run("export", "csv", self.path("back.sdsz"))[0].splitlines()[1:]]
        np.testing.assert_array_equal(rows, [[math.nan if x is None else x for x in v] for v in told])
        # Edge Impulse takes none, and another value in their place would be made up.
        _, err = run("export", "edge-impulse", self.path("F.0.sds"), "-o", self.path("f.json"), expect=3)
        self.assertIn("F: 6 values are no finite numbers, and Edge Impulse takes none", err)
        self.assertFalse(os.path.exists(self.path("f.json")))
        run("export", "edge-impulse", self.path("F.0.sds"), "--to", 0.01, "-o", self.path("f.json"), expect=3)
        _, err = run("export", "wav", self.path("F.0.sds"), "-o", self.path("f.wav"))
        self.assertIn("F: 6 values are no finite numbers\n", err)
        _, err = run("export", "wav", self.path("F.0.sds"), "--to", 0.01, "-o", self.path("f.wav"), "-f")
        self.assertIn("F: 1 value is no finite number\n", err)
        out, err = run("export", "mcap", self.path("F.0.sds"), "--from", 0.01, "--to", 0.02, "-o", self.path("f.mcap"), "-f", "--json")
        self.assertIn("F: 1 infinite value is written as null", err)
        out, _ = run("export", "csv", self.path("F.0.sds"), "-o", self.path("f.csv"), "--json")
        self.assertEqual(json.loads(out)["outputs"][0]["values_not_written"], 0)

    def test_edge_impulse_in_both_encodings(self):
        self.write("Imu.sds.yml", "sds:\n  name: Imu\n  sample-frequency: 62.5\n  content:\n"
                                  "    - {value: x, type: int16_t, scale: 0.25, unit: G}\n    - {value: y, type: float}\n")
        rows = [(i, i / 7) for i in range(500)]
        self.write("Imu.0.sds", plain(*[(16 * i, struct.pack("<hf", *rows[i])) for i in range(500)]))
        run("export", "edge-impulse", self.path("Imu.0.sds"), "-o", self.path("e.json"))
        run("export", "edge-impulse", self.path("Imu.0.sds"), "-o", self.path("e.cbor"), "--cbor")
        with open(self.path("e.cbor"), "rb") as f:
            binary = cbor2.load(f)
        for document in (json.loads(self.read("e.json")), binary):
            self.assertEqual(document["protected"]["ver"], "v1")
            payload = document["payload"]
            self.assertEqual(payload["interval_ms"], 16)
            self.assertEqual(payload["sensors"], [{"name": "x", "units": "G"}, {"name": "y", "units": "N/A"}])
            self.assertEqual(payload["values"], [[i * 0.25, float(np.float32(y))] for i, y in rows])

    def test_an_export_that_fails_leaves_no_folder(self):
        self.write("S.sds.yml", "sds:\n  name: S\n  sample-frequency: 100\n  content:\n    - {value: a, type: float}\n")
        self.write("S.0.sds", plain(*[(10 * k, struct.pack("<f", math.nan)) for k in range(50)]))
        before = sorted(os.listdir(self.folder.name))
        for out in ("e/", "deep/er/", "e"):
            for options in ([], ["--multi-label"]):
                _, err = run("export", "edge-impulse", self.path("S.0.sds"), "-o", self.path(out), *options, expect=3)
                self.assertIn("50 values are no finite numbers, and Edge Impulse takes none", err)
                self.assertNotIn("channels", err)
                self.assertEqual(sorted(os.listdir(self.folder.name)), before)
        # What was there stays, be it empty.
        os.makedirs(self.path("there"))
        run("export", "edge-impulse", self.path("S.0.sds"), "-o", self.path("there"), expect=3)
        self.assertEqual(os.listdir(self.path("there")), [])

    def test_rows_of_qeexo_are_whole_milliseconds(self):
        self.write("S.sds.yml", "sds:\n  name: S\n  sample-frequency: 100\n  content:\n    - {value: a, type: float}\n")
        self.write("S.0.sds", plain(*[(10 * k, struct.pack("<f", k)) for k in range(50)]))
        for interval in ("33.3ms", "0.0005", "1.5ms"):
            _, err = run("export", "qeexo", self.path("S.0.sds"), "--interval", interval, "-o", self.path("q.csv"), expect=2)
            self.assertIn(f"--interval: '{interval}' is no whole number of milliseconds", err)
        for interval in ("33ms", "0.033", "1ms", "0.07"):
            run("export", "qeexo", self.path("S.0.sds"), "--interval", interval, "-o", self.path("q.csv"), "-f")

    def test_qeexo_rows_begin_with_the_blocks_on_their_edge(self):
        # 195 ticks of 1/3900 s are 50 ms, where a row of 50 ms begins: it is in the row that ends at 100 ms.
        for hz, tick, edge in ((3900, 195, 50), (3900, 63765, 16350), (6100, 305, 50), (6700, 335, 50), (833, 833, 1000), (1666, 833, 500)):
            self.write("E.sds.yml", f"sds:\n  name: E\n  tick-frequency: {hz}\n  sample-frequency: 10\n  content:\n    - {{value: v, type: uint8_t}}\n")
            one = self.write("E.0.sds", plain((tick, b"\7")))
            run("export", "qeexo", one, "-o", self.path("e.csv"), "-f")
            rows = self.read("e.csv").decode().splitlines()
            self.assertEqual([row.split(",")[0] for row in rows[1:]], [str(edge + 50)], hz)

    def test_qeexo_rows_are_what_arms_converter_makes(self):
        self.write("Accelerometer.sds.yml", "sds:\n  name: Accelerometer\n  sample-frequency: 20\n  content:\n" +
                   "".join(f"    - {{value: {c}, type: int16_t, scale: 0.1}}\n" for c in "xyz"))
        self.write("Temperature.sds.yml", "sds:\n  name: Temperature\n  content:\n    - {value: t, type: int16_t}\n")
        self.write("Accelerometer.0.sds", plain(*[(1010 + 50 * i, struct.pack("<hhhhhh", i, -i, 2 * i, 1, 2, 3)) for i in range(4)]))
        self.write("Temperature.0.sds", plain((1005, struct.pack("<h", 21)), (1110, struct.pack("<h", 22))))
        run("export", "qeexo", self.path("Accelerometer.0.sds"), self.path("Temperature.0.sds"), "-o", self.path("q.csv"),
            "--class", "still")
        self.assertEqual(self.read("q.csv").decode().split("\r\n"), [
            "timeslot,accel,temperature,label",
            '1050,"[[0, 0, 0], [1, 2, 3]]",[21],still',
            '1100,"[[1, -1, 2], [1, 2, 3]]",[],still',
            '1150,"[[2, -2, 4], [1, 2, 3]]",[22],still',
            '1200,"[[3, -3, 6], [1, 2, 3]]",[],still',
            ""])

    def frames(self, pixel_format, strides, data, width=4, height=2):
        layout = f"stride_bytes: {strides[0]}" if len(strides) == 1 else \
            "planes: [" + ", ".join(f"{{stride_bytes: {s}}}" for s in strides) + "]"
        self.write("Cam.sds.yml", f"sds:\n  name: Cam\n  content:\n    - image: {{pixel_format: {pixel_format}, width: {width}, "
                                  f"height: {height}, {layout}}}\n")
        self.write("Cam.0.sds", plain((0, data), (40, data)))
        run("export", "images", self.path("Cam.0.sds"), "-o", self.path("frames"), "-f")
        self.assertEqual(sorted(os.listdir(self.path("frames"))), ["Cam.000000.png", "Cam.000001.png"])
        return read_png(self.read("frames", "Cam.000001.png"))

    def test_frames_become_pictures_in_every_pixel_format(self):
        rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
        padded = b"".join(row.tobytes() + b"\xEE\xEE" for row in rgb)
        np.testing.assert_array_equal(self.frames("RGB888", [14], padded), rgb)
        np.testing.assert_array_equal(self.frames("BGR888", [12], rgb[:, :, ::-1].tobytes()), rgb)
        gray = np.arange(8, dtype=np.uint8).reshape(2, 4)
        np.testing.assert_array_equal(self.frames("RAW8", [4], gray.tobytes()), gray)
        r565 = np.array([[0xF800, 0x07E0, 0x001F, 0xFFFF], [0, 0x8410, 0xF81F, 0x07FF]], "<u2")
        got = self.frames("RGB565", [8], r565.tobytes())
        np.testing.assert_array_equal(got[0], [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]])
        # One colour in all YUV layouts: Y 81, U 90, V 240 is red in BT.601's limited range.
        y, u, v = 81, 90, 240
        for name, strides, data in (
                ("YUYV", [8], bytes([y, u, y, v] * 4)), ("UYVY", [8], bytes([u, y, v, y] * 4)),
                ("NV12", [4, 4], bytes([y] * 8 + [u, v] * 2)), ("NV21", [4, 4], bytes([y] * 8 + [v, u] * 2)),
                ("I420", [4, 2, 2], bytes([y] * 8 + [u] * 2 + [v] * 2))):
            got = self.frames(name, strides, data).astype(int)
            self.assertLessEqual(np.abs(got - [255, 0, 0]).max(), 2, name)
        # Full range: Y 76, U 85, V 255.
        got = self.frames("YUV444", [12], bytes([76, 85, 255] * 8)).astype(int)
        self.assertLessEqual(np.abs(got - [254, 0, 0]).max(), 2)
        got = self.frames("YUV444P", [4, 4, 4], bytes([76] * 8 + [85] * 8 + [255] * 8)).astype(int)
        self.assertLessEqual(np.abs(got - [254, 0, 0]).max(), 2)
        run("export", "images", self.path("Cam.0.sds"), "-o", self.path("raw"), "--raw")
        self.assertEqual(self.read("raw", "Cam.000000.raw"), bytes([76] * 8 + [85] * 8 + [255] * 8))

    def test_windows_are_cut_labelled_and_split_by_recording(self):
        names = []
        for n in range(10):
            rows = [(i + 1000 * n,) for i in range(500)]
            self.write("Imu.sds.yml", "sds:\n  name: Imu\n  sample-frequency: 100\n  content:\n    - {value: x, type: int16_t, scale: 2}\n")
            # The second half comes half a second late: no window may reach across.
            blocks = [(10 * i + (500 if i >= 250 else 0), b"".join(struct.pack("<h", *r) for r in rows[i:i + 10])) for i in range(0, 500, 10)]
            self.write("Imu.0.sds", plain(*blocks))
            run("pack", self.path("Imu.0.sds"), "-o", self.path(f"r{n}.sdsz"))
            run("label", "add", self.path(f"r{n}.sdsz"), "-c", "even" if n % 2 == 0 else "odd", "--from", 0, "--to", 2)
            run("label", "add", self.path(f"r{n}.sdsz"), "-c", "late", "--from", 3, "--to", 5.5)
            names.append(self.path(f"r{n}.sdsz"))
        def tensors(name, order, *extra):
            run("export", "npz", *order, "--window", "1s", "--stride", "500ms", "--split", "60/20/20", "-o", self.path(name), *extra)
            return {p: np.load(self.path(name, p + ".npz")) for p in ("train", "validation", "test")}
        parts = tensors("ds", names, "-j", 1)
        seen = {}
        total = 0
        for part, z in parts.items():
            self.assertEqual(list(z["classes"]), ["even", "late", "odd"])
            self.assertEqual(z["x"].shape[1:], (100, 1))
            total += len(z["x"])
            for x, y, recording, begin in zip(z["x"], z["y"], z["recording"], z["begin"]):
                self.assertEqual(seen.setdefault(recording, part), part, "a split runs through a recording")
                first = round(begin * 100) - (50 if begin >= 3 else 0) + 1000 * int(z["recordings"][recording][1:])
                np.testing.assert_array_equal(x[:, 0], 2.0 * np.arange(first, first + 100))
                expected = "late" if begin >= 2.5 else ("even" if int(z["recordings"][recording][1:]) % 2 == 0 else "odd")
                self.assertEqual(z["classes"][y], expected)
        # Four windows before the gap (the one from 1.5 s on is labelled for half of it) and four behind it.
        self.assertEqual(total, 10 * 8)
        self.assertEqual(len(seen), 10)
        with open(self.path("ds", "manifest.yml")) as f:
            manifest = yaml.safe_load(f)["dataset"]
        self.assertEqual([manifest["parts"][p]["recordings"] for p in ("train", "validation", "test")], [6, 2, 2])
        self.assertEqual(len({r["fingerprint"] for r in manifest["recordings"]}), 10)
        again = tensors("again", names[::-1], "-j", 3)
        for part in parts:
            self.assertEqual(self.read("ds", part + ".npz"), self.read("again", part + ".npz"))
        self.assertEqual(self.read("ds", "manifest.yml"), self.read("again", "manifest.yml"))
        other = tensors("other", names, "--seed", 2)
        self.assertNotEqual([list(z["recordings"][z["recording"]]) for z in parts.values()],
                            [list(z["recordings"][z["recording"]]) for z in other.values()])
        run("export", "hdf5", *names, "--window", "1s", "--stride", "500ms", "--split", "60/20/20", "-o", self.path("h5"))
        for part, z in parts.items():
            with h5py.File(self.path("h5", part + ".h5")) as f:
                for key in ("x", "y", "recording", "begin"):
                    np.testing.assert_array_equal(f[key], z[key])

    def test_files_of_many_recordings_go_into_the_parts_folders(self):
        self.mixed()
        for n in range(5):
            run("cut", self.path("mixed.sdsz"), "--from", n, "--to", n + 2, "-o", self.path(f"c{n}.sdsz"))
        inputs = [self.path(f"c{n}.sdsz") for n in range(5)]
        run("export", "csv", *inputs, "--split", "60/40", "--split-by", "recording", "-o", self.path("csv"))
        files = {part: sorted(os.listdir(self.path("csv", part))) for part in ("train", "test")}
        self.assertEqual(sorted(files["train"] + files["test"]), [f"c{n}.csv" for n in range(5)])
        self.assertTrue(files["train"] and files["test"])

    def test_what_exists_is_not_replaced_and_wrong_requests_are_said_so(self):
        self.mixed()
        self.write("m.h5", "precious")
        self.write("m", "precious")
        self.write("m.json", "precious")
        for command in (["hdf5", "-o", self.path("m.h5")], ["npz", "-o", self.path("m")], ["mcap", "-o", self.path("m")],
                        ["qeexo", "-o", self.path("m")], ["edge-impulse", "--label", "rest", "-o", self.path("m.json")]):
            _, err = run("export", command[0], self.path("mixed.sdsz"), *command[1:], expect=4)
            self.assertIn("exists already", err)
        self.assertEqual((self.read("m.h5"), self.read("m"), self.read("m.json")), (b"precious",) * 3)
        _, err = run("export", "wav", self.path("mixed.sdsz"), "-o", self.path("x.xyz"), expect=2)
        self.assertIn("no audio format", err)
        _, err = run("export", "images", self.path("mixed.sdsz"), "-o", self.path("d"), expect=2)
        self.assertIn("no stream holds images", err)
        _, err = run("export", "npz", self.path("mixed.sdsz"), "--window", "0s", "-o", self.path("d"), expect=2)
        self.assertIn("no duration", err)
        _, err = run("export", "npz", self.path("mixed.sdsz"), "--split", "1/2/3/4", "-o", self.path("d"), expect=2)
        self.assertIn("80/10/10", err)
        self.assertFalse([n for n in os.listdir(self.folder.name) if n.endswith(".partial")])

    def test_a_full_disk_leaves_nothing_behind(self):
        self.mixed(count=20_000)
        # FLAC cannot hold so many channels, which is said before anything is written.
        for name in ("csv", "hdf5", "npz", "mcap", "qeexo", "edge-impulse", "wav"):
            out = self.path("full." + name)
            # A file of Edge Impulse has place for one label, and for no NaN.
            part = ["--multi-label", "--from", 1] if name == "edge-impulse" else []
            done = subprocess.run([SDS, "export", name, self.path("mixed.sdsz"), *map(str, part), "-o",
                                   out + {"wav": ".wav", "edge-impulse": ".json"}.get(name, "")],
                                  capture_output=True, text=True, timeout=120, preexec_fn=limit_files(64 * 1024))
            self.assertEqual(done.returncode, 4, f"{name}: {done.stderr}")
            self.assertIn("sds: error:", done.stderr)
        self.assertFalse([n for n in os.listdir(self.folder.name) if n.startswith("full.")])

    @unittest.skipUnless(os.path.isdir(SHARED), "needs ../shared")
    def test_real_recordings_go_through_every_format_that_fits(self):
        recordings = os.path.join(SHARED, "recordings")
        motion = os.path.join(recordings, "motion", "ML_In.0.sds")
        keyword = os.path.join(recordings, "keyword", "ML_In.0.sds")
        run("export", "hdf5", motion, "-o", self.path("m.h5"))
        run("export", "npz", motion, "-o", self.path("m.npz"))
        run("export", "mcap", motion, "-o", self.path("m.mcap"))
        run("export", "edge-impulse", motion, "-o", self.path("m.json"))
        run("export", "wav", keyword, "-o", self.path("k.wav"))
        rows = [line.split(",") for line in run("export", "csv", motion)[0].splitlines()[1:]]
        with h5py.File(self.path("m.h5")) as f:
            g = f["ML_In.0/ML_In"]
            channels = [n for n in ("x", "y", "z")]
            self.assertEqual(len(g["time"]), len(rows))
            for c, name in enumerate(channels):
                np.testing.assert_allclose(np.float32(g[name][:] * g[name].attrs["scale"]),
                                           np.array([float(r[c + 1]) for r in rows], np.float32), rtol=1e-6)
        with open(self.path("m.mcap"), "rb") as f:
            self.assertEqual(mcap.reader.make_reader(f).get_summary().statistics.message_count, len(rows))
        samples, rate = soundfile.read(self.path("k.wav"), dtype="int16")
        data = b"".join(block for block in blocks_of(keyword))
        self.assertEqual(rate, 16000)
        np.testing.assert_array_equal(samples, np.frombuffer(data, "<i2"))


def blocks_of(path):
    with open(path, "rb") as f:
        content = f.read()
    at = 0
    while at + 8 <= len(content):
        _, size = struct.unpack_from("<II", content, at)
        yield content[at + 8:at + 8 + size]
        at += 8 + size


def read_png(content):
    """8-bit gray or RGB without interlacing, which is all that is written here (PNG specification, 9.2)."""
    import zlib
    at, parts = 8, []
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        body = content[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, color = struct.unpack_from(">IIBB", body)
            assert depth == 8 and color in (0, 2), (depth, color)
        if kind == b"IDAT":
            parts.append(body)
        at += 12 + length
    step = 3 if color == 2 else 1
    raw = zlib.decompress(b"".join(parts))
    rows, previous = [], bytearray(width * step)
    for y in range(height):
        kind = raw[y * (width * step + 1)]
        line = bytearray(raw[y * (width * step + 1) + 1:(y + 1) * (width * step + 1)])
        for x in range(len(line)):
            a = line[x - step] if x >= step else 0
            b = previous[x]
            c = previous[x - step] if x >= step else 0
            p = a + b - c
            paeth = a if abs(p - a) <= abs(p - b) and abs(p - a) <= abs(p - c) else b if abs(p - b) <= abs(p - c) else c
            line[x] = (line[x] + (0, a, b, (a + b) // 2, paeth)[kind]) & 255
        rows.append(line)
        previous = line
    image = np.array(rows, np.uint8)
    return image.reshape(height, width, 3) if step == 3 else image



class OneClock(Case):
    """Two streams of 100 Hz: A from 1 s to 11 s, B from 3 s to 13 s; sample k of each has the value k."""

    def setUp(self):
        super().setUp()
        for name, begin in (("A", 1000), ("B", 3000)):
            self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: 100\n  content:\n"
                                          "    - {value: x, type: int32_t}\n")
            self.write(f"{name}.0.sds", plain(*[(begin + 100 * k, np.arange(10 * k, 10 * k + 10, dtype="<i4").tobytes())
                                                for k in range(100)]))
        self.recording = self.path("r.sdsz")
        run("pack", self.path("A.0.sds"), self.path("B.0.sds"), "-o", self.recording)
        self.write("r.labels.yml", "labels:\n  version: 1\n  intervals:\n    - {class: all, from: 4, to: 6}\n"
                                   "    - {class: own, from: 4, to: 6, stream: B}\n")

    def test_labels_move_with_the_samples_that_are_normalized(self):
        # 4 to 6 s are samples 300 to 499 of A, at 3 to 5 s of its own, and 100 to 299 of B, at 1 to 3 s.
        expected = [("all", "A", 3, 5), ("all", "B", 1, 3), ("own", "B", 1, 3)]
        _, err = run("export", "npz", self.recording, "--normalize", "-o", self.path("r.npz"))
        self.assertIn("1 label of the whole recording is told once for each stream", err)
        with np.load(self.path("r.npz")) as z:
            told = [(c, s, *t) for c, s, t in zip(z["labels.class"], z["labels.stream"], z["labels.time"])]
        self.assertEqual(sorted(told), expected)
        run("export", "hdf5", self.recording, "--normalize", "-o", self.path("r.h5"))
        with h5py.File(self.path("r.h5")) as f:
            group = f["r/labels"]
            told = [(c.decode(), s.decode(), b, e) for c, s, b, e in
                    zip(group["class"], group["stream"], group["begin"], group["end"])]
        self.assertEqual(sorted(told), expected)
        run("export", "mcap", self.recording, "--normalize", "-o", self.path("r.mcap"))
        run("import", "mcap", self.path("r.mcap"), "-o", self.path("back.sdsz"))
        labels = json.loads(run("label", "list", self.path("back.sdsz"), "--json")[0])["labels"]
        self.assertEqual(sorted((l["class"], l["stream"], l["from"], l["to"]) for l in labels), expected)
        run("export", "npz", self.recording, "-s", "A", "--normalize", "-o", self.path("a.npz"))
        with np.load(self.path("a.npz")) as z:
            self.assertEqual(list(z["labels.time"][list(z["labels.class"]).index("all")]), [3, 5])

    def test_a_part_is_of_the_recordings_clock_normalized_or_not(self):
        for options in ([], ["--normalize"]):
            # 5 to 6 s: samples 400 to 499 of A.
            part = ["-s", "A", "--from", "5", "--to", "6", *options]
            rows = run("export", "csv", self.recording, *part)[0].splitlines()[1:]
            run("export", "npz", self.recording, *part, "-o", self.path("p.npz"), "-f")
            run("export", "hdf5", self.recording, *part, "-o", self.path("p.h5"), "-f")
            run("export", "qeexo", self.recording, *part, "-o", self.path("q.csv"), "-f")
            with np.load(self.path("p.npz")) as z, h5py.File(self.path("p.h5")) as h5:
                values = {"csv": [int(row.split(",")[1]) for row in rows], "npz": list(z["A"]["x"]),
                          "hdf5": list(h5["r/A/x"][:]),
                          "qeexo": [int(x) for x in re.findall(r"\d+", " ".join(re.findall(
                              r"\[.*\]", self.read("q.csv").decode())))]}
                self.assertEqual(z["A.time"][0], 4 if options else 5)
            for form, got in values.items():
                with self.subTest(form=form, options=options):
                    self.assertEqual(got, list(range(400, 500)))

    def test_a_row_of_qeexo_has_no_class_of_a_stream_without_samples_in_it(self):
        # Blocks of A begin at 0, 100, ... ms, those of B 60 ms later: each row of 50 ms has one of them.
        for name, begin in (("A", 0), ("B", 60)):
            self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: 100\n  content:\n    - {{value: x, type: int16_t}}\n")
            self.write(f"{name}.0.sds", plain(*[(begin + 100 * k, struct.pack("<4h", k, k, k, k)) for k in range(10)]))
        run("pack", self.path("A.0.sds"), self.path("B.0.sds"), "-o", self.path("q.sdsz"))
        self.write("q.labels.yml", "labels:\n  version: 1\n  intervals:\n    - {class: run, from: 0.2, to: 0.7, stream: A}\n"
                                   "    - {class: rest, from: 0.6, to: 1}\n")
        _, err = run("export", "qeexo", self.path("q.sdsz"), "-o", self.path("q.csv"))
        self.assertIn("Qeexo's format has no place for the labels' streams", err)
        rows = [(int(row.split(",")[0]), row.split(",")[-1]) for row in self.read("q.csv").decode().splitlines()[1:]]
        true = [(at // 50 * 50 + 50, "rest" if at >= 600 else "run" if at >= 200 and at % 100 == 0 else "")
                for k in range(10) for at in (100 * k, 100 * k + 60)]
        self.assertEqual(rows, true)
        # With one class for all of it, or of one stream, nothing is lost.
        for options, last in ((("--class", "x"), "x"), (("-s", "A"), "rest")):
            _, err = run("export", "qeexo", self.path("q.sdsz"), *options, "-o", self.path("q.csv"), "-f")
            self.assertNotIn("no place", err)
            self.assertTrue(self.read("q.csv").decode().splitlines()[-1].endswith("," + last))

    def test_a_row_of_qeexo_has_the_class_of_its_first_block(self):
        self.write("T.sds.yml", "sds:\n  name: T\n  sample-frequency: 100\n  content:\n    - {value: x, type: int32_t}\n")
        self.write("T.walk.sds", plain(*[(10030 + 50 * k, np.arange(5, dtype="<i4").tobytes()) for k in range(6)]))
        run("export", "qeexo", self.path("T.walk.sds"), "-o", self.path("q.csv"))
        rows = self.read("q.csv").decode().splitlines()[1:]
        self.assertEqual(len(rows), 6)
        for row in rows:
            self.assertTrue(row.endswith(",walk"), row)


class Parts(Case):
    def record(self, name, stream, seed, blocks=100):
        self.write(f"{stream}.sds.yml", f"sds:\n  name: {stream}\n  sample-frequency: 100\n  content:\n"
                                        "    - {value: x, type: int32_t}\n")
        values = np.random.default_rng(seed).integers(-1000, 1000, (blocks, 10)).astype("<i4")
        self.write(f"{stream}.{seed}.sds", plain(*[(100 * k, values[k].tobytes()) for k in range(blocks)]))
        run("pack", self.path(f"{stream}.{seed}.sds"), "-o", self.path(name))
        return self.path(name)

    def labels(self, name, text):
        return self.write(name, "labels:\n  version: 1\n" + text)

    def test_a_merge_keeps_labels_to_the_streams_that_they_were_about(self):
        for stream, name in (("A", "walk"), ("B", "idle")):
            self.record(f"{stream}.sdsz", stream, 1)
            self.labels(f"{stream}.labels.yml", f"  classes: [{name}, shake]\n  intervals:\n    - {{class: {name}, from: 0, to: 10}}\n")
        run("merge", self.path("A.sdsz"), self.path("B.sdsz"), "--no-align", "-o", self.path("m.sdsz"))
        labels = json.loads(run("label", "list", self.path("m.sdsz"), "--json")[0])["labels"]
        self.assertEqual([(l["class"], l["stream"], l["from"], l["to"]) for l in labels],
                         [("idle", "B", 0, 10), ("walk", "A", 0, 10)])
        self.assertEqual(yaml.safe_load(self.read("m.labels.yml"))["labels"]["classes"], ["walk", "shake", "idle"])
        run("export", "npz", self.path("m.sdsz"), "-s", "A", "--window", "1s", "-o", self.path("d"))
        with np.load(self.path("d", "train.npz")) as z:
            self.assertEqual(list(z["classes"]), ["walk"])

    def test_classes_of_a_merge_are_known_of_every_input(self):
        for stream, text in (("A", "  classes: [walk, shake]\n  intervals:\n    - {class: walk, from: 0, to: 10}\n"),
                             ("B", "  intervals:\n    - {class: idle, from: 0, to: 1}\n    - {class: walk, from: 1, to: 2}\n")):
            self.record(f"{stream}.sdsz", stream, 1)
            self.labels(f"{stream}.labels.yml", text)
        for order, classes in (("AB", ["walk", "shake", "idle"]), ("BA", ["idle", "walk", "shake"])):
            run("merge", *(self.path(f"{s}.sdsz") for s in order), "--no-align", "-o", self.path("m.sdsz"), "-f")
            self.assertEqual(yaml.safe_load(self.read("m.labels.yml"))["labels"]["classes"], classes)
            self.assertIn("3 labels, good", run("label", "check", self.path("m.sdsz"))[0])
        # Where no input has the list, the merge has none.
        self.labels("A.labels.yml", "  intervals:\n    - {class: walk, from: 0, to: 10}\n")
        run("merge", self.path("A.sdsz"), self.path("B.sdsz"), "--no-align", "-o", self.path("m.sdsz"), "-f")
        self.assertNotIn("classes", yaml.safe_load(self.read("m.labels.yml"))["labels"])

    def test_a_name_that_a_merge_gives_is_no_class(self):
        for name in ("left", "recording.1"):
            self.record(name + ".sdsz", "Imu", 1)
        merged = self.path("m.sdsz")
        run("merge", self.path("left.sdsz"), self.path("recording.1.sdsz"), "--no-align", "-o", merged)
        streams = [s["id"] for s in json.loads(run("info", merged, "--json")[0])["recordings"][0]["streams"]]
        self.assertEqual(streams, ["Imu.1", "Imu.recording.1"])
        listed = lambda path: [(l["class"], l["stream"], l["from"], l["to"]) for l in
                               json.loads(run("label", "list", path, "--json")[0])["labels"]]
        self.assertEqual(listed(merged), [])
        run("unpack", merged, "-d", self.path("plain"))
        for name in ("Imu.1.sds", "Imu.recording.1.sds"):
            self.assertEqual(listed(self.path("plain", name)), [], name)
        # Labels about the stream come along, and a pack of both files is what it was.
        run("label", "add", merged, "-c", "walk", "-s", "Imu.recording.1", "--from", 1, "--to", 2)
        run("label", "add", merged, "-c", "rest", "-s", "Imu.1", "--from", 1, "--to", 2)
        run("unpack", merged, "-d", self.path("plain"), "-f")
        self.assertEqual(listed(self.path("plain", "Imu.recording.1.sds")), [("walk", "Imu", 1, 2)])
        _, err = run("pack", self.path("plain", "Imu.1.sds"), self.path("plain", "Imu.recording.1.sds"), "-o", self.path("n.sdsz"))
        self.assertNotIn("left behind", err)
        self.assertEqual(self.read("n.labels.yml"), self.read("m.labels.yml"))
        run("label", "add", self.path("plain", "Imu.recording.1.sds"), "-c", "new", "--from", 3, "--to", 4)
        _, err = run("pack", self.path("plain", "Imu.1.sds"), self.path("plain", "Imu.recording.1.sds"), "-o", self.path("n.sdsz"), "-f")
        self.assertNotIn("left behind", err)
        self.assertEqual(listed(self.path("n.sdsz")), listed(merged) + [("new", "Imu.recording.1", 3, 4)])

    def test_names_do_not_become_classes_again_in_copies(self):
        # A file of rig1 that has labels, of which none is in the part.
        self.record("x.sdsz", "Accel", 1)
        os.rename(self.path("Accel.1.sds"), self.path("Accel.rig1.sds"))
        rec = self.path("r.sdsz")
        run("pack", self.path("Accel.rig1.sds"), "-o", rec)
        listed = lambda name: [l["class"] for l in json.loads(run("label", "list", self.path(name), "--json")[0])["labels"]]
        self.assertEqual(listed("r.sdsz"), ["rig1"])
        run("cut", rec, "--from", 2, "--to", 5, "-o", self.path("c.sdsz"))
        self.assertEqual(listed("c.sdsz"), ["rig1"])
        run("label", "add", rec, "-c", "knock", "--from", 1, "--to", 1.5)
        run("cut", rec, "--from", 2, "--to", 5, "-o", self.path("c.sdsz"), "-f")
        self.assertEqual(listed("c.sdsz"), [])
        run("label", "rm", rec, "--all")
        run("resample", rec, "--rate", 50, "-o", self.path("s.sdsz"))
        self.record("b.sdsz", "B", 1)
        run("merge", rec, self.path("b.sdsz"), "--no-align", "-o", self.path("m.sdsz"))
        self.assertEqual((listed("s.sdsz"), listed("m.sdsz")), ([], []))
        # Known classes come along, too.
        self.labels("b.labels.yml", "  classes: [walk]\n  intervals:\n    - {class: walk, from: 1, to: 2}\n")
        run("cut", self.path("b.sdsz"), "--from", 5, "-o", self.path("d.sdsz"))
        self.assertEqual(yaml.safe_load(self.read("d.labels.yml"))["labels"]["classes"], ["walk"])

    def test_values_that_are_no_finite_numbers_are_not_resampled(self):
        # Every tenth row has a temperature.
        table = "time,ax,t\n" + "".join(f"{k / 100},{(k * k) % 97},{22 if k % 10 == 0 else ''}\n" for k in range(500))
        run("import", "csv", self.write("t.csv", table), "-o", self.path("t.sdsz"))
        _, err = run("resample", self.path("t.sdsz"), "--rate", 50, "-o", self.path("s.sdsz"), expect=3)
        self.assertIn("t: 450 values are no finite numbers (of t), which a filter would spread", err)
        self.assertFalse(os.path.exists(self.path("s.sdsz")))
        run("resample", self.path("t.sdsz"), "--rate", 50, "--channel", "ax", "-o", self.path("s.sdsz"))
        run("import", "csv", self.write("u.csv", "\n".join(line.rsplit(",", 1)[0] for line in table.splitlines()) + "\n"),
            "-o", self.path("u.sdsz"))
        run("resample", self.path("u.sdsz"), "--rate", 50, "-o", self.path("v.sdsz"))
        self.assertEqual(run("export", "csv", self.path("s.sdsz"))[0], run("export", "csv", self.path("v.sdsz"))[0])
        _, err = run("resample", self.path("t.sdsz"), "--rate", 50, "--channel", "nope", "-o", self.path("w.sdsz"), expect=2)
        self.assertIn("ax", err)

    def test_a_resampled_recording_keeps_its_labels(self):
        recording = self.record("r.sdsz", "A", 1)
        self.labels("r.labels.yml", "  intervals:\n    - {class: walk, from: 1, to: 4}\n    - {class: run, from: 5, to: 6, stream: A}\n")
        run("resample", recording, "-s", "A", "--rate", "50", "-o", self.path("s.sdsz"))
        self.assertEqual(self.read("s.labels.yml"), b"labels:\n  version: 1\n  tick-frequency: 1000\n  intervals:\n"
                         b"    - {class: walk, begin: 1000, end: 4000, from: 1, to: 4}\n"
                         b"    - {class: run, begin: 5000, end: 6000, from: 5, to: 6, stream: A}\n")

    def test_parts_of_what_was_packed_imported_or_merged_are_on_one_side(self):
        for i in (1, 2, 3, 4):
            self.record(f"r{i}.sdsz", "A", i)
        self.write("t.csv", "time,x\n" + "".join(f"{i / 100},{i * i % 1000}\n" for i in range(1000)))
        run("import", "csv", self.path("t.csv"), "-o", self.path("r5.sdsz"))
        parts = []
        for i in (1, 2, 3, 4, 5):
            for name, options in ((f"a{i}", ["--to", 5]), (f"b{i}", ["--from", 5])):
                run("cut", self.path(f"r{i}.sdsz"), *options, "-o", self.path(name + ".sdsz"))
                parts.append(self.path(name + ".sdsz"))
        run("merge", self.path("r1.sdsz"), self.path("r2.sdsz"), "--no-align", "-o", self.path("m.sdsz"))
        for seed in (1, 2, 3):
            run("export", "csv", *parts, self.path("m.sdsz"), "--split", "50/50", "--seed", seed, "-o", self.path(f"d{seed}"))
            recordings = yaml.safe_load(self.read(f"d{seed}", "manifest.yml"))["dataset"]["recordings"]
            part = {r["name"]: r["part"] for r in recordings}
            for i in (1, 2, 3, 4, 5):
                self.assertEqual(part[f"a{i}"], part[f"b{i}"])
            self.assertEqual({part[n] for n in ("a1", "a2", "m")}, {part["m"]})
            self.assertEqual(len(set(part.values())), 2)

    def test_seconds_of_a_class_are_seconds_with_samples(self):
        # 100 Hz, blocks of 10; 3.0 to 8.0 s are missing: of the label from 2 to 9 s, 2 s have samples.
        self.write("A.sds.yml", "sds:\n  name: A\n  sample-frequency: 100\n  content:\n    - {value: x, type: int32_t}\n")
        self.write("A.0.sds", plain(*[(100 * k, np.arange(10 * k, 10 * k + 10, dtype="<i4").tobytes())
                                      for k in range(100) if not 30 <= k < 80]))
        run("pack", self.path("A.0.sds"), "-o", self.path("r.sdsz"))
        self.labels("r.labels.yml", "  intervals:\n    - {class: walk, from: 2, to: 9}\n    - {class: idle, from: 0, to: 2}\n"
                                    "    - {class: idle, from: 9, to: 9.5}\n")
        quality = json.loads(run("check", "--quality", self.path("r.sdsz"), "--json")[0])["recordings"][0]["quality"]
        self.assertEqual({c: round(s, 9) for c, s in quality["classes"].items()}, {"walk": 2, "idle": 2.5})
        self.assertIn("walk: 1 label, 7.000 s labelled", run("label", "list", self.path("r.sdsz"))[0])

    def test_what_cannot_be_meant_is_said(self):
        recording = self.record("r.sdsz", "A", 1)
        err = run("label", "add", recording, "-c", "a", "--from", 1, "--from-tick", 5, "--to", 2, expect=2)[1]
        self.assertIn("--from", err)
        run("label", "add", recording, "-c", "a", "--from", 1, "--to", 2)
        for options in ([], ["--json"]):
            self.assertIn("no label has the class 'nope'; there are: a",
                          run("label", "list", recording, "-c", "nope", *options, expect=2)[1])
        self.assertIn("there is no channel 'axx'", run("compare", recording, recording, "--tolerance", "axx=0.1", expect=2)[1])
        run("compare", recording, recording, "--tolerance", "x=0.1")

    def test_audio_keeps_integers_beside_floats_or_tells(self):
        self.write("A.sds.yml", "sds:\n  name: A\n  sample-frequency: 100\n  content:\n    - {value: f, type: float}\n    - {value: i, type: int32_t}\n")
        values = [2**31 - 1, -2**31, 2**24 + 1, 7]
        a = self.write("A.0.sds", plain((0, b"".join(struct.pack("<fi", 0.1, v) for v in values))))
        _, err = run("export", "wav", a, "-o", self.path("a.wav"))
        self.assertNotIn("rounded", err)
        samples, _ = soundfile.read(self.path("a.wav"), dtype="float64")
        self.assertEqual(samples[:, 1].tolist(), values)
        self.assertEqual(samples[:, 0].tolist(), [float(np.float32(0.1))] * 4)
        self.write("B.sds.yml", "sds:\n  name: B\n  sample-frequency: 100\n  content:\n    - {value: w, type: int64_t}\n    - {value: u, type: uint64_t}\n")
        b = self.write("B.0.sds", plain((0, b"".join(struct.pack("<qQ", v, u) for v, u in (
            (2**53 + 1, 2**64 - 1), (2**63 - 1, 2**63), (-2**63, 5), (2**60, 2**53 + 3), (1, 2))))))
        _, err = run("export", "wav", b, "-o", self.path("b.wav"))
        self.assertIn("B: 2 values of u are rounded to 64-bit floats", err)
        self.assertIn("B: 2 values of w are rounded to 64-bit floats", err)

    @skip_under_sanitizers
    def test_memory_is_bounded_whatever_the_number_of_channels(self):
        # 4096 channels of 16 bits, every one with a scale of its own or all with one.
        for scale in ("", ", scale: 0.%04d"):
            self.write("W.sds.yml", "sds:\n  name: W\n  sample-frequency: 100\n  content:\n" + "".join(
                f"    - {{value: c{i}, type: int16_t{scale % (i + 1) if scale else ''}}}\n" for i in range(4096)))
            values = (np.arange(4096 * 60) * 7 % 30000 - 15000).astype("<i2").reshape(6, 10, 4096)
            wide = self.write("W.0.sds", plain(*[(100 * b, values[b].tobytes()) for b in range(6)]))
            for form, most in (("csv", 90), ("mcap", 90), ("npz", 90), ("hdf5", 220)):
                with self.subTest(form=form, scale=scale):
                    out = self.path("w.npz" if form == "npz" else "w." + form)
                    self.assertLess(peak_mb("export", form, wide, "-o", out, "-f"), most)
        with open(self.path("w.csv")) as f:
            rows = [line.split(",") for line in f.read().splitlines()[1:]]
        scales = np.array([float(f"0.{i + 1:04d}") for i in range(4096)])
        np.testing.assert_array_equal(np.array(rows, dtype=float)[:, 1:], values.reshape(60, 4096) * scales)


if __name__ == "__main__":
    main()
