#!/usr/bin/env python3
"""Goal of this test: the static agent is all that an image needs beside its program.  As the
kernel's own /init, with its settings and an issuer's key and nothing else, it makes the machine
fit, finds no vsock, which is a module of Debian's kernel, says so, and stops the machine in
good order.

What it does where there is vsock: the rows of scenarios_machine.py, where process 1 becomes the
agent once another /init has set up the parent's side.
"""
import itertools
import os
import subprocess
import unittest

import machine

AGENT = "vouchsafe-agent: "
SETTINGS = b"""
verifier = vsock://3:8443
issuer = /etc/issuer.pem
log = vsock://3:5000
secret = web/messages
exec = /program
"""
NO_VSOCK = "Address family not supported by protocol"


def issuer():
    """Any store's."""
    key = subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                          "ec_paramgen_curve:P-384"], check=True, capture_output=True).stdout
    return subprocess.run(["openssl", "pkey", "-pubout"], input=key, check=True,
                          capture_output=True).stdout


class Bare(unittest.TestCase):
    def test_stops_in_good_order(self):
        with machine.needed():
            lines = machine.boot({
                "init": machine.read(os.path.join(machine.BUILD, machine.STATIC)),
                "etc/issuer.pem": issuer(), "etc/vouchsafe-agent.conf": SETTINGS})
        # Before its first line the firmware has said something.
        said = list(itertools.dropwhile(lambda line: not line.startswith(AGENT), lines))
        console = "\n".join(lines)
        self.assertEqual(said[:-1], [
            f"{AGENT}unreachable: no vsock: {NO_VSOCK}; the kernel needs CONFIG_VIRTIO_VSOCKETS",
            f"{AGENT}ended with status 121; this machine stops",
            f"{AGENT}2 lines did not reach the log at vsock://3:5000: no socket: {NO_VSOCK}"],
            console)
        # By the kernel, which puts the time before it; a panic would restart it as well.
        self.assertRegex(said[-1], r"^\[ *[0-9.]+\] reboot: Restarting system$", console)


if __name__ == "__main__":
    unittest.main()
