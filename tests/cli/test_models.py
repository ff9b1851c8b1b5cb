"""Models in real engines: the example's twin, keyword spotting on real speech, and models that cannot be used."""
import glob
import json
import os
import struct
import subprocess
import tempfile
import unittest
import wave

from harness import MODEL, MOTION, SDS, SHARED, SOURCE, Case, Server, device, engine, engine_missing, main, plain, run, shared

TWIN = os.path.join(SOURCE, "data", "motion.yml")


class WithoutEngines(Case):
    def test_an_engine_that_is_not_installed_is_one_sentence_with_the_command(self):
        for name, package in (("tflm", "tflm"), ("litert-ref", "litert")):
            _, err = run("model", "info", MODEL, "--engine", name, expect=3, env={**os.environ, "SDSKIT_ENGINES": "/none"})
            self.assertEqual(err, f"sds: error: the engine {name} is not installed: run sds-install-engines {package}\n")

    def test_unknown_engines_and_files(self):
        self.assertIn("no engine 'fast'; there is: tflm", run("model", "info", MODEL, "--engine", "fast", expect=2)[1])
        self.assertIn("no such model", run("model", "info", self.path("none.tflite"), expect=4)[1])


def field(number, content):
    """A field of a protobuf message: bytes and texts with their length, whole numbers as they are."""
    def varint(n):
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def onnx_model(weights, bias, dimension, kind=1):
    """An ONNX file (IR version 8, operators of version 13): y = x @ weights + bias, of rows of `dimension` (a number or a
    name) by as many values as there are rows of weights."""
    def values_of(name, columns):
        row = field(2, dimension) if isinstance(dimension, str) else field(1, dimension)
        shape = field(1, row) + field(1, field(1, columns))
        return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))
    def constant(name, dimensions, values):
        return (b"".join(field(1, d) for d in dimensions) + field(2, 1) + field(8, name) +
                field(9, struct.pack(f"<{len(values)}f", *values)))
    nodes = (field(1, "x") + field(1, "w") + field(2, "xw") + field(4, "MatMul"),
             field(1, "xw") + field(1, "b") + field(2, "y") + field(4, "Add"))
    graph = (b"".join(field(1, node) for node in nodes) + field(2, "dense") +
             field(5, constant("w", (len(weights), len(bias)), [v for row in weights for v in row])) +
             field(5, constant("b", (len(bias),), bias)) +
             field(11, values_of("x", len(weights))) + field(12, values_of("y", len(bias))))
    return field(1, 8) + field(8, field(1, "") + field(2, 13)) + field(7, graph)


WEIGHTS, BIAS = [[1, -2, 0.5], [0.25, 4, -1]], [10, 0, -0.125]  # sums of their products with small numbers are exact


def onnx_missing():
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "dense.onnx")
        with open(name, "wb") as f:
            f.write(onnx_model(WEIGHTS, BIAS, 1))
        done = subprocess.run([SDS, "model", "info", name], capture_output=True, text=True)
        return done.stderr.strip() if "is not installed" in done.stderr else None


