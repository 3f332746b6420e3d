#!/usr/bin/env python3
"""Goal of this test: persons and pipelines, as they work with the commands: a pipeline that can
only draft, somebody else who activates, and tokens that end.
"""
import json
import os
import re
import stat
import subprocess
import time
import unittest

from server import PROGRAM, TIMEOUT_S, WithStore, clean_environment, pcr


def pcrs(letter):
    return [part for i in range(3) for part in ("--pcr", f"{i}={pcr(letter + str(i))}")]


class WithPeople(WithStore):
    def setUp(self):
        super().setUp()
        self.check(self.store.init("--development"), 0)
        self.assertIsNone(self.store.start())

    def token(self, name, *args):
        """The file of a new token of that person, who is made where there is none."""
        path = self.store.path(f"{name}-{len(os.listdir(self.store.folder))}.token")
        self.done("person", "add", name)
        self.done("token", "create", "--person", name, "--out", path, *args)
        return path


class Tokens(WithPeople):
    def test_story(self):
        pipeline = self.token("ci", "--right", "draft", "--right", "view", "--image", "payments",
                              "--label", "build 7", "--expires", "90d")
        activator = self.token("bob", "--right", "activate", "--right", "view")
        self.assertEqual(stat.S_IMODE(os.stat(pipeline).st_mode), 0o600)
        add = ["measurement", "add", "payments@1", *pcrs("a")]
        self.refused("forbidden", *add, "--token-file", pipeline, says="add --draft")
        added = self.json(*add, "--draft", "--token-file", pipeline)
        self.assertEqual((added["measurement"]["state"], added["measurement"]["added_by"]),
                         ("draft", "ci"))
        self.refused("forbidden", "measurement", "activate", "payments@1", "--token-file", pipeline,
                     says="measurement.activate needs the right activate, which ci's token")
        self.refused("forbidden", "measurement", "add", "refunds@1", *pcrs("b"), "--draft",
                     "--token-file", pipeline, says="for the image payments only")
        self.refused("forbidden", "measurement", "list", "--token-file", pipeline,
                     says="name one of them")
        self.assertEqual(len(self.json("measurement", "list", "--image", "payments",
                                       "--token-file", pipeline)), 1)
        self.refused("forbidden", "status", "--token-file", pipeline)
        self.refused("forbidden", *add, "--token-file", activator, says="the right draft, which")
        self.refused("forbidden", "measurement", "discard", "payments@1", "--token-file",
                     self.token("viewer", "--right", "view"), says="the right draft or activate,")
        self.done("measurement", "activate", "payments@1", "--token-file", activator)
        self.assertIn("added by             ci\n", self.done("measurement", "show", "payments@1"))

    def test_ends(self):
        path = self.token("ci", "--right", "view", "--label", "build \"7\"")
        self.done("status", "--token-file", path)
        self.assertEqual(self.json("token", "revoke", "2")["result"], "revoked")
        self.assertEqual(self.json("token", "revoke", "2")["result"], "unchanged")
        self.refused("unauthenticated", "status", "--token-file", path, says="token 2 was revoked")
        other = self.token("ci", "--right", "view")
        self.assertEqual(self.json("person", "remove", "ci")["result"], "removed")
        self.refused("unauthenticated", "status", "--token-file", other, says="removed person")
        self.refused("wrong_state", "person", "add", "ci")
        self.refused("wrong_state", "token", "revoke", "1", says="the last")
        self.refused("wrong_state", "person", "remove", "ann", says="the last")
        # The log names the token that was refused, and no token is in it.
        self.assertRegex(self.store.log(), r"ev=admin\.refused .* token=2 label=\"build \\\"7\\\"\"")
        for name in (path, other):
            with open(name, encoding="ascii") as file:
                self.assertNotIn(file.read().strip(), self.store.log())
        table = self.done("token", "list")
        self.assertRegex(table, r"2 +ci +view +build \"7\" +person removed")
        self.assertRegex(self.done("person", "list"), r"(?m)^ci +removed +0 ")

    def test_expires(self):
        path = self.token("ci", "--right", "view", "--expires", "2h")
        self.done("status", "--token-file", path)
        self.store.stop()
        self.store.shift_clock("+3h")
        self.assertIsNone(self.store.start())
        self.refused("unauthenticated", "status", "--token-file", path, says="token 2 has expired")
        self.assertEqual(self.json("token", "list")[1]["state"], "expired")

    def test_out(self):
        self.done("person", "add", "bob")
        create = ["token", "create", "--person", "bob", "--right", "view"]
        shown = self.store.run(*create, "--out", "-")
        self.assertEqual(shown.returncode, 0)
        self.assertRegex(shown.stdout.decode(), r"^[0-9a-f]{64}\n$")
        self.assertEqual(shown.stderr.decode(), "created token 2 of bob\n")
        self.done("status", VOUCHSAFE_TOKEN=shown.stdout.decode().strip())
        there = self.store.write("there", "mine")
        self.refused("file", *create, "--out", there, status=3, says="File exists")
        self.assertEqual(len(self.json("token", "list")), 2)
        # A token that the server did not take is not left behind.
        path = self.store.path("new")
        self.refused("not_found", "token", "create", "--person", "eve", "--right", "view", "--out",
                     path)
        self.assertFalse(os.path.exists(path))
        for wrong, says in ((["--out", "-", "--json"], "--json has no room"), ([], "--out FILE"),
                            (["--out", path, "--expires", "soon"], "--expires takes"),
                            (["--out", path, "--image", "a,b"], "--image takes one name")):
            self.refused("usage", *create, *wrong, status=2, says=says)
        self.refused("usage", "token", "create", "--right", "view", "--out", path, status=2,
                     says="--person")
        self.refused("usage", "token", "create", "--person", "bob", "--out", path, status=2,
                     says="--right")
        self.refused("usage", "token", "revoke", "x", status=2)
        self.assertFalse(os.path.exists(path))

    def test_record(self):
        self.token("ci", "--right", "draft", "--image", "payments")
        records = self.json("audit", "list", "--event", "token.create")
        self.assertEqual((records[0]["person"], records[0]["object"]), ("ann", "2: of ci"))
        self.assertTrue(re.search(r'"images":\["payments"\]', records[0]["detail"]))

    # ---- what pipelines read ----

    def test_json_everywhere(self):
        """But where the output is JSON already, a file, or the server's log."""
        overview = self.done("help")
        without = {"describe-eif", "registration make", "registration sign", "serve"}
        commands = re.findall(r"^  ([a-z][a-z-]*(?: [a-z]+)?)  ", overview, re.M)
        self.assertGreater(len(commands), 35)
        for command in commands:
            options = self.done(*command.split(), "--help")
            self.assertEqual("  --json " in options, command not in without, command)


