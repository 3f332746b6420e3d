#!/usr/bin/env python3
"""Goal of this test: the clients in docs/examples, written from PROTOCOL.md alone, get what the real
server gives them, and believe nothing else: not a single one of the lies of liar.py, which
vouchsafe-agent is told too.
"""
import ctypes
import os
import struct
import subprocess
import sys
import unittest
from unittest import mock

from cryptography.x509 import load_pem_x509_certificate

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ["VOUCHSAFE_SOURCE"]
PYTHON_SAMPLE = os.path.join(SOURCE, "docs/examples/python")
sys.path[:0] = [HERE, os.path.join(SOURCE, "tests/e2e"), PYTHON_SAMPLE]

import liar  # noqa: E402  pylint: disable=wrong-import-position
import vouchsafe_client  # noqa: E402  pylint: disable=wrong-import-position
from enclave import AGENT, SECRET, WithEnclave  # noqa: E402  pylint: disable=wrong-import-position
from server import TIMEOUT_S, clean_environment  # noqa: E402  pylint: disable=wrong-import-position

PROGRAMS = {"python": [sys.executable, "-B", os.path.join(PYTHON_SAMPLE, "get_secrets.py")],
            "go": [os.environ["VOUCHSAFE_GO_SAMPLE"]]}
# What is asked of the liar: one with a floor, one by its version.
WANTED = [vouchsafe_client.Wanted("web/key", min_version=5),
          vouchsafe_client.Wanted("db/named", version=3)]
WANTED_WORDS = ["--min-version", "web/key=5", "web/key", "db/named@3"]


class Samples(WithEnclave):
    def words(self, sample, verifier, issuer=None, **more):
        options = {"verifier": verifier, "issuer": issuer or self.issuer, "nsm": self.module,
                   "root": self.root, "dir": self.store.path("secrets-" + sample),
                   "timeout-s": "20", **more}
        return PROGRAMS[sample] + [word for name, value in options.items() if value is not None
                                   for word in ("--" + name, value)]

    def run_sample(self, sample, *words, **more):
        return subprocess.run([*self.words(sample, **more), *words], capture_output=True, check=False,
                              timeout=TIMEOUT_S, env=clean_environment(), text=True)

    def files(self, sample):
        folder = self.store.path("secrets-" + sample)
        return {os.path.relpath(os.path.join(at, name), folder): os.path.join(at, name)
                for at, _, names in os.walk(folder) for name in names}


class RealServer(Samples):
    """The server, as it is: what it releases is what arrives."""

    def ask(self, sample, *words, **more):
        return self.run_sample(sample, *words, verifier=f"http://{self.store.ready['listen']}", **more)

    def test_released(self):
        """Two secrets, one by its version and one by a floor, under a pinned store, with bytes of the
        application's own, which a grant demands."""
        self.done("secret", "put", SECRET, stdin=b"the second")
        self.done("secret", "put", "web/other", stdin=b"x" * 65536)
        self.done("grant", "add", "web/other", "--image", "web", "--application", "00ff41")
        store = self.json("status")["store_id"]
        for sample in PROGRAMS:
            with self.subTest(sample=sample):
                run = self.ask(sample, "--min-version", "web/other=1", SECRET + "@2", "web/other",
                               store=store, application="00ff41")
                self.assertEqual(run.returncode, 0, run.stderr)
                self.assertEqual(run.stdout, f"{SECRET} version 2, 10 bytes\n"
                                             "web/other version 1, 65536 bytes\n")
                found = self.files(sample)
                self.assertEqual(sorted(found), [SECRET, "web/other"])
                for folder in ("secrets-" + sample, f"secrets-{sample}/web"):
                    self.assertEqual(os.stat(self.store.path(folder)).st_mode & 0o7777, 0o700)
                for name, value in ((SECRET, b"the second"), ("web/other", b"x" * 65536)):
                    self.assertEqual(os.stat(found[name]).st_mode & 0o7777, 0o400)
                    with open(found[name], "rb") as file:
                        self.assertEqual(file.read(), value)
                self.assertEqual([item["name"] for item in
                                  self.records("release.granted")[-1]["secrets"]],
                                 [SECRET, "web/other"])

    def test_refused(self):
        """By the policy: once, and with what an administrator needs to explain it."""
        for sample in PROGRAMS:
            with self.subTest(sample=sample):
                before = len(self.records("release.refused"))
                run = self.ask(sample, SECRET, "web/nothing")
                self.assertEqual((run.returncode, run.stdout), (120, ""), run.stderr)
                request = self.records("release.refused")[-1]["request_id"]
                self.assertEqual(len(self.records("release.refused")), before + 1)
                for what in ("'refused'|\"refused\"", request, "PCR0 [0-9a-f]{96}",
                             "PCR2 [0-9a-f]{96}"):
                    self.assertRegex(run.stderr, what)
                self.assertEqual(self.files(sample), {})

    def test_own_settings(self):
        """What the client is told to trust, and what it may not ask for."""
        elsewhere = self.store.write("other.pem", "")
        liar_issuer = liar.ec.generate_private_key(liar.ec.SECP384R1()).public_key()
        with open(elsewhere, "wb") as file:
            file.write(liar_issuer.public_bytes(
                liar.serialization.Encoding.PEM, liar.serialization.PublicFormat.SubjectPublicKeyInfo))
        for sample in PROGRAMS:
            for status, text, words, more in (
                    (122, "key that is not trusted", [SECRET], {"issuer": elsewhere}),
                    (122, "which is not the pinned one", [SECRET], {"store": "00" * 16}),
                    (122, f"{SECRET} has version 1, demanded was 2 at least|refused",
                     ["--min-version", f"{SECRET}=2", SECRET], {}),
                    (123, "another root than the trusted one", [SECRET], {"root": None}),
                    (123, "none", [SECRET], {"nsm": "unix:/nonexistent/none"}),
                    (123, "/dev/zero", [SECRET], {"nsm": "/dev/zero"}),
                    (125, "each once", [SECRET, SECRET], {}),
                    (125, "secret's name", ["web//x"], {}),
                    (125, "public keys|PEM", [SECRET], {"issuer": self.root})):
                with self.subTest(sample=sample, text=text):
                    run = self.ask(sample, *words, **more)
                    if "refused" in text:  # the server is the first to hold a floor
                        status = 120
                    self.assertEqual((run.returncode, run.stdout), (status, ""), run.stderr)
                    self.assertRegex(run.stderr, text)


    def test_no_address(self):
        """At once, not after the time that a verifier has."""
        for sample in PROGRAMS:
            for verifier in ("vsock:3:8443", "vsock://3:4294967296", "http://host", "http://:80",
                             "unix:"):
                with self.subTest(sample=sample, verifier=verifier):
                    run = self.run_sample(sample, SECRET, verifier=verifier)
                    self.assertEqual((run.returncode, run.stdout), (125, ""), run.stderr)
                    self.assertRegex(run.stderr, "get.secrets: .* is no address of a verifier: .*\n$")


