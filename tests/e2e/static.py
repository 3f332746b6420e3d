#!/usr/bin/env python3
"""Goal of this test: the static agent is one small file that needs nothing but itself.  In a
folder without libraries, devices and resolver it does a whole release, keeps to its memory, and
refuses names of hosts with a sentence that helps.
"""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from enclave import AGENT, SECRET, VALUE, WithEnclave
from release import make_ca
from server import TIMEOUT_S, WRAP, clean_environment

PROGRAM = AGENT[-1]
SIZE_MAX = 6 * 1024 * 1024
RESIDENT_MAX_KIB = 8 * 1024
SECRETS_MAX, SECRET_MAX = 16, 65536  # of one release, and the bytes of each
UNTOUCHED = {"MALLOC_PERTURB_": "0"}  # else meson has malloc write into all that it gives
AS_ROOT = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]


def readelf(*options):
    return subprocess.run(["readelf", "-W", *options, PROGRAM], check=True, capture_output=True,
                          text=True).stdout


class File(unittest.TestCase):
    def test_needs_nothing(self):
        text = readelf("-hld")
        self.assertRegex(text, r"Type: +DYN \(Position")
        self.assertNotRegex(text, "INTERP|NEEDED|R(UN)?PATH")

    def test_small(self):
        with tempfile.NamedTemporaryFile() as stripped:
            subprocess.run(["strip", "-o", stripped.name, PROGRAM], check=True)
            size = os.path.getsize(stripped.name)
        print(f"stripped: {size} bytes of at most {SIZE_MAX}")
        self.assertLessEqual(size, SIZE_MAX)

    def test_no_resolver(self):
        """glibc's would open shared libraries."""
        names = subprocess.run(["nm", PROGRAM], check=True, capture_output=True, text=True).stdout
        self.assertRegex(names, " T getaddrinfo\n")  # ours: absent.c
        self.assertNotRegex(names, r" [TtW] (__nss_database_get|__res_context_query|gaih_inet)")


class Alone(WithEnclave):
    """In a folder with nothing in it but the agent and its settings."""

    def setUp(self):
        super().setUp()
        self.place = self.store.path("place")
        os.mkdir(self.place)
        for source, name in ((PROGRAM, "vouchsafe-agent"), (self.issuer, "issuer.pem"),
                             (self.root, "root.pem")):
            shutil.copy(source, os.path.join(self.place, name))
        self.enclave_for(self.addCleanup, os.path.join(self.place, "nsm"))
        with open(os.path.join(self.place, "conf"), "w", encoding="ascii") as file:
            file.write(f"verifier = http://{self.store.ready['listen']}\nissuer = /issuer.pem\n"
                       "nsm = unix:/nsm\nroot = /root.pem\n")

    def words(self, command, *words):
        return [*AS_ROOT, "chroot", self.place, *WRAP, "/vouchsafe-agent", command, "--config",
                "/conf", *words]

    def alone(self, command, *words, **env):
        return subprocess.run(self.words(command, *words), capture_output=True, check=False,
                              timeout=TIMEOUT_S, env=clean_environment(**env))

    def test_release(self):
        run = self.alone("fetch", "--out", "/secret", SECRET)
        self.assertEqual(run.returncode, 0, run.stderr)
        with open(os.path.join(self.place, "secret"), "rb") as file:
            self.assertEqual(file.read(), VALUE)
        self.assertEqual(sorted(os.listdir(self.place)),
                         ["conf", "issuer.pem", "nsm", "root.pem", "secret", "vouchsafe-agent"])

    def test_becomes_a_program(self):
        """The only one that is there."""
        run = self.alone("run", "--secret", SECRET, "--", "/vouchsafe-agent", "--version")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertRegex(run.stdout, rb"^vouchsafe-agent [0-9.]+\n$")
        self.assertIn(f"received {SECRET} version 1".encode(), run.stderr)

    def test_no_openssl_cnf(self):
        """One that names a module stops every program that reads it."""
        with open(os.path.join(self.place, "openssl.cnf"), "w", encoding="ascii") as file:
            file.write("openssl_conf = a\nconfig_diagnostics = 1\n[a]\nproviders = b\n[b]\nc = d\n"
                       "[d]\nmodule = /none.so\nactivate = 1\n")
        run = self.alone("fetch", "--out", "-", SECRET, OPENSSL_CONF="/openssl.cnf")
        self.granted(run)

    def test_names_are_the_relays(self):
        for url in ("https://verifier.example:8443", "http://localhost"):
            for command, status in (("run", 125), ("fetch", 2)):
                words = ["--secret", SECRET, "--", "/vouchsafe-agent"] if command == "run" else [
                    "--out", "-", SECRET]
                run = self.alone(command, "--verifier", url, *words)
                self.assertEqual(run.returncode, status, run.stderr)
                self.assertIn(f"verifier \"{url}\": this static agent resolves no names: give "
                              "vsock://CID:PORT, unix:/PATH or an IP address, and let the relay on "
                              "the parent find the name", run.stderr.decode())

    def test_addresses_are_taken(self):
        """Nobody listens at port 1: to find that out, both were understood."""
        for host in ("127.0.0.1", "[::1]"):
            run = self.alone("fetch", "--verifier", f"http://{host}:1", "--timeout", "1", "--out",
                             "-", SECRET)
            self.assertEqual(run.returncode, 3, run.stderr)
            self.assertRegex(run.stderr.decode(), "cannot connect|unreachable")


