#!/usr/bin/env python3
"""Goal of this test: JSONTestSuite's texts (json-parsing in $VOUCHSAFE_SHARED/vectors) as bodies of
every POST route, and as values in otherwise good requests: always an exact refusal, or read as
what they say; never an answer of 5xx, nothing changed by a refusal.
"""
import http.client
import json
import os
import subprocess
import unittest

import vectors
from server import TIMEOUT_S, UnixConnection, WithOneServer, pcr

ROUTES_BIN = os.environ.get("VOUCHSAFE_ROUTES_BIN", os.path.join(
    vectors.SOURCE, "build/plain/tests/unit/print_front_routes"))
PROBLEM = {"type", "title", "status", "detail", "code", "request_id", "retryable"}


def no_duplicates(pairs):
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a member twice")
    return dict(pairs)


def no_constant(name):
    raise ValueError(name + " is no JSON")


def meaning(text):
    """(True, value) as RFC 8259 and PROTOCOL section 1 have it, else (False, None)."""
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=no_duplicates,
                           parse_constant=no_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # no half of a surrogate pair
        return True, value
    except (UnicodeError, ValueError, RecursionError):
        return False, None


def texts(content):
    """The whole, and what stands in its brackets."""
    yield content
    inner = content.strip()
    if inner[:1] == b"[" and inner[-1:] == b"]":
        yield inner[1:-1]


class JsonBodies(WithOneServer):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = vectors.Judge("json_bodies:bodies").files
        cls.routes = [r for r in json.loads(subprocess.run(
            [ROUTES_BIN], capture_output=True, check=True).stdout) if r["method"] == "POST"]

    def setUp(self):
        self.admin = UnixConnection(self.store.ready["admin"])
        self.addCleanup(self.admin.close)
        self.open = http.client.HTTPConnection(self.store.ready["listen"], timeout=TIMEOUT_S)
        self.addCleanup(self.open.close)

    def ask(self, connection, method, path, body=None):
        """(status, JSON); by a kept connection where the server keeps it."""
        headers = {"Authorization": "Bearer " + self.token}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        value = json.loads(text)
        if answer.status >= 400:
            self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
            self.assertLessEqual(PROBLEM, set(value))
            self.assertEqual(value["status"], answer.status)
        return answer.status, value

    def state(self):
        return [self.ask(self.admin, "GET", "/v1/admin/" + what)[1] for what in (
            "images", "measurements", "secrets", "grants", "audit", "receipt-key")]

    def test_bodies(self):
        before = self.state()
        asked = 0
        for file in self.files:
            content = vectors.read(file)
            for route in self.routes:
                connection = self.open if route["public"] else self.admin
                status, problem = self.ask(connection, "POST", route["path"], content)
                with self.subTest(file=file, route=route["path"]):
                    self.check_refusal(file, content, route, status, problem)
                asked += 1
        self.assertEqual(self.state(), before)
        print(f"json_bodies:bodies: {asked} requests, {len(self.files)} files to "
              f"{len(self.routes)} routes")

    def check_refusal(self, file, content, route, status, problem):
        """No file is a request of ours, whoever reads it."""
        if len(content) > route["body_max"] > 0:
            self.assertEqual((status, problem["code"]), (413, "too_large"))
            return
        if route["body_max"] == 0 and content == b"" and route["path"] == "/v1/challenge":
            self.assertEqual(status, 200)  # no body at all: a challenge, as anybody gets
            return
        self.assertEqual(status, 400, problem)
        self.assertIn(problem["code"], ("malformed", "unknown_member"))
        is_json, value = meaning(content)
        if route["body_max"] == 0:
            self.assertIn("takes no body", problem["detail"])
        elif os.path.basename(file)[:2] == "n_" or not is_json or not isinstance(value, dict):
            # Not JSON, or no object: the place in the text.
            self.assertEqual(problem["code"], "malformed")
            if content:
                self.assertIn("offset", problem)
                self.assertLessEqual(problem["offset"], len(content))
        else:
            # A good object with members that are none of ours, or without those that are.
            self.assertTrue(problem.get("field") or "offset" in problem, problem)

    def judge_value(self, file, text, path, body, shown):
        """True where it was taken: then it is shown as what `text` says."""
        status, answer = self.ask(self.admin, "POST", path, body)
        self.assertIn(status, (200, 400), (file, text[:60], answer))
        if status != 200:
            return False
        is_json, value = meaning(text)
        self.assertTrue(is_json, (file, text[:60]))
        self.assertEqual((type(value), value), (type(shown(answer)), shown(answer)),
                         (file, text[:60]))
        return True

    def measurement(self, name, member, text):
        """A good one, but for the text where a member's value goes."""
        pcrs = {str(i): pcr(f"{name}{i}") for i in range(3)}
        return json.dumps({"image": name, "version": "1", "draft": True, "pcrs": pcrs,
                           **member}).encode().replace(b'"@"', text)

    def test_values(self):
        """A label of a measurement, words about it, the quota of a grant."""
        for command in (("secret", "put", "s"),
                        ("measurement", "add", "any@1", "--pcr", "0=" + pcr("0"), "--pcr",
                         "1=" + pcr("1"), "--pcr", "2=" + pcr("2"))):
            run = self.store.run(*command, stdin=b"value")
            self.assertEqual(run.returncode, 0, run.stderr)
        tried = 0
        taken = {"label": 0, "provenance": 0, "quota": 0}
        for file in self.files:
            for text in texts(vectors.read(file)):
                path = "/v1/admin/measurements"
                taken["label"] += self.judge_value(
                    file, text, path, self.measurement(f"l{tried}", {"labels": {"k": "@"}}, text),
                    lambda a: a["measurement"]["labels"]["k"])
                taken["provenance"] += self.judge_value(
                    file, text, path, self.measurement(f"p{tried}", {"provenance": "@"}, text),
                    lambda a: a["measurement"]["provenance"])
                taken["quota"] += self.judge_value(
                    file, text, "/v1/admin/grants",
                    b'{"secret":"s","image":"any","quota":' + text + b"}",
                    lambda a: a["grant"]["quota"])
                tried += 3
        self.assertTrue(all(taken.values()), taken)
        print(f"json_bodies:values: {tried} requests, of which were taken: {taken}")

    def tearDown(self):
        self.assertIsNone(self.store.server.poll())
        self.assertEqual(self.store.public("GET", "/v1/health"), (200, {"status": "ok"}))


if __name__ == "__main__":
    vectors.demand()
    unittest.main()
