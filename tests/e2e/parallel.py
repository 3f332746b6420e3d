#!/usr/bin/env python3
"""Goal of this test: enclaves, administrators, auditors and strangers at once.  Each gets the
answer that it gets alone, every release is on record once, and the audit log is one unbroken
chain.  Under ThreadSanitizer the server's threads are watched meanwhile.
"""
import concurrent.futures
import json
import unittest

from enclave import SECRET, VALUE, WithEnclave
from server import pcr

ENCLAVES = 3
ROUNDS = 3  # of each enclave, of each administrator, of each auditor
CHALLENGES = 40


class AtOnce(WithEnclave):
    def fetches(self, formats):
        """A granted secret again and again, between two that are refused."""
        for wrap in formats:
            self.granted(self.fetch(SECRET, "--format", wrap))
            self.denied(self.fetch("web/nobody-knows"), "refused")
        return len(formats)

    def builds(self, image):
        """Builds come and go; the enclaves' own is never touched."""
        for number in range(ROUNDS):
            name = f"{image}@{number}"
            values = [f"--pcr={i}={pcr(f'{name}/{i}')}" for i in range(3)]
            self.done("measurement", "add", name, *values)
            self.done("grant", "add", SECRET, "--image", image)
            self.done("measurement", "deprecate", name)
            self.done("measurement", "revoke", name)
            grants = [g["id"] for g in self.json("grant", "list") if g["image"] == image]
            self.done("grant", "remove", str(grants[0]))
        return 5 * ROUNDS

    def versions(self, name):
        """Of the enclaves' secret each has the same value: whatever they get, it is that."""
        for _ in range(2 * ROUNDS):
            self.done("secret", "put", name, stdin=VALUE)
        return 2 * ROUNDS

    def reads(self):
        for _ in range(ROUNDS):
            numbers = [r["sequence"] for r in self.json("audit", "list", "--limit", "1000")]
            self.assertEqual(sorted(numbers), list(range(min(numbers), max(numbers) + 1)))
            self.json("status")
            self.json("measurement", "list")
        return 0

    def challenges(self):
        given = set()
        for _ in range(CHALLENGES):
            status, answer = self.store.public("POST", "/v1/challenge")
            self.assertEqual(status, 200, answer)
            given.add(json.dumps(answer, sort_keys=True))
            self.assertEqual(self.store.public("POST", "/v1/release", b"{}")[0], 400)
        self.assertEqual(len(given), CHALLENGES)
        return 0

    def test_everybody(self):
        before = self.json("audit", "verify")["records"]
        formats = ("hpke-x25519", "hpke-p384", "rsa-oaep-256")[:ROUNDS]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            released = [pool.submit(self.fetches, formats) for _ in range(ENCLAVES)]
            changed = [pool.submit(self.builds, "left"), pool.submit(self.builds, "right"),
                       pool.submit(self.versions, SECRET), pool.submit(self.versions, "other")]
            others = [pool.submit(work) for work in (self.reads, self.reads, self.challenges)]
            releases = sum(task.result() for task in released)
            changes = sum(task.result() for task in changed)
            for task in others:
                task.result()
        self.assertEqual(len(self.records("release.granted")), releases)
        self.assertEqual(len(self.records("release.refused")), releases)
        self.assertEqual(self.json("audit", "verify")["records"], before + 2 * releases + changes)
        counters = self.json("status")["counters"]
        self.assertEqual((counters["granted"], counters["refused"]), (releases, releases))


if __name__ == "__main__":
    unittest.main()