@unittest.skipIf(onnx_missing(), f"{onnx_missing()}")
class OnnxRuntime(Case):
    def setUp(self):
        super().setUp()
        self.rows = [(i, i * i % 7 - 3) for i in range(40)]
        self.a = self.write("S.0.sds", plain(*((i, struct.pack("<2f", *row)) for i, row in enumerate(self.rows))))
        self.write("S.sds.yml", "sds:\n  name: S\n  sample-frequency: 1000\n  content:\n"
                                "    - {value: u, type: float}\n    - {value: v, type: float}\n")

    def test_what_a_model_gives_is_its_arithmetic(self):
        for dimension in (1, "batch"):  # what is left open is 1
            self.write("dense.onnx", onnx_model(WEIGHTS, BIAS, dimension))
            self.write("p.yml", "pipeline:\n  name: P\n  input: S\n  stages:\n    - window: {length: 1}\n"
                                "    - {model: dense.onnx, labels: [a, b, c], record: Scores}\n    - argmax: true\n")
            report = json.loads(run("replay", self.a, "-p", self.path("p.yml"), "-o", self.path("out.sdsz"), "--force", "--repeat",
                                    "2", "--check-reset", "--json")[0])
            self.assertTrue(report["ok"])
            run("export", "csv", self.path("out.sdsz"), "-o", self.path("csv"), "--force")
            with open(self.path("csv", "Scores.csv")) as f:
                table = [[float(v) for v in line.split(",")[-3:]] for line in f.read().splitlines()[1:]]
            expected = [[u * WEIGHTS[0][k] + v * WEIGHTS[1][k] + BIAS[k] for k in range(3)] for u, v in self.rows]
            self.assertEqual(table, expected)
            with open(self.path("csv", "P.csv")) as f:
                classes = [int(line.split(",")[-1]) for line in f.read().splitlines()[1:]]
            self.assertEqual(classes, [row.index(max(row)) for row in expected])

    def test_a_model_is_described(self):
        self.write("dense.onnx", onnx_model(WEIGHTS, BIAS, "batch"))
        info = json.loads(run("model", "info", self.path("dense.onnx"), "--json")[0])
        self.assertTrue(info["engine"].startswith("ONNX Runtime "))
        self.assertEqual([(t["name"], t["dtype"], t["shape"]) for t in info["inputs"] + info["outputs"]],
                         [("x", "float32", [1, 2]), ("y", "float32", [1, 3])])

    def test_models_that_cannot_be_used(self):
        good = onnx_model(WEIGHTS, BIAS, 1)
        for name, content, message in (("cut.onnx", good[:60], "cannot be run by ONNX Runtime"),
                                       ("text.onnx", b"this is no model at all", "cannot be run by ONNX Runtime"),
                                       ("empty.onnx", b"", "cannot be run by ONNX Runtime"),
                                       ("words.onnx", onnx_model(WEIGHTS, BIAS, 1, kind=8), "ONNX Runtime"),
                                       ("wide.onnx", onnx_model([[1], [2], [3]], [0], 1), "which is 3 values; it gets")):
            with self.subTest(name):
                self.assertIn(message, run("replay", self.a, "-m", self.write(name, content), expect=3)[1])


