#!/usr/bin/env python3
"""Goal of this test: builds as teams live with them.  What the tools print goes into the store in
one line; a PCR may be given by what it follows from; a draft can be taken back; a grant demands a
registered build, or one of a set of security versions; and a deprecated build is seen to be one.
"""
import hashlib
import json
import re
import shlex
import socket
import subprocess
import unittest

from enclave import AGENT, SECRET, WithEnclave
from server import PROGRAM, TIMEOUT_S, WithStore, clean_environment, pcr

ROLE = "arn:aws:iam::123456789012:role/Webserver"
INSTANCE = "i-1234567890abcdef0"
# AWS's user guide prints these two for them.
PCR3 = ("78fce75db17cd4e0a3fb8dad3ad128ca5e77edbb2b2c7f75329dccd99aa5f6ef"
        "4fc1f1a452e315b9e98f9e312e6921e6")
PCR4 = ("08f996b5d43e047a9eb51e7f548bfee7e164fd7dc8f65541f2ac09d6545ac812"
        "719327281c401a67a10fcba87ae79ce0")
DEBUG = "these are the values of a debug enclave"


def code(letter):
    return [word for i in range(3) for word in ("--pcr", f"{i}={pcr(letter + str(i))}")]


def measured(letter, **more):
    return json.dumps({"Measurements": {
        "HashAlgorithm": "Sha384 { ... }",
        **{f"PCR{i}": pcr(f"{letter}{i}") for i in range(3)}, **more}}, indent=2)


def nitrotpm(**more):
    return json.dumps({"Measurements": {"HashAlgorithm": "SHA384", "PCR4": pcr("t4"),
                                        "PCR7": pcr("t7"), **more}}, indent=2)


def extended(data):
    return hashlib.sha384(bytes(48) + hashlib.sha384(data).digest()).hexdigest()


