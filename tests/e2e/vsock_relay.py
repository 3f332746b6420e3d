#!/usr/bin/env python3
"""Goal of this test: vouchsafe-vsock-relay carries every byte and every end of a connection
both ways, hundreds at once; whatever enclaves or the verifier do, it stays bounded, serves the
others and says what is wrong; enclaves' lines come out clean, and under their own name only.

TCP and Unix sockets stand in for vsock, which tests/e2e/vm has.
"""
import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from enclave import WithEnclave
from server import SOURCE, TIMEOUT_S, WRAP, clean_environment

RELAY = [*WRAP, os.environ.get("VOUCHSAFE_RELAY_BIN", os.path.join(
    SOURCE, "build/plain/enclave-agent/relay/vouchsafe-vsock-relay"))]
HELD_MAX = 16384  # FLOW_READ_MAX
MANY = 400
# Valgrind and sanitizers keep what was freed.
MEASURED = not WRAP and os.environ.get("VOUCHSAFE_SANITIZED") != "1"


class Process:
    """A relay that is ready."""

    def __init__(self, *options, stdout=subprocess.DEVNULL, more=None):
        self.lines = []
        self.process = subprocess.Popen([*RELAY, *options], stderr=subprocess.PIPE, stdout=stdout,
                                        **{"env": clean_environment(), **(more or {})})
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.wait("relay.ready")

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line.decode())

    def wait(self, event):
        until = time.monotonic() + TIMEOUT_S
        while not self.said(event):
            if time.monotonic() > until or not self.reader.is_alive():
                raise RuntimeError(f"no {event}: {self.lines}")
            time.sleep(0.01)
        return self.said(event)[-1]

    def said(self, event):
        return [line for line in self.lines if f" ev={event} " in line]

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.wait_end()

    def wait_end(self):
        status = self.process.wait(TIMEOUT_S)
        self.reader.join(TIMEOUT_S)
        self.process.stderr.close()
        return status

    def status(self, key):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"^{key}:\s+(\d+)", file.read(), re.M)[1])

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            user, system = file.read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Verifier:
    """Stands for one: `serve(connection)` in a thread for each connection."""

    def __init__(self, serve, port=0, backlog=1024):
        self.socket = socket.create_server(("127.0.0.1", port), backlog=backlog)
        self.port = self.socket.getsockname()[1]
        self.serve = serve
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection):
        with connection, contextlib.suppress(OSError):
            self.serve(connection)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def read_all(connection):
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def read_some(connection, count):
    """`count` bytes, or what there is until the end."""
    data = b""
    while len(data) < count and (part := connection.recv(count - len(data))):
        data += part
    return data


def fill(pipe):
    """The number of bytes that it took."""
    filled = 0
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += os.write(pipe, bytes(4096))
    os.set_blocking(pipe, True)
    return filled


def echo(connection):
    while part := connection.recv(65536):
        connection.sendall(part)


def answer_at_end(connection):
    connection.sendall(b"got " + read_all(connection))


