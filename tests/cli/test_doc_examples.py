"""The examples of docs/suites.md and docs/pipelines.md, as they stand there, with what they name around them."""
import json
import os
import re
import shutil
import struct
import subprocess
import wave

from harness import BUILD, SDS, SHARED, SOURCE, Case, engine, main, plain, run, shared


def examples(page):
    with open(os.path.join(SOURCE, "docs", page)) as f:
        return re.findall(r"^```yaml\n(.*?)^```$", f.read(), re.M | re.S)


@engine("tflm")
@shared("audio")
class DocExamples(Case):
    def setUp(self):
        super().setUp()
        for folder in ("suites", "suites/recordings", "suites/sessions", "suites/clips", "build/release"):
            os.makedirs(self.path(*folder.split("/")))
        os.symlink(os.path.join(BUILD, "lib"), self.path("build", "release", "lib"))
        for stream in ("Imu", "Microphone"):
            shutil.copy(os.path.join(SOURCE, "data", "motion", f"{stream}.sds.yml"), self.path(f"{stream}.sds.yml"))
        shutil.copy(self.path("Microphone.sds.yml"), self.path("suites", "clips", "Microphone.sds.yml"))
        for label in ("noise", "yes"):
            with wave.open(os.path.join(SHARED, "audio", f"{label}_1000ms.wav")) as w:
                pcm = w.readframes(w.getnframes())
            self.clip = plain(*((i // 32, pcm[i:i + 640]) for i in range(0, len(pcm), 640)))
            self.write(f"suites/clips/Microphone.{label}.sds", self.clip)
        # A second of sound each, and its label.
        for word in ("no", "yes"):
            with wave.open(os.path.join(SHARED, "audio", f"{word}_1000ms.wav")) as w:
                pcm = w.readframes(w.getnframes())
            self.write("Microphone.0.sds", plain(*((i // 32, pcm[i:i + 640]) for i in range(0, len(pcm), 640))))
            run("pack", self.path("Microphone.0.sds"), "-o", self.path("suites", "sessions", f"{word}.sdsz"))
            self.write(f"suites/sessions/{word}.labels.yml", "labels:\n  version: 1\n  intervals:\n"
                                                             f"    - {{class: '{word}', from: 0.3, to: 1}}\n")
        for name in ("audio_preprocessor_int8.tflite", "micro_speech_quantized.tflite"):
            shutil.copy(os.path.join(SHARED, "models", name), self.path("suites", name))
        # A recording of both streams: each case takes its own.
        samples = [struct.pack("<6h", i % 100, -i, 4096, i, 2 * i, 0) for i in range(1600)]
        self.write("Imu.0.sds", plain(*((100 * i, b"".join(samples[160 * i:160 * i + 160])) for i in range(10))))
        self.write("Microphone.0.sds", self.clip)
        run("pack", self.path("Imu.0.sds"), self.path("Microphone.0.sds"), "-o", self.path("suites", "recordings", "walk.sdsz"))
        pipelines = examples("pipelines.md")
        self.assertEqual(len(pipelines), 1, "each example has a test here")
        self.write("suites/keyword.yml", pipelines[0])

    def test_the_pipeline(self):
        out = self.path("out.sdsz")
        run("replay", self.path("suites", "clips", "Microphone.yes.sds"), "--pipeline", self.path("suites", "keyword.yml"), "-o", out)
        streams = {s["name"]: s for s in json.loads(run("info", out, "--json")[0])["recordings"][0]["streams"]}
        self.assertEqual(sorted(streams), ["Keyword", "Scores"])

    def test_the_suite(self):
        suites = examples("suites.md")
        self.assertEqual(len(suites), 2, "each example has a test here")
        suite = self.write("suites/suite.yml", suites[0] + suites[1])  # the second one is one more case
        for words in (("--update",), ()):
            done = subprocess.run([SDS, "test", suite, "--json", *words], capture_output=True, text=True, timeout=300)
            tests = json.loads(done.stdout)["tests"]
            self.assertEqual([t["name"] for t in tests], ["compiled/walk", "accuracy/Microphone.noise", "accuracy/Microphone.yes",
                                                          "keywords/no", "keywords/yes"])
            # How fast it is here is not looked at.
            reasons = [r for t in tests for r in t["reasons"] if not re.search("above the limit|below the limit", r)]
            self.assertEqual(reasons, [])
        self.assertTrue(os.path.exists(self.path("suites", "expected", "compiled-walk.sdsz")))


main()
