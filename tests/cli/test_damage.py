"""A damaged recording: every command that reads it says so, on stderr, in its JSON and by exit code 3; and `sds recover`."""
import json
import os
import struct
import unittest

from harness import BUILD, Case, main, plain, run

YAML = "sds:\n  name: T\n  sample-frequency: 100\n  content:\n    - value: v\n      type: int16_t\n"
MAGIC = b"\x89SDSZ\r\n\x1a"
ECHO = os.path.join(BUILD, "lib", "bad_prints.so")  # puts out four bytes for each block


def sections(data):
    """(offset, header size, kind, payload size, blocks) of every section, from header to header (FORMAT.md)."""
    found = []
    at = 0
    while at < len(data):
        assert data[at:at + 8] == MAGIC, at
        size = 64 if data[at + 8] == 1 else 80
        stored, _, blocks = struct.unpack_from("<III", data, at + 16)
        found.append((at, size, data[at + 9], stored, blocks))
        at += size + stored
    return found


class Damaged(Case):
    def setUp(self):
        super().setUp()
        self.write("T.sds.yml", YAML)
        # 2,000 blocks of ten samples, a tick a millisecond, in sections of 16 KiB.
        blocks = [(100 * i, struct.pack("<10h", *((i * 7 + k * 3) % 1000 for k in range(10)))) for i in range(2000)]
        self.write("T.0.sds", plain(*blocks))
        self.good = self.path("good.sdsz")
        run("pack", self.path("T.0.sds"), "-o", self.good, "--section-kib", 16)
        self.data = [s for s in sections(self.read("good.sdsz")) if s[2] == 3]
        self.assertEqual(sum(s[4] for s in self.data), 2000)

    def damaged(self, what):
        """Returns (path, blocks lost) of a copy with one damaged payload, or header (and no index)."""
        content = bytearray(self.read("good.sdsz"))
        if what == "payload":
            at, size, _, stored, blocks = self.data[0]
            content[at + size + stored // 2] ^= 4
        else:
            at, _, _, _, blocks = self.data[1]
            content[at + 30] ^= 4
            content[-5] ^= 1
        return self.write(f"{what}.sdsz", bytes(content)), blocks

    def commands(self, rec):
        out = lambda name: self.path("out-" + os.path.basename(rec) + "-" + name)
        yield ["info", rec], True
        yield ["stats", rec, "--exact"], True
        yield ["query", rec, "v > 500 and v < 510"], True
        yield ["compare", rec, rec], True
        yield ["compare", rec, rec, "--argmax"], True
        yield ["pack", rec, "-o", out("p.sdsz")], True
        yield ["unpack", rec, "-d", out("plain")], True
        yield ["cut", rec, "--from", 0, "--to", 1000, "-o", out("c.sdsz")], True
        yield ["merge", rec, self.path("T.0.sds"), "--no-align", "-o", out("m.sdsz")], True
        yield ["resample", rec, "--rate", 50, "-o", out("r.sdsz")], True
        yield ["replay", rec, "-a", ECHO, "--out", "O:4", "-o", out("replayed.sdsz")], True
        for name in ("csv", "wav", "flac", "hdf5", "npz", "mcap", "qeexo", "edge-impulse"):
            yield ["export", name, rec, "-o", out("x." + name.replace("hdf5", "h5").replace("edge-impulse", "json").replace("qeexo", "q.csv"))], name != "csv"
        yield ["export", "npz", rec, "--window", "2s", "--unlabelled", "-o", out("windows")], True
        yield ["label", "auto", rec, "--labels", out("l.yml")], False
        yield ["label", "list", rec], True
        yield ["plot", rec, "-o", out("p.html")], False
        yield ["bench", rec, "--rounds", 1], True

    def check_all(self, what):
        rec, lost = self.damaged(what)
        for args, has_json in self.commands(rec):
            only_opens = args[:2] == ["label", "list"] or args[0] == "plot" or (args[0] == "bench")
            if only_opens and what == "payload":
                continue  # nothing of the payloads is read, or only the beginning
            with self.subTest(" ".join(map(str, args))):
                _, err = run(*args, expect=3)
                self.assertIn(f"{os.path.basename(rec)}: is damaged, {lost} blocks are lost", err)
                self.assertEqual(err.count("checksum mismatch"), 1, err)
                if not has_json:
                    continue
                text, _ = run(*args, "--json", *(["-f"] if "-o" in args or "-d" in args else []), expect=3)
                report = json.loads(text)
                damages = [d for d in report["damages"] if d["blocks"]]
                self.assertEqual([(d["stream"], d["blocks"]) for d in damages], [("T", lost)])
                self.assertEqual(set(damages[0]),
                                 {"recording", "stream", "blocks", "first_tick", "last_tick", "after_tick", "before_tick",
                                  "offset", "bytes", "reason"})

    def test_a_torn_end_that_a_copy_leaves_out_is_a_gap_in_it(self):
        whole = bytearray(self.read("T.0.sds"))
        whole[1000 * 28 + 4 + 2] ^= 0x40  # the size of block 1000
        rec = self.write("W.0.sds", bytes(whole))
        self.write("W.sds.yml", YAML)
        commands = [["resample", rec, "--rate", 50], ["cut", rec, "--from", 0], ["merge", rec, self.good, "--no-align"]]
        if os.path.exists(ECHO):
            commands.append(["replay", rec, "--algorithm", ECHO, "--out", "O:4"])
        for command in commands:
            run(*command, "-o", self.path("copy.sdsz"), "-f", expect=3)
            result = json.dumps(json.loads(run("check", self.path("copy.sdsz"), "--json", expect=1)[0]))
            self.assertIn(f"{1000 * 28} bytes were left out, a torn end: ", result, command)

    @unittest.skipUnless(os.path.exists(ECHO), "the example algorithm is not built")
    def test_ok_is_what_the_exit_code_says(self):
        whole = self.read("T.0.sds")
        harmful = bytearray(whole)
        harmful[1000 * 28 + 4 + 2] ^= 0x40  # the size of block 1000
        self.write("W.sds.yml", YAML)
        for content, code in ((whole, 0), (whole[:-5], 0), (bytes(harmful), 3)):
            rec = self.write("W.0.sds", content)
            report = json.loads(run("replay", rec, "-a", ECHO, "--out", "O:4", "--json", expect=code)[0])
            self.assertEqual(report["ok"], code == 0)
            self.assertTrue(all(r["ok"] == (code == 0) for r in report["runs"]))

    def test_a_torn_end_that_recover_keeps_is_not_missing(self):
        whole = bytearray(self.read("T.0.sds"))
        whole[1000 * 28 + 4 + 2] ^= 0x40  # the size of block 1000
        rec = self.write("W.0.sds", bytes(whole))
        self.write("W.sds.yml", YAML)
        run("pack", rec, "-o", self.path("w.sdsz"), expect=3)
        out, err = run("recover", self.path("w.sdsz"), "-o", self.path("r.sdsz"))
        self.assertNotIn("MISSING", out)
        self.assertIn("nothing is missing; what blocks are in 28,000 bytes at the end, which are kept, is not known", out)
        self.assertIn("W: 28000 bytes are kept, a torn end: ", err)
        self.assertIn("blocks may be in it", err)
        report = json.loads(run("recover", self.path("w.sdsz"), "-o", self.path("r.sdsz"), "-f", "--json")[0])
        self.assertEqual((report["damages"], report["whole"], report["unread_bytes"]), ([], False, 28000))
        run("unpack", self.path("r.sdsz"), "-d", self.path("plain"), expect=3)
        self.assertEqual(self.read("plain", "W.0.sds"), bytes(whole))

    def test_a_part_without_a_loss_is_told_none(self):
        # Lost are the blocks from `begin` to `end`, in ticks.
        at, size, _, stored, blocks = self.data[1]
        begin, end = 100 * self.data[0][4], 100 * (self.data[0][4] + blocks)
        content = bytearray(self.read("good.sdsz"))
        content[at + size + stored // 2] ^= 4
        rec = self.write("lossy.sdsz", bytes(content))
        run("recover", rec, "-o", self.path("gap.sdsz"), expect=3)
        parts = (((), True), (("--from", end / 1000), False), (("--from", end / 1000 - 0.01), True),
                 (("--to", begin / 1000 - 0.15), False), (("--to", begin / 1000 + 0.01), True),
                 (("--from", begin / 1000 - 1, "--to", end / 1000 + 1), True))
        for part, lost in parts:
            with self.subTest(str(part)):
                self.assertEqual(run("query", self.path("gap.sdsz"), "v > 1e12", *part, expect=3 if lost else 1)[0], "")
                commands = [["export", name, rec, "-o", self.path("x." + name), *more] for name in ("csv", "hdf5", "npz", "mcap")
                            for more in ([], ["--normalize"])]
                for command in commands + [["query", rec, "v > 500 and v < 510", "--count"]]:
                    _, err = run(*command, *part, *(["-f"] if command[0] == "export" else []), expect=3 if lost else 0)
                    self.assertEqual("are lost" in err, lost, (command, err))
                _, err = run("cut", rec, *(part or ("--from", 0)), "-o", self.path("c.sdsz"), "-f", expect=3 if lost else 0)
                gaps = json.loads(run("info", self.path("c.sdsz"), "--json")[0])["recordings"][0]["streams"][0]["losses"]
                self.assertEqual(("are lost" in err, len(gaps)), (lost, int(lost)), err)
        inside = ("--from", begin / 1000 + 0.2, "--to", begin / 1000 + 0.3)
        for lossy in (rec, self.path("gap.sdsz")):
            run("query", lossy, "v > 500", *inside, expect=3)

    def test_losses_that_an_export_cannot_hand_on_are_told(self):
        rec, lost = self.damaged("payload")
        run("recover", rec, "-o", self.path("r.sdsz"), expect=3)
        end = 0.1 * 2000
        for name, what in (("csv", "not told in it"), ("hdf5", "not told in it"), ("npz", "not told in it"),
                           ("mcap", "not told in it"), ("qeexo", "not told in it"), ("wav", "closed"), ("flac", "closed"),
                           ("edge-impulse", "closed")):
            out = self.path("x." + {"qeexo": "q.csv", "hdf5": "h5", "edge-impulse": "json"}.get(name, name))
            for part, losses in (((), 1), (("--from", 0.1 * lost + 1, "--to", end), 0), (("--from", 1, "--to", end), 1),
                                 (("--to", 0.1 * lost + 1), 1)):  # the first blocks are the lost ones
                with self.subTest(f"{name} {part}"):
                    _, err = run("export", name, self.path("r.sdsz"), "-o", out, "-f", *part)
                    self.assertEqual(err.count(f"T: 1 loss of the recording is {what}: "), losses, err)
        run("label", "add", self.path("r.sdsz"), "-c", "a", "--from", 100, "--to", 101)

    def test_an_export_of_nothing_is_an_error_and_makes_nothing(self):
        self.write("N.0.sds", self.read("T.0.sds"))
        run("pack", self.path("N.0.sds"), "-o", self.path("n.sdsz"))
        with open(self.path("two.sds"), "wb") as f:
            f.write(self.read("T.0.sds"))
        for rec in ([self.path("n.sdsz")], [self.path("N.0.sds"), self.path("two.sds")]):
            for name in ("csv", "wav", "flac", "hdf5", "npz", "mcap", "qeexo", "edge-impulse"):
                with self.subTest(f"{name} {len(rec)}"):
                    _, err = run("export", name, *rec, "-o", self.path("nothing"), expect=2 if name == "images" else 3)
                    self.assertIn("no metadata", err)
                    self.assertFalse(os.path.exists(self.path("nothing")))
        for command in (["stats", self.path("n.sdsz")], ["stats", self.path("n.sdsz"), "--json"], ["query", self.path("n.sdsz"), "x > 1"],
                        ["plot", self.path("n.sdsz"), "-o", self.path("x.png")],
                        ["plot", self.path("n.sdsz"), "--channel", "x", "-o", self.path("x.png")]):
            _, err = run(*command, expect=3)
            self.assertIn("there is no stream with values: N: it has no metadata (N.sds.yml, or name one with -y)", err)

    @unittest.skipUnless(os.path.exists(ECHO), "the test algorithms are not built")
    def test_a_damaged_payload_is_told_by_every_command(self):
        self.check_all("payload")

    @unittest.skipUnless(os.path.exists(ECHO), "the test algorithms are not built")
    def test_a_damaged_header_is_told_by_every_command(self):
        self.check_all("header")

    def test_check_tells_each_loss_once(self):
        for what in ("payload", "header"):
            rec, lost = self.damaged(what)
            out, _ = run("check", rec, expect=1)
            self.assertEqual(out.count(f"{lost} blocks are lost"), 1, out)
            self.assertNotIn("at byte 0", out)
            report = json.loads(run("check", rec, "--json", expect=1)[0])
            damages = [d for d in report["damages"] if d["blocks"]]
            self.assertEqual([(d["recording"], d["stream"], d["blocks"]) for d in damages], [(rec, "T", lost)])

    def test_a_damaged_first_section_is_the_same_loss_for_all(self):
        rec, lost = self.damaged("payload")
        told = {}
        for name, args in (("info", ["info", rec]), ("unpack", ["unpack", rec, "-d", self.path("u"), "-f"]),
                           ("recover", ["recover", rec, "-o", self.path("r.sdsz"), "-f"]), ("check", ["check", rec]),
                           ("stats", ["stats", rec, "--exact"])):
            told[name] = json.loads(run(*args, "--json", expect=1 if name == "check" else 3)[0])["damages"]
            told[name] = [{k: v for k, v in d.items() if k != "reason"} for d in told[name]]
        for name in told:
            self.assertEqual(told[name], told["info"], name)
        self.assertEqual((told["info"][0]["first_tick"], told["info"][0]["last_tick"]), (0, 100 * (lost - 1)))

    def test_never_is_not_known_of_what_is_lost(self):
        rec, _ = self.damaged("payload")
        out, err = run("query", rec, "v > 500 and v < 500", expect=3)
        self.assertIn("0 intervals", err)
        run("query", rec, "v > 500 and v < 500", "--rows", expect=3)
        run("query", self.good, "v > 500 and v < 500", expect=1)
        # Nor of a copy, where the same loss is recorded as a gap; info tells of it in text and JSON.
        run("pack", rec, "-o", self.path("copy.sdsz"), expect=3)
        run("query", self.path("copy.sdsz"), "v > 500 and v < 500", expect=3)
        losses = json.loads(run("info", self.path("copy.sdsz"), "--json")[0])["recordings"][0]["streams"][0]["losses"]
        self.assertEqual([(loss["after_tick"], loss["before_block"]) for loss in losses], [(0, 0)])
        self.assertIn(f"T after tick 0: {losses[0]['reason']}", run("info", self.path("copy.sdsz"))[0])

    def test_stats_are_a_list_of_channels(self):
        rec, _ = self.damaged("payload")
        report = json.loads(run("stats", rec, "--exact", "--json", expect=3)[0])
        self.assertEqual([c["channel"] for c in report["channels"]], ["v"])

    def test_no_window_is_left_and_the_report_says_why(self):
        rec, _ = self.damaged("payload")
        out, _ = run("export", "npz", rec, "--window", "10000s", "-o", self.path("w"), "--json", expect=3)
        self.assertEqual(json.loads(out)["windows"], 0)

    def test_what_the_index_answers_needs_no_payload(self):
        rec, _ = self.damaged("payload")
        run("stats", rec)
        run("check", rec, expect=1)

    def test_a_copy_of_a_damaged_recording_does_not_look_whole(self):
        for what in ("payload", "header"):
            rec, lost = self.damaged(what)
            for args in (["pack", rec], ["cut", rec, "--from", 0], ["recover", rec]):
                run(*args, "-o", self.path("copy.sdsz"), "-f", expect=3)
                result = json.loads(run("check", self.path("copy.sdsz"), "--json", expect=1)[0])["recordings"][0]
                losses = json.dumps(result)
                self.assertIn(f"{lost} blocks are lost", losses)
                self.assertEqual(result["streams"][0]["blocks"], 2000 - lost)

    @unittest.skipUnless(os.path.exists(ECHO), "the test algorithms are not built")
    def test_a_suite_fails_on_a_damaged_recording_unless_it_says_otherwise(self):
        rec, lost = self.damaged("payload")
        case = "{{name: {}, recordings: {}, algorithm: {}, out: 'O:4', repeat: 2{}}}"
        suite = "suite:\n  name: damage\n  cases:\n    - {}\n    - {}\n".format(
            case.format("strict", rec, ECHO, ""), case.format("lenient", rec, ECHO, ", allow-damage: true"))
        path = self.write("suite.yml", suite)
        out, _ = run("test", path, "--json", expect=1)
        tests = {t["name"].split("/")[0]: t for t in json.loads(out)["tests"]}
        self.assertEqual(tests["strict"]["status"], "failed")
        self.assertIn("the recording is damaged", " ".join(tests["strict"]["reasons"]))
        self.assertEqual(tests["lenient"]["status"], "passed")
        self.assertIn("the recording is damaged", " ".join(tests["lenient"]["notes"]))


class Recover(Damaged):
    def test_nothing_is_missing_of_a_whole_recording(self):
        out, _ = run("recover", self.good)
        self.assertIn("2,000 blocks", out)
        self.assertIn("nothing is missing", out)
        self.assertTrue(os.path.exists(self.path("good.recovered.sdsz")))
        run("recover", self.good, expect=4)  # it is there already
        run("compare", self.good, self.path("good.recovered.sdsz"))
        run("check", self.path("good.recovered.sdsz"))

    def test_it_says_what_is_missing(self):
        rec, lost = self.damaged("payload")
        at, size, _, stored, blocks = self.data[0]
        out, _ = run("recover", rec, "-o", self.path("r.sdsz"), expect=3)
        self.assertIn(f"MISSING    at byte {at}, ", out)
        self.assertIn(f"stream T: data section: payload checksum mismatch; {lost} blocks are lost (ticks 0 to "
                      f"{100 * (blocks - 1)})", out)
        report = json.loads(run("recover", rec, "-o", self.path("r.sdsz"), "-f", "--json", expect=3)[0])
        self.assertEqual(report["damages"], [{"recording": rec, "stream": "T", "blocks": lost, "first_tick": 0,
                                              "last_tick": 100 * (blocks - 1), "after_tick": None,
                                              "before_tick": 100 * blocks, "offset": at, "bytes": size + stored,
                                              "reason": report["damages"][0]["reason"]}])
        self.assertFalse(report["whole"])
        self.assertEqual(report["blocks"], 2000 - lost)

    def test_recover_lists_what_was_had_of_each_stream(self):
        self.write("E.sds.yml", YAML.replace("name: T", "name: E"))
        self.write("E.0.sds", b"")
        run("pack", self.path("T.0.sds"), self.path("E.0.sds"), "-o", self.path("te.sdsz"), "--section-kib", 16)
        whole = self.read("te.sdsz")
        data = [s for s in sections(whole) if s[2] == 3]
        # Cut off in the third section: the two before it are there.
        blocks = data[0][4] + data[1][4]
        rec = self.write("cut.sdsz", whole[:data[2][0] + 500])
        report = json.loads(run("recover", rec, "-o", self.path("r.sdsz"), "--json", expect=3)[0])
        streams = {s["id"]: s for s in report["stream_list"]}
        self.assertEqual(streams["T"], {"id": "T", "blocks": blocks, "first_tick": 0, "last_tick": 100 * (blocks - 1),
                                        "tick_frequency_hz": 1000})
        self.assertEqual(report["streams"], len(streams))
        out, _ = run("recover", rec, "-o", self.path("r.sdsz"), "-f", expect=3)
        self.assertIn(f"  stream     T: {blocks:,} blocks, 0 to {(blocks - 1) / 10:.10g} s (ticks 0 to {100 * (blocks - 1)})\n", out)
        # Cut off before the first block.
        rec = self.write("none.sdsz", whole[:data[0][0] + 500])
        report = json.loads(run("recover", rec, "-o", self.path("n.sdsz"), "--json", expect=3)[0])
        self.assertEqual([(s["id"], s["blocks"], s["first_tick"], s["last_tick"]) for s in report["stream_list"]][:1], [("T", 0, None, None)])
        out, _ = run("recover", rec, "-o", self.path("n.sdsz"), "-f", expect=3)
        self.assertIn("  stream     T: 0 blocks\n", out)
        self.assertNotIn("the rest is there", out)

    def test_labels_come_along(self):
        run("label", "add", self.good, "-c", "walk", "--from", 0, "--to", 1, "--note", "mine")
        labels = self.read("good.labels.yml")
        out, _ = run("recover", self.good)
        self.assertIn("good.recovered.labels.yml", out)
        self.assertEqual(self.read("good.recovered.labels.yml"), labels)
        self.write("r.labels.yml", "mine")
        _, err = run("recover", self.good, "-o", self.path("r.sdsz"), expect=4)
        self.assertIn("r.labels.yml: exists already (--force replaces it)", err)
        self.assertFalse(os.path.exists(self.path("r.sdsz")))
        self.assertEqual(self.read("r.labels.yml"), b"mine")
        # Of one recording: there and back.
        run("pack", self.good, "-o", self.path("p.sdsz"))
        self.assertEqual(self.read("p.labels.yml"), labels)
        run("unpack", self.path("p.sdsz"), "-d", self.path("plain"))
        self.assertEqual(self.read("plain", "T.0.labels.yml"), labels)
        run("pack", self.path("plain", "T.0.sds"), "-o", self.path("plain", "T.0.sdsz"))  # they are there
        run("unpack", self.path("p.sdsz"), "-d", self.path("plain"), expect=4)
        run("pack", self.path("plain", "T.0.sds"), "-o", self.path("r.sdsz"), expect=4)
        run("pack", self.path("plain", "T.0.sds"), "-o", self.path("r.sdsz"), "-f")
        self.assertEqual(self.read("r.labels.yml"), labels)

    def test_wrong_use(self):
        run("recover", self.path("none.sdsz"), expect=4)
        run("recover", self.path("T.0.sds"), expect=3)
        log = self.write("good.sdsz.wal", "")
        self.assertIn("is the log of a recording: name the .sdsz", run("recover", log, expect=3)[1])
        os.remove(log)
        run("recover", self.write("noise.sdsz", os.urandom(3000)), expect=3)
        self.assertFalse(os.path.exists(self.path("noise.recovered.sdsz")))



if __name__ == "__main__":
    main()
