#!/usr/bin/env python3
"""Goal of this test: persons and pipelines, as they work with the commands: a pipeline that can
only draft, somebody else who activates, and tokens that end.
"""
import os
import re
import stat
import unittest

from server import WithStore, pcr


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
        self.refused("forbidden", "measurement", "activate", "payments@1", "--token-file", pipeline)
        self.refused("forbidden", "measurement", "add", "refunds@1", *pcrs("b"), "--draft",
                     "--token-file", pipeline, says="for the image payments only")
        self.refused("forbidden", "measurement", "list", "--token-file", pipeline,
                     says="name one of them")
        self.assertEqual(len(self.json("measurement", "list", "--image", "payments",
                                       "--token-file", pipeline)), 1)
        self.refused("forbidden", "status", "--token-file", pipeline)
        self.refused("forbidden", *add, "--token-file", activator)
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


if __name__ == "__main__":
    unittest.main()
