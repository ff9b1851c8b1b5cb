"""Runs a model in an inference engine as a worker: started by sdskit with its own interpreter and packages.

Configuration (JSON): {"model": path, "engine": "tflm" | "litert" | "litert-ref" | "onnx", "describe": bool}.
Each block must hold all input tensors, one behind the other, as the model has them in memory; each output tensor is one
output. The greeting describes the model; with "describe" also its operators and what the engine allocates.
"""
import collections
import json
import os
import re
import sys
import tempfile

import numpy

import sds_worker

BUILTIN_CUSTOM = 32


def tensor(name, dtype, shape, scales=(), zero_points=()):
    shape = [int(n) for n in shape]
    dtype = numpy.dtype(dtype)
    entry = {"name": name, "dtype": dtype.name, "shape": shape,
             "bytes": int(numpy.prod(shape, dtype=numpy.int64)) * dtype.itemsize}
    if len(scales) > 0:
        entry["scale"] = [float(s) for s in scales]
        entry["zero_point"] = [int(z) for z in zero_points]
    return entry


def load_schema():
    """The generated reader of the .tflite schema that the installed engine brings along."""
    try:
        from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema
    except ImportError:
        from ai_edge_litert import schema_py_generated as schema
    return schema


def parse_tflite(path):
    """(names of inputs, names of outputs, operators) from the file itself; Refusal if it is no whole model."""
    schema = load_schema()
    with open(path, "rb") as f:
        data = f.read()
    if len(data) < 16 or data[4:8] != b"TFL3":
        raise sds_worker.Refusal("%s is no .tflite model (its identifier is not TFL3)" % path)
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        graph = model.subgraphs[0]
        names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
        operators = collections.Counter()
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
            operators[code.customCode.decode() if builtin == BUILTIN_CUSTOM else names.get(builtin, str(builtin))] += 1
        name = lambda index: (graph.tensors[index].name or b"").decode(errors="replace")
        for buffer in graph.tensors:
            if buffer.buffer >= len(model.buffers):
                raise ValueError("a tensor without a buffer")
        return [name(i) for i in graph.inputs], [name(i) for i in graph.outputs], dict(operators)
    except sds_worker.Refusal:
        raise
    except Exception as error:  # a damaged flatbuffer fails in any way at all
        raise sds_worker.Refusal("%s is damaged or cut short: it does not parse as a .tflite model (%s)" %
                                 (path, type(error).__name__)) from error


class Captured:
    """What C code writes to stderr meanwhile."""

    def __enter__(self):
        self._file = tempfile.TemporaryFile()
        self._saved = os.dup(2)
        os.dup2(self._file.fileno(), 2)
        return self

    def __exit__(self, *_):
        os.dup2(self._saved, 2)
        os.close(self._saved)
        self._file.seek(0)
        self.text = self._file.read().decode(errors="replace")


class Tflm:
    def __init__(self, path, describe):
        from importlib.metadata import version
        from tflite_micro.python.tflite_micro import runtime
        self._runtime = runtime
        self._path = path
        self.version = "TensorFlow Lite Micro %s" % version("tflite_micro")
        input_names, output_names, self.operators = parse_tflite(path)
        with Captured() as captured:
            try:
                self._interpreter = runtime.Interpreter.from_file(path)
            except Exception as error:
                os.write(2, str(error).encode())
        if not hasattr(self, "_interpreter"):
            reason = first_line(captured.text)
            custom = sorted(name for name in self.operators if not hasattr(load_schema().BuiltinOperator, name))
            if "CUSTOM" in reason:  # the engine does not say which
                reason += " (the model's custom operators: %s)" % ", ".join(custom)
            raise sds_worker.Refusal("%s cannot be run by TensorFlow Lite Micro: %s" % (path, reason))
        self.arena = {}
        if describe:
            with Captured() as captured:
                self._interpreter.print_allocations()
            for what, size in re.findall(r"Arena allocation (\w+) (\d+) bytes", captured.text):
                self.arena[what] = int(size)
        self.inputs = [self._describe(self._interpreter.get_input_details(i), n) for i, n in enumerate(input_names)]
        self.outputs = [self._describe(self._interpreter.get_output_details(i), n) for i, n in enumerate(output_names)]

    @staticmethod
    def _describe(details, name):
        q = details["quantization_parameters"]
        return tensor(name, details["dtype"], details["shape"], q["scales"], q["zero_points"])

    def reset(self):
        self._interpreter.reset()

    def invoke(self, tensors):
        for i, values in enumerate(tensors):
            self._interpreter.set_input(values, i)
        self._interpreter.invoke()
        return [self._interpreter.get_output(i) for i in range(len(self.outputs))]


class LiteRt:
    def __init__(self, path, describe, reference):
        from importlib.metadata import version
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
        self.version = "LiteRT %s, %s" % (version("ai-edge-litert"), "reference kernels" if reference else "XNNPACK")
        _, _, self.operators = parse_tflite(path)
        resolver = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
        with Captured() as captured:
            try:
                # One thread: the order in which floating-point numbers are added must not depend on the machine.
                self._interpreter = Interpreter(model_path=path, num_threads=1, experimental_op_resolver_type=resolver)
                self._interpreter.allocate_tensors()
                failure = None
            except Exception as error:
                failure = str(error)
        if failure is not None:
            raise sds_worker.Refusal("%s cannot be run by %s: %s" % (path, self.version, first_line(failure)))
        self.arena = {}
        self._in = self._interpreter.get_input_details()
        self._out = self._interpreter.get_output_details()
        self.inputs = [self._describe(d) for d in self._in]
        self.outputs = [self._describe(d) for d in self._out]

    @staticmethod
    def _describe(details):
        q = details["quantization_parameters"]
        return tensor(details["name"], details["dtype"], details["shape"], q["scales"], q["zero_points"])

    def reset(self):
        self._interpreter.reset_all_variables()

    def invoke(self, tensors):
        for details, values in zip(self._in, tensors):
            self._interpreter.set_tensor(details["index"], values)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(details["index"]) for details in self._out]


