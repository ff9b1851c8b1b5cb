"""The main job as a user does it: record from a device, check, replay, compare, export; and the real recordings."""
import filecmp
import glob
import json
import os
import shutil
import unittest

from harness import MOTION, SHARED, SOURCE, Case, Server, device, main, run


class MainJob(Case):
    def record(self, *options, server_options=()):
        for name in glob.glob(os.path.join(SOURCE, "data", "motion", "*.sds.yml")):
            shutil.copy(name, self.folder.name)
        with Server(self.folder.name, "--sessions", "1", *server_options) as server:
            device(server, "--speed", "max", *options)
            self.assertEqual(server.process.wait(timeout=60), 0)

    def test_record_check_replay_compare_export(self):
        self.record("--seconds", 30, "--seed", 3)
        recording = self.path("recording.0.sdsz")
        info = json.loads(run("info", recording, "--json")[0])["recordings"][0]
        self.assertEqual([s["id"] for s in info["streams"]], ["Imu", "Microphone", "Temperature", "ML_Out"])
        self.assertEqual([s["blocks"] for s in info["streams"]], [300, 1500, 300, 300])
        self.assertTrue(info["complete"])
        self.assertTrue(json.loads(run("check", recording, "--json")[0])["recordings"][0]["sound"])
        out = self.path("out.sdsz")
        report = json.loads(run("replay", recording, "-a", MOTION, "--in", "Imu", "--out", "ML_Out:9", "-o", out,
                                "--repeat", 2, "--json")[0])
        self.assertTrue(report["identical"])
        self.assertEqual(report["runs"][0]["outputs"], 300)
        comparison = json.loads(run("compare", out, recording, "-s", "ML_Out", "--json")[0])
        self.assertTrue(comparison["equal"])
        self.assertEqual(comparison["streams"][0]["identical"], 300)
        run("export", "csv", recording, "-o", self.path("csv"))
        rows = self.read("csv", "Imu.csv").decode().splitlines()
        self.assertEqual(rows[0], "timeslot,ax,ay,az,gx,gy,gz")
        self.assertEqual(len(rows), 1 + 30 * 1600)
        self.assertEqual(rows[2].split(",")[0], "0.000625")
        self.assertEqual(len(self.read("csv", "Microphone.csv").splitlines()), 1 + 30 * 16000)

    def test_the_same_seed_gives_the_same_streams_in_both_formats(self):
        self.record("--seconds", 5, server_options=("--format", "sds"))
        os.rename(self.path("Imu.0.sds"), self.path("kept.0.sds"))
        self.record("--seconds", 5)
        run("unpack", self.path("recording.0.sdsz"), "-d", self.path("plain"))
        self.assertEqual(self.read("plain", "Imu.0.sds"), self.read("kept.0.sds"))
        self.assertEqual(self.read("plain", "ML_Out.0.sds"), self.read("ML_Out.0.sds"))

    def test_bench_measures_every_level_and_info_names_the_pipelines(self):
        self.record("--seconds", 20)
        recording = self.path("recording.0.sdsz")
        levels = json.loads(run("bench", recording, "--rounds", 1, "--json")[0])["levels"]
        self.assertEqual([level["level"] for level in levels], [0, 1, 2])
        sizes = [level["stored_bytes"] for level in levels]
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        channels = json.loads(run("info", recording, "--json")[0])["recordings"][0]["streams"][0]["channels"]
        self.assertTrue(all("classes" in channel["pipeline"] for channel in channels))

    def test_times_go_on_across_the_wrap_around(self):
        self.record("--seconds", 4, "--first-timeslot", 2**32 - 2000)
        check = json.loads(run("check", self.path("recording.0.sdsz"), "--json")[0])["recordings"][0]
        self.assertTrue(check["sound"])
        self.assertEqual([s["wraps"]["count"] for s in check["streams"]], [1, 1, 1, 1])
        csv, _ = run("export", "csv", self.path("recording.0.sdsz"), "-s", "Temperature", "--normalize")
        self.assertEqual(csv.splitlines()[-1].split(",")[0], "3.9")

    def test_replay_outputs_as_plain_files_compare_equal_to_the_live_ones(self):
        self.record("--seconds", 5, server_options=("--format", "sds"))
        run("replay", self.path("Imu.0.sds"), "-a", MOTION, "--out", "ML_Out:9", "-o", self.path("replayed"))
        self.assertEqual(self.read("replayed", "ML_Out.0.p.sds"), self.read("ML_Out.0.sds"))
        self.assertEqual(self.read("replayed", "ML_Out.sds.yml"), self.read("ML_Out.sds.yml"))
        out, _ = run("compare", self.path("replayed", "ML_Out.0.p.sds"), self.path("ML_Out.0.sds"))
        self.assertTrue(out.endswith("equal\n"))


@unittest.skipUnless(os.path.isdir(SHARED), "the real recordings in ../shared are not here")
class RealRecordings(Case):
    def test_pack_and_unpack_give_back_every_file(self):
        for folder in sorted(glob.glob(os.path.join(SHARED, "recordings", "*"))):
            files = sorted(glob.glob(os.path.join(folder, "*.sds")))
            name = os.path.basename(folder)
            for threads in ("1", "3"):
                run("pack", *files, "-o", self.path(f"{name}.{threads}.sdsz"), "--threads", threads)
            self.assertEqual(self.read(f"{name}.1.sdsz"), self.read(f"{name}.3.sdsz"))
            run("unpack", self.path(f"{name}.1.sdsz"), "-d", self.path(name))
            for file in os.listdir(self.path(name)):
                self.assertTrue(filecmp.cmp(self.path(name, file), os.path.join(folder, file), shallow=False), file)
            for file in files:
                self.assertTrue(os.path.exists(self.path(name, os.path.basename(file))))

    def test_all_are_sound_and_have_sensible_infos_and_csvs(self):
        for file in sorted(glob.glob(os.path.join(SHARED, "recordings", "*", "*.sds"))):
            check = json.loads(run("check", file, "--json")[0])["recordings"][0]
            self.assertTrue(check["sound"], file)
            info = json.loads(run("info", file, "--json")[0])["recordings"][0]["streams"][0]
            csv = run("export", "csv", file)[0].splitlines()
            self.assertEqual(len(csv), 1 + info["samples"], file)
            self.assertEqual(csv[0], "timeslot," + ",".join(c["name"] for c in info["channels"]))

    def test_known_values(self):
        motion = run("export", "csv", os.path.join(SHARED, "recordings", "motion", "ML_Out.0.sds"))[0].splitlines()
        self.assertEqual(motion[0], "timeslot,idle,snake,updown,wave")
        self.assertEqual(motion[1].split(",")[:2], ["95.836", "0.99609375"])
        detection = os.path.join(SHARED, "recordings", "detection", "ML_Out.0.sds")
        rows = run("export", "csv", detection, "--times", "block")[0].splitlines()[1:]
        self.assertEqual(len({row.split(",")[0] for row in rows[:10]}), 1)  # ten objects of one frame (issue #307)


if __name__ == "__main__":
    main()