class Builds(WithStore):
    def setUp(self):
        super().setUp()
        self.check(self.store.init(), 0)
        self.assertIsNone(self.store.start())

    def certificate(self):
        pem = self.store.path("signer.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-384", "-sha384", "-nodes", "-days", "30", "-subj",
                        "/CN=signer", "-keyout", pem + ".key", "-out", pem], check=True,
                       capture_output=True)
        der = subprocess.run(["openssl", "x509", "-in", pem, "-outform", "DER"], check=True,
                             capture_output=True).stdout
        return pem, self.store.write("signer.der", der), extended(der)

    # ---- from the build to the store ----

    def test_one_line(self):
        """The build's whole log, through a pipe."""
        log = self.store.write("log", "Step 7/9 : COPY . /app\n ---> [1/3] 0a1b\n{ not JSON }\n"
                               "Start building the Enclave Image...\n"
                               "Using the locally available Docker image...\n"
                               "Enclave Image successfully created.\n" + measured("a") +
                               "\nreal\t0m41.2s\n")
        line = (f"cat {log} | {shlex.join(PROGRAM)} measurement add payments@1.4.2 --from - "
                "--label commit=5d5eab0")
        for result in ("added", "unchanged"):
            run = subprocess.run(["sh", "-c", line], capture_output=True, check=False,
                                 timeout=TIMEOUT_S,
                                 env=clean_environment(VOUCHSAFE_STATE=self.store.state))
            self.check(run, 0)
            self.assertEqual(run.stdout.decode(), f"{result} payments@1.4.2 (active)\n")
        added = self.json("measurement", "show", "payments@1.4.2")
        self.assertEqual(added["pcrs"], {str(i): pcr(f"a{i}") for i in range(3)})
        self.assertEqual(added["labels"], {"commit": "5d5eab0"})

    def test_debug_values(self):
        """Zeros are refused with the same sentence, wherever they come from."""
        for index in (0, 1, 2, 8):
            zero = {f"PCR{index}": "0" * 96}
            self.refused("pcrs_zero", "measurement", "add", "a@1", "--from", "-",
                         stdin=measured("a", **zero).encode(), says=DEBUG)
            words = [w for w in code("a") if not w.startswith(f"{index}=")]
            if index < 3:
                words = code("a")
                words[2 * index + 1] = f"{index}=" + "0" * 96
            else:
                words += ["--pcr", "8=" + "0" * 96]
            line = self.refused("pcrs_zero", "measurement", "add", "a@1", *words, says=DEBUG)
            self.assertIn(f"pcrs[{index}]", line)
        self.done("secret", "put", "s", stdin=b"x")
        self.refused("pcrs_zero", "grant", "add", "s", "--signer-pcr8", "0" * 96, "--signer-pcr1",
                     pcr("k"), says=DEBUG)
        self.assertEqual(self.json("image", "list"), [])

    def test_nitrotpm(self):
        zero = "0" * 96
        added = self.json("measurement", "add", "vm@1", "--from", "-",
                          stdin=nitrotpm(PCR12=zero).encode())["measurement"]
        self.assertEqual(added["kind"], "nitrotpm")
        self.assertEqual(added["pcrs"], {"4": pcr("t4"), "7": pcr("t7"), "12": zero})
        self.assertIn("nitro-tpm-pcr-compute; input SHA-256=", added["provenance"])
        self.assertEqual(self.done("measurement", "add", "vm@1", "--kind", "nitrotpm", "--from",
                                   "-", stdin=nitrotpm(PCR12=zero).encode()),
                         "unchanged vm@1 (active)\n")
        self.refused("measurement_input", "measurement", "add", "vm@2", "--kind", "enclave",
                     "--from", "-", stdin=nitrotpm(PCR12=zero).encode(), says="of kind nitrotpm")
        self.refused("measurement_input", "measurement", "add", "vm@2", "--kind", "nitrotpm",
                     "--from", "-", stdin=measured("a").encode(), says="of kind enclave")
        run = self.store.run("measurement", "add", "vm@2", "--from", "-",
                             stdin=nitrotpm().encode())
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn(b"warning: without PCR12", run.stderr)

    # ---- PCRs by what they follow from ----

    def test_derived(self):
        pem, der, pcr8 = self.certificate()
        added = self.json("measurement", "add", "a@1", *code("a"), "--role-arn", ROLE,
                          "--instance-id", INSTANCE, "--signing-cert", pem)["measurement"]
        self.assertEqual([added["pcrs"][i] for i in ("3", "4", "8")], [PCR3, PCR4, pcr8])
        self.assertRegex(added["provenance"], f"^PCR3 of role {ROLE}; PCR4 of instance {INSTANCE}; "
                         "PCR8 of signing certificate, file SHA-256 [0-9a-f]{64}$")
        self.assertIn(ROLE, self.done("measurement", "show", "a@1"))
        # Given twice, and the same.
        self.assertEqual(self.done("measurement", "add", "a@1", *code("a"), "--role-arn", ROLE,
                                   "--pcr", f"3={PCR3}", "--instance-id", INSTANCE,
                                   "--signing-cert", der), "unchanged a@1 (active)\n")
        signed = measured("b", PCR8=pcr8).encode()
        added = self.json("measurement", "add", "b@1", "--from", "-", "--signing-cert", der,
                          stdin=signed)["measurement"]
        self.assertRegex(added["provenance"], "^nitro-cli build-enclave; input SHA-256="
                         "[0-9a-f]{64}; PCR8 of signing certificate")
        # ... and not.
        self.refused("measurement_input", "measurement", "add", "c@1", "--from", "-",
                     "--signing-cert", der, stdin=measured("c", PCR8=pcr("8")).encode(),
                     says="PCR8: --from gives " + pcr("8")[:12])
        self.refused("measurement_input", "measurement", "add", "c@1", *code("c"), "--pcr",
                     f"4={pcr('4')}", "--instance-id", INSTANCE, says="--instance-id gives")
        self.refused("usage", "measurement", "add", "c@1", *code("c"), "--role-arn",
                     "arn:aws:iam::123456789012:role/*", status=2, says="role-arn: ")
        self.refused("usage", "measurement", "add", "c@1", *code("c"), "--instance-id",
                     INSTANCE + "-enc0", status=2, says="instance-id: ")
        self.refused("measurement_input", "measurement", "add", "c@1", *code("c"),
                     "--signing-cert", self.store.write("junk", "x"), says="signing-cert: ")
        self.refused("file", "measurement", "add", "c@1", *code("c"), "--signing-cert",
                     self.store.path("none"), status=3)

    def test_derived_for_grants(self):
        pem, _, pcr8 = self.certificate()
        self.done("secret", "put", "s", stdin=b"x")
        grant = self.json("grant", "add", "s", "--signing-cert", pem, "--signer-pcr8", pcr8,
                          "--signer-pcr1", pcr("k"), "--role-arn", ROLE, "--instance-id",
                          INSTANCE)["grant"]
        self.assertEqual([grant[f"pcr{i}"] for i in (1, 3, 4, 8)], [pcr("k"), PCR3, PCR4, pcr8])
        self.refused("usage", "grant", "add", "s", "--signing-cert", pem, status=2,
                     says="belong together")
        self.refused("measurement_input", "grant", "add", "s", "--signing-cert", pem,
                     "--signer-pcr8", pcr("8"), "--signer-pcr1", pcr("k"), says="must agree")
        self.refused("measurement_input", "grant", "add", "s", "--image", "a", "--role-arn", ROLE,
                     "--role-pcr3", pcr("3"), says="PCR3: ")

    # ---- states ----

    def test_discard(self):
        self.done("measurement", "add", "a@1", "--draft", *code("a"))
        self.assertIn("matches nothing yet", self.done("measurement", "show", "a@1"))
        self.refused("exists", "measurement", "add", "b@1", *code("a"), says="a@1 (draft)")
        self.assertEqual(self.done("measurement", "discard", "a@1", "--reason", "not ours"),
                         "changed a@1 (discarded)\n")
        self.assertEqual(self.done("measurement", "discard", "a@1"), "unchanged a@1 (discarded)\n")
        self.assertEqual(self.done("measurement", "add", "b@1", *code("a")), "added b@1 (active)\n")
        self.refused("exists", "measurement", "add", "a@1", *code("a"), says="was discarded")
        self.refused("wrong_state", "measurement", "activate", "a@1", says="state: ")
        self.refused("wrong_state", "measurement", "discard", "b@1", says="only a draft")
        self.assertEqual([m["image"] for m in self.json("measurement", "list")], ["b"])
        gone = self.json("measurement", "list", "--in-state", "discarded")
        self.assertEqual([m["image"] for m in gone], ["a"])
        record = self.json("audit", "list", "--event", "measurement.discard")[0]
        self.assertEqual((record["object"], record["detail"]), ("a@1", "not ours"))
        self.store.stop()
        self.assertIsNone(self.store.start())
        self.assertEqual([m["image"] for m in self.json("measurement", "list")], ["b"])

    def test_deprecated_is_seen(self):
        self.done("measurement", "add", "a@1", *code("a"))
        note = "still releases, with a warning"
        self.assertNotIn(note, self.done("measurement", "list"))
        self.done("measurement", "deprecate", "a@1")
        self.assertIn(note, self.done("measurement", "list"))
        self.assertIn(note, self.done("measurement", "show", "a@1"))
        self.assertNotIn("note", self.json("measurement", "show", "a@1"))

    # ---- grants ----

    def test_grants(self):
        config = self.store.write("config", "security-version = 3\n")
        value = extended(b"security-version = 3\n")
        self.done("measurement", "add", "a@1", *code("a"))
        self.done("secret", "put", "s", stdin=b"x")
        signer = ["--signer-pcr8", pcr("8"), "--signer-pcr1", pcr("k")]
        self.assertEqual(self.done("grant", "add", "s", *signer, "--registered", "--image", "a"),
                         "added grant 1: s to a signer\n")
        two = self.json("grant", "add", "s", "--image", "a", "--accept-file", f"16={config}",
                        "--accept-pcr", f"16={pcr('v4')},{pcr('v5')}", "--accept-pcr",
                        f"17={pcr('x')}")["grant"]
        self.assertEqual(two["accepted"], {"16": sorted([value, pcr("v4"), pcr("v5")]),
                                           "17": [pcr("x")]})
        listed = self.done("grant", "list")
        self.assertIn("registered=yes", listed)
        self.assertIn("accepted=PCR16: 3 values, PCR17: 1 value", listed)
        self.refused("usage", "grant", "add", "s", "--image", "a", "--registered", status=2,
                     says="--registered")
        self.refused("usage", "grant", "add", "s", "--image", "a", *signer, status=2)
        for words in (["--accept-pcr", f"15={value}"], ["--accept-pcr", value],
                      ["--accept-pcr", "16="], ["--accept-file", config]):
            self.refused("usage", "grant", "add", "s", "--image", "a", *words, status=2,
                         says="N from 16 to 31")
        self.refused("hex_malformed", "grant", "add", "s", "--image", "a", "--accept-pcr",
                     "16=ab", says="accepted[16]")
        self.refused("measurement_input", "grant", "add", "s", "--image", "a", "--accept-file",
                     "16=" + self.store.write("empty", ""), says="accept-file: ")