class Wait(WithPeople):
    # Once, for a pipeline's log: what the job waits for.
    WAITING = ("payments@1: draft; waiting, 30 min at most, for somebody to run "
               "`vouchsafe measurement activate payments@1`\n")

    def setUp(self):
        super().setUp()
        self.pipeline = self.token("ci", "--right", "draft", "--right", "view", "--image",
                                   "payments")
        self.add = ["measurement", "add", "payments@1", *pcrs("a"), "--draft", "--wait",
                    "--token-file", self.pipeline]

    def begin(self, *args):
        """The command, once it waits."""
        process = subprocess.Popen([*PROGRAM, *self.add, *args], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE,
                                   env=clean_environment(VOUCHSAFE_STATE=self.store.state))
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stderr.readline().decode(), self.WAITING)
        return process

    def ended(self, process, status):
        out, error = process.communicate(timeout=TIMEOUT_S)
        self.assertEqual(process.returncode, status, error)
        return out.decode(), error.decode()

    def test_activated(self):
        process = self.begin("--json")
        self.assertIsNone(process.poll())
        self.done("measurement", "activate", "payments@1")
        out, error = self.ended(process, 0)
        answer = json.loads(out)
        self.assertEqual((answer["result"], answer["measurement"]["state"]), ("added", "active"))
        self.assertEqual(error, "")
        # Again: it is there, and counts.
        self.assertEqual(self.done(*self.add), "unchanged payments@1 (active)\n")

    def test_over(self):
        for _ in range(2):  # the second goes on with the draft of the first
            run = self.store.run(*self.add, "--timeout", "1s")
            self.assertEqual((run.returncode, run.stdout), (3, b""))
            self.assertEqual(run.stderr.decode(), self.WAITING.replace("30", "1") +
                             "vouchsafe: timeout: payments@1 is still a draft; the same command "
                             "again goes on waiting\n")
        self.assertEqual(self.json("measurement", "show", "payments@1")["state"], "draft")

    def test_revoked(self):
        process = self.begin()
        self.done("measurement", "revoke", "payments@1")
        out, error = self.ended(process, 1)
        self.assertEqual(out, "")
        self.assertIn("vouchsafe: wrong_state: state: payments@1 is revoked: it was not approved", error)
        self.refused("wrong_state", *self.add, says="revoked")

    def test_server_away(self):
        process = self.begin()
        self.store.stop()
        time.sleep(2)
        self.assertIsNone(process.poll())
        self.assertIsNone(self.store.start())
        self.done("measurement", "activate", "payments@1")
        self.assertEqual(self.ended(process, 0)[0], "added payments@1 (active)\n")

    def test_wrong(self):
        blind = self.token("blind", "--right", "draft", "--image", "payments")
        self.refused("forbidden", *self.add[:-1], blind, says="needs the right view")
        self.assertEqual(self.json("measurement", "list"), [])  # nothing was registered
        self.refused("usage", *[a for a in self.add if a != "--draft"], status=2,
                     says="add --draft")
        self.refused("usage", *[a for a in self.add if a != "--wait"], "--timeout", "1s", status=2,
                     says="add --wait")
        self.refused("usage", *self.add, "--timeout", "1", status=2, says="--timeout takes")


