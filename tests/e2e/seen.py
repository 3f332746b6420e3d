#!/usr/bin/env python3
"""Goal of this test: what an enclave says reaches the parent, whole and in time, and a parent that
is away or does not read stops nothing; what its NSM does wrong is named, with what to do; and a
configuration that is measured (--extend) is what a grant demands.

The parent's side of the log is a Unix socket here, and vsock in tests/e2e/vm.
"""
import json
import os
import re
import socket
import subprocess
import threading
import time
import unittest

import agent
from agent import AGENT, REQUEST_ID, Agent, Script, problem, value
from enclave import SECRET, VALUE, WithEnclave
from parent_log import Log

ZERO = "0" * 96


class CannedNsm:
    """An NSM in front of the simulator: `answer(request)` gives other bytes, or None for the
    simulator's.  Remembers what was asked, and when."""

    def __init__(self, path, simulator, answer=lambda request: None):
        self.url = f"unix:{path}"
        self.simulator = simulator.removeprefix("unix:")
        self.answer = answer
        self.asked = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(8)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as simulator:
            simulator.connect(self.simulator)
            while request := connection.recv(65536):
                self.asked.append((request, time.monotonic()))
                reply = self.answer(request)
                if reply is None:
                    simulator.send(request)
                    reply = simulator.recv(65536)
                try:
                    connection.send(reply)
                except OSError:
                    return

    def close(self):
        self.listener.close()


