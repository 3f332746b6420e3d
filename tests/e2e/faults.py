#!/usr/bin/env python3
"""Goal of this test: clocks that differ, a server that starts anew or stops, a second one, a
database put back to an older copy, a disk that is full and a database that another program
holds: each ends in an exact code or in the secret, never in a release without a record, and
no challenge counts twice.
"""
import http.client
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import time
import unittest

from enclave import SECRET, WithEnclave
from server import PROGRAM, TIMEOUT_S, Store, WithStore, clean_environment, pcr


def wait_for(what, ready):
    until = time.monotonic() + TIMEOUT_S
    while not ready():
        if time.monotonic() > until:
            raise TimeoutError(what)
        time.sleep(0.01)


class Clocks(WithEnclave):
    """The enclave's clock is right, the server's is not, or the other way round."""

    serve = False

    def start_shifted(self, offset):
        self.store.shift_clock(offset)
        self.assertIsNone(self.store.start())

    def refused_twice(self, code, recorded, module=None):
        """Refused, asked once more from a new challenge, and refused for good."""
        run = self.agent("run", "--secret", SECRET, "--", "echo", "runs", module=module)
        text = self.denied(run, code, 120)
        self.assertEqual(text.count("asking again from a new challenge"), 1)
        counters = self.json("status")["counters"]
        self.assertEqual((counters["challenges"], counters["granted"]), (2, 0))
        self.assertEqual([r["code"] for r in self.records("release.refused")], [code] * recorded)

    def test_server_ahead_by_hours(self):
        """Beyond the leaf's three hours.  Not past V3, so not on record."""
        self.start_shifted("+4h")
        self.refused_twice("certificate_expired", 0)

    def test_server_ahead_by_minutes(self):
        self.start_shifted("+10m")
        self.refused_twice("document_stale", 2)

    def test_server_behind_by_minutes(self):
        """A leaf is made moments before its first document: for a server that is behind by
        more than the leeway of a minute it is the certificate that lies in the future."""
        self.start_shifted("-10m")
        self.refused_twice("certificate_not_yet_valid", 0)

    def test_server_within_bounds(self):
        for offset in ("+4m", "-50s"):
            self.start_shifted(offset)
            self.granted(self.fetch())
            self.store.stop()

    def test_document_of_another_time(self):
        """Certificates are of now, the document is not."""
        self.assertIsNone(self.store.start())
        for skew, code in (("600", "document_from_future"), ("-600", "document_stale")):
            module = self.enclave(code, "--timestamp-skew-s", skew)
            run = self.agent("run", "--secret", SECRET, "--", "true", module=module)
            self.denied(run, code, 120)
        for skew in ("240", "-240"):
            self.granted(self.fetch(module=self.enclave("skew" + skew, "--timestamp-skew-s",
                                                        skew)))

    def test_delegation_expired(self):
        """Ninety-one days later, for everybody: the server says so instead of recording
        releases that every agent would refuse."""
        self.start_shifted("+91d")
        module = self.enclave("later.sock", **self.store.environment)
        run = self.agent("run", "--secret", SECRET, "--", "echo", "runs", module=module,
                         timeout_s=3)
        text = self.denied(run, "unreachable", 121)
        self.assertIn("the verifier says delegation_expired", text)
        self.assertEqual(self.records("release.granted"), [])
        self.assertIn("vouchsafe issuer delegate", self.store.log())
        self.done("issuer", "delegate", "--key", os.path.join(self.store.state, "issuer.key"))
        self.granted(self.fetch(module=module))

    def test_delegated_by_a_wrong_clock(self):
        """One that is not valid yet takes no valid one's place."""
        self.assertIsNone(self.store.start())
        self.store.shift_clock("+2h")
        self.refused("delegation_expired", "issuer", "delegate", "--key",
                     os.path.join(self.store.state, "issuer.key"), status=3)
        self.granted(self.fetch())


