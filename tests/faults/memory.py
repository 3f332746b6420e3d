#!/usr/bin/env python3
"""Goal of this test: after a release the secret is nowhere in the memory of the verifier, in
any format; in the agent it is in locked memory while it is on its way, and nowhere once it
is delivered.  The same for what protects it: the master key, and the administrator's token.
The search proves itself on a program that keeps what it was given.
"""
import collections
import os
import signal
import subprocess
import sys
import time
import unittest

import injector
from injector import ALLOC, FILE, NAMES, OPENSSL, SQLITE, SYSTEM, Injector, Memory, places

sys.path.append(os.path.join(injector.SOURCE, "tests/e2e"))
from enclave import AGENT, VALUE, WithEnclave  # noqa: E402  pylint: disable=wrong-import-position
from server import BINARY, TIMEOUT_S, clean_environment, skip_unless  # noqa: E402  pylint: disable=wrong-import-position

FORMATS = ("hpke-x25519", "hpke-p256", "hpke-p384", "rsa-oaep-256")
SIZES = (48, 1000, 65536)


def may_look():
    """Whether this process may look into one that is not dumpable: CAP_SYS_PTRACE."""
    with open("/proc/self/status", encoding="ascii") as file:
        (mask,) = [line.split()[1] for line in file if line.startswith("CapEff:")]
    return int(mask, 16) >> 19 & 1 == 1


