#!/usr/bin/env python3
"""Goal of this test: the attacks of docs/SECURITY.md that need whole programs, by somebody who
owns the parent instance, a store and enclaves of his own, a copy of the state directory, or a
part of what people are shown.
"""
import json
import os
import unittest

from enclave import WithEnclave, measurements
from server import SOURCE

# ESC [ 2 J; CSI as one character (C1); right-to-left override and its end; DEL.
HOSTILE = "a\x1b[2J\x9b31m\u202egnp\u202c\u2066\u200e\u061c\x7fz"
OBEYED = [chr(c) for c in (*range(0, 10), *range(11, 32), *range(0x7f, 0xa0), 0x061c, 0x200e, 0x200f,
                           *range(0x202a, 0x202f), *range(0x2066, 0x206a))]


class Terminal(WithEnclave):
    """Text of strangers, and of a build pipeline that may only draft, on an admin's screen."""

    def harmless(self, out, shown):
        self.assertEqual([c for c in OBEYED if c in out], [])
        self.assertIn(shown, out)

    def test_labels(self):
        text = self.store.write("pcrs", measurements(self.store.write("next", "next build")))
        self.done("measurement", "add", "web@2", "--draft", "--from", text, "--label",
                  f"note={HOSTILE}")
        listed = self.done("measurement", "show", "web@2")
        self.harmless(listed, "note=a?[2J?31m?gnp?????z")
        as_json = self.done("measurement", "show", "web@2", "--json")
        self.harmless(as_json.replace("\x7f", ""), r"a\u001B[2J\u009B31m\u202Egnp\u202C")
        self.assertEqual(json.loads(as_json)["labels"], {"note": HOSTILE})

    def test_document(self):
        """A document of a stranger's, which need not even verify to be shown."""
        with open(os.path.join(SOURCE, "tests/vectors/documents/plain.cbor"), "rb") as file:
            document = file.read()
        at = document.index(b"module_id") + len(b"module_id") + 2
        hostile = "i-\x9b31m\u202egnp\u202c\x1b[2J".encode()
        changed = document[:at] + hostile + document[at + len(hostile):]
        path = self.store.write("hostile.cbor", changed)
        for words, shown in (((), "i-?31m?gnp??[2J"), (("--json",), r"i-\u009B31m\u202Egnp")):
            run = self.store.run("verify", path, *words)
            self.assertEqual(run.returncode, 1, run.stderr.decode())
            self.harmless(run.stdout.decode() + run.stderr.decode(), shown)


if __name__ == "__main__":
    unittest.main()
