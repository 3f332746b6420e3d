#!/usr/bin/env python3
"""Goal of this test: `vouchsafe audit verify` accepts the log of an honest server, and
finds whatever is altered, left out, put in or cut off, by itself and not on the server's
word; and it says how far it can tell.
"""
import base64
import copy
import os
import re
import sqlite3
import unittest

from server import Meddler, WithStore, pcr


def flipped(text, position):
    message = bytearray(base64.b64decode(text))
    message[position] ^= 1
    return base64.b64encode(message).decode()


class Audit(WithStore):
    def setUp(self):
        super().setUp()
        self.check(self.store.init(), 0)
        # Two starts: two checkpoints at the start, one at the stop between them.
        self.assertIsNone(self.store.start())
        self.done("measurement", "add", "payments@1", "--pcr", f"0={pcr('0')}", "--pcr",
                  f"1={pcr('1')}", "--pcr", f"2={pcr('2')}")
        self.assertEqual(self.store.stop(), 0)
        self.first_log = self.store.log()
        self.assertIsNone(self.store.start())
        self.done("secret", "put", "a", stdin=b"x")
        # 1 store.init, 2 serve.start, 3 measurement.add, 4 serve.stop, 5 serve.start,
        # 6 secret.put; checkpoints of 2, 4 and 5.

    def verify_through(self, change, *args):
        def on_export(_, path, answer):
            return change(copy.deepcopy(answer)) if "/audit/export" in path else answer

        meddler = Meddler(os.path.join(self.store.state, "admin.sock"), on_export)
        try:
            return self.store.run("audit", "verify", "--server", meddler.url, *args)
        finally:
            meddler.close()

    def broken(self, change, code, says, *args):
        run = self.verify_through(change, *args)
        self.check(run, 1, code, says)
        self.assertEqual(run.stdout, b"")

    def test_list(self):
        events = [r["event"] for r in self.json("audit", "list")]
        self.assertEqual(events, ["store.init", "serve.start", "measurement.add", "serve.stop",
                                  "serve.start", "secret.put"])
        record = self.json("audit", "list", "--event", "secret.put")[0]
        self.assertEqual((record["person"], record["object"]), ("ann", "a@1"))
        same = self.json("audit", "list", "--request", record["request_id"])
        self.assertEqual(same, [record])
        newest = self.json("audit", "list", "--limit", "2")
        self.assertEqual([r["sequence"] for r in newest], [5, 6])
        some = self.json("audit", "list", "--from", "2", "--limit", "2")
        self.assertEqual([r["sequence"] for r in some], [2, 3])
        self.assertIn("measurement.add", self.done("audit", "list"))
        self.refused("usage", "audit", "list", "--limit", "0", status=2)

    def test_valid(self):
        verdict = self.json("audit", "verify")
        self.assertEqual((verdict["valid"], verdict["records"], verdict["checkpoints"],
                          verdict["complete_to"]), (True, 6, 3, 5))
        text = self.done("audit", "verify")
        self.assertIn("VALID: 6 records", text)
        self.assertIn("complete up to record 5", text)

    def test_valid_through(self):
        """The meddler changes nothing by itself."""
        self.check(self.verify_through(lambda answer: answer), 0)

    def test_valid_pages(self):
        self.add_drafts("many", 510)
        self.assertEqual(self.json("audit", "verify")["records"], 516)

    def test_record_altered(self):
        def change(answer):
            # Of record 3, its last byte: the end of "added, active".
            answer["records"][2] = flipped(answer["records"][2], -1)
            return answer

        self.broken(change, "answer_not_authentic", "checkpoint 4")

    def test_record_junk(self):
        def change(answer):
            answer["records"][2] = base64.b64encode(b"\xff").decode()
            return answer

        self.broken(change, "answer_not_authentic", "record 3: ")

    def test_record_removed(self):
        def change(answer):
            del answer["records"][2]
            return answer

        self.broken(change, "answer_not_authentic", "record 3: number 4 stands here")

    def test_record_twice(self):
        def change(answer):
            answer["records"].insert(2, answer["records"][1])
            return answer

        self.broken(change, "answer_not_authentic", "record 3: number 2 stands here")

    def test_checkpoint_signature(self):
        for position in (-1, 60):
            def change(answer, position=position):
                entry = answer["checkpoints"][1]
                entry["message"] = flipped(entry["message"], position)
                return answer

            self.broken(change, "signature_invalid", "checkpoint 4")

    def test_checkpoint_of_a_stranger(self):
        def change(answer):
            entry = answer["checkpoints"][1]
            entry["message"] = flipped(entry["message"], 10)  # in the key's id
            return answer

        self.broken(change, "answer_not_authentic", "checkpoint 4: signed by a key that no pinned")

    def test_checkpoint_junk(self):
        def change(answer):
            answer["checkpoints"][1]["message"] = "AAAA"
            return answer

        self.broken(change, "answer_not_authentic", "checkpoint 4: not a checkpoint")

    def test_checkpoint_beyond(self):
        """Cut off at the end, but the checkpoint was forgotten."""
        def change(answer):
            del answer["records"][4:]
            return answer

        self.broken(change, "answer_not_authentic", "checkpoints")

    def test_cut_off(self):
        """Records and their checkpoints gone: the log is consistent, and who kept a
        checkpoint finds it out."""
        def change(answer):
            del answer["records"][4:]
            answer["checkpoints"] = [c for c in answer["checkpoints"] if c["sequence"] <= 4]
            return answer

        run = self.check(self.verify_through(change), 0)
        self.assertIn("complete up to record 4", run.stdout.decode())
        newest = self.kept(self.store.log(), 5)
        self.broken(change, "answer_not_authentic", "checkpoint is of record 5", "--expect-checkpoint",
                    newest)

    def kept(self, log, sequence):
        return re.search(rf"ev=audit\.checkpoint sequence={sequence} message=([0-9a-f]+)", log)[1]

    def test_expected(self):
        message = self.kept(self.first_log, 4)
        self.assertEqual(self.json("audit", "verify", "--expect-checkpoint", message)["expected"], 4)
        forms = (message + "\n", base64.b64encode(bytes.fromhex(message)) + b"\n",
                 bytes.fromhex(message))
        for form in forms:
            self.assertIn("it holds the expected checkpoint, of record 4",
                          self.done("audit", "verify", "--expect-checkpoint",
                                    self.store.write("kept", form)))

    def test_expected_wrong(self):
        message = bytearray.fromhex(self.kept(self.first_log, 4))
        message[-1] ^= 1
        self.refused("signature_invalid", "audit", "verify", "--expect-checkpoint", message.hex(),
                     says="expected checkpoint")
        self.refused("usage", "audit", "verify", "--expect-checkpoint",
                     self.store.write("kept", "no checkpoint"), status=2)
        self.refused("file", "audit", "verify", "--expect-checkpoint", self.store.path("none"),
                     status=3)

    def test_replaced(self):
        """Another history, signed by the same server: its checkpoints hold, and the one
        that was kept does not."""
        kept = self.kept(self.store.log(), 5)
        self.store.stop()
        database = os.path.join(self.store.state, "vouchsafe.db")
        with sqlite3.connect(database) as db:
            db.execute("DELETE FROM audit WHERE sequence > 3")
            db.execute("DELETE FROM checkpoint WHERE sequence > 3")
        db.close()
        finished = self.store.start()
        if finished is not None:  # noticed at start: as good
            self.assertEqual(finished.returncode, 3)
            return
        self.done("secret", "put", "b", stdin=b"y")
        self.done("audit", "verify")
        self.refused("answer_not_authentic", "audit", "verify", "--expect-checkpoint", kept)

    def test_delegations(self):
        def none(answer):
            answer["delegations"] = []
            return answer

        def junk(answer):
            answer["delegations"] = [flipped(answer["delegations"][0], -1)]
            return answer

        self.broken(none, "answer_not_authentic", "delegations")
        self.broken(junk, "answer_not_authentic", "delegations")

    def test_store_id(self):
        def change(answer):
            answer["store_id"] = "00" * 16
            return answer

        self.broken(change, "answer_not_authentic", "delegations")

    def test_pin(self):
        pin = self.store.write("pin", "ab" * 32)
        self.refused("answer_not_authentic", "audit", "verify", "--issuer-pin", pin, says="pinned")

    def test_endless(self):
        """A server that always promises more does not keep the auditor for ever."""
        def change(answer):
            answer["next"] = 7
            return answer

        self.broken(change, "answer_not_authentic", "sends none of it")

    def test_file_altered_while_serving(self):
        with sqlite3.connect(os.path.join(self.store.state, "vouchsafe.db")) as db:
            record, = db.execute("SELECT record FROM audit WHERE sequence = 3").fetchone()
            db.execute("UPDATE audit SET record = ? WHERE sequence = 3",
                       (record.replace(b"payments", b"pavments"),))
        db.close()
        self.refused("answer_not_authentic", "audit", "verify", says="checkpoint 4")

    def test_delegated_anew(self):
        """What was signed before is still vouched for: a delegation begins an hour back."""
        key = os.path.join(self.store.state, "issuer.key")
        self.done("issuer", "delegate", "--key", key)
        verdict = self.json("audit", "verify")
        self.assertEqual((verdict["checkpoints"], verdict["checkpoints_out_of_time"]), (3, 0))

    def test_delegated_late(self):
        """Checkpoints from before the delegation agree, but show nothing by themselves."""
        before = []
        self.verify_through(lambda answer: before.extend(answer["delegations"]) or answer)
        self.store.stop()
        self.store.shift_clock("+3h")
        self.assertIsNone(self.store.start())  # 7 serve.stop, 8 serve.start
        self.done("issuer", "delegate", "--key", os.path.join(self.store.state, "issuer.key"))
        verdict = self.json("audit", "verify")
        self.assertEqual((verdict["checkpoints"], verdict["checkpoints_out_of_time"],
                          verdict["complete_to"]), (5, 0, 8))

        def newest_only(answer):
            self.assertEqual(len(answer["delegations"]), 2)
            valid_at_start = [d for d in answer["delegations"] if d not in before]
            return {**answer, "delegations": valid_at_start}

        run = self.check(self.verify_through(newest_only), 0)
        self.assertIn("VALID: 9 records and 1 checkpoint\ncomplete up to record 8,",
                      run.stdout.decode())
        self.assertIn("any more: 4 checkpoints\n", run.stdout.decode())


if __name__ == "__main__":
    unittest.main()