@engine("tflm")
class Tflm(Case):
    def record(self, seconds=20):
        with Server(self.folder.name, "--sessions", "1") as server:
            for name in glob.glob(os.path.join(SOURCE, "data", "motion", "*.sds.yml")):
                with open(name) as f:
                    self.write(os.path.basename(name), f.read())
            device(server, "--speed", "max", "--seconds", seconds, "--seed", 5)
            self.assertEqual(server.process.wait(timeout=60), 0)
        return self.path("recording.0.sdsz")

    def test_the_twin_decides_as_the_compiled_algorithm_does(self):
        recording = self.record()
        both = ("replay", recording, "--in", "Imu", "--out", "ML_Out:9", "--a", MOTION, "--b", TWIN, "--tolerance", "0.34")
        self.assertIn("channel class only in A", run(*both, expect=1)[0])
        channels = [option for name in ("idle", "walk", "shake", "rotate") for option in ("--channel", name)]
        report = json.loads(run(*both, *channels, "--json")[0])
        stream = report["comparison"]["streams"][0]
        self.assertEqual(stream["argmax"], {"samples": 200, "agreeing": 200})
        self.assertEqual([c["name"] for c in stream["channels"]], ["idle", "walk", "shake", "rotate"])
        for channel in stream["channels"]:
            self.assertLess(channel["max_difference"], 0.34)
        self.assertTrue(report["a"]["ok"] and report["b"]["ok"])

    def test_a_pipeline_gives_one_fingerprint_whatever_the_container_threads_and_speed(self):
        recording = self.record(10)
        run("unpack", recording, "-d", self.path("plain"))
        fingerprints = set()
        for source, options in ((recording, []), (recording, ["--threads", "1"]), (recording, ["--speed", "50"]),
                                (self.path("plain", "Imu.0.sds"), []), (recording, ["--repeat", "2", "--check-reset"])):
            report = json.loads(run("replay", source, "--in", "Imu", "-p", TWIN, "--json", *options)[0])
            fingerprints |= {(r["input_fingerprint"], r["output_fingerprint"]) for r in report["runs"]}
        self.assertEqual(len(fingerprints), 1)

    def test_model_info(self):
        info = json.loads(run("model", "info", MODEL, "--json")[0])
        self.assertEqual(info["inputs"][0]["shape"], [1, 18])
        self.assertEqual(info["inputs"][0]["dtype"], "int8")
        self.assertEqual(info["operators"], {"FULLY_CONNECTED": 2})
        self.assertGreater(info["arena"]["total"], 500)
        self.assertEqual(info["model_bytes"], os.path.getsize(MODEL))

    def test_a_model_takes_windows_of_a_stream(self):
        # 18 values a window, from blocks of 4 samples of one int8 channel.
        a = self.write("S.0.sds", plain(*((i, bytes([i, 1, 2, 3])) for i in range(10))))
        self.write("S.sds.yml", "sds:\n  name: S\n  sample-frequency: 1000\n  content:\n    - {value: v, type: int8_t}\n")
        out, _ = run("replay", a, "-m", MODEL, "-o", self.path("out.sdsz"))
        self.assertIn("10 delivered", out)
        self.assertIn("2 outputs", out)

    def test_models_that_cannot_be_used(self):
        a = self.write("S.0.sds", plain((1, b"abcd")))
        self.write("S.sds.yml", "sds:\n  name: S\n  content:\n    - {value: v, type: int8_t, dim-x: 4}\n")
        with open(MODEL, "rb") as f:
            model = f.read()
        cut = self.write("cut.tflite", model[:1000])
        self.assertIn("cut.tflite: is damaged or cut short", run("replay", a, "-m", cut, expect=3)[1])
        text = self.write("text.tflite", "this is no model at all")
        self.assertIn("text.tflite: is no .tflite model", run("replay", a, "-m", text, expect=3)[1])
        # Names both: the stream, and what the model takes.
        _, err = run("replay", a, "-m", MODEL, expect=3)
        self.assertIn("stream S does not fit: motion.tflite takes int8 [1, 18], which is 18 values; it gets int8_t [any x 4]", err)
        pipeline = self.write("p.yml", "pipeline:\n  name: P\n  input: S\n  stages:\n    - window: {length: 1}\n"
                                       f"    - model: {MODEL}\n")
        _, err = run("replay", a, "-p", pipeline, expect=3)
        self.assertIn("p.yml: line 6: motion.tflite takes int8 [1, 18], which is 18 values; it gets int8_t [1 x 4], which is 4", err)

    def test_damaged_models_never_take_the_host_with_them(self):
        a = self.write("S.0.sds", plain((1, bytes(18))))
        with open(MODEL, "rb") as f:
            model = bytearray(f.read())
        for at in range(40, len(model), 401):
            broken = bytearray(model)
            broken[at] ^= 0xFF
            name = self.write("broken.tflite", bytes(broken))
            done = subprocess.run([SDS, "replay", a, "-m", name], capture_output=True, text=True, timeout=60)
            self.assertIn(done.returncode, (0, 1, 3), f"byte {at}: {done.stderr}")


# TensorFlow Lite Micro's own example.
KEYWORD = """pipeline:
  name: Keyword
  input: Microphone
  stages:
    - window: {length: 480, stride: 320}
    - model: MODELS/audio_preprocessor_int8.tflite
    - stack: {count: 49, stride: 1}
    - model: MODELS/micro_speech_quantized.tflite
      labels: [silence, unknown, yes, no]
      record: Scores
    - smooth: {count: 3}
    - debounce: {threshold: 0.7, hold: 50, ignore: [silence, unknown]}
"""
KEYWORD_SUITE = """suite:
  name: keyword
  defaults:
    pipeline: keyword.yml
    label-from-file: true
  cases:
    - name: scores
      recordings: Microphone.*.sds
      judge: Scores
      accept: {noise: [silence, unknown]}
    - name: words
      recordings: Microphone.*.sds
      judge: Keyword
      decide: event
      classes: [silence, unknown, "yes", "no"]
      none: nothing
      accept: {noise: nothing, silence: nothing}
"""


