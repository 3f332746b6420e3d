#!/usr/bin/env python3
"""Goal of this test: each secret goes where the settings say, in the form, with the mode and
the owner that they say, also at a refresh; and nowhere else: not into argument vectors,
environments, logs and core dumps, unless told so.
"""
import contextlib
import fcntl
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import unittest

from enclave import AGENT, SECRET
from server import TIMEOUT_S, clean_environment, skip_unless
from supervised import WithAgents

# Text without what an environment or JSON cannot hold, to be looked for.
CANARY = b'canary "of the\nmine" 7f3a91c04be6'
NEXT = b"the next one d41d8cd98f00"

STAYS = "import os, sys, time\nprint('started', flush=True)\ntime.sleep(60)"
# Says how it sees each file; tells of a new one.
WATCHES = """
import os, signal, sys
def show(word):
    for path in sys.argv[1:]:
        st = os.stat(path)
        with open(path, "rb") as file:
            print(word, path, oct(st.st_mode & 0o7777), st.st_uid, st.st_gid, file.read().hex(),
                  flush=True)
signal.signal(signal.SIGHUP, lambda *_: show("again"))
show("first")
while True:
    signal.pause()
"""


PIPE_LEN = 4096
# A sanitizer's build has no filters of system calls.
FILTERED = os.environ.get("VOUCHSAFE_SANITIZE", "none") == "none"


def is_root():
    return os.geteuid() == 0


def no_dumps():
    """The limit on a dump's length where there are to be none."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    return (0, 0) if hard == 0 and not is_root() else (1, 1)


def filters(pid):
    """Whether exec gives it no privileges; whether it has filters of system calls; how many."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        rows = dict(line.split(":\t", 1) for line in file.read().splitlines())
    return rows["NoNewPrivs"], rows["Seccomp"], rows["Seccomp_filters"]


class WithCanary(WithAgents):
    def setUp(self):
        super().setUp()
        self.put(CANARY)
        os.mkdir(self.dir)

    def deliver(self, *how):
        return [word for one in how for word in ("--deliver", f"{SECRET}={one}")]

    def template(self, text):
        return self.store.write("template", text)

    @staticmethod
    def children(pid):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return {int(child) for child in file.read().split()}

    def program(self, pid):
        """The one child of an agent that stays."""
        (child,) = self.children(pid)
        return child

    def refused(self, status, says, *options, **more):
        run = self.agent("run", "--secret", SECRET, *options, "--", "true", **more)
        said = run.stderr.decode()
        self.assertEqual(run.returncode, status, said)
        self.assertIn(says, said)
        self.assertNotIn(CANARY.split(b"\n")[0], run.stderr)


