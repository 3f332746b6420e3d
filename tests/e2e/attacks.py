#!/usr/bin/env python3
"""Goal of this test: the attacks of docs/SECURITY.md that need whole programs, by somebody who
owns the parent instance, a store and enclaves of his own, a copy of the state directory, or a
part of what people are shown.
"""
import json
import os
import re
import shutil
import subprocess
import time
import unittest

from enclave import SECRET, VALUE, WithEnclave, measurements
from server import SOURCE, Store, UnixConnection

# ESC [ 2 J; CSI as one character (C1); right-to-left override and its end; DEL.
HOSTILE = "a\x1b[2J\x9b31m\u202egnp\u202c\u2066\u200e\u061c\x7fz"
OBEYED = [chr(c) for c in (*range(0, 10), *range(11, 32), *range(0x7f, 0xa0), 0x061c, 0x200e, 0x200f,
                           *range(0x202a, 0x202f), *range(0x2066, 0x206a))]


class Terminal(WithEnclave):
    """Text of strangers, and of a build pipeline that may only draft, on an admin's screen."""

    def harmless(self, out, shown):
        self.assertEqual([c for c in OBEYED if c in out], [])
        self.assertIn(shown, out)

    def test_labels(self):
        text = self.store.write("pcrs", measurements(self.store.write("next", "next build")))
        self.done("measurement", "add", "web@2", "--draft", "--from", text, "--label",
                  f"note={HOSTILE}")
        listed = self.done("measurement", "show", "web@2")
        self.harmless(listed, "note=a?[2J?31m?gnp?????z")
        as_json = self.done("measurement", "show", "web@2", "--json")
        self.harmless(as_json, r"a\u001B[2J\u009B31m\u202Egnp\u202C")
        self.assertEqual(json.loads(as_json)["labels"], {"note": HOSTILE})

    def test_document(self):
        """A document of a stranger's, which need not even verify to be shown."""
        with open(os.path.join(SOURCE, "tests/vectors/documents/plain.cbor"), "rb") as file:
            document = file.read()
        at = document.index(b"module_id") + len(b"module_id") + 2
        hostile = "i-\x9b31m\u202egnp\u202c\x1b[2J".encode()
        changed = document[:at] + hostile + document[at + len(hostile):]
        path = self.store.write("hostile.cbor", changed)
        for words, shown in (((), "i-?31m?gnp??[2J"), (("--json",), r"i-\u009B31m\u202Egnp")):
            run = self.store.run("verify", path, *words)
            self.assertEqual(run.returncode, 1, run.stderr.decode())
            self.harmless(run.stdout.decode() + run.stderr.decode(), shown)


class Copies(WithEnclave):
    """A backup of the state directory, served beside the original."""

    def test_challenge_redeemed_at_both(self):
        """What a copy can do: decide once more about the same document, for an answer that the
        same enclave key alone opens.  Both logs then hold a record of the same number."""
        copy = Store()
        self.addCleanup(copy.close)
        shutil.copytree(self.world.store.state, copy.state)
        self.assertIsNone(copy.start())
        relay = self.relay()
        self.granted(self.fetch(verifier=relay.url))
        relay.verifier_port = int(copy.ready["listen"].rpartition(":")[2])
        status, _, body = relay.send("/v1/release", relay.requests[0])
        self.assertEqual(status, 200)
        self.assertNotIn(VALUE[:10], body)
        status, _, body = relay.send("/v1/release", relay.requests[0])
        self.assertEqual((status, json.loads(body)["code"]), (409, "challenge_redeemed"))
        run = copy.run("audit", "list", "--event", "release.granted", "--json")
        theirs, = json.loads(run.stdout)
        ours, = self.records("release.granted")
        self.assertEqual((ours["sequence"], ours["document"]["digest"]),
                         (theirs["sequence"], theirs["document"]["digest"]))
        self.assertEqual(copy.stop(), 0)

    def test_store_of_the_attackers(self):
        """It knows the victim's image and grants a secret of that name: only its issuer is
        another.  All requests of the enclave are led there."""
        theirs = Store()
        self.addCleanup(theirs.close)
        for words, stdin in ((("init", "--person", "eve", "--development", "--root", self.root),
                              b""), (None, b""),
                             (("measurement", "add", "web@1", "--from", "-"),
                              measurements(self.world.image)),
                             (("secret", "put", SECRET), b"chosen by the parent"),
                             (("grant", "add", SECRET, "--image", "web"), b"")):
            if words is None:
                self.assertIsNone(theirs.start())
                continue
            run = theirs.run(*words, stdin=stdin)
            self.assertEqual(run.returncode, 0, run.stderr.decode())
        address = f"http://{theirs.ready['listen']}"
        run = self.agent("run", "--secret", SECRET, "--", "echo", "runs", verifier=address)
        self.denied(run, "answer_not_authentic", 122)
        # Its challenge is worth nothing here, and ours nothing there.
        relay = self.relay()
        relay.verifier_port = int(theirs.ready["listen"].rpartition(":")[2])
        self.fetch(verifier=relay.url)
        relay.verifier_port = int(self.store.ready["listen"].rpartition(":")[2])
        status, _, body = relay.send("/v1/release", relay.requests[0])
        self.assertEqual((status, json.loads(body)["code"]), (409, "challenge_unknown"))
        self.assertEqual(theirs.stop(), 0)