@engine("tflm")
@shared("audio")
class Keyword(Case):
    def setUp(self):
        super().setUp()
        for name in ("yes", "no", "noise", "silence"):
            with wave.open(os.path.join(SHARED, "audio", f"{name}_1000ms.wav")) as w:
                pcm = w.readframes(w.getnframes())
            self.write(f"Microphone.{name}.sds", plain(*((i // 32, pcm[i:i + 640]) for i in range(0, len(pcm), 640))))
        self.write("Microphone.sds.yml",
                   "sds:\n  name: Microphone\n  sample-frequency: 16000\n  content:\n    - {value: mono, type: int16_t}\n")
        self.write("keyword.yml", KEYWORD.replace("MODELS", os.path.abspath(os.path.join(SHARED, "models"))))
        self.write("keyword-suite.yml", KEYWORD_SUITE)

    def test_yes_is_yes_and_noise_is_neither(self):
        results = self.path("results.json")
        run("test", self.path("keyword-suite.yml"), "--results", results)
        with open(results) as f:
            tests = {t["name"]: t for t in json.load(f)["tests"]}
        said = {name: [d["predicted"] for d in t["decisions"]] for name, t in tests.items()}
        self.assertEqual(said["words/Microphone.yes"], ["yes"])
        self.assertEqual(said["words/Microphone.no"], ["no"])
        self.assertEqual(said["words/Microphone.noise"], ["nothing"])
        self.assertEqual(said["words/Microphone.silence"], ["nothing"])
        self.assertIn(said["scores/Microphone.noise"], (["silence"], ["unknown"]))

    def test_every_stride_of_a_stream_is_scored_whatever_its_blocks(self):
        with open(self.path("Microphone.yes.sds"), "rb") as f:
            raw = f.read()
        pcm = b"".join(raw[at + 8:at + 648] for at in range(0, len(raw), 648)) * 3
        outputs = []
        for size in (640, 2048, 31998):
            a = self.write("Microphone.long.sds", plain(*((i // 32, pcm[i:i + size]) for i in range(0, len(pcm), size))))
            out = self.path("out.sdsz")
            run("replay", a, "-p", self.path("keyword.yml"), "-o", out, "-f")
            outputs.append(run("export", "csv", out, "-s", "Scores", "-o", "-")[0])
        self.assertEqual(len(set(outputs)), 1)
        strides = (len(pcm) // 2 - 480) // 320 + 1
        self.assertEqual(len(outputs[0].splitlines()), 1 + strides - 48)

    def test_all_models_run(self):
        for name in sorted(glob.glob(os.path.join(SHARED, "models", "*.tflite"))):
            info = json.loads(run("model", "info", name, "--json")[0])
            self.assertGreater(info["arena"]["total"], 0, name)

    def test_an_unknown_operator_is_named(self):
        with open(os.path.join(SHARED, "models", "audio_preprocessor_int8.tflite"), "rb") as f:
            model = self.write("unknown.tflite", f.read().replace(b"SignalWindow", b"SignalWindoX"))
        _, err = run("replay", self.path("Microphone.yes.sds"), "-m", model, expect=3)
        self.assertIn("unknown.tflite: cannot be run by TensorFlow Lite Micro: ", err)
        self.assertIn("SignalWindoX", err)

    @engine("litert")
    def test_litert_says_what_it_cannot_run(self):
        for model, why in (("audio_preprocessor_int8", "custom op"), ("person_detect", "quantized_dimension")):
            _, err = run("model", "info", os.path.join(SHARED, "models", model + ".tflite"), "--engine", "litert", expect=3)
            self.assertIn(f"{model}.tflite: cannot be run by LiteRT", err)
            self.assertIn(why, err)
            self.assertLess(len(err), 500)


main()
