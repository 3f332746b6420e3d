#!/usr/bin/env python3
"""Goal of this test: the administrator's commands do what they say against a real server,
refuse what they must by exact code and exit status, and never show a value.
"""
import base64
import hashlib
import json
import os
import signal
import sqlite3
import ssl
import stat
import subprocess
import unittest

from server import Meddler, Store, UnixConnection, WithStore, pcr

PCRS = ["--pcr", f"0={pcr('a0')}", "--pcr", f"1={pcr('a1')}", "--pcr", f"2={pcr('a2')}"]
OTHER = ["--pcr", f"0={pcr('b0')}", "--pcr", f"1={pcr('a1')}", "--pcr", f"2={pcr('b2')}"]
REVOKED = ["--pcr", f"0={pcr('c0')}", "--pcr", f"1={pcr('a1')}", "--pcr", f"2={pcr('c2')}"]


def nitro_json(letter):
    return json.dumps({"Measurements": {
        "HashAlgorithm": "Sha384 { ... }",
        **{f"PCR{i}": pcr(f"{letter}{i}") for i in range(3)}}})


def make_certificate(folder, name, extensions):
    pem = os.path.join(folder, name + ".pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-384", "-sha384", "-nodes", "-days", "30", "-subj",
                    "/CN=" + name, "-keyout", pem + ".key", "-out", pem, "-addext", extensions],
                   check=True, capture_output=True)
    return pem


class Init(WithStore):
    def test_files(self):
        made = json.loads(self.check(self.store.init(), 0).stdout)
        self.assertEqual(made["kind"], "production")
        self.assertEqual(made["person"], "ann")
        self.assertEqual(f"{made['issuer_sha256']}\nstore {made['store_id']}\n",
                         self.store.read("client/issuer").decode())
        self.assertRegex(self.store.read("client/token").decode(), r"^[0-9a-f]{64}\n$")
        self.assertEqual(made["root_sha256"],
                         "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b")
        for name in ("master.key", "issuer.key", "client/token", "vouchsafe.db"):
            mode = os.stat(os.path.join(self.store.state, name)).st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o600, name)
        self.assertEqual(stat.S_IMODE(os.stat(self.store.state).st_mode), 0o700)

    def test_says_what_next(self):
        text = self.done("init")
        for words in ("issuer.key offline", "copy of", "vouchsafe serve", "vouchsafe issuer show"):
            self.assertIn(words, text)
        self.assertNotIn(self.store.read("client/token").decode().strip(), text)

    def test_never_overwrites(self):
        self.check(self.store.init(), 0)
        before = {n: self.store.read(n) for n in ("master.key", "issuer.key", "client/token",
                                                  "client/issuer", "vouchsafe.db")}
        for name in before:
            others = Store()
            self.addCleanup(others.close)
            os.makedirs(os.path.join(others.state, "client"))
            others.write("state/" + name, "mine")
            self.check(others.init(), 1, "exists", name)
            self.assertEqual(others.read(name), b"mine")
            left = [os.path.join(d, f) for d, _, files in os.walk(others.state) for f in files]
            self.assertEqual(left, [os.path.join(others.state, name)])
        self.check(self.store.init(), 1, "exists")
        self.assertEqual(before, {n: self.store.read(n) for n in before})

    def test_root(self):
        root = make_certificate(self.store.folder, "a root", "keyUsage=critical,keyCertSign")
        self.refused("usage", "init", "--root", root, status=2, says="--development")
        junk = self.store.write("junk.pem", "no certificate")
        run = self.store.init("--development", "--root", junk)
        self.assertNotEqual(run.returncode, 0)
        self.assertFalse(os.path.exists(os.path.join(self.store.state, "master.key")))
        made = json.loads(self.check(self.store.init("--development", "--root", root), 0).stdout)
        self.assertEqual(made["kind"], "development")
        with open(root, encoding="ascii") as file:
            der = ssl.PEM_cert_to_DER_cert(file.read())
        self.assertEqual(made["root_sha256"], hashlib.sha256(der).hexdigest())
        self.assertIsNone(self.store.start())
        status = self.json("status")
        self.assertEqual(status["root_sha256"], made["root_sha256"])
        self.assertEqual(status["kind"], "development")

    def test_person(self):
        self.refused("usage", "init", "--person", "", status=2)
        self.refused("usage", "init", "--person", "a b", status=2)
        self.refused("usage", "init", "--person", "x" * 64, status=2)


