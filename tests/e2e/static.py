#!/usr/bin/env python3
"""Goal of this test: the static agent is one small file that needs nothing but itself.  In a
folder without libraries, devices and resolver it does a whole release, keeps to its memory, and
refuses names of hosts with a sentence that helps.
"""
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from enclave import AGENT, SECRET, VALUE, WithEnclave
from server import TIMEOUT_S, WRAP, clean_environment

PROGRAM = AGENT[-1]
SIZE_MAX = 6 * 1024 * 1024
RESIDENT_MAX_KIB = 8 * 1024
PIPE_LEN = 4096
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

    def test_resident(self):
        """Read while it writes what it has received into a pipe that is full."""
        self.done("secret", "put", "large", stdin=bytes(2 * PIPE_LEN))
        self.done("grant", "add", "large", "--image", "web")
        ours, its = os.pipe()
        with os.fdopen(ours, "rb", buffering=0) as pipe:
            fcntl.fcntl(its, fcntl.F_SETPIPE_SZ, PIPE_LEN)
            with subprocess.Popen(self.words("fetch", "--out", "-", "large"), stdout=its,
                                  stderr=subprocess.DEVNULL, env=clean_environment()) as process:
                os.close(its)
                first = pipe.read(1)
                with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
                    status = file.read()
                self.assertEqual(len(first + pipe.read()), 2 * PIPE_LEN)
            self.assertEqual(process.returncode, 0)
        peak_kib = int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)[1])
        self.assertIn("Name:\tvouchsafe-agent\n", status)
        print(f"resident: at most {peak_kib} KiB of {RESIDENT_MAX_KIB}")
        if not WRAP:
            self.assertLess(peak_kib, RESIDENT_MAX_KIB)


if __name__ == "__main__":
    unittest.main()
