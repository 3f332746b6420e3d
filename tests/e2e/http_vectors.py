#!/usr/bin/env python3
"""Goal of this test: llhttp's raw requests (http-requests in $VOUCHSAFE_SHARED/vectors) neither
crash the server nor hold it, and never make it take for a request what is not one.

Each file goes to both listeners as it is, and once more with the target, the host and the rights
of a request of ours, so that the framing decides and not the path. Then with a request behind it
or in the place of its body that would register a measurement: where llhttp refuses the file, or
counts those bytes to its body, nothing may be registered. Where libmicrohttpd judges differently
tests/vectors/verdicts.tsv says so.
"""
import json
import re
import socket
import threading
import time
import unittest

import vectors
from server import TIMEOUT_S, UnixConnection, WithOneServer, pcr

ANSWER_S = 5  # for what is whole, or whose sender has closed
STALLED_S = 45  # the server's longest timeout but that for idle connections, and some
INDEX = "http-requests/index.json"
LINE = re.compile(rb"^((?:\r\n)?)[A-Z]+ \S+ (HTTP/1\.[01]\r\n)")
HOST = re.compile(rb"^host:", re.I | re.M)
FRAMING = re.compile(rb"^(content-length|transfer-encoding)", re.I | re.M)


def receive(connection):
    """Until the end, or TimeoutError."""
    text = b""
    try:
        while piece := connection.recv(65536):
            text += piece
    except ConnectionResetError:  # closed with bytes of ours unread
        pass
    return text


def answers(text):
    """What each answer says: our code, or `html STATUS` for libmicrohttpd's own."""
    found = []
    for part in re.split(rb"(?=HTTP/1\.[01] [0-9]{3} )", text):
        status = re.match(rb"HTTP/1\.[01] ([0-9]{3}) ", part)
        if not status:
            continue
        body = part.partition(b"\r\n\r\n")[2]
        if b"problem+json" in part:
            found.append(json.loads(body)["code"])
        elif body.startswith(b"<html>"):
            found.append(f"html {status[1].decode()}")
        elif status[1] == b"200":
            found.append("ok")
        # else: the head that libmicrohttpd 0.9.75 sends twice
        if status[1][:1] == b"5" and status[1] != b"505":
            found.append(f"status {status[1].decode()}")
    return found


