#!/usr/bin/env python3
"""Goal of this test: whole programs, in which a seeded choice of calls fails, one by one or
many at once.  The server may refuse or stop, and never ends by a signal; no answer with a
secret leaves it before the record of it is in the database; started again without failures
it serves, and its log verifies.  The agent ends with one of its exit codes, and delivers
the whole secret or nothing.
"""
import base64
import http.client
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import unittest

import injector
from injector import ALLOC, FILE, HTTP, NAMES, NET, OPENSSL, SQLITE, SYSTEM, Injector, places

sys.path.append(os.path.join(injector.SOURCE, "tests/e2e"))
from enclave import AGENT, SECRET, VALUE, Relay, WithEnclave  # noqa: E402  pylint: disable=wrong-import-position
from parent_log import Log  # noqa: E402  pylint: disable=wrong-import-position
from server import BINARY, TIMEOUT_S, clean_environment  # noqa: E402  pylint: disable=wrong-import-position

ALL = ALLOC | OPENSSL | SQLITE | FILE | NET | SYSTEM | HTTP
FETCH_CODES = {0, 1, 2, 3}
RUN_CODES = {0, *range(120, 128)}


class Witness(Relay):
    """The parent, who holds each answer back until he has seen its record in the file."""

    def __init__(self, port, database):
        self.database = database
        self.challenges = []
        self.released = 0
        self.failed = 0  # answers other than 200, or none
        self.unrecorded = []
        self.lock = threading.Lock()
        super().__init__(port)

    def pass_on(self, path, body):
        try:
            status, kind, answer = super().pass_on(path, body)
        except (OSError, http.client.HTTPException):
            self.failed += 1
            return 502, "text/plain", b""
        with self.lock:
            self.failed += status != 200
            if status == 200 and path == "/v1/challenge":
                self.challenges.append(base64.b64decode(json.loads(answer)["challenge"]))
            if status == 200 and path == "/v1/release":
                self.released += 1
                document = base64.b64decode(json.loads(body)["attestation_document"])
                if not self.on_record(document):
                    self.unrecorded.append(answer)
        return status, kind, answer

    def on_record(self, document):
        """A grant that quotes the challenge which the document quotes."""
        (challenge,) = [c for c in self.challenges if c in document]
        db = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=TIMEOUT_S)
        rows = db.execute("SELECT record FROM audit WHERE event = 'release.granted'").fetchall()
        db.close()
        return sum(challenge in row[0] for row in rows) == 1