class Start(WithStore):
    def setUp(self):
        super().setUp()
        self.check(self.store.init("--development"), 0)

    def sql(self, *statements):
        with sqlite3.connect(os.path.join(self.store.state, "vouchsafe.db")) as db:
            for statement in statements:
                self.assertGreaterEqual(db.execute(statement).rowcount, -1)
        db.close()

    def test_stop(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.assertIsNone(self.store.start())
            self.assertEqual(self.store.public("GET", "/v1/health"), (200, {"status": "ok"}))
            self.assertEqual(self.store.stop(number), 0)
            self.assertIn(" ev=serve.stopped ", self.store.log())
            self.assertFalse(os.path.exists(os.path.join(self.store.state, "admin.sock")))

    def test_check(self):
        self.assertIn("ok", self.done("serve", "--check"))
        before = self.store.read("vouchsafe.db")
        self.done("serve", "--check")
        self.assertEqual(self.store.read("vouchsafe.db"), before)

    def test_no_store(self):
        self.refused("file", "serve", "--state", self.store.path("none"), status=3, says="init")

    def test_master_key(self):
        path = os.path.join(self.store.state, "master.key")
        key = self.store.read("master.key")
        self.store.write("state/master.key", bytes(range(32)))
        self.assertEqual(self.not_started("master_key_wrong", ""), 3)
        self.refused("master_key_wrong", "serve", "--check", status=3)
        self.store.write("state/master.key", bytes(32))
        self.assertEqual(self.not_started("config", "zeros"), 2)
        self.store.write("state/master.key", key)
        os.chmod(path, 0o640)
        self.assertEqual(self.not_started("config", "master.key"), 2)
        os.chmod(path, 0o600)
        self.assertIsNone(self.store.start())
        self.store.stop()
        os.remove(path)
        self.assertNotEqual(self.not_started("config", "master.key"), 0)

    def test_master_key_credential(self):
        credentials = self.store.path("credentials")
        os.mkdir(credentials)
        os.rename(os.path.join(self.store.state, "master.key"), os.path.join(credentials, "k"))
        self.done("serve", "--check", "--master-key", "credential:k",
                  CREDENTIALS_DIRECTORY=credentials)

    def test_tampered(self):
        """What somebody who can write the file might do, each noticed at start."""
        self.assertIsNone(self.store.start())
        self.done("measurement", "add", "payments@1", *PCRS)
        self.done("measurement", "add", "payments@2", *REVOKED)
        self.done("measurement", "revoke", "payments@2")
        self.store.stop()
        good = self.store.read("vouchsafe.db")
        for change in ("UPDATE measurement SET state = 2 WHERE id = 2",
                       "UPDATE measurement SET not_after_ms = 1 WHERE id = 1",
                       "UPDATE measurement SET mac = zeroblob(32) WHERE id = 1",
                       "DELETE FROM measurement WHERE id = 2",
                       "UPDATE token SET rights = 1",
                       "UPDATE setting SET value = 'production' WHERE name = 'kind'"):
            with self.subTest(change):
                self.sql(change)
                self.assertEqual(self.not_started("store_tampered", ""), 3)
                self.refused("store_tampered", "serve", "--check", status=3)
            self.store.write("state/vouchsafe.db", good)
        self.assertIsNone(self.store.start())

    def test_newer(self):
        self.sql("PRAGMA user_version = 99")
        self.assertEqual(self.not_started("store_newer", "99"), 3)

    def test_settings(self):
        conf = self.store.write("a.conf", f"# mine\nstate = {self.store.state}\nlissten = x:1\n")
        self.refused("config", "serve", "--check", "--config", conf, status=2,
                     says='a.conf:3: lissten: unknown setting; did you mean "listen"?')
        self.refused("usage", "serve", "--lissten", "x:1", status=2, says="--listen")
        self.refused("file", "serve", "--config", self.store.path("none"), status=3)
        self.refused("config", "serve", "--check", "--listen", "8443", status=2, says="HOST:PORT")
        self.refused("config", "serve", "--check", "--tls-cert", "/c", status=2, says="tls_key")
        self.refused("config", "serve", "--check", "--admin-listen", "127.0.0.1:1", status=2,
                     says="in the clear")
        good = self.store.write("b.conf", f"state = {self.store.state}\nthreads = 3\n")
        self.done("serve", "--check", "--config", good)
        # A flag wins over the file.
        self.refused("file", "serve", "--check", "--config", good, "--state",
                     self.store.path("none"), status=3)

    def test_two_servers(self):
        self.assertIsNone(self.store.start())
        run = self.store.run("serve", "--listen", "127.0.0.1:0")
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("kind", self.json("status"))

    def test_tls(self):
        pem = make_certificate(self.store.folder, "localhost", "subjectAltName=IP:127.0.0.1")
        other = make_certificate(self.store.folder, "other", "subjectAltName=IP:127.0.0.1")
        tls = ["--tls-cert", pem, "--tls-key", pem + ".key", "--admin-listen", "127.0.0.1:0",
               "--admin-tls-cert", pem, "--admin-tls-key", pem + ".key"]
        self.done("serve", "--check", *tls)
        self.refused("config", "serve", "--check", "--tls-cert", pem, "--tls-key",
                     other + ".key", status=2, says="is not the key of")
        self.assertIsNone(self.store.start(*tls))
        server = "https://" + self.store.ready["admin_tls"]
        self.assertEqual(self.json("status", "--server", server, "--cacert", pem)["kind"],
                         "development")
        self.done("status", VOUCHSAFE_SERVER=server, VOUCHSAFE_CACERT=pem)
        self.refused("unreachable", "status", "--server", server, "--cacert", other, status=3)
        self.refused("unreachable", "status", "--server", server, status=3)


class Commands(WithStore):
    def setUp(self):
        super().setUp()
        self.check(self.store.init(), 0)
        self.assertIsNone(self.store.start())

    # ---- whom it asks, and by which token ----

    def test_token(self):
        token = self.store.read("client/token").decode().strip()
        os.remove(os.path.join(self.store.state, "client/token"))
        self.refused("usage", "status", status=2, says="no token")
        self.done("status", VOUCHSAFE_TOKEN=token)
        good = self.store.write("good", token)
        self.done("status", "--token-file", good)
        self.refused("unauthenticated", "status", VOUCHSAFE_TOKEN="0" * 64)
        wrong = self.store.write("wrong", "f" * 64 + "\n")
        # The flag wins over the environment.
        self.refused("unauthenticated", "status", "--token-file", wrong, VOUCHSAFE_TOKEN=token)
        for junk in ("f" * 63, "f" * 65, "f" * 70, "g" * 64, "", " " + token):
            self.refused("usage", "status", "--token-file", self.store.write("junk", junk),
                         status=2, says="64 hex digits")
        self.refused("file", "status", "--token-file", self.store.path("none"), status=3)

    def test_server(self):
        self.refused("unreachable", "status", "--server", "unix:" + self.store.path("none"),
                     status=3)
        self.refused("usage", "status", "--server", "http://192.0.2.1:80", status=2,
                     says="in the clear")
        self.refused("usage", "status", "--server", "ftp://x", status=2, says="--server: not http")
        self.refused("usage", "status", status=2, says="VOUCHSAFE_SERVER: not http",
                     VOUCHSAFE_SERVER="ftp://x")
        self.refused("usage", "status", "more", status=2, says="vouchsafe status [OPTIONS]; see")
        # The listener for enclaves has no admin routes.
        self.refused("no_route", "status", "--server", "http://" + self.store.ready["listen"])

    def test_status(self):
        status = self.json("status")
        self.assertEqual(status["kind"], "production")
        self.assertEqual(status["counts"]["measurements"], 0)
        self.assertEqual(status["issuers"], [self.store.read("client/issuer").decode().split()[0]])
        self.assertIn(status["store_id"], self.done("status"))

    # ---- measurements ----

    def test_measurement_add(self):
        added = self.json("measurement", "add", "payments@1.4.2", "--from", "-", "--label",
                          "commit=abc", stdin=("Enclave Image successfully created.\n" +
                                               nitro_json("a")).encode())
        self.assertEqual(added["result"], "added")
        measurement = added["measurement"]
        self.assertEqual(measurement["pcrs"], {str(i): pcr(f"a{i}") for i in range(3)})
        self.assertEqual(measurement["labels"], {"commit": "abc"})
        self.assertEqual(measurement["state"], "active")
        self.assertIn("nitro-cli build-enclave; input SHA-256=", measurement["provenance"])
        self.assertEqual(self.done("measurement", "add", "payments@1.4.2", *PCRS, "--label",
                                   "commit=abc"), "unchanged payments@1.4.2 (active)\n")
        self.refused("exists", "measurement", "add", "payments@1.4.2", *PCRS, says="labels")
        shown = self.json("measurement", "show", "payments@1.4.2")
        self.assertEqual(shown.pop("use")["releases"], 0)
        self.assertEqual(shown, measurement)
        self.assertIn(pcr("a1"), self.done("measurement", "show", "payments@1.4.2"))

    def test_measurement_conflict(self):
        self.assertEqual(self.done("measurement", "add", "payments@1", *PCRS),
                         "added payments@1 (active)\n")
        line = self.refused("exists", "measurement", "add", "payments@1", *OTHER, says="PCR0")
        self.assertIn("(request ", line)
        self.refused("exists", "measurement", "add", "payments@2", *PCRS, says="payments@1")
        self.refused("not_found", "measurement", "show", "payments@3")

    def test_measurement_wrong(self):
        zeros = json.loads(nitro_json("a"))
        zeros["Measurements"]["PCR0"] = "0" * 96
        path = self.store.write("zeros.json", json.dumps(zeros))
        self.refused("pcrs_zero", "measurement", "add", "payments@1", "--from", path, says="PCR0")
        self.refused("pcrs_zero", "measurement", "add", "payments@1", *PCRS[2:], "--pcr",
                     "0=" + "0" * 96)
        self.refused("measurement_input", "measurement", "add", "payments@1", *PCRS[2:],
                     says="PCR0")
        self.refused("measurement_input", "measurement", "add", "payments@1", "--from", "-")
        self.refused("usage", "measurement", "add", "payments@1", status=2, says="--from")
        self.refused("usage", "measurement", "add", "payments@1", "--from", path, *PCRS, status=2)
        self.refused("usage", "measurement", "add", "payments", *PCRS, status=2)
        self.refused("usage", "measurement", "add", "Payments@1", *PCRS, status=2)
        self.refused("usage", "measurement", "add", "payments@1", *PCRS, *PCRS[:2], status=2,
                     says="twice")
        self.refused("usage", "measurement", "add", "payments@1", "--pcr", "0=ab", status=2)
        self.refused("usage", "measurement", "add", "payments@1", *PCRS, "--label", "x", status=2)
        # A production store has no measurements for debug mode.
        run = self.store.run("measurement", "add", "payments@1", "--debug", "--pcr",
                             f"4={pcr('i')}")
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertEqual(self.json("measurement", "list"), [])

    def test_measurement_states(self):
        self.assertEqual(self.done("measurement", "add", "payments@1", "--draft", *PCRS),
                         "added payments@1 (draft)\n")
        self.refused("wrong_state", "measurement", "deprecate", "payments@1")
        for command, result in (("activate", "changed payments@1 (active)\n"),
                                ("activate", "unchanged payments@1 (active)\n"),
                                ("deprecate", "changed payments@1 (deprecated)\n"),
                                ("activate", "changed payments@1 (active)\n"),
                                ("revoke", "changed payments@1 (revoked)\n"),
                                ("revoke", "unchanged payments@1 (revoked)\n")):
            self.assertEqual(self.done("measurement", command, "payments@1", "--reason", "a test"),
                             result)
        self.refused("wrong_state", "measurement", "activate", "payments@1")
        self.done("measurement", "add", "other@1", *OTHER)
        listed = self.json("measurement", "list", "--in-state", "revoked")
        self.assertEqual([m["image"] for m in listed], ["payments"])
        listed = self.json("measurement", "list", "--image", "other")
        self.assertEqual([m["image"] for m in listed], ["other"])
        self.refused("malformed", "measurement", "list", "--in-state", "gone")
        images = {i["image"]: i["measurements"] for i in self.json("image", "list")}
        self.assertEqual(images["payments"]["revoked"], 1)
        self.assertEqual(images["other"]["active"], 1)

    def test_pages(self):
        """More rows than the server puts on one page."""
        self.add_drafts("payments", 105)
        versions = [m["version"] for m in self.json("measurement", "list")]
        self.assertEqual(versions, [str(i) for i in range(105)])

    def test_pages_of_the_largest_rows(self):
        """Whoever may only draft cannot make the list more than the command takes."""
        token = self.store.read("client/token").strip().decode()
        labels = {f"{i:02}" + "\x01" * 125: "\x01" * 1024 for i in range(64)}
        connection = UnixConnection(self.store.ready["admin"].removeprefix("unix:"))
        for i in range(40):
            connection.request("POST", "/v1/admin/measurements", json.dumps({
                "image": "payments", "version": str(i), "draft": True, "labels": labels,
                "pcrs": {str(n): pcr(f"{i} {n}") for n in range(3)}, "provenance": "\x01" * 4096}),
                {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
            answer = connection.getresponse()
            self.assertEqual((answer.status, len(answer.read()) > 400000), (200, True))
        connection.close()
        listed = self.json("measurement", "list")
        self.assertEqual([m["version"] for m in listed], [str(i) for i in range(40)])
        self.assertEqual(listed[39]["labels"], labels)

    # ---- secrets ----

    def test_secret_put(self):
        value = b"line one\nline two\n\x00\xff\n"
        self.assertEqual(self.done("secret", "put", "payments/db", stdin=value),
                         f"stored payments/db version 1 ({len(value)} bytes)\n")
        path = self.store.write("value", b"x" * 65536)
        stored = self.json("secret", "put", "payments/db", "--from", path)
        self.assertEqual(stored["secret"], {"name": "payments/db", "version": 2, "size": 65536})
        listed = self.json("secret", "list")
        self.assertEqual([(s["name"], s["current_version"], s["size"]) for s in listed],
                         [("payments/db", 2, 65536)])
        self.store.stop()
        for name in ("vouchsafe.db", "vouchsafe.db-wal"):
            if os.path.exists(os.path.join(self.store.state, name)):
                self.assertNotIn(b"line one", self.store.read(name))
        self.assertNotIn("line one", self.store.log())

    def test_secret_wrong(self):
        self.refused("usage", "secret", "put", "payments/db", status=2, says="empty")
        self.refused("too_large", "secret", "put", "payments/db", stdin=b"x" * 65537)
        self.refused("usage", "secret", "put", "Payments", stdin=b"x", status=2)
        self.refused("usage", "secret", "put", "a//b", stdin=b"x", status=2)
        self.refused("file", "secret", "put", "a", "--from", self.store.path("none"), status=3)
        self.assertEqual(self.json("secret", "list"), [])

    def test_issuer_pin(self):
        pin = self.store.write("pin", "# another server's\n" + "ab" * 32 + "\n")
        self.refused("answer_not_authentic", "secret", "put", "a", "--issuer-pin", pin,
                     stdin=b"x", says="pinned")
        good = self.store.read("client/issuer").decode()
        both = self.store.write("pin", "ab" * 32 + "\n\n" + good)
        self.done("secret", "put", "a", "--issuer-pin", both, stdin=b"x")
        self.refused("usage", "secret", "put", "a", "--issuer-pin",
                     self.store.write("pin", "abcd\n"), status=2, stdin=b"x")
        for wrong in ("store 12\n", good + good):
            self.refused("usage", "secret", "put", "a", "--issuer-pin",
                         self.store.write("pin", wrong), status=2, stdin=b"x", says="store")
        os.remove(os.path.join(self.store.state, "client/issuer"))
        self.refused("file", "secret", "put", "a", stdin=b"x", status=3, says="client/issuer")

    def test_store_pin(self):
        """An issuer may have delegated to several stores: this client means one of them."""
        issuer = self.store.read("client/issuer").decode().split()[0]
        other = self.store.write("pin", f"{issuer}\nstore {'ab' * 16}\n")
        self.refused("answer_not_authentic", "secret", "put", "a", "--issuer-pin", other,
                     stdin=b"x", says="it is for the store ")
        self.assertEqual(self.json("secret", "list"), [])
        before = self.json("status")["delegation_not_after"]
        self.refused("answer_not_authentic", "issuer", "delegate", "--key",
                     os.path.join(self.store.state, "issuer.key"), "--issuer-pin", other,
                     says="it is for the store ")
        self.assertEqual(self.json("status")["delegation_not_after"], before)
        any_store = self.store.write("pin", issuer + "\n")
        self.done("secret", "put", "a", "--issuer-pin", any_store, stdin=b"x")

    def put_through(self, change):
        """A put through somebody who changes answers; whether the value left at all."""
        meddler = Meddler(os.path.join(self.store.state, "admin.sock"), change)
        try:
            run = self.store.run("secret", "put", "a", "--server", meddler.url, stdin=b"value")
        finally:
            meddler.close()
        return run, any(path == "/v1/admin/secrets" for _, path, _ in meddler.seen)

    def test_sealing_key_replaced(self):
        def flip(name, position):
            def change(_, path, answer):
                if path == "/v1/admin/sealing-key":
                    message = bytearray(base64.b64decode(answer[name]))
                    message[position] ^= 1
                    answer[name] = base64.b64encode(message).decode()
                return answer
            return change

        run, sent = self.put_through(lambda method, path, answer: answer)
        self.check(run, 0)
        self.assertTrue(sent)
        for name, position, code in (("sealing_key", -1, "signature_invalid"),
                                     ("sealing_key", 60, "signature_invalid"),
                                     ("delegation", -1, "signature_invalid"),
                                     ("delegation", 60, "signature_invalid")):
            with self.subTest(name, position=position):
                run, sent = self.put_through(flip(name, position))
                self.check(run, 1, code)
                self.assertFalse(sent)

    def test_sealing_key_of_another_store(self):
        other = Store()
        self.addCleanup(other.close)
        self.check(other.init(), 0)
        self.assertIsNone(other.start())
        answers = {}

        def keep(_, path, answer):
            answers[path] = answer
            return answer

        meddler = Meddler(os.path.join(other.state, "admin.sock"), keep)
        self.check(other.run("secret", "put", "a", "--server", meddler.url, stdin=b"x"), 0)
        meddler.close()
        # All of the other server's: its issuer is not pinned here.
        run, sent = self.put_through(
            lambda _, path, answer: answers.get(path, answer) if "sealing" in path or
            "issuers" in path else answer)
        self.check(run, 1, "answer_not_authentic", "pinned")
        self.assertFalse(sent)
        # The other's sealing key beside this one's delegation.
        run, sent = self.put_through(
            lambda _, path, answer: {**answer, "sealing_key": answers[path]["sealing_key"]}
            if "sealing-key" in path else answer)
        self.check(run, 1, "signature_invalid")
        self.assertFalse(sent)

    def test_sealing_key_times(self):
        """By the client's clock: an old key put in place of the current one does not do."""
        self.store.shift_clock("+25h")
        self.refused("answer_not_authentic", "secret", "put", "a", stdin=b"x", says="expired")
        self.store.shift_clock("+91d")
        self.refused("delegation_expired", "secret", "put", "a", stdin=b"x", status=3)
        self.store.shift_clock("-2h")
        self.refused("delegation_expired", "secret", "put", "a", stdin=b"x", status=3)
        self.store.environment = {}
        self.assertEqual(self.json("secret", "list"), [])

    # ---- grants ----

    def test_grants(self):
        self.done("measurement", "add", "payments@1", *PCRS)
        self.done("secret", "put", "a", stdin=b"x")
        self.assertEqual(self.done("grant", "add", "a", "--image", "payments"),
                         "added grant 1: a to image payments\n")
        self.assertEqual(self.done("grant", "add", "a", "--image", "payments"),
                         "unchanged grant 1: a to image payments\n")
        full = self.json("grant", "add", "a", "--image", "payments", "--measurement", "1",
                         "--region", "eu-central-1", "--quota", "3", "--allow-version", "1",
                         "--role-arn", "arn:aws:iam::123456789012:role/Webserver", "--instance-pcr4",
                         pcr("i"), "--application", "c0ffee", "--not-after",
                         "2036-11-23T08:00:00Z")["grant"]
        self.assertEqual(full["pcr3"], hashlib.sha384(
            bytes(48) + b"arn:aws:iam::123456789012:role/Webserver").hexdigest())
        self.assertEqual(full["pcr4"], pcr("i"))
        self.assertEqual(full["quota"], 3)
        self.assertEqual(full["versions"], [1])
        self.assertEqual(full["application"], base64.b64encode(b"\xc0\xff\xee").decode())
        signer = self.json("grant", "add", "a", "--signer-pcr8", pcr("s"), "--signer-pcr1",
                           pcr("a1"))["grant"]
        self.assertEqual((signer["pcr8"], signer["pcr1"]), (pcr("s"), pcr("a1")))
        self.assertIn("region=eu-central-1", self.done("grant", "list"))
        self.assertEqual([g["id"] for g in self.json("grant", "list")], [1, 2, 3])
        self.assertEqual(self.done("grant", "remove", "1"),
                         "removed grant 1: a to image payments\n")
        self.assertTrue(self.done("grant", "remove", "1").startswith("unchanged"))
        self.assertEqual([g["id"] for g in self.json("grant", "list", "--image", "payments")], [2])

    def test_grants_wrong(self):
        self.done("secret", "put", "a", stdin=b"x")
        self.refused("not_found", "grant", "add", "a", "--image", "payments")
        self.refused("usage", "grant", "add", "a", status=2, says="--image")
        self.refused("usage", "grant", "add", "a", "--image", "x", "--signer-pcr8", pcr("s"),
                     status=2, says="both only with --registered")
        self.refused("usage", "grant", "add", "a", "--signer-pcr8", pcr("s"), status=2,
                     says="belong together")
        self.refused("usage", "grant", "add", "a", "--image", "x", "--quota", "0", status=2)
        self.refused("usage", "grant", "add", "a", "--image", "x", "--role-arn", "Webserver",
                     status=2)
        self.refused("usage", "grant", "add", "a", "--image", "x", "--role-pcr3", "ab", status=2)
        self.refused("not_found", "grant", "remove", "7")
        for command in ("grant remove", "signer remove", "revocation remove", "token revoke"):
            group = command.split()[0]
            for wrong in ("one", "0", "-1"):
                self.refused("usage", *command.split(), "--", wrong, status=2,
                             says=f"a {group}'s number is expected, as {group} list shows it")

    # ---- the issuer ----

    def test_issuer(self):
        self.assertEqual(self.done("issuer", "show").encode(), self.store.read("issuer.pem"))
        self.assertEqual(self.done("issuer", "show", "--fingerprint").strip(),
                         self.store.read("client/issuer").decode().split()[0])
        key = os.path.join(self.store.state, "issuer.key")
        before = self.json("status")["delegation_not_after"]
        self.done("issuer", "delegate", "--key", key, "--days", "200")
        after = self.json("status")["delegation_not_after"]
        self.assertGreater(after, before)
        self.done("secret", "put", "a", stdin=b"x")

    def test_issuer_shown_is_pinned(self):
        """What goes into images holds no key that is not pinned here, whatever the server says."""
        genuine = self.store.read("issuer.pem").decode()
        other = subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                                "ec_paramgen_curve:P-384"], capture_output=True, check=True).stdout
        other = subprocess.run(["openssl", "pkey", "-pubout"], input=other, capture_output=True,
                               check=True).stdout.decode()

        def show(issuers):
            def change(_, path, answer):
                return {"issuers": [{"fingerprint": "00", "pem": pem} for pem in issuers]}
            meddler = Meddler(os.path.join(self.store.state, "admin.sock"), change)
            try:
                return self.store.run("issuer", "show", "--server", meddler.url)
            finally:
                meddler.close()

        run = show([genuine, other])
        self.check(run, 0)
        self.assertEqual(run.stdout.decode(), genuine)
        for issuers in ([other], []):
            self.check(show(issuers), 1, "answer_not_authentic")
        run = show([genuine + other])
        self.assertNotIn(other.encode(), run.stdout)

    def test_issuer_wrong(self):
        key = os.path.join(self.store.state, "issuer.key")
        self.refused("usage", "issuer", "delegate", status=2, says="--key")
        self.refused("usage", "issuer", "delegate", "--key", key, "--days", "0", status=2)
        self.refused("config", "issuer", "delegate", "--key", self.store.path("none"), status=2,
                     says="cannot be opened")
        link = self.store.path("link.key")
        os.symlink(key, link)
        self.refused("config", "issuer", "delegate", "--key", link, status=2, says="link.key")
        good = self.store.read("issuer.key")
        for content, says in ((b"no key", "PRIVATE KEY"),
                              (good.replace(b"PRIVATE", b"EC PRIVATE"), "pkcs8"),
                              (good[:60] + b"A" * 40 + good[100:], "P-384"),
                              (good + good, "nothing after it")):
            junk = self.store.write("junk.key", content)
            os.chmod(junk, 0o600)
            self.refused("config", "issuer", "delegate", "--key", junk, status=2, says=says)
        make_certificate(self.store.folder, "other", "keyUsage=critical,keyCertSign")
        other = self.store.path("other.pem.key")
        os.chmod(other, 0o600)
        run = self.store.run("issuer", "delegate", "--key", other)
        self.assertEqual(run.returncode, 1, run.stderr)  # another issuer's: the server refuses
        os.chmod(key, 0o644)
        self.refused("config", "issuer", "delegate", "--key", key, status=2, says="chmod 600")


if __name__ == "__main__":
    unittest.main()
