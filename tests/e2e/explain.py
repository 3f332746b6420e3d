#!/usr/bin/env python3
"""Goal of this test: an administrator learns why an enclave is refused and what to do about it,
from the document or from the request id that the enclave prints, and asking changes nothing.
"""
import base64
import json
import re
import subprocess
import unittest

from enclave import SECRET, SIMULATOR, WithEnclave
from server import TIMEOUT_S, pcr

ROLE = ["--pcr", f"3={pcr('a role')}"]


def request_of(run):
    return re.search(r"refused \(request ([0-9A-Z]+)\): ", run.stderr.decode(), re.M)[1]


class Explain(WithEnclave):
    def explain(self, status, *words, **more):
        run = self.store.run("explain", *words, **more)
        self.assertEqual(run.returncode, status, run.stderr.decode() + run.stdout.decode())
        return run.stdout.decode()

    def explain_json(self, status, *words, **more):
        return json.loads(self.explain(status, *words, "--json", **more))

    def document(self, module=None, act=lambda path: None):
        """A document that an agent sends, and what came of the request: `act` is done while it
        is under way."""
        relay, path = self.relay(), self.store.path("document")

        def see(body):
            with open(path, "wb") as file:
                file.write(base64.b64decode(json.loads(body)["attestation_document"]))
            act(path)
            return relay.send("/v1/release", body)

        relay.on_release = see
        return path, self.fetch(module=module, verifier=relay.url)

    def pcrs_of(self, image):
        printed = subprocess.run([*SIMULATOR, "--image", image, "--print-measurements"],
                                 capture_output=True, check=True, timeout=TIMEOUT_S).stdout
        return json.loads(printed)["Measurements"]

    def state(self):
        status = self.json("status")
        return status["audit_sequence"], status["policy_revision"], status["counters"]

    def test_document(self):
        """Asked about while it is under way: it would be released, and afterwards it is."""
        seen = {}

        def act(path):
            before = self.state()
            seen["text"] = self.explain(0, "--document", path, "--secret", SECRET)
            seen["json"] = self.explain_json(0, "--document", path, "--secret", SECRET)
            self.assertEqual(self.state(), before)

        path, run = self.document(act=act)
        self.granted(run)
        self.assertTrue(seen["text"].startswith("WOULD BE RELEASED\n"))
        answer = seen["json"]
        self.assertEqual((answer["verdict"], answer["code"]), ("released", "ok"))
        self.assertEqual({row["result"] for row in answer["checks"]}, {"ok"})
        self.assertEqual({row["result"] for row in answer["binding"]}, {"ok"})
        self.assertEqual([s["reason"] for s in answer["secrets"]], ["granted"])
        self.assertEqual(answer["secrets"][0]["measurement"], "web@1")
        self.assertEqual(len(self.records("release.granted")), 1)
        # Now that the challenge is spent, that is said, and nothing else is different.
        answer = self.explain_json(0, "--document", path, "--secret", SECRET)
        self.assertEqual([row["result"] for row in answer["binding"]],
                         ["challenge_redeemed", "ok", "ok"])
        # As base64, from standard input; about another secret than it was made for.
        with open(path, "rb") as file:
            encoded = base64.encodebytes(file.read())
        answer = self.explain_json(1, "--document", "-", "--secret", "web/other@3", stdin=encoded)
        self.assertEqual(answer["binding"][1]["result"], "request_not_bound")
        self.assertEqual(answer["secrets"][0]["reason"], "unknown_secret")
        self.assertIn("vouchsafe secret put web/other",
                      self.explain(1, "--document", path, "--secret", "web/other@3"))
        self.assertEqual(self.state()[2]["granted"], 1)
        self.assertIn(" op=explain\n", self.store.log())

    def test_old_document(self):
        """A document of yesterday: refused for its age alone; judged at its own time it is not."""
        path, run = self.document()
        self.granted(run)
        words = ("--document", path, "--secret", SECRET)
        text = self.explain(1, *words, "--at", "2001-01-01T00:00:00Z")
        self.assertRegex(text, r"(?m)^  certificate validity +FAIL$")
        self.assertRegex(text, r"(?m)^  timestamp +-$")
        self.explain(0, *words, "--at", "document")
        self.store.shift_clock("+10m")  # the command's clock is not asked
        self.explain(0, *words)
        self.store.stop()
        self.assertIsNone(self.store.start())
        run = self.store.run("explain", *words)
        self.check(run, 1, "document_stale", "timestamp")
        text = run.stdout.decode()
        self.assertRegex(text, r"(?m)^  timestamp +FAIL$")
        self.assertIn(": it is released (granted)\n", text)
        self.explain(0, *words, "--at", "document")

    def test_new_build(self):
        """Refused, explained by its request id, registered as the advice says, granted."""
        image = self.store.write("next", "the vendor's next client")
        module = self.enclave("next.sock", "--image", image)
        run = self.fetch(module=module)
        self.denied(run, "refused")
        request = request_of(run)
        before = self.state()
        text = self.explain(1, request)
        self.assertEqual(self.state(), before)
        self.assertTrue(text.startswith("WOULD BE REFUSED now; was refused\n"))
        self.assertRegex(text, r"(?m)^  image measured +FAIL$")
        self.assertRegex(text, r"(?m)^  build matches +-$")
        self.assertIn("  then: no_measurement; now: no_measurement (as then)\n", text)
        self.assertIn("  nearest measurement: web@1 (active), 1 of 3 PCRs are equal\n", text)
        self.assertIn(f" secret={SECRET} image=web state=active ", text)  # nothing that is empty
        measured = self.pcrs_of(image)
        for index, meaning in ((0, "another image file"), (2, "another application")):
            self.assertRegex(text, rf"(?m)^  PCR{index}  {measured[f'PCR{index}'][:8]}  "
                                   rf"[0-9a-f]{{8}}  {meaning}$")
        nearest = self.explain_json(1, request)["secrets"][0]["nearest"]
        self.assertEqual([row["document"] for row in nearest["different"]],
                         [measured["PCR0"], measured["PCR2"]])
        # What it says to do, done as it says it.
        command = re.search(r"^ *vouchsafe (measurement add web@VERSION(?: \\\n[^\\\n]*)*)$", text, re.M)
        words = command[1].replace("\\\n", "").replace("VERSION", "2").split()
        self.done(*words, "--draft")
        text = self.explain(1, request)
        self.assertIn("; now: measurement_state\n", text)
        self.assertIn("vouchsafe measurement activate web@2\n", text)
        self.done("measurement", "activate", "web@2")
        text = self.explain(0, request)
        self.assertTrue(text.startswith("WOULD BE RELEASED now; was refused\n"))
        self.assertIn("  then: no_measurement; now: granted\n", text)
        self.assertRegex(text, r"(?m)^[0-9]+ +\S+Z +measurement\.add +ann +web@2$")
        answer = self.explain_json(0, request)
        self.assertEqual([c["event"] for c in answer["changes"]],
                         ["measurement.add", "measurement.activate"])
        self.assertNotIn("changes_next", answer)
        self.assertEqual(answer["record"]["policy_revision"] + 2, answer["policy_revision"])
        self.granted(self.fetch(module=module))

    def test_role(self):
        """The build is the one that is registered; where it runs is another matter."""
        self.done("grant", "add", SECRET, "--image", "web", "--role-pcr3", pcr("a role"))
        for grant in self.json("grant", "list"):
            if "pcr3" not in grant:
                self.done("grant", "remove", str(grant["id"]))
        run = self.fetch(module=self.enclave("role.sock", "--pcr", f"3={pcr('another')}"))
        text = self.explain(1, request_of(run))
        self.assertRegex(text, r"(?m)^  grant pcrs match +FAIL$")
        self.assertIn(f"  PCR3  {pcr('another')[:8]}  {pcr('a role')[:8]}  the enclave's parent "
                      "has another IAM role\n", text)
        run = self.fetch()
        self.assertIn("  the enclave's parent has no IAM role\n",
                      self.explain(1, request_of(run)))
        self.granted(self.fetch(module=self.enclave("right.sock", *ROLE)))

    def test_revoked(self):
        """Denied as an instance, and by its certificate: taken back as the advice says."""
        path, run = self.document()
        self.granted(run)
        asked = ("--document", path, "--secret", SECRET)
        instance = re.match("i-[0-9a-f]+", self.records("release.granted")[0]["document"]["module_id"])[0]
        for subject, reason in ((("--instance-id", instance), "instance_revoked"),
                                (("--document", path, "--position", "1"), "certificate_revoked")):
            self.done("revocation", "add", *subject, "--reason", "stolen")
            self.denied(self.fetch(), "refused")
            text = self.explain(1, *asked)
            self.assertIn(f"deny wins ({reason})\n", text)
            self.assertIn("    vouchsafe revocation list\n"
                          "    vouchsafe revocation remove ID --reason TEXT\n", text)
            denied = [row for row in self.json("revocation", "list") if row["state"] == "active"]
            self.done("revocation", "remove", str(denied[0]["id"]), "--reason", "a mistake")
            self.assertIn(": it is released (granted)\n", self.explain(0, *asked))
            self.granted(self.fetch())

    def test_quota(self):
        for grant in self.json("grant", "list"):
            self.done("grant", "remove", str(grant["id"]))
        self.done("grant", "add", SECRET, "--image", "web", "--quota", "1")
        path, run = self.document()
        self.granted(run)
        answer = self.explain_json(0, "--document", path, "--secret", SECRET)
        self.assertEqual({**answer["secrets"][0]["quota"], "grant": 0},
                         {"grant": 0, "limit": 1, "used": 1, "counted": True})
        run = self.fetch(module=self.enclave("second.sock"))
        answer = self.explain_json(1, request_of(run))
        self.assertEqual(answer["secrets"][0]["then"]["reason"], "over_quota")
        self.assertEqual(answer["secrets"][0]["reason"], "over_quota")
        self.assertFalse(answer["secrets"][0]["quota"]["counted"])

    def advised(self, text, command):
        """What it says to do with `command`, as words."""
        return re.search(rf"(?m)^ *vouchsafe ({command}\b.*)$", text)[1].split()

    def test_advice(self):
        """It works as it is printed, and names what is meant."""
        path, run = self.document()
        self.granted(run)
        self.check(self.store.run("secret", "put", SECRET, stdin=b"new"), 0)
        old = ("--document", path, "--secret", SECRET + "@1")
        text = self.explain(1, *old)
        self.assertIn(" (version_not_granted)\n", text)
        self.done(*self.advised(text, "grant add"))
        self.explain(0, *old)
        text = self.explain(1, "--document", path, "--secret", "typo/key")
        self.done(*self.advised(text, "secret list"))
        self.assertEqual(self.advised(text, "secret put")[-1], "typo/key")
        self.done("measurement", "revoke", "web@1")
        self.assertIn("  it is web@1, which was revoked\n", self.explain(1, *old))
        run = self.store.run("explain", *old, "--at", "2099-01-01T00:00:00Z")
        self.assertNotIn("--at document", self.check(run, 1, "certificate_expired").stderr.decode())
        self.store.stop()
        self.store.shift_clock("+1d")
        self.assertIsNone(self.store.start())
        self.check(self.store.run("explain", *old), 1, "certificate_expired",
                   "at its own time: --at document")

    def test_no_record(self):
        self.refused("not_found", "explain", "0000000000000000",
                     says="refused before the document was verified")
        run = self.store.run("secret", "put", SECRET, "--json", stdin=b"x")
        record = self.records("secret.put")[-1]
        self.refused("not_found", "explain", record["request_id"],
                     says="of an administrator's action")
        self.assertEqual(run.returncode, 0)

    def test_usage(self):
        path = self.store.write("junk", b"\x84\x00")
        for words in ((), ("--secret", SECRET), ("--document", path), (path, "--at", "document"),
                      ("X", "--document", path, "--secret", SECRET), ("X", "Y")):
            self.refused("usage", "explain", *words, status=2)
        self.refused("file", "explain", "--document", self.store.path("none"), "--secret", SECRET,
                     status=3)
        for name in ("A", "a@0", "a@x", "a@1,a", "a,", "@1"):
            self.refused("malformed", "explain", "--document", path, "--secret", name,
                         says="secrets")
        self.refused("malformed", "explain", "--document", path, "--secret", SECRET, "--at", "now")
        text = self.explain(1, "--document", path, "--secret", SECRET)
        self.assertRegex(text, r"(?m)^  cose sign1 +FAIL$")


if __name__ == "__main__":
    unittest.main()
