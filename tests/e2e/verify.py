#!/usr/bin/env python3
"""Goal of this test: `vouchsafe verify` decides every recorded document as independent
tools did, by exact code and exit status, whatever form it comes in.

The documents are others' (attestation-docs in $VOUCHSAFE_SHARED, or beside the source
tree); without them the test is skipped, and fails with CI=true.
"""
import base64
import datetime
import hashlib
import json
import os
import pty
import subprocess
import sys
import tempfile
import unittest

from server import FAKETIME

SOURCE = os.environ.get("VOUCHSAFE_SOURCE",
                        os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
BINARY = os.environ.get("VOUCHSAFE_BIN", os.path.join(SOURCE, "build/plain/verifier/cli/vouchsafe"))
DOCUMENTS = os.path.join(os.environ.get("VOUCHSAFE_SHARED", os.path.join(SOURCE, "../shared")),
                         "attestation-docs")
ATTEST_CHECKS = ["cose_sign1", "payload_syntax", "document_kind", "trusted_root",
                 "certificate_rules", "certificate_validity", "certificate_signatures",
                 "document_signature"]


def vouchsafe(*args, stdin=b"", **more):
    return subprocess.run([BINARY, *args], input=stdin, capture_output=True, check=False,
                          timeout=60, **more)


def load(name):
    with open(os.path.join(DOCUMENTS, name), "rb") as file:
        return file.read()


def seconds_later(rfc3339, seconds):
    time = datetime.datetime.strptime(rfc3339, "%Y-%m-%dT%H:%M:%SZ")
    return (time + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Verify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.manifest = json.loads(load("manifest.json"))
        with open(os.path.join(SOURCE, "tests/reject_classes.json"), encoding="utf-8") as file:
            cls.reject_classes = json.load(file)
        cls.genuine = [e for e in cls.manifest if e["expect_accept_at_own_timestamp"]]
        cls.rejected = [e for e in cls.manifest if not e["expect_accept_at_own_timestamp"]]
        production = [e for e in cls.genuine if not e["debug"] and not e["tagged"]
                      and e["nonce"]["state"] == "present" and e["nonce"].get("hex")]
        cls.one = production[0]
        cls.path = os.path.join(DOCUMENTS, cls.one["file"])
        cls.debug_one = next(e for e in cls.genuine if e["debug"])

    def decide(self, *args, stdin=b""):
        """(exit status, parsed JSON) of `verify --json`."""
        run = vouchsafe("verify", "--json", *args, stdin=stdin)
        self.assertIn(run.returncode, (0, 1), run.stderr.decode())
        answer = json.loads(run.stdout)
        self.assertEqual(answer["valid"], run.returncode == 0)
        self.assertEqual("error" in answer, run.returncode == 1)
        if not answer["valid"]:
            line = run.stderr.decode()
            self.assertTrue(line.startswith(f"vouchsafe: {answer['error']['code']}: "), line)
            self.assertEqual(line.count("\n"), 1)
        else:
            self.assertEqual(run.stderr, b"")
        return run.returncode, answer

    def refused(self, code, *args, stdin=b""):
        status, answer = self.decide(*args, stdin=stdin)
        self.assertEqual(status, 1, "valid")
        self.assertEqual(answer["error"]["code"], code)
        return answer

    def wrong_usage(self, words, *args):
        run = vouchsafe(*args)
        self.assertEqual(run.returncode, 2, args)
        self.assertEqual(run.stdout, b"")
        self.assertIn(words, run.stderr.decode())

    # ---- every recorded document ----

    def check_fields(self, entry, answer):
        document = answer["document"]
        self.assertTrue(document["verified"])
        self.assertEqual(answer["debug"], entry["debug"])
        self.assertEqual(answer["kind"], "enclave")
        for name in ("module_id", "timestamp_ms", "digest", "region"):
            self.assertEqual(document[name], entry[name])
        self.assertEqual(len(document["pcrs"]), entry["pcr_count"])
        for index, value in {**entry["pcrs"], **entry["pcrs_other_nonzero"]}.items():
            self.assertEqual(document["pcrs"][index], value)
        nonzero = [int(i) for i, v in document["pcrs"].items() if v.strip("0")]
        self.assertEqual(nonzero, entry["pcr_indices_nonzero"])
        for name in ("public_key", "user_data", "nonce"):
            if entry[name]["state"] == "null":
                self.assertIsNone(document[name])
            else:
                value = base64.b64decode(document[name], validate=True)
                self.assertEqual(len(value), entry[name]["size"])
                self.assertEqual(hashlib.sha256(value).hexdigest(), entry[name]["sha256"])
        self.assertEqual(document["map"], entry["payload_map_encoding"].split("(")[0])
        self.assertEqual(len(document["certificates"]), entry["cabundle_len"] + 1)
        for mine, theirs in zip(document["certificates"], entry["cabundle"]):
            self.assertIn("CN=" + theirs["subject_cn"], mine["subject"])
            self.assertEqual(mine["not_before"], theirs["not_before"])
            self.assertEqual(mine["not_after"], theirs["not_after"])
        self.assertIn("CN=" + entry["leaf_subject_cn"], document["certificates"][-1]["subject"])
        self.assertEqual(document["valid_from"], entry["all_certs_valid_from"])
        self.assertEqual(document["valid_until"], entry["all_certs_valid_until"])

    def test_genuine_at_document(self):
        self.assertGreater(len(self.genuine), 50)
        for entry in self.genuine:
            with self.subTest(entry["file"]):
                status, answer = self.decide("--at", "document",
                                             os.path.join(DOCUMENTS, entry["file"]))
                self.assertEqual(status, 0, answer.get("error"))
                self.assertEqual(answer["time_source"], "document")
                self.assertEqual([c["name"] for c in answer["checks"]], ATTEST_CHECKS)
                self.assertEqual({c["result"] for c in answer["checks"]}, {"ok"})
                self.check_fields(entry, answer)

    def test_genuine_now(self):
        for entry in self.genuine:
            with self.subTest(entry["file"]):
                answer = self.refused("certificate_expired",
                                      os.path.join(DOCUMENTS, entry["file"]))
                self.assertEqual(answer["time_source"], "clock")
                self.assertFalse(answer["document"]["verified"])
                results = [c["result"] for c in answer["checks"]]
                self.assertEqual(results, ["ok"] * 5 + ["failed"] + ["not reached"] * 2)

    def test_rejected(self):
        self.assertGreater(len(self.rejected), 5)
        for entry in self.rejected:
            for at in (["--at", "document"], []):
                with self.subTest(entry["file"], at=at):
                    status, answer = self.decide(*at, os.path.join(DOCUMENTS, entry["file"]))
                    self.assertEqual(status, 1)
                    code = answer["error"]["code"]
                    expected = self.reject_classes[entry["reject_class"]]
                    # A genuine signature that is broken is found out only at its own time.
                    if not at and entry["reject_class"] == "cose_signature":
                        expected = ["certificate_expired"]
                    self.assertIn(code, expected)

    def test_nitrotpm_kind(self):
        entry = next(e for e in self.rejected if e["reject_class"] == "nitrotpm_document")
        path = os.path.join(DOCUMENTS, entry["file"])
        self.refused("wrong_kind", "--at", "document", path)
        status, answer = self.decide("--at", "document", "--kind", "nitrotpm", path)
        self.assertEqual((status, answer["kind"]), (0, "nitrotpm"))
        self.assertEqual(len(answer["document"]["pcrs"]), 24)
        self.refused("wrong_kind", "--at", "document", "--kind", "nitrotpm", self.path)

    # ---- time ----

    def test_time_given(self):
        until, begin = self.one["all_certs_valid_until"], self.one["all_certs_valid_from"]
        status, answer = self.decide("--at", until, self.path)
        self.assertEqual((status, answer["time_source"], answer["time"]), (0, "given", until))
        self.refused("certificate_expired", "--at", seconds_later(until, 1), self.path)
        self.assertEqual(self.decide("--at", seconds_later(begin, -60), self.path)[0], 0)
        self.refused("certificate_not_yet_valid", "--at", seconds_later(begin, -61), self.path)

    def test_clock(self):
        """The clock is the machine's: with another one the same document is valid."""
        at = self.one["timestamp_iso"][:19].replace("T", " ")
        run = vouchsafe("verify", "--json", self.path, env={
            **os.environ, "TZ": "UTC", "FAKETIME": "@" + at, "LD_PRELOAD": FAKETIME,
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"})
        self.assertEqual(run.returncode, 0, run.stderr.decode())
        self.assertEqual(json.loads(run.stdout)["time_source"], "clock")

    def test_max_age(self):
        made = datetime.datetime.strptime(self.one["timestamp_iso"][:19], "%Y-%m-%dT%H:%M:%S")
        made = made.strftime("%Y-%m-%dT%H:%M:%SZ")
        fresh = ["--at", seconds_later(made, 60)]
        self.assertEqual(self.decide(*fresh, "--max-age", "60", self.path)[0], 0)
        answer = self.refused("document_stale", *fresh, "--max-age", "58", self.path)
        self.assertEqual(answer["checks"][-1]["name"], "max_age")
        self.assertEqual(self.decide("--at", "document", "--max-age", "0", self.path)[0], 0)

    # ---- what the caller demands ----

    def test_pcrs(self):
        pcrs = [f"--pcr={i}={v}" for i, v in self.one["pcrs"].items()]
        status, answer = self.decide("--at", "document", *pcrs, self.path)
        self.assertEqual(status, 0)
        self.assertEqual([c["name"] for c in answer["checks"]], ATTEST_CHECKS + ["debug", "pcrs"])
        for index in self.one["pcrs"]:
            value = self.one["pcrs"][index]
            wrong = ("1" if value[0] == "0" else "0") + value[1:]
            answer = self.refused("pcr_mismatch", "--at", "document", "--pcr",
                                  f"{index}={wrong}", self.path)
            self.assertEqual(answer["error"]["field"], f"pcrs[{index}]")
        self.refused("pcr_mismatch", "--at", "document", "--pcr", "31=" + "0" * 96, self.path)

    def test_nonce(self):
        nonce = self.one["nonce"]["hex"]
        status, answer = self.decide("--at", "document", "--nonce", nonce.upper(), self.path)
        self.assertEqual((status, answer["checks"][-1]), (0, {"name": "nonce", "result": "ok"}))
        self.refused("nonce_mismatch", "--at", "document", "--nonce", nonce[:-2], self.path)
        self.refused("nonce_mismatch", "--at", "document", "--nonce", nonce + "00", self.path)
        wrong = nonce[:-1] + ("1" if nonce[-1] == "0" else "0")
        self.refused("nonce_mismatch", "--at", "document", "--nonce", wrong, self.path)
        without = next(e for e in self.genuine if not e["debug"] and e["nonce"]["state"] == "null")
        self.refused("nonce_mismatch", "--at", "document", "--nonce", "00",
                     os.path.join(DOCUMENTS, without["file"]))

    def test_debug(self):
        path = os.path.join(DOCUMENTS, self.debug_one["file"])
        self.assertEqual(self.decide("--at", "document", path)[0], 0)
        self.refused("debug", "--at", "document", "--pcr", "0=" + "0" * 96, path)
        self.refused("debug", "--at", "document", "--nonce", "00", path)

    def test_root(self):
        answer = self.refused("document_untrusted", "--at", "document", "--root",
                              self.made_root(), self.path)
        self.assertEqual(answer["checks"][3]["result"], "failed")
        aws = os.path.join(SOURCE, "certs/aws-nitro-root/root.pem")
        self.assertEqual(self.decide("--at", "document", "--root", aws, self.path)[0], 0)

    def made_root(self):
        pem = os.path.join(self.scratch(), "root.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-384", "-sha384", "-nodes", "-days", "30", "-subj",
                        "/CN=a root of a test", "-keyout", pem + ".key", "-out", pem, "-addext",
                        "keyUsage=critical,keyCertSign"],
                       check=True, capture_output=True)
        return pem

    def scratch(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return folder.name

    # ---- forms of input ----

    def test_forms(self):
        raw = load(self.one["file"])
        plain = base64.b64encode(raw)
        for form in (raw, plain, plain + b"\n", plain + b" \r\n\n", base64.encodebytes(raw)):
            status, answer = self.decide("--at", "document", "-", stdin=form)
            self.assertEqual(status, 0)
            self.assertEqual(answer["document"]["module_id"], self.one["module_id"])
        # Not canonical: then it is raw bytes, and no document.
        for form in (plain[:-1], plain + b"=", b"=" + plain, plain + b"!", plain + plain[:4]):
            status, answer = self.decide("--at", "document", "-", stdin=form)
            self.assertEqual((status, answer["checks"][0]["result"]), (1, "failed"))
        self.refused("cbor_trailing_bytes", "--at", "document", "-", stdin=raw + b"\n")

    def test_junk(self):
        """Any input that can be read is decided."""
        answer = self.refused("cbor_malformed", "-")
        self.assertNotIn("document", answer)
        self.assertEqual(self.decide("/dev/null")[0], 1)
        for junk in (b"\n", b"\x00", b"hello", b"\xff" * 100, b"\x84"):
            self.assertEqual(self.decide("-", stdin=junk)[0], 1)
        for size in (32769, 3 * 1024 * 1024):
            self.refused("too_large", "-", stdin=b"\x84" + bytes(size))

    def test_not_readable(self):
        for path in (os.path.join(self.scratch(), "missing"), "/"):
            run = vouchsafe("verify", "--json", path)
            self.assertEqual((run.returncode, run.stdout), (3, b""))
            self.assertTrue(run.stderr.startswith(b"vouchsafe: file: "), run.stderr)
        run = vouchsafe("verify", "--root", os.path.join(self.scratch(), "missing"), self.path)
        self.assertEqual(run.returncode, 3)

    def test_not_writable(self):
        """A verdict that could not be delivered is no success."""
        with open("/dev/full", "wb") as full:
            run = subprocess.run([BINARY, "verify", "--at", "document", self.path], stdout=full,
                                 stderr=subprocess.PIPE, check=False, timeout=60)
        self.assertEqual(run.returncode, 3)
        self.assertIn(b"standard output", run.stderr)

    # ---- wrong usage ----

    def test_usage(self):
        zeros = "0" * 96
        self.wrong_usage("vouchsafe verify", "verify")
        self.wrong_usage("vouchsafe verify", "verify", self.path, self.path)
        self.wrong_usage("did you mean --nonce?", "verify", "--nonec", "00", self.path)
        self.wrong_usage("unknown option --frobnicate", "verify", "--frobnicate", self.path)
        self.wrong_usage("--at takes", "verify", "--at", "yesterday", self.path)
        self.wrong_usage("--at takes", "verify", "--at", "2026-02-30T00:00:00Z", self.path)
        self.wrong_usage("from 1970 on", "verify", "--at", "1969-12-31T23:59:59Z", self.path)
        self.wrong_usage("--kind takes", "verify", "--kind", "tpm", self.path)
        for nonce in ("", "0", "0g", "00 ", "00" * 1025):
            self.wrong_usage("--nonce takes", "verify", f"--nonce={nonce}", self.path)
        for pcr in ("0", "=" + zeros, "32=" + zeros, "00=" + zeros, "-1=" + zeros, "0=", "0=00",
                    "0=" + zeros + "00", "0=" + "g" + zeros[1:]):
            self.wrong_usage("--pcr", "verify", "--pcr", pcr, self.path)
        self.wrong_usage("given twice", "verify", "--pcr", "0=" + zeros, "--pcr", "0=" + zeros,
                         self.path)
        for age in ("-1", "1.5", "", "99999999999999999999"):
            self.wrong_usage("--max-age takes", "verify", f"--max-age={age}", self.path)
        self.wrong_usage("config", "verify", "--root", self.path, self.path)

    def test_commands(self):
        self.wrong_usage("did you mean \"verify\"?", "verfy")
        self.wrong_usage("unknown command", "frobnicate")
        self.wrong_usage("Vouchsafe", *[])
        self.wrong_usage("unknown command", "help", "frobnicate")
        version = vouchsafe("--version")
        self.assertRegex(version.stdout.decode(), r"^vouchsafe \d+\.\d+\.\d+\n$")
        for args in (["help"], ["--help"], ["help", "verify"], ["verify", "--help"]):
            run = vouchsafe(*args)
            self.assertEqual((run.returncode, run.stderr), (0, b""))
            self.assertIn(b"verify", run.stdout)
            self.assertLessEqual(max(map(len, run.stdout.decode().splitlines())), 80)

    # ---- for people ----

    def test_human(self):
        run = vouchsafe("verify", "--at", "document", self.path)
        text = run.stdout.decode()
        self.assertEqual(run.returncode, 0)
        self.assertTrue(text.startswith("VALID\n"))
        self.assertNotIn("\x1b", text)
        self.assertIn("PRODUCTION", text)
        self.assertIn(self.one["pcrs"]["0"], text)
        self.assertIn("the document's own time", text)
        self.assertNotIn("0" * 96, text)
        debug = vouchsafe("verify", "--at", "document",
                          os.path.join(DOCUMENTS, self.debug_one["file"]))
        self.assertIn("DEBUG", debug.stdout.decode())
        expired = vouchsafe("verify", self.path)
        self.assertEqual(expired.returncode, 1)
        self.assertTrue(expired.stdout.decode().startswith("NOT VALID\n"))
        self.assertIn("NOT VERIFIED", expired.stdout.decode())
        self.assertRegex(expired.stderr.decode(), r"^vouchsafe: certificate_expired: cabundle\[1\]: "
                         r"valid from .+; to judge a recorded document at its own time: --at document\n$")
        given = vouchsafe("verify", "--at", "2040-01-01T00:00:00Z", self.path)
        self.assertRegex(given.stderr.decode(), r"^vouchsafe: certificate_expired: .+")
        self.assertNotIn("--at", given.stderr.decode())

    def test_colour(self):
        def on_terminal(**env):
            ours, theirs = pty.openpty()
            run = subprocess.Popen([BINARY, "verify", "--at", "document", self.path],
                                   stdout=theirs, env={**os.environ, "TERM": "xterm", **env})
            os.close(theirs)
            text = b""
            try:
                while chunk := os.read(ours, 4096):
                    text += chunk
            except OSError:  # the other end is closed
                pass
            os.close(ours)
            self.assertEqual(run.wait(60), 0)
            return text

        self.assertIn(b"\x1b[32mVALID", on_terminal())
        self.assertNotIn(b"\x1b", on_terminal(NO_COLOR="1"))
        self.assertNotIn(b"\x1b", on_terminal(TERM="dumb"))


if __name__ == "__main__":
    if not os.path.isdir(DOCUMENTS):
        print(f"SKIPPED: no recorded documents in {DOCUMENTS}", file=sys.stderr)
        sys.exit(1 if os.environ.get("CI") == "true" else 77)
    unittest.main()