class Onnx:
    TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(int8)": "int8", "tensor(uint8)": "uint8",
             "tensor(int16)": "int16", "tensor(int32)": "int32", "tensor(int64)": "int64"}

    def __init__(self, path, describe):
        import onnxruntime
        self.version = "ONNX Runtime %s" % onnxruntime.__version__
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise sds_worker.Refusal("%s cannot be run by %s: %s" % (path, self.version, first_line(str(error))))
        self.operators = {}
        self.arena = {}
        self.inputs = [self._describe(node) for node in self._session.get_inputs()]
        self.outputs = [self._describe(node) for node in self._session.get_outputs()]

    def _describe(self, node):
        if node.type not in self.TYPES:
            raise sds_worker.Refusal("tensor %s has the type %s, which is not supported" % (node.name, node.type))
        # A dimension that is left open (the batch, usually) is 1.
        return tensor(node.name, self.TYPES[node.type], [n if isinstance(n, int) else 1 for n in node.shape])

    def reset(self):
        pass

    def invoke(self, tensors):
        return self._session.run(None, {d["name"]: values for d, values in zip(self.inputs, tensors)})


def first_line(text):
    """The first line that says something about the model; engines write a page."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"op|tensor|model|Didn't|fail", line, re.IGNORECASE)]
    line = (telling or lines or ["it gives no reason"])[0]
    return line if len(line) <= 160 else line[:160] + " ..."


def load(engine, path, describe):
    if engine == "tflm":
        return Tflm(path, describe)
    if engine in ("litert", "litert-ref"):
        return LiteRt(path, describe, engine == "litert-ref")
    if engine == "onnx":
        return Onnx(path, describe)
    raise sds_worker.Refusal("there is no engine '%s'" % engine)


NPU_FIGURES = {"cycles_total": "cycles", "inference_time": "seconds", "sram_memory_used": "sram_kib",
               "off_chip_flash_memory_used": "flash_kib", "nn_macs": "macs"}


def estimate_npu(path, accelerator):
    """What Arm's Vela compiler expects of the model on an Ethos-U: cycles, memory, operators left to the CPU."""
    import csv
    import glob
    import importlib.util
    import subprocess
    if importlib.util.find_spec("ethosu") is None:
        raise sds_worker.Refusal("the NPU estimate needs ethos-u-vela, which is not installed: run sds-install-engines npu")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([os.path.join(os.path.dirname(sys.executable), "vela"), path, "--accelerator-config", accelerator,
                               "--output-dir", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        tables = glob.glob(os.path.join(folder, "*_summary_*.csv"))
        if done.returncode != 0 or not tables:
            last = [line for line in done.stdout.splitlines() if line.strip()]
            raise sds_worker.Refusal("Vela cannot compile %s for %s: %s" % (path, accelerator, last[-1] if last else ""))
        with open(tables[0], newline="") as f:
            row = next(csv.DictReader(f))
    estimate = {name: float(row[column]) for column, name in NPU_FIGURES.items()}
    for what, name in (("CPU", "cpu_operators"), ("NPU", "npu_operators")):
        found = re.search(what + r" operators = (\d+)", done.stdout)
        estimate[name] = int(found.group(1)) if found else 0
    fallbacks = re.findall(r"Warning \(supported operators\) operator: (\w+), ofm: ('.*')", done.stdout)
    fallbacks = ["%s %s" % found for found in fallbacks]
    return {"accelerator": accelerator, "system": row["system_config"], "memory_mode": row["memory_mode"],
            "fallbacks": fallbacks, **estimate}


def main():
    connection, configuration = sds_worker.connect()
    configuration = json.loads(configuration)
    try:
        model = load(configuration["engine"], configuration["model"], configuration.get("describe", False))
        npu = estimate_npu(configuration["model"], configuration["npu"]) if configuration.get("npu") else None
    except sds_worker.Refusal as refusal:
        connection.write("E", str(refusal).encode())
        return
    shapes = [(numpy.dtype(t["dtype"]), t["shape"], t["bytes"]) for t in model.inputs]
    expected = sum(size for _, _, size in shapes)

    def execute(block):
        if len(block.data) != expected:
            raise sds_worker.Failure(1, "a block of %d bytes does not fit the model's input of %d bytes (%s)" % (
                len(block.data), expected, ", ".join("%s %s" % (t["dtype"], t["shape"]) for t in model.inputs)))
        tensors = []
        at = 0
        for dtype, shape, size in shapes:
            tensors.append(numpy.frombuffer(block.data[at:at + size], dtype).reshape(shape))
            at += size
        return [numpy.ascontiguousarray(t).tobytes() for t in model.invoke(tensors)]

    description = {"engine": model.version, "inputs": model.inputs, "outputs": model.outputs,
                   "operators": model.operators, "arena": model.arena, "model_bytes": os.path.getsize(configuration["model"])}
    if npu is not None:
        description["npu"] = npu
    sds_worker.serve(connection, description, execute, model.reset)
    # Nothing is held here: to take NumPy and the engine apart would only take time.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
