"""Devices that do not connect by themselves: serial lines (pseudo terminals stand for them) and servers that are dialled."""
import fcntl
import os
import pty
import re
import select
import socket
import struct
import subprocess
import termios
import threading
import time
import tty

from harness import DEVICE, SDS, Case, main, plain, run, wait_until

OPEN, CLOSE, WRITE, READ, PING, FLAGS, INFO = range(1, 8)
ALIVE, START = 1 << 28, 1 << 31


def message(command, handle=0, argument=0, data=b""):
    return struct.pack("<IIII", command, handle, argument, len(data)) + data


class Line:
    """A device at its end of a line, by hand."""

    def __init__(self, fd):
        self.fd = fd

    def send(self, *parts):
        for part in parts:
            while part:
                part = part[os.write(self.fd, part):]

    def receive(self, size, seconds=30):
        got = b""
        until = time.monotonic() + seconds
        while len(got) < size:
            if time.monotonic() > until:
                raise AssertionError(f"waited {seconds} s for {size} bytes, {len(got)} came: {got!r}")
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    got += os.read(self.fd, size - len(got))
                except OSError:
                    time.sleep(0.01)  # a terminal that nobody has opened yet
        return got

    def reply(self, command):
        """The next message that is none of FLAGS; its words."""
        while True:
            words = struct.unpack("<IIII", self.receive(16))
            if words[0] != FLAGS:
                assert words[0] == command, words
                return words

    def flags(self):
        """Waits for FLAGS, as firmware of 3.x does before it says anything."""
        words = struct.unpack("<IIII", self.receive(16))
        assert words[0] == FLAGS and words[1] & ALIVE, words

    def open(self, name):
        self.send(message(OPEN, 0, 1, name.encode() + b"\0"))
        return self.reply(OPEN)[1]

    def barrier(self):
        self.send(message(PING))
        self.reply(PING)


class Terminal(Line):
    """A pseudo terminal whose other end is a serial port."""

    def __init__(self, link=None):
        fd, other = pty.openpty()
        tty.setraw(other)
        self.port = os.ttyname(other)
        os.close(other)
        super().__init__(fd)
        if link:
            os.symlink(self.port, link)

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
        self.fd = None