NAMESPACE = "vouchsafe-registration@1"


class Registration(WithPeople):
    """With the real ssh-keygen."""

    def setUp(self):
        super().setUp()
        self.store_id = self.json("status")["store_id"]
        self.done("person", "add", "ci")
        self.key = self.make_key("key")
        self.done("signer", "add", "--person", "ci", "--image", "payments", self.key + ".pub")
        self.gate = self.token("gate", "--right", "draft", "--image", "other")

    def make_key(self, name, *more):
        path = self.store.path(name)
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "ci@build", "-f", path,
                        *(more or ["-t", "ed25519"])], check=True, timeout=TIMEOUT_S)
        return path

    def make(self, serial, build="payments@1", letter="a", expires="1h", **more):
        text = self.done("registration", "make", "--store", more.get("store", self.store_id),
                         "--serial", str(serial), "--expires", expires, build, *pcrs(letter),
                         "--label", "commit=5d5eab0", VOUCHSAFE_STATE="/nonexistent")
        return self.store.write("file", text)

    def sign(self, path, key=None, *more):
        subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key or self.key,
                        *(more or ["-n", NAMESPACE]), path], check=True, timeout=TIMEOUT_S,
                       stderr=subprocess.DEVNULL)
        return path

    def submit(self, path):
        return ["registration", "submit", path, "--token-file", self.gate]

    def renew(self, path):
        os.unlink(path + ".sig")
        return path

    def test_story(self):
        path = self.sign(self.make(1))
        added = self.json(*self.submit(path))
        self.assertEqual(added["result"], "added")
        m = added["measurement"]
        self.assertEqual((m["state"], m["added_by"], m["labels"]),
                         ("draft", "ci", {"commit": "5d5eab0"}))
        # The same file again, also once it is active.
        self.assertEqual(self.json(*self.submit(path))["result"], "unchanged")
        self.done("measurement", "activate", "payments@1")
        self.assertEqual(self.done(*self.submit(path)), "unchanged payments@1\n")  # not its image
        self.assertEqual(self.done("registration", "submit", path),
                         "unchanged payments@1 (active)\n")
        record = self.json("audit", "list", "--event", "registration.submit")
        self.assertEqual(len(record), 1)
        self.assertEqual((record[0]["person"], record[0]["object"], record[0]["detail"]),
                         ("gate", "payments@1", "added as a draft, signed by ci, serial 1"))
        self.assertEqual(self.json("signer", "list")[0]["last_serial"], 1)
        # The serial is on disk.
        self.store.stop()
        self.assertIsNone(self.store.start())
        other = self.sign(self.renew(self.make(1, "payments@2", "b")))
        self.refused("serial_used", *self.submit(other), says="1 is not above 1")
        self.sign(self.renew(self.make(3, "payments@2", "b")))
        self.assertEqual(self.json(*self.submit(other))["result"], "added")
        self.sign(self.renew(self.make(2, "payments@3", "c")))
        self.refused("serial_used", *self.submit(other))

    def test_deterministic(self):
        texts = set()
        for _ in range(2):
            with open(self.make(1, expires="2030-01-01T00:00:00Z"), "rb") as file:
                texts.add(file.read())
        self.assertEqual(len(texts), 1)
        self.assertEqual(json.loads(texts.pop())["expires"], "2030-01-01T00:00:00Z")

    def test_refused(self):
        path = self.sign(self.make(1, store="00" * 16))
        self.refused("registration_refused", *self.submit(path), says="store: it is for another")
        self.sign(self.renew(self.make(1, "refunds@1")))
        self.refused("registration_refused", *self.submit(path),
                     says="signer 1 of ci does not sign for the image refunds")
        self.sign(self.renew(self.make(1, expires="1s")))
        time.sleep(1)
        self.refused("registration_refused", *self.submit(path), says="expires: it has expired")
        self.sign(self.renew(self.make(1)), self.make_key("stranger"))
        self.refused("registration_refused", *self.submit(path), says="not enrolled")
        self.sign(self.renew(self.make(1)))
        with open(path, "ab") as file:
            file.write(b"\n")
        self.refused("signature_invalid", *self.submit(path), says="did not sign this file")
        # Nothing of all that has used a serial up.
        self.sign(self.renew(self.make(1)))
        self.assertEqual(self.json(*self.submit(path))["result"], "added")
        blind = self.token("blind", "--right", "view")
        self.refused("forbidden", "registration", "submit", path, "--token-file", blind)

    def test_wrong_signature(self):
        path = self.make(1)
        rsa = self.make_key("rsa", "-t", "rsa", "-b", "2048")
        for more, says in (([self.key, "-n", "file"], "for another purpose"),
                           ([self.key, "-n", NAMESPACE, "-O", "hashalg=sha256"], "over sha512"),
                           ([rsa, "-n", NAMESPACE], "ssh-rsa: only ssh-ed25519")):
            self.refused("ssh_signature_malformed", *self.submit(self.sign(path, *more)),
                         says=says)
            self.renew(path)
        self.store.write("file.sig", "none")
        self.refused("ssh_signature_malformed", *self.submit(path))
        self.refused("public_key_unsupported", "signer", "add", "--person", "ci", "--image",
                     "payments", rsa + ".pub", says="ssh-ed25519")
        self.refused("public_key_unsupported", "signer", "add", "--person", "ci", "--image",
                     "payments", self.key, says="never the private key")

    def test_openssl_key(self):
        """The same bytes as ssh-keygen's, which takes them for its own."""
        pem, public = self.store.path("pem"), self.store.path("pem.pub")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ED25519", "-out", pem], check=True)
        subprocess.run(["openssl", "pkey", "-in", pem, "-pubout", "-out", public], check=True)
        self.done("signer", "add", "--person", "ci", "--image", "payments", public)
        path = self.make(7)
        self.store.write("file.sig", self.done("registration", "sign", "--key", pem, path))
        with open(path, "rb") as file:
            subprocess.run(["ssh-keygen", "-q", "-Y", "check-novalidate", "-n", NAMESPACE, "-s",
                            path + ".sig"], stdin=file, check=True, timeout=TIMEOUT_S)
        self.assertEqual(self.json(*self.submit(path))["result"], "added")
        self.refused("public_key_unsupported", "registration", "sign", "--key", self.key, path)
        self.refused("malformed", "registration", "sign", "--key", pem,
                     self.store.write("x", "no file"))

    def test_removed(self):
        path = self.sign(self.make(1))
        self.assertEqual(self.json("signer", "remove", "1")["result"], "removed")
        self.assertEqual(self.json("signer", "remove", "1")["result"], "unchanged")
        self.refused("registration_refused", *self.submit(path), says="was removed")
        self.refused("exists", "signer", "add", "--person", "ci", "--image", "payments",
                     self.key + ".pub", says="make a new key")
        key = self.make_key("second")
        self.done("signer", "add", "--person", "ci", "--image", "payments", key + ".pub")
        self.sign(self.renew(path), key)
        self.done("person", "remove", "ci")
        self.refused("registration_refused", *self.submit(path), says="was removed")
        self.assertEqual([s["state"] for s in self.json("signer", "list")],
                         ["person removed", "person removed"])
        self.assertEqual(self.json("measurement", "list"), [])

    def test_usage(self):
        for more, says in (([], "--store ID"), (["--store", "00"], "--store ID"),
                           (["--store", "00", "--serial", "1", "--expires", "1h"], "--store takes"),
                           (["--store", "00" * 16, "--serial", "0", "--expires", "1h"], "--serial"),
                           (["--store", "00" * 16, "--serial", "1", "--expires", "x"],
                            "--expires takes"),
                           (["--store", "00" * 16, "--serial", "1", "--expires",
                             "2026-01-01T00:00:00Z"], "--expires: this time has passed")):
            self.refused("usage", "registration", "make", "payments@1", *pcrs("a"), *more,
                         status=2, says=says)
        self.refused("file", "registration", "submit", self.store.path("none"), status=3)
        self.refused("usage", "signer", "add", self.key + ".pub", status=2, says="--person NAME")
        self.refused("usage", "registration", "sign", self.key, status=2, says="--key FILE")


if __name__ == "__main__":
    unittest.main()