class Places(WithCanary):
    def test_file(self):
        path = os.path.join(self.dir, "key")
        owner, ids = (",owner=12345:54321", (12345, 54321)) if is_root() else \
            ("", (os.geteuid(), os.getegid()))
        agent = self.start_agent(*self.deliver(f"file:{path},mode=0440{owner}"), program=(
            "sh", "-c", f'test "$WEB_MESSAGES_FILE" = {path} && cat "$WEB_MESSAGES_FILE"'))
        self.assertEqual(agent.wait(20), 0, self.read(self.err))
        self.assertEqual(self.read(self.out).encode(), CANARY)
        found = os.stat(path)
        self.assertEqual((stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid), (0o440, *ids))
        self.assertEqual(os.listdir(self.dir), ["key"])

    def test_several(self):
        """One secret, four ways: a program's old habit and its new one."""
        path = os.path.join(self.dir, "conf")
        source = self.template(f"a={{{{secret {SECRET} | base64}}}}\n")
        agent = self.start_agent(
            *self.deliver("memfd", f"template:{source}:{path},mode=0444", "env:TOKEN"),
            "--allow-env", program=("sh", "-c", f'cat $WEB_MESSAGES_FILE {path}; printf %s "$TOKEN"'))
        self.assertEqual(agent.wait(20), 0, self.read(self.err))
        encoded = subprocess.run(["base64", "-w0"], input=CANARY, capture_output=True,
                                 check=True).stdout
        self.assertEqual(self.read(self.out).encode(), CANARY + b"a=" + encoded + b"\n" + CANARY)

    def test_env_replaces(self):
        """What was there under that name is not there twice."""
        agent = self.start_agent(
            *self.deliver("env:TOKEN"), "--allow-env", "--env", "TOKEN=x", "--env",
            "TOKEN_2=y", program=(
                sys.executable, "-c", "print(open('/proc/self/environ', 'rb').read().hex())"))
        self.assertEqual(agent.wait(20), 0, self.read(self.err))
        variables = bytes.fromhex(self.read(self.out)).rstrip(b"\0").split(b"\0")
        self.assertEqual([v for v in variables if v.startswith(b"TOKEN")],
                         [b"TOKEN_2=y", b"TOKEN=" + CANARY])
        self.assertIn(f"warning: {SECRET} goes into the environment, as TOKEN: "
                      "/proc/PID/environ shows it", self.read(self.err))

    def test_refused(self):
        source = self.template("{{secret other}}")
        self.refused(125, "--allow-env permits it", *self.deliver("env:TOKEN"))
        self.refused(125, "has no mark {{secret web/messages}}",
                     *self.deliver(f"template:{source}:/r/x"))
        for how, kind in ((("memfd",), "memfd"), (("env:A",), "env")):
            self.refused(125, f"{SECRET} goes to {kind}, which a running program keeps",
                         *self.deliver(*how), "--allow-env", "--refresh", "hup")
        self.refused(124, f"the folder of {self.dir}/no/x: No such file or directory",
                     *self.deliver(f"file:{self.dir}/no/x"))
        self.put(b"a\0b")
        self.refused(124, "has a NUL in it, which no environment can hold",
                     *self.deliver("env:A", f"file:{self.dir}/x"), "--allow-env")
        self.assertEqual(os.listdir(self.dir), [])

    def test_disk(self):
        """Said at each start, and only where it is so."""
        disk = subprocess.run(["stat", "-f", "-c", "%T", self.dir], capture_output=True,
                              check=True).stdout.strip() not in (b"tmpfs", b"ramfs")
        run = self.agent("run", "--secret", SECRET, "--dir", self.dir, "--", "true")
        self.assertEqual(run.stderr.decode().count(
            f"warning: {self.dir}/{SECRET} is not in memory but on a disk"), int(disk))

    @skip_unless(is_root(), "only root may mount")
    def test_tmpfs(self):
        memory = os.path.join(self.dir, "memory")
        front = ("unshare", "--mount")
        script = f"grep {memory} /proc/mounts; stat -c %a {memory}; cat $WEB_MESSAGES_FILE"
        agent = self.start_agent("--tmpfs", f"{memory},size=1m,mode=0750",
                                 *self.deliver(f"file:{memory}/key"), front=front,
                                 program=("sh", "-c", script))
        self.assertEqual(agent.wait(20), 0, self.read(self.err))
        mounted, mode, rest = self.read(self.out).split("\n", 2)
        self.assertRegex(mounted, r"tmpfs rw,nosuid,nodev,noexec,.*size=1024k,mode=750")
        self.assertEqual((mode, rest.encode()), ("750", CANARY))
        self.assertNotIn("warning: /", self.read(self.err))
        self.assertEqual(os.listdir(memory), [])  # another namespace's
        # One that is there already is as good, also for who may mount nothing.
        agent = self.start_agent(
            "--tmpfs", memory, *self.deliver(f"file:{memory}/key"), program=("sh", "-c", script),
            front=(*front, "sh", "-ec", f'mount -t tmpfs none {memory}; exec setpriv '
                   '--bounding-set -sys_admin --inh-caps -sys_admin "$@"', "-"))
        self.assertEqual(agent.wait(20), 0, self.read(self.err))
        self.assertEqual(self.read(self.out).count(" tmpfs "), 1)
        # For who may not: what helps.
        agent = self.start_agent("--tmpfs", memory, front=(
            *front, "setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"))
        self.assertEqual(agent.wait(20), 124)
        self.assertIn(f"no tmpfs can be mounted on {memory}: Operation not permitted; it needs "
                      "CAP_SYS_ADMIN: start the agent as root", self.read(self.err))
        agent = self.start_agent("--tmpfs", f"{self.dir}/no/such", front=front)
        self.assertEqual(agent.wait(20), 124)
        self.assertIn("for a tmpfs cannot be made: No such file", self.read(self.err))


