#!/usr/bin/env python3
"""Goal of this test: `vouchsafe describe-eif` measures an image file or says what is wrong with
it, by exact code and exit status; `measurement add --eif` registers what was measured here, and
beside a tool's output only where the two agree.

What AWS's own library builds is compared in tests/interop/eif.
"""
import hashlib
import json
import os
import pty
import struct
import subprocess
import sys
import unittest
import zlib

from server import PROGRAM, TIMEOUT_S, WithStore, clean_environment

KERNEL, CMDLINE, RAMDISK, SIGNATURE, METADATA = range(1, 6)
SIGNED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fuzz/corpus/eif/signed_p384")
IDENTITY = {"ImageName": "pay\x1b[31m", "ImageVersion": "1.4.2", "BuildMetadata": {
    "BuildTime": "2026-11-29T09:00:00+00:00", "BuildTool": "nitro-cli", "BuildToolVersion": "1.4.2",
    "OperatingSystem": "Linux", "KernelVersion": "4.14.256"}, "DockerInfo": {"Os": "linux"},
    "CustomMetadata": {"team": "payments"}}
PARTS = [(KERNEL, b"a kernel"), (CMDLINE, b"reboot=k"), (METADATA, json.dumps(IDENTITY).encode()),
         (RAMDISK, b"init"), (RAMDISK, b"application")]


def make_eif(parts, zeros=0):
    """EIF Specification; the last section gets that many zeros behind its content."""
    offsets, sizes, at = [], [], 548
    for i, (_, content) in enumerate(parts):
        offsets.append(at)
        sizes.append(len(content) + (zeros if i == len(parts) - 1 else 0))
        at += 12 + sizes[-1]
    words = [*offsets, *[0] * (32 - len(parts)), *sizes, *[0] * (32 - len(parts))]
    header = b".eif" + struct.pack(">HHQQHH64QI", 4, 0, 1 << 30, 2, 0, len(parts), *words, 0)
    body = b"".join(struct.pack(">HHQ", kind, 0, size) + content
                    for (kind, content), size in zip(parts, sizes)) + bytes(zeros)
    return header + struct.pack(">I", zlib.crc32(body, zlib.crc32(header))) + body


def pcr_of(*parts):
    content = hashlib.sha384(b"".join(parts)).digest()
    return hashlib.sha384(bytes(48) + content).hexdigest()


EXPECTED = {"HashAlgorithm": "Sha384 { ... }",
            "PCR0": pcr_of(b"a kernel", b"reboot=k", b"init", b"application"),
            "PCR1": pcr_of(b"a kernel", b"reboot=k", b"init"), "PCR2": pcr_of(b"application")}


class Describe(WithStore):
    def setUp(self):
        super().setUp()
        self.eif = make_eif(PARTS)
        self.path = self.store.write("web.eif", self.eif)

    def test_unsigned(self):
        text = self.done("describe-eif", self.path)
        self.assertEqual(list(json.loads(text)), ["EifVersion", "Measurements", "IsSigned",
                                                  "CheckCRC", "ImageName", "ImageVersion",
                                                  "Metadata"])
        self.assertEqual(json.loads(text), {
            "EifVersion": 4, "Measurements": EXPECTED, "IsSigned": False, "CheckCRC": True,
            "ImageName": "pay\x1b[31m", "ImageVersion": "1.4.2",
            "Metadata": {**IDENTITY["BuildMetadata"], "DockerInfo": {"Os": "linux"},
                         "team": "payments"}})
        self.assertNotIn("\x1b", text)
        self.assertEqual(self.done("describe-eif", "-", stdin=self.eif), text)

    def test_signed(self):
        found = json.loads(self.done("describe-eif", SIGNED))
        self.assertEqual(list(found), ["EifVersion", "Measurements", "IsSigned",
                                       "SigningCertificate", "CheckCRC", "SignatureCheck",
                                       "ImageName", "ImageVersion", "Metadata"])
        self.assertEqual(sorted(found["Measurements"]),
                         ["HashAlgorithm", "PCR0", "PCR1", "PCR2", "PCR8"])
        self.assertEqual(found["SigningCertificate"]["IssuerName"], {"commonName": "Signer"})

    def test_refused(self):
        damaged = self.store.write("damaged.eif", self.eif[:-1] + b"x")
        self.refused("eif_malformed", "describe-eif", damaged, says="(offset 544)")
        self.refused("eif_malformed", "describe-eif", "-", stdin=self.eif[:-3],
                     says="sections[4] (ramdisk): the file ends 3 bytes before")
        self.refused("eif_malformed", "describe-eif", "-", says="the file ends after 0 bytes")
        self.refused("eif_malformed", "describe-eif", sys.executable, says='begin with ".eif"')
        with open(SIGNED, "rb") as file:
            signed = bytearray(file.read())
        place = signed.index(b"second")
        signed[place] ^= 1
        crc = zlib.crc32(signed[548:], zlib.crc32(signed[:544]))
        signed[544:548] = struct.pack(">I", crc)
        self.refused("pcr_mismatch", "describe-eif", "-", stdin=bytes(signed),
                     says="sections[5] (signature).signature: it signs PCR0 ")

    def test_usage(self):
        self.refused("usage", "describe-eif", status=2)
        self.refused("usage", "describe-eif", self.path, self.path, status=2)
        self.refused("usage", "describe-eif", "--frob", self.path, status=2)
        self.refused("file", "describe-eif", self.store.path("none"), status=3)
        self.refused("file", "describe-eif", self.store.folder, status=3, says="directory")

    def test_progress(self):
        """People who wait see how far it is, on a terminal; the line is gone in the end."""
        large = self.store.write("large.eif", make_eif(PARTS, zeros=70 << 20))
        self.assertEqual(self.check(self.store.run("describe-eif", large), 0).stderr, b"")
        ours, theirs = pty.openpty()
        done = subprocess.run([*PROGRAM, "describe-eif", large], stdout=subprocess.PIPE,
                              stderr=theirs, check=True, timeout=TIMEOUT_S,
                              env=clean_environment())
        os.close(theirs)
        shown = os.read(ours, 4096).decode()
        os.close(ours)
        self.assertIn("\rread 64 MiB ", shown)
        self.assertTrue(shown.endswith(" \r"), shown)
        self.assertIn("Measurements", json.loads(done.stdout))


