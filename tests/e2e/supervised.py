#!/usr/bin/env python3
"""Goal of this test: an agent that stays beside its program is not noticed by it.  Signals,
status and orphans go where they would go without it; new versions of a secret come into
its files while it runs, whole and no older ones; a verifier that is away or refuses changes
nothing until max-staleness; and as the first process of a machine the agent ends with the
machine, and says why.
"""
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import unittest

from enclave import AGENT, SECRET, VALUE, WithEnclave
from parent_log import Log
from server import SLOWER, TIMEOUT_S, clean_environment, skip_unless

# Says what it sees of its secret at the start, and at each signal.
PROGRAM = """
import os, signal, sys, time
path = os.environ["WEB_MESSAGES_FILE"]
def show(word):
    try:
        with open(path, "rb") as file:
            print(word, file.read().hex(), flush=True)
    except FileNotFoundError:
        print(word, "gone", flush=True)
def caught(number, frame):
    show(signal.Signals(number).name)
    if number in (signal.SIGTERM, signal.SIGINT):
        sys.exit(40 + number)
for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTERM,
               signal.SIGINT):
    signal.signal(number, caught)
show("started")
while True:
    signal.pause()
"""
NEW = b"the second version"


class WithAgents(WithEnclave):
    def setUp(self):
        super().setUp()
        self.dir = self.store.path("secrets")
        self.file = os.path.join(self.dir, SECRET)
        self.agents = []

    def start_agent(self, *options, program=(sys.executable, "-c", PROGRAM), verifier=None,
                    front=(), timeout_s=2):
        number = len(self.agents)
        self.out, self.err = self.store.path(f"out{number}"), self.store.path(f"err{number}")
        verifier = verifier or f"http://{self.store.ready['listen']}"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            process = subprocess.Popen(
                [*front, *AGENT, "run", "--verifier", verifier, "--issuer", self.issuer, "--nsm",
                 self.module, "--root", self.root, "--secret", SECRET, "--timeout",
                 str(timeout_s * SLOWER), *options, "--", *program], stdin=subprocess.DEVNULL, stdout=out,
                stderr=err, env=clean_environment())
        self.agents.append(process)
        self.addCleanup(self.kill_agent, process)
        return process

    @staticmethod
    def kill_agent(process):
        if process.poll() is None:
            process.kill()
            process.wait()

    def read(self, path):
        with open(path, encoding="utf-8") as file:
            return file.read()

    def wait_for(self, text, path, count=1):
        until = time.monotonic() + TIMEOUT_S
        while self.read(path).count(text) < count:
            self.assertLess(time.monotonic(), until, self.read(self.out) + self.read(self.err))
            time.sleep(0.02)

    def shown(self, word, value=VALUE):
        self.wait_for(f"{word} {value.hex() if value else 'gone'}\n", self.out)

    def put(self, value):
        self.done("secret", "put", SECRET, stdin=value)

    def ended(self, process, status):
        self.assertEqual(process.wait(TIMEOUT_S), status, self.read(self.err))
        self.assertFalse(os.path.exists(self.file))
        return self.read(self.err)