class ServerUnderFailure(WithEnclave):
    serve = False

    def setUp(self):
        super().setUp()
        self.injector = Injector(self.store.path("control"))
        self.store.environment = self.injector.environment()
        self.assertIsNone(self.store.start())
        self.store.environment = {}
        self.witness = Witness(int(self.store.ready["listen"].rpartition(":")[2]),
                               os.path.join(self.store.state, "vouchsafe.db"))
        self.addCleanup(self.witness.close)
        self.granted_before = 0

    def one(self, timeout_s=3):
        return self.fetch(verifier=self.witness.url, timeout_s=timeout_s)

    def sound(self, what):
        """The server lives, and nothing was released without its record."""
        self.assertIsNone(self.store.server.poll(), f"{what}: {self.store.log()[-2000:]}")
        self.assertEqual(self.witness.unrecorded, [], what)

    def delivered(self, run, what):
        """All of it, or nothing and an exit code that says so."""
        self.assertIn(run.returncode, FETCH_CODES, f"{what}: {run.stderr.decode()}")
        self.assertEqual(run.stdout, VALUE if run.returncode == 0 else b"", what)
        return run.returncode == 0

    def begin_anew(self):
        """Without failures: what is on disk is right, and the server serves."""
        self.injector.disarm()
        status = self.store.stop()
        self.assertIn(status, (0, 3), f"{self.injector.last}: {self.store.log()[-2000:]}")
        self.assertIsNone(self.store.start())
        self.assertTrue(self.json("audit", "verify")["valid"])
        self.assertGreaterEqual(len(self.records("release.granted")), self.witness.released)
        self.granted(self.fetch())

    def each(self, classes, wanted, variants=1, **settings):
        self.granted(self.one())
        self.injector.arm(classes, **settings)
        self.granted(self.one())
        calls, _ = self.injector.disarm()
        failures = refused = 0
        for variant in range(variants):
            for at in places(calls, wanted, injector.SEED + variant):
                self.injector.arm(classes, at=at, variant=variant, **settings)
                before = self.witness.failed
                run = self.one(timeout_s=1)
                _, failed = self.injector.disarm()
                what = f"seed {injector.SEED}: {self.injector.last}"
                failures += failed
                refused += self.witness.failed > before  # the agent may have asked again
                self.delivered(run, what)
                self.sound(what)
        self.assertGreater(failures, 0)
        print(f"server, one release: class {NAMES[classes]}, seed {injector.SEED}: {calls} calls, "
              f"{failures} failures, {refused} refused", flush=True)

    def test_sqlite(self):
        self.each(SQLITE, 12, variants=3)
        self.begin_anew()

    def test_openssl(self):
        self.each(OPENSSL, 25)
        self.begin_anew()

    def test_files(self):
        self.each(FILE, 25, variants=2)
        self.begin_anew()

    def test_network(self):
        self.each(NET, 15, variants=3)
        self.each(HTTP, 10)
        self.begin_anew()

    def test_memory(self):
        self.each(ALLOC, 60)
        self.each(SYSTEM, 10)
        self.begin_anew()

    def storm(self, seed, rate, rounds):
        """Agents at once, while one call in `rate` fails."""
        outcomes = []

        def agents():
            for _ in range(rounds):
                outcomes.append(self.one(timeout_s=2))

        self.injector.arm(ALL, rate=rate, seed=seed)
        threads = [threading.Thread(target=agents) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        calls, _ = self.injector.disarm()
        self.assertGreater(self.injector.get("failed"), 0, f"seed {seed}, one in {rate}")
        what = f"seed {seed}, one in {rate}: {self.injector.last}"
        succeeded = sum(self.delivered(run, what) for run in outcomes)
        self.sound(what)
        print(f"server, {len(outcomes)} agents: seed {seed}, one call in {rate}: {calls} calls, "
              f"{self.injector.get('failed')} failures, {succeeded} served", flush=True)
        return succeeded

    def test_storm(self):
        succeeded = 0
        for number, rate in enumerate((300, 1000, 5000)):
            succeeded += self.storm(injector.SEED * 10 + number, rate, max(1, 4 // injector.STRIDE))
            self.begin_anew()
            self.store.stop()
            self.store.environment = self.injector.environment()
            self.assertIsNone(self.store.start())
            self.store.environment = {}
            self.witness.verifier_port = int(self.store.ready["listen"].rpartition(":")[2])
        self.assertGreater(succeeded, 0, "no release came through: nothing was tried")

    def first_fetch(self):
        """OpenSSL 3.0 makes its tables at a program's first fetch, here in hkdf_extract, and
        dies where there is no memory for them: a lock that was not made is taken.  Whether
        the last failure was such a one."""
        found = re.search(r"^malloc fails.* in libcrypto\S*, for \+(0x[0-9a-f]+)", self.injector.last)
        if found is None:
            return False
        caller = subprocess.run(["addr2line", "-f", "-e", BINARY, found[1]], check=True,
                                capture_output=True, text=True)
        return caller.stdout.splitlines()[0] == "hkdf_extract"

    def test_start_and_stop(self):
        """A start that fails says why and writes nothing that the next one would not take."""
        self.store.stop()
        codes = set()
        for classes, wanted in ((SQLITE, 20), (FILE, 20), (OPENSSL, 15), (ALLOC, 20), (SYSTEM, 10),
                                (NET, 8), (HTTP, 3)):
            self.store.environment = {**self.injector.environment(), "INJECT_FILE": self.injector.path}
            self.injector.arm(classes)
            self.assertIsNone(self.store.start())
            self.store.stop()
            calls, _ = self.injector.disarm()
            failures = 0
            for at in places(calls, wanted):
                self.injector.arm(classes, at=at)
                try:
                    finished = self.store.start()
                except TimeoutError:  # it serves, and the line that says so is what was lost
                    self.assertRegex(self.injector.last, "^write", self.store.log())
                    finished = None
                status = self.store.stop() if finished is None else finished.returncode
                failures += self.injector.disarm()[1]
                if finished is not None and status not in (0, 2, 3) and self.first_fetch():
                    continue
                self.assertIn(status, (0, 2, 3), f"{self.injector.last}: {self.store.log()}")
                codes.add(status)
            self.assertGreater(failures, 0, NAMES[classes])
        self.assertIn(3, codes)
        self.store.environment = {}
        self.assertIsNone(self.store.start())
        self.assertTrue(self.json("audit", "verify")["valid"])
        self.granted(self.fetch())


class AgentUnderFailure(WithEnclave):
    def setUp(self):
        super().setUp()
        self.injector = Injector(self.store.path("control"))

    def log(self):
        log = Log(self.store.path("parent"))
        self.addCleanup(log.close)
        return log

    def steered(self, command, *words, timeout_s=3):
        return subprocess.run(
            [*AGENT, command, "--verifier", f"http://{self.store.ready['listen']}", "--issuer",
             self.issuer, "--nsm", self.module, "--root", self.root, "--timeout", str(timeout_s),
             *words], capture_output=True, check=False, timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL, env=clean_environment(**self.injector.environment(),
                                                             INJECT_PROGRAM=os.path.basename(AGENT[-1])))

    def each(self, command, words, codes, check, plan, own=0):
        for classes, wanted, variants in plan:
            self.injector.arm(classes, own=own)
            run = self.steered(command, *words)
            self.assertEqual(run.returncode, 0, run.stderr.decode())
            check(run, "nothing failed")
            calls, _ = self.injector.disarm()
            failures = lived = 0
            for variant in range(variants):
                for at in places(calls, wanted, injector.SEED + variant):
                    self.injector.arm(classes, at=at, variant=variant, own=own)
                    run = self.steered(command, *words)
                    _, failed = self.injector.disarm()
                    what = f"seed {injector.SEED}: {self.injector.last}: {run.stderr.decode()}"
                    self.assertIn(run.returncode, codes, what)
                    check(run, what)
                    failures += failed
                    lived += failed and run.returncode == 0
            self.assertGreater(failures, 0, NAMES[classes])
            print(f"agent {command} {words[0]}: class {NAMES[classes]}, seed {injector.SEED}: {calls} "
                  f"calls, {failures} failures, {lived} lived with", flush=True)

    def test_fetch_to_output(self):
        def check(run, what):
            self.assertEqual(run.stdout, VALUE if run.returncode == 0 else b"", what)

        self.each("fetch", ("--out", "-", "--log", self.log().url, SECRET), FETCH_CODES, check,
                  ((ALLOC, 40, 1), (OPENSSL, 30, 1), (NET, 10, 3), (SYSTEM, 8, 1)))

    def test_fetch_to_file(self):
        """The whole file or none, and nothing beside it; an enclave that was measured in part is
        measured to the end by the next."""
        folder = self.store.path("delivered")
        path = os.path.join(folder, SECRET)

        def check(run, what):
            left = [os.path.join(f, n) for f, _, names in os.walk(folder) for n in names]
            self.assertEqual(left, [path] if run.returncode == 0 else [], what)
            if left:
                with open(path, "rb") as file:
                    self.assertEqual(file.read(), VALUE, what)
                os.unlink(path)

        os.mkdir(folder)
        measured = f"16={self.world.image}"
        self.each("fetch", ("--dir", folder, "--extend", measured, SECRET), FETCH_CODES, check,
                  ((FILE, 30, 3), (OPENSSL, 10, 1), (ALLOC, 15, 1)))

    def test_log_of_the_program(self):
        """What the program says goes whole to the one place or the other."""
        log = self.log()

        def check(run, what):
            self.assertIn(run.stdout, (b"", b"said"), what)
            said = log.connections().count("said") + (run.stdout == b"said")
            self.assertEqual(said, run.returncode == 0, what)
            log.forget()

        self.each("run", ("--log", log.url, "--log-program", "--secret", SECRET, "--",
                          "/bin/sh", "-c", "printf said"), RUN_CODES, check,
                  ((FILE, 30, 1), (NET, 10, 1)))

    def test_run(self):
        """The program starts with the whole secret, or does not start."""
        def check(run, what):
            self.assertEqual(run.stdout, VALUE if run.returncode == 0 else b"", what)

        self.each("run", ("--secret", SECRET, "--", "/bin/sh", "-c",
                          "exec cat $WEB_MESSAGES_FILE"), RUN_CODES, check,
                  ((FILE, 30, 3), (SYSTEM, 10, 2), (ALLOC, 15, 1), (NET, 6, 2)))

    def test_run_delivered(self):
        """A file and a template: both are there, or neither."""
        folder = self.store.path("delivered")
        os.mkdir(folder)
        places = [os.path.join(folder, name) for name in ("key", "conf")]
        source = self.store.write("template", f"<{{{{secret {SECRET}}}}}>")

        def check(run, what):
            self.assertEqual(run.stdout, VALUE + b"<" + VALUE + b">" if run.returncode == 0 else b"",
                             what)
            self.assertEqual(len(os.listdir(folder)), 2 if run.returncode == 0 else 0, what)
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))

        self.each("run", ("--secret", SECRET, "--deliver", f"{SECRET}=file:{places[0]}", "--deliver",
                          f"{SECRET}=template:{source}:{places[1]},mode=0440", "--", "/bin/sh", "-c",
                          f"exec cat {' '.join(places)}"), RUN_CODES, check,
                  ((FILE, 15, 2), (SYSTEM, 6, 1), (ALLOC, 8, 1)))

    def test_run_supervised(self):
        """The same beside a supervisor; what it cannot know of its program, it ends."""
        folder = self.store.path("supervised")

        def check(run, what):
            self.assertIn(run.stdout, (VALUE,) if run.returncode == 0 else (VALUE, b""), what)
            self.assertEqual([n for _, _, names in os.walk(folder) for n in names], [], what)

        self.each("run", ("--secret", SECRET, "--dir", folder, "--refresh", "hup", "--", "/bin/sh",
                          "-c", "exec cat $WEB_MESSAGES_FILE"), RUN_CODES | {137}, check,
                  ((SYSTEM, 40, 2), (FILE, 25, 3), (NET, 10, 2), (ALLOC, 8, 1)), own=1)


if __name__ == "__main__":
    unittest.main()