class ParentInstance(WithEnclave):
    def test_answer_kept_for_later(self):
        """The first answer is held back, and given when the same agent asks again."""
        relay = self.relay()

        def answer(body):
            if relay.answers:
                return relay.answers[0]
            relay.answers.append(relay.send("/v1/release", body))
            return 503, "application/json", b"{}"

        relay.on_release = answer
        run = self.agent("run", "--secret", SECRET, "--", "echo", "runs", verifier=relay.url)
        text = self.denied(run, "answer_not_authentic", 122)
        self.assertIn("asking again", text)
        self.assertEqual(relay.answers[0][0], 200)

    def test_kept_busy(self):
        """A parent that says "later" for ever: the agent ends at its own deadline, and has not
        asked more often than its pauses allow."""
        relay = self.relay()
        busy = json.dumps({"status": 429, "code": "too_fast", "detail": HOSTILE}).encode()
        relay.replace_answer = (429, "application/problem+json", busy)
        begun = time.monotonic()
        run = self.agent("run", "--secret", SECRET, "--", "echo", "runs", verifier=relay.url,
                         timeout_s=3)
        text = self.denied(run, "unreachable", 121)
        self.assertEqual([c for c in OBEYED if c in text], [])
        self.assertLess(time.monotonic() - begun, 10)
        self.assertIn(len(relay.requests), range(2, 8))

    def test_problem_on_the_console(self):
        relay = self.relay()
        problem = {"status": 403, "code": "refused", "detail": HOSTILE + "\nvouchsafe-agent: ok",
                   "request_id": "`reboot`", "field": HOSTILE}
        relay.replace_answer = (403, "application/problem+json", json.dumps(problem).encode())
        run = self.fetch(verifier=relay.url)
        text = run.stderr.decode("ascii")
        self.assertEqual([c for c in OBEYED if c in text], [])
        self.assertNotIn("reboot", text)
        self.assertNotIn("\nvouchsafe-agent: ok", text)


class Administration(WithEnclave):
    def routes(self):
        """(method, path) of the admin API, as the document of the API lists them."""
        with open(os.path.join(SOURCE, "docs/openapi.yaml"), encoding="utf-8") as file:
            text = file.read()
        for path, block in re.findall(r"^  (/v1/admin/\S+):\n((?:    .*\n|\n)+)", text, re.M):
            for method in re.findall(r"^    (get|post):$", block, re.M):
                yield method.upper(), path

    def test_no_token(self):
        """No route of the admin API answers whoever has no token, and none is public."""
        routes = list(self.routes())
        self.assertGreaterEqual(len(routes), 20)
        for method, path in routes:
            self.assertEqual(self.store.public(method, path)[0], 404, path)
            self.assertEqual(self.ask(method, path), (401, "unauthenticated"), path)
            # A body that lacks a parameter is told so before its token is looked up.
            self.assertIn(self.ask(method, path, "0" * 64),
                          [(401, "unauthenticated"), (400, "malformed")], path)

    def ask(self, method, path, token=None):
        connection = UnixConnection(self.store.ready["admin"])
        body = "{}" if token and method == "POST" else None
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        problem = json.loads(answer.read())
        connection.close()
        return answer.status, problem["code"]


class Environment(WithEnclave):
    """An OpenSSL configuration that would leave no algorithm to be found."""

    def test_openssl_configuration(self):
        config = self.store.write("openssl.cnf", "openssl_conf = a\n[a]\nalg_section = b\n[b]\n"
                                                 "default_properties = provider=nobody\n")
        hostile = {"OPENSSL_CONF": config, "OPENSSL_MODULES": self.store.folder,
                   "OPENSSL_ENGINES": self.store.folder}
        whoever_reads_it = subprocess.run(["openssl", "dgst", "-sha256", config], check=False,
                                          capture_output=True, env={**os.environ, **hostile})
        self.assertNotEqual(whoever_reads_it.returncode, 0)
        saved = {name: os.environ.get(name) for name in hostile}
        os.environ.update(hostile)
        try:
            self.assertEqual(self.store.stop(), 0)
            self.assertIsNone(self.store.start())
            self.granted(self.fetch())
        finally:
            for name, value in saved.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


if __name__ == "__main__":
    unittest.main()
