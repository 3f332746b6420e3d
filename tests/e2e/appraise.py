#!/usr/bin/env python3
"""Goal of this test: POST /v1/verify on the admin listener answers, byte for byte, what
`vouchsafe verify --json` prints about the same document, valid or not.
"""
import base64
import json
import os
import unittest

from server import SOURCE, Store, UnixConnection, WithStore, pcr

FOLDER = os.path.join(SOURCE, "tests/vectors/documents")
ROOT = os.path.join(FOLDER, "root.pem")
LATER = "2099-01-01T00:00:00Z"


class Appraise(WithStore):
    @classmethod
    def setUpClass(cls):
        cls.store = Store()
        cls.addClassCleanup(cls.store.close)
        if cls.store.init("--development", "--root", ROOT).returncode != 0 or cls.store.start():
            raise RuntimeError(cls.store.log())
        cls.token = cls.store.read("client/token").decode().strip()
        with open(os.path.join(FOLDER, "manifest.json"), encoding="utf-8") as file:
            cls.manifest = json.load(file)

    def setUp(self):
        pass  # one server for all: asking it changes nothing

    def ask(self, parameters, token=None):
        connection = UnixConnection(os.path.join(self.store.state, "admin.sock"))
        connection.request("POST", "/v1/verify", json.dumps(parameters),
                           {"Content-Type": "application/json",
                            "Authorization": f"Bearer {token or self.token}"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text

    def ask_about(self, document, **more):
        return self.ask({"attestation_document": base64.b64encode(document).decode(), **more})

    def same(self, name, options, parameters):
        """Gives the appraisal that both gave."""
        with self.subTest(name, options=options):
            run = self.store.run("verify", "--json", "--root", ROOT, *options,
                                 os.path.join(FOLDER, name))
            self.assertIn(run.returncode, (0, 1), run.stderr)
            with open(os.path.join(FOLDER, name), "rb") as file:
                status, text = self.ask_about(file.read(), **parameters)
            self.assertEqual(status, 200, text)
            self.assertEqual(text, run.stdout)
            appraisal = json.loads(text)
            self.assertEqual(appraisal["valid"], run.returncode == 0)
            return appraisal
        return None

    def code(self, name, options, parameters):
        return self.same(name, options, parameters).get("error", {}).get("code", "ok")

    def test_every_document(self):
        for entry in self.manifest:
            self.assertEqual(self.code(entry["file"], ["--at", "document"], {"at": "document"}),
                             entry["code"], entry["file"])

    def test_times(self):
        self.assertEqual(self.code("plain.cbor", ["--at", LATER], {"at": LATER}),
                         "certificate_expired")
        self.assertEqual(self.code("plain.cbor", ["--at", "document", "--max-age", "1"],
                                   {"at": "document", "max_age_s": 1}), "ok")

    def test_kind(self):
        self.assertEqual(self.code("plain.cbor", ["--at", "document", "--kind", "nitrotpm"],
                                   {"at": "document", "kind": "nitrotpm"}), "wrong_kind")

    def test_nonce(self):
        shown = self.same("filled.cbor", ["--at", "document"], {"at": "document"})
        nonce = base64.b64decode(shown["document"]["nonce"]).hex()
        for value, code in ((nonce, "ok"), (nonce + "00", "nonce_mismatch"),
                            (nonce.upper(), "ok")):
            self.assertEqual(self.code("filled.cbor", ["--at", "document", "--nonce", value],
                                       {"at": "document", "nonce": value}), code)
        self.assertEqual(self.code("plain.cbor", ["--at", "document", "--nonce", nonce],
                                   {"at": "document", "nonce": nonce}), "nonce_mismatch")

    def test_pcrs(self):
        own = self.same("plain.cbor", ["--at", "document"], {"at": "document"})["document"]["pcrs"]
        cases = (({"0": own["0"]}, "ok"), ({"0": own["0"], "1": own["1"], "2": own["2"]}, "ok"),
                 ({"0": own["0"], "2": pcr("other")}, "pcr_mismatch"),
                 ({"31": pcr("other")}, "pcr_mismatch"))
        for pcrs, code in cases:
            options = [word for i, value in pcrs.items() for word in ("--pcr", f"{i}={value}")]
            self.assertEqual(self.code("plain.cbor", ["--at", "document", *options],
                                       {"at": "document", "pcrs": pcrs}), code)

    def test_debug(self):
        self.assertEqual(self.code("debug.cbor", ["--at", "document", "--nonce", "6e"],
                                   {"at": "document", "nonce": "6e"}), "debug")

    def test_largest(self):
        """What no document could be, up to what a request may hold."""
        for size in (32769, 700000):
            path = self.store.write("large", b"\x84" * size)
            run = self.store.run("verify", "--json", "--at", "document", "--root", ROOT, path)
            self.assertEqual(run.returncode, 1, run.stderr)
            self.assertEqual(self.ask_about(b"\x84" * size, at="document"), (200, run.stdout))

    # ---- what is no question ----

    def wrong(self, status, code, parameters, **more):
        got, text = self.ask(parameters, **more)
        self.assertEqual((got, json.loads(text)["code"]), (status, code), text)

    def test_wrong_parameters(self):
        plain = {"attestation_document": "hA=="}
        for more, code in (({"att": "document"}, "unknown_member"), ({"at": "now"}, "malformed"),
                           ({"kind": "tpm"}, "malformed"), ({"nonce": "6"}, "hex_malformed"),
                           ({"nonce": "xx"}, "hex_malformed"), ({"nonce": None}, "malformed"),
                           ({"pcrs": {"32": pcr("x")}}, "malformed"),
                           ({"pcrs": {"00": pcr("x")}}, "malformed"),
                           ({"pcrs": {"0": "ab"}}, "hex_malformed"),
                           ({"pcrs": {"0": 1}}, "malformed"), ({"max_age_s": "1"}, "malformed"),
                           ({"max_age_s": -1}, "malformed"),
                           ({"at": "1969-12-31T23:59:59Z"}, "malformed")):
            with self.subTest(more):
                self.wrong(400, code, {**plain, **more})
        self.wrong(400, "malformed", {})
        self.wrong(400, "base64_malformed", {"attestation_document": "hA"})

    def test_not_for_everybody(self):
        self.wrong(401, "unauthenticated", {"attestation_document": "hA=="}, token="0" * 64)
        status, problem = self.store.public("POST", "/v1/verify", "{}")
        self.assertEqual((status, problem["code"]), (404, "no_route"))


if __name__ == "__main__":
    unittest.main()
