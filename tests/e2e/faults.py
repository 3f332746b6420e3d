#!/usr/bin/env python3
"""Goal of this test: clocks that differ, a server that starts anew or stops, a disk that is
full and a database that another program holds: each ends in an exact code or in the
secret, never in a release without a record, and no challenge counts twice.
"""
import http.client
import json
import os
import re
import resource
import signal
import sqlite3
import time
import unittest

from enclave import SECRET, WithEnclave
from server import TIMEOUT_S


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
