#!/usr/bin/env python3
"""Goal of this test: the real vouchsafe-agent, with the real simulator, tries again as
PROTOCOL section 1 says and no more often, ends with the status that DESIGN section 8
gives, and becomes the program with nothing but the secrets.

The other side is a script of refusals (here), or agent_peer, which signs and wraps as a
verifier does.  The way to a real verifier is tested elsewhere.
"""
import http.server
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

AGENT = os.environ["VOUCHSAFE_AGENT_BIN"]
SIMULATOR = os.environ["VOUCHSAFE_NSM_SIM_BIN"]
PEER = os.environ["VOUCHSAFE_AGENT_PEER_BIN"]

CHALLENGE = (200, {"challenge": "A" * 74 + "A=", "expires_in_s": 120}, {})
REQUEST_ID = "01f2e3d4c5b6a798"


def problem(status, code, headers=None, retryable=False):
    return (status, {"type": f"urn:vouchsafe:error:{code}", "title": code, "status": status,
                     "detail": f"the detail of {code}", "code": code, "request_id": REQUEST_ID,
                     "retryable": retryable}, headers or {})


class Script(http.server.ThreadingHTTPServer):
    """Challenges for whoever asks, and scripted answers to release requests: the last one
    is repeated.  Remembers what was asked, and when."""

    def __init__(self, releases, challenges=(CHALLENGE,)):
        self.scripts = {"/v1/release": list(releases), "/v1/challenge": list(challenges)}
        self.asked = []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def count(self, path):
        return sum(1 for asked, _, _ in self.asked if asked == path)

    def __exit__(self, *args):
        self.shutdown()
        super().__exit__(*args)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.path, body, time.monotonic()))
        script = self.server.scripts[self.path]
        status, answer, headers = script.pop(0) if len(script) > 1 else script[0]
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), "Connection": "close",
                            **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True

    def log_message(self, *args):
        pass


