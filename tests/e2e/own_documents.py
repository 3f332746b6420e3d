#!/usr/bin/env python3
"""Goal of this test: the project's own recorded documents (tests/vectors/documents), good
and bad, are decided by their exact codes, at their own time and now.
"""
import hashlib
import json
import os
import subprocess
import unittest

SOURCE = os.environ.get("VOUCHSAFE_SOURCE",
                        os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
BINARY = os.environ.get("VOUCHSAFE_BIN", os.path.join(SOURCE, "build/plain/verifier/cli/vouchsafe"))
FOLDER = os.path.join(SOURCE, "tests/vectors/documents")


def decide(name, *options):
    """(exit status, code) of `vouchsafe verify --json`; "ok" for a valid document."""
    run = subprocess.run([BINARY, "verify", "--json", *options, os.path.join(FOLDER, name)],
                         capture_output=True, check=False, timeout=60)
    said = json.loads(run.stdout)
    return run.returncode, said["error"]["code"] if "error" in said else "ok"


class OwnDocuments(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(FOLDER, "manifest.json"), encoding="utf-8") as file:
            cls.manifest = json.load(file)
        cls.root = ["--root", os.path.join(FOLDER, "root.pem")]

    def test_files_are_as_recorded(self):
        self.assertEqual(sorted(os.listdir(FOLDER)),
                         sorted(["manifest.json", "root.pem"] + [e["file"] for e in self.manifest]))
        for entry in self.manifest:
            with open(os.path.join(FOLDER, entry["file"]), "rb") as file:
                self.assertEqual(hashlib.sha256(file.read()).hexdigest(), entry["sha256"])

    def test_each_at_its_own_time(self):
        for entry in self.manifest:
            with self.subTest(entry["file"], what=entry["what"]):
                expected = (0 if entry["code"] == "ok" else 1, entry["code"])
                self.assertEqual(decide(entry["file"], "--at", "document", *self.root), expected)

    def test_good_ones_have_expired(self):
        for entry in self.manifest:
            if entry["code"] == "ok":
                with self.subTest(entry["file"]):
                    self.assertEqual(decide(entry["file"], "--at", "2099-01-01T00:00:00Z",
                                            *self.root), (1, "certificate_expired"))

    def test_none_verifies_under_awss_root(self):
        for entry in self.manifest:
            with self.subTest(entry["file"]):
                status, code = decide(entry["file"], "--at", "document")
                self.assertEqual(status, 1)
                if entry["code"] == "ok":
                    self.assertEqual(code, "document_untrusted")

    def test_debug_is_told_and_fails_where_code_is_asked_for(self):
        self.assertEqual(decide("debug.cbor", "--at", "document", "--nonce", "6e", *self.root),
                         (1, "debug"))


if __name__ == "__main__":
    unittest.main()