def is_stopped(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


@skip_unless(may_look(), "only root may read another process's memory")
class Scans(WithEnclave):
    def nowhere(self, pid, values, what, arena=False):
        """No part of any of them, or (`arena`) in locked memory alone."""
        found = Memory(pid).find(*values)
        if arena:
            found = {place for place in found if not place[1]}
        self.assertEqual(found, set(), what)

    def put(self, name, value):
        self.done("secret", "put", name, stdin=value)
        self.done("grant", "add", name, "--image", "web")


class Verifier(Scans):
    def keys(self):
        return [self.store.read("master.key"),
                bytes.fromhex(self.store.read("client/token").decode().strip())]

    def test_after_releases(self):
        values = [VALUE * 4]
        for number, size in enumerate(SIZES):
            values.append(os.urandom(size))
            self.put(f"random/{number}", values[-1])
        pid = self.store.server.pid
        self.nowhere(pid, values, "after the puts")
        for form in FORMATS:
            for number, value in enumerate(values[1:]):
                run = self.fetch(f"random/{number}", "--format", form)
                self.granted(run, value)
                self.nowhere(pid, values[1:], f"after a release by {form}")
        self.nowhere(pid, self.keys(), "master key and token")

    def test_token_as_it_is_sent(self):
        """Sixty-four digits in a header, which libmicrohttpd reads into its own memory."""
        token = self.store.read("client/token").strip()
        for _ in range(3):
            self.done("secret", "list")
        self.nowhere(self.store.server.pid, [token], "the token's digits")

    def test_after_failed_releases(self):
        """Wherever a release breaks off."""
        self.store.stop()
        control = Injector(self.store.path("control"))
        self.store.environment = control.environment()
        self.assertIsNone(self.store.start())
        self.store.environment = {}
        value = os.urandom(4096)
        self.put("random/0", value)
        pid = self.store.server.pid
        failed = collections.Counter()
        for classes, wanted in ((OPENSSL, 20), (SQLITE, 8), (FILE, 6), (ALLOC, 15), (SYSTEM, 4)):
            control.arm(classes)
            self.granted(self.fetch("random/0"), value)
            calls, _ = control.disarm()
            for at in places(calls, wanted):
                control.arm(classes, at=at)
                self.fetch("random/0", timeout_s=1)
                failed[classes] += control.disarm()[1]
                self.nowhere(pid, [value], f"seed {injector.SEED}: {control.last}")
            self.assertGreater(failed[classes], 0, NAMES[classes])
        print(f"verifier's memory: seed {injector.SEED}: {failed.total()} failed calls, no copy", flush=True)


class Agent(Scans):
    def start(self, control, *words):
        return subprocess.Popen(
            [*AGENT, *words[:1], "--verifier", f"http://{self.store.ready['listen']}", "--issuer",
             self.issuer, "--nsm", self.module, "--root", self.root, *words[1:]],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=clean_environment(**control.environment(), INJECT_PROGRAM=os.path.basename(AGENT[-1])))

    def stop_at(self, control, classes, at, words, value, arena):
        """Looks into the agent as it makes call number `at`; gives whether it came to that."""
        control.arm(classes, at=at, stop=1)
        process = self.start(control, *words)
        until = time.monotonic() + TIMEOUT_S
        while not is_stopped(process) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        stopped = process.poll() is None
        if stopped:
            found = Memory(process.pid).find(value)
            self.held += any(place[1] for place in found)
            wrong = {place for place in found if not (arena and place[1])}
            process.send_signal(signal.SIGCONT)
        output, said = process.communicate(timeout=TIMEOUT_S)
        control.disarm()
        self.assertEqual((process.returncode, output), (0, value), said.decode())
        if stopped:
            self.assertEqual(wrong, set(), f"seed {injector.SEED}: {control.last}")
        return stopped

    def test_at_every_stage(self):
        """From the first call to the last the value is in locked memory or nowhere."""
        control = Injector(self.store.path("control"))
        value = os.urandom(4096)
        self.put("random/0", value)
        looks = 0
        for form in FORMATS:
            self.held = 0
            words = ("fetch", "--format", form, "--out", "-", "random/0")
            for classes, wanted in ((FILE, 6), (OPENSSL, 6), (ALLOC, 3)):
                control.arm(classes)
                process = self.start(control, *words)
                self.assertEqual(process.communicate(timeout=TIMEOUT_S)[0], value)
                calls, _ = control.disarm()
                before = looks
                for at in {*places(calls, wanted), calls}:
                    looks += self.stop_at(control, classes, at, words, value, True)
                self.assertGreater(looks, before, NAMES[classes])
            self.assertGreater(self.held, 0, "never seen where it must be for a while")
        print(f"agent's memory: seed {injector.SEED}: {looks} looks, no copy", flush=True)

    def test_after_delivery(self):
        """As it becomes the program, all that it held is wiped; the program has a descriptor."""
        control = Injector(self.store.path("control"))
        value = os.urandom(4096)
        self.put("random/0", value)
        words = ("run", "--secret", "random/0", "--", "/bin/sh", "-c", "exec cat $RANDOM_0_FILE")
        control.arm(SYSTEM)
        process = self.start(control, *words)
        self.assertEqual(process.communicate(timeout=TIMEOUT_S)[0], value)
        calls, _ = control.disarm()
        self.held = 0
        self.assertTrue(self.stop_at(control, SYSTEM, calls, words, value, False))
        self.assertIn("execve ", control.last)
        self.assertEqual(self.held, 0)

    def test_variable(self):
        """For the environment it waits for exec in locked memory, and nowhere else."""
        control = Injector(self.store.path("control"))
        value = os.urandom(2048).hex().encode()
        self.put("random/0", value)
        words = ("run", "--secret", "random/0", "--deliver", "random/0=env:TOKEN", "--allow-env",
                 "--", "/bin/sh", "-c", 'printf %s "$TOKEN"')
        control.arm(SYSTEM)
        process = self.start(control, *words)
        self.assertEqual(process.communicate(timeout=TIMEOUT_S)[0], value)
        calls, _ = control.disarm()
        self.held = 0
        self.assertTrue(self.stop_at(control, SYSTEM, calls, words, value, True))
        self.assertIn("execve ", control.last)
        self.assertGreater(self.held, 0)

    def test_search_proves_itself(self):
        """The program that was started may keep it, and this one does."""
        control = Injector(self.store.path("control"))
        value = os.urandom(4096)
        self.put("random/0", value)
        keep = ("import os, sys; kept = open(os.environ['RANDOM_0_FILE'], 'rb').read(); "
                "print('ready', flush=True); sys.stdin.close(); import time; time.sleep(60)")
        process = self.start(control, "run", "--secret", "random/0", "--", sys.executable, "-c", keep)
        try:
            self.assertEqual(process.stdout.readline(), b"ready\n")
            found = Memory(process.pid).find(value, os.urandom(4096))
            self.assertEqual({place[:2] for place in found}, {(0, False)})
        finally:
            process.kill()
            process.communicate()


class Supervisor(Scans):
    """The agent that stays beside its program never has a secret; its children do, and go."""

    def test_at_start_and_refresh(self):
        values = [os.urandom(4096) for _ in range(3)]
        self.put("random/0", values[0])
        folder = self.store.path("secrets")
        file = os.path.join(folder, "random/0")
        os.makedirs(os.path.dirname(file))
        source = self.store.write("template", "<{{secret random/0}}>")
        told = "import os, signal\n" \
               "signal.signal(signal.SIGHUP, lambda *_: print('told', flush=True))\n" \
               "print('told', flush=True)\n" \
               "while True: signal.pause()"
        process = subprocess.Popen(
            [*AGENT, "run", "--verifier", f"http://{self.store.ready['listen']}", "--issuer",
             self.issuer, "--nsm", self.module, "--root", self.root, "--secret", "random/0",
             "--deliver", f"random/0=file:{file}", "--deliver",
             f"random/0=template:{source}:{folder}/conf", "--refresh", "hup", "--", sys.executable,
             "-c", told],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=clean_environment())
        try:
            for number, value in enumerate(values):
                if number > 0:
                    self.done("secret", "put", "random/0", stdin=value)
                    process.send_signal(signal.SIGHUP)
                self.assertEqual(process.stdout.readline(), b"told\n")
                with open(file, "rb") as content:
                    self.assertEqual(content.read(), value)
                with open(os.path.join(folder, "conf"), "rb") as content:
                    self.assertEqual(content.read(), b"<" + value + b">")
                self.nowhere(process.pid, values, f"the supervisor after release {number + 1}")
        finally:
            process.terminate()
            process.communicate(timeout=TIMEOUT_S)


class Client(Scans):
    """`vouchsafe secret put`: the administrator's side of a secret's way in."""

    def client(self, *words, control):
        process = subprocess.Popen(
            [BINARY, *words], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=clean_environment(VOUCHSAFE_STATE=self.store.state, **control.environment()))
        self.addCleanup(process.stdin.close)
        return process

    def test_put(self):
        control = Injector(self.store.path("control"))
        value = os.urandom(4096)
        token = bytes.fromhex(self.store.read("client/token").decode().strip())
        looks = held = 0
        for classes, wanted in ((FILE, 6), (OPENSSL, 8), (ALLOC, 4)):
            control.arm(classes)
            self.done("secret", "put", "random/0", stdin=value, **control.environment())
            calls, _ = control.disarm()
            for at in {*places(calls, wanted), calls}:
                control.arm(classes, at=at, stop=1)
                process = self.client("secret", "put", "random/0", control=control)
                process.stdin.write(value)
                process.stdin.close()
                until = time.monotonic() + TIMEOUT_S
                while (not is_stopped(process) and process.poll() is None
                       and time.monotonic() < until):
                    time.sleep(0.002)
                if process.poll() is None:
                    found = Memory(process.pid).find(value, token)
                    looks += 1
                    held += any(place[1] for place in found)
                    process.send_signal(signal.SIGCONT)
                    self.assertEqual({p for p in found if not p[1]}, set(), control.last)
                process.wait(TIMEOUT_S)
                control.disarm()
                self.assertEqual(process.returncode, 0)
        self.assertGreater(held, 0)
        print(f"client's memory: seed {injector.SEED}: {looks} looks, no copy", flush=True)


if __name__ == "__main__":
    unittest.main()