class Refreshing(WithAgents):
    def test_hup(self):
        agent = self.start_agent("--dir", self.dir, "--refresh", "hup")
        self.shown("started")
        with open(self.file, "rb") as old:
            self.put(NEW)
            agent.send_signal(signal.SIGHUP)
            self.shown("SIGHUP", NEW)
            # A reader of the old file has the old value to its end.
            self.assertEqual(old.read(), VALUE)
        self.assertEqual(os.stat(self.file).st_mode & 0o7777, 0o400)
        self.assertEqual(os.listdir(os.path.dirname(self.file)), ["messages"])
        self.wait_for("received web/messages version 2", self.err)
        self.wait_for("refreshed: there are new files, and the program got signal 1", self.err)
        agent.send_signal(signal.SIGHUP)
        self.wait_for("refreshed: nothing is new", self.err)
        agent.send_signal(signal.SIGTERM)
        said = self.ended(agent, 40 + signal.SIGTERM)
        self.assertEqual(said.count("received"), 2)
        self.assertEqual(self.read(self.out).count("SIGHUP"), 1)

    def test_period(self):
        agent = self.start_agent("--dir", self.dir, "--refresh", "1s", "--refresh-signal", "USR1")
        self.shown("started")
        self.put(NEW)
        self.shown("SIGUSR1", NEW)
        # A file that somebody damaged is no longer what was released.
        os.chmod(self.file, 0o600)
        with open(self.file, "wb") as file:
            file.write(b"x")
        self.wait_for("SIGUSR1 " + NEW.hex(), self.out, count=2)
        agent.send_signal(signal.SIGINT)
        self.ended(agent, 40 + signal.SIGINT)

    def test_away_and_back(self):
        relay = self.relay()
        self.start_agent("--dir", self.dir, "--refresh", "hup", "--refresh-signal", "USR2",
                         verifier=relay.url, timeout_s=1)
        self.shown("started")
        self.put(NEW)
        relay.replace_answer = (502, "text/html", b"<html>")
        self.agents[0].send_signal(signal.SIGHUP)
        self.wait_for("a further SIGHUP asks again", self.err)
        said = self.read(self.err)
        self.assertIn("the verifier says http_502", said)
        self.assertIn("no decision within 1 s; last: ", said)  # that, or its time was up
        self.assertRegex(said, r"not refreshed: the program keeps what it got \d+ s ago; a further")
        with open(self.file, "rb") as file:
            self.assertEqual(file.read(), VALUE)
        relay.honest()
        self.agents[0].send_signal(signal.SIGHUP)
        self.shown("SIGUSR2", NEW)

    def test_stale(self):
        """The verifier is gone; its absence has an end, and so has the program.  The parent hears
        all of it: of the supervisor, of its couriers, and of the program, which speaks there."""
        log = Log(self.store.path("parent"))
        self.addCleanup(log.close)
        agent = self.start_agent("--dir", self.dir, "--refresh", "1s", "--max-staleness", "4s",
                                 "--log", log.url, "--log-program", timeout_s=1)
        log.wait_for("started", TIMEOUT_S)
        log.wait_for("refreshed: nothing is new", TIMEOUT_S)
        before = time.monotonic()  # it may take long to stop
        self.stop_server()
        # As a child leaves it that is killed while it writes.
        folder, name = os.path.split(self.file)
        half = ".vouchsafe-" + hashlib.sha256(name.encode()).hexdigest()[:16]
        with open(os.path.join(folder, half), "xb") as file:
            file.write(VALUE[:3])
        self.wait_for("the secrets' files are removed", self.err)
        self.assertGreater(time.monotonic() - before, 1.5)
        said = self.ended(agent, 121)
        self.assertRegex(said, r"not refreshed: the program keeps what it got \d s ago, for \d s "
                               r"more at most; (asking again in \d s|that ends before)")
        self.assertIn("no refresh succeeded for 4 s: the secrets' files are removed", said)
        self.assertIn("unreachable: no refresh succeeded for 4 s, and max-staleness allows 4", said)
        self.assertEqual(os.listdir(folder), [])
        heard = "".join(log.connections())
        for line in (f"started {VALUE.hex()}", "SIGTERM gone",
                     "vouchsafe-agent: refreshed: nothing is new",
                     "vouchsafe-agent: unreachable: no decision within 1 s; last: ",
                     "vouchsafe-agent: not refreshed: the program keeps what it got ",
                     "vouchsafe-agent: no refresh succeeded for 4 s: the secrets' files are ",
                     "vouchsafe-agent: unreachable: no refresh succeeded for 4 s, and max-"):
            self.assertIn("\n" + line, "\n" + heard)
        self.assertEqual(self.read(self.out), "")

    def test_stays_behind(self):
        """What cannot be removed is told of."""
        agent = self.start_agent("--dir", self.dir, "--refresh", "1h", program=(
            "sh", "-c", "rm $WEB_MESSAGES_FILE && mkdir $WEB_MESSAGES_FILE; exit 7"))
        self.assertEqual(agent.wait(TIMEOUT_S), 7)
        self.assertIn(f"a secret stays behind: {self.file} cannot be removed: Is a directory",
                      self.read(self.err))

    def test_refused(self):
        """Anybody on the way can say so: it counts as silence does, and is said aloud."""
        agent = self.start_agent("--dir", self.dir, "--refresh", "1s", "--max-staleness", "4s")
        self.shown("started")
        grant = self.json("grant", "list")
        self.done("grant", "remove", str(grant[0]["id"]))
        self.wait_for("not refreshed: the program keeps", self.err)
        self.assertIsNone(agent.poll())
        self.assertTrue(os.path.exists(self.file))
        self.shown("SIGTERM", None)
        said = self.ended(agent, 121)
        self.assertIn("vouchsafe-agent: refused", said)


