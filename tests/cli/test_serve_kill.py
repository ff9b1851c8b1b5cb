"""SIGKILL of a recording server under load, at random moments, while a reader opens the growing recording all the time.
What can be read afterwards is a prefix of what was sent, and at least what the reader saw; SDS_KILLS sets how often
(default 25), SDS_KILL_SEED where to begin."""
import hashlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time

from harness import SDS, Case, Server, main, run, wait_until
from test_serve import open_stream

KILLS = int(os.environ.get("SDS_KILLS", "25"))
SEED = int(os.environ.get("SDS_KILL_SEED", "1"))
STREAMS = ("Fast", "Slow")


def block(stream, i):
    """Block i of a stream: its timeslot tells its index, its bytes too; sizes from 0 to 3 kB."""
    noise = hashlib.sha256(f"{stream} {i}".encode()).digest()
    return struct.pack("<II", i, noise[0] * 12) + (noise * (noise[0] * 12 // 32 + 1))[:noise[0] * 12]


def count_prefix(data, stream):
    """How many blocks of the stream `data` holds; fails unless they are its first ones, whole."""
    at = 0
    i = 0
    while at < len(data):
        want = block(stream, i)
        if data[at:at + len(want)] != want:
            raise AssertionError(f"{stream}: block {i} is not what was sent (byte {at} of {len(data)})")
        at += len(want)
        i += 1
    return i


class Sender(threading.Thread):
    """Streams blocks as fast as the server takes them; notes when each was handed to the system."""

    def __init__(self, connection):
        super().__init__(daemon=True)
        self.connection = connection
        self.sent = dict.fromkeys(STREAMS, 0)
        self.times = {name: [] for name in STREAMS}

    def run(self):
        try:
            handles = {name: open_stream(self.connection, name) for name in STREAMS}
            for turn in range(1 << 30):
                for name in STREAMS if turn % 16 == 0 else STREAMS[:1]:
                    data = block(name, self.sent[name])
                    self.connection.sendall(struct.pack("<IIII", 3, handles[name], 0, len(data)) + data)
                    self.times[name].append(time.monotonic())
                    self.sent[name] += 1
                time.sleep(0.0002)
        except (OSError, struct.error):  # killed while it sends, or before it answers
            pass


class Part(Case):
    """A part of the time that ends before what a kill may have cost."""

    def count(self, recording):
        done = subprocess.run([SDS, "info", recording, "--json"], capture_output=True)
        recordings = json.loads(done.stdout)["recordings"] if done.stdout else []
        return sum(stream["blocks"] for each in recordings for stream in each["streams"])

    def test_a_killed_recording_and_a_recovered_one_have_the_same_answers(self):
        for name, channel in (("A", "v"), ("B", "w")):
            self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: 100\n  content:\n"
                                          f"    - value: {channel}\n      type: int16_t\n")
        killed = self.path("recording.0.sdsz")
        with Server(self.folder.name, "--flush-interval", "10ms") as server:
            with socket.create_connection(("127.0.0.1", int(server.port)), timeout=30) as connection:
                a, b = open_stream(connection, "A"), open_stream(connection, "B")
                for handle, count in ((a, 20), (b, 10)):
                    for i in range(count):
                        data = struct.pack("<II10h", 100 * i, 20, *range(10 * i, 10 * i + 10))
                        connection.sendall(struct.pack("<IIII", 3, handle, 0, len(data)) + data)
                connection.sendall(struct.pack("<IIII", 2, b, 0, 0))
                wait_until(lambda: self.count(killed) == 30, "all blocks")
                server.process.kill()
                server.process.wait()
        conditions = {("v > 5000", 0, 1): 1, ("v > 5000", 0, 1.5): 1, ("v > 5000", 1.5, 3): 3, ("w > 5000", 0, 0.5): 1}
        for log in (True, False):
            if not log:
                os.remove(killed + ".wal")
            recovered = self.path(f"recovered.{log}.sdsz")
            run("recover", killed, "-o", recovered, expect=0 if log else 3)
            for (condition, begin, end), code in conditions.items():
                codes = [subprocess.run([SDS, "query", path, condition, "--from", str(begin), "--to", str(end)],
                                        capture_output=True).returncode for path in (killed, recovered)]
                with self.subTest(f"{condition} in [{begin}, {end}), log {log}"):
                    self.assertEqual(codes[0], codes[1])
                    if log:  # A ends at 2 s and may have gone on; B is closed
                        self.assertEqual(codes[0], code)


class Kill(Case):
    def read_all(self, recording, folder):
        """The blocks of each stream, read by a program of its own."""
        done = subprocess.run([SDS, "unpack", recording, "-d", folder, "--force"], capture_output=True, text=True, timeout=60)
        counts = dict.fromkeys(STREAMS, 0)
        for name in STREAMS:
            path = os.path.join(folder, f"{name}.0.sds")
            if os.path.exists(path):
                with open(path, "rb") as f:
                    counts[name] = count_prefix(f.read(), name)
        return counts, done

    def kill_once(self, rng, turn):
        folder = self.path(str(turn))
        os.mkdir(folder)
        flush_ms = rng.choice((5, 20, 200))
        with Server(folder, "--flush-interval", str(flush_ms)) as server:
            connection = socket.create_connection(("127.0.0.1", int(server.port)), timeout=30)
            sender = Sender(connection)
            sender.start()
            end = time.monotonic() + rng.uniform(0.05, 1.2)
            recording = os.path.join(folder, "recording.0.sdsz")
            seen = dict.fromkeys(STREAMS, 0)
            reads = 0
            killer = threading.Timer(max(0, end - time.monotonic()), server.process.kill)
            killer.start()
            while server.process.poll() is None:
                if not os.path.exists(recording):
                    time.sleep(0.002)
                    continue
                counts, done = self.read_all(recording, os.path.join(folder, "live"))
                if done.returncode == 0:
                    reads += 1
                for name in STREAMS:
                    self.assertGreaterEqual(counts[name], seen[name], "a reader sees what an earlier one saw")
                    seen[name] = counts[name]
            killed = time.monotonic()
            killer.join()
            server.process.wait()
        sender.join(timeout=30)
        connection.close()
        short_ms = 0
        if os.path.exists(recording):
            counts, done = self.read_all(recording, os.path.join(folder, "after"))
            self.assertEqual(done.returncode, 3, done.stderr)  # that it was not closed has no place in a plain file
            self.assertNotIn("is damaged", done.stderr)
            for name in STREAMS:
                self.assertGreaterEqual(counts[name], seen[name], f"turn {turn}: {name}")
                self.assertLessEqual(counts[name], sender.sent[name] + 1)  # one may have been cut off while it was sent
                if counts[name] < len(sender.times[name]):
                    short_ms = max(short_ms, 1000 * (killed - sender.times[name][counts[name]]))
        subprocess.run(["rm", "-rf", folder], check=True)
        return reads, short_ms - flush_ms

    def test_what_was_flushed_is_there_after_a_kill_at_any_moment(self):
        rng = random.Random(SEED)
        results = [self.kill_once(rng, turn) for turn in range(KILLS)]
        shortfalls = sorted(short for _, short in results)
        print(f"{KILLS} kills, {sum(reads for reads, _ in results)} reads meanwhile; beyond the flush interval the "
              f"recordings were short by {shortfalls[len(shortfalls) // 2]:.0f} ms (median), {shortfalls[-1]:.0f} ms at most")


if __name__ == "__main__":
    main()
