#!/usr/bin/env python3
"""Goal of this test: an old build is retired without an outage. The server says which builds
and which enclaves still use it, what ending it would stop, and changes nothing while it is
only asked.
"""
import datetime
import subprocess
import unittest

from enclave import SECRET, WithEnclave, measurements
from server import PROGRAM, TIMEOUT_S, clean_environment


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Rollout(WithEnclave):
    """web@1 is the fixture's build; web@2 is a newer one."""

    def setUp(self):
        super().setUp()
        image = self.store.write("image-2", "a newer client")
        self.done("measurement", "add", "web@2", "--from", "-", stdin=measurements(image))
        self.newer = self.enclave("newer", "--image", image)

    def use(self, build):
        return self.json("measurement", "show", build)["use"]

    def state(self, build):
        return self.json("measurement", "show", build)["state"]

    def counters(self):
        status = self.json("status")
        return status["policy_revision"], status["audit_sequence"]

    def add(self, version):
        image = self.store.write("image-" + version, version)
        self.done("measurement", "add", "web@" + version, "--from", "-",
                  stdin=measurements(image))

    def test_retire_what_is_unused(self):
        self.assertNotIn("last_seen", self.use("web@1"))
        self.assertIn("never", self.done("measurement", "show", "web@1"))
        self.granted(self.fetch())
        old = seconds(self.use("web@1")["last_seen"])
        while int(seconds(self.use("web@2").get("last_seen", "1970-01-01T00:00:00Z"))) <= old:
            self.granted(self.fetch(module=self.newer))
        new = seconds(self.use("web@2")["last_seen"])

        # A week after the last second that lies between the two.
        later = datetime.datetime.fromtimestamp(int(new) + 7 * 86400, datetime.timezone.utc)
        self.store.shift_clock(later.strftime("%Y-%m-%d %H:%M:%S"))
        self.store.environment["TZ"] = "UTC"
        self.assertEqual(self.done("measurement", "list", "--unused-for", "8d", "-o", "name"), "")
        names = self.done("measurement", "list", "--unused-for", "7d", "-o", "name")
        self.store.environment = {}
        self.assertEqual(names, "web@1\n")
        run = subprocess.run(["xargs", "-r", *PROGRAM, "measurement", "deprecate"],
                             input=names.encode(), capture_output=True, check=False,
                             timeout=TIMEOUT_S,
                             env=clean_environment(VOUCHSAFE_STATE=self.store.state))
        self.assertEqual((run.returncode, run.stdout), (0, b"changed web@1 (deprecated)\n"))
        self.assertIn("deprecated", self.granted(self.fetch()))  # it works on, and warns
        listed = {m["version"]: m for m in self.json("measurement", "list")}
        self.assertIn("last_seen", listed["1"])
        self.assertIn("LAST SEEN", self.done("measurement", "list"))

    def test_revoke_dry_run(self):
        self.granted(self.fetch())
        self.granted(self.fetch())
        enclave = self.records("release.granted")[0]["document"]["module_id"]
        before = self.counters()
        seen = self.json("measurement", "revoke", "--dry-run", "web@1")
        text = self.done("measurement", "revoke", "--dry-run", "web@1", "web@2")
        self.assertEqual(self.counters(), before)
        self.assertEqual(seen["result"], "would change")
        self.assertEqual(seen["measurement"]["state"], "active")
        self.assertEqual(seen["measurement"]["use"]["releases_7_days"], 2)
        self.assertEqual([(g["secret"], g["other_builds"]) for g in seen["grants"]],
                         [(SECRET, 1)])
        self.assertEqual([(e["enclave"], e["secret"], e["version"], e["releases"])
                          for e in seen["enclaves"]], [(enclave, SECRET, 1, 2)])
        for words in ("would change web@1 (active)", enclave, "1 other build that counts",
                      "2: 2 today, 2 in 7 days", "may be one of the\nothers", "Revoking does not take these back",
                      "vouchsafe secret put", "would change web@2 (active)",
                      "No enclave of this build was given a secret."):
            self.assertIn(words, text)
        self.assertRegex(self.done("measurement", "show", "web@1"),
                         r"(?m)^by day +\d{4}-\d\d-\d\d: 2$")
        self.assertNotIn("others", self.done("measurement", "revoke", "--dry-run", "web@1"))
        table = self.done("measurement", "enclaves", "web@1")
        self.assertIn(enclave, table)
        self.assertEqual(self.json("measurement", "enclaves", "web@2"), [])
        self.granted(self.fetch())
        self.assertEqual(self.done("measurement", "revoke", "web@1", "web@2"),
                         "changed web@1 (revoked)\nchanged web@2 (revoked)\n")
        self.refused_for("measurement_revoked", self.fetch())
        text = self.done("measurement", "revoke", "--dry-run", "web@1")
        self.assertIn("unchanged web@1 (revoked)", text)
        self.assertIn("It gets nothing now", text)
        self.assertIn(enclave, text)  # it still has what it was given

    def test_revoke_the_last(self):
        self.done("measurement", "revoke", "web@2")
        text = self.done("measurement", "revoke", "--dry-run", "web@1")
        self.assertIn("nobody: no other build that counts", text)

    def test_all_but_newest(self):
        for version in ("3", "4"):
            self.add(version)
        self.done("measurement", "deprecate", "web@3")
        rule = ("measurement", "deprecate", "--image", "web", "--all-but-newest", "2")
        before = self.counters()
        self.assertEqual(self.done(*rule, "--dry-run"), "would change web@1 (active)\n"
                         "kept web@2 (active)\nkept web@4 (active)\n")
        self.assertEqual(self.counters(), before)
        answer = self.json(*rule)
        self.assertEqual([(d["result"], d["measurement"]["version"], d["measurement"]["state"])
                          for d in answer["deprecated"]], [("changed", "1", "deprecated")])
        self.assertEqual([m["version"] for m in answer["kept"]], ["2", "4"])
        record = self.records("measurement.deprecate")[-1]
        self.assertEqual((record["object"], record["detail"]),
                         ("web@1", "not among the newest 2"))
        after = self.counters()
        self.assertEqual(self.done(*rule),
                         "kept web@2 (active)\nkept web@4 (active)\nnothing to deprecate\n")
        self.assertEqual(self.counters(), after)
        self.done(*rule[:-1], "1", "--reason", "ticket 7")
        self.assertEqual(self.records("measurement.deprecate")[-1]["detail"], "ticket 7")
        self.assertEqual([self.state(f"web@{v}") for v in "124"],
                         ["deprecated", "deprecated", "active"])

    def test_wrong(self):
        self.refused("usage", "measurement", "list", "--unused-for", "7", status=2, says="7d")
        self.refused("usage", "measurement", "list", "-o", "yaml", status=2, says="name")
        self.refused("usage", "measurement", "list", "-o", "name", "--json", status=2)
        for words in ((), ("--image", "web"), ("--all-but-newest", "2"),
                      ("web@1", "--image", "web", "--all-but-newest", "2"),
                      ("--image", "web", "--all-but-newest", "0")):
            self.refused("usage", "measurement", "deprecate", *words, status=2)
        self.refused("not_found", "measurement", "deprecate", "--image", "none",
                     "--all-but-newest", "1")
        self.refused("not_found", "measurement", "revoke", "--dry-run", "web@9")
        self.refused("not_found", "measurement", "enclaves", "web@9")
        # What is no name is seen before anything is changed.
        for name in ("web", "web@", "@1", "web@1@2", "web@1\n", "--", ""):
            self.refused("usage", "measurement", "deprecate", "web@1", "--", name, status=2)
        self.assertEqual(self.state("web@1"), "active")
        # The first that is refused ends it; what came before it is done.
        run = self.store.run("measurement", "deprecate", "web@1", "web@9", "web@2")
        self.assertEqual((run.returncode, run.stdout), (1, b"changed web@1 (deprecated)\n"))
        self.assertEqual(self.state("web@2"), "active")


if __name__ == "__main__":
    unittest.main()
