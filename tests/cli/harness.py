"""What the command-line tests share: running programs, and small recordings as bytes."""
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "build/release"
SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SHARED = os.path.join(SOURCE, "..", "shared")
SDS = os.path.join(BUILD, "bin", "sds")
DEVICE = os.path.join(BUILD, "bin", "sds-sim-device")
MOTION = os.path.join(BUILD, "lib", "motion.so")
with open(SDS, "rb") as program:
    bytes_of_program = program.read()
THREAD_SANITIZER = b"__tsan_init" in bytes_of_program
ADDRESS_SANITIZER = b"__asan_init" in bytes_of_program


def sample_of(cases, share=4):
    """The cases of a test that has many; of `share` of them one under a sanitizer, where it is the paths of the code that
    are looked at: the answers are looked at where it is fast."""
    cases = list(cases)
    return cases[::share] if ADDRESS_SANITIZER or THREAD_SANITIZER else cases


# The sanitizer writes a file before main() begins, and puts signals off until its own time.
skip_under_thread_sanitizer = unittest.skipIf(THREAD_SANITIZER, "the thread sanitizer treats signals in its own way")


def run(*args, expect=0, **kwargs):
    """Runs sds; fails unless it exits with `expect`. Returns (stdout, stderr) as text."""
    done = subprocess.run([SDS, *map(str, args)], capture_output=True, text=True, timeout=300, **kwargs)
    if done.returncode != expect:
        raise AssertionError(f"sds {' '.join(map(str, args))}: exit code {done.returncode}, expected {expect}\n"
                             f"{done.stdout}\n{done.stderr}")
    return done.stdout, done.stderr


# Of what is about amounts.
skip_under_sanitizers = unittest.skipIf(THREAD_SANITIZER or ADDRESS_SANITIZER, "a sanitizer needs memory and time of its own for so much")


def peak_mb(*args):
    """Runs sds, which has to succeed; the most memory that it had, in MB."""
    # A program begins with its parent's peak: this one's is small.
    measure = ("import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
               "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(done.returncode)")
    done = subprocess.run([sys.executable, "-c", measure, SDS, *map(str, args)], capture_output=True, text=True,
                          timeout=300)
    if done.returncode != 0:
        raise AssertionError(f"sds {' '.join(map(str, args))}: exit code {done.returncode}\n{done.stderr}")
    return int(done.stdout) / 1024


def limit_files(size):
    """What a program is started with so that no file can grow over `size` bytes; the signal is as a shell leaves it."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    return limit


def plain(*blocks):
    """Blocks (timeslot, bytes) as a plain .sds file."""
    return b"".join(struct.pack("<II", t & 0xFFFFFFFF, len(d)) + d for t, d in blocks)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="sdskit-cli-")
        self.addCleanup(self.folder.cleanup)

    def path(self, *names):
        return os.path.join(self.folder.name, *names)

    def write(self, name, content):
        mode = "wb" if isinstance(content, bytes) else "w"
        with open(self.path(name), mode) as f:
            f.write(content)
        return self.path(name)

    def read(self, *names):
        with open(self.path(*names), "rb") as f:
            return f.read()


class Server:
    """`sds serve socket` on a free port; a context manager that stops it with SIGINT."""

    def __init__(self, workdir, *options, log=True, command=(), stderr=None, **popen):
        self.log_path = os.path.join(workdir, "serve.log") if log else os.devnull
        self.log = open(self.log_path, "w")
        if "--workdir" not in options:
            options = ("--workdir", workdir, *options)
        self.process = subprocess.Popen([*command, SDS, "serve", "socket", "--port", "0", *options],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.log if stderr is None else stderr, text=True, **popen)
        self.first_line = self.process.stdout.readline()
        match = re.match(r"listening on [\d.]+:(\d+),", self.first_line)
        if match is None:
            raise AssertionError(f"the server does not listen: {self.first_line}")
        self.port = match.group(1)

    def stop(self, signal_number=2):
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.log.close()
        return code

    def log_text(self):
        with open(self.log_path, errors="surrogateescape") as f:
            return f.read()

    def devices_gone(self):
        return 0 if self.log_path == os.devnull else self.log_text().count(": disconnected\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def device(server, *options, expect=0):
    gone = server.devices_gone()
    done = subprocess.run([DEVICE, "--port", server.port, *map(str, options)], capture_output=True, text=True,
                          timeout=120)
    if done.returncode != expect:
        raise AssertionError(f"sds-sim-device: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    # What it sent may be on its way: a server that is stopped now tells it as lost.
    if server.log_path != os.devnull:
        wait_until(lambda: server.devices_gone() > gone or server.process.poll() is not None,
                   "the server has all that the device sent")


def wait_until(condition, what, seconds=30):
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for: {what}")


# A model of the project's own.
MODEL = os.path.join(SOURCE, "data", "motion", "motion.tflite")


def engine_missing(engine):
    done = subprocess.run([SDS, "model", "info", MODEL, "--engine", engine], capture_output=True, text=True)
    return done.stderr.strip() if done.returncode != 0 else None


def engine(name):
    missing = engine_missing(name)
    return unittest.skipIf(missing, f"{missing}")


def shared(*names):
    path = os.path.join(SHARED, *names)
    return unittest.skipUnless(os.path.exists(path), "../shared is not there")


def main():
    del sys.argv[1:]
    unittest.main(verbosity=1)