class Serving:
    """A server on a line; a context manager that stops it with SIGINT."""

    def __init__(self, folder, *options):
        self.log_path = os.path.join(folder, "serve.log")
        self.log = open(self.log_path, "w")
        self.process = subprocess.Popen([SDS, "serve", *map(str, options), "--workdir", folder], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.first_line = self.process.stdout.readline()

    def log_text(self):
        with open(self.log_path) as f:
            return f.read()

    def wait_for_log(self, text, count=1):
        wait_until(lambda: self.log_text().count(text) >= count, f"{text!r} in the log")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(2)
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.log.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Lines(Case):
    def terminal(self, *args):
        made = Terminal(*args)
        self.addCleanup(made.close)
        return made

    def serial(self, port, *options):
        return Serving(self.folder.name, "serial", "--port", port, *options)

    def stream(self, n, name, lost=False):
        """What was recorded of a stream, as a plain file."""
        run("unpack", self.path(f"recording.{n}.sdsz"), "-o", self.path(f"out{n}"), expect=3 if lost else 0)
        return self.read(f"out{n}", f"{name}.0.sds")


class Serial(Lines):
    def test_a_device_on_a_serial_line_is_recorded_byte_for_byte(self):
        device = subprocess.Popen([DEVICE, "--pty", "--seconds", "4", "--speed", "max"], stdout=subprocess.PIPE, text=True)
        port = re.search(r"--port (\S+)$", device.stdout.readline())[1]
        with self.serial(port, "--sessions", "1") as server:
            self.assertEqual(server.first_line, f"opening {port} at 115200 baud, recording one .sdsz a session to {self.path()}\n")
            self.assertEqual(device.wait(timeout=60), 0)
            self.assertEqual(server.process.wait(timeout=60), 0)
        device.stdout.close()
        self.assertEqual(run("check", self.path("recording.0.sdsz"))[0].splitlines()[-1], "sound")
        os.mkdir(self.path("tcp"))
        tcp = subprocess.Popen([SDS, "serve", "socket", "--port", "0", "--sessions", "1", "--workdir", self.path("tcp")],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
        tcp_port = re.match(r"listening on 127\.0\.0\.1:(\d+)", tcp.stdout.readline())[1]
        subprocess.run([DEVICE, "--port", tcp_port, "--seconds", "4", "--speed", "max"], check=True, stdout=subprocess.DEVNULL)
        self.assertEqual(tcp.wait(timeout=60), 0)
        tcp.stdout.close()
        run("compare", self.path("recording.0.sdsz"), self.path("tcp", "recording.0.sdsz"))

    def test_what_comes_before_the_line_is_silent_is_thrown_away(self):
        line = self.terminal()
        torn = message(WRITE, 77, 0, plain((5, b"of a session before")))[7:]
        noise = threading.Event()

        def send_noise():
            while not noise.is_set():
                line.send(torn)
                time.sleep(0.01)
        with self.serial(line.port) as server:
            thread = threading.Thread(target=send_noise)
            thread.start()
            time.sleep(0.3)
            noise.set()
            thread.join()
            server.wait_for_log("bytes that came before it was silent are thrown away")
            # On a busy machine the noise may have had a pause: then it was no SDSIO, and the line has to be silent once more.
            time.sleep(2)
            handle = line.open("A")
            line.send(message(WRITE, handle, 0, plain((1, b"one"), (2, b"two"))), message(CLOSE, handle))
            line.barrier()
            server.wait_for_log("no losses")
        self.assertEqual(self.stream(0, "A"), plain((1, b"one"), (2, b"two")))

    def test_a_line_that_loses_its_place_is_recorded_as_loss_and_found_again(self):
        line = self.terminal()
        with self.serial(line.port) as server:
            server.wait_for_log(": connected")
            first = line.open("A")
            line.send(message(WRITE, first, 0, plain((1, b"one"))), message(WRITE, first, 0, plain((2, b"two")))[:-1])
            line.send(message(WRITE, first, 0, plain((3, b"three"))), message(WRITE, first, 0, plain((4, b"four"))))
            server.wait_for_log("lost its place in it")
            server.wait_for_log(": connected", 2)
            second = line.open("A")
            self.assertNotEqual(second, first)
            line.send(message(WRITE, first, 0, plain((5, b"by its old number"))), message(WRITE, second, 0, plain((6, b"six"))), message(CLOSE, second))
            line.barrier()
            server.wait_for_log(" session ", 2)
        self.assertEqual(self.stream(1, "A"), plain((6, b"six")))
        out, _ = run("check", self.path("recording.0.sdsz"), expect=1)
        self.assertIn("NOT SOUND", out)
        # One byte was lost: "two" has the next header's first byte in the place of its own last.
        self.assertEqual(self.stream(0, "A", lost=True)[:11], plain((1, b"one")))

    def test_a_port_that_goes_and_comes_back_is_opened_again(self):
        link = self.path("board")
        with self.serial(link, "--sessions", "2") as server:
            server.wait_for_log(f"{link}: No such file or directory; ")
            for n in range(2):
                line = self.terminal(link)
                line.flags()
                handle = line.open("A")
                line.send(message(WRITE, handle, 0, plain((n, b"session %d" % n))))
                line.barrier()
                if n == 1:
                    line.send(message(CLOSE, handle))  # the last of two sessions: nobody answers any more
                    self.assertEqual(server.process.wait(timeout=60), 0)
                os.remove(link)
                line.close()
            self.assertIn("connection lost: the port is gone: unplugged, or closed at its other end", server.log_text())
        for n in range(2):
            self.assertEqual(self.stream(n, "A", lost=n == 0), plain((n, b"session %d" % n)))

    def test_sessions_on_a_line_are_counted_each(self):
        line = self.terminal()
        with self.serial(line.port, "--sessions", "3") as server:
            line.flags()
            for n in range(3):
                self.assertIsNone(server.process.poll())
                handle = line.open("A")
                line.send(message(WRITE, handle, 0, plain((n, b"x" * n))), message(CLOSE, handle))
            self.assertEqual(server.process.wait(timeout=60), 0)
        self.assertEqual(sorted(n for n in os.listdir(self.path()) if n.endswith(".sdsz")),
                         [f"recording.{n}.sdsz" for n in range(3)])

    def test_what_comes_while_the_disk_is_slow_is_read_ahead(self):
        line = self.terminal()
        with self.serial(line.port) as server:
            line.flags()
            handle = line.open("A")
            os.kill(server.process.pid, 19)  # SIGSTOP: nobody takes anything
            time.sleep(0.2)
            os.kill(server.process.pid, 18)
            blocks = [(n, bytes([n % 251]) * 100) for n in range(20000)]
            for begin in range(0, len(blocks), 50):
                line.send(message(WRITE, handle, 0, plain(*blocks[begin:begin + 50])))
            line.send(message(CLOSE, handle))
            line.barrier()
            server.wait_for_log("no losses")
        self.assertEqual(self.stream(0, "A"), plain(*blocks))

    def test_firmware_before_3_is_not_sent_flags_that_it_takes_for_answers(self):
        line = self.terminal()
        with self.serial(line.port, "--protocol", "2") as server:
            server.wait_for_log(": connected")
            time.sleep(0.6)  # it has just been switched on
            line.send(message(PING))
            self.assertEqual(struct.unpack("<IIII", line.receive(16)), (PING, 0, 1, 0))
            line.send(message(OPEN, 0, 1, b"A\0"))
            command, handle, mode, _ = struct.unpack("<IIII", line.receive(16))
            self.assertEqual((command, mode), (OPEN, 1))
            time.sleep(0.3)
            line.send(message(WRITE, handle, 0, plain((9, b"nine"))), message(CLOSE, handle), message(PING))
            self.assertEqual(struct.unpack("<IIII", line.receive(16)), (PING, 0, 1, 0))
            server.wait_for_log("no losses")
        self.assertEqual(self.stream(0, "A"), plain((9, b"nine")))

    def test_ports_that_cannot_be_opened_are_told_with_what_to_do(self):
        file = self.write("file", "no port")
        _, err = run("serve", "serial", "--port", file, "--workdir", self.folder.name, expect=4)
        self.assertIn(f"sds: error: {file}: is no serial port", err)
        self.assertNotIn("lost", err)
        _, err = run("serve", "serial", "--port", self.path("none"), "--connect-timeout", "0.1", "--workdir", self.folder.name, expect=4)
        self.assertRegex(err, r"none: No such file or directory; there is (no port of a USB device|/dev/)")
        _, err = run("serve", "serial", "--port", file, "--baudrate", "115201", "--workdir", self.folder.name, expect=2)
        self.assertIn("115201 baud is no rate that this system knows", err)
        for options in (("--parity", "some"), ("--stopbits", "1.5"), ("--connect-timeout", "-1"), ("--protocol", "4")):
            run("serve", "serial", "--port", file, *options, expect=2)
        run("serve", "serial", expect=2)

    def test_a_port_that_another_program_has_is_waited_for(self):
        line = self.terminal()
        other = os.open(line.port, os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(other, fcntl.LOCK_EX)
        with self.serial(line.port) as server:
            server.wait_for_log("another program has it open; it is waited for")
            os.close(other)
            server.wait_for_log(": connected")
            _, err = run("serve", "serial", "--port", line.port, "--connect-timeout", "0", "--workdir", self.folder.name, expect=4)
            self.assertIn("another program has it open", err)

    def test_settings_of_the_line_are_as_asked_for(self):
        line = self.terminal()
        with self.serial(line.port, "--baudrate", "921600", "--stopbits", "2") as server:
            server.wait_for_log(": connected")
            other = os.open(line.port, os.O_RDWR | os.O_NOCTTY)
            iflag, oflag, cflag, lflag, ispeed, ospeed, _ = termios.tcgetattr(other)
            os.close(other)
            self.assertEqual((ispeed, ospeed), (termios.B921600, termios.B921600))
            self.assertEqual(cflag & (termios.CSIZE | termios.CSTOPB), termios.CS8 | termios.CSTOPB)
            self.assertEqual(lflag & (termios.ICANON | termios.ECHO | termios.ISIG), 0)
            self.assertEqual(iflag & (termios.IXON | termios.ICRNL), 0)
            self.assertEqual(oflag & termios.OPOST, 0)

    def test_ctrl_c_closes_what_is_recorded_and_says_goodbye(self):
        line = self.terminal()
        # Held open: a terminal whose last user goes may take what was not yet read with it.
        held = os.open(line.port, os.O_RDWR | os.O_NOCTTY)
        self.addCleanup(os.close, held)
        with self.serial(line.port) as server:
            line.flags()
            handle = line.open("A")
            line.send(message(WRITE, handle, 0, plain((1, b"one"))))
            line.barrier()
            time.sleep(0.25)  # while the answer is on its way nothing is said behind it
            self.assertEqual(server.stop(), 0)
        rest = b""
        while select.select([line.fd], [], [], 0.2)[0]:
            rest += os.read(line.fd, 4096)
        self.assertEqual(rest[-16:], message(FLAGS, 0, ALIVE))
        self.assertEqual(self.stream(0, "A", lost=True), plain((1, b"one")))

    def test_ctrl_c_ends_a_wait_for_a_port(self):
        with self.serial(self.path("none")) as server:
            server.wait_for_log("it is waited for")
            self.assertEqual(server.stop(), 0)


class Dialled(Lines):
    def listener(self):
        made = socket.create_server(("127.0.0.1", 0))
        made.settimeout(30)
        self.addCleanup(made.close)
        return made, made.getsockname()[1]

    def accept(self, listener):
        connection, _ = listener.accept()
        self.addCleanup(connection.close)
        return connection, Line(connection.fileno())

    def dialled(self, port, *options):
        return Serving(self.folder.name, "socket", "--port", port, *options)

    def test_a_server_for_rtt_is_greeted_and_its_greeting_is_thrown_away(self):
        listener, port = self.listener()
        text = "$$SEGGER_TELNET_ConfigStr=RTTCh;1$$"
        with self.dialled(port, "--connect", text, "--connect-time", "1000", "--sessions", "1") as server:
            self.assertTrue(server.first_line.startswith(f"connecting to 127.0.0.1:{port}, recording one .sdsz"), server.first_line)
            connection, line = self.accept(listener)
            self.assertEqual(line.receive(len(text)), text.encode())
            for part in (b"SEGGER J-Link V7.94 - Real time terminal output\r\n", b"J-Link OB compiled Jan 1 2024\r\n", b"Process: JLinkGDBServer\r\n"):
                line.send(part)
                time.sleep(0.05)
            line.flags()
            handle = line.open("A")
            line.send(message(WRITE, handle, 0, plain((3, b"three"))), message(CLOSE, handle))
            self.assertEqual(server.process.wait(timeout=60), 0)
            self.assertIn("that came before it was silent are thrown away", server.log_text())
        self.assertEqual(self.stream(0, "A"), plain((3, b"three")))

    def test_without_a_message_nothing_is_sent_before_flags(self):
        listener, port = self.listener()
        with self.dialled(port, "--connect"):
            _, line = self.accept(listener)
            self.assertEqual(struct.unpack("<IIII", line.receive(16))[0], FLAGS)

    def test_it_is_dialled_again_and_again(self):
        listener, port = self.listener()
        listener.close()
        with self.dialled(port, "--connect") as server:
            server.wait_for_log("Connection refused; it is tried again every 1000 ms")
            again = socket.create_server(("127.0.0.1", port))
            again.settimeout(30)
            self.addCleanup(again.close)
            for n in range(2):
                connection, line = self.accept(again)
                line.flags()
                handle = line.open("A")
                line.send(message(WRITE, handle, 0, plain((n, b"%d" % n))), message(CLOSE, handle))
                line.barrier()
                connection.close()
                server.wait_for_log("no losses", n + 1)
            self.assertEqual(server.log_text().count("Connection refused"), 1)
        for n in range(2):
            self.assertEqual(self.stream(n, "A"), plain((n, b"%d" % n)))

    def test_options_that_do_not_fit_are_errors(self):
        for options in (("--connect", "--netif", "lo"), ("--connect", "--max-devices", "2"), ("--connect-time", "50"),
                        ("--connect", "--port", "0"), ("--connect", "--ipaddr", "nowhere")):
            run("serve", "socket", "--workdir", self.folder.name, *options, expect=2)


class FirmwareBefore3(Lines):
    def test_over_tcp_the_protocol_may_be_said_too(self):
        process = subprocess.Popen([SDS, "serve", "socket", "--port", "0", "--protocol", "1", "--workdir", self.folder.name],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
        try:
            port = int(re.match(r"listening on 127\.0\.0\.1:(\d+)", process.stdout.readline())[1])
            with socket.create_connection(("127.0.0.1", port)) as connection:
                line = Line(connection.fileno())
                time.sleep(0.6)
                line.send(message(OPEN, 0, 1, b"A\0"))
                self.assertEqual(struct.unpack("<IIII", line.receive(16))[0], OPEN)
        finally:
            process.send_signal(2)
            process.wait(timeout=60)
            process.stdout.close()


if __name__ == "__main__":
    main()