class WithRelay(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="vr-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def verifier(self, serve=echo, **more):
        verifier = Verifier(serve, **more)
        self.addCleanup(verifier.close)
        return verifier

    def relay(self, to, *options, listen=None, **more):
        listen = listen or f"unix:{self.path('relay')}"
        if isinstance(to, Verifier):
            to = f"127.0.0.1:{to.port}"
        relay = Process("--listen", listen, "--to", to, *options, **more)
        self.addCleanup(self.end, relay)
        return relay

    def end(self, relay):
        """In good order, so that a build that looks for leaks finds them."""
        if relay.process.poll() is None:
            relay.process.send_signal(signal.SIGINT)
            relay.process.send_signal(signal.SIGTERM)
            self.assertEqual(relay.wait_end(), 0, relay.lines)

    def connect(self, name="relay"):
        connection = socket.socket(socket.AF_UNIX)
        self.addCleanup(connection.close)
        connection.settimeout(TIMEOUT_S)
        connection.connect(self.path(name))
        return connection

    def connect_from(self, address, port):
        connection = socket.create_connection(("127.0.0.1", port), TIMEOUT_S, (address, 0))
        self.addCleanup(connection.close)
        return connection

    def works(self, connection, data=b"ping"):
        connection.sendall(data)
        self.assertEqual(read_some(connection, len(data)), data)

    def closed(self, connection):
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(connection.recv(1), b"")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Bytes(WithRelay):
    def soon_closed(self, connection):
        """It may last 3 s on an idle machine; what comes meanwhile makes it no longer."""
        with self.assertRaises(OSError):
            for _ in range(20):
                time.sleep(0.5)
                connection.sendall(b"y")

    def test_end_of_request(self):
        self.relay(self.verifier(answer_at_end))
        data = os.urandom(300000)
        connection = self.connect()
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(read_all(connection), b"got " + data)

    def test_end_of_answer(self):
        got = []

        def answer_first(connection):
            connection.sendall(b"answer")
            connection.shutdown(socket.SHUT_WR)
            got.append(read_all(connection))

        self.relay(self.verifier(answer_first))
        connection = self.connect()
        self.assertEqual(read_all(connection), b"answer")
        connection.sendall(b"more")
        connection.close()
        until = time.monotonic() + TIMEOUT_S
        while not got and time.monotonic() < until:
            time.sleep(0.01)
        self.assertEqual(got, [b"more"])

    def test_early_answer(self):
        """A verifier that answers and closes, and reads no more of a long request."""
        def refuse(connection):
            connection.recv(10)
            connection.sendall(b"413" * 1000)

        relay = self.relay(self.verifier(refuse))
        for _ in range(20):
            connection = self.connect()
            connection.sendall(bytes(3000000))  # also where it looks for no answer before the end
            self.assertEqual(read_all(connection), b"413" * 1000)
        # Who still holds on then is not waited for as long as others are.
        self.soon_closed(connection)
        self.assertIsNone(relay.process.poll())

    def test_after_the_end(self):
        """Whoever goes on sending to a verifier that is gone keeps nothing open by that."""
        def leave(connection):
            connection.recv(10)

        self.relay(self.verifier(leave))
        connection = self.connect()
        connection.sendall(b"x")
        self.soon_closed(connection)

    def test_back_pressure(self):
        """Who does not read holds up only his own connection, and at no cost of memory."""
        go_on = threading.Event()

        def read_late(connection):
            go_on.wait(TIMEOUT_S)
            answer_at_end(connection)

        relay = self.relay(self.verifier(read_late))
        before_kb = relay.status("RssAnon")
        data = os.urandom(1 << 20) * 32
        connections = [self.connect() for _ in range(20)]
        for connection in connections:
            connection.setblocking(False)
        sent = [0] * len(connections)
        stuck_since = time.monotonic()
        while time.monotonic() - stuck_since < 0.5 and max(sent) < len(data):
            for i, connection in enumerate(connections):
                with contextlib.suppress(BlockingIOError):
                    sent[i] += connection.send(data[sent[i]:sent[i] + 65536])
                    stuck_since = time.monotonic()
            time.sleep(0.001)
        self.assertLess(max(sent), len(data))
        grown_kb = relay.status("RssAnon") - before_kb
        if MEASURED:
            self.assertLess(grown_kb, len(connections) * (HELD_MAX // 1024 + 4) + 128)
        before_s = relay.cpu_s()
        time.sleep(0.5)
        self.assertLess(relay.cpu_s() - before_s, 0.1, "it is busy waiting")
        go_on.set()
        connections[0].settimeout(TIMEOUT_S)
        connections[0].sendall(data[sent[0]:])
        connections[0].shutdown(socket.SHUT_WR)
        self.assertTrue(read_all(connections[0]) == b"got " + data)

    def test_hang_up_while_stuck(self):
        """An enclave that is gone while the verifier does not read costs no processor time."""
        relay = self.relay(self.verifier(lambda connection: time.sleep(TIMEOUT_S)))
        connection = self.connect()
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                connection.send(bytes(65536))
                time.sleep(0.002)
        connection.close()
        before_s = relay.cpu_s()
        time.sleep(0.5)
        self.assertLess(relay.cpu_s() - before_s, 0.1, "it is busy waiting")

    def test_many(self):
        relay = self.relay(self.verifier(), "--connections", "1000", "--connections-per-cid",
                           "1000")
        before_kb, before_s = relay.status("RssAnon"), relay.cpu_s()
        connections = [self.connect() for _ in range(MANY)]
        data = os.urandom(20000)
        for _ in range(3):
            for connection in connections:
                connection.sendall(data)
            for connection in connections:
                self.assertEqual(read_some(connection, len(data)), data)
        grown_kb, took_s = relay.status("RssAnon") - before_kb, relay.cpu_s() - before_s
        print(f"{MANY} connections: {grown_kb / MANY:.2f} KiB each, {took_s:.2f} s of processor "
              f"time for {3 * MANY} exchanges of 20000 bytes each way", flush=True)
        if MEASURED:
            self.assertLess(grown_kb, 4 * MANY)


class Limits(WithRelay):
    def test_each_enclave_has_its_own(self):
        port = free_port()
        relay = self.relay(self.verifier(), "--connections-per-cid", "2",
                           listen=f"127.0.0.1:{port}")
        greedy = [self.connect_from("127.0.0.2", port) for _ in range(5)]
        for connection in greedy[:2]:
            self.works(connection)
        for connection in greedy[2:]:
            self.closed(connection)
        self.works(self.connect_from("127.0.0.3", port))
        self.assertIn(" peer=127.0.0.2 max=2 ", relay.wait("relay.too_many"))
        greedy[0].close()
        time.sleep(0.3)
        self.works(self.connect_from("127.0.0.2", port))

    def test_in_total_others_wait(self):
        self.relay(self.verifier(), "--connections", "2")
        first, second, third = (self.connect() for _ in range(3))
        self.works(first)
        self.works(second)
        third.sendall(b"ping")
        third.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            third.recv(1)
        first.close()
        third.settimeout(TIMEOUT_S)
        self.assertEqual(read_some(third, 4), b"ping")

    def test_descriptors(self):
        """They are counted at the start, not when they are missing."""
        run = subprocess.run(["prlimit", "--nofile=100:100", *RELAY, "--listen",
                              f"unix:{self.path('relay')}", "--to", "127.0.0.1:1"],
                             capture_output=True, check=False, timeout=TIMEOUT_S)
        self.assertEqual(run.returncode, 2)
        self.assertIn(b"1024 connections need 2064 open files, and 100 are allowed", run.stderr)
        relay = self.relay(self.verifier(), "--connections", "40",
                           more={"preexec_fn": lambda: resource.setrlimit(
                               resource.RLIMIT_NOFILE, (20, 100))})
        for connection in [self.connect() for _ in range(40)]:
            self.works(connection)
        self.assertEqual(relay.said("relay.exhausted"), [])

    def test_idle(self):
        relay = self.relay(self.verifier(), "--idle", "1s")
        quiet, lively = self.connect(), self.connect()
        for _ in range(5):
            time.sleep(0.5)
            self.works(lively)
        self.closed(quiet)
        self.assertIn(" after_s=1 ", relay.wait("relay.idle"))


class Trouble(WithRelay):
    def test_verifier_is_down(self):
        port = free_port()
        relay = self.relay(f"127.0.0.1:{port}")
        for _ in range(50):
            self.closed(self.connect())
        line = relay.wait("relay.unreachable")
        self.assertIn(f'to=127.0.0.1:{port} error="Connection refused" for=peer=local', line)
        self.assertIn('do="is the verifier up', line)
        self.assertLessEqual(len(relay.said("relay.unreachable")), 3)
        self.verifier(port=port)
        self.works(self.connect())

    def test_verifier_does_not_answer(self):
        """Its machine drops what comes: the time for connecting ends that."""
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            full = [socket.socket() for _ in range(4)]
            for one in full:
                one.setblocking(False)
                one.connect_ex(deaf.getsockname())
            relay = self.relay(f"127.0.0.1:{deaf.getsockname()[1]}", "--connect", "1s")
            before = time.monotonic()
            self.closed(self.connect())
            self.assertGreater(time.monotonic() - before, 0.9)
            self.assertLess(time.monotonic() - before, 5)
            self.assertIn("Connection timed out", relay.wait("relay.unreachable"))
            for one in full:
                one.close()

    def test_names(self):
        """Each of a name's addresses is tried; one that nobody knows is said."""
        self.relay(f"localhost:{self.verifier().port}")
        self.works(self.connect())
        relay = self.relay("no-such-host.invalid:80", listen=f"unix:{self.path('other')}")
        self.closed(self.connect("other"))
        self.assertIn("to=no-such-host.invalid:80", relay.wait("relay.unresolved"))

    def refused(self, status, *words, says):
        run = subprocess.run([*RELAY, *words], capture_output=True, check=False,
                             timeout=TIMEOUT_S)
        self.assertEqual(run.returncode, status, run.stderr)
        self.assertIn(says, run.stderr.decode())
        self.assertEqual(run.stderr.count(b"\n"), 1)

    def test_beginnings_that_fail(self):
        verifier = self.verifier()
        to = ("--to", "127.0.0.1:1")
        taken = f"unix:{self.path('relay')}"
        self.relay(verifier)
        self.refused(1, "--listen", f"127.0.0.1:{verifier.port}", *to,
                     says="another program listens there: ss -ltnp")
        self.refused(1, "--listen", taken, *to, says="another relay listens there")
        self.refused(1, "--listen", f"unix:{self.path('b')}", *to, "--log-port", taken,
                     says="cannot listen at unix:")
        self.assertFalse(os.path.exists(self.path("b")))
        self.works(self.connect())  # the first one's socket is still there
        for words, says in (((), "--listen is needed"), (("--listen", "8443"), "--to is needed"),
                            (("--listen", "x", *to), '--listen "x": not vsock:PORT'),
                            (("--listen", "8443", "--to", "x"), '--to "x": not HOST:PORT'),
                            (("--listen", "8443", *to, "--log-port", "0"), '--log-port "0"'),
                            (("--listen", "8443", *to, "x"), '"x" is not an option'),
                            (("--listne", "8443"), "did you mean --listen?"),
                            (("--listen", "8443", *to, "--connections", "0"), "--connections")):
            self.refused(2, *words, says=says)

    def test_stop(self):
        """What is open ends first; what is new is not taken; a second signal does not wait."""
        relay = self.relay(self.verifier())
        connection = self.connect()
        self.works(connection)
        relay.process.send_signal(signal.SIGTERM)
        self.assertIn(" open=1 ", relay.wait("relay.stopping"))
        with self.assertRaises(OSError):
            self.connect()
        self.works(connection)
        connection.close()
        self.assertEqual(relay.wait_end(), 0)
        self.assertIn(" relayed=1 cut=0", relay.said("relay.stopped")[0])
        self.assertFalse(os.path.exists(self.path("relay")))
        relay = self.relay(self.verifier())
        stuck = self.connect()
        self.works(stuck)
        relay.process.send_signal(signal.SIGTERM)
        relay.wait("relay.stopping")
        self.assertEqual(relay.stop(signal.SIGINT), 0)
        self.assertIn(" cut=1", relay.said("relay.stopped")[0])
        self.closed(stuck)


class Log(WithRelay):
    def log_relay(self, *options, listen=None, **more):
        self.out = open(self.path("out"), "w+b")  # pylint: disable=consider-using-with
        self.addCleanup(self.out.close)
        return self.relay("127.0.0.1:1", "--log-port", listen or f"unix:{self.path('log')}",
                          *options, **{"stdout": self.out, **more})

    def lines(self, count):
        until = time.monotonic() + TIMEOUT_S
        while True:
            with open(self.path("out"), "rb") as file:
                lines = file.read().split(b"\n")
            if len(lines) > count or time.monotonic() > until:
                self.assertEqual(lines.pop(), b"")
                return lines
            time.sleep(0.01)

    def test_lines(self):
        relay = self.log_relay()
        log = self.connect("log")
        log.sendall(b"vouchsafe-agent: one\nvouchsafe-ag")
        time.sleep(0.1)
        log.sendall(b"ent: two\r\n\x1b[31mred\xff\rcid=3 forged\n" + b"x" * 5000 + b"\nlast")
        self.assertEqual(self.lines(4)[:3], [b"peer=local vouchsafe-agent: one",
                                             b"peer=local vouchsafe-agent: two",
                                             b"peer=local ?[31mred??cid=3 forged"])
        self.assertEqual(self.lines(4)[3], b"peer=local " + b"x" * 1021 + b"...")
        log.close()
        self.assertEqual(self.lines(5)[4], b"peer=local last")
        other = self.connect("log")
        relay.process.send_signal(signal.SIGSTOP)  # all of it comes at once
        other.sendall((b"y" * 999 + b"\n") * 50 + b"last words")
        relay.process.send_signal(signal.SIGTERM)
        self.assertEqual(relay.stop(signal.SIGCONT), 0)
        self.assertEqual(self.lines(56)[5:], [b"peer=local " + b"y" * 999] * 50 +
                         [b"peer=local last words"])

    def test_too_many(self):
        """What one enclave has too much of is dropped and counted; another's lines are not."""
        port = free_port()
        relay = self.log_relay(listen=f"127.0.0.1:{port}")
        loud, quiet = (self.connect_from(f"127.0.0.{n}", port) for n in (2, 3))
        loud.sendall(b"noise\n" * 20000)
        quiet.sendall(b"needed\n")
        line = relay.wait("relay.lines_dropped")
        self.assertIn(" peer=127.0.0.2 lines=", line)
        lines = self.lines(201)
        self.assertIn(b"peer=127.0.0.3 needed", lines)
        self.assertLess(lines.count(b"peer=127.0.0.2 noise"), 400)

    def test_nobody_reads(self):
        """Standard output that is full holds nothing up."""
        read_end, write_end = os.pipe()
        verifier = self.verifier()
        relay = self.relay(verifier, "--log-port", f"unix:{self.path('log')}", stdout=write_end)
        os.close(write_end)
        log = self.connect("log")
        for _ in range(3):
            log.sendall((b"x" * 1000 + b"\n") * 150)
            time.sleep(1.1)
        self.works(self.connect())
        relay.wait("relay.lines_dropped")
        os.close(read_end)
        log.sendall(b"nobody is there at all\n")
        self.works(self.connect())

    def test_nobody_reads_either(self):
        """Nor does standard error, which is the same stream under systemd; what was lost is counted."""
        read_end, write_end = os.pipe()
        relay = subprocess.Popen(  # pylint: disable=consider-using-with
            [*RELAY, "--listen", f"unix:{self.path('relay')}", "--to",
             f"127.0.0.1:{self.verifier().port}", "--log-port", f"unix:{self.path('log')}"],
            stdout=write_end, stderr=write_end, env=clean_environment())
        self.addCleanup(relay.wait)
        self.addCleanup(relay.kill)
        with open(read_end, "rb") as reader:
            self.assertIn(b" ev=relay.ready ", reader.readline())
            filled = fill(write_end)
            os.close(write_end)
            log = self.connect("log")
            for _ in range(2):
                log.sendall(b"lost\n" * 20)
                time.sleep(1.5)  # it has something to say: how many lines that were
                with self.connect() as connection:
                    self.works(connection)
            reader.read(filled)
            relay.terminate()
            self.assertEqual(relay.wait(TIMEOUT_S), 0)
            self.assertRegex(reader.readline(), rb"^\S+ level=info ev=relay\.stopping .* lost=[1-9]\n$")
            self.assertRegex(reader.readline(), rb" ev=relay\.stopped relayed=2 cut=0\n$")

    def test_connections_count_as_others(self):
        self.log_relay("--connections-per-cid", "3")
        logs = [self.connect("log") for _ in range(4)]
        self.closed(logs[3])
        logs[0].sendall(b"here\n")
        self.assertEqual(self.lines(1), [b"peer=local here"])


class Releases(WithEnclave):
    def relayed(self, to, *options):
        relay = Process("--listen", f"unix:{self.store.path('relay')}", "--to", to, *options)
        self.addCleanup(relay.stop)
        return f"unix:{self.store.path('relay')}"

    def test_release(self):
        self.granted(self.fetch(verifier=self.relayed(self.store.ready["listen"])))

    def test_release_by_socat(self):
        """The page's other way, as it stands there but for vsock."""
        path = self.store.path("socat")
        socat = subprocess.Popen(["socat", f"UNIX-LISTEN:{path},fork",
                                  f"TCP:{self.store.ready['listen']}"])
        self.addCleanup(socat.wait)
        self.addCleanup(socat.terminate)
        until = time.monotonic() + TIMEOUT_S
        while not os.path.exists(path) and time.monotonic() < until:
            time.sleep(0.02)
        self.granted(self.fetch(verifier=f"unix:{path}"))


if __name__ == "__main__":
    unittest.main()
