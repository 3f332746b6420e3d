#!/usr/bin/env python3
"""Asks a Vouchsafe verifier for secrets and writes each to a file: what a program does with
vouchsafe_client.py.  With --refresh-s it goes on, and keeps the old files where it is refused.
Ends as vouchsafe-agent(1) does: 120 refused, 121 no decision in time, 122 an answer that was not
authentic, 123 the NSM failed, 124 not delivered, 125 wrong usage."""
import argparse
import os
import sys
import tempfile
import time

from cryptography.hazmat.primitives import hashes
from cryptography.x509 import load_pem_x509_certificate

from vouchsafe_client import AWS_ROOT, Client, Error, Wanted, load_issuers


def make_folders(path):
    """Mode 0700, each one that is missing: os.makedirs gives a mode to the last one only."""
    if not os.path.isdir(path):
        make_folders(os.path.dirname(path) or ".")
        os.mkdir(path, 0o700)


def write(folder, item):
    """DIR/NAME, mode 0400, whole or not at all.  DIR is to be a file system in memory."""
    path = os.path.join(folder, item.name)
    make_folders(os.path.dirname(path))
    fd, beside = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(item.value)
        os.chmod(beside, 0o400)
        os.replace(beside, path)
    except OSError:
        os.unlink(beside)
        raise


def arguments():
    parser = argparse.ArgumentParser(description="Writes secrets from a verifier to files.")
    parser.add_argument("--verifier", required=True,
                        help="unix:/PATH, vsock://CID:PORT or http://HOST:PORT")
    parser.add_argument("--issuer", required=True, help="the issuer keys that are trusted")
    parser.add_argument("--store", type=bytes.fromhex, help="the only store to believe")
    parser.add_argument("--root", help="for the simulator: a root instead of AWS's, PEM")
    parser.add_argument("--nsm", default="/dev/nsm", help="a device, or unix:/PATH")
    parser.add_argument("--application", type=bytes.fromhex, default=b"")
    parser.add_argument("--min-version", action="append", default=[], metavar="NAME=N")
    parser.add_argument("--timeout-s", type=float, default=120)
    parser.add_argument("--refresh-s", type=float, default=0, help="ask again that often")
    parser.add_argument("--dir", required=True, help="where to write them, a tmpfs")
    parser.add_argument("secret", nargs="+", metavar="NAME[@VERSION]")
    return parser.parse_args()


def wanted_of(options):
    floors = dict(floor.split("=", 1) for floor in options.min_version)
    wanted = []
    for text in options.secret:
        name, _, version = text.partition("@")
        floor = floors.pop(name, None)
        wanted.append(Wanted(name, int(version) if version else None,
                             int(floor) if floor else None))
    if floors:
        raise Error(f"--min-version names what is not asked for: {', '.join(floors)}")
    return wanted


def main():
    options = arguments()
    try:
        wanted = wanted_of(options)
        if len(options.application) > 256 or (options.store and len(options.store) != 16):
            raise Error("--application has at most 256 bytes, --store 16")
        root = AWS_ROOT
        if options.root:
            with open(options.root, "rb") as file:
                root = load_pem_x509_certificate(file.read()).fingerprint(hashes.SHA256())
            print("warning: --root: a root other than AWS's is trusted", file=sys.stderr)
        client = Client(options.verifier, load_issuers(options.issuer), root, options.store,
                        options.nsm, options.application, options.timeout_s)
    except (Error, OSError, ValueError) as error:
        print(f"get_secrets: {error}", file=sys.stderr)
        return 125
    first = True
    while True:
        try:
            for item in client.release(wanted):
                write(options.dir, item)
                print(f"{item.name} version {item.version}, {len(item.value)} bytes"
                      + (", of a deprecated build" if item.deprecated else ""), flush=True)
            first = False
        except (Error, OSError) as error:
            print(f"get_secrets: {error}", file=sys.stderr, flush=True)
            if first:
                return error.status if isinstance(error, Error) else 124
        if options.refresh_s <= 0:
            return 0
        time.sleep(options.refresh_s)


if __name__ == "__main__":
    sys.exit(main())