class Register(WithStore):
    def setUp(self):
        super().setUp()
        self.check(self.store.init(), 0)
        self.assertIsNone(self.store.start())
        self.path = self.store.write("web.eif", make_eif(PARTS))
        self.digest = hashlib.sha256(make_eif(PARTS)).hexdigest()

    def add(self, build, *args, **more):
        return self.json("measurement", "add", build, *args, **more)["measurement"]

    def not_added(self, code, *args, **more):
        self.refused(code, "measurement", "add", "web@9", *args, **more)
        self.refused("not_found", "measurement", "show", "web@9")

    def test_eif(self):
        added = self.add("web@1", "--eif", self.path)
        self.assertEqual(added["pcrs"], {str(i): EXPECTED[f"PCR{i}"] for i in range(3)})
        self.assertEqual(added["provenance"],
                         "EIF, measured here; ImageName=pay?[31m; ImageVersion=1.4.2; "
                         "BuildTime=2026-11-29T09:00:00+00:00; BuildTool=nitro-cli; "
                         "BuildToolVersion=1.4.2; KernelVersion=4.14.256; "
                         f"EIF SHA-256={self.digest}")
        self.assertEqual(self.done("measurement", "add", "web@1", "--eif", "-",
                                   stdin=make_eif(PARTS)), "unchanged web@1 (active)\n")

    def test_signed(self):
        described = self.done("describe-eif", SIGNED)
        values = json.loads(described)["Measurements"]
        added = self.add("web@1", "--eif", SIGNED, "--from", "-", stdin=described.encode())
        self.assertEqual(added["pcrs"], {str(i): values[f"PCR{i}"] for i in (0, 1, 2, 8)})
        # What is printed of it without the signature is of another build.
        del values["PCR8"]
        self.not_added("measurement_input", "--eif", SIGNED, "--from", "-",
                       stdin=json.dumps({"Measurements": values}).encode(),
                       says="what was printed says none")

    def test_both_agree(self):
        text = json.dumps({"Measurements": EXPECTED})
        added = self.add("web@1", "--eif", self.path, "--from", "-", stdin=text.encode())
        self.assertIn(f"EIF SHA-256={self.digest}; nitro-cli build-enclave; input SHA-256=",
                      added["provenance"])
        for number in range(3):
            other = {**EXPECTED, f"PCR{number}": pcr_of(b"another")}
            path = self.store.write("other.json", json.dumps({"Measurements": other}))
            self.not_added("measurement_input", "--eif", self.path, "--from", path,
                           says=f"PCR{number}: the EIF has {EXPECTED[f'PCR{number}']}, what was "
                                f"printed says {other[f'PCR{number}']}")

    def test_wrong(self):
        damaged = self.store.write("damaged.eif", make_eif(PARTS)[:-1])
        self.not_added("eif_malformed", "--eif", damaged)
        self.not_added("eif_malformed", "--eif", damaged, "--from", "-",
                       stdin=json.dumps({"Measurements": EXPECTED}).encode())
        self.not_added("usage", "--eif", self.path, "--pcr", "0=" + EXPECTED["PCR0"], status=2)
        self.not_added("usage", "--eif", "-", "--from", "-", status=2, says="standard input")
        self.not_added("file", "--eif", self.store.path("none"), status=3)


if __name__ == "__main__":
    unittest.main()
