"""What is played back to devices: plain files and recordings alike, byte for byte what a device once sent."""
import os
import random
import socket
import struct
import time

from harness import Case, Server, main, plain, run, wait_until

OPEN, CLOSE, WRITE, READ, PING, FLAGS, INFO = range(1, 8)
START, TERMINATE, PLAYBACK = 1 << 31, 1 << 30, 1 << 29


class Device:
    """A device of SDS 3.x, by hand."""

    def __init__(self, server):
        self.connection = socket.create_connection(("127.0.0.1", int(server.port)), timeout=30)
        self.flags = 0

    def send(self, command, handle=0, argument=0, data=b"", size=None):
        self.connection.sendall(struct.pack("<IIII", command, handle, argument, len(data) if size is None else size) + data)

    def take(self, size):
        data = b""
        while len(data) < size:
            part = self.connection.recv(size - len(data))
            if not part:
                raise ConnectionError(f"the server ended the connection, {size - len(data)} bytes short")
            data += part
        return data

    def receive(self):
        command, handle, argument, size = struct.unpack("<IIII", self.take(16))
        if command == FLAGS:
            self.flags = (self.flags | handle) & ~argument
            return self.receive()
        return command, handle, argument, self.take(size)

    def open(self, name, mode=0):
        self.send(OPEN, 0, mode, name.encode() + b"\0")
        command, handle, got, _ = self.receive()
        assert (command, got) == (OPEN, mode)
        return handle

    def read(self, handle, piece=1000):
        """The whole stream."""
        data = b""
        while True:
            self.send(READ, handle, piece)
            command, got, end, part = self.receive()
            assert (command, got) == (READ, handle) and len(part) <= piece
            if end:
                assert not part
                return data
            assert part
            data += part

    def barrier(self):
        self.send(PING)
        assert self.receive()[0] == PING

    def wait_for(self, flags):
        """Takes FLAGS in, as sdsExchange() does, until these are set."""
        for _ in range(300):
            self.send(INFO, self.flags, 0xFFFFFFFF)
            self.barrier()
            if self.flags & flags == flags:
                return
            time.sleep(0.02)
        raise AssertionError(f"flags {self.flags:#x}, wanted {flags:#x}")


class Playback(Case):
    def setUp(self):
        super().setUp()
        rng = random.Random(15)
        self.sent = {}
        for n in range(2):
            for name in ("Imu", "Mic"):
                slots = [(2**32 - 3000 + 40 * i) % 2**32 for i in range(150)]  # over a wrap-around
                self.sent[n, name] = plain(*((t, rng.randbytes(rng.choice((0, 1, 6, 600)))) for t in slots))

    def device(self, server):
        made = Device(server)
        self.addCleanup(made.connection.close)
        return made

    def wait_for_log(self, server, text):
        wait_until(lambda: text in server.log_text(), f"{text!r} in the log")

    def record(self, n, *options, torn=b""):
        with Server(self.folder.name, *options) as server:
            device = self.device(server)
            handles = {name: device.open(name, 1) for name in ("Imu", "Mic")}
            for name, handle in handles.items():
                device.send(WRITE, handle, 0, self.sent[n, name] + torn)
            for handle in handles.values():
                device.send(CLOSE, handle)
            device.barrier()
            device.connection.close()
            wait_until(lambda: " session " in server.log_text(), "the session has ended")

    def test_recordings_are_played_back_byte_for_byte(self):
        self.record(0)
        self.record(1)
        self.assertEqual(sorted(n for n in os.listdir(self.path()) if n.endswith(".sdsz")), ["recording.0.sdsz", "recording.1.sdsz"])
        with Server(self.folder.name, "--playback", "--exit-after-playback") as server:
            device = self.device(server)
            for n in range(2):
                device.wait_for(START | PLAYBACK)
                handles = {name: device.open(name) for name in ("Mic", "Imu")}
                out = device.open("Out", 1)
                for name, handle in handles.items():
                    self.assertEqual(device.read(handle, piece=(7, 1000)[n]), self.sent[n, name], (n, name))
                device.send(WRITE, out, 0, plain((1, b"result %d" % n)))
                for handle in (*handles.values(), out):
                    device.send(CLOSE, handle)
                device.barrier()
                device.flags &= ~START  # it has stopped
            device.wait_for(TERMINATE)
            self.assertEqual(server.process.wait(timeout=60), 0)
        # The outputs are recordings of their own, and none to play back.
        for n in range(2):
            run("unpack", self.path(f"recording.{n}.p.sdsz"), "-o", self.path(f"out{n}"))
            (name,) = os.listdir(self.path(f"out{n}"))
            self.assertRegex(name, r"^Out\.\d\.p\.sds$")
            self.assertEqual(self.read(f"out{n}", name), plain((1, b"result %d" % n)))

    def test_a_plain_file_of_the_number_comes_first(self):
        self.record(0)
        self.write("Imu.0.sds", plain((5, b"of the plain file")))
        with Server(self.folder.name, "--playback") as server:
            device = self.device(server)
            self.assertEqual(device.read(device.open("Imu")), plain((5, b"of the plain file")))
            self.assertEqual(device.read(device.open("Mic")), self.sent[0, "Mic"])
            self.assertEqual(device.open("Gyro"), 0)
            self.wait_for_log(server, "recording.0.sdsz: has no stream 'Gyro' to play back")

    def test_what_is_damaged_is_not_played_back_as_if_it_were_whole(self):
        self.record(0)
        whole = self.read("recording.0.sdsz")
        at = whole.index(self.sent[0, "Mic"][-60:][8:40]) if self.sent[0, "Mic"][-60:][8:40] in whole else len(whole) // 2
        self.write("recording.0.sdsz", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        run("check", self.path("recording.0.sdsz"), expect=1)
        with Server(self.folder.name, "--playback") as server:
            device = self.device(server)
            got = {}
            for name in ("Imu", "Mic"):
                try:
                    if handle := device.open(name):
                        got[name] = device.read(handle)
                except ConnectionError:
                    device = self.device(server)
            self.assertLess(len(got), 2)
            for name, data in got.items():
                self.assertEqual(data, self.sent[0, name])
            self.wait_for_log(server, "is damaged, and so is not played back: ")

    def test_a_loss_in_it_is_told_and_its_torn_end_left_out(self):
        self.record(0, torn=struct.pack("<II", 9, 100) + b"half a block")
        with Server(self.folder.name, "--playback") as server:
            device = self.device(server)
            self.assertEqual(device.read(device.open("Imu")), self.sent[0, "Imu"])
            self.wait_for_log(server, "recording.0.sdsz: of stream Imu blocks are missing (")

    def test_a_device_of_1_x_is_told_the_end_of_a_recording(self):
        self.record(0)
        with Server(self.folder.name, "--playback") as server:
            device = self.device(server)
            handle = device.open("Imu")
            device.send(PING, handle)
            self.assertEqual(device.receive()[:3], (PING, handle, 0))
            device.read(handle)
            device.send(PING, handle)
            self.assertEqual(device.receive()[:3], (PING, handle, 1))


if __name__ == "__main__":
    main()
