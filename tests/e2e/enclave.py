"""A verifier with a secret in it, emulated enclaves, and the agent inside them, for tests
of whole programs.  What takes long to make is made once and copied for each test.
"""
import os
import re
import shutil
import subprocess
import sys
import unittest

from server import SLOWER, SOURCE, TIMEOUT_S, WRAP, Store, WithStore, clean_environment

sys.path.append(os.path.join(SOURCE, "scripts/demo-story"))
from parent import Parent  # noqa: E402  pylint: disable=wrong-import-position

BUILD = os.path.join(SOURCE, "build/plain/enclave-agent")
AGENT = [*WRAP, os.environ.get("VOUCHSAFE_AGENT_BIN", os.path.join(BUILD, "vouchsafe-agent"))]
SIMULATOR = [*WRAP, os.environ.get("VOUCHSAFE_NSM_SIM_BIN",
                                   os.path.join(BUILD, "nsm-sim/vouchsafe-nsm-sim"))]

SECRET = "web/messages"
VALUE = b"first line\n\x00\xff not text\n"


def measurements(image):
    """What nitro-cli would have printed when it built that image."""
    return subprocess.run([*SIMULATOR, "--image", image, "--print-measurements"],
                          capture_output=True, check=True, timeout=TIMEOUT_S).stdout


class World:
    """The emulated hardware's root, an image, and a store that knows both: image `web`, its
    build web@1, the secret SECRET at version 1, granted to the image."""

    def __init__(self):
        self.store = Store()
        self.nitro = self.store.path("nitro")
        self.image = self.store.write("image", "the vendor's client")
        subprocess.run([*SIMULATOR, "--root-dir", self.nitro], check=True, timeout=TIMEOUT_S)
        self.root = os.path.join(self.nitro, "root.pem")
        self.do("init", "--person", "ann", "--development", "--root", self.root)
        self.issuer = os.path.join(self.store.state, "issuer.pem")
        if self.store.start() is not None:
            raise RuntimeError(self.store.log())
        self.do("measurement", "add", "web@1", "--from", "-", stdin=measurements(self.image))
        self.do("secret", "put", SECRET, stdin=VALUE)
        self.do("grant", "add", SECRET, "--image", "web")
        self.store.stop()

    def do(self, *words, **more):
        run = self.store.run(*words, **more)
        if run.returncode != 0:
            raise RuntimeError(run.stderr.decode())

    def close(self):
        self.store.close()


class Relay(Parent):
    """The demo's parent machine, with a hook: `on_release(body)` stands for the sending."""

    on_release = None

    def pass_on(self, path, body):
        if self.on_release is not None and path == "/v1/release":
            return self.on_release(body)
        return super().pass_on(path, body)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class WithEnclave(WithStore):
    """Each test has a verifier of its own; enclaves that nothing sets apart are shared."""

    world = None
    serve = True  # whether a test begins with a running server

    @classmethod
    def setUpClass(cls):
        if WithEnclave.world is None:
            WithEnclave.world = World()
            unittest.addModuleCleanup(WithEnclave.world.close)
        cls.root, cls.issuer = cls.world.root, cls.world.issuer
        cls.module = cls.enclave_for(cls.addClassCleanup, cls.world.store.path(cls.__name__))

    def setUp(self):
        super().setUp()
        shutil.copytree(self.world.store.state, self.store.state)
        self.addCleanup(self.stop_server)
        if self.serve:
            self.assertIsNone(self.store.start())

    def stop_server(self):
        """In good order, so that a build that looks for leaks finds them."""
        if self.store.server is not None:
            self.assertEqual(self.store.stop(), 0, self.store.log())

    @classmethod
    def enclave_for(cls, add_cleanup, path, *options, root_dir=None, **env):
        """An emulated enclave; gives the address of its security module."""
        process = subprocess.Popen(
            [*SIMULATOR, "--socket", path, "--root-dir", root_dir or cls.world.nitro,
             *([] if "--image" in options else ["--image", cls.world.image]), *options],
            stderr=subprocess.PIPE, env=clean_environment(**env))
        add_cleanup(cls.end, process)
        line = process.stderr.readline()  # blocks until it serves, or ends
        if b"nsm_sim.ready" not in line:
            raise RuntimeError(line.decode())
        return f"unix:{path}"

    @staticmethod
    def end(process):
        process.terminate()
        said = process.communicate(timeout=TIMEOUT_S)[1]
        if process.returncode != 0:  # such as a leak, where the build looks for them
            raise RuntimeError(f"the simulator ended with {process.returncode}: {said.decode()}")

    def enclave(self, name, *options, **more):
        return self.enclave_for(self.addCleanup, self.store.path(name), *options, **more)

    def relay(self):
        """Between the agents and this test's server."""
        relay = Relay(int(self.store.ready["listen"].rpartition(":")[2]))
        self.addCleanup(relay.close)
        return relay

    # ---- the agent ----

    def agent(self, command, *words, module=None, verifier=None, issuer=None, root=None,
              timeout_s=20):
        return subprocess.run(
            [*AGENT, command, "--verifier", verifier or f"http://{self.store.ready['listen']}",
             "--issuer", issuer or self.issuer, "--nsm", module or self.module,
             "--root", root or self.root, "--timeout", str(timeout_s * SLOWER), *words],
            capture_output=True, check=False, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL,
            env=clean_environment())

    def fetch(self, name=SECRET, *words, **more):
        return self.agent("fetch", "--out", "-", *words, name, **more)

    def granted(self, run, value=VALUE):
        self.assertEqual(run.returncode, 0, run.stderr.decode())
        self.assertEqual(run.stdout, value)
        return run.stderr.decode()

    def denied(self, run, code, status=1):
        """Refused by the verifier with that code, or not believed by the agent; and nothing
        on standard output."""
        text = run.stderr.decode()
        found = (re.search(r"^  error code: ([a-z0-9_]+)$", text, re.M)
                 or re.search(r"^vouchsafe-agent: (?!warning)([a-z0-9_]+): ", text, re.M))
        self.assertIsNotNone(found, text)
        self.assertEqual((run.returncode, found[1]), (status, code), text)
        self.assertEqual(run.stdout, b"")
        return text

    def reasons(self, run):
        """Of a refusal by the policy: what only the audit log says, by secret."""
        self.denied(run, "refused", run.returncode)
        found = re.search(r"refused \(request ([0-9A-Z]+)\): ", run.stderr.decode(), re.M)
        records = self.json("audit", "list", "--request", found[1])
        self.assertEqual([(r["event"], r["code"]) for r in records],
                         [("release.refused", "refused")])
        return [item["reason"] for item in records[0]["secrets"]]

    def refused_for(self, reason, run):
        self.assertEqual(self.reasons(run), [reason])

    def records(self, event):
        return self.json("audit", "list", "--event", event, "--limit", "1000")