class Restarts(WithEnclave):
    def setUp(self):
        super().setUp()
        self.parent = self.relay()

    def restart(self):
        self.assertEqual(self.store.stop(), 0)
        self.assertIsNone(self.store.start())
        self.parent.verifier_port = int(self.store.ready["listen"].rpartition(":")[2])

    def test_challenge_outlives_the_server(self):
        def restart_first(body):
            self.parent.on_release = None
            self.restart()
            return self.parent.pass_on("/v1/release", body)

        self.parent.on_release = restart_first
        text = self.granted(self.fetch(verifier=self.parent.url))
        self.assertNotIn("asking again", text)
        self.assertEqual(self.json("status")["counters"]["challenges"], 0)

    def test_replay_after_restart(self):
        self.granted(self.fetch(verifier=self.parent.url))
        self.restart()
        status, _, body = self.parent.send("/v1/release", self.parent.requests[0])
        self.assertEqual((status, json.loads(body)["code"]), (409, "challenge_redeemed"))
        # Killed, it cannot write anything at its end.
        self.granted(self.fetch(verifier=self.parent.url))
        self.store.stop(signal.SIGKILL)
        self.assertIsNone(self.store.start())
        self.parent.verifier_port = int(self.store.ready["listen"].rpartition(":")[2])
        for request in self.parent.requests:
            status, _, body = self.parent.send("/v1/release", request)
            self.assertEqual((status, json.loads(body)["code"]), (409, "challenge_redeemed"))
        self.assertEqual(len(self.records("release.granted")), 2)
        self.assertTrue(self.json("audit", "verify")["valid"])

    def unread(self, connection):
        """How many bytes the server has not read yet of what came by that connection."""
        port = connection.sock.getsockname()[1]
        with open("/proc/net/tcp", encoding="ascii") as file:
            for line in file:
                _, local, remote, _, queues = line.split()[:5]
                if (local.endswith(f":{self.parent.verifier_port:04X}")
                        and remote.endswith(f":{port:04X}")):
                    return int(queues.partition(":")[2], 16)
        raise LookupError("no such connection")

    def test_stopped_while_releasing(self):
        """The release that has begun ends as if nothing were; then the server stops."""
        server = self.store.server

        def stop_meanwhile(body):
            # The release waits for the database, for less than a second.
            other = sqlite3.connect(os.path.join(self.store.state, "vouchsafe.db"),
                                    isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            connection = http.client.HTTPConnection("127.0.0.1", self.parent.verifier_port,
                                                    timeout=TIMEOUT_S)
            connection.request("POST", "/v1/release", body, {"Content-Type": "application/json"})
            wait_for("the request to be read", lambda: self.unread(connection) == 0)
            server.send_signal(signal.SIGTERM)
            wait_for("the stop", lambda: " ev=serve.stopping " in self.store.log())
            other.close()
            answer = connection.getresponse()
            result = answer.status, answer.getheader("Content-Type"), answer.read()
            connection.close()
            return result

        self.parent.on_release = stop_meanwhile
        self.granted(self.fetch(verifier=self.parent.url))
        self.assertEqual(server.wait(TIMEOUT_S), 0)
        self.store.server = None
        self.assertIn(" ev=serve.stopped requests_cut_off=no", self.store.log())
        self.assertIsNone(self.store.start())
        self.assertEqual(len(self.records("release.granted")), 1)


class Anchor(WithStore):
    """What every MAC in an older copy of the database cannot tell."""

    def setUp(self):
        super().setUp()
        self.check(self.store.init(), 0)
        self.path = self.store.path("anchor")
        self.option = ["--anchor-file", self.path]

    def anchor(self):
        """(store, revision, sequence)"""
        with open(self.path, encoding="ascii") as file:
            found = re.fullmatch(r"store ([0-9a-f]{32})\nrevision (\d+)\nsequence (\d+)\n",
                                 file.read())
        self.assertIsNotNone(found)
        return found[1], int(found[2]), int(found[3])

    def add(self, version):
        self.done("measurement", "add", f"payments@{version}", "--pcr", f"0={pcr(version)}",
                  "--pcr", f"1={pcr('1')}", "--pcr", f"2={pcr('2' + version)}")

    def newest(self):
        (row,) = self.sql("SELECT max(sequence) FROM audit")
        return row[0]

    def sql(self, statement):
        db = sqlite3.connect(os.path.join(self.store.state, "vouchsafe.db"))
        rows = db.execute(statement).fetchall()
        db.close()
        return rows

    def test_moves(self):
        """With every change and every checkpoint, so at the start and at the stop."""
        self.assertIsNone(self.store.start(*self.option))
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        store, revision, sequence = self.anchor()
        self.assertEqual(store, self.json("status")["store_id"])
        self.assertEqual(sequence, self.newest())
        self.add("1")
        self.assertEqual(self.anchor(), (store, revision + 1, self.newest()))
        self.assertGreater(self.newest(), sequence)
        self.store.stop()
        self.assertEqual(self.anchor(), (store, revision + 1, self.newest()))
        (row,) = self.sql("SELECT event FROM audit ORDER BY sequence DESC LIMIT 1")
        self.assertEqual(row[0], "serve.stop")
        self.assertIsNone(self.store.start(*self.option))
        self.assertEqual(self.anchor(), (store, revision + 1, self.newest()))

    def test_older_copy(self):
        self.assertIsNone(self.store.start(*self.option))
        self.add("1")
        self.store.stop()
        older = self.store.read("vouchsafe.db")
        self.assertIsNone(self.store.start(*self.option))
        self.add("2")
        self.store.stop()
        newer = self.store.read("vouchsafe.db")
        before = self.anchor()
        self.store.write("state/vouchsafe.db", older)
        for _ in range(2):
            self.assertEqual(self.not_started("store_tampered", "anchor_file", *self.option), 3)
        self.refused("store_tampered", "serve", "--check", *self.option, status=3,
                     says="anchor_file")
        self.assertEqual(self.anchor(), before)
        # Genuine in itself: without the anchor nothing would be noticed.
        self.done("serve", "--check")
        self.store.write("state/vouchsafe.db", newer)
        self.done("serve", "--check", *self.option)
        self.assertIsNone(self.store.start(*self.option))

    def test_another_stores(self):
        other = Store()
        self.addCleanup(other.close)
        self.check(other.init(), 0)
        self.assertIsNone(other.start(*self.option))
        other.stop()
        before = self.anchor()
        self.assertEqual(self.not_started("config", "anchor_file", *self.option), 2)
        self.refused("config", "serve", "--check", *self.option, status=2, says="anchor_file")
        self.assertEqual(self.anchor(), before)
        self.store.write("anchor", "no anchor")
        self.assertEqual(self.not_started("config", "anchor_file", *self.option), 2)
        self.refused("config", "serve", "--check", *self.option, status=2, says="anchor_file")

    def test_check_makes_none(self):
        sequence = self.newest()
        self.done("serve", "--check", *self.option)
        self.assertFalse(os.path.exists(self.path))
        self.assertEqual(self.newest(), sequence)


class OneServer(WithStore):
    def setUp(self):
        super().setUp()
        self.check(self.store.init(), 0)

    def test_second(self):
        self.assertIsNone(self.store.start())
        first = self.store.server
        run = self.store.run("serve", "--listen", "127.0.0.1:0", "--admin-socket",
                             self.store.path("other.sock"))
        self.assertEqual(run.returncode, 3)
        last = run.stderr.decode().splitlines()[-1]
        self.assertTrue(last.startswith("vouchsafe: busy: another server runs on this store: "),
                        last)
        self.refused("busy", "serve", "--check", status=3,
                     says="a server runs on this store; it was checked when it started")
        self.assertIsNone(first.poll())
        self.assertEqual(self.json("status")["kind"], "production")
        # Killed, it leaves a lock file that locks nothing.
        self.store.stop(signal.SIGKILL)
        self.assertTrue(os.path.exists(os.path.join(self.store.state, "vouchsafe.db.lock")))
        self.done("serve", "--check")
        self.assertIsNone(self.store.start())

    def test_busy_before_opened(self):
        """A newer program's migration would be the first thing that opening does: the lock
        comes before anything in the database is looked at."""
        self.assertIsNone(self.store.start())
        path = os.path.join(self.store.state, "vouchsafe.db")
        moved = self.store.path("moved.db")
        os.rename(path, moved)
        try:
            self.store.write("state/vouchsafe.db", "no database")
            self.refused("busy", "serve", "--check", status=3)
            run = self.store.run("serve", "--listen", "127.0.0.1:0")
            self.assertIn(b"vouchsafe: busy: ", run.stderr)
        finally:
            os.rename(moved, path)

    def test_no_store(self):
        """Nothing is left behind where there is none."""
        shutil.rmtree(self.store.state)
        os.mkdir(self.store.state)
        self.refused("file", "serve", "--check", status=3, says="vouchsafe init")
        self.assertEqual(self.not_started("file", "vouchsafe init"), 3)
        self.assertEqual(os.listdir(self.store.state), [])

    def test_relative_state(self):
        """From the directory above, server and client alike."""
        def run(*args):
            return subprocess.run([*PROGRAM, *args, "--state", "./state"], cwd=self.store.folder,
                                  capture_output=True, check=False, timeout=TIMEOUT_S,
                                  env=clean_environment())

        self.check(run("serve", "--check"), 0)
        with open(self.store.log_path, "wb") as log:
            self.store.server = subprocess.Popen(
                [*PROGRAM, "serve", "--state", "state", "--listen", "127.0.0.1:0"],
                cwd=self.store.folder, stderr=log, stdin=subprocess.DEVNULL,
                env=clean_environment())
        wait_for("the server", lambda: " ev=serve.ready " in self.store.log())
        self.check(run("status"), 0)
        self.json("status")
        self.assertEqual(self.store.stop(), 0)

    def test_long_state(self):
        state = self.store.path("s" * 100)
        os.rename(self.store.state, state)
        self.refused("config", "serve", "--check", "--state", state, status=2,
                     says="admin_socket: a socket's path has at most 107 bytes")


class Disk(WithEnclave):
    def no_release(self, says, timeout_s=2):
        run = self.agent("run", "--secret", SECRET, "--", "echo", "runs", timeout_s=timeout_s)
        text = self.denied(run, "unreachable", 121)
        self.assertIn(f"the verifier says {says}", text)
        # What fails on the server's side is not for strangers.
        self.assertNotIn(self.store.state, text)
        self.assertNotIn("SQL", text)

    def released(self):
        """Serves again, and the log shows one release, without a gap."""
        self.granted(self.fetch())
        self.assertEqual(len(self.records("release.granted")), 1)
        self.assertEqual(self.records("release.refused"), [])
        self.assertTrue(self.json("audit", "verify")["valid"])

    def test_full(self):
        """As on a full disk: the write-ahead log cannot grow."""
        pid = self.store.server.pid
        size = os.path.getsize(os.path.join(self.store.state, "vouchsafe.db-wal"))
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
        self.no_release("store_failed")
        line = re.search(r".* ev=release\.refused .*err=store_failed .*", self.store.log())
        self.assertIsNotNone(line, self.store.log())
        self.assertIn("disk I/O error", line[0])
        # It runs on, and says to administrators, too, what is wrong.
        self.assertEqual(self.json("status")["counters"]["granted"], 0)
        self.refused("store_failed", "grant", "remove", "1", status=3)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
        self.released()

    def test_full_at_the_end(self):
        """It cannot record its stop, says so, and nothing is lost."""
        self.granted(self.fetch())
        resource.prlimit(self.store.server.pid, resource.RLIMIT_FSIZE, (8192, 8192))
        self.assertEqual(self.store.stop(), 3)
        self.assertIn("\nvouchsafe: store_failed: disk I/O error", self.store.log())
        self.assertIsNone(self.store.start())
        self.assertEqual(len(self.records("release.granted")), 1)
        self.assertTrue(self.json("audit", "verify")["valid"])

    def test_locked(self):
        other = sqlite3.connect(os.path.join(self.store.state, "vouchsafe.db"),
                                isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        self.no_release("busy", timeout_s=4)
        self.assertIn("database is locked", self.store.log())
        other.execute("ROLLBACK")
        self.released()


if __name__ == "__main__":
    unittest.main()
