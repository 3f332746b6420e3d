#!/usr/bin/env python3
"""Enclave image files that AWS's own library builds are measured here as it measures them.

    compare.py EIF_TOOL VOUCHSAFE

EIF_TOOL (src/main.rs) is AWS's crate: `build` prints what its eif_build prints, `describe` what
nitro-cli describe-eif prints.  VOUCHSAFE is the program under test.
"""
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import zlib

EIF_TOOL, VOUCHSAFE = sys.argv[1:]
CMDLINE = "reboot=k panic=30 pci=off nomodules console=ttyS0"
SECTION_HEAD = 12
CRC_AT = 544
FAKETIME = "/usr/$LIB/faketime/libfaketime.so.1"  # $LIB is ld.so's: where Debian has libraries
LARGE_MB = 200
DATA_MAX = 4 << 20  # what a process may have for a file of any size
checks = 0


def run(*command, **options):
    return subprocess.run(command, capture_output=True, check=False, **options)


def must(*command, **options):
    done = run(*command, **options)
    if done.returncode != 0:
        sys.exit(f"FAILED: {' '.join(command)}: {done.stderr.decode()}")
    return done.stdout


def expect(what, found, expected):
    global checks
    checks += 1
    if found != expected:
        sys.exit(f"FAILED: {what}: found {found!r}, expected {expected!r}")


def few_bytes():
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_MAX, DATA_MAX))


class Folder:
    def __init__(self, path):
        self.path = path
        self.write("kernel", os.urandom(300_000))
        for i in range(3):
            self.write(f"disk{i}", os.urandom(100_000 + i))
        self.write("custom.json", json.dumps({"team": "payments", "n": {"list": [1, 2.5]}}).encode())

    def at(self, name):
        return os.path.join(self.path, name)

    def write(self, name, content):
        with open(self.at(name), "wb") as file:
            file.write(content)

    def read(self, name):
        with open(self.at(name), "rb") as file:
            return file.read()

    def signer(self, name, curve, *, x509_version=3, time=None):
        """Key and certificate.  Version 1 is what AWS's instructions make: a request, signed."""
        key, cert, request = (self.at(name + end) for end in (".key", ".pem", ".csr"))
        then = {} if time is None else {"env": {**os.environ, "LD_PRELOAD": FAKETIME,
                                                "FAKETIME": "@" + time}}
        subject = ["-subj", "/CN=Signer/C=US/O=Example/OU=Builds", "-sha384"]
        must("openssl", "ecparam", "-name", curve, "-genkey", "-noout", "-out", key)
        if x509_version == 1:
            must("openssl", "req", "-new", "-key", key, *subject, "-out", request)
            must("openssl", "x509", "-req", "-days", "20", "-in", request, "-out", cert,
                 "-sha384", "-signkey", key, **then)
        else:
            must("openssl", "req", "-new", "-x509", "-days", "20", "-key", key, *subject,
                 "-out", cert, **then)
        return cert, key

    def build(self, name, disks, signer=("-", "-"), custom="-"):
        """What AWS's library printed."""
        return json.loads(must(EIF_TOOL, "build", self.at(name), self.at("kernel"), CMDLINE, custom,
                               *signer, *(self.at(disk) for disk in disks)))

    def describe(self, name, **options):
        done = run(VOUCHSAFE, "describe-eif", self.at(name), **options)
        if done.returncode != 0:
            sys.exit(f"FAILED: describe-eif {name}: {done.stderr.decode()}")
        return json.loads(done.stdout), done.stderr.decode()

    def refused(self, name, code, says):
        done = run(VOUCHSAFE, "describe-eif", self.at(name))
        line = done.stderr.decode()
        expect(f"{name}: status", done.returncode, 1)
        expect(f"{name}: output", done.stdout, b"")
        if not line.startswith(f"vouchsafe: {code}: ") or says not in line:
            sys.exit(f"FAILED: {name}: {line!r}, expected {code} and {says!r}")


def sections(eif):
    """(offset, type, size) from head to head, as AWS's library walks."""
    at = 548
    while at < len(eif):
        kind, _, size = struct.unpack_from(">HHQ", eif, at)
        yield at, kind, size
        at += SECTION_HEAD + size


def with_crc(eif):
    """After a change: the header's last word over everything but itself."""
    crc = zlib.crc32(eif[CRC_AT + 4:], zlib.crc32(eif[:CRC_AT]))
    return eif[:CRC_AT] + struct.pack(">I", crc) + eif[CRC_AT + 4:]


def changed(eif, at):
    return eif[:at] + bytes([eif[at] ^ 1]) + eif[at + 1:]


