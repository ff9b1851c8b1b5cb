"""The worker side of sdskit's worker protocol (docs/worker-protocol.md): standard library only, one file to copy.

A worker describes its ports and has a function for each block:

    import sds_worker

    def execute(block):                      # block.input, block.tick, block.frequency (a Fraction, Hz), block.data
        return [bytes_for_output_0]          # one entry an output; b"" or None: no output this time

    sds_worker.run(inputs=["Imu"], outputs=[{"name": "Energy", "bytes": 4}], execute=execute, reset=lambda: None)

Importing this module takes standard output for the connection: import it before anything that may print.
Errors: raise sds_worker.Failure(status, "why") for a block that cannot be worked on; any other exception ends the
worker, with its traceback on stderr. Whatever is printed goes to stderr.
"""
import collections
import fractions
import json
import os
import struct
import sys
import time

VERSION = 1
Block = collections.namedtuple("Block", "input tick frequency data")


class Failure(Exception):
    """This block cannot be worked on; the replay reports `status` (not 0) and `message`, and goes on."""

    def __init__(self, status, message=""):
        super().__init__(message)
        self.status = status or -1


class Refusal(Exception):
    """The configuration, or the model that it names, cannot be used: told to the user as it is."""


class _Connection:
    def __init__(self):
        # Standard output is the connection: what anybody prints, in C as in Python, goes to stderr instead.
        self._in = os.fdopen(os.dup(0), "rb")
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)

    def read(self):
        """(kind, payload) of the next frame; ends the worker where the host is done."""
        kind, payload = self.read_if_any()
        if not kind:
            sys.exit(0)
        return kind, payload

    def read_if_any(self):
        """Same, without a kind ("") where the host is done."""
        try:
            header = self._in.read(5)
            size, kind = struct.unpack("<IB", header) if len(header) == 5 else (0, 0)
            payload = self._in.read(size)
        except ConnectionError:  # the host was ended
            os._exit(0)
        return chr(kind) if kind else "", payload

    def write(self, kind, *parts):
        try:
            self._out.write(struct.pack("<IB", sum(map(len, parts)), ord(kind)))
            for part in parts:
                self._out.write(part)
            self._out.flush()
        except BrokenPipeError:  # the host is gone: nobody is left to tell
            os._exit(0)


_connection = _Connection()


def connect():
    """Reads the host's greeting: (connection, configuration text)."""
    connection = _connection
    kind, payload = connection.read()
    if kind != "H" or struct.unpack_from("<I", payload)[0] != VERSION:
        sys.exit("this worker speaks version %d of the protocol" % VERSION)
    return connection, payload[4:].decode()


def serve(connection, description, execute, reset):
    """Answers the greeting with `description` (a dict with "inputs" and "outputs"), then works until the host is done, and
    returns: give back then what the worker holds, within a second."""
    connection.write("H", struct.pack("<I", VERSION), json.dumps(description).encode())
    while True:
        kind, payload = connection.read_if_any()
        if not kind:
            return
        if kind == "R":
            reset()
            connection.write("R")
        elif kind == "X":
            port, tick, numerator, denominator = struct.unpack_from("<IQII", payload)
            block = Block(port, tick, fractions.Fraction(numerator, denominator), memoryview(payload)[20:])
            start = time.perf_counter_ns()
            try:
                outputs = execute(block)
            except Failure as failure:
                connection.write("F", struct.pack("<i", failure.status), str(failure).encode())
                continue
            parts = [struct.pack("<QI", time.perf_counter_ns() - start, len(outputs))]
            for output in outputs:
                output = bytes(output or b"")
                parts += [struct.pack("<I", len(output)), output]
            connection.write("X", *parts)
        else:
            sys.exit("unknown frame %r" % kind)


def run(inputs, outputs, execute, reset=lambda: None, configure=None):
    """connect() and serve() in one. `configure`, if given, gets the configuration text first; it may raise Refusal."""
    connection, configuration = connect()
    try:
        if configure is not None:
            configure(configuration)
    except Refusal as refusal:
        connection.write("E", str(refusal).encode())
        return
    serve(connection, {"inputs": [{"name": name} for name in inputs], "outputs": outputs}, execute, reset)
