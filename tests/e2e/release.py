#!/usr/bin/env python3
"""Goal of this test: the real agent in an emulated enclave gets exactly the secrets that
the real server's policy gives it, in every format and over every way there is, and
everybody else in the demo's story is refused by exact code.
"""
import base64
import hashlib
import http.client
import json
import os
import re
import socket
import socketserver
import subprocess
import sys
import threading
import unittest

from enclave import SECRET, SIMULATOR, VALUE, WithEnclave, measurements

FORMATS = ("hpke-x25519", "hpke-p256", "hpke-p384", "rsa-oaep-256")
# What a program sees of a secret: the file's name, its seals, its content.
PROGRAM = """
import fcntl, json, os, sys
seen = {}
for variable in sys.argv[1:]:
    path = os.environ[variable]
    with open(path, "rb") as file:
        try:
            seals = fcntl.fcntl(file.fileno(), fcntl.F_GET_SEALS)
        except OSError:
            seals = None
        seen[variable] = [path, seals, file.read().hex()]
    try:
        os.truncate(path, 0)
        seen[variable].append("cut")
    except OSError:
        seen[variable].append("whole")
json.dump(seen, sys.stdout)
"""
SEALED = 15  # F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def make_ca(folder, name):
    """A CA, and a certificate of its for 127.0.0.1."""
    def at(suffix):
        return os.path.join(folder, name + suffix)
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *new, "-days", "30", "-subj", f"/CN={name}", "-keyout", at(".key"),
            "-out", at(".pem"), "-addext", "keyUsage=critical,keyCertSign")
    openssl("req", *new, "-subj", "/CN=verifier", "-keyout", at("-leaf.key"), "-out", at(".csr"))
    with open(at(".ext"), "w", encoding="ascii") as file:
        file.write("subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:false\n")
    openssl("x509", "-req", "-in", at(".csr"), "-CA", at(".pem"), "-CAkey", at(".key"),
            "-CAcreateserial", "-days", "30", "-extfile", at(".ext"), "-out", at("-leaf.pem"))
    return at(".pem"), at("-leaf.pem"), at("-leaf.key")