class HttpVectors(WithOneServer):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bearer = f"Authorization: Bearer {cls.token}\r\n".encode()
        cls.index = {"http-requests/" + entry["file"]: entry
                     for entry in json.loads(vectors.read(INDEX))}
        cls.names = set()

    def connect(self, listener):
        if listener == "admin":
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(self.store.ready["admin"].removeprefix("unix:"))
        else:
            host, port = self.store.ready["listen"].rsplit(":", 1)
            connection = socket.create_connection((host, int(port)))
        return connection

    def send(self, listener, request):
        """All of it, then no more; what came back until the server closed."""
        with self.connect(listener) as connection:
            connection.settimeout(ANSWER_S)
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError, OSError):
                pass  # refused before all was sent
            return answers(receive(connection))

    def registered(self):
        connection = UnixConnection(self.store.ready["admin"].removeprefix("unix:"))
        connection.request("GET", "/v1/admin/measurements?limit=1000",
                           headers={"Authorization": "Bearer " + self.token})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        self.assertEqual(answer.status, 200, text)
        return {m["version"] for m in json.loads(text)["measurements"]}

    def like_ours(self, listener, raw):
        """None where the request line is what the case is about."""
        line = LINE.match(raw)
        if not line:
            return None
        if not FRAMING.search(raw):
            first = b"GET /v1/health "
        elif listener == "public":
            first = b"POST /v1/release "
        else:
            first = b"POST /v1/admin/measurements "
        rest = re.sub(rb"(?im)^content-type:.*\n", b"", raw[line.end():])
        more = b"Content-Type: application/json\r\n" + self.bearer
        if not HOST.search(raw):
            more += b"Host: localhost\r\n"
        return line[1] + first + line[2] + more + rest

    def smuggled(self, version):
        body = json.dumps({"image": "smuggled", "version": version, "draft": True,
                           "pcrs": {str(i): pcr(f"{version}{i}") for i in range(3)}}).encode()
        return (b"POST /v1/admin/measurements HTTP/1.1\r\nHost: localhost\r\n" + self.bearer
                + b"Content-Type: application/json\r\nContent-Length: "
                + str(len(body)).encode() + b"\r\n\r\n" + body)

    def still_serves(self):
        self.assertEqual(self.store.public("GET", "/v1/health"), (200, {"status": "ok"}))
        self.assertIsNone(self.store.server.poll())

    def test_every_file_is_indexed(self):
        self.assertEqual(set(self.index), set(vectors.Judge("http_vectors:verdicts").files))

    def test_verdicts(self):
        """Taken, with whatever answer the route has for it, or refused for its form."""
        judge = vectors.Judge("http_vectors:verdicts")
        for file in judge.files:
            raw = vectors.read(file)
            hostless = b"HTTP/1.1\r\n" in raw and not HOST.search(raw)
            for listener in ("public", "admin"):
                self.judge_form(judge, file, f"as it is, {listener}" + ", no Host" * hostless,
                                self.send(listener, raw))
                ours = self.like_ours(listener, raw)
                if ours is not None:
                    self.judge_form(judge, file, "like ours, " + listener,
                                    self.send(listener, ours))
        self.still_serves()
        wrong = judge.end()
        self.assertFalse(wrong, "\n".join(wrong))

    def judge_form(self, judge, file, case, got):
        self.assertFalse([a for a in got if a.startswith("status 5")], (file, case, got))
        # As many answers as llhttp sees messages, and one for what follows them.
        self.assertLessEqual(len(got), self.index[file]["messages_complete"] + 1, (file, case, got))
        first = got[0] if got else "closed"
        refused = first in ("http_malformed", "closed") or first.startswith("html ")
        if self.index[file]["llhttp"] == "ok":
            judge.judge(file, case, "valid", "taken", first if refused else "taken")
        else:
            judge.judge(file, case, "invalid", "refused", "refused" if refused else "taken")

    def test_nothing_is_smuggled(self):
        judge = vectors.Judge("http_vectors:smuggling")
        for number, file in enumerate(judge.files):
            raw = self.like_ours("admin", vectors.read(file)) or vectors.read(file)
            head, blank, body = raw.partition(b"\r\n\r\n")
            self.smuggle(judge, file, "behind", f"{number}.behind", lambda s, r=raw: r + s)
            if body and FRAMING.search(head):
                self.smuggle(judge, file, "as its body", f"{number}.body",
                             lambda s, h=head + blank: h + s)
        self.still_serves()
        wrong = judge.end()
        self.assertFalse(wrong, "\n".join(wrong))

    def smuggle(self, judge, file, case, version, request):
        self.send("admin", request(self.smuggled(version)))
        done = version in self.registered()
        entry = self.index[file]
        # Behind a whole request that llhttp takes, it is simply the next request.
        if case == "behind" and entry["llhttp"] == "ok" and entry["messages_complete"] > 0:
            judge.seen.add(file)
            return
        judge.judge(file, case, "invalid", "nothing", "registered" if done else "nothing")

    def test_the_next_request_is_served(self):
        """That what is smuggled would be registered if it were taken for a request."""
        self.send("admin", b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
                  + self.smuggled("plain"))
        self.assertIn("plain", self.registered())

    def test_stalled(self):
        """Nobody closes: the server does, once the time for a head or a body is over."""
        held = {}

        def hold(file):
            with self.connect("public") as connection:
                connection.settimeout(STALLED_S)
                connection.sendall(self.like_ours("public", vectors.read(file))
                                   or vectors.read(file))
                begin = time.monotonic()
                try:
                    first = connection.recv(65536)
                    if first:  # an answer: its connection may be kept a while
                        held[file] = 0
                        return
                except ConnectionResetError:
                    pass
                except TimeoutError:
                    begin = 0
                held[file] = time.monotonic() - begin

        threads = [threading.Thread(target=hold, args=(file,)) for file in self.index]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT_S)
        self.assertEqual(set(held), set(self.index))
        self.assertEqual({}, {file: s for file, s in held.items() if s > STALLED_S})
        self.still_serves()


if __name__ == "__main__":
    vectors.demand()
    unittest.main()