class Released(WithEnclave):
    """A grant's conditions, by enclaves that keep them and others."""

    def grant(self, *words):
        self.done("grant", "remove", "1")
        self.done("grant", "add", SECRET, *words)

    @staticmethod
    def extend(module, index, data):
        """What an agent does at its start: extend a PCR, and lock it."""
        def text(word):
            return bytes([0x60 + len(word)]) + word.encode()

        number = bytes([0x18, index]) if index > 23 else bytes([index])
        extend = (b"\xa1" + text("ExtendPCR") + b"\xa2" + text("index") + number + text("data") +
                  b"\x58" + bytes([len(data)]) + data)
        lock = b"\xa1" + text("LockPCR") + b"\xa1" + text("index") + number
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as nsm:
            nsm.settimeout(TIMEOUT_S)
            nsm.connect(module.removeprefix("unix:"))
            for request, reply in ((extend, b"ExtendPCR"), (lock, b"LockPCR")):
                nsm.send(request)
                answer = nsm.recv(12288)
                if reply not in answer:
                    raise AssertionError(answer)

    def test_security_version(self):
        """Of a set of versions that are new enough, which the agent extends by the image's file;
        what was never extended matches none."""
        new = self.store.write("new", "security-version = 3\n")
        old = self.store.write("old", "security-version = 2\n")
        self.grant("--image", "web", "--accept-pcr", f"16={pcr('other')}", "--accept-file",
                   f"16={new}")
        module = self.enclave("a.sock")
        newer, older, wrong = (
            ("--config", self.store.write(name, text)) for name, text in (
                ("newer.conf", f"extend = 16={new}\nextend = 17={old}\n"),
                ("older.conf", f"extend = 16={old}\n"), ("wrong.conf", f"extend = 15={new}\n")))
        self.refused_for("grant_accepted", self.fetch(module=module))
        self.refused_for("grant_accepted",
                         self.fetch(SECRET, *older, module=self.enclave("b.sock")))
        for words in (newer, newer, ()):  # also where it is done already
            self.granted(self.fetch(SECRET, *words, module=module))
        shown = subprocess.run([*AGENT, "pcrs", "--json", "--nsm", module], capture_output=True,
                               check=True, timeout=TIMEOUT_S)
        self.assertEqual(json.loads(shown.stdout)["pcrs"]["17"],
                         extended(b"security-version = 2\n"))
        run = self.fetch(SECRET, *older, module=module)
        self.assertEqual(run.returncode, 3, run.stderr)
        self.assertIn(b"something else extended it", run.stderr)
        run = self.fetch(SECRET, *wrong, module=module)
        self.assertEqual(run.returncode, 2, run.stderr)

    def test_registered(self):
        """Signed is not enough where the build must be registered, too."""
        shown = self.json("measurement", "show", "web@1")
        signed = self.enclave("a.sock", "--pcr", f"8={pcr('8')}")
        other = self.enclave("b.sock", "--pcr", f"8={pcr('8')}", "--image",
                             self.store.write("image", "another build"))
        signer = ["--signer-pcr8", pcr("8"), "--signer-pcr1", shown["pcrs"]["1"]]
        self.grant(*signer, "--registered")
        self.refused_for("grant_registered", self.fetch(module=other))
        self.refused_for("grant_pcr", self.fetch())
        self.granted(self.fetch(module=signed))
        record, = self.records("release.granted")
        self.assertEqual(record["secrets"][0]["measurement"], "web@1")
        self.done("grant", "remove", "2")
        self.done("grant", "add", SECRET, *signer)
        self.granted(self.fetch(module=other))

    def test_deprecated(self):
        """The agent says so, and the server's log."""
        self.assertNotIn("deprecated", self.granted(self.fetch()))
        self.done("measurement", "deprecate", "web@1")
        self.assertIn("warning: only a deprecated measurement granted", self.granted(self.fetch()))
        lines = re.findall(r"ev=release\.granted .*", self.store.log())
        self.assertEqual([" deprecated=true" in line for line in lines], [False, True])
        flags = {r["secrets"][0]["flags"] for r in self.records("release.granted")}
        self.assertEqual(flags, {0, 1})

    def test_discarded(self):
        """A draft that was taken back stands in nobody's way."""
        shown = self.json("measurement", "show", "web@1")
        words = [w for i, value in shown["pcrs"].items() for w in ("--pcr", f"{i}={value}")]
        self.done("measurement", "add", "web@draft", "--draft", *words, "--pcr", f"16={pcr('x')}")
        self.done("measurement", "discard", "web@draft")
        module = self.enclave("a.sock")
        self.extend(module, 16, b"x" * 48)
        self.granted(self.fetch(module=module))


if __name__ == "__main__":
    unittest.main()