def compare_all(folder):
    """Unsigned and by each curve, with one ramdisk and three: the whole description."""
    signers = {"unsigned": ("-", "-"), "p256": folder.signer("p256", "prime256v1"),
               "p384": folder.signer("p384", "secp384r1", x509_version=1),
               "p521": folder.signer("p521", "secp521r1")}
    for who, signer in signers.items():
        for disks in (["disk0"], ["disk0", "disk1", "disk2"]):
            name = f"{who}-{len(disks)}.eif"
            custom = folder.at("custom.json") if len(disks) > 1 else "-"
            built = folder.build(name, disks, signer, custom)
            described, warning = folder.describe(name)
            expect(f"{name}: measurements", described["Measurements"], built["Measurements"])
            expect(f"{name}: PCR8", "PCR8" in built["Measurements"], who != "unsigned")
            theirs = json.loads(must(EIF_TOOL, "describe", folder.at(name)))
            expect(f"{name}: description", described, theirs)
            expect(f"{name}: warning", warning, "")


def refuse_tampered(folder):
    """The CRC is put right: it protects from accidents only."""
    eif = folder.read("p384-3.eif")
    places = list(sections(eif))
    disk = next(at for at, kind, _ in reversed(places) if kind == 3)
    signature, _, size = next(place for place in places if place[1] == 4)

    folder.write("damaged.eif", changed(eif, disk + SECTION_HEAD + 5))
    folder.refused("damaged.eif", "eif_malformed", "it is damaged")

    folder.write("other.eif", with_crc(changed(eif, disk + SECTION_HEAD + 5)))
    folder.refused("other.eif", "pcr_mismatch", "it signs PCR0 ")
    # AWS's library prints PCR8 all the same, and beside it that the check failed.
    done = run(EIF_TOOL, "describe", folder.at("other.eif"))
    theirs = json.loads(done.stdout) if done.returncode == 0 else {}
    expect("other.eif: AWS's", (theirs.get("SignatureCheck"), "PCR8" in theirs["Measurements"]),
           (False, True))

    # The last number of the section is a byte of s.
    end = signature + SECTION_HEAD + size - 1
    folder.write("forged.eif", with_crc(changed(eif, end)))
    folder.refused("forged.eif", "signature_invalid", "does not verify under the P-384 key")

    # Another image's signature, whole: it verifies, over another PCR0.
    other = folder.read("p384-1.eif")
    at, _, other_size = next(place for place in sections(other) if place[1] == 4)
    expect("sizes", other_size, len(other) - at - SECTION_HEAD)
    header = bytearray(eif[:signature + SECTION_HEAD])
    index = places.index((signature, 4, size))
    struct.pack_into(">Q", header, 28 + 256 + 8 * index, other_size)
    struct.pack_into(">Q", header, signature + 4, other_size)
    folder.write("taken.eif", with_crc(bytes(header) + other[at + SECTION_HEAD:]))
    folder.refused("taken.eif", "pcr_mismatch", "it signs PCR0 ")


def warn_of_expiry(folder):
    """nitro-cli run-enclave refuses it, describe-eif does not; here neither, with a warning."""
    signer = folder.signer("old", "secp384r1", time="2021-01-01 00:00:00")
    built = folder.build("old.eif", ["disk0"], signer)
    described, warning = folder.describe("old.eif")
    expect("old.eif: measurements", described["Measurements"], built["Measurements"])
    expect("old.eif: warning", "warning: the signing certificate has expired" in warning, True)
    done = run(EIF_TOOL, "describe", folder.at("old.eif"))
    expect("old.eif: AWS's", (done.returncode, "expired" in done.stderr.decode()), (1, True))


def measure_large(folder):
    """200 MB, in a process that may not have more than a few MiB; then its peak, from a pipe."""
    with open(folder.at("large"), "wb") as file:
        file.write(os.urandom(1_000_000))
        file.truncate(LARGE_MB * 1_000_000 - 1_000_000)
        file.seek(0, os.SEEK_END)
        file.write(os.urandom(1_000_000))
    built = folder.build("large.eif", ["disk0", "large"])
    expect("large.eif: size", os.path.getsize(folder.at("large.eif")) > LARGE_MB * 1_000_000, True)
    described, _ = folder.describe("large.eif", preexec_fn=few_bytes)
    expect("large.eif: measurements", described["Measurements"], built["Measurements"])


def peak(folder):
    """In KiB, when every byte was read."""
    with subprocess.Popen([VOUCHSAFE, "describe-eif", "-"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        with open(folder.at("large.eif"), "rb") as file:
            while piece := file.read(1 << 20):
                process.stdin.write(piece)
        process.stdin.flush()
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
            found = next(line for line in status if line.startswith("VmHWM:"))
        out, _ = process.communicate()
        expect("large.eif, from a pipe", process.returncode, 0)
        described, _ = folder.describe("large.eif")
        expect("large.eif, from a pipe", json.loads(out), described)
    return int(found.split()[1])


def main():
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(path)
        compare_all(folder)
        refuse_tampered(folder)
        warn_of_expiry(folder)
        measure_large(folder)
        print(f"{LARGE_MB} MB: at most {peak(folder)} KiB of memory, libraries included")
    print(f"{checks} checks against AWS's own library")


if __name__ == "__main__":
    main()