class Refreshed(WithCanary):
    def test_files_and_template(self):
        """Both replaced, in the form, mode and owner that they had; the filters of system
        calls permit all of it."""
        plain, conf = (os.path.join(self.dir, name) for name in ("plain", "conf"))
        source = self.template(f"p = {{{{ secret {SECRET} | json }}}}\n")
        owner, ids = (",owner=77", (77, 0)) if is_root() else ("", (os.geteuid(), os.getegid()))
        agent = self.start_agent(
            *self.deliver(f"file:{plain},mode=0444{owner}", f"template:{source}:{conf}"),
            "--refresh", "hup", program=(sys.executable, "-c", WATCHES, plain, conf))
        escaped = CANARY.replace(b'"', b'\\"').replace(b"\n", b"\\u000a")
        shown = f"first {plain} 0o444 {ids[0]} {ids[1]} {CANARY.hex()}\n" \
                f"first {conf} 0o400 {os.geteuid()} {os.getegid()} " \
                f"{(b'p = ' + chr(34).encode() + escaped + chr(34).encode()).hex()}0a\n"
        self.wait_for(shown, self.out)
        agent.send_signal(signal.SIGHUP)
        self.wait_for("refreshed: nothing is new", self.err)
        self.put(NEXT)
        agent.send_signal(signal.SIGHUP)
        self.wait_for(f"again {plain} 0o444 {ids[0]} {ids[1]} {NEXT.hex()}", self.out)
        self.wait_for(f'{(b"p = %b" % (chr(34).encode() + NEXT + chr(34).encode())).hex()}0a', self.out)
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(agent.wait(20), 143)
        self.assertEqual(os.listdir(self.dir), [])  # taken away with the program

    def test_filters(self):
        """Of the agent, not of its program; the courier has one more."""
        relay, held_up, go_on = self.relay(), threading.Event(), threading.Event()
        self.addCleanup(go_on.set)
        agent = self.start_agent("--dir", self.dir, "--refresh", "hup", verifier=relay.url,
                                 program=(sys.executable, "-c", STAYS), timeout_s=20)
        self.wait_for("started", self.out)
        program = self.program(agent.pid)
        self.assertEqual(filters(agent.pid), ("1", "2", "1") if FILTERED else ("0", "0", "0"))
        self.assertEqual(filters(program), ("0", "0", "0"))

        def hold_up(body):
            held_up.set()
            go_on.wait(TIMEOUT_S)
            relay.on_release = None
            return relay.pass_on("/v1/release", body)

        relay.on_release = hold_up
        agent.send_signal(signal.SIGHUP)
        self.assertTrue(held_up.wait(TIMEOUT_S))
        (courier,) = self.children(agent.pid) - {program}
        self.assertEqual(filters(courier), ("1", "2", "2") if FILTERED else ("0", "0", "0"))
        go_on.set()
        self.wait_for("refreshed: nothing is new", self.err)

    def test_filter_of_fetch(self):
        """Looked at while it writes into a pipe that is full."""
        self.put(bytes(2 * PIPE_LEN))
        ours, its = os.pipe()
        with os.fdopen(ours, "rb", buffering=0) as pipe:
            fcntl.fcntl(its, fcntl.F_SETPIPE_SZ, PIPE_LEN)
            with subprocess.Popen(
                    [*AGENT, "fetch", "--verifier", f"http://{self.store.ready['listen']}",
                     "--issuer", self.issuer, "--nsm", self.module, "--root", self.root, "--out",
                     "-", SECRET], stdout=its, stderr=subprocess.DEVNULL,
                    env=clean_environment()) as fetch:
                os.close(its)
                first = pipe.read(1)
                found = filters(fetch.pid)
                self.assertEqual(len(first + pipe.read()), 2 * PIPE_LEN)
        self.assertEqual(fetch.returncode, 0)
        self.assertEqual(found, ("1", "2", "1") if FILTERED else ("0", "0", "0"))


class NowhereElse(WithCanary):
    """The canary is in the program's hands, and in no other place that people look at."""

    def seen(self, pid):
        """Not for one without privileges, who may not look into the agent: test_agent_that_stays."""
        found = []
        for name in ("cmdline", "environ"):
            with contextlib.suppress(PermissionError), open(f"/proc/{pid}/{name}", "rb") as file:
                found += [name] if self.holds(file.read()) else []
        return found

    @staticmethod
    def holds(content):
        parts = (CANARY.split(b"\n")[1], CANARY[:14])
        return any(part in content or part.hex().encode() in content.lower() for part in parts)

    def looked(self, *options):
        """An agent that stays, its program, and all that was logged."""
        agent = self.start_agent(*options, program=(sys.executable, "-c", STAYS))
        self.wait_for("started", self.out)
        found = {"agent": self.seen(agent.pid)}
        if "--refresh" in options:
            found["program"] = self.seen(self.program(agent.pid))
        agent.send_signal(signal.SIGTERM)
        agent.wait(20)
        self.assertFalse(self.holds(self.read(self.err).encode()), self.read(self.err))
        self.assertFalse(self.holds(self.store.log().encode()))
        return found

    def test_nowhere(self):
        source = self.template(f"{{{{secret {SECRET}}}}}")
        self.assertEqual(self.looked(), {"agent": []})
        self.assertEqual(self.looked(*self.deliver(f"template:{source}:{self.dir}/conf",
                                                   f"file:{self.dir}/key"), "--refresh", "hup"),
                         {"agent": [], "program": []})

    def test_search_proves_itself(self):
        """Told so, it is in the environment, and this search finds it."""
        self.assertEqual(self.looked(*self.deliver("env:TOKEN"), "--allow-env"),
                         {"agent": ["environ"]})

    def test_dumps(self):
        """Not by the agent's choice alone: the program's limit is one that also keeps the
        kernel from starting a program for dumps (1, not 0)."""
        agent = self.start_agent(program=(
            sys.executable, "-c", "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"))
        self.assertEqual(agent.wait(20), 0, self.read(self.err))
        self.assertEqual(self.read(self.out), f"{no_dumps()}\n")

    def test_agent_that_stays(self):
        """It leaves no dump, and who is its user, without capabilities, cannot look into it.  Into
        its program they can: so this look proves itself."""
        front = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all") if is_root() else ()
        agent = self.start_agent("--dir", self.dir, "--refresh", "hup", front=front,
                                 program=(sys.executable, "-c", STAYS))
        self.wait_for("started", self.out)

        def shows(pid):
            return b"PATH=" in subprocess.run([*front, "cat", f"/proc/{pid}/environ"],
                                              capture_output=True, check=False).stdout

        self.assertTrue(shows(self.program(agent.pid)))
        self.assertFalse(shows(agent.pid))
        self.assertEqual(resource.prlimit(agent.pid, resource.RLIMIT_CORE), no_dumps())


if __name__ == "__main__":
    unittest.main()
