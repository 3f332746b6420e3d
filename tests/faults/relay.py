#!/usr/bin/env python3
"""Goal of this test: vouchsafe-vsock-relay while calls of the system fail.  A start either works
or ends with a sentence; an exchange comes through whole or its connection ends; the next one
comes through, and no descriptor is left open.
"""
import contextlib
import os
import select
import socket
import subprocess
import sys
import time
import unittest

import injector
from injector import ALLOC, FILE, NET, SYSTEM, Injector, places

sys.path.append(os.path.join(injector.SOURCE, "tests/e2e"))
from vsock_relay import RELAY, WithRelay, read_some  # noqa: E402  pylint: disable=wrong-import-position
from server import TIMEOUT_S, clean_environment  # noqa: E402  pylint: disable=wrong-import-position

ALL = ALLOC | FILE | NET | SYSTEM
DATA = bytes(range(256)) * 100
ENDED = "epoll_wait fails (-1, errno 12)"  # which ends the relay, with a sentence: it could only spin


class RelayUnderFailure(WithRelay):
    def begin(self):
        self.injector = Injector(self.path("control"))
        self.server = self.verifier()
        with open(self.path("lines"), "wb") as out:
            self.process = self.relay(self.server, "--log-port", f"unix:{self.path('log')}",
                                      stdout=out,
                                      more={"env": clean_environment(
                                          **self.injector.environment())})

    def exchange(self):
        """True where it came through: whole, or not at all."""
        self.log("a line\n")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_S)
            got = b""
            with contextlib.suppress(OSError):
                connection.connect(self.path("relay"))
                connection.sendall(DATA)
                connection.shutdown(socket.SHUT_WR)
                got = read_some(connection, len(DATA) + 1)
        self.assertTrue(DATA.startswith(got), "it came through changed")
        return got == DATA

    def log(self, text):
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
            connection.connect(self.path("log"))
            connection.sendall(text.encode())

    def files(self):
        return len(os.listdir(f"/proc/{self.process.process.pid}/fd"))

    def settled(self, files, what):
        until = time.monotonic() + TIMEOUT_S
        while self.files() != files:
            if time.monotonic() > until:
                self.fail(f"{what}: {self.files()} descriptors, {files} before")
            time.sleep(0.01)

    def test_exchanges(self):
        self.begin()
        self.assertTrue(self.exchange())
        time.sleep(0.1)
        files = self.files()
        self.injector.arm(ALL)
        self.assertTrue(self.exchange())
        time.sleep(0.1)
        calls, _ = self.injector.disarm()
        lost = ended = failures = tried = 0
        for variant in range(3):
            for at in places(calls, 60, injector.SEED + variant):
                tried += 1
                self.injector.arm(ALL, at=at, variant=variant)
                through = self.exchange()
                time.sleep(0.02)
                _, failed = self.injector.disarm()
                what = f"seed {injector.SEED}, variant {variant}: {self.injector.last}"
                failures += failed
                lost += not through
                if ENDED in self.injector.last:
                    self.assertEqual(self.process.wait_end(), 1, what)
                    self.assertIn("vouchsafe-vsock-relay: epoll_wait: ", self.process.lines[-1])
                    ended += 1
                    self.begin()
                self.assertTrue(self.exchange(), what)
                self.settled(files, what)
        # Not each: an exchange makes a few calls more or less each time.
        self.assertGreater(failures, tried / 2)
        self.assertGreater(lost, 0)
        print(f"relay: seed {injector.SEED}: {calls} calls an exchange, {failures} failures, "
              f"{lost} exchanges lost, {ended} ends", flush=True)

    def test_start(self):
        codes = []
        server = self.verifier()
        for at in range(1, 200):
            path = self.path(f"start{at}")
            process = subprocess.Popen(
                [*RELAY, "--listen", f"unix:{path}", "--to", f"localhost:{server.port}"],
                stderr=subprocess.PIPE,
                env=clean_environment(LD_PRELOAD=injector.LIBRARY,
                                      INJECT=f"classes={ALL} at={at} own=1 variant={at % 3}",
                                      **injector.sanitizers_second()))
            # The line itself may be what is lost.
            said = select.select([process.stderr], [], [], 1)[0] and process.stderr.readline()
            ready = not said or b" ev=relay.ready " in said
            if ready:
                process.terminate()
            said = process.communicate(timeout=TIMEOUT_S)[1]
            codes.append(process.returncode)
            self.assertIn(process.returncode, (0, 1, 2), f"call {at}: {said.decode()}")
            self.assertFalse(os.path.exists(path), f"call {at}: its socket is left")
            if ready and process.returncode == 0 and at > 40:
                break
        self.assertGreater(sum(code != 0 for code in codes), 5)
        self.assertEqual(codes[-1], 0)


if __name__ == "__main__":
    unittest.main()
