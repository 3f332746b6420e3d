"""A store of its own and `vouchsafe serve` on it, for tests of whole programs."""
import hashlib
import http.client
import http.server
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

SOURCE = os.environ.get("VOUCHSAFE_SOURCE",
                        os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
BINARY = os.environ.get("VOUCHSAFE_BIN", os.path.join(SOURCE, "build/plain/verifier/cli/vouchsafe"))
# What each program is started with in front, such as "valgrind --error-exitcode=99".
WRAP = shlex.split(os.environ.get("VOUCHSAFE_WRAP", ""))
SLOWER = 10 if WRAP else 1
FAKETIME = "/usr/$LIB/faketime/libfaketime.so.1"  # $LIB is ld.so's: where Debian has libraries
TIMEOUT_S = 60 * SLOWER
PROGRAM = [*WRAP, BINARY]


def skip_unless(condition, why):
    """As unittest has it, which meson cannot count: with CI=true the test is run, and fails."""
    return unittest.skipUnless(condition or os.environ.get("CI") == "true", why)


def clean_environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("VOUCHSAFE_")}
    return {**env, **more}


def pcr(text):
    """Some PCR value: 48 bytes that no other text gives."""
    return hashlib.sha384(text.encode()).hexdigest()


class Store:
    """A state directory and the commands on it; a server where `start` was called."""

    def __init__(self):
        # Short: a Unix socket's path has room for 107 bytes.
        self.folder = tempfile.mkdtemp(prefix="vs-", dir="/tmp")
        self.state = os.path.join(self.folder, "state")
        self.server = None
        self.ready = {}
        self.environment = {}  # for all commands
        self.log_path = os.path.join(self.folder, "log")

    def close(self):
        if self.server is not None:
            self.server.kill()
            self.server.wait()
        shutil.rmtree(self.folder)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, content):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def read(self, name):
        with open(os.path.join(self.state, name), "rb") as file:
            return file.read()

    def run(self, *args, stdin=b"", **env):
        return subprocess.run([*PROGRAM, *args], input=stdin, capture_output=True, check=False,
                              timeout=TIMEOUT_S,
                              env=clean_environment(**{"VOUCHSAFE_STATE": self.state,
                                                         **self.environment, **env}))

    def init(self, *args):
        return self.run("init", "--person", "ann", "--json", *args)

    def start(self, *args):
        """None once it is ready, else the finished process."""
        config = self.write("none.conf", "")
        with open(self.log_path, "wb") as log:
            self.server = subprocess.Popen(
                [*PROGRAM, "serve", "--config", config, "--state", self.state, "--listen",
                 "127.0.0.1:0", *args], stderr=log, stdin=subprocess.DEVNULL,
                env=clean_environment(**self.environment))
        until = time.monotonic() + TIMEOUT_S
        while time.monotonic() < until:
            line = re.search(r" ev=serve\.ready (.*)", self.log())
            if line:
                self.ready = dict(pair.split("=", 1) for pair in line[1].split())
                return None
            if self.server.poll() is not None:
                finished, self.server = self.server, None
                return finished
            time.sleep(0.02)
        raise TimeoutError(self.log())

    def stop(self, number=signal.SIGTERM):
        self.server.send_signal(number)
        status = self.server.wait(TIMEOUT_S)
        self.server = None
        return status

    def shift_clock(self, offset):
        """Lets the commands that follow see another time, such as "+3h"."""
        # The wrapper itself would not hand signals on, and fails where its number was that of a
        # process that was killed with its clock shifted.
        options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        self.environment = {"LD_PRELOAD": FAKETIME, "FAKETIME": offset, "ASAN_OPTIONS": options}

    def log(self):
        with open(self.log_path, encoding="utf-8") as file:
            return file.read()

    def public(self, method, path, body=None):
        """(status, JSON) of the listener for enclaves."""
        connection = http.client.HTTPConnection(self.ready["listen"], timeout=TIMEOUT_S)
        connection.request(method, path, body=body,
                           headers={"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=TIMEOUT_S)
        self.socket_path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self.socket_path)


class Meddler:
    """Stands between the commands and the admin socket, and changes the answers:
    `change(method, path, answer)` gets the JSON and gives what is sent instead."""

    def __init__(self, socket_path, change):
        meddler = self
        self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                connection = UnixConnection(socket_path)
                headers = {"Authorization": self.headers["Authorization"]}
                if body:
                    headers["Content-Type"] = "application/json"
                connection.request(self.command, self.path, body=body or None, headers=headers)
                answer = connection.getresponse()
                text = answer.read()
                connection.close()
                meddler.seen.append((self.command, self.path, body))
                if answer.status == 200:
                    text = json.dumps(change(self.command, self.path, json.loads(text))).encode()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = handle_one

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class WithOneServer(unittest.TestCase):
    """All tests of a class share a server, which takes as much as one address sends."""

    @classmethod
    def setUpClass(cls):
        cls.store = Store()
        cls.addClassCleanup(cls.store.close)
        assert cls.store.init().returncode == 0
        assert cls.store.start("--rate-per-s", "0", "--connections-per-address", "0") is None
        cls.token = cls.store.read("client/token").decode().strip()


class WithStore(unittest.TestCase):
    def setUp(self):
        self.store = Store()
        self.addCleanup(self.store.close)

    def check(self, run, status, code=None, says=""):
        """Exit status, and on failure one line that begins with the error's code."""
        line = run.stderr.decode()
        self.assertEqual(run.returncode, status, line)
        if status == 0:
            self.assertEqual(line, "")
        else:
            self.assertTrue(line.startswith(f"vouchsafe: {code}: "), line)
            self.assertEqual(line.count("\n"), 1)
            self.assertIn(says, line)
        return run

    def done(self, *args, **more):
        return self.check(self.store.run(*args, **more), 0).stdout.decode()

    def json(self, *args, **more):
        return json.loads(self.done(*args, "--json", **more))

    def refused(self, code, *args, status=1, says="", **more):
        run = self.check(self.store.run(*args, **more), status, code, says)
        self.assertEqual(run.stdout, b"")
        return run.stderr.decode()

    def add_drafts(self, image, count):
        """Versions 0, 1, 2, ... over one connection: a process for each would be what takes long."""
        token = self.store.read("client/token").strip().decode()
        connection = UnixConnection(self.store.ready["admin"].removeprefix("unix:"))
        for i in range(count):
            connection.request("POST", "/v1/admin/measurements", json.dumps({
                "image": image, "version": str(i), "draft": True,
                "pcrs": {str(n): pcr(f"{i} {n}") for n in range(3)}}),
                {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
            answer = connection.getresponse()
            self.assertEqual((answer.status, bool(answer.read())), (200, True))
        connection.close()

    def not_started(self, code, says, *args):
        finished = self.store.start(*args)
        self.assertIsNotNone(finished, "it serves")
        last = self.store.log().splitlines()[-1]
        self.assertTrue(last.startswith(f"vouchsafe: {code}: "), last)
        self.assertIn(says, last)
        return finished.returncode
