#!/usr/bin/env python3
"""Goal of this test: libvouchsafe-agent, installed and found by pkg-config as a stranger finds
it, gives a program its secret, tells each failure apart, shows no names but its own, and leaves
the process as it was.
"""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

from enclave import SECRET, VALUE, WithEnclave
from server import SOURCE, TIMEOUT_S, clean_environment

BUILD = os.environ["VOUCHSAFE_BUILD"]
PEER = os.environ["VOUCHSAFE_AGENT_PEER_BIN"]
PROBE = os.environ["VOUCHSAFE_LIBRARY_PROBE_BIN"]
EXAMPLE = "docs/examples/c/release.c"
HEADER = "enclave-agent/library/vouchsafe-agent.h"
REFUSED, UNREACHABLE, NSM, USAGE, MACHINE = 11, 12, 14, 15, 16


CC = os.environ.get("CC", "cc")
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def read(name):
    with open(os.path.join(SOURCE, name), encoding="ascii") as file:
        return file.read()


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
        cls.environment = clean_environment(
            PKG_CONFIG_PATH=os.path.dirname(cls.only("vouchsafe-agent.pc")),
            PKG_CONFIG_SYSROOT_DIR=cls.dir)
        # As it says itself; `cc` is the compiler of this build.
        line = re.search(r"^ \*     cc (release\.c .* -o release)$", read(EXAMPLE), re.M)[1]
        shutil.copy(os.path.join(SOURCE, EXAMPLE), cls.dir)
        output("sh", "-ec", f"{CC} {line}", cwd=cls.dir, env=cls.environment)
        cls.program = os.path.join(cls.dir, "release")

    @classmethod
    def pkg_config(cls, *words):
        return output("pkg-config", *words, "vouchsafe-agent", env=cls.environment).strip()

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
        self.fails(REFUSED, r"\nrelease: refused: the policy .*\nrelease: ask the verifier's admin to run "
                            r"'vouchsafe explain [0-9A-Z]{16}'\n$", run)
        request = re.search("explain ([0-9A-Z]+)", run.stderr.decode())[1]
        records = self.json("audit", "list", "--request", request)
        self.assertEqual([r["event"] for r in records], ["release.refused"])

    def test_debug(self):
        """Said before the verifier is asked."""
        run = self.example(self.config(nsm=self.enclave("debug", "--debug")))
        self.fails(REFUSED, r"\Arelease: this enclave runs in debug mode: .*\n(release: warning: .*\n)?"
                            r"release: [a-z_]+: ", run)

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
        self.assertEqual(self.probe("threads", self.config(), "plain", value), [])

    def probe(self, mode, *words, stdin=b""):
        """What it printed.  The library itself says nothing on any descriptor."""
        run = subprocess.run([PROBE, mode, *words], input=stdin, capture_output=True, check=False,
                             timeout=TIMEOUT_S, env=clean_environment())
        self.assertEqual((run.returncode, run.stderr), (0, b""), run.stdout)
        return run.stdout.decode().splitlines()

    def test_fork(self):
        """A child inherits secrets, but not that their memory is locked."""
        before, child, parent = self.probe("fork", self.config(), SECRET)
        self.assertEqual((before, parent), ("version 1", "version 1"))
        self.assertRegex(child, "^6: wrong_state: the memory for secrets was locked before a fork, ")

    def test_cancelled(self):
        """Not before the release has come to its end, and has wiped what it had."""
        path = self.store.path("silent")
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(path)
            silent.listen()
            told, = self.probe("cancel", self.config(verifier=f"unix:{path}", timeout="1"), SECRET)
        self.assertRegex(told, "^2: unreachable: no decision within 1 s; .* is slow or silent: see "
                               "its log, or give more --timeout [|] $")

    def test_full_memory(self):
        """As where earlier secrets fill it; here the program's own is too small."""
        self.done("secret", "put", "large", stdin=b"x" * 32768)
        self.done("grant", "add", "large", "--image", "web")
        told, = self.probe("heap", self.config(), "large")
        self.assertEqual(told, "6: no_memory: secrets: no memory to check the answer | free the "
                               "secrets of earlier releases that are not needed any more: all of "
                               "a process share one locked memory")
        self.assertEqual(self.probe("heap", self.config(), SECRET), ["version 1"])

    def test_deprecated(self):
        self.done("measurement", "deprecate", "web@1")
        run = self.example(self.config())
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn(f"release: warning: only a deprecated measurement granted {SECRET}: this "
                      "build will be refused one day\n", run.stderr.decode())

    def test_never_older(self):
        """A store that was put back to a copy of before: each release reads the file again."""
        self.done("secret", "put", SECRET, stdin=b"newer")
        config = self.config()
        with subprocess.Popen([PROBE, "lines", config, SECRET], stdin=subprocess.PIPE,
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
                release(), "3: answer_not_authentic: secrets[0]: version 1 of web/messages is older "
                           "than version 2, which this process has held | this is not what was "
                           "asked for, or older than it may be, or damaged; nothing of it was used. "
                           "'vouchsafe secret list' has the versions that the verifier holds; where "
                           "they are right, somebody on the way changed the answer")
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
            first, second = self.probe(
                "lines", self.config(verifier=f"unix:{sock}", issuer=issuer), "x", stdin=b"\n\n")
            peer.kill()
        self.assertEqual(first, "version 7")
        self.assertRegex(second, r"^3: answer_not_authentic: delegation: .*it is for the store 0202.*, "
                                 r"pinned is 0102.* \| it speaks for another store, or only claims to "
                                 r"be yours: compare --issuer and --store of this image with ")

    def test_names(self):
        """Only its own, each with the version of the interface."""
        names = [line.split()[-1] for line in
                 output("nm", "-D", "--defined-only", self.shared_object).splitlines()]
        strange = [name for name in names if name != "VOUCHSAFE_AGENT_0" and not re.fullmatch(
            "vouchsafe_agent_[a-z_]+@@VOUCHSAFE_AGENT_0", name)]
        self.assertEqual(strange, [])
        header = read(HEADER)
        declared = re.findall(r"^(?!typedef)[a-z][\w *]*?\b(vouchsafe_agent_\w+)\(", header, re.M)
        self.assertEqual(sorted(name.split("@")[0] for name in names if "@@" in name),
                         sorted(declared))
        dynamic = output("readelf", "-d", self.shared_object)
        self.assertIn("[libvouchsafe-agent.so.0]", dynamic)
        self.assertNotRegex(dynamic, "R(UN)?PATH")
        # What an image needs besides, as the page says.
        self.assertEqual({re.split(r"[-.]", name)[0] for name in
                          re.findall(r"NEEDED.*\[(.*)\]", dynamic)},
                         {"libcbor", "libcrypto", "libjansson", "libssl", "libc"})

    def test_versions(self):
        version = self.pkg_config("--modversion")
        self.assertTrue(os.path.exists(f"{self.shared_object[:-2]}.{version}"))
        self.assertIn(f"version: '{version}'", read("meson.build"))

    def test_header(self):
        """Others' C and C++, and the program that stands in it."""
        header = read(HEADER)
        sample = re.search(r"^ \*     struct.*?^ \*$", header, re.M | re.S)[0]
        program = self.store.write("sample.c", "\n".join([
            "#include <vouchsafe-agent.h>", "#include <stdio.h>",
            "static void use(const void *key, size_t len) { (void)key; (void)len; }",
            "int main(void) {", *(line[3:] for line in sample.splitlines()), "}"]))
        linked = ["-xnone", *self.pkg_config("--cflags", "--libs").split(), "-o", f"{program}.out"]
        for language in ("-xc", "-std=c99"), ("-xc++", "-std=c++11"):
            output(CC, *language, *STRICT, program, *linked)
        output(CC, "-std=c99", "-D_DEFAULT_SOURCE", *STRICT, "-fsyntax-only",
               os.path.join(SOURCE, EXAMPLE), self.pkg_config("--cflags"))


if __name__ == "__main__":
    unittest.main()