class Lies(Samples):
    serve = False

    def setUp(self):
        super().setUp()
        self.path = self.store.path("liar.sock")
        self.liar = liar.Liar(self.path)
        self.addCleanup(self.liar.close)
        self.liar_issuer = self.store.path("liar.pem")
        with open(self.liar_issuer, "wb") as file:
            file.write(self.liar.issuer_pem())
        with open(self.root, "rb") as file:
            root = load_pem_x509_certificate(file.read()).fingerprint(liar.hashes.SHA256())
        self.client = vouchsafe_client.Client(
            f"unix:{self.path}", vouchsafe_client.load_issuers(self.liar_issuer), root,
            nsm_at=self.module, timeout_s=20)

    def ask_python(self):
        """In this process; what get_secrets.py adds was seen above."""
        self.client.timeout_s = self.timeout_s()
        try:
            return 0, [(item.name, item.version, item.value) for item in self.client.release(WANTED)]
        except vouchsafe_client.Error as error:
            return error.status, str(error)

    def timeout_s(self):
        return 0.4 if self.liar.lie == "half_an_answer" else 20

    def ask_go(self):
        run = self.run_sample("go", *WANTED_WORDS, verifier=f"unix:{self.path}",
                              issuer=self.liar_issuer, **{"timeout-s": str(self.timeout_s())})
        return run.returncode, run.stderr if run.returncode else "released"

    def ask_agent(self):
        run = subprocess.run(
            [*AGENT, "run", "--verifier", f"unix:{self.path}", "--issuer", self.liar_issuer,
             "--nsm", self.module, "--root", self.root, "--timeout", "1" if
             self.liar.lie == "half_an_answer" else "20", "--secret", "web/key", "--secret",
             "db/named@3", "--min-version", "web/key=5", "--", "true"], capture_output=True,
            check=False, timeout=TIMEOUT_S, env=clean_environment(), text=True)
        return run.returncode, run.stderr

    def test_honest(self):
        """Without a lie all of them are content: it is the lie that they find."""
        self.assertEqual(self.ask_python(), (0, [("web/key", 7, b"web/key"), ("db/named", 3, b"db/named")]))
        for ask in (self.ask_go, self.ask_agent):
            status, said = ask()
            self.assertEqual(status, 0, said)

    def test_lies(self):
        self.ask_python()  # so that there is an answer from before
        for name, told in liar.LIES.items():
            self.liar.lie = name
            self.client.held.clear()
            self.client.store = None
            for ask in (self.ask_python, self.ask_go, self.ask_agent):
                with self.subTest(lie=name, client=ask.__name__):
                    status, said = ask()
                    self.assertEqual(status, told.status, said)
                    if ask != self.ask_agent:
                        self.assertRegex(said.strip(), told.says)
                    else:
                        self.assertIn(told.advice, said.splitlines()[-1])
        self.assertEqual(self.files("go"), {})
        print(f"{len(liar.LIES)} lies, told to 3 clients")

    def test_ioctl(self):
        """/dev/nsm as section 3 has it, of the Python client: the kernel is a function here that reads
        and writes at the addresses that it is given."""
        def kernel(_, number, raw):
            request, request_len, reply, reply_len = struct.unpack("=4Q", raw)
            self.assertEqual((number, reply_len), (0xC0200A00, 12288))
            answer = vouchsafe_client.nsm_exchange(
                self.module, ctypes.string_at(request, request_len))
            ctypes.memmove(reply, answer, len(answer))
            raw[24:] = struct.pack("=Q", len(answer))
        self.client.nsm_at = os.devnull
        with mock.patch.object(vouchsafe_client.fcntl, "ioctl", kernel):
            self.assertEqual(self.ask_python()[0], 0)

    def test_older_than_held(self):
        """One process, a second request: not below what it has held, even where no floor is set."""
        wanted = [vouchsafe_client.Wanted("web/key")]
        self.assertEqual(self.client.release(wanted)[0].version, 7)
        with mock.patch.object(liar, "OPEN_VERSION", 6):
            with self.assertRaisesRegex(vouchsafe_client.NotAuthentic, "held before was 7"):
                self.client.release(wanted)
        words = self.words("go", verifier=f"unix:{self.path}", issuer=self.liar_issuer,
                           **{"refresh-s": "0.05"})
        with subprocess.Popen([*words, "web/key"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=clean_environment(), text=True) as process:
            self.assertEqual(process.stdout.readline(), "web/key version 7, 7 bytes\n")
            with mock.patch.object(liar, "OPEN_VERSION", 6):
                said = [process.stderr.readline() for _ in range(2)][-1]
            process.kill()
        self.assertRegex(said, "held before was 7")
        with open(self.files("go")["web/key"], "rb") as file:
            self.assertEqual(file.read(), b"web/key")


    def test_another_store_than_before(self):
        """One process, a second request: no other store of the same issuer answers."""
        wanted = [vouchsafe_client.Wanted("web/key")]
        self.client.release(wanted)
        words = self.words("go", verifier=f"unix:{self.path}", issuer=self.liar_issuer,
                           **{"refresh-s": "0.05"})
        with subprocess.Popen([*words, "web/key"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=clean_environment(), text=True) as process:
            self.assertEqual(process.stdout.readline(), "web/key version 7, 7 bytes\n")
            self.liar.store = os.urandom(16)
            said = [process.stderr.readline() for _ in range(2)][-1]
            process.kill()
        self.assertRegex(said, f"store {self.liar.store.hex()}, which is not the pinned one")
        with self.assertRaisesRegex(vouchsafe_client.NotAuthentic, "which is not the pinned one"):
            self.client.release(wanted)


class Retries(Samples):
    """PROTOCOL section 1: what is asked again, and how often."""
    serve = False

    def test_retries(self):
        from agent import Script, problem  # noqa: E402  (it wants the peer's path)
        for code, status, retryable, requests in (
                ("challenge_expired", 409, True, 4), ("document_stale", 403, True, 2),
                ("refused", 403, False, 1), ("new_and_final", 418, False, 1)):
            for sample in PROGRAMS:
                with self.subTest(sample=sample, code=code):
                    challenge = (200, {"challenge": "A" * 74 + "A=", "expires_in_s": 120}, {})
                    with Script([problem(status, code, retryable=retryable)], [challenge]) as script:
                        run = self.run_sample(sample, SECRET, verifier=script.url)
                    self.assertEqual(run.returncode, 120, run.stderr)
                    self.assertIn(f"the detail of {code}", run.stderr)
                    self.assertEqual(script.count("/v1/release"), requests)
                    self.assertEqual(script.count("/v1/challenge"), requests)
        for sample in PROGRAMS:
            with Script([problem(503, "busy", {"Retry-After": "1"}, True), (200, b"{}", {})],
                        [challenge]) as script:
                run = self.run_sample(sample, SECRET, verifier=script.url)
            self.assertEqual(run.returncode, 122, run.stderr)
            times = [at for path, _, at in script.asked if path == "/v1/release"]
            self.assertEqual(len(times), 2)
            self.assertGreaterEqual(times[1] - times[0], 1)


class Pins(unittest.TestCase):
    def test_pins(self):
        """What the sample installs is what this test runs it with, hash for hash."""
        pins = []
        for path in ("docs/examples/python/requirements.txt", "tests/interop/requirements.txt"):
            with open(os.path.join(SOURCE, path), encoding="ascii") as file:
                pins.append([line for line in file if not line.startswith("#")])
        self.assertEqual(pins[0], pins[1])


if __name__ == "__main__":
    unittest.main()
