"""The server as a process: stopped, killed, on a full disk, with the disk it writes to taken away."""
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import time

from harness import DEVICE, Case, Server, device, main, plain, run, wait_until


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


class Serve(Case):
    def connect(self, server):
        connection = socket.create_connection(("127.0.0.1", int(server.port)), timeout=30)
        self.addCleanup(connection.close)
        return connection

    def test_it_says_where_it_listens_and_how_to_let_a_board_in(self):
        with Server(self.folder.name) as server:
            self.assertIn("127.0.0.1", server.first_line)
            self.assertIn("only this machine can connect", server.process.stdout.readline())
            self.assertIn("sds serve socket --", server.process.stdout.readline())
        self.assertEqual(server.process.returncode, 0)

    def test_ctrl_c_closes_the_recording(self):
        with Server(self.folder.name) as server:
            connection = self.connect(server)
            handle = open_stream(connection, "A")
            write(connection, handle, plain((1, b"one"), (2, b"two")))
            recording = self.path("recording.0.sdsz")
            wait_until(lambda: json.loads(run("info", recording, "--json")[0])[0]["streams"][0]["blocks"] == 2,
                       "the server has both blocks")
            self.assertEqual(server.stop(), 0)
        info = json.loads(run("info", self.path("recording.0.sdsz"), "--json")[0])[0]
        self.assertTrue(info["complete"])
        self.assertEqual(info["streams"][0]["blocks"], 2)
        self.assertFalse(os.path.exists(self.path("recording.0.sdsz.wal")))

    def test_after_a_kill_everything_flushed_is_there(self):
        with Server(self.folder.name, "--flush-interval", "50") as server:
            connection = self.connect(server)
            handle = open_stream(connection, "A")
            for i in range(100):
                write(connection, handle, plain((i, b"block %d" % i)))
            recording = self.path("recording.0.sdsz")
            wait_until(lambda: json.loads(run("info", recording, "--json")[0])[0]["streams"][0]["blocks"] == 100,
                       "a reader beside the server sees all blocks")
            server.stop(signal.SIGKILL)
        out, _ = run("check", recording)
        self.assertIn("killed", out)
        run("unpack", recording, "-d", self.path("out"))
        self.assertEqual(self.read("out", "A.0.sds"), plain(*((i, b"block %d" % i) for i in range(100))))
        run("pack", recording, "-o", self.path("repaired.sdsz"))
        self.assertNotIn("killed", run("check", self.path("repaired.sdsz"))[0])

    def test_a_full_disk_ends_the_session_and_keeps_what_fits(self):
        def limit():  # a file of more than 200 kB fails, as on a full disk
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

        with Server(self.folder.name, preexec_fn=limit) as server:
            connection = self.connect(server)
            handle = open_stream(connection, "A")
            noise = os.urandom(1000)
            try:
                for i in range(5000):
                    write(connection, handle, plain((i, noise)))
                    noise = noise[1:] + noise[:1]
            except (BrokenPipeError, ConnectionResetError):
                pass
            wait_until(lambda: "recording stopped" in server.log_text(), "the server reports the full disk")
            device(server, "--seconds", 1, "--speed", "max")  # the server lives on
        self.assertIn("File too large", server.log_text())

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
                              json.loads(run("info", self.path(f"recording.{n}.sdsz"), "--json")[0])[0]["streams"]))
        self.assertEqual(sorted(blocks), [1, 400, 400, 400])

    def test_a_used_port_is_an_error(self):
        with Server(self.folder.name) as server:
            _, err = run("serve", "socket", "--port", server.port, "--workdir", self.folder.name, expect=4)
            self.assertIn("Address already in use", err)


if __name__ == "__main__":
    main()