class Seen(Agent):
    """What the parent reads."""

    def setUp(self):
        self.count = 0

    def path(self):
        self.count += 1
        return os.path.join(self.dir, f"{self.id().split('.')[-1]}{self.count}")

    def log(self):
        log = Log(self.path())
        self.addCleanup(log.close)
        return log

    def nsm_in_front(self, answer=lambda request: None):
        nsm = CannedNsm(self.path(), self.nsm, answer)
        self.addCleanup(nsm.close)
        return nsm

    def refused(self, *args, code="refused", **more):
        with Script([problem(403, code)]) as script:
            return self.agent("run", "--timeout", "20", *args, "--", "true", verifier=script.url,
                              **more)

    def test_refusal(self):
        log = self.log()
        run = self.refused("--log", log.url)
        self.ck(run, 120)
        pcrs = json.loads(subprocess.run([AGENT, "pcrs", "--nsm", self.nsm, "--json"],
                                         capture_output=True, check=True).stdout)["pcrs"]
        self.assertEqual(log.lines(), run.stderr.decode().splitlines())
        self.assertEqual(log.lines()[1:], [
            f"vouchsafe-agent: refused (request {REQUEST_ID}): ask the verifier's admin to run "
            f"'vouchsafe explain {REQUEST_ID}'",
            "  error code: refused",
            "  the verifier says: the detail of refused",
            "  this enclave measures as:",
            *(f"  PCR{i} {pcrs[str(i)]}" for i in range(3))])

    def test_other_refusals(self):
        for code, says in (("debug", "start the enclave without --debug-mode"),
                           ("document_untrusted", "a development store that trusts its root"),
                           ("malformed", "see malformed in docs/ERRORS.md, and the verifier's log")):
            text = self.ck(self.refused(code=code), 120, f"refused (request {REQUEST_ID}): ", says)
            self.assertNotIn("explain", text)

    def test_debug_before_asking(self):
        log = self.log()
        nsm, _ = self.start_simulator("debug", "--debug")
        said = []
        with Script([problem(403, "debug")]) as script:
            class Handler(agent.Handler):
                def do_POST(self):
                    # The agent waits for an answer here: whatever comes, it has said before.
                    end = time.monotonic() + 5
                    while b"\n" not in b"".join(log.said) and time.monotonic() < end:
                        time.sleep(0.01)
                    said.append(b"".join(log.said))
                    super().do_POST()

            script.RequestHandlerClass = Handler
            self.ck(self.agent("run", "--log", log.url, "--", "true", verifier=script.url, nsm=nsm),
                    120)
        sentence = ("vouchsafe-agent: this enclave runs in debug mode: its measurements are zero and "
                    "differ from those that build-enclave printed; no production store releases "
                    "anything to it: start it without --debug-mode")
        self.assertEqual(said[0].decode().splitlines()[0], sentence)
        self.assertEqual(log.lines().count(sentence), 1)
        self.assertIn(f"  PCR0 {ZERO}", log.lines())

    def test_pcrs(self):
        log = self.log()
        run = subprocess.run([AGENT, "pcrs", "--nsm", self.nsm, "--log", log.url],
                             capture_output=True, check=True)
        self.assertEqual(run.stderr, b"")
        lines = run.stdout.decode().splitlines()
        self.assertRegex(lines[0], "^NSM   i-0123456789abcdef0-enc[0-9a-f]{16}, version 1.0.0$")
        self.assertEqual([line[:6] for line in lines[1:]],
                         [f"PCR{i}  " for i in (0, 1, 2, 3, 4, 8)])
        self.assertEqual(log.lines(), ["vouchsafe-agent: " + line for line in lines])

    def test_settings_that_are_wrong(self):
        """The file says where to tell what is wrong with it."""
        log = self.log()
        path = self.path()
        with open(path, "w", encoding="ascii") as file:
            file.write(f"verifer = x\n  log =  {log.url} \n")
        run = subprocess.run([AGENT, "run", "--config", path, "--", "true"], capture_output=True,
                             check=False)
        self.ck(run, 125)
        self.assertEqual(log.lines(), ["vouchsafe-agent: config: line 1: unknown setting "
                                       "\"verifer\"; did you mean \"verifier\"?"])

    def test_wrong_usage(self):
        for words, says in ((["--log", "http://127.0.0.1:1"], "vsock://CID:PORT or unix:/PATH"),
                            (["--log-program"], "--log URL is needed"),
                            (["--extend", "15=/a"], "is not N=FILE with N 16 to 31"),
                            (["--extend", "16=/a", "--extend", "16=/b"], "PCR16 is there twice")):
            self.ck(self.agent("run", *words, "--", "true", verifier="http://v"), 125, says)

    def test_parents_that_do_not_read(self):
        """Away, and deaf with a full socket: the release comes as soon, and standard error has
        what the parent does not."""
        verifier, issuer = self.start_peer("peer")
        with socket.socket(socket.AF_UNIX) as deaf:
            path = self.path()
            deaf.bind(path)
            deaf.listen(0)
            fill = socket.socket(socket.AF_UNIX)
            fill.connect(path)  # its one place in the queue is taken
            self.addCleanup(fill.close)
            for url in (f"unix:{path}", f"unix:{self.path()}"):
                before = time.monotonic()
                run = self.agent("fetch", "--log", url, "--out", "-", "x", verifier=verifier,
                                 issuer=issuer)
                self.assertLess(time.monotonic() - before, 4)
                self.ck(run, 0, f"vouchsafe-agent: 2 lines did not reach the log at {url}: cannot "
                        "connect: ", "received x version 7")
                self.assertEqual(run.stdout.decode(), value("x"))
        run = self.agent("run", "--log", url, "--", "echo", "on", verifier=verifier,
                         issuer=issuer)
        self.ck(run, 0, "vouchsafe-agent: 2 lines did not reach the log at ")
        self.assertEqual(run.stdout, b"on\n")

    def test_program_output(self):
        """Its own words go where the agent's go only where it is told so; a secret, never."""
        verifier, issuer = self.start_peer("talks")
        script = 'echo out; echo err >&2; cat "$X_FILE"'
        for words, connections in ((["--log-program"], 2), ([], 1)):
            log = self.log()
            run = self.agent("run", "--log", log.url, *words, "--", "sh", "-c", script,
                             verifier=verifier, issuer=issuer, secret="x")
            self.ck(run, 0, "received x version 7")
            self.assertEqual(len(log.connections()), connections)
            self.assertEqual(log.lines()[-1], "vouchsafe-agent: received x version 7")
            self.assertNotIn(value("x")[:20], log.said[0].decode())
            if words:
                self.assertEqual(log.lines(1), ["out", "err", value("x")])
                self.assertEqual((run.stdout, b"err" in run.stderr), (b"", False))
            else:
                self.assertEqual(run.stdout.decode(), "out\n" + value("x"))

    def test_program_cannot_start(self):
        verifier, issuer = self.start_peer("junk")
        path = self.path()
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/nonexistent/interpreter\n")
        os.chmod(path, 0o755)
        log = self.log()
        run = self.agent("run", "--log", log.url, "--log-program", "--", path, verifier=verifier,
                         issuer=issuer)
        self.ck(run, 127, "cannot be executed")
        self.assertIn("cannot be executed: No such file or directory", log.lines()[-1])
        self.assertEqual(log.lines(1), [])

    def test_log_program_in_the_file(self):
        verifier, issuer = self.start_peer("file")
        log, path = self.log(), self.path()
        with open(path, "w", encoding="ascii") as file:
            file.write(f"log = {log.url}\nlog-program = yes\n")
        run = self.agent("run", "--config", path, "--", "echo", "out", verifier=verifier,
                         issuer=issuer)
        self.ck(run, 0)
        self.assertEqual(log.lines(1), ["out"])
        with open(path, "a", encoding="ascii") as file:
            file.write("log-program = maybe\n")
        run = self.agent("run", "--config", path, "--", "true", verifier=verifier, issuer=issuer)
        self.ck(run, 125, "log-program is yes or no, not \"maybe\"")

    def test_clock(self):
        """The hypervisor's time is a minute ahead: said once, and nothing depends on it."""
        nsm, _ = self.start_simulator("ahead", "--timestamp-skew-s", "60")
        text = self.ck(self.run_against(problem(409, "challenge_expired"), problem(403, "refused"),
                                        nsm=nsm)[1], 120)
        said = re.findall(r"^vouchsafe-agent: this enclave's clock is (\d+\.\d) s behind the "
                          r"hypervisor's; ", text, re.M)
        self.assertEqual(len(said), 1, text)
        self.assertAlmostEqual(float(said[0]), 60, delta=1)
        self.assertNotIn("clock", self.ck(self.refused(), 120))

    def test_random_before_anything(self):
        """The hypervisor's randomness is in the generator before a verifier is spoken to, and
        again for each key."""
        nsm = self.nsm_in_front()
        with Script([problem(409, "challenge_expired"), problem(403, "refused")]) as script:
            self.ck(self.agent("run", "--", "true", verifier=script.url, nsm=nsm.url), 120)
            random = [at for request, at in nsm.asked if b"GetRandom" in request]
            challenges = [at for path, _, at in script.asked if path == "/v1/challenge"]
        self.assertEqual(len(random), 3)
        self.assertLess(random[0], challenges[0])
        documents = [at for request, at in nsm.asked if b"Attestation" in request]
        self.assertTrue(random[1] < documents[0] < random[2] < documents[1])

    def test_nsm_failures(self):
        """Each with its operation, the module's word, and what to do; the parent reads it too."""
        error = b"\xa1\x65Error\x6dInternalError"
        document = b"\xa1\x6bAttestation\xa1\x68document"
        for operation, reply, says in (
                (b"GetRandom", error, "nsm_failed: GetRandom: the module refuses: "
                 "InternalError: it failed inside: start the enclave again"),
                (b"DescribePCR", b"\xa1\x6bDescribePCR\xa2\x64lock\xf4\x64data\x41\x00",
                 "DescribePCR.data: a PCR of 1 byte, must be 48"),
                (b"Attestation", document + b"\x43ab", "Attestation.document: "),
                (b"Attestation", document + b"\x40", "a document of 0 bytes"),
                (b"GetRandom", b"\xa1" * 12289, "a reply of 12289 bytes, more than 12288"),
                (b"GetRandom", b"\xa1\x69GetRandom\xa1\x66random\x01", "GetRandom.random: ")):
            log = self.log()
            nsm = self.nsm_in_front(lambda request, o=operation, r=reply: r if o in request
                                    else None)
            with Script([problem(403, "refused")]) as script:
                run = self.agent("run", "--log", log.url, "--", "true", verifier=script.url,
                                 nsm=nsm.url)
                self.ck(run, 123, says)
                self.assertEqual(script.count("/v1/release"), 0)
            self.assertIn(says, "\n".join(log.lines()[-2:]))

    def test_cmdline(self):
        with open("/proc/cmdline", encoding="utf-8") as file:
            own = file.read().strip()
        self.ck(self.refused("--cmdline", own), 120)
        with Script([problem(403, "refused")]) as script:
            run = self.agent("run", "--cmdline", "quiet \033[2J", "--", "true",
                             verifier=script.url)
            text = self.ck(run, 125, "config: cmdline: the kernel was started with \"",
                           "the settings say \"quiet ?[2J\"")
            self.assertEqual(script.asked, [])
        self.assertNotIn("\033", text)


