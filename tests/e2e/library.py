#!/usr/bin/env python3
"""Goal of this test: libvouchsafe-agent, installed and found by pkg-config as a stranger finds
it, gives a program its secret, tells each failure apart, shows no names but its own, and leaves
the process as it was.
"""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from enclave import SECRET, VALUE, WithEnclave
from server import SOURCE, TIMEOUT_S, clean_environment

BUILD = os.environ["VOUCHSAFE_BUILD"]
PEER = os.environ["VOUCHSAFE_AGENT_PEER_BIN"]
PROBE = os.environ["VOUCHSAFE_LIBRARY_PROBE_BIN"]
REFUSED, UNREACHABLE, NSM, USAGE, MACHINE = 11, 12, 14, 15, 16


def output(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, **more).stdout


class Library(WithEnclave):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dir = tempfile.mkdtemp(prefix="vs-library-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        output("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--tags",
               "runtime,devel", "--destdir", cls.dir)
        cls.shared_object = cls.only("libvouchsafe-agent.so.0")
        environment = clean_environment(
            PKG_CONFIG_PATH=os.path.dirname(cls.only("vouchsafe-agent.pc")),
            PKG_CONFIG_SYSROOT_DIR=cls.dir)
        cls.flags = output("pkg-config", "--cflags", "--libs", "vouchsafe-agent",
                           env=environment).split()
        cls.program = os.path.join(cls.dir, "release")
        output(os.environ.get("CC", "cc"), "-std=c99", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra",
               "-Wpedantic", "-Werror", os.path.join(SOURCE, "docs/examples/c/release.c"),
               *cls.flags, "-o", cls.program)

    @classmethod
    def only(cls, name):
        found = [os.path.join(folder, name) for folder, _, files in os.walk(cls.dir)
                 if name in files]
        if len(found) != 1:
            raise RuntimeError(f"{name}: installed as {found}")
        return found[0]

    def config(self, **changed):
        settings = {"verifier": f"http://{self.store.ready['listen']}", "issuer": self.issuer,
                    "nsm": self.module, "root": self.root, "timeout": "20",
                    "dir": "/of/another/command", **changed}
        return self.store.write("conf", "".join(
            f"{k} = {v}\n" for k, v in settings.items() if v is not None))

    def example(self, config, name=SECRET, guess=VALUE, under=()):
        return subprocess.run(
            [*under, self.program, config, name], input=guess, capture_output=True, check=False,
            timeout=TIMEOUT_S,
            env=clean_environment(LD_LIBRARY_PATH=os.path.dirname(self.shared_object)))

    def fails(self, status, says, run):
        self.assertEqual(run.returncode, status, run.stderr)
        self.assertRegex(run.stderr.decode(), says)
        self.assertEqual(run.stdout, b"")

    def test_release(self):
        run = self.example(self.config())
        self.assertEqual((run.returncode, run.stdout.decode()),
                         (0, f"{SECRET} version 1: the same\n"), run.stderr)
        self.assertRegex(run.stderr, rb"\Arelease: warning: this agent trusts a root that is not "
                                     rb"AWS's: [0-9a-f]{64}\n"
                                     rb"release: received web/messages version 1\n\Z")
        for guess in (VALUE[:-1], VALUE + b"\n", b"", bytes([VALUE[0] ^ 1]) + VALUE[1:]):
            self.assertEqual(self.example(self.config(), guess=guess).returncode, 1)

    def test_refused(self):
        self.done("secret", "put", "other", stdin=b"x")
        run = self.example(self.config(), "other")
        self.fails(REFUSED, r"release: refused: the policy .*; ask the verifier's admin to run 'vouchsafe "
                            r"explain [0-9A-Z]{16}'\n$", run)
        request = re.search("explain ([0-9A-Z]+)", run.stderr.decode())[1]
        records = self.json("audit", "list", "--request", request)
        self.assertEqual([r["event"] for r in records], ["release.refused"])

    def test_not_reached(self):
        run = self.example(self.config(verifier="http://127.0.0.1:1", timeout="1"))
        self.fails(UNREACHABLE, "release: unreachable: no decision within 1 s", run)

    def test_no_module(self):
        self.fails(NSM, "release: nsm", self.example(self.config(nsm="unix:/none")))

    def test_settings(self):
        for says, changed in (("usage: --issuer FILE is needed", {"issuer": None}),
                              ("file", {"issuer": "/none"}),
                              ("usage: .*unknown format", {"format": "rot13"})):
            self.fails(USAGE, says, self.example(self.config(**changed)))
        self.fails(USAGE, "release: usage: .*a version is 1 to", self.example(
            self.config(), SECRET + "@0"))

    def test_no_locked_memory(self):
        """Not even root has it then."""
        under = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", "prlimit",
                 "--memlock=65536", "--"] if os.geteuid() == 0 else ["prlimit", "--memlock=65536"]
        self.fails(MACHINE, "4096 KiB of memory could not be locked; raise the limit",
                   self.example(self.config(), under=under))

    def test_threads_and_process(self):
        value = "not a text of VALUE's kind"
        self.done("secret", "put", "plain", stdin=value.encode())
        self.done("grant", "add", "plain", "--image", "web")
        run = subprocess.run([PROBE, self.config(), "plain", value], capture_output=True,
                             check=False, timeout=TIMEOUT_S, env=clean_environment())
        self.assertEqual((run.returncode, run.stdout), (0, b""), run.stderr)

    def test_never_older(self):
        """A store that was put back to a copy of before: each release reads the file again."""
        self.done("secret", "put", SECRET, stdin=b"newer")
        config = self.config()
        with subprocess.Popen([PROBE, config, SECRET], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              env=clean_environment()) as probe:
            def release():
                probe.stdin.write(b"\n")
                probe.stdin.flush()
                return probe.stdout.readline().decode().strip()

            self.assertEqual(release(), "version 2")
            self.stop_server()
            shutil.rmtree(self.store.state)
            shutil.copytree(self.world.store.state, self.store.state)
            self.assertIsNone(self.store.start())
            self.config()
            self.assertEqual(
                release(), "answer_not_authentic: secrets[0]: version 1 of web/messages is older "
                           "than version 2, which this process has held")
            probe.stdin.close()
            self.assertEqual(probe.wait(TIMEOUT_S), 0)

    def test_never_another_store(self):
        """Of the same issuer, unless a setting says which."""
        folder = tempfile.mkdtemp(prefix="vs-stores-")
        self.addCleanup(shutil.rmtree, folder)
        sock, issuer = os.path.join(folder, "sock"), os.path.join(folder, "issuer")
        with subprocess.Popen([PEER, sock, issuer, "other-store"], stderr=subprocess.PIPE) as peer:
            self.addCleanup(peer.kill)
            self.assertEqual(peer.stderr.readline(), b"agent_peer: ready\n")
            run = subprocess.run([PROBE, self.config(verifier=f"unix:{sock}", issuer=issuer), "x"],
                                 input=b"\n\n", capture_output=True, check=False,
                                 timeout=TIMEOUT_S, env=clean_environment())
            peer.kill()
        first, second = run.stdout.decode().splitlines()
        self.assertEqual(first, "version 7")
        self.assertRegex(second, "answer_not_authentic: delegation: .*it is for the store 0202.*, "
                                 "pinned is 0102")

    def test_names(self):
        """Only its own, each with the version of the interface."""
        names = [line.split()[-1] for line in
                 output("nm", "-D", "--defined-only", self.shared_object).splitlines()]
        strange = [name for name in names if name != "VOUCHSAFE_AGENT_0" and not re.fullmatch(
            "vouchsafe_agent_[a-z_]+@@VOUCHSAFE_AGENT_0", name)]
        self.assertEqual(strange, [])
        with open(os.path.join(SOURCE, "enclave-agent/library/vouchsafe-agent.h"),
                  encoding="ascii") as file:
            declared = re.findall(r"^(?!typedef)[a-z][\w *]*?\b(vouchsafe_agent_\w+)\(", file.read(), re.M)
        self.assertEqual(sorted(name.split("@")[0] for name in names if "@@" in name),
                         sorted(declared))
        dynamic = output("readelf", "-d", self.shared_object)
        self.assertIn("[libvouchsafe-agent.so.0]", dynamic)
        self.assertNotRegex(dynamic, "R(UN)?PATH")


if __name__ == "__main__":
    unittest.main()