class Transparent(WithAgents):
    def test_signals(self):
        agent = self.start_agent("--dir", self.dir, "--refresh", "hup")
        self.shown("started")
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH):
            agent.send_signal(number)
            self.shown(number.name)
        agent.send_signal(signal.SIGTERM)
        said = self.ended(agent, 40 + signal.SIGTERM)
        lines = [line for line in said.splitlines() if "is not in memory but on a disk" not in line]
        self.assertEqual(len(lines), 2, said)  # the root, and what was received

    def test_status(self):
        for script, status in (("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137),
                               ("kill -TERM $$", 143)):
            agent = self.start_agent("--dir", self.dir, "--refresh", "hup",
                                     program=("sh", "-c", script))
            self.ended(agent, status)

    def test_environment(self):
        agent = self.start_agent("--env", "GREETING=hello = world", "--env", "EMPTY=", program=(
            "sh", "-c", 'test "$GREETING/$EMPTY" = "hello = world/" && test -z "${EMPTY-x}"'))
        self.assertEqual(agent.wait(TIMEOUT_S), 0, self.read(self.err))

    def test_program_of_the_settings(self):
        path = self.store.write("agent.conf", "exec = sh\nexec = -c\nexec = exit 9\n")
        run = self.agent("run", "--config", path, "--secret", SECRET)
        self.assertEqual(run.returncode, 9, run.stderr)
        run = self.agent("run", "--config", path, "--secret", SECRET, "--", "sh", "-c", "exit 8")
        self.assertEqual(run.returncode, 8, run.stderr)

    def test_no_start(self):
        """As without staying: said once, by exact status, and nothing is left."""
        stays = ("--dir", self.dir, "--refresh", "hup")
        junk = self.store.write("junk", "#!/nonexistent/interpreter\n")
        os.chmod(junk, 0o755)
        for words, status, says in (
                ((*stays, "--", "no-such-program"), 127, "not_found: "),
                ((*stays, "--", junk), 127, "cannot be executed"),
                ((*stays, "--min-version", f"{SECRET}=2", "--", "true"), 120, "vouchsafe-agent: refused"),
                (("--dir", "/proc/no/such", "--refresh", "hup", "--", "true"), 124,
                 "not_delivered: ")):
            run = self.agent("run", "--secret", SECRET, *words)
            said = run.stderr.decode()
            self.assertEqual((run.returncode, said.count(says)), (status, 1), said)
            self.assertFalse(os.path.exists(self.file))
        run = self.agent("run", "--secret", SECRET, *stays, "--", "true", module="unix:/nonexistent")
        self.assertEqual(run.returncode, 123, run.stderr)
        run = self.agent("run", "--secret", SECRET, "--refresh", "hup", "--", "true")
        self.assertEqual(run.returncode, 125, run.stderr)
        self.assertIn(b"add --dir DIR", run.stderr)


NAMESPACE = ("unshare", "--pid", "--fork", "--mount", "--mount-proc", "--kill-child")


def may_begin_namespace():
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


@skip_unless(may_begin_namespace(), "only root may begin a namespace")
class FirstProcess(WithAgents):
    """Process 1 of a PID namespace: of a container, or, called init, of a machine."""

    def test_reaps(self):
        """Orphans come to process 1 by themselves.  Its program waits until none is left."""
        script = ("import os, sys, time\n"
                  "assert os.getppid() == 1, os.getppid()\n"
                  "for _ in range(20):\n"
                  "    if os.fork() == 0:\n"
                  "        os._exit(0) if os.fork() else (time.sleep(1), os._exit(99))\n"
                  "    os.wait()\n"
                  "def others(): return [n for n in os.listdir('/proc') if n.isdigit()]\n"
                  "seen = len(others())\n"
                  "until = time.monotonic() + 20\n"
                  "while len(others()) > 2 and time.monotonic() < until: time.sleep(0.05)\n"
                  "print(seen, len(others()), flush=True)\n"
                  "sys.exit(7)\n")
        agent = self.start_agent("--dir", self.dir, "--refresh", "hup", front=NAMESPACE,
                                 program=(sys.executable, "-c", script))
        self.ended(agent, 7)
        seen, left = map(int, self.read(self.out).split())
        self.assertGreater(seen, 10)
        self.assertEqual(left, 2)

    def test_ends_by_signal(self):
        """To a first process signals mean nothing by themselves; to its program they do."""
        self.start_agent("--dir", self.dir, "--refresh", "hup", front=NAMESPACE,
                         program=("sh", "-c", "echo started; exec sleep 60"))
        self.wait_for("started", self.out)
        os.kill(self.first_process(self.agents[0]), signal.SIGTERM)
        self.ended(self.agents[0], 128 + signal.SIGTERM)

    def test_container(self):
        """As a container's first process under its own name it becomes the program."""
        agent = self.start_agent(front=NAMESPACE, program=("sh", "-c", "exit $((40 + $$))"))
        self.assertEqual(agent.wait(TIMEOUT_S), 41, self.read(self.err))

    def machine(self, config, issuer=None, begin=""):
        """The agent as /init of a root of its own, with words that the kernel would add."""
        root = self.store.path("machine")
        for name in ("etc", "usr", "lib", "lib64", "bin"):
            os.makedirs(os.path.join(root, name), exist_ok=True)
        shutil.copy(AGENT[-1], os.path.join(root, "init"))
        if config is not None:
            with open(os.path.join(root, "etc/vouchsafe-agent.conf"), "w", encoding="ascii") as file:
                file.write(config)
        (issuer or shutil.copy)(self.issuer, os.path.join(root, "etc/issuer.pem"))
        binds = "".join(f"mount --rbind /{name} {root}/{name}; " for name in
                        ("usr", "lib", "lib64", "bin") if os.path.exists(f"/{name}"))
        return subprocess.Popen(
            [*NAMESPACE, "--net", "sh", "-ec",
             f"{binds} {begin.format(root=root)} exec chroot {root} /init nomodules"],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=clean_environment())

    @staticmethod
    def first_process(unshare):
        with open(f"/proc/{unshare.pid}/task/{unshare.pid}/children", encoding="ascii") as file:
            return int(file.read().split()[0])

    def stopped(self, run, status, says):
        """The machine ended in good order, as a namespace tells it: by SIGHUP for a restart."""
        said = run.communicate(timeout=TIMEOUT_S)[1].decode()
        self.assertEqual(run.returncode, -signal.SIGHUP, said)
        lines = said.splitlines()
        self.assertEqual(lines[-1], f"vouchsafe-agent: ended with status {status}; this machine "
                                    "stops")
        self.assertIn(says, said)

    SETTINGS = ("verifier = unix:/v\nissuer = /etc/issuer.pem\nsecret = x\nexec = true\n"
                "parent-cid = 1\n")

    def test_machine_without_settings(self):
        self.stopped(self.machine(None), 125, "/etc/vouchsafe-agent.conf")

    def test_machine_with_wrong_settings(self):
        self.stopped(self.machine(self.SETTINGS + "verifer = x\n"), 125,
                     "line 6: unknown setting \"verifer\"; did you mean \"verifier\"?")
        self.stopped(self.machine(self.SETTINGS.replace("exec = true\n", "")), 125,
                     "which program? ")

    @staticmethod
    def mount_of(words):
        """Of a line of mountinfo: where, what, and what is not permitted there."""
        forbidden = [one for one in words[5].split(",") if one in ("nosuid", "nodev", "noexec")]
        return words[4], words[-3], ",".join(forbidden)

    def test_machine_without_parent(self):
        """Nobody takes the heartbeat: the launcher is to see a failed start.  Until then what
        programs need is mounted, and the loopback interface up; the settings' end is held up for a look at it."""
        held_up = self.store.path("machine/etc/issuer.pem")
        machine = self.machine(self.SETTINGS, issuer=lambda _, path: os.mkfifo(path))
        with open(held_up, "wb") as issuer:  # opens when the agent reads it
            no_dumps = resource.prlimit(self.first_process(machine), resource.RLIMIT_CORE)
            with open(f"/proc/{self.first_process(machine)}/mountinfo", encoding="ascii") as file:
                mounts = {self.mount_of(line.split()) for line in file}
            inside = os.path.join("/proc", str(self.first_process(machine)), "root")
            links = [os.readlink(os.path.join(inside, "dev", name)) for name in ("fd", "stderr")]
            with open(f"/proc/{self.first_process(machine)}/net/fib_trie", encoding="ascii") as file:
                routes = file.read()
            with open(self.issuer, "rb") as pem:
                issuer.write(pem.read())
        devices, quiet = "nosuid,noexec", "nosuid,nodev,noexec"
        wanted = {("/dev", "devtmpfs", devices), ("/proc", "proc", quiet),
                  ("/sys", "sysfs", quiet), ("/dev/pts", "devpts", devices),
                  ("/dev/shm", "tmpfs", quiet), ("/run", "tmpfs", quiet),
                  ("/tmp", "tmpfs", quiet), ("/sys/fs/cgroup", "cgroup2", quiet)}
        self.assertEqual(wanted - mounts, set(), mounts)
        self.assertEqual(no_dumps, (1, 1))
        self.assertEqual(links, ["/proc/self/fd", "/proc/self/fd/2"])
        self.assertRegex(routes, r"127\.0\.0\.1\n +/32 host LOCAL")
        self.stopped(machine, 121, "vsock")

    def test_machine_that_lacks_a_folder(self):
        """On a disk that nobody may write to it cannot be made; nobody sees the console, and the
        parent hears of it all the same."""
        os.makedirs(self.store.path("machine"))
        log = Log(os.path.join(self.store.path("machine"), "log"))
        self.addCleanup(log.close)
        machine = self.machine(self.SETTINGS + "log = unix:/log\n", begin="mkdir {root}/proc {root}/dev {root}/sys; "
                               "mount --rbind {root} {root}; mount -o remount,bind,ro {root}; ")
        says = ("tmpfs cannot be mounted on /run: No such file or directory; "
                "the image needs that folder, and its kernel CONFIG_TMPFS")
        self.stopped(machine, 124, says)
        said = log.lines()
        self.assertIn(says, "\n".join(said))
        self.assertEqual(said[-1], "vouchsafe-agent: ended with status 124; this machine stops")


if __name__ == "__main__":
    unittest.main()