class Measured(WithEnclave):
    """A grant for what the enclave's own configuration says."""

    def file(self, text):
        return self.store.write("configuration", text)

    def grant_version_3(self):
        path = self.file("security-version = 3\n")
        self.done("grant", "remove", "1")
        self.done("grant", "add", SECRET, "--image", "web", "--accept-file", f"16={path}")
        return path

    def test_security_version(self):
        module = self.enclave("fresh")
        three = self.grant_version_3()
        self.denied(self.fetch(module=module), "refused")
        for _ in range(2):  # an agent that starts again finds what it left
            self.granted(self.fetch(SECRET, "--extend", f"16={three}", module=module), VALUE)
        self.granted(self.fetch(module=module), VALUE)  # it is the enclave's for good
        shown = self.agent_pcrs(module)
        self.assertEqual(shown["locked"], [*range(17)])
        self.assertTrue(shown["pcrs"]["16"].startswith("788f11adf5bdb5fd"))
        # Another file in the same enclave: neither can be taken for the other.
        two = self.file("security-version = 2\n")
        run = self.fetch(SECRET, "--extend", f"16={two}", module=module)
        text = self.denied(run, "pcr_mismatch", 3)
        self.assertIn(f"PCR16: {shown['pcrs']['16']}, locked; the file gives ", text)
        run = self.agent("run", "--secret", SECRET, "--extend", f"16={two}", "--", "true",
                         module=module)
        self.denied(run, "pcr_mismatch", 123)

    def test_older_is_refused(self):
        module = self.enclave("older")
        self.grant_version_3()
        two = self.file("security-version = 2\n")
        self.denied(self.fetch(SECRET, "--extend", f"16={two}", module=module), "refused")

    def test_nothing_is_asked(self):
        module = self.enclave("nothing")
        whole = self.file("x")
        for path in (self.store.path("missing"), self.store.write("empty", "")):
            run = self.fetch(SECRET, "--extend", f"17={whole}", "--extend", f"18={path}",
                             module=module)
            self.assertIn(run.returncode, (2, 3), run.stderr.decode())
            self.assertIn(path, run.stderr.decode())
        self.assertEqual(self.agent_pcrs(module)["locked"], [*range(16)])
        self.assertEqual(self.records("release.refused"), [])

    def agent_pcrs(self, module):
        run = subprocess.run([AGENT, "pcrs", "--json", "--nsm", module],
                             capture_output=True, check=True)
        return json.loads(run.stdout)


if __name__ == "__main__":
    unittest.main()