class Agent(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="vouchsafe-agent-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.nsm, _ = cls.start_simulator("nsm")
        cls.root = os.path.join(cls.dir, "root", "root.pem")
        # Any issuer will do where nothing is ever signed.
        _, cls.issuer = cls.start_peer("any")

    @classmethod
    def start(cls, *words, **more):
        """Ended with the class, also where setUpClass fails, which tearDownClass is not."""
        process = subprocess.Popen(words, **more)
        cls.addClassCleanup(cls.end, process)
        return process

    @staticmethod
    def end(process):
        process.terminate()
        process.wait(10)

    @classmethod
    def wait_for(cls, ready):
        deadline = time.monotonic() + 20
        while not ready():
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.02)

    @classmethod
    def start_simulator(cls, name, *args):
        path = os.path.join(cls.dir, name)
        process = cls.start(SIMULATOR, "--socket", path, "--root-dir",
                            os.path.join(cls.dir, "root"), *args, stderr=subprocess.DEVNULL)
        cls.wait_for(lambda: os.path.exists(path))
        cls.wait_for(lambda: cls.answers(path))
        return f"unix:{path}", process

    @staticmethod
    def answers(path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            try:
                probe.connect(path)
            except OSError:
                return False
            return True

    @classmethod
    def start_peer(cls, name, mode="honest"):
        path = os.path.join(cls.dir, name + ".peer")
        issuer = os.path.join(cls.dir, name + ".pem")
        cls.start(PEER, path, issuer, mode)
        cls.wait_for(lambda: os.path.exists(issuer) and os.path.getsize(issuer) > 200)
        return f"unix:{path}", issuer

    def agent(self, command, *args, verifier, issuer=None, nsm=None, secret="db/main", **more):
        words = [AGENT, command, "--verifier", verifier, "--issuer", issuer or self.issuer,
                 "--nsm", nsm or self.nsm, "--root", self.root]
        if command == "run":
            words += ["--secret", secret]
        return subprocess.run([*words, *args], capture_output=True, check=False, timeout=60, **more)

    def run_against(self, *releases, args=("--timeout", "20"), challenges=(CHALLENGE,), **more):
        with Script(releases, challenges) as script:
            run = self.agent("run", *args, "--", "true", verifier=script.url, **more)
        return script, run

    def ck(self, run, status, *words):
        text = run.stderr.decode()
        self.assertEqual(run.returncode, status, text)
        for word in words:
            self.assertIn(word, text)
        return text


class Refusals(Agent):
    def test_refused_stops_at_once(self):
        script, run = self.run_against(problem(403, "refused"))
        pcrs = subprocess.run([AGENT, "pcrs", "--nsm", self.nsm, "--json"], capture_output=True,
                              check=True)
        own = json.loads(pcrs.stdout)["pcrs"]
        self.ck(run, 120, "\n  the verifier says: the detail of refused\n",
                "\n  error code: refused\n", *(f"\n  PCR{i} {own[str(i)]}\n" for i in range(3)),
                f"\nvouchsafe-agent: refused (request {REQUEST_ID}): ask the verifier's admin to "
                f"run 'vouchsafe explain {REQUEST_ID}'\n")
        self.assertEqual(script.count("/v1/release"), 1)

    def test_request_is_whole(self):
        script, _ = self.run_against(problem(403, "refused"),
                                     args=("--secret", "x@3", "--min-version", "db/main=2"))
        release = [json.loads(body) for path, body, _ in script.asked if path == "/v1/release"]
        self.assertEqual(release[0]["secrets"], [{"name": "db/main", "min_version": 2},
                                                 {"name": "x", "version": 3}])

    def test_challenge_three_times(self):
        for code in ("challenge_expired", "challenge_unknown", "challenge_redeemed"):
            script, run = self.run_against(problem(409, code))
            self.ck(run, 120, code)
            self.assertEqual(script.count("/v1/release"), 4, code)
            self.assertEqual(script.count("/v1/challenge"), 4, code)

    def test_each_attempt_has_its_own_document(self):
        script, run = self.run_against(*[problem(409, "challenge_expired")] * 2,
                                       problem(403, "refused"))
        self.ck(run, 120, "refused")
        documents = {json.loads(body)["attestation_document"]
                     for path, body, _ in script.asked if path == "/v1/release"}
        self.assertEqual(len(documents), 3)

    def test_once(self):
        for code in ("certificate_expired", "document_stale", "document_from_future"):
            script, run = self.run_against(problem(403, code))
            self.ck(run, 120, code)
            self.assertEqual(script.count("/v1/release"), 2, code)

    def test_exact_refusals_stop(self):
        for status, code in ((400, "document_malformed"), (400, "request_not_bound"),
                             (400, "public_key_unsupported"), (403, "document_untrusted"),
                             (403, "debug"), (413, "too_large"), (403, "of_a_newer_server")):
            script, run = self.run_against(problem(status, code))
            self.ck(run, 120, code)
            self.assertEqual(script.count("/v1/release"), 1, code)

    def test_backoff_then_refused(self):
        script, run = self.run_against(problem(503, "busy"), problem(500, "internal"),
                                       (502, b"<html>proxy</html>", {}), problem(403, "refused"))
        self.ck(run, 120, "busy", "internal", "http_502", "asking again in", "refused")
        self.assertEqual(script.count("/v1/challenge"), 4)
        times = [at for path, _, at in script.asked if path == "/v1/release"]
        self.assertGreaterEqual(times[1] - times[0], 0.25)
        self.assertGreaterEqual(times[3] - times[2], 1.0)

    def test_retry_after(self):
        script, run = self.run_against(problem(429, "too_fast", {"Retry-After": "2"}),
                                       problem(403, "refused"))
        self.ck(run, 120, "too_fast")
        times = [at for path, _, at in script.asked if path == "/v1/release"]
        self.assertGreaterEqual(times[1] - times[0], 2.0)

    def test_retry_after_the_end(self):
        script, run = self.run_against(problem(503, "busy", {"Retry-After": "3600"}))
        self.ck(run, 121, "no decision within 20 s", "busy", REQUEST_ID)
        self.assertEqual(script.count("/v1/release"), 1)

    def test_challenge_refused(self):
        script, run = self.run_against(problem(403, "refused"),
                                       challenges=[problem(503, "busy"), CHALLENGE])
        self.ck(run, 120, "refused")
        self.assertEqual(script.count("/v1/challenge"), 2)

    def test_debug_is_said(self):
        nsm, simulator = self.start_simulator("debug", "--debug")
        try:
            _, run = self.run_against(problem(403, "refused"), nsm=nsm)
            self.ck(run, 120, "this enclave runs in debug mode")
            pcrs = subprocess.run([AGENT, "pcrs", "--nsm", nsm], capture_output=True, check=True)
            self.assertIn(b"this enclave runs in debug mode", pcrs.stderr)
            self.assertIn(b"PCR0  " + b"0" * 96 + b"\n", pcrs.stdout)
        finally:
            simulator.terminate()
            simulator.wait(10)

    def test_fetch(self):
        with Script([problem(403, "refused")]) as script:
            run = self.agent("fetch", "--out", "-", "db/main", verifier=script.url)
        self.ck(run, 1, "refused", REQUEST_ID)
        self.assertEqual(run.stdout, b"")


class Ends(Agent):
    def test_unreachable(self):
        run = self.agent("run", "--timeout", "2", "--", "true", verifier="http://127.0.0.1:9")
        self.ck(run, 121, "unreachable", "within 2 s")
        run = self.agent("fetch", "--timeout", "1", "--out", "-", "x",
                         verifier="http://127.0.0.1:9")
        self.ck(run, 3, "unreachable")

    def test_a_verifier_that_hangs(self):
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(8)
            before = time.monotonic()
            run = self.agent("run", "--timeout", "2", "--", "true",
                             verifier=f"http://127.0.0.1:{deaf.getsockname()[1]}")
        self.ck(run, 121)
        self.assertLess(time.monotonic() - before, 5)

    def test_answers_that_are_none(self):
        cases = [(200, b"{}", {}), (200, b"junk", {}), (200, b"", {})]
        for case in cases:
            script, run = self.run_against(case)
            self.ck(run, 122, "answer_not_authentic")
            self.assertEqual(script.count("/v1/release"), 1)
        for text in ("A" * 74 + "==", "A" * 76, ""):  # 55, 57 and no bytes
            challenge = (200, {"challenge": text, "expires_in_s": 120}, {})
            script, run = self.run_against(problem(403, "refused"), challenges=[challenge])
            self.ck(run, 122, "challenge.challenge: must be 56 bytes, is ")
            self.assertEqual(script.count("/v1/release"), 0, text)

    def test_nsm_gone(self):
        with Script([problem(403, "refused")]) as script:
            run = self.agent("run", "--", "true", verifier=script.url, nsm="unix:/nonexistent/nsm")
            self.ck(run, 123, "nsm_failed", "no simulator at /nonexistent/nsm")
            run = self.agent("run", "--", "true", verifier=script.url, nsm="/nonexistent/nsm")
            self.ck(run, 123, "is this an enclave?")
            self.assertEqual(script.asked, [])

    def test_root_of_others(self):
        """The simulator's root is not AWS's: without --root its documents are refused."""
        with Script([problem(403, "refused")]) as script:
            run = subprocess.run([AGENT, "run", "--verifier", script.url, "--issuer", self.issuer,
                                  "--nsm", self.nsm, "--secret", "x", "--", "true"],
                                 capture_output=True, check=False, timeout=60)
        text = self.ck(run, 123, "AWS's only", "--root")
        self.assertNotIn("warning", text)
        self.assertEqual(script.count("/v1/release"), 0)

    def test_programs(self):
        with Script([problem(403, "refused")]) as script:
            run = self.agent("run", "--", "no-such-program", verifier=script.url)
            self.ck(run, 127, "no-such-program is not found")
            run = self.agent("run", "--", "/no/such/program", verifier=script.url)
            self.ck(run, 127)
            run = self.agent("run", "--", "/etc/passwd", verifier=script.url)
            self.ck(run, 126, "/etc/passwd is not executable")
            run = self.agent("run", "--", self.dir, verifier=script.url)
            self.ck(run, 126)
            self.assertEqual(script.asked, [])

    def test_wrong_usage(self):
        good = ["--verifier", "unix:/v", "--issuer", self.issuer, "--secret", "x"]
        for words, said in ((["--verifer", "x"], "did you mean --verifier?"), ([], "--secret NAME"), (good[:4], "--secret NAME"),
                            (good[4:], "--verifier URL is needed"),
                            ([*good[:2], *good[4:]], "--issuer FILE is needed"),
                            ([*good, "--secret", "X"], "secret \"X\""),
                            ([*good, "--issuer=/nonexistent"], "--issuer was given twice"),
                            ([*good[:2], *good[4:], "--issuer", "/nonexistent"], "/nonexistent"),
                            ([*good, "--secret", "a-b", "--secret", "a_b"], "A_B_FILE"),
                            ([*good, "--nsm", "tpm"], "no NSM")):
            run = subprocess.run([AGENT, "run", *words, "--", "true"], capture_output=True,
                                 check=False, timeout=20)
            self.ck(run, 125, said)
            fetch = list(words)
            while "--secret" in fetch:
                del fetch[fetch.index("--secret"):fetch.index("--secret") + 2]
            if said.startswith(("did", "no NSM")):
                run = subprocess.run([AGENT, "fetch", *fetch, "--out", "-", "x"],
                                     capture_output=True, check=False, timeout=20)
                self.ck(run, 2, said)
        run = subprocess.run([AGENT, "run", *good], capture_output=True, check=False, timeout=20)
        self.ck(run, 125, "vouchsafe-agent run [OPTIONS] -- PROGRAM")
        run = subprocess.run([AGENT, "fetch", *good[:4], "x"], capture_output=True, check=False,
                             timeout=20)
        self.ck(run, 2, "where to?")
        for words in ([], ["rnu"]):
            run = subprocess.run([AGENT, *words], capture_output=True, check=False, timeout=20)
            self.ck(run, 2, "run")

    def test_no_locked_memory(self):
        """Secrets that could be swapped out are not asked for."""
        limited = ["setpriv", "--bounding-set", "-ipc_lock", "--inh-caps", "-ipc_lock",
                   "prlimit", "--memlock=65536:65536", AGENT]
        if os.geteuid() == 0:
            probe = subprocess.run([*limited[:-1], "true"], capture_output=True, check=False)
            if probe.returncode != 0:
                self.fail(probe.stderr.decode())
        else:
            limited = limited[5:]
        with Script([problem(403, "refused")]) as script:
            args = ["--verifier", script.url, "--issuer", self.issuer, "--nsm", self.nsm]
            run = subprocess.run([*limited, "run", *args, "--secret", "x", "--", "true"],
                                 capture_output=True, check=False, timeout=20)
            self.ck(run, 124, "locked")
            run = subprocess.run([*limited, "fetch", *args, "--out", "-", "x"],
                                 capture_output=True, check=False, timeout=20)
            self.ck(run, 3, "locked")
            self.assertEqual(script.asked, [])


def value(name):
    return (name * 1000)[:1000]


class Deliveries(Agent):
    def setUp(self):
        self.scratch = tempfile.mkdtemp(dir=self.dir)

    def peer(self, mode="honest"):
        return dict(zip(("verifier", "issuer"), self.start_peer(self.id().split(".")[-1], mode)))

    def test_run_becomes_the_program(self):
        script = ('echo $$; cat "$DB_MAIN_FILE"; echo; cat "$_2FA_FILE"; echo; '
                  'readlink "$DB_MAIN_FILE"; for fd in /proc/$$/fd/*; do readlink $fd; done; '
                  'tr "\\0" " " </proc/$$/cmdline; exit 42')
        process = subprocess.Popen(
            [AGENT, "run", "--nsm", self.nsm, "--root", self.root, "--secret", "db/main",
             "--secret", "2fa@3", *(f"--{k}={v}" for k, v in self.peer().items()), "--",
             "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL)
        out, said = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 42, said.decode())
        lines = out.decode().split("\n")
        self.assertEqual(lines[0], str(process.pid))  # in place: no supervisor
        self.assertEqual(lines[1], value("db/main"))
        self.assertEqual(lines[2], value("2fa"))
        self.assertEqual(lines[3], "/memfd:db/main (deleted)")
        inherited = sorted(l for l in lines[4:-1] if l and not l.startswith(("pipe:", "/dev/null")))
        self.assertEqual(inherited, ["/memfd:2fa (deleted)", "/memfd:db/main (deleted)"])
        text = said.decode()
        self.assertIn("received db/main version 7", text)
        self.assertIn("received 2fa version 3", text)
        self.assertIn("warning: this agent trusts a root that is not AWS's", text)
        self.assertNotIn(value("db/main")[:40], text)

    def test_run_with_signals_as_usual(self):
        """Python's own children begin with SIGPIPE at its default."""
        run = self.agent("run", "--", "grep", "SigIgn", "/proc/self/status", **self.peer())
        self.ck(run, 0)
        self.assertEqual(int(run.stdout.split()[1], 16) & (1 << 12), 0)

    def test_run_with_dir(self):
        run = self.agent("run", "--dir", self.scratch + "/s", "--", "sh", "-c",
                         'echo "$DB_MAIN_FILE"; cat "$DB_MAIN_FILE"', **self.peer())
        self.ck(run, 0)
        path = os.path.join(self.scratch, "s/db/main")
        self.assertEqual(run.stdout.decode(), path + "\n" + value("db/main"))
        self.assertEqual(os.stat(path).st_mode & 0o7777, 0o400)

    def test_run_cannot_deliver(self):
        # Nothing stays behind where the program cannot start.
        junk = self.scratch + "/junk"
        with open(junk, "w", encoding="ascii") as file:
            file.write("#!/nonexistent/interpreter\n")
        os.chmod(junk, 0o755)
        run = self.agent("run", "--dir", self.scratch + "/t", "--", junk, **self.peer())
        self.assertIn(run.returncode, (126, 127))
        self.assertEqual([f for _, _, files in os.walk(self.scratch + "/t") for f in files], [])
        run = self.agent("run", "--dir", "/proc/no/such", "--", "true", **self.peer())
        self.ck(run, 124, "not_delivered")

    def test_closed_standard_descriptors(self):
        words = [AGENT, "run", "--nsm", self.nsm, "--root", self.root, "--secret", "x",
                 *(f"--{k}={v}" for k, v in self.peer().items()), "--", "sh", "-c",
                 'cat "$X_FILE"']
        run = subprocess.run(["sh", "-c", '"$@" <&- 2>&-', "sh", *words], capture_output=True,
                             check=False, timeout=60)
        self.assertEqual(run.returncode, 0)
        self.assertEqual(run.stdout.decode(), value("x"))

    def test_fetch(self):
        peer = self.peer()
        path = os.path.join(self.scratch, "out")
        for _ in range(2):
            run = self.agent("fetch", "--out", path, "db/main", **peer)
            self.ck(run, 0)
            self.assertEqual(run.stdout, b"")
            with open(path, encoding="ascii") as file:
                self.assertEqual(file.read(), value("db/main"))
            self.assertEqual(os.stat(path).st_mode & 0o7777, 0o600)
        self.assertEqual(os.listdir(self.scratch), ["out"])
        run = self.agent("fetch", "--out", "-", "x@2", **peer)
        self.ck(run, 0, "received x version 2")
        self.assertEqual(run.stdout.decode(), value("x"))
        pipe = os.path.join(self.scratch, "pipe")
        os.mkfifo(pipe)
        run = self.agent("fetch", "--out", pipe, "x", **peer)
        self.ck(run, 3, "pipe is there and is no regular file")

    def test_formats(self):
        peer = self.peer()
        for name in ("hpke-x25519", "hpke-p256", "hpke-p384", "rsa-oaep-256"):
            run = self.agent("fetch", "--out", "-", "--format", name, "x", **peer)
            self.ck(run, 0)
            self.assertEqual(run.stdout.decode(), value("x"), name)

    def test_config_file(self):
        peer = self.peer()
        path = os.path.join(self.scratch, "agent.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write("# a test's\n" + "".join(f"{k} = {v}\n" for k, v in {
                **peer, "nsm": self.nsm, "root": self.root, "secret": "db/main",
                "application": "00ff", "timeout": "20"}.items()))
        run = subprocess.run([AGENT, "run", "--config", path, "--", "sh", "-c",
                              'cat "$DB_MAIN_FILE"'], capture_output=True, check=False, timeout=60)
        self.ck(run, 0)
        self.assertEqual(run.stdout.decode(), value("db/main"))
        with open(path, "a", encoding="ascii") as file:
            file.write("verifer = x\n")
        run = subprocess.run([AGENT, "run", "--config", path, "--", "true"], capture_output=True,
                             check=False, timeout=60)
        self.ck(run, 125, "line 9", "did you mean \"verifier\"?")

    def test_deprecated(self):
        run = self.agent("run", "--", "true", **self.peer("deprecated"))
        self.ck(run, 0, "warning: only a deprecated measurement granted db/main")

    def test_floor(self):
        run = self.agent("run", "--min-version", "db/main=8", "--", "true", **self.peer())
        self.ck(run, 122, "expected version 8 of db/main or newer, found version 7")

    def test_no_older_version_at_a_refresh(self):
        """An authentic answer, and an older one: nothing in the request forbids it."""
        run = self.agent("run", "--dir", self.scratch, "--refresh", "1s", "--max-staleness", "3s",
                         "--", "sh", "-c", 'trap "cat $DB_MAIN_FILE; exit" TERM; head -c 5 '
                         '$DB_MAIN_FILE; while :; do sleep 0.1; done', **self.peer("falling"))
        text = self.ck(run, 121, "received db/main version 7", "max-staleness allows 3")
        self.assertRegex(text, "answer_not_authentic: .*version 6 of db/main.*version 7, which this "
                               "process has held")
        self.assertNotIn("received db/main version 6", text)
        self.assertEqual(run.stdout, value("db/main")[:5].encode())  # by SIGTERM it is gone

    def test_no_other_store_at_a_refresh(self):
        """An authentic answer, and another store's of the same issuer."""
        words = ["run", "--dir", self.scratch, "--refresh", "1s", "--max-staleness", "3s"]
        run = self.agent(*words, "--", "sleep", "60", **self.peer("other-store"))
        text = self.ck(run, 121, "received db/main version 7", "max-staleness allows 3")
        self.assertRegex(text, "answer_not_authentic: delegation: .*it is for the store 0202.*, "
                               "pinned is 0102")

    def test_another_issuer(self):
        peer = self.peer()
        run = self.agent("run", "--", "true", verifier=peer["verifier"])
        self.ck(run, 122, "under none of the pinned issuer keys")
        run = self.agent("fetch", "--out", "-", "x", verifier=peer["verifier"])
        self.ck(run, 1, "answer_not_authentic")
        self.assertEqual(run.stdout, b"")

    def test_flipped_ciphertext(self):
        run = self.agent("run", "--", "true", **self.peer("flip-ciphertext"))
        self.ck(run, 122, "secrets[0] content")

    def test_short_challenge(self):
        run = self.agent("run", "--", "true", **self.peer("short-challenge"))
        self.ck(run, 122, "must be 56 bytes, is 3")


if __name__ == "__main__":
    del Agent  # the base has no tests of its own
    unittest.main()