class UnixRelay:
    """From a Unix socket to the server's port, each connection's bytes as they come."""

    def __init__(self, path, port):
        relay = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with socket.create_connection(("127.0.0.1", relay.port)) as server:
                    back = threading.Thread(target=relay.pump, args=(server, self.request))
                    back.start()
                    relay.pump(self.request, server)
                    back.join()

        self.port = port
        self.server = socketserver.ThreadingUnixStreamServer(path, Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def pump(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side has gone: its own pump ends with it

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Transports(WithEnclave):
    def test_formats(self):
        for name in FORMATS:
            self.granted(self.fetch(SECRET, "--format", name))
        self.assertEqual(len(self.records("release.granted")), len(FORMATS))

    def test_unix_socket(self):
        """Both commands, through a socket that somebody on this machine relays."""
        path = self.store.path("verifier.sock")
        relay = UnixRelay(path, int(self.store.ready["listen"].rpartition(":")[2]))
        self.addCleanup(relay.close)
        self.granted(self.fetch(verifier=f"unix:{path}"))
        run = self.agent("run", "--secret", SECRET, "--", "true", verifier=f"unix:{path}")
        self.assertEqual(run.returncode, 0, run.stderr.decode())
        self.assertEqual(len(self.records("release.granted")), 2)
        gone = self.agent("run", "--secret", SECRET, "--", "true", timeout_s=2,
                          verifier=f"unix:{path}.none")
        self.assertEqual(gone.returncode, 121)
        self.assertIn(f"{path}.none", gone.stderr.decode())


class Https(WithEnclave):
    serve = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ca, cls.leaf, cls.key = make_ca(cls.world.store.folder, "good")
        cls.other_ca = make_ca(cls.world.store.folder, "other")[0]

    def setUp(self):
        super().setUp()
        self.assertIsNone(self.store.start("--tls-cert", self.leaf, "--tls-key", self.key))
        self.url = f"https://{self.store.ready['listen']}"

    def test_formats(self):
        for name in FORMATS:
            self.granted(self.fetch(SECRET, "--format", name, "--cacert", self.ca,
                                    verifier=self.url))

    def test_others(self):
        """A server that the enclave's CA did not name is not asked for anything."""
        by_name = self.url.replace("127.0.0.1", "localhost")
        for url, ca, says in ((self.url, self.other_ca, "unable to get local issuer certificate"),
                              (by_name, self.ca, "hostname mismatch")):
            run = self.agent("run", "--secret", SECRET, "--cacert", ca, "--", "true",
                             verifier=url, timeout_s=1)
            text = self.denied(run, "unreachable", 121)
            self.assertIn(f"the server's certificate was refused: {says}", text)
        self.assertEqual(self.json("status")["counters"]["challenges"], 0)


class Deliveries(WithEnclave):
    def put(self, name, value, granted=True):
        self.done("secret", "put", name, stdin=value)
        if granted:
            self.done("grant", "add", name, "--image", "web")

    def run_program(self, names, *words, **more):
        secrets = [word for name in names for word in ("--secret", name)]
        variables = [name.upper().replace("/", "_") + "_FILE" for name in names]
        run = self.agent("run", *secrets, *words, "--", sys.executable, "-c", PROGRAM, *variables,
                         **more)
        return run, variables

    def test_memfd(self):
        run, (variable,) = self.run_program([SECRET])
        self.assertEqual(run.returncode, 0, run.stderr.decode())
        path, seals, content, after = json.loads(run.stdout)[variable]
        self.assertRegex(path, r"^/proc/self/fd/[0-9]+$")
        self.assertEqual((seals, bytes.fromhex(content), after), (SEALED, VALUE, "whole"))

    def test_dir(self):
        folder = self.store.path("run")
        run, (variable,) = self.run_program([SECRET], "--dir", folder)
        self.assertEqual(run.returncode, 0, run.stderr.decode())
        path, _, content, _ = json.loads(run.stdout)[variable]
        self.assertEqual((path, bytes.fromhex(content)), (os.path.join(folder, SECRET), VALUE))
        self.assertEqual(os.stat(path).st_mode & 0o7777, 0o400)

    def test_fetch(self):
        path = self.store.path("out")
        self.granted(self.agent("fetch", "--out", path, SECRET), b"")
        with open(path, "rb") as file:
            self.assertEqual(file.read(), VALUE)
        self.assertEqual(os.stat(path).st_mode & 0o7777, 0o600)

    def test_several(self):
        """One decision, and one record, about all of them."""
        self.put("b", b"of b")
        self.put("c", b"c" * 65536)
        run, variables = self.run_program([SECRET, "b", "c"])
        self.assertEqual(run.returncode, 0, run.stderr.decode())
        seen = json.loads(run.stdout)
        self.assertEqual([bytes.fromhex(seen[v][2]) for v in variables],
                         [VALUE, b"of b", b"c" * 65536])
        record, = self.records("release.granted")
        self.assertEqual([(i["name"], i["version"], i["reason"], i["measurement"])
                          for i in record["secrets"]],
                         [(name, 1, "granted", "web@1") for name in (SECRET, "b", "c")])

    def test_sixteen_of_the_largest(self):
        names = [f"s{i}" for i in range(16)]
        for i, name in enumerate(names):
            self.put(name, bytes([i]) * 65536)
        run, variables = self.run_program(names)
        self.assertEqual(run.returncode, 0, run.stderr.decode())
        seen = json.loads(run.stdout)
        for i, variable in enumerate(variables):
            self.assertEqual(bytes.fromhex(seen[variable][2]), bytes([i]) * 65536)

    def test_all_or_nothing(self):
        self.put("b", b"of b", granted=False)
        folder = self.store.path("run")
        for words in ([], ["--dir", folder]):
            run, _ = self.run_program([SECRET, "b"], *words)
            self.assertEqual(run.returncode, 120, run.stderr.decode())
            self.assertEqual(self.reasons(run), ["granted", "not_granted"])
            self.assertNotIn(b"received", run.stderr)
        self.assertFalse(os.path.exists(folder))
        self.assertEqual(self.records("release.granted"), [])
        run, _ = self.run_program([SECRET, "none"])
        self.assertEqual(self.reasons(run), ["granted", "unknown_secret"])


class Versions(WithEnclave):
    def setUp(self):
        super().setUp()
        self.done("secret", "put", SECRET, stdin=b"the second")

    def test_current(self):
        self.granted(self.fetch(), b"the second")
        self.granted(self.fetch(f"{SECRET}@2"), b"the second")

    def test_older_only_where_granted(self):
        self.refused_for("version_not_granted", self.fetch(f"{SECRET}@1"))
        self.done("grant", "add", SECRET, "--image", "web", "--allow-version", "1")
        self.assertIn("received web/messages version 1", self.granted(self.fetch(f"{SECRET}@1")))
        self.granted(self.fetch(), b"the second")

    def test_unknown(self):
        self.refused_for("version_unknown", self.fetch(f"{SECRET}@3"))

    def test_floor(self):
        self.granted(self.fetch(SECRET, "--min-version", f"{SECRET}=2"), b"the second")
        self.refused_for("below_minimum", self.fetch(SECRET, "--min-version", f"{SECRET}=3"))
        self.denied(self.fetch(f"{SECRET}@1", "--min-version", f"{SECRET}=2"), "usage", 2)


class Builds(WithEnclave):
    def test_deprecated(self):
        self.assertNotIn("deprecated", self.granted(self.fetch()))
        self.done("measurement", "deprecate", "web@1")
        self.assertIn(f"warning: only a deprecated measurement granted {SECRET}",
                      self.granted(self.fetch()))

    def test_revoked(self):
        self.done("measurement", "revoke", "web@1")
        self.refused_for("measurement_revoked", self.fetch())

    def test_draft(self):
        image = self.store.write("next", "the next build")
        self.done("measurement", "add", "web@2", "--draft", "--from", "-",
                  stdin=measurements(image))
        module = self.enclave("next.sock", "--image", image)
        self.refused_for("measurement_state", self.fetch(module=module))
        self.done("measurement", "activate", "web@2")
        self.granted(self.fetch(module=module))

    def test_next_build_needs_no_grant(self):
        image = self.store.write("next", "the next build")
        module = self.enclave("next.sock", "--image", image)
        self.refused_for("no_measurement", self.fetch(module=module))
        self.done("measurement", "add", "web@2", "--from", "-", stdin=measurements(image))
        self.granted(self.fetch(module=module))


class Grants(WithEnclave):
    def setUp(self):
        super().setUp()
        self.done("grant", "remove", "1")

    def grant(self, *conditions):
        self.done("grant", "add", SECRET, "--image", "web", *conditions)

    def test_removed(self):
        self.refused_for("not_granted", self.fetch())

    def test_quota(self):
        """In distinct module ids: an enclave whose answer was lost asks again."""
        self.grant("--quota", "1")
        first = self.enclave("a.sock", "--module-id", "i-0123456789abcdef0-enc0000000000000001")
        second = self.enclave("b.sock", "--module-id", "i-0123456789abcdef0-enc0000000000000002")
        self.granted(self.fetch(module=first))
        self.refused_for("over_quota", self.fetch(module=second))
        self.granted(self.fetch(module=first))
        again = self.json("grant", "add", SECRET, "--image", "web", "--quota", "1")
        self.assertEqual((again["result"], again["grant"]["used"]), ("unchanged", 1))

    def test_region(self):
        self.grant("--region", "eu-central-1")
        self.refused_for("grant_region", self.fetch())
        self.granted(self.fetch(module=self.enclave("eu.sock", "--region", "eu-central-1")))

    def test_application(self):
        self.grant("--application", "c0ffee")
        for words in ((), ("--application", "c0ff"), ("--application", "c0ffee00")):
            self.refused_for("grant_application", self.fetch(SECRET, *words))
        self.granted(self.fetch(SECRET, "--application", "c0ffee"))

    def test_role(self):
        role = "arn:aws:iam::123456789012:role/Webserver"
        pcr3 = hashlib.sha384(bytes(48) + role.encode()).hexdigest()
        self.grant("--role-arn", role)
        self.refused_for("grant_pcr", self.fetch())
        other = self.enclave("other.sock", "--pcr", f"3={'ab' * 48}")
        self.refused_for("grant_pcr", self.fetch(module=other))
        self.granted(self.fetch(module=self.enclave("role.sock", "--pcr", f"3={pcr3}")))

    def test_one_build_only(self):
        self.done("measurement", "add", "web@2", "--pcr", f"0={'a0' * 48}", "--pcr",
                  f"1={'a1' * 48}", "--pcr", f"2={'a2' * 48}")
        self.grant("--measurement", "2")
        self.refused_for("grant_build", self.fetch())

    def test_window(self):
        self.grant("--not-after", "2020-01-01T00:00:00Z")
        self.refused_for("grant_window", self.fetch())


class Instances(WithEnclave):
    """An EC2 instance with a NitroTPM, whose image the vendor measured, too."""

    def setUp(self):
        super().setUp()
        self.tpm = self.enclave("tpm.sock", "--nitrotpm")

    def test_each_kind_its_own(self):
        """One file stands for both images, and the enclave holds the instance's PCR4 and PCR7,
        the instance the enclave's PCR0, PCR1 and PCR2."""
        printed = [json.loads(subprocess.run([*SIMULATOR, "--image", self.world.image, *kind,
                                              "--print-measurements"], capture_output=True,
                                             check=True).stdout)["Measurements"]
                   for kind in ((), ("--nitrotpm",))]
        pcrs = [word for values in printed for name, value in values.items() if name[:3] == "PCR"
                for word in ("--pcr", f"{name[3:]}={value}")]
        self.done("measurement", "add", "ami@1", "--kind", "nitrotpm", *pcrs[-6:])
        self.done("secret", "put", "ami", stdin=b"of the instance")
        self.done("grant", "add", "ami", "--image", "ami")
        self.granted(self.fetch("ami", module=self.tpm), b"of the instance")
        record, = self.records("release.granted")
        self.assertEqual((record["document"]["kind"], record["secrets"][0]["measurement"]),
                         ("nitrotpm", "ami@1"))
        both = [self.enclave(f"{i}.sock", *kind, *pcrs)
                for i, kind in enumerate(((), ("--nitrotpm",)))]
        self.granted(self.fetch(module=both[0]))
        self.refused_for("no_measurement", self.fetch("ami", module=both[0]))
        self.granted(self.fetch("ami", module=both[1]), b"of the instance")
        self.refused_for("no_measurement", self.fetch(module=both[1]))

    def test_not_registered(self):
        self.refused_for("no_measurement", self.fetch(module=self.tpm))


class Revocations(WithEnclave):
    """Whatever is granted: an instance, or a certificate, that somebody denies."""

    REASON = ("--reason", "ticket 4711")

    def revoke(self, *what):
        answer = self.json("revocation", "add", *what, *self.REASON)
        self.assertEqual(answer["result"], "added")
        return str(answer["revocation"]["id"])

    def test_revoked_instance(self):
        self.granted(self.fetch())
        number = self.revoke("--instance-id", "i-0123456789abcdef0")
        self.refused_for("instance_revoked", self.fetch())
        self.refused_for("instance_revoked",
                         self.fetch(module=self.enclave("tpm.sock", "--nitrotpm")))
        other = self.enclave("other.sock", "--module-id",
                             "i-0fedcba9876543210-enc0000000000000001")
        self.granted(self.fetch(module=other))
        self.done("revocation", "remove", number, *self.REASON)
        self.granted(self.fetch())

    def test_revoked_certificate(self):
        """Named by a document that the enclave sent, and in each of the other ways."""
        relay = self.relay()
        self.granted(self.fetch(verifier=relay.url))
        sent = json.loads(relay.requests[0])["attestation_document"]
        path = self.store.write("document", sent)
        run = self.store.run("verify", "--root", self.root, "--json", path)
        seen = json.loads(run.stdout)["document"]["certificates"]
        for position in range(1, 5):
            number = self.revoke("--document", path, "--position", str(position))
            row, = [r for r in self.json("revocation", "list") if str(r["id"]) == number]
            self.assertEqual((row["serial"], row["state"], row["reason"]),
                             (seen[position]["serial"], "active", "ticket 4711"))
            self.refused_for("certificate_revoked", self.fetch())
            again = self.json("revocation", "add", "--issuer",
                              base64.b64decode(row["issuer"]).hex(), "--serial", row["serial"],
                              *self.REASON)
            self.assertEqual((again["result"], again["revocation"]["id"]), ("unchanged", row["id"]))
            self.done("revocation", "remove", number, *self.REASON)
            self.granted(self.fetch())
        shown = self.done("revocation", "list")
        self.assertEqual(shown.count(" removed "), 4)

    def test_root(self):
        """By its PEM; and it is not to be."""
        run = self.store.run("revocation", "add", "--certificate", self.root, *self.REASON)
        self.assertEqual(run.returncode, 1)
        self.assertIn("the pinned root", run.stderr.decode())

    def test_wrong_usage(self):
        instance = ("--instance-id", "i-0123456789abcdef0")
        junk = self.store.write("junk", "no certificate")
        for words in (instance, self.REASON, (*instance, "--certificate", self.root, *self.REASON),
                      ("--document", self.root, *self.REASON),
                      ("--issuer", "30", *self.REASON),
                      ("--issuer", "3", "--serial", "01", *self.REASON),
                      ("--certificate", junk, *self.REASON)):
            run = self.store.run("revocation", "add", *words)
            self.assertEqual(run.returncode, 2, (words, run.stderr.decode()))
        self.assertEqual(self.store.run("revocation", "remove", "1").returncode, 2)
        self.assertEqual(self.store.run("revocation", "remove", "0", *self.REASON).returncode, 2)
        self.assertEqual(self.json("revocation", "list"), [])


class Flood(WithEnclave):
    """A genuine enclave of anybody's that has itself refused over and over."""

    def flood(self, module):
        """Until it is put off, with some time left before it is decided again."""
        for _ in range(300):
            text = self.fetch(module=module, timeout_s=1).stderr.decode()
            wait = re.search(r"too_fast: .* refused too often; ask again in (\d+) s", text)
            if wait and int(wait[1]) >= 5:
                return
        self.fail(text)

    def test_one_instance(self):
        image = self.store.write("stranger", "somebody's own image")
        flooder, neighbour, other = (
            self.enclave(f"{name}.sock", "--image", path, "--module-id", module)
            for name, path, module in
            (("flooder", image, "i-0123456789abcdef0-enc0000000000000001"),
             ("neighbour", self.world.image, "i-0123456789abcdef0-enc0000000000000002"),
             ("other", self.world.image, "i-0fedcba9876543210-enc0000000000000001")))
        self.flood(flooder)
        refusals = len(self.records("release.refused"))
        self.assertGreaterEqual(refusals, 60)
        self.assertIn(self.store.log().count(" ev=release.put_off "), range(1, refusals - 58))
        self.granted(self.fetch(module=neighbour))  # nothing of its parent's is in its way
        relay = self.relay()
        run = self.fetch(module=flooder, verifier=relay.url, timeout_s=1)
        self.denied(run, "unreachable", 3)
        self.assertIn("the verifier says too_fast", run.stderr.decode())
        connection = http.client.HTTPConnection(self.store.ready["listen"], timeout=30)
        connection.request("POST", "/v1/release", relay.requests[0],
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()  # undecided: its challenge was not redeemed
        problem = json.loads(answer.read())
        connection.close()
        self.assertEqual((answer.status, problem["code"], problem["field"]),
                         (429, "too_fast", "module_id"))
        self.assertIn(int(answer.getheader("Retry-After")), range(2, 11))
        logged = self.store.log().count(" ev=release.put_off ")
        more = [relay.send("/v1/release", relay.requests[0]) for _ in range(3)]
        self.assertEqual([json.loads(body)["field"] for status, _, body in more if status == 429],
                         ["module_id"] * 3)  # a burst has one line
        self.assertEqual(self.store.log().count(" ev=release.put_off "), logged)
        self.granted(self.fetch(module=other))
        self.assertEqual(len(self.records("release.refused")), refusals)
        self.assertGreater(self.json("status")["counters"]["put_off"], len(relay.answers))


class Issuers(WithEnclave):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.world.store.path("other-issuer.pem")
        key = cls.world.store.path("other-issuer.key")
        openssl("ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", key)
        openssl("ec", "-in", key, "-pubout", "-out", cls.other)

    def test_two(self):
        both = b""
        for path in (self.other, self.issuer):
            with open(path, "rb") as file:
                both += file.read()
        self.granted(self.fetch(issuer=self.store.write("both.pem", both)))

    def test_another(self):
        """The server decided and recorded; the agent believes none of it."""
        run = self.agent("run", "--secret", SECRET, "--", "echo", "runs", issuer=self.other)
        text = self.denied(run, "answer_not_authentic", 122)
        self.assertIn("under none of the pinned issuer keys", text)


class Story(WithEnclave):
    """Whoever is refused in the demo, each by the code that is due."""

    def test_fake_client(self):
        """Documents of his own making: no Nitro hardware signed them."""
        fake = self.enclave("fake.sock", root_dir=self.store.path("fake"))
        run = self.agent("run", "--secret", SECRET, "--", "echo", "runs", module=fake,
                         root=self.store.path("fake", "root.pem"))
        self.denied(run, "document_untrusted", 120)
        self.assertEqual(self.records("release.refused"), [])

    def test_changed_image(self):
        image = self.store.write("changed", "the vendor's client, changed")
        run = self.agent("run", "--secret", SECRET, "--", "echo", "runs",
                         module=self.enclave("changed.sock", "--image", image))
        self.denied(run, "refused", 120)
        self.refused_for("no_measurement", run)

    def test_debug(self):
        """The right image, where its memory could be read."""
        run = self.agent("run", "--secret", SECRET, "--", "echo", "runs",
                         module=self.enclave("debug.sock", "--debug"))
        self.denied(run, "debug", 120)
        record, = self.records("release.refused")
        self.assertEqual((record["code"], record["document"]["debug"]), ("debug", True))

    def test_replay(self):
        relay = self.relay()
        self.granted(self.fetch(verifier=relay.url))
        for _ in range(2):
            status, _, body = relay.send("/v1/release", relay.requests[0])
            self.assertEqual((status, json.loads(body)["code"]), (409, "challenge_redeemed"))
        self.assertEqual(len(self.records("release.granted")), 1)

    def test_altered_request(self):
        self.done("secret", "put", "b", stdin=b"x")
        self.done("grant", "add", "b", "--image", "web")
        relay = self.relay()
        changes = {
            "version": lambda r: r["secrets"][0].update(version=1),
            "floor": lambda r: r["secrets"][0].update(min_version=1),
            "name": lambda r: r["secrets"][0].update(name="b"),
            "more": lambda r: r["secrets"].append({"name": "b"}),
        }
        for what, change in changes.items():
            with self.subTest(what):
                relay.alter_request = lambda request, change=change: change(request) or request
                run = self.agent("run", "--secret", SECRET, "--", "echo", "runs",
                                 verifier=relay.url)
                self.denied(run, "request_not_bound", 120)
        relay.honest()
        self.granted(self.fetch(verifier=relay.url))

    def test_another_store(self):
        """One issuer may have delegated to several stores; the image may mean one of them."""
        store = json.loads(self.store.run("status", "--json").stdout)["store_id"]
        fetched = self.fetch(SECRET, "--store", store)
        self.assertEqual((fetched.returncode, fetched.stdout), (0, VALUE), fetched.stderr)
        fetched = self.fetch(SECRET, "--store", "ab" * 16)
        self.assertEqual((fetched.returncode, fetched.stdout), (1, b""))
        self.assertIn(b"answer_not_authentic", fetched.stderr)
        self.assertIn(b"it is for the store " + store.encode(), fetched.stderr)

    def test_swapped_answer(self):
        relay = self.relay()
        self.granted(self.fetch(verifier=relay.url))
        relay.replace_answer = relay.answers[0]
        run = self.agent("run", "--secret", SECRET, "--", "echo", "runs", verifier=relay.url)
        self.denied(run, "answer_not_authentic", 122)

    def test_parent_sees_nothing(self):
        relay = self.relay()
        self.granted(self.fetch(verifier=relay.url))
        seen = b"".join(relay.requests) + b"".join(answer[2] for answer in relay.answers)
        self.assertNotIn(VALUE[:10], seen)


if __name__ == "__main__":
    unittest.main()