class Memory(WithEnclave):
    """What the largest answer takes: 16 secrets of 64 KiB, over TLS."""
    serve = False

    def setUp(self):
        super().setUp()
        self.ca, leaf, key = make_ca(self.store.folder, "ca")
        self.assertIsNone(self.store.start("--tls-cert", leaf, "--tls-key", key))
        self.names = [f"large/{i}" for i in range(SECRETS_MAX)]
        for name in self.names:
            self.done("secret", "put", name, stdin=os.urandom(SECRET_MAX))
            self.done("grant", "add", name, "--image", "web")

    def start(self, *words):
        """GNU time runs the agent, and says what it took at the most, or a child of it."""
        secrets = [word for name in self.names for word in ("--secret", name)]
        return subprocess.Popen(
            ["time", "--format=%M", f"--output={self.store.path('peak')}", *AGENT, "run",
             "--verifier", f"https://{self.store.ready['listen']}", "--cacert", self.ca, "--issuer",
             self.issuer, "--nsm", self.module, "--root", self.root, *secrets, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=clean_environment(**UNTOUCHED))

    def small(self, what, path, pattern):
        with open(path, encoding="ascii") as file:
            peak_kib = int(re.search(pattern, file.read(), re.M)[1])
        print(f"resident, {what}: at most {peak_kib} KiB of {RESIDENT_MAX_KIB}")
        self.assertGreater(peak_kib, 1024)
        if not WRAP:
            self.assertLess(peak_kib, RESIDENT_MAX_KIB)

    def ended(self, what, timer):
        said = timer.communicate(timeout=TIMEOUT_S)[1]
        self.assertEqual(timer.returncode, 0, said.decode())
        self.small(what, self.store.path("peak"), r"^(\d+)$")

    def test_resident(self):
        self.ended("until it is the program", self.start("--", "true"))
        with self.start("--dir", self.store.path("secrets"), "--refresh", "hup",
                        "--refresh-signal", "none", "--", "cat") as timer:
            self.addCleanup(timer.kill)
            timer.stdin.write(b"the program runs\n")
            timer.stdin.flush()
            self.assertEqual(timer.stdout.readline(), b"the program runs\n")
            self.done("secret", "put", self.names[0], stdin=os.urandom(SECRET_MAX))
            with open(f"/proc/{timer.pid}/task/{timer.pid}/children", encoding="ascii") as file:
                agent = int(file.read())
            os.kill(agent, signal.SIGHUP)
            for line in timer.stderr:
                if b"refreshed: there are new files" in line:
                    break
            self.small("beside the program", f"/proc/{agent}/status", r"^VmHWM:\s+(\d+) kB$")
            self.ended("what it does for that program", timer)


if __name__ == "__main__":
    unittest.main()
