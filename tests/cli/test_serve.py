"""The server as a process: stopped, killed, on a full disk, with the disk it writes to taken away."""
import fcntl
import json
import os
import pty
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import unittest

from harness import BUILD, DEVICE, SDS, Case, Server, device, limit_files, main, plain, run, skip_under_thread_sanitizer, wait_until


def open_stream(connection, name):
    """OPEN for writing; returns the handle. FLAGS messages may come first."""
    data = name.encode()
    connection.sendall(struct.pack("<IIII", 1, 0, 1, len(data)) + data)
    while True:
        reply = connection.recv(16, socket.MSG_WAITALL)
        command, handle, _, _ = struct.unpack("<IIII", reply)
        if command == 1:
            return handle


def write(connection, handle, data):
    connection.sendall(struct.pack("<IIII", 3, handle, 0, len(data)) + data)


def read_text(path):
    with open(path) as f:
        return f.read()


class SmallDisk:
    """A file system of its own for a server, in memory: `Server(..., command=disk.command)` runs the server on it."""

    def __init__(self, folder, size):
        self.folder = folder
        rights = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self.command = ["unshare", *rights, "--mount", "sh", "-c",
                        'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"', "sh", size, folder]

    def can_be_made(self):
        return subprocess.run([*self.command, "true"], capture_output=True).returncode == 0

    def path(self, server, name=""):
        """Where the server's file is for others."""
        return f"/proc/{server.process.pid}/root{self.folder}/{name}"


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Serve(Case):
    def connect(self, server):
        connection = socket.create_connection(("127.0.0.1", int(server.port)), timeout=30)
        self.addCleanup(connection.close)
        return connection

    def test_a_folder_that_cannot_be_written_is_told_at_once(self):
        folder = self.path("locked")
        os.mkdir(folder)
        os.chmod(folder, 0o555)
        os.chmod(self.folder.name, 0o755)
        user = {"user": 65534} if os.geteuid() == 0 else {}  # root may write anywhere
        if subprocess.run(["sh", "-c", f"cd '{folder}' && test -x '{SDS}'"], stderr=subprocess.DEVNULL, cwd="/", **user).returncode:
            self.skipTest("another user than root cannot get at the program or the folder")
        with Server(self.folder.name, "--workdir", folder, **user) as server:
            server.stop()
            self.assertIn(f"{folder}: cannot be written (Permission denied): nothing can be recorded in it", server.log_text())
        with Server(self.folder.name) as server:
            server.stop()
            self.assertNotIn("cannot be written", server.log_text())

    def test_it_says_where_it_listens_and_how_to_let_a_board_in(self):
        with Server(self.folder.name) as server:
            self.assertIn("127.0.0.1", server.first_line)
            self.assertIn("only this machine can connect", server.process.stdout.readline())
            self.assertIn("sds serve socket --", server.process.stdout.readline())
        self.assertEqual(server.process.returncode, 0)

    def test_after_its_sessions_it_waits_for_who_still_records(self):
        with Server(self.folder.name, "--sessions", "1") as server:
            first, second, idle = (self.connect(server) for _ in range(3))
            a, b = open_stream(first, "A"), open_stream(second, "B")
            write(first, a, plain((0, b"one")))
            write(second, b, plain((0, b"one")))
            first.sendall(struct.pack("<IIII", 2, a, 0, 0))
            first.close()
            wait_until(lambda: " session  " in server.log_text(), "the first session has ended")
            self.assertEqual(idle.recv(1), b"")  # nothing is open on it
            with self.assertRaises(OSError):
                self.connect(server).sendall(b"late" * 4) or self.fail("a connection after the last session")
            for i in range(1, 6):
                write(second, b, plain((i, b"more")))
            second.sendall(struct.pack("<IIII", 2, b, 0, 0))
            self.assertEqual(server.process.wait(timeout=30), 0)
        for n in range(2):
            out, _ = run("check", self.path(f"recording.{n}.sdsz"))
            self.assertEqual(out.splitlines()[-1], "sound")
        self.assertEqual(len([n for n in os.listdir(self.path()) if n.endswith(".sdsz")]), 2)
        blocks = [json.loads(run("info", self.path(f"recording.{n}.sdsz"), "--json")[0])["recordings"][0]["streams"][0]["blocks"] for n in range(2)]
        self.assertEqual(sorted(blocks), [1, 6])

    def test_what_nobody_reads_of_its_output_is_no_failure(self):
        with open("/dev/full", "w") as full:
            for closed in ("exec \"$@\" >&- 2>&-", "exec \"$@\" > /dev/full", "exec \"$@\" 2> /dev/full"):
                process = subprocess.Popen(["sh", "-c", closed, "sh", SDS, "serve", "socket", "--port", "0", "--workdir", self.path()],
                                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=full)
                wait_until(lambda: os.path.exists(f"/proc/{process.pid}/net/tcp") and self.listens(process.pid), "it listens")
                process.send_signal(signal.SIGINT)
                self.assertEqual(process.wait(timeout=30), 0, closed)

    def listens(self, pid):
        """True if the process has a listening socket."""
        with open("/proc/net/tcp") as f:
            listening = {line.split()[9] for line in f.readlines()[1:] if line.split()[3] == "0A"}
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            return False
        return any(f"socket:[{inode}]" in links for inode in listening)

    def test_ctrl_c_closes_the_recording(self):
        with Server(self.folder.name) as server:
            connection = self.connect(server)
            handle = open_stream(connection, "A")
            write(connection, handle, plain((1, b"one"), (2, b"two")))
            recording = self.path("recording.0.sdsz")
            wait_until(lambda: json.loads(run("info", recording, "--json")[0])["recordings"][0]["streams"][0]["blocks"] == 2,
                       "the server has both blocks")
            self.assertEqual(server.stop(), 0)
            self.assertRegex(server.log_text(), r"2 blocks, .* stored in \S+recording\.0\.sdsz, 1 loss\n")
        info = json.loads(run("info", self.path("recording.0.sdsz"), "--json")[0])["recordings"][0]
        self.assertTrue(info["complete"])
        self.assertEqual(info["streams"][0]["blocks"], 2)
        self.assertFalse(os.path.exists(self.path("recording.0.sdsz.wal")))

    def started_device(self, server, name, mode=1, obeys=True):
        """A 3.x device that was started, with a stream open; obeying, it closes that when START is cleared (and, given an
        event, that has happened)."""
        connection = self.connect(server)
        connection.sendall(struct.pack("<IIII", 7, 1 << 31 | (1 - mode) << 29, 50, 0))
        data = name.encode()
        connection.sendall(struct.pack("<IIII", 1, 0, mode, len(data)) + data)
        opened = threading.Event()

        def talk():
            handle = 0
            while reply := connection.recv(16, socket.MSG_WAITALL):
                command, first, second, _ = struct.unpack("<IIII", reply)
                if command == 1:
                    handle = first
                    if mode == 1:
                        write(connection, handle, plain((1, b"one")))
                    opened.set()
                if command == 6 and second >> 31 and obeys:
                    if obeys is not True:
                        obeys.wait(30)
                    if mode == 1:
                        write(connection, handle, plain((2, b"two")))
                    connection.sendall(struct.pack("<IIII", 2, handle, 0, 0))
                    connection.sendall(struct.pack("<IIII", 7, 0, 50, 0))
        talker = threading.Thread(target=talk)
        talker.start()
        self.addCleanup(talker.join)
        self.assertTrue(opened.wait(30))
        time.sleep(0.3)

    def test_a_stop_lets_devices_that_obey_close_their_streams(self):
        self.write("X.0.sds", plain((1, b"played")))
        for signal_number in (signal.SIGINT, signal.SIGHUP):
            with Server(self.folder.name) as server:
                self.started_device(server, "A")
                self.started_device(server, "X", mode=0)
                self.assertEqual(server.stop(signal_number), 0)
            self.assertNotIn("loss ", server.log_text())
            self.assertIn("stopping: closing", server.log_text())
        for n in (0, 1):
            run("unpack", self.path(f"recording.{n}.sdsz"), "-d", self.path(f"out{n}"))
            self.assertEqual(self.read(f"out{n}", "A.0.sds"), plain((1, b"one"), (2, b"two")))

    def test_a_stop_waits_a_second_for_devices_that_do_not_obey(self):
        with Server(self.folder.name) as server:
            self.started_device(server, "A", obeys=False)
            begin = time.monotonic()
            self.assertEqual(server.stop(), 0)
            self.assertGreater(time.monotonic() - begin, 0.9)
        self.assertIn("recorded loss: the server was stopped", run("check", self.path("recording.0.sdsz"), expect=1)[0])

    def wait_until_taken(self, server):
        """Signals that wait together are one of each kind."""
        wait_until(lambda: re.search("ShdPnd:\t0+\n", read_text(f"/proc/{server.process.pid}/status")), "signals are taken")

    def test_a_second_ctrl_c_ends_it_at_once(self):
        for before in ((), (signal.SIGTERM,), (signal.SIGHUP, signal.SIGTERM)):
            with Server(self.folder.name) as server:
                self.started_device(server, "A", obeys=False)  # it is waited for, a second
                for first in before:
                    server.process.send_signal(first)
                    self.wait_until_taken(server)
                server.process.send_signal(signal.SIGINT)
                self.wait_until_taken(server)
                time.sleep(0.2)  # fingers are slower than timeout(1)
                server.process.send_signal(signal.SIGINT)
                self.assertEqual(server.process.wait(timeout=30), -signal.SIGINT)

    def test_signals_that_come_together_are_one_stop(self):
        """The shell and the kernel both send SIGHUP when a terminal closes; timeout(1) signals its child and its group."""
        for n, (first, more) in enumerate(((signal.SIGHUP, signal.SIGHUP), (signal.SIGTERM, signal.SIGTERM),
                                           (signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGHUP),
                                           (signal.SIGINT, signal.SIGINT))):
            told = threading.Event()
            with Server(self.folder.name) as server:
                self.started_device(server, "A", obeys=told)
                server.process.send_signal(first)
                for _ in range(5):
                    if first != signal.SIGINT:
                        self.wait_until_taken(server)
                    server.process.send_signal(more)
                self.wait_until_taken(server)
                told.set()
                self.assertEqual(server.process.wait(timeout=30), 0, (first, more))
            self.assertNotIn("loss ", server.log_text())
            run("unpack", self.path(f"recording.{n}.sdsz"), "-d", self.path(f"out{n}"))
            self.assertEqual(self.read(f"out{n}", "A.0.sds"), plain((1, b"one"), (2, b"two")))

    @skip_under_thread_sanitizer
    @unittest.skipUnless(os.path.exists("/bin/dash"), "no shell that leaves the terminal alone")
    def test_the_terminal_is_given_back_as_it_was_however_it_ends(self):
        lines = termios.ICANON | termios.ECHO
        # Keys: Ctrl-C twice, Ctrl-\\, Ctrl-Z and on again, X.
        for keys in ("\x03\x03", "\x1c", "\x1a", "x"):
            with self.subTest(repr(keys)):
                terminal, side = pty.openpty()
                self.addCleanup(os.close, terminal)
                self.addCleanup(os.close, side)
                taken = lambda: termios.tcgetattr(side)[3] & lines == 0

                def begin():
                    os.setsid()
                    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
                    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                with open(self.path("log"), "w") as log:
                    # What has no shell with job control above it is stopped by no Ctrl-Z. Other shells mend terminals.
                    server = subprocess.Popen(["dash", "-mi", "-c", f"trap : INT; {SDS} serve socket --port 0 --workdir {self.folder.name}; "
                                               "echo ended $?; fg; exit 0"],
                                              stdin=side, stdout=log, stderr=subprocess.STDOUT, preexec_fn=begin)
                wait_until(taken, "it has the terminal")
                for key in keys:
                    if key == keys[-1] and len(keys) > 1:
                        time.sleep(0.2)
                    os.write(terminal, key.encode())
                if keys == "\x1a":
                    wait_until(lambda: "ended" in read_text(self.path("log")), "it is stopped")
                    self.assertEqual(termios.tcgetattr(side)[3] & lines, lines)
                    wait_until(taken, "it goes on")
                    os.write(terminal, b"x")
                server.wait(timeout=30)
                self.assertEqual(termios.tcgetattr(side)[3] & lines, lines)

    @skip_under_thread_sanitizer
    @unittest.skipUnless(os.path.exists("/bin/bash"), "no shell with job control")
    def test_in_the_background_the_terminal_is_left_alone(self):
        process, terminal = pty.fork()
        if process == 0:
            os.execv("/bin/bash", ["bash", "--norc", "--noprofile", "-i"])
        shown = b""

        def until(text):
            nonlocal shown
            end = time.monotonic() + 30
            while text not in shown:
                self.assertLess(time.monotonic(), end, shown)
                if select.select([terminal], [], [], 0.1)[0]:
                    shown += os.read(terminal, 4096)
            shown = shown[shown.index(text) + len(text):]

        def enter(text):
            os.write(terminal, text.encode() + b"\n")

        enter("bind 'set enable-bracketed-paste off'; stty -echo; PS1=pro''mpt:; echo")
        until(b"prompt:")
        enter(f"{SDS} serve socket --port 0 --workdir {self.folder.name}")
        until(b"keys: ")
        os.write(terminal, b"\x1a")
        until(b"Stopped")
        enter("bg")
        enter("echo one; echo tw''o")
        until(b"two")
        time.sleep(0.5)  # for a server that read the terminal now would be stopped
        enter("jobs; echo don''e")
        until(b"Running")
        until(b"done")
        enter("fg")
        until(b"serve socket")
        os.write(terminal, b"R")
        until(b"key R: start recording")  # without Enter, and without what was meant for the shell
        os.write(terminal, b"\x03")
        until(b"stopping: ")
        until(b"prompt:")
        enter("echo code $? on''ce")
        until(b"code 0 once")
        enter("exit")
        os.waitpid(process, 0)
        os.close(terminal)

    def test_of_what_was_cut_off_nothing_is_said_that_may_not_have_been(self):
        """A recording without its log is a copy, or never had one: the file alone does not tell."""
        for n, durability in enumerate(("none", "process")):
            with Server(self.folder.name, "--durability", durability) as server:
                connection = self.connect(server)
                write(connection, open_stream(connection, "A"), plain((1, b"one")))
                server.stop(signal.SIGKILL)
            name = f"recording.{n}.sdsz"
            self.assertEqual(os.path.exists(self.path(name + ".wal")), durability == "process")
            os.mkdir(self.path(f"copy{n}"))
            copy = self.write(os.path.join(f"copy{n}", name), self.read(name))
            for command in (["info", copy], ["recover", copy, "-o", self.path(f"out{n}.sdsz")]):
                out, err = run(*command, expect=3)
                self.assertIn(f"it was cut off; what came last stands in its log, {name}.wal, if it had one", out + err)
                self.assertNotIn("a copy", out + err)

    def test_a_plain_file_that_grows_is_read_as_far_as_it_came_and_never_replaced(self):
        with Server(self.folder.name, "--format", "sds", "--flush-interval", "20") as server:
            connection = self.connect(server)
            write(connection, open_stream(connection, "A"), plain((1, b"one"), (2, b"two")) + plain((3, b"x" * 100))[:60])
            name = self.path("A.0.sds")
            wait_until(lambda: os.path.getsize(name) == 2 * (8 + 3) + 60, "all is written")
            before = self.read(name)
            out, _ = run("check", name)
            self.assertIn("not closed: it is still being recorded", out)
            self.assertEqual(out.splitlines()[-1], "sound so far, but not closed")
            out, err = run("info", name)
            self.assertIn("2 blocks", out)
            self.assertIn("it is still being recorded", out + err)
            os.mkdir(self.path("other"))
            run("pack", self.write("other/A.0.sds", plain((7, b"other"))), "-o", self.path("other.sdsz"))
            self.assertIn("is being recorded", run("unpack", self.path("other.sdsz"), "-d", self.folder.name, "-f", expect=2)[1])
            self.assertEqual(self.read(name), before)
            server.stop(signal.SIGINT)
        self.assertNotIn("still being recorded", run("check", name, expect=1)[0])

    def test_a_recording_that_grows_is_told_from_one_whose_writer_was_killed(self):
        for n, durability in enumerate(("none", "process")):
            recording, copy = self.path(f"recording.{n}.sdsz"), self.path(f"copy{n}.sdsz")
            with Server(self.folder.name, "--durability", durability, "--flush-interval", "3600000") as server:
                connection = self.connect(server)
                handle = open_stream(connection, "A")
                begun = os.path.getsize(recording)
                write(connection, handle, plain((1, b"one")))
                time.sleep(0.1)  # another batch
                write(connection, handle, plain((2, b"two")))
                wait_until(lambda: os.path.getsize(recording) > begun, "the clock pair of the first block is in the file")
                # A link leads to the same log.
                link = self.path(f"link{n}.sdsz")
                os.symlink(recording, link)
                for name in (recording, link):
                    out, _ = run("check", name)
                    self.assertIn("not closed: it is still being recorded; what "
                                  + ("is not in a section yet is not in it" if durability == "none"
                                     else "came after the last flush is not in it yet"), out)
                    self.assertEqual(out.splitlines()[-1], "sound so far, but not closed")
                    out, _ = run("recover", name, "-o", copy, "-f")
                    self.assertRegex(out.splitlines()[-1],
                                     "^not closed: it is still being recorded.*nothing else is missing$")
                before = self.read(recording)
                run("recover", recording, "-o", self.path("other.sdsz"), "-f")
                self.assertIn("is being recorded", run("pack", self.path("other.sdsz"), "-o", recording, "-f", expect=2)[1])
                self.assertEqual(self.read(recording), before)
                server.stop(signal.SIGKILL)
            # The pair says that a block had come, and neither the file nor its log has it.
            out, _ = run("check", recording, expect=1)
            self.assertIn("1 block is lost (block 0)", out)
            self.assertNotIn("still being recorded", out)
            out, err = run("recover", recording, "-o", copy, "-f", expect=3)
            self.assertIn("1 block is lost (block 0)", out + err)
            self.assertIn("1 block is lost (block 0)", run("check", copy, expect=1)[0])

    def test_a_killed_recording_and_what_recover_makes_of_it_have_the_same_answers(self):
        self.write("T.sds.yml", "sds:\n  name: T\n  sample-frequency: 100\n  content:\n    - value: v\n      type: int16_t\n")
        recording, log = self.path("recording.0.sdsz"), self.path("recording.0.sdsz.wal")
        made = 0

        def codes(name):
            nonlocal made
            made += 1
            out = lambda ending: self.path(f"{made}{ending}")
            commands = {
                "info": [name], "check": [name], "query": [name, "v > 50"], "never": [name, "v > 5000"],
                "stats": [name, "--exact"], "export": ["csv", name, "-o", out(".csv")],
                "cut": [name, "--from", 0, "--to", 1000, "-o", out("c.sdsz")],
                "part": [name, "--from", 0, "--to", 0.5, "-o", out("p.sdsz")],
                "pack": [name, "-o", out(".sdsz")], "unpack": [name, "-d", out("")],
                "replay": [name, "-a", os.path.join(BUILD, "lib", "bad_prints.so"), "--out", "O:4", "-o", out("r.sdsz")],
            }
            called = {"never": "query", "part": "cut"}
            return {command: subprocess.run([SDS, called.get(command, command), *map(str, arguments)],
                                            capture_output=True, timeout=60).returncode
                    for command, arguments in commands.items()}

        with Server(self.folder.name, "--flush-interval", "10") as server:
            connection = self.connect(server)
            handle = open_stream(connection, "T")
            for i in range(20):
                write(connection, handle, plain((100 * i, struct.pack("<10h", *range(10 * i, 10 * i + 10)))))
            wait_until(lambda: json.loads(run("info", recording, "--json")[0])["recordings"][0]["streams"][0]["blocks"] == 20,
                       "all is flushed")
            grows = codes(recording)
            server.stop(signal.SIGKILL)
        fine = dict.fromkeys(grows, 0)
        self.assertEqual(grows, dict(fine, never=1))
        killed = dict(fine, check=1, never=3, unpack=3)
        self.assertEqual(codes(recording), killed)
        run("recover", recording, "-o", self.path("recovered.sdsz"))
        self.assertEqual(codes(self.path("recovered.sdsz")), killed)
        # A frame of the log is damaged: blocks are lost, and a copy holds that as a gap.
        content = bytearray(self.read("recording.0.sdsz.wal"))
        content[24 + 40 + 10] ^= 4
        with open(log, "wb") as file:
            file.write(content)
        lost = dict.fromkeys(grows, 3)
        self.assertEqual(codes(recording), dict(lost, check=1))
        run("recover", recording, "-o", self.path("lossy.sdsz"), expect=3)
        self.assertEqual(codes(self.path("lossy.sdsz")), killed)

    def test_after_a_kill_everything_flushed_is_there(self):
        with Server(self.folder.name, "--flush-interval", "50") as server:
            connection = self.connect(server)
            handle = open_stream(connection, "A")
            for i in range(100):
                write(connection, handle, plain((i, b"block %d" % i)))
            recording = self.path("recording.0.sdsz")
            wait_until(lambda: json.loads(run("info", recording, "--json")[0])["recordings"][0]["streams"][0]["blocks"] == 100,
                       "a reader beside the server sees all blocks")
            server.stop(signal.SIGKILL)
        out, _ = run("check", recording, expect=1)
        self.assertIn("ERROR: not closed: its writer ended before it could be; what came after the last flush cannot be known", out)
        self.assertEqual(out.splitlines()[-1], "NOT SOUND")
        self.assertFalse(json.loads(run("check", recording, "--json", expect=1)[0])["recordings"][0]["closed"])
        plain_bytes = sum(8 + len(b"block %d" % i) for i in range(100))
        stream = json.loads(run("info", recording, "--json")[0])["recordings"][0]["streams"][0]
        self.assertEqual((stream["first_tick"], stream["last_tick"], stream["raw_bytes"]), (0, 99, plain_bytes))
        self.assertGreaterEqual(stream["stored_bytes"], plain_bytes)  # the log does not compress
        out, _ = run("info", recording)
        self.assertIn("100 blocks, 100 ms (0 to 0.1 s, tick 1000 Hz)", out)
        self.assertIn(f"and a log of {os.path.getsize(recording + '.wal') / 1000:.1f} kB", out)
        for arguments, told in ((("info", recording), 0), (("pack", recording, "-o", self.path("packed.sdsz")), 1),
                                (("compare", recording, recording), 1), (("label", "list", recording), 1),
                                (("unpack", recording, "-d", self.path("out")), 1)):
            code = 3 if arguments[0] == "unpack" else 0  # a plain file cannot hold that something may be missing
            out, err = run(*arguments, "--json", expect=code)
            self.assertEqual(json.loads(out)["not_closed"], [recording], arguments)
            out, err = run(*arguments, *["--force"] * (arguments[0] in ("pack", "unpack")), expect=code)
            self.assertEqual(err.count("not closed: its writer ended before it could be"), told, arguments)
            self.assertEqual(out.count("not closed: its writer ended before it could be"), 1 - told, arguments)
        self.assertEqual(self.read("out", "A.0.sds"), plain(*((i, b"block %d" % i) for i in range(100))))
        out, _ = run("recover", recording, "-o", self.path("recovered.sdsz"))
        self.assertRegex(out.splitlines()[-1], "^not closed: .* cannot be known; nothing else is missing$")
        self.assertFalse(json.loads(run("recover", recording, "-o", self.path("recovered.sdsz"), "-f", "--json")[0])["whole"])
        run("cut", recording, "--from", 0, "-o", self.path("end.sdsz"))
        run("cut", recording, "--from", 0, "--to", 0.05, "-o", self.path("begin.sdsz"))
        for name in ("recovered", "packed", "end"):
            out, _ = run("check", self.path(f"{name}.sdsz"), expect=1)
            self.assertEqual(out.count("recorded loss: the recording was not closed: what came after its last flush is not known"), 1)
            self.assertIn("NOT SOUND", out)
        run("check", self.path("begin.sdsz"))
        out, _ = run("recover", self.path("recovered.sdsz"), "-o", self.path("again.sdsz"))
        self.assertEqual(out.splitlines()[-1], "nothing more is missing than the 1 loss that was recorded, as gaps")
        # The end lost without a log is damage; closed it is not either, whichever command is asked.
        with open(self.path("packed.sdsz"), "rb") as file:
            self.write("cut.sdsz", file.read()[:1200])
        cut = self.path("cut.sdsz")
        out, err = run("check", cut, "--json", expect=1)
        self.assertFalse(json.loads(out)["recordings"][0]["closed"])
        for arguments in (("check", cut), ("info", cut), ("recover", cut), ("pack", cut, "-o", self.path("copy.sdsz"))):
            out, err = run(*arguments, "--json", expect=1 if arguments[0] == "check" else 3)
            self.assertEqual(json.loads(out)["not_closed"], [cut], arguments)
            self.assertNotIn("still being recorded", out + err)
        # A log of another recording beside one that is closed is no help, and no secret.
        self.write("packed.sdsz.wal", "something else")
        _, err = run("recover", self.path("packed.sdsz"))
        self.assertIn("packed.sdsz.wal was not used: it is of another recording, or cannot be read", err)

    def send_noise(self, connection, handle, count):
        """Blocks that do not compress, until the server has enough of them."""
        noise = os.urandom(1000)
        try:
            for i in range(count):
                write(connection, handle, plain((i, noise[i % 1000:] + noise[:i % 1000])))
        except (BrokenPipeError, ConnectionResetError):
            pass

    def small_disk(self, size):
        os.mkdir(self.path("disk"))
        disk = SmallDisk(self.path("disk"), size)
        if not disk.can_be_made():
            self.skipTest("no file system can be mounted here")
        return disk

    def test_a_file_that_may_not_grow_ends_its_recording_and_is_not_waited_for(self):
        with Server(self.folder.name, preexec_fn=limit_files(200_000)) as server:
            connection = self.connect(server)
            handle = open_stream(connection, "A")
            self.send_noise(connection, handle, 60)
            recording = self.path("recording.0.sdsz")
            wait_until(lambda: json.loads(run("info", recording, "--json")[0])["recordings"][0]["streams"][0]["blocks"] == 60,
                       "the first blocks are flushed")
            quiet = self.connect(server)
            quiet_handle = open_stream(quiet, "Quiet")
            write(quiet, quiet_handle, plain((1, b"one")))
            for i in range(60, 5000, 10):
                try:
                    write(connection, handle, b"".join(plain((k, os.urandom(1000))) for k in range(i, i + 10)))
                except (BrokenPipeError, ConnectionResetError):
                    break
            wait_until(lambda: "recording stopped" in server.log_text(), "the server reports it")
            write(quiet, quiet_handle, plain((2, b"two")))  # the others go on
            quiet.sendall(struct.pack("<IIII", 2, quiet_handle, 0, 0))
            wait_until(lambda: ": 2 blocks, " in server.log_text(), "the other recording is closed")
            device(server, "--seconds", 1, "--speed", "max")
            self.assertEqual(server.stop(), 4)
        self.assertIn("File too large (no larger files are allowed", server.log_text())
        self.assertNotIn("held back", server.log_text())
        self.assertIn("a recording was lost or cut short", server.log_text())
        run("unpack", self.path("recording.0.sdsz"), "-d", self.path("out"), expect=3)  # it was not closed
        kept = self.read("out", "A.0.sds")
        self.assertEqual(len(kept) % 1008, 0)
        self.assertGreaterEqual(len(kept), 60 * 1008)
        self.assertEqual([struct.unpack_from("<I", kept, at)[0] for at in range(0, len(kept), 1008)],
                         list(range(len(kept) // 1008)))
        lost, came = map(int, re.search(r"A: .*; (\d+) of the (\d+) blocks that came are not", server.log_text()).groups())
        self.assertEqual(came - lost, len(kept) // 1008)
        run("unpack", self.path("recording.1.sdsz"), "-d", self.path("quiet"))
        self.assertEqual(self.read("quiet", "Quiet.0.sds"), plain((1, b"one"), (2, b"two")))

    def test_a_recording_without_a_log_that_may_not_grow_is_closed_with_what_fits(self):
        for n, on_full in enumerate(("wait", "stop")):
            with Server(self.folder.name, "--durability", "none", "--on-full", on_full, "--keep-free", "0",
                        preexec_fn=limit_files(1_500_000)) as server:
                connection = self.connect(server)
                quiet, loud = open_stream(connection, "Quiet"), open_stream(connection, "Loud")
                write(connection, quiet, plain((1, b"one")))
                try:
                    for i in range(300):
                        write(connection, loud, plain((i, os.urandom(10_000))))
                except (BrokenPipeError, ConnectionResetError):
                    pass
                wait_until(lambda: "recording stopped" in server.log_text(), "the server reports it")
                wait_until(lambda: "session  " in server.log_text(), "the recording is closed")
                self.assertEqual(server.stop(), 4)
            self.assertNotIn("held back", server.log_text())
            recording = self.path(f"recording.{n}.sdsz")
            self.assertLessEqual(os.path.getsize(recording), 1_500_000)
            info = json.loads(run("info", recording, "--json")[0])["recordings"][0]
            blocks = {stream["name"]: stream["blocks"] for stream in info["streams"]}
            self.assertEqual(blocks["Quiet"], 1)
            self.assertGreaterEqual(blocks["Loud"], 100)  # a section of 1 MiB
            self.assertIn("blocks that came have no place", run("check", recording, expect=1)[0])

    def test_where_the_log_may_not_grow_what_came_goes_into_the_recording_and_that_is_closed(self):
        sent = b"".join(plain((i, struct.pack("<I", i) * 250)) for i in range(1000))
        with Server(self.folder.name, "--flush-interval", "20", preexec_fn=limit_files(200_000)) as server:
            connection = self.connect(server)
            handles = {name: open_stream(connection, name) for name in ("A", "B")}
            try:
                for begin in range(0, len(sent), 2016):
                    for handle in handles.values():
                        write(connection, handle, sent[begin:begin + 2016])
                    time.sleep(0.0001)
            except (BrokenPipeError, ConnectionResetError):
                pass
            wait_until(lambda: " session  " in server.log_text(), "the recording has ended")
            self.assertEqual(server.stop(), 4)
        self.assertIn("recording stopped: cannot write: File too large", server.log_text())
        self.assertNotIn("blocks that came are not in the recording", server.log_text())
        info = json.loads(run("info", self.path("recording.0.sdsz"), "--json")[0])["recordings"][0]
        self.assertTrue(info["complete"])
        self.assertFalse(os.path.exists(self.path("recording.0.sdsz.wal")))
        run("unpack", self.path("recording.0.sdsz"), "-d", self.path("out"), expect=3)
        for name in handles:
            kept = self.read("out", f"{name}.0.sds")
            self.assertGreater(len(kept), 50 * 1008)
            self.assertEqual(kept, sent[:len(kept)])
        out, _ = run("check", self.path("recording.0.sdsz"), expect=1)
        self.assertEqual(out.count("recording stopped: cannot write: File too large"), 2, out)

    def test_a_full_disk_holds_the_device_back_until_there_is_space(self):
        disk = self.small_disk("24m")
        with Server(self.folder.name, "--workdir", disk.folder, "--keep-free", "0", command=disk.command) as server:
            with open(disk.path(server, "ballast"), "wb") as ballast:
                ballast.write(bytes(20 << 20))
            connection = self.connect(server)
            handle = open_stream(connection, "A")
            sender = threading.Thread(target=self.send_noise, args=(connection, handle, 10000))
            sender.start()
            wait_until(lambda: "is held back" in server.log_text(), "the server says that it waits")
            self.assertRegex(server.log_text(), r"the disk is full: .* are needed for what is on its way, and to close what is being recorded")
            os.remove(disk.path(server, "ballast"))
            wait_until(lambda: "writing goes on" in server.log_text(), "the server says that it goes on")
            sender.join(timeout=60)
            connection.sendall(struct.pack("<IIII", 2, handle, 0, 0))
            wait_until(lambda: " session  " in server.log_text(), "the recording is closed")
            self.assertEqual(server.log_text().count("is held back"), 1)
            run("unpack", disk.path(server, "recording.0.sdsz"), "-d", self.path("out"))
            self.assertEqual(server.stop(), 0)
        kept = self.read("out", "A.0.sds")
        self.assertEqual([struct.unpack_from("<I", kept, at)[0] for at in range(0, len(kept), 1008)], list(range(10000)))

    def test_on_a_small_disk_a_stop_keeps_everything_and_closes_the_recording(self):
        disk = self.small_disk("60m")
        with Server(self.folder.name, "--workdir", disk.folder, "--on-full", "stop", command=disk.command) as server:
            connection = self.connect(server)
            handles = [open_stream(connection, f"S{i}") for i in range(24)]  # more than a tenth of the disk is open
            noise = os.urandom(1 << 20)
            try:
                for i in range(100_000):
                    at = 1009 * i % (len(noise) - 1000)
                    write(connection, handles[i % 24], plain((i, noise[at:at + 992] + struct.pack("<II", i, i))))
            except (BrokenPipeError, ConnectionResetError):
                pass
            wait_until(lambda: " session  " in server.log_text(), "the recording is closed")
            log = server.log_text()
            report = json.loads(run("check", disk.path(server, "recording.0.sdsz"), "--json", expect=1)[0])["recordings"][0]
            info = json.loads(run("info", disk.path(server, "recording.0.sdsz"), "--json")[0])["recordings"][0]
            self.assertEqual(server.stop(), 4)
        self.assertTrue(report["closed"])
        self.assertTrue(info["complete"])
        self.assertGreater(sum(s["blocks"] for s in info["streams"]), 15_000)
        self.assertNotIn("are lost", log)
        self.assertNotIn("No space left", log)

    def test_a_device_that_leaves_a_full_disk_is_closed_and_what_is_lost_is_told(self):
        for form in ("sdsz", "sds"):
            disk = self.small_disk("6m")
            with Server(self.folder.name, "--workdir", disk.folder, "--format", form, command=disk.command) as server:
                connection = self.connect(server)
                handle = open_stream(connection, "A")
                connection.settimeout(2)
                sent = 0
                try:
                    for sent in range(10_000):
                        write(connection, handle, plain((sent, os.urandom(10_000))))
                except TimeoutError:
                    pass
                connection.close()
                wait_until(lambda: "is held back" in server.log_text(), "the server says that it waits")
                time.sleep(1)
                # Stopped while it waits, it closes what it has: the disk was never filled up.
                file = disk.path(server, "recording.0.sdsz" if form == "sdsz" else "A.0.sds")
                holder = os.open(file, os.O_RDONLY)
                code = server.stop()
            os.rename(self.path("disk"), self.path(f"disk-{form}"))
            copy = self.path(f"copy.0.{form}")
            with open(f"/proc/self/fd/{holder}", "rb") as source, open(copy, "wb") as out:
                out.write(source.read())
            os.close(holder)
            log = server.log_text()
            self.assertNotIn("No space left", log)
            self.assertRegex(log, r"A: (the server was stopped|disconnected).* bytes that")
            self.assertEqual(code, 4)
            if form == "sdsz":
                info = json.loads(run("info", copy, "--json")[0])["recordings"][0]
                self.assertTrue(info["complete"])
                self.assertGreater(info["streams"][0]["blocks"], 100)
                self.assertIn("recorded loss", run("check", copy, expect=1)[0])

    @skip_under_thread_sanitizer
    def test_where_nothing_can_be_written_one_refused_open_leaves_no_file(self):
        for size in (0, 20, 100):
            with Server(self.folder.name, preexec_fn=limit_files(size), log=False) as server:
                connection = self.connect(server)
                self.assertEqual(open_stream(connection, "A"), 0)
                other = self.connect(server)  # the others go on
                other.sendall(struct.pack("<IIII", 5, 0, 0, 0))
                self.assertEqual(struct.unpack("<IIII", other.recv(16, socket.MSG_WAITALL))[:3], (5, 0, 1))
                self.assertEqual(server.stop(), 4)
            self.assertEqual(os.listdir(self.folder.name), [])

    def test_ctrl_c_ends_a_wait_for_space_at_once(self):
        # More than is free, and less than the disk has.
        self.write("ballast", os.urandom(8 << 20))
        space = os.statvfs(self.folder.name)
        keep = space.f_blocks * space.f_frsize - (2 << 20)
        with Server(self.folder.name, "--keep-free", str(keep)) as server:
            wait_until(lambda: "of --keep-free: nothing can" in server.log_text(), "the server says it at its start")
            connection = self.connect(server)
            handle = open_stream(connection, "A")
            write(connection, handle, plain((1, b"kept")))
            wait_until(lambda: "is held back" in server.log_text(), "the server says that it waits")
            self.assertRegex(server.log_text(), r"the disk is full: [\d.]+ .B are free, [\d.]+ .B are to be left free")
            self.assertEqual(server.stop(), 0)
        run("unpack", self.path("recording.0.sdsz"), "-d", self.path("out"), expect=3)  # the stop is a recorded loss
        self.assertEqual(self.read("out", "A.0.sds"), plain((1, b"kept")))

    def test_descriptors_that_run_out_are_waited_for(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

        with Server(self.folder.name, preexec_fn=limit) as server:
            connections = []
            for _ in range(40):
                connections.append(self.connect(server))
            wait_until(lambda: "cannot accept" in server.log_text(), "the server says that it cannot accept")
            before = cpu_seconds(server.process.pid)
            connections[0].sendall(struct.pack("<IIII", 5, 0, 0, 0))  # those that are in are served
            self.assertEqual(connections[0].recv(4), struct.pack("<I", 5))
            time.sleep(2)
            self.assertLess(server.log_text().count("cannot accept"), 6)
            self.assertLess(cpu_seconds(server.process.pid) - before, 1)
            for connection in connections:
                connection.close()
            device(server, "--seconds", 1, "--speed", "max")

    def test_the_limit_of_open_files_is_raised_and_what_it_allows_is_said(self):
        def soft():
            resource.setrlimit(resource.RLIMIT_NOFILE, (20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

        def hard():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

        with Server(self.folder.name, preexec_fn=soft) as server:
            connections = [self.connect(server) for _ in range(30)]
            for connection in connections:
                connection.sendall(struct.pack("<IIII", 5, 0, 0, 0))
                self.assertEqual(connection.recv(4), struct.pack("<I", 5))
        self.assertNotIn("ulimit", server.log_text())
        with Server(self.folder.name, "--max-devices", "20", preexec_fn=hard) as server:
            pass
        self.assertRegex(server.log_text(), r"ulimit -n\) is enough for (9|1[01]) devices at a time, not for the 20 of --max")

    def test_strangers_that_use_up_descriptors_end_no_recording(self):
        self.write("X.0.sds", plain((1, b"x")))

        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

        with Server(self.folder.name, preexec_fn=limit) as server:
            connection = self.connect(server)
            handle = open_stream(connection, "A")
            stranger = self.connect(server)
            stranger.sendall(struct.pack("<IIII", 7, 1 << 29, 0xFFFFFFFF, 0))  # it plays back
            for _ in range(100):
                stranger.sendall(struct.pack("<IIII", 1, 0, 0, 1) + b"X")
            others = [self.connect(server) for _ in range(60)]
            noise = os.urandom(100_000)
            for i in range(200):  # several logs of 4 MiB
                write(connection, handle, plain((i, noise[i:] + noise[:i])))
                time.sleep(0.005)
            connection.sendall(struct.pack("<IIII", 2, handle, 0, 0))
            wait_until(lambda: " session  " in server.log_text(), "the recording is closed")
            for other in others:
                other.close()
            self.assertEqual(server.stop(), 0)
        self.assertIn("sound", run("check", self.path("recording.0.sdsz"))[0])

    def test_a_log_whose_reader_goes_or_stops_reading_stops_nothing(self):
        for goes in (True, False):
            read_end, write_end = os.pipe()
            with Server(self.folder.name, stderr=write_end) as server:
                os.close(write_end)
                good = self.connect(server)
                handle = open_stream(good, "Good")
                good.sendall(struct.pack("<IIII", 7, 0, 0xFFFFFFFF, 0))
                if goes:
                    os.close(read_end)
                for _ in range(1000):  # over 64 KiB of log
                    socket.create_connection(("127.0.0.1", int(server.port)), timeout=30).close()
                write(good, handle, plain((1, b"kept")))
                good.sendall(struct.pack("<IIIIIIII", 2, handle, 0, 0, 5, 0, 0, 0))
                good.settimeout(20)
                while struct.unpack("<IIII", good.recv(16, socket.MSG_WAITALL))[0] != 5:
                    pass
                self.assertEqual(server.stop(), 0)
            if not goes:
                os.close(read_end)
        for n in range(2):
            run("check", self.path(f"recording.{n}.sdsz"))

    def test_a_peer_can_neither_flood_the_log_nor_forge_it(self):
        with Server(self.folder.name) as server:
            peer = self.connect(server)
            peer.sendall(struct.pack("<IIII", 2, 77, 0, 0) * 50_000)
            name = b"x\n12:00:00.000 device   1.2.3.4:5: forged\x1b[2J\xc2\x9b31m\xff"
            time.sleep(1.1)
            peer.sendall(struct.pack("<IIII", 1, 0, 1, len(name)) + name)
            peer.sendall(struct.pack("<IIII", 5, 0, 0, 0))
            wait_until(lambda: "forged" in server.log_text(), "the name is refused")
        log = server.log_text()
        self.assertLess(log.count("\n"), 40)
        self.assertIn("lines left out", log)
        self.assertNotIn("\x1b", log)
        self.assertNotIn("\x9b", log)
        for line in log.splitlines():
            if "stopping: closing" not in line:
                self.assertIn("127.0.0.1:", line)

    def test_a_hangup_ends_the_server_as_ctrl_c_does(self):
        with Server(self.folder.name) as server:
            connection = self.connect(server)
            write(connection, open_stream(connection, "A"), plain((1, b"kept")))
            time.sleep(0.3)
            self.assertEqual(server.stop(signal.SIGHUP), 0)
        self.assertTrue(json.loads(run("info", self.path("recording.0.sdsz"), "--json")[0])["recordings"][0]["complete"])

    def test_a_recording_that_is_deleted_meanwhile_is_missed(self):
        with Server(self.folder.name) as server:
            connection = self.connect(server)
            write(connection, open_stream(connection, "A"), plain((1, b"lost")))
            os.remove(self.path("recording.0.sdsz"))
            wait_until(lambda: "MISSING" in server.log_text(), "the server says so")
            self.assertEqual(server.stop(), 4)
        self.assertNotIn("no losses", server.log_text())

    def test_an_open_of_a_name_that_no_file_can_have_is_no_loss(self):
        with Server(self.folder.name, "--format", "sds") as server:
            connection = self.connect(server)
            self.assertEqual(open_stream(connection, "a" * 255), 0)
            handle = open_stream(connection, "Good")
            write(connection, handle, plain((1, b"kept")))
            connection.sendall(struct.pack("<IIII", 2, handle, 0, 0))
            wait_until(lambda: " session  " in server.log_text(), "the recording is closed")
            self.assertEqual(server.stop(), 0)
        self.assertIn("the name is too long", server.log_text())

    def test_the_commands_that_let_a_board_in_keep_the_options(self):
        os.mkdir(self.path("my session"))
        with Server(self.folder.name, "--workdir", self.path("my session"), "--format", "sds", "--keep-free", "1M",
                    "--ipaddr", "127.0.0.1", "-p", "--sync") as server:
            server.process.stdout.readline()
            hint = server.process.stdout.readline()
        self.assertRegex(hint, r"^  sds serve socket (--netif \S+|--ipaddr 0\.0\.0\.0) ")
        self.assertIn(f"--port {server.port} --workdir '{self.path('my session')}' --format sds --sync --keep-free 1000000 --playback ",
                      hint)

    def test_options_that_do_not_fit_are_errors(self):
        for options in (("--sync", "--durability", "none"), ("--durability", "sometimes"), ("--keep-free", "12 parsecs"),
                        ("--on-full", "cry"), ("--max-devices", "0"), ("--keep-free", "-5"), ("--keep-free", "1000PB")):
            run("serve", "socket", "--port", "0", "--workdir", self.folder.name, *options, expect=2)

    def test_several_devices_and_a_slow_one(self):
        with Server(self.folder.name) as server:
            processes = [subprocess.Popen([DEVICE, "--port", server.port, "--seconds", "5", "--speed", "max", "--seed",
                                           str(seed)], stdout=subprocess.DEVNULL) for seed in range(3)]
            slow = self.connect(server)
            handle = open_stream(slow, "Slow")
            for byte in struct.pack("<IIII", 3, handle, 0, 11) + plain((1, b"abc")):
                slow.sendall(bytes([byte]))
                time.sleep(0.002)
            slow.sendall(struct.pack("<IIII", 2, handle, 0, 0))
            for process in processes:
                self.assertEqual(process.wait(timeout=60), 0)
            wait_until(lambda: server.log_text().count(" session  ") == 4, "the server has closed all four sessions")
        blocks = []
        for n in range(4):
            self.assertIn("sound", run("check", self.path(f"recording.{n}.sdsz"))[0])
            blocks.append(sum(s["blocks"] for s in
                              json.loads(run("info", self.path(f"recording.{n}.sdsz"), "--json")[0])["recordings"][0]["streams"]))
        self.assertEqual(sorted(blocks), [1, 400, 400, 400])

    def test_a_used_port_is_an_error(self):
        with Server(self.folder.name) as server:
            _, err = run("serve", "socket", "--port", server.port, "--workdir", self.folder.name, expect=4)
            self.assertIn("Address already in use: is another server running? Choose another --port", err)


if __name__ == "__main__":
    main()
