"""How files are made: completely, under no other's name, and by many at a time."""
import fcntl
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import threading

from harness import BUILD, SDS, Case, limit_files, main, peak_mb, plain, run, sample_of, skip_under_sanitizers

IMU = "sds:\n  name: Imu\n  sample-frequency: 100\n  content:\n    - {value: x, type: int16_t}\n"


class Files(Case):
    def setUp(self):
        super().setUp()
        self.write("Imu.sds.yml", IMU)
        self.imu = self.write("Imu.0.sds", plain(*((10 * i, bytes(range(20))) for i in range(200))))
        self.walk = self.path("walk.sdsz")
        run("pack", self.imu, "-o", self.walk)

    def together(self, commands):
        running = [subprocess.Popen([SDS, *map(str, c)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                   for c in commands]
        return [(p.communicate(timeout=300)[0], p.returncode) for p in running]

    def test_a_file_that_may_not_grow_is_an_error_that_names_it_and_leaves_nothing(self):
        table = self.write("t.csv", "time,v\n0,1\n0.01,2\n")
        before = sorted(os.listdir(self.path()))
        for command in (["pack", self.imu, "-o", "out.sdsz"], ["recover", self.walk, "-o", "out.sdsz"],
                        ["cut", self.walk, "--from", 0, "--to", 1, "-o", "out.sdsz"], ["import", "csv", table, "-o", "out.sdsz"],
                        ["resample", self.walk, "--rate", 50, "-o", "out.sdsz"], ["unpack", self.walk, "-d", ".", "-f"],
                        ["export", "csv", self.walk, "-o", "out.csv"], ["plot", self.walk, "-o", "out.html"],
                        ["label", "add", self.walk, "-c", "a", "--from", 0.1, "--to", 0.2]):
            _, err = run(*command, expect=4, cwd=self.path(), preexec_fn=limit_files(30))
            self.assertIn("sds: error:", err)
            self.assertIn("File too large", err, command)
            self.assertEqual(sorted(os.listdir(self.path())), before, command)

    def test_what_replay_has_replaced_before_it_fails_is_told(self):
        self.write("In.0.sds", plain(*((10 * t, b"12345678") for t in range(20))))
        lib = os.path.join(BUILD, "lib")
        both = ("--a", f"{lib}/copies.so", "--b", f"{lib}/bad_init_fails.so", "--out", "A:64", "-o", self.path("ab"), "--json")
        for force in ((), ("-f",)):
            out, err = run("replay", self.path("In.0.sds"), *both, *force, expect=3)
            self.assertIn(f"; {self.path('ab/a.sdsz')} is there already", json.loads(out)["errors"][0]["message"])
            self.assertIn("is there already", err)

    def test_an_error_behind_both_outputs_of_a_replay_tells_them(self):
        self.write("In.0.sds", plain(*((10 * t, b"12345678") for t in range(20))))
        copies = os.path.join(BUILD, "lib", "copies.so")
        both = ("replay", self.path("In.0.sds"), "--a", copies, "--b", copies, "--out", "A:64", "--channel", "nix")
        out, err = run(*both, "-o", self.path("ab"), "--json", expect=2)
        there = "".join(f"; {self.path('ab', side)} is there already" for side in ("a.sdsz", "b.sdsz"))
        self.assertEqual(sorted(os.listdir(self.path("ab"))), ["a.sdsz", "b.sdsz"])
        self.assertTrue(json.loads(out)["errors"][0]["message"].endswith(there), out)
        self.assertIn(there, err)
        self.assertNotIn("is there already", run(*both, expect=2)[1])  # without -o nothing stays

    def test_the_json_of_a_command_that_fails_has_the_damage_that_it_met(self):
        packed = self.path("large.sdsz")
        run("pack", self.write("A.0.sds", plain(*((t, os.urandom(1000)) for t in range(100)))), "-o", packed,
            "--section-kib", 16)
        content = self.read("large.sdsz")
        self.write("large.sdsz", content[: len(content) // 2])
        command = ("unpack", packed, "-d", self.path("out"), "-f", "--json")
        whole = json.loads(run(*command, expect=3)[0])
        self.assertNotIn("errors", whole)
        failed = json.loads(run(*command, expect=4, preexec_fn=limit_files(10000))[0])
        self.assertEqual({key: failed[key] for key in ("damages", "not_closed")},
                         {key: whole[key] for key in ("damages", "not_closed")})
        self.assertEqual((len(failed["damages"]) > 0, failed["not_closed"]), (True, [packed]))
        self.assertIn("File too large", failed["errors"][0]["message"])
        # Of one that opened no recording there is none to tell of.
        self.assertEqual(set(json.loads(run("unpack", self.path("none"), "--json", expect=4)[0])), {"errors"})

    def test_what_unpack_has_replaced_before_it_fails_is_told(self):
        small = self.write("A.0.sds", plain((0, b"abcd")))
        both = self.path("both.sdsz")
        run("pack", small, self.imu, "-o", both)
        os.mkdir(self.path("out"))
        self.write("out/A.0.sds", b"")
        self.write("out/A.0.labels.yml", "of the old one")
        _, err = run("unpack", both, "-d", self.path("out"), "-f", expect=4, preexec_fn=limit_files(100))
        self.assertIn("File too large", err)
        self.assertIn(f"{self.path('out/A.0.sds')} is there already", err)
        self.assertIn("they are kept as A.0.labels.yml.bak", err)
        self.assertEqual(sorted(os.listdir(self.path("out"))), ["A.0.labels.yml.bak", "A.0.sds"])

    def test_standard_output_that_may_not_grow_is_an_error(self):
        with open(self.path("table"), "wb") as table:
            done = subprocess.run([SDS, "export", "csv", self.walk], stdout=table, stderr=subprocess.PIPE, text=True,
                                  preexec_fn=limit_files(100))
        self.assertEqual(done.returncode, 4)
        self.assertIn("File too large", done.stderr)
        self.assertEqual(len(self.read("table")), 100)

    def test_programs_that_are_started_get_signals_as_they_are_by_default(self):
        def ignore():
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

        os.chmod(self.write("gnuplot", "#!/bin/sh\ngrep SigIgn /proc/self/status >&2\nexit 1\n"), 0o755)
        _, err = run("plot", self.walk, "-o", self.path("walk.svg"), expect=4, preexec_fn=ignore,
                     env=dict(os.environ, PATH=self.path() + ":" + os.environ["PATH"]))
        ignored = int(re.search(r"SigIgn:\s*([0-9a-f]+)", err)[1], 16)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            self.assertEqual(ignored >> (number - 1) & 1, 0, err)

    def test_times_and_sizes_are_rounded_before_they_are_split(self):
        for hz, ticks, text in ((10**6, 599_940_000, "9 min 59.9 s"), (10**6, 599_990_000, "10 min 0.0 s"),
                                (10**6, 3_599_940_000, "59 min 59.9 s"), (10**6, 3_599_970_000, "1 h 00 min 00 s"),
                                (10**6, 3_659_700_000, "1 h 01 min 00 s"), (10**6, 3_659_400_000, "1 h 00 min 59 s"),
                                (10**6, 119_999_400, "119.999 s"), (10**6, 119_999_600, "2 min 0.0 s"),
                                (10**6, 999_400, "999 ms"), (10**6, 999_600, "1.000 s"), (10**6, 1000, "1 ms"),
                                (10**7, 9994, "999 us"), (10**7, 9996, "1 ms"), (10**7, 0, "0 ms")):
            # Without a rate the second block lasts as long as the step to it.
            self.write("T.sds.yml", f"sds:\n  name: T\n  tick-frequency: {hz}\n  content:\n    - {{value: x, type: uint8_t}}\n")
            out, _ = run("info", self.write("T.0.sds", plain((0, b"1"), (ticks // 2, b"2"))))
            self.assertIn(f"samples, {text} (0 to ", out)
        for size, text in ((999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB")):
            out, _ = run("info", self.write("S.0.sds", plain((0, bytes(size - 8)))))
            self.assertIn(f"\n  {text}", out)

    def test_forty_labels_added_at_the_same_time_are_forty_labels(self):
        done = self.together([["label", "add", self.walk, "-c", f"class{i}", "--from", i / 100, "--to", i / 100 + 0.005]
                              for i in range(40)])
        self.assertEqual([code for _, code in done], [0] * 40, done)
        with open(self.path("walk.labels.yml")) as f:
            text = f.read()
        for i in range(40):
            self.assertIn(f"class: class{i},", text)
        self.assertEqual([n for n in os.listdir(self.path()) if "partial" in n or "lock" in n], [])

    def test_metadata_can_be_given_to_a_stream_without_any(self):
        os.rename(self.path("Imu.sds.yml"), self.path("later.yml"))
        other = self.write("Other.0.sds", plain(*((10 * i, b"x") for i in range(200))))
        bare = self.path("bare.sdsz")
        run("pack", self.imu, other, "-o", bare)
        run("export", "csv", bare, "-s", "Imu", expect=3)
        table = run("export", "csv", self.walk)[0]
        self.assertEqual(run("export", "csv", bare, "-s", "Imu", "-y", self.path("later.yml"))[0], table)
        run("pack", bare, "-y", self.path("later.yml"), "-o", self.path("given.sdsz"))
        self.assertEqual(run("export", "csv", self.path("given.sdsz"), "-s", "Imu")[0], table)
        # The same for metadata that cannot be read: it is what a typo while recording leaves.
        self.write("Imu.sds.yml", self.read("later.yml").replace(b"sds:", b"sds: {"))
        run("pack", self.imu, "-o", self.path("typo.sdsz"))
        self.assertIn("cannot be read", run("info", self.path("typo.sdsz"))[0])
        self.assertEqual(run("export", "csv", self.path("typo.sdsz"), "-y", self.path("later.yml"))[0], table)
        run("pack", self.path("typo.sdsz"), "-y", self.path("later.yml"), "-o", self.path("mended.sdsz"))
        run("check", self.path("mended.sdsz"))
        self.assertEqual(run("export", "csv", self.path("mended.sdsz"))[0], table)
        self.assertIn("every stream of the recording has metadata already",
                      run("info", self.walk, "-y", self.path("later.yml"), expect=2)[1])
        wrong = self.write("wrong.yml", self.read("later.yml").replace(b"name: Imu", b"name: Gyro"))
        self.assertIn("none of them is named 'Gyro'", run("info", bare, "-y", wrong, expect=2)[1])

    def test_labels_of_what_is_replaced_are_not_those_of_what_replaces_it(self):
        run("label", "add", self.walk, "-c", "old", "--from", 0.1, "--to", 0.2)
        for command in (["cut", self.walk, "--from", 0.3, "--to", 0.4], ["pack", self.write("A.0.sds", plain((1, b"x")))],
                        ["recover", self.write("bare.sdsz", self.read("walk.sdsz"))]):
            out = self.path(command[0] + ".sdsz")
            run("pack", self.walk, "-o", out)
            self.assertTrue(os.path.exists(self.path(command[0] + ".labels.yml")))
            run(*command, "-o", out, expect=4)
            self.assertTrue(os.path.exists(self.path(command[0] + ".labels.yml")))
            old = self.read(command[0] + ".labels.yml")
            _, err = run(*command, "-o", out, "-f")
            self.assertFalse(os.path.exists(self.path(command[0] + ".labels.yml")), command)
            self.assertIn(f"{command[0]}.labels.yml: these labels were of what is replaced; they are kept as {command[0]}.labels.yml.bak", err)
            self.assertEqual(self.read(command[0] + ".labels.yml.bak"), old)
        self.assertTrue(os.path.exists(self.path("walk.labels.yml")))

    def test_labels_that_are_replaced_are_kept_and_no_backup_is_lost(self):
        run("label", "add", self.walk, "-c", "new", "--from", 0.1, "--to", 0.2)
        new = self.read("walk.labels.yml")
        table = self.write("t.csv", "time,v\n0,1\n0.01,2\n")
        wav = self.path("Imu.wav")
        run("export", "wav", self.walk, "-o", wav)
        run("pack", self.walk, "-o", self.path("other.sdsz"))
        # Of two recordings, each label of a whole one is of its streams.
        *head, line = new.splitlines(True)
        merged = b"".join([*head, line.replace(b"}", b", stream: Imu.0}"), line.replace(b"}", b", stream: Imu.other}")])
        for name, command, labels in (("cut", ["cut", self.walk, "--from", 0, "--to", 1], new), ("pack", ["pack", self.walk], new),
                                      ("recover", ["recover", self.walk], new), ("resample", ["resample", self.walk, "--rate", 50], new),
                                      ("merge", ["merge", self.walk, self.path("other.sdsz"), "--no-align"], merged),
                                      ("csv", ["import", "csv", table], None), ("audio", ["import", "audio", wav], None)):
            beside, backup = name + ".labels.yml", name + ".labels.yml.bak"
            self.write(backup, "an older one")
            self.write(beside, "mine")
            run(*command, "-o", self.path(name + ".sdsz"), expect=4)
            self.assertEqual(self.read(beside), b"mine")
            _, err = run(*command, "-o", self.path(name + ".sdsz"), "-f")
            self.assertIn(f"they are kept as {backup}.1", err)
            self.assertEqual((self.read(backup), self.read(backup + ".1")), (b"an older one", b"mine"))
            self.assertEqual(self.read(beside) if os.path.exists(self.path(beside)) else None, labels, name)
            _, err = run(*command, "-o", self.path(name + ".sdsz"), "-f")
            self.assertNotIn("are kept as", err)  # the same labels again, or none
            self.assertFalse(os.path.exists(self.path(backup + ".2")))
        os.mkdir(self.path("plain"))
        self.write("plain/Imu.0.labels.yml", "mine")
        _, err = run("unpack", self.walk, "-d", self.path("plain"), "-f")
        self.assertIn("they are kept as Imu.0.labels.yml.bak", err)
        self.assertEqual((self.read("plain/Imu.0.labels.yml"), self.read("plain/Imu.0.labels.yml.bak")), (new, b"mine"))

    def test_labels_of_what_a_link_leads_to_are_the_links(self):
        os.mkdir(self.path("b"))
        real, link = self.path("b", "real.sdsz"), self.path("link.sdsz")
        beside, backup = self.path("b", "real.labels.yml"), self.path("b", "real.labels.yml.bak")
        run("pack", self.walk, "-o", real)
        os.symlink("b/real.sdsz", self.path("middle.sdsz"))
        os.symlink("middle.sdsz", link)
        run("label", "add", real, "-c", "old", "--from", 0.1, "--to", 0.2)
        # Read, changed and copied.
        self.assertIn("old", run("label", "list", link)[0])
        run("label", "add", link, "-c", "second", "--from", 0.3, "--to", 0.4)
        self.assertIn("second", run("label", "list", real)[0])
        self.assertFalse(os.path.lexists(self.path("link.labels.yml")))
        run("pack", link, "-o", self.path("copy.sdsz"))
        self.assertEqual(self.read("copy.labels.yml"), self.read(beside))
        # Replaced, with labels beside two of the names.
        old = self.read(beside)
        self.write("middle.labels.yml", "mine")
        run("pack", self.imu, "-o", link, expect=4)
        _, err = run("pack", self.imu, "-o", link, "-f")
        self.assertEqual((self.read(backup), self.read("middle.labels.yml.bak")), (old, b"mine"))
        self.assertEqual(err.count("these labels were of what is replaced"), 2)
        for name in (real, link):
            self.assertIn("no label", run("label", "list", name)[0])
        # Labels that are beside the link itself are its own.
        run("label", "add", real, "-c", "target", "--from", 0.1, "--to", 0.2)
        shutil.copy(beside, self.path("link.labels.yml"))
        run("label", "rename", link, "-c", "target", "--to", "own")
        self.assertIn("own", run("label", "list", link)[0])
        self.assertIn("target", run("label", "list", real)[0])
        # What a link leads to that is not there yet.
        os.symlink("b/new.sdsz", self.path("new.sdsz"))
        self.write("b/new.labels.yml", "left over")
        _, err = run("pack", self.imu, "-o", self.path("new.sdsz"), expect=4)
        _, err = run("pack", self.imu, "-o", self.path("new.sdsz"), "-f")
        self.assertIn("they are kept as new.labels.yml.bak", err)

    def test_labels_made_through_a_link_are_where_the_recording_is(self):
        os.mkdir(self.path("b"))
        real, link = self.path("b", "real.sdsz"), self.path("link.sdsz")
        os.symlink("b/real.sdsz", link)
        run("label", "add", self.walk, "-c", "walk", "--from", 0.1, "--to", 0.2)
        run("pack", self.walk, "-o", link, "-f")
        self.assertEqual(self.read("b", "real.labels.yml"), self.read("walk.labels.yml"))
        self.assertFalse(os.path.lexists(self.path("link.labels.yml")))
        os.remove(self.path("b", "real.labels.yml"))
        run("label", "add", link, "-c", "new", "--from", 0.3, "--to", 0.4)
        self.assertIn("new", run("label", "list", real)[0])

    def test_a_label_file_that_is_a_link_stays_one_and_its_labels_are_not_lost(self):
        os.mkdir(self.path("b"))
        run("label", "add", self.walk, "-c", "walk", "--from", 0.1, "--to", 0.2)
        for real, link in (("b/real", "link"), ("blob", "same")):
            run("pack", self.imu, "-o", self.path(real + ".sdsz"))
            os.symlink(self.path(real + ".sdsz"), self.path(link + ".sdsz"))
            os.symlink(self.path(real + ".labels.yml"), self.path(link + ".labels.yml"))
            shutil.copy(self.path("walk.labels.yml"), self.path(real + ".labels.yml"))
            _, err = run("pack", self.walk, "-o", self.path(link + ".sdsz"), "-f")
            self.assertNotIn("kept as", err)  # the same to the byte
            for name in (real, link):
                self.assertIn("walk", run("label", "list", self.path(name + ".sdsz"))[0])
            self.write(real + ".labels.yml", self.read("walk.labels.yml").replace(b"walk", b"older"))
            _, err = run("pack", self.walk, "-o", self.path(link + ".sdsz"), "-f")
            self.assertIn(f"they are kept as {os.path.basename(real)}.labels.yml.bak", err)
            self.assertIn(b"older", self.read(real + ".labels.yml.bak"))
            for name in (real, link):
                self.assertEqual(self.read(name + ".labels.yml"), self.read("walk.labels.yml"))
            self.assertTrue(os.path.islink(self.path(link + ".labels.yml")))

    def test_labels_of_the_input_stay_and_those_of_what_is_replaced_do_not(self):
        os.mkdir(self.path("x"))
        run("pack", self.imu, "-o", self.path("x", "X.sdsz"))
        self.write("x/X.labels.yml", "old")
        os.symlink("x/X.sdsz", self.path("Imu.0.sdsz"))
        run("label", "add", self.imu, "-c", "mine", "--from", 0.1, "--to", 0.2)
        own = self.read("Imu.0.labels.yml")
        _, err = run("pack", self.imu, "-o", self.path("Imu.0.sdsz"), "-f")
        self.assertIn("they are kept as X.labels.yml.bak", err)
        self.assertEqual((self.read("x", "X.labels.yml.bak"), self.read("Imu.0.labels.yml")), (b"old", own))
        self.assertIn("no label", run("label", "list", self.path("x", "X.sdsz"))[0])

    def test_who_replaces_a_recording_through_a_link_waits_for_all_who_change_its_labels(self):
        os.mkdir(self.path("b"))
        run("pack", self.imu, "-o", self.path("b", "real.sdsz"))
        os.symlink("b/real.sdsz", self.path("link.sdsz"))
        for folder in (self.path(), self.path("b")):
            held = os.open(folder, os.O_RDONLY)
            fcntl.flock(held, fcntl.LOCK_EX)
            waits = subprocess.Popen([SDS, "pack", self.walk, "-o", self.path("link.sdsz"), "-f"], stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
            with self.assertRaises(subprocess.TimeoutExpired):
                waits.wait(timeout=1)
            os.close(held)
            _, err = waits.communicate(timeout=60)
            self.assertEqual(waits.returncode, 0)
            self.assertEqual(err.decode().count(f"sds: note: {folder}: another program changes recordings or labels there; it is waited for\n"), 1)

    def test_who_waits_for_a_folder_ends_by_ctrl_c(self):
        os.mkdir(self.path("out"))
        held = os.open(self.path("out"), os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        for command in (["pack", self.walk], ["cut", self.walk, "--from", 0, "--to", 1], ["recover", self.walk]):
            running = subprocess.Popen([SDS, *map(str, command), "-o", self.path("out", "a.sdsz")], stderr=subprocess.PIPE, text=True)
            with self.assertRaises(subprocess.TimeoutExpired):
                running.wait(timeout=1)  # it waits
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=60)
            self.assertEqual(running.returncode, 130, err)
            self.assertEqual(os.listdir(self.path("out")), [], command)
        os.close(held)

    def test_a_label_file_that_appears_meanwhile_is_left_alone(self):
        with open(self.path("big.csv"), "w") as f:
            f.write("time,v\n" + "".join(f"{i / 1000},{i % 977}\n" for i in range(1_000_000)))
        run("import", "csv", self.path("big.csv"), "-o", self.path("big.sdsz"))
        for command in (["import", "csv", self.path("big.csv")], ["resample", self.path("big.sdsz"), "--rate", "441"]):
            running = subprocess.Popen([SDS, *command, "-o", self.path("n.sdsz")], stderr=subprocess.PIPE, text=True)
            while running.poll() is None and not any("partial" in n for n in os.listdir(self.path())):
                pass
            self.write("n.labels.yml", "mine")
            _, err = running.communicate(timeout=300)
            self.assertEqual(running.returncode, 4, err)
            self.assertIn("n.labels.yml: exists already (--force replaces it)", err)
            self.assertEqual(self.read("n.labels.yml"), b"mine")
            self.assertFalse(os.path.exists(self.path("n.sdsz")))
            os.remove(self.path("n.labels.yml"))

    def test_labels_of_queries_and_of_people_do_not_replace_each_other(self):
        done = self.together([["query", self.walk, "x > 100", "--add-label", f"q{i}"] if i % 2 else
                              ["label", "add", self.walk, "-c", f"p{i}", "--from", 1, "--to", 2] for i in range(20)])
        self.assertEqual({code for _, code in done}, {0}, done)
        with open(self.path("walk.labels.yml")) as f:
            text = f.read()
        for i in range(20):
            self.assertIn(f"class: {'q' if i % 2 else 'p'}{i},", text)

    def test_of_two_that_make_one_file_one_succeeds_and_nothing_is_mixed(self):
        done = self.together([["export", "npz", self.walk, "-o", self.path("a.npz")] for _ in range(8)])
        codes = sorted(code for _, code in done)
        self.assertEqual(codes[0], 0, done)
        self.assertEqual(set(codes[1:]), {4}, done)
        for out, code in done:
            if code:
                self.assertIn("a.npz: exists already", out)
        run("export", "npz", self.walk, "-o", self.path("b.npz"))
        self.assertEqual(self.read("a.npz"), self.read("b.npz"))

    def test_a_partial_file_of_ones_own_is_left_alone(self):
        mine = ["a.sdsz.partial", "a.csv.partial", "walk.labels.yml.partial"]
        for name in mine:
            self.write(name, "mine")
        run("pack", self.imu, "-o", self.path("a.sdsz"))
        run("export", "csv", self.walk, "-o", self.path("a.csv"))
        run("label", "add", self.walk, "-c", "a", "--from", 0, "--to", 1)
        for name in mine:
            self.assertEqual(self.read(name), b"mine")

    def test_what_exists_is_left_alone_without_force(self):
        for name, command in {"a.sdsz": ["pack", self.imu], "a.wav": ["export", "wav", self.walk],
                              "a.html": ["plot", self.walk]}.items():
            self.write(name, "mine")
            _, err = run(*command, "-o", self.path(name), expect=4)
            self.assertIn("exists already (--force replaces it)", err)
            self.assertEqual(self.read(name), b"mine")
            run(*command, "-o", self.path(name), "-f")
            self.assertGreater(len(self.read(name)), 100)

    def refused(self, *command, unchanged):
        before = {name: self.read(name) for name in unchanged}
        names = sorted(os.listdir(self.path()))
        _, err = run(*command, expect=2)
        self.assertIn("is read by this command: choose another name", err, command)
        self.assertEqual({name: self.read(name) for name in unchanged}, before, command)
        self.assertEqual(sorted(os.listdir(self.path())), names, command)

    def test_no_output_is_one_of_the_inputs(self):
        os.symlink("walk.sdsz", self.path("link.sdsz"))
        os.link(self.walk, self.path("hard.sdsz"))
        os.symlink("walk.sdsz", self.path("link"))
        os.link(self.walk, self.path("hard"))
        self.write("other.0.sds", self.read("Imu.0.sds"))
        run("label", "add", self.walk, "-c", "a", "--from", 0, "--to", 1)
        every = [n for n in os.listdir(self.path()) if os.path.isfile(self.path(n))]
        for name in ("walk.sdsz", "link.sdsz", "hard.sdsz", "./walk.sdsz"):
            out = self.path(name)
            for command in (["pack", self.walk], ["cut", self.walk, "--from", 0], ["merge", self.imu, self.walk, "--no-align"],
                            ["resample", self.walk, "--rate", 50], ["recover", self.walk]):
                self.refused(*command, "-o", out, "-f", unchanged=every)
        for name in ("link", "hard"):  # names that say nothing of a format
            out = self.path(name)
            for command in (["label", "export", self.walk], *(["export", form, self.walk] for form in (
                    "csv", "wav", "hdf5", "npz", "qeexo", "mcap", "edge-impulse"))):
                self.refused(*command, "-o", out, "-f", unchanged=every)
            self.refused(*["export", "csv", self.walk, "-o", out], unchanged=every)
        # Metadata, labels and tables are inputs, too.
        os.symlink("Imu.sds.yml", self.path("yaml"))
        self.refused("pack", self.imu, "-o", self.path("yaml"), "-f", unchanged=every)
        for linked, name in (("other.0.sds", "to-other"), ("Imu.sds.yml", "to-yaml"), ("walk.labels.yml", "to-labels")):
            os.symlink(linked, self.path(name))
        self.refused("export", "csv", self.imu, self.path("other.0.sds"), "-s", "Imu", "-o", self.path("to-other"), "-f",
                     unchanged=every)
        self.refused("export", "csv", self.imu, "-y", self.path("Imu.sds.yml"), "-o", self.path("to-yaml"), "-f",
                     unchanged=every)
        self.refused("label", "export", self.walk, "-o", self.path("to-labels"), "-f", unchanged=every)
        self.refused("cut", self.walk, "--from", 0, "-o", self.path("walk.x"), "-f", unchanged=every)
        run("pack", self.write("Bare.0.sds", self.read("Imu.0.sds")), "-o", self.path("bare.sdsz"))
        self.write("Bare.sds.yml", IMU)
        self.refused("unpack", self.path("bare.sdsz"), "-d", self.path(), "-y", self.path("Bare.sds.yml"), "-f",
                     unchanged=[*every, "Bare.sds.yml"])
        table = self.write("t.sdsz", "time,x\n0,1\n1,2\n")
        self.refused("import", "csv", table, "-o", table, "-f", unchanged=["t.sdsz"])

    def test_reports_of_suites_replace_neither_inputs_nor_files(self):
        suite = self.write("suite.yml", f"suite:\n  name: t\n  cases: [{{name: a, recordings: {self.walk}, algorithm: none.so, "
                           f"out: 'O:1', expected: e.sdsz}}]\n")
        self.write("e.sdsz", self.read("walk.sdsz"))
        for option in ("--html", "--junit", "--results"):
            for name in ("walk.sdsz", "suite.yml", "e.sdsz"):
                link = self.path(name + ".link")
                if not os.path.exists(link):
                    os.symlink(name, link)
                self.refused("test", suite, option, link, "-f", unchanged=["walk.sdsz", "suite.yml", "e.sdsz"])
            self.write("mine", "mine")
            _, err = run("test", suite, option, self.path("mine"), expect=4)
            self.assertIn("mine: exists already (--force replaces it)", err)
            run("test", suite, option, self.path("mine"), "-f", expect=1)
            self.assertNotEqual(self.read("mine"), b"mine")
        run("test", suite, "--results", self.path("part.json"), expect=1)
        self.refused("test", "merge", self.path("part.json"), "--results", self.path("part.json"), "-f", unchanged=["part.json"])
        run("test", "merge", self.path("part.json"), "--html", self.path("mine"), expect=4)

    def test_tables_and_label_tracks_are_replaced_by_force_only(self):
        run("label", "add", self.walk, "-c", "a", "--from", 0, "--to", 1)
        for command in (["export", "csv", self.walk], ["label", "export", self.walk]):
            self.write("mine.csv", "mine")
            _, err = run(*command, "-o", self.path("mine.csv"), expect=4)
            self.assertIn("mine.csv: exists already (--force replaces it)", err)
            self.assertEqual(self.read("mine.csv"), b"mine")
            run(*command, "-o", self.path("mine.csv"), "-f")
            self.assertNotEqual(self.read("mine.csv"), b"mine")
        os.mkdir(self.path("set"))
        self.write("set/manifest.yml", "mine")
        _, err = run("export", "csv", self.walk, "--split", "80/20", "-o", self.path("set"), expect=4)
        self.assertIn("set: is not empty (--force replaces a dataset that is there)", err)
        self.assertEqual(os.listdir(self.path("set")), ["manifest.yml"])

    def test_a_dash_is_standard_output_or_an_error(self):
        out, _ = run("export", "csv", self.walk, "-o", "-", cwd=self.path())
        self.assertEqual(len(out.splitlines()), 2001)
        run("label", "add", self.walk, "-c", "a", "--from", 0, "--to", 1)
        self.assertIn("\ta\n", run("label", "export", self.walk, "-o", "-", cwd=self.path())[0])
        suite = self.write("suite.yml", f"suite:\n  name: t\n  cases: [{{name: a, recordings: {self.walk}, algorithm: none.so}}]\n")
        for command in (["pack", self.imu, "-o"], ["unpack", self.walk, "-d"], ["cut", self.walk, "--from", 0, "-o"],
                        ["merge", self.walk, self.walk, "-o"], ["resample", self.walk, "--rate", 50, "-o"],
                        ["import", "csv", self.imu, "-o"], ["plot", self.walk, "-o"],
                        ["replay", self.walk, "-a", "none.so", "-o"], ["test", suite, "--junit"], ["test", suite, "--html"],
                        ["test", suite, "--results"],
                        ["export", "npz", self.walk, "--window", "1s", "-o"],
                        *(["export", form, self.walk, "-o"] for form in ("wav", "flac", "audio", "hdf5", "npz", "qeexo",
                                                                        "edge-impulse", "mcap", "images"))):
            _, err = run(*command, "-", expect=2, cwd=self.path())
            self.assertIn("standard output is not possible here", err, command)
        self.assertFalse(os.path.exists(self.path("-")))

    def test_a_packed_recording_is_not_called_like_a_plain_one(self):
        for command in (["pack", self.imu], ["cut", self.walk, "--from", 0], ["recover", self.walk]):
            _, err = run(*command, "-o", self.path("new.sds"), expect=2)
            self.assertIn("new.sds is the name of a plain recording: call it .sdsz", err)
            self.assertFalse(os.path.exists(self.path("new.sds")))

    def test_links_stay_links_and_private_files_stay_private(self):
        run("label", "add", self.walk, "-c", "a", "--from", 0, "--to", 1)
        os.rename(self.path("walk.labels.yml"), self.path("real.yml"))
        os.chmod(self.path("real.yml"), 0o600)
        os.symlink("real.yml", self.path("walk.labels.yml"))
        run("label", "add", self.walk, "-c", "b", "--from", 0, "--to", 1)
        self.assertTrue(os.path.islink(self.path("walk.labels.yml")))
        self.assertIn(b"class: b,", self.read("real.yml"))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("real.yml")).st_mode), 0o600)

    def test_what_a_link_leads_to_is_made(self):
        os.mkdir(self.path("there"))
        os.symlink("there/t.sdsz", self.path("l.sdsz"))
        run("pack", self.imu, "-o", self.path("l.sdsz"), expect=4)  # a name that is there
        run("pack", self.imu, "-o", self.path("l.sdsz"), "-f")
        self.assertEqual((os.readlink(self.path("l.sdsz")), os.listdir(self.path("there"))), ("there/t.sdsz", ["t.sdsz"]))
        for name, to, said in (("self.sdsz", "self.sdsz", "is a link that leads to itself"),
                               ("far.sdsz", "nowhere/t.sdsz", "far.sdsz: cannot create: there is no directory")):
            os.symlink(to, self.path(name))
            self.assertIn(said, run("pack", self.imu, "-o", self.path(name), "-f", expect=4)[1])
            self.assertEqual(os.readlink(self.path(name)), to)

    def test_labels_of_a_recording_that_stays_stay(self):
        # B.0.sds is new, and would be taken for what the labels of B.0.sdsz are about.
        self.write("B.0.sds", self.read(self.imu))
        run("pack", self.path("B.0.sds"), "-o", self.path("other.sdsz"))
        os.rename(self.path("B.0.sds"), self.path("C.0.sds"))
        run("pack", self.path("C.0.sds"), "-o", self.path("B.0.sdsz"))
        run("label", "add", self.path("B.0.sdsz"), "-c", "mine", "--from", 0, "--to", 1)
        labels = self.read("B.0.labels.yml")
        for force in ((), ("-f",)):
            _, err = run("unpack", self.path("other.sdsz"), "-d", self.path(), *force, expect=4)
            self.assertIn("B.0.labels.yml", err)
            self.assertEqual(self.read("B.0.labels.yml"), labels)
            self.assertFalse(os.path.exists(self.path("B.0.sds")))
        self.assertIn("are the labels of B.0.sdsz, which is not replaced", err)

    def test_two_that_replace_a_recording_leave_it_with_its_own_labels(self):
        self.write("Other.0.sds", plain((0, b"other")))
        run("pack", self.path("Other.0.sds"), "-o", self.path("plain.sdsz"))
        shutil.copy(self.walk, self.path("labelled.sdsz"))
        run("label", "add", self.path("labelled.sdsz"), "-c", "new", "--from", 0, "--to", 1)
        for round_ in sample_of(range(25)):
            for name in ("w.labels.yml", "w.labels.yml.bak", "w.labels.yml.bak.1"):
                if os.path.exists(self.path(name)):
                    os.remove(self.path(name))
            shutil.copy(self.imu, self.path("w.sdsz"))
            shutil.copy(self.path("labelled.labels.yml"), self.path("w.labels.yml"))
            both = [subprocess.Popen([SDS, "pack", self.path(source), "-o", self.path("w.sdsz"), "-f"], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL) for source in ("labelled.sdsz", "plain.sdsz")]
            self.assertEqual([one.wait(60) for one in both], [0, 0])
            labels = json.loads(run("label", "list", self.path("w.sdsz"), "--json")[0])["labels"]
            stream = json.loads(run("info", self.path("w.sdsz"), "--json")[0])["recordings"][0]["streams"][0]
            self.assertEqual(len(labels), {"Imu": 1, "Other": 0}[stream["name"]], round_)

    def test_pipes_and_devices_are_written_in_place(self):
        os.mkfifo(self.path("pipe"))
        got = []
        reader = threading.Thread(target=lambda: got.append(self.read("pipe")))
        reader.start()
        run("export", "csv", self.walk, "-o", self.path("pipe"))
        reader.join(60)
        self.assertEqual(len(got[0].splitlines()), 2001)
        run("export", "qeexo", self.walk, "-o", "/dev/null")
        run("label", "add", self.walk, "-c", "a", "--from", 0, "--to", 1)
        names = sorted(os.listdir(self.path()))
        for command in (["pack", self.walk], ["cut", self.walk, "--from", 0], ["recover", self.walk],
                        ["merge", self.walk, self.imu, "--no-align"]):
            run(*command, "-o", "/dev/null")
            self.assertFalse(os.path.exists("/dev/null.labels.yml"))
        self.assertIn("was not read back", run("recover", self.walk, "-o", "/dev/null")[1])
        self.assertEqual(sorted(os.listdir(self.path())), names)
        for form in ("csv", "npz", "mcap", "qeexo"):
            _, err = run("export", form, self.walk, "-o", "/dev/full", expect=4)
            self.assertIn("No space left on device", err)

    def test_labels_that_cannot_be_looked_at_are_no_labels_that_are_not_there(self):
        # A link that leads to itself: whether a file is there, nobody can say.
        labels = self.path("walk.labels.yml")
        os.symlink("walk.labels.yml", labels)
        for command in (("label", "list", self.walk), ("label", "add", self.walk, "-c", "x", "--from", "0", "--to", "1"),
                        ("query", self.walk, "x > 0", "--add-label", "x"), ("unpack", self.walk, "-d", self.path("plain")),
                        *((*words, "-o", self.path("out.sdsz")) for words in (
                            ("pack", self.walk), ("cut", self.walk, "--from", "0", "--to", "1"), ("recover", self.walk),
                            ("resample", self.walk, "--rate", "50"), ("merge", self.walk, self.imu, "--no-align")))):
            self.assertIn("walk.labels.yml", run(*command, expect=4)[1], command)
            self.assertTrue(os.path.islink(labels))
            self.assertFalse(os.path.exists(self.path("out.sdsz")))

    def test_a_recording_of_the_longest_name_has_neither_log_nor_labels(self):
        longest = self.path("n" * 250 + ".sdsz")
        os.rename(self.walk, longest)
        run("info", longest)
        run("check", longest)
        run("stats", longest)
        run("label", "list", longest)
        run("cut", longest, "--from", "0", "--to", "1", "-o", self.path("cut.sdsz"))



class ManyLabels(Case):
    LABEL = "    - {class: %s, begin: %d, end: %d, from: %s, to: %s%s}\n"

    def file_of(self, name, labels, **more):
        rest = "".join(f", {key}: {value}" for key, value in more.items())
        return self.write(name, "labels:\n  version: 1\n  tick-frequency: 1000\n  intervals:\n" + "".join(
            self.LABEL % (c, b, e, f"{b / 1000:.12g}", f"{e / 1000:.12g}", rest) for c, b, e in labels))

    @skip_under_sanitizers
    def test_memory_grows_gently_with_labels(self):
        self.write("t.csv", "time,a\n" + "".join(f"{i / 100:.2f},{i % 2}\n" for i in range(60_000)))
        recording = self.path("t.sdsz")
        run("import", "csv", self.path("t.csv"), "-o", recording)
        ours = [(f"c{i % 3}", 10 * i, 10 * i + 5) for i in range(30_000)]
        self.file_of("t.labels.yml", ours)
        others = self.file_of("b.labels.yml", [(f"c{i % 3}", 10 * i, 10 * i + 5) for i in range(15_000, 45_000)])
        self.assertLess(peak_mb("label", "merge", recording, "--with", others), 150)
        self.assertLess(peak_mb("label", "list", recording), 100)
        self.assertLess(peak_mb("query", recording, "a > 0", "--add-label", "one"), 150)
        labels = json.loads(run("label", "list", recording, "--json")[0])["labels"]
        self.assertEqual([(e["class"], e["begin"], e["end"]) for e in labels if e["class"] != "one"],
                         [(f"c{i % 3}", 10 * i, 10 * i + 5) for i in range(45_000)])
        self.assertEqual([(e["begin"], e["end"]) for e in labels if e["class"] == "one"], [(20 * i + 10, 20 * i + 20) for i in range(30_000)])

    def test_a_label_file_says_the_same_however_it_is_laid_out(self):
        self.write("t.csv", "time,a\n" + "".join(f"{i / 100:.2f},{i % 2}\n" for i in range(6000)))
        recording = self.path("t.sdsz")
        run("import", "csv", self.path("t.csv"), "-o", recording)
        labels = [(f"c{i % 3}", 20 * i, 20 * i + 15) for i in range(2500)]
        self.file_of("t.labels.yml", labels)
        by_line = self.read("t.labels.yml").decode()
        expected = run("label", "list", recording)[0]
        for text in (by_line + "\n", by_line + "# an end\n", by_line.replace("    - {class: c1, begin: 20,", "    - { # here\n     class: c1, begin: 20,"),
                     by_line.replace("  intervals:", "  intervals: "), by_line.replace("\n", "\r\n")):
            self.write("t.labels.yml", text)
            self.assertEqual(run("label", "list", recording)[0], expected)
        # Texts over several lines, anchors, and errors with their line.
        note = by_line.replace(", to: 0.015}", ', to: 0.015, note: "a}\n    - {b"}')
        self.write("t.labels.yml", note)
        self.assertEqual(json.loads(run("label", "list", recording, "--json")[0])["labels"][0]["note"], "a} - {b")
        self.write("t.labels.yml", by_line.replace("class: c0, begin: 0,", "class: &x c0, begin: 0,").replace("class: c0, begin: 60,", "class: *x, begin: 60,"))
        self.assertEqual(run("label", "list", recording)[0], expected)
        for wrong, what in ((by_line.replace("begin: 40000", "begun: 40000"), "line 2005: "), (by_line.replace("end: 40015", "end: 3"), "line 2005: "),
                            (by_line.replace("class: c2, begin: 40, ", ""), "line 7: "), (by_line.replace("    - {class: c2, begin: 40,", "    - {class: [c2, begin: 40,"), "line 7: "),
                            (by_line.replace("version: 1", "version: 2"), "line 2: ")):
            self.write("t.labels.yml", wrong)
            self.assertIn(what, run("label", "list", recording, expect=3)[1])
        overlaps = by_line.replace("end: 40015, from: 40, to: 40.015", "end: 40025, from: 40, to: 40.025")
        self.write("t.labels.yml", overlaps)
        self.assertIn("label 2002, line 2006: c0 [40.02, 40.035) s overlaps label 2001, line 2005: c2 [40, 40.025) s", run("label", "check", recording, expect=1)[0])


if __name__ == "__main__":
    main()
