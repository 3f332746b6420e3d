#!/usr/bin/env python3
"""Goal of this test: docs/QUICKSTART.md, from its first command to its last, in one shell.  The
verifier, the agent and the emulated module are real, and the image is made of the Dockerfile that
people copy.  docker, nitro-cli, meson, systemctl and journalctl are stand-ins: this file again,
under their names.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

import image

ANOTHER = "is what an enclave says of another"
STATE = os.environ.get("QUICKSTART_STATE")  # set for the stand-ins
# A program that says what it was given, to whom only the test listens.
SERVER = """#!/bin/sh
set -eu
echo "the program has $(cat "$DB_MAIN_FILE") in $DB_MAIN_FILE"
"""
# The build that has the agent under test as one static file, or nothing.
STATIC_BUILD = os.environ.get("VOUCHSAFE_STATIC_BUILD")
# What nitro-cli printed for other people's images.
SAMPLES = os.path.join(os.environ.get("VOUCHSAFE_SHARED", os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../../shared")), "nitro-cli-json")


# ---- The stand-ins ----

def at(*names):
    return os.path.join(STATE, *names)


def load(name):
    with open(at(name), encoding="ascii") as file:
        return json.load(file)


def save(name, value):
    with open(at(name), "w", encoding="ascii") as file:
        json.dump(value, file)


def option(words, name):
    return words[words.index(name) + 1]


def stand_in_ninja(words):
    """Builds nothing: the agent under test, where the build that the page asks for puts it."""
    static = load("setup")["static"]
    if static not in (None, words[-1]):
        sys.exit(f"ninja {words[-1]}: the static agent is {static}")
    place = os.path.join(option(words, "-C"), words[-1])
    os.makedirs(os.path.dirname(place))
    shutil.copy(load("setup")["agent"], place)


def stand_in_docker(words):
    tag = option(words, "-t")
    save(tag + ".image", image.build(words[-1], at(tag + ".root")))


def stand_in_nitro_cli(words):
    if words[0] == "build-enclave":
        tag, eif = option(words, "--docker-uri"), option(words, "--output-file")
        samples = load("setup")["samples"]
        used = len(glob.glob(at("*.eif")))
        shutil.copy(samples[used], at(f"{used}.eif"))
        with open(eif, "w", encoding="ascii") as file:
            json.dump({"tag": tag, "measured": samples[used]}, file)
        with open(samples[used], encoding="utf-8") as file:
            print(file.read())
    elif words[0] == "run-enclave":
        # Its program ends at once; a real one would run on, and keep its CID.
        cid = at("running-" + option(words, "--enclave-cid"))
        if os.path.exists(cid):
            sys.exit(f"{cid}: an enclave with that CID runs")
        with open(cid, "x", encoding="ascii"):
            run_enclave(words)
    else:
        for cid in glob.glob(at("running-*")):
            os.unlink(cid)


def run_enclave(words):
    setup = load("setup")
    with open(option(words, "--eif-path"), encoding="ascii") as file:
        eif = json.load(file)
    with open(eif["measured"], encoding="utf-8") as file:
        measured = json.load(file)
    pcrs = {n: measured.get("Measurements", measured)[f"PCR{n}"] for n in range(3)}
    root = at(eif["tag"] + ".root")
    image.put(setup["root"], root, "/etc/nitro-root.pem")
    conf = root + "/etc/vouchsafe-agent.conf"
    with open(conf, encoding="ascii") as file:
        # No vsock here, and another module than /dev/nsm; all else is as it stands.
        lines = [line for line in file if "vsock" not in line and "nitro" not in line
                 and "nsm" not in line and "127.0.0.1" not in line]
    with open(conf, "w", encoding="ascii") as file:
        file.writelines([*lines, f"verifier = http://{setup['listen']}\n", "nsm = unix:/nsm.sock\n",
                         "root = /etc/nitro-root.pem\n"])
    debug = ["--debug"] if "--debug-mode" in words else [
        word for n, value in pcrs.items() for word in ("--pcr", f"{n}={value}")]
    with subprocess.Popen([*setup["simulator"], "--socket", root + "/nsm.sock", "--root-dir",
                           os.path.dirname(setup["root"]), *debug],
                          stderr=subprocess.PIPE) as module:
        module.stderr.readline()
        ended = image.run(root, load(eif["tag"] + ".image"), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
        module.terminate()
    with open(at("journal"), "a", encoding="utf-8") as file:
        file.writelines(f"cid={option(words, '--enclave-cid')} {line}\n"
                        for line in ended.stdout.splitlines())
        file.write(f"cid=17 vouchsafe-agent: cid=16 {ANOTHER}\n")
    with open(setup["run_enclave"], encoding="utf-8") as file:
        print(file.read())


def stand_in_journalctl(words):
    pattern = re.compile(option(words, "-g"))
    with open(at("journal"), encoding="utf-8") as file:  # a line is a MESSAGE of the journal
        sys.stdout.writelines(line for line in file if pattern.search(line))


def stand_in_sudo(words):
    sys.exit(subprocess.run(words, check=False).returncode)


def stand_in_systemctl(words):
    with open(at("services"), "a", encoding="ascii") as file:
        file.write(" ".join(words) + "\n")


def stand_in_vouchsafe(words):
    """The real one; what is put is remembered, so that it is known again."""
    stdin, status = None, 0
    if words[:2] == ["secret", "put"]:
        stdin = sys.stdin.buffer.read()
        with open(at(f"value-{len(glob.glob(at('value-*'))) + 1}"), "wb") as file:
            file.write(stdin)
    elif words[:1] == ["explain"]:
        # The page cannot know it: the id that the enclave printed.
        with open(at("journal"), encoding="utf-8") as file:
            request = re.findall(r"request (?:id: )?([0-9A-Z]{16})", file.read())[-1]
        words = [request if word == "REQUEST-ID" else word for word in words]
        status = 1  # what it explains is refused
    run = subprocess.run([*load("setup")["vouchsafe"], *words], input=stdin, check=False)
    sys.exit(run.returncode != status)


STAND_INS = {"ninja": stand_in_ninja, "meson": lambda words: None, "docker": stand_in_docker,
             "nitro-cli": stand_in_nitro_cli, "journalctl": stand_in_journalctl,
             "sudo": stand_in_sudo, "systemctl": stand_in_systemctl,
             "vouchsafe": stand_in_vouchsafe}


# ---- The page ----

def commands(page):
    """Its indented blocks, in order."""
    with open(page, encoding="utf-8") as file:
        text = re.sub(r"```.*?```", "", file.read(), flags=re.S)
    return "".join(line[4:] for line in text.splitlines(keepends=True) if line.startswith("    "))


def tests():
    """Only where this is the test: a stand-in needs none of it."""
    from enclave import AGENT, SIMULATOR, WithEnclave
    from server import PROGRAM, SOURCE, clean_environment

    class Quickstart(WithEnclave):
        def setUp(self):
            super().setUp()
            self.state = self.store.path("quickstart")
            os.mkdir(self.state)

        def prepare(self):
            """A folder that looks like the source tree, a program, and the stand-ins."""
            samples = sorted(glob.glob(os.path.join(SAMPLES, "build-enclave__*")))
            with open(os.path.join(self.state, "setup"), "w", encoding="ascii") as file:
                json.dump({
                    "agent": AGENT[-1], "vouchsafe": PROGRAM, "simulator": SIMULATOR,
                    "static": STATIC_BUILD and os.path.relpath(AGENT[-1], STATIC_BUILD),
                    "samples": samples[:2], "root": self.root,
                    "listen": self.store.ready["listen"],
                    "run_enclave": glob.glob(os.path.join(SAMPLES, "run-enclave__*"))[0]},
                    file)
            tree = os.path.join(self.state, "tree")
            os.mkdir(tree)
            os.symlink(os.path.join(SOURCE, "packaging"), os.path.join(tree, "packaging"))
            with open(os.path.join(tree, "server"), "w", encoding="ascii") as file:
                file.write(SERVER)
            os.chmod(file.name, 0o755)
            bin_folder = os.path.join(self.state, "bin")
            os.mkdir(bin_folder)
            for name in STAND_INS:
                os.symlink(os.path.abspath(__file__), os.path.join(bin_folder, name))
            return tree, clean_environment(
                PATH=f"{bin_folder}:{os.environ['PATH']}", QUICKSTART_STATE=self.state,
                VOUCHSAFE_STATE=self.store.state)

        def said(self, name):
            with open(os.path.join(self.state, name), encoding="utf-8") as file:
                return file.read()

        def test_page(self):
            tree, env = self.prepare()
            script = commands(os.path.join(SOURCE, "docs/QUICKSTART.md"))
            run = subprocess.run(["bash", "-euxo", "pipefail", "-c", script], cwd=tree, env=env,
                                 capture_output=True, text=True, check=False, timeout=120,
                                 stdin=subprocess.DEVNULL)
            told = run.stdout + run.stderr
            self.assertEqual(run.returncode, 0, told)
            # What one enclave says is never shown as another's: the relay's line begins with the CID.
            self.assertNotIn(ANOTHER, told)
            with open(os.path.join(SOURCE, "docs/man/vouchsafe-vsock-relay.8"),
                      encoding="utf-8") as file:
                same = [line.replace("\\-", "-") for line in file if line.startswith("journalctl")]
            self.assertEqual(len(same), 1)
            self.assertIn(same[0], script)
            journal = self.said("journal")
            first, second = self.said("value-1").strip(), self.said("value-2").strip()
            self.assertNotEqual(first, second)
            # Three enclaves had the value of their time, and one in debug mode had none.
            self.assertEqual(re.findall(r"the program has (\S+) in", journal),
                             [first, second, second])
            # The last build's agent stays, with a file.
            self.assertEqual(re.findall(r"the program has \S+ in (/run/.*)", journal),
                             ["/run/secrets/db/main"])
            self.assertRegex(journal, r"(?s)received db/main version 1.*refused.*"
                                      "received db/main version 2.*received db/main version 2")
            self.assertEqual([record["code"] for record in self.records("release.refused")],
                             ["debug"])
            self.assertEqual(len(self.records("release.granted")), 3)
            self.assertEqual({build["version"]: build["state"] for build in self.json(
                "measurement", "list", "--image", "payments")},
                {"1.0": "revoked", "1.1": "active"})
            self.assertEqual(self.said("services"),
                             "enable --now vouchsafe-vsock-relay@verifier.example:8443\n")
            # What the page shows of the journal is what is there.
            shown = re.search(r"```text\n(.*?)```", self.page(), re.S)[1]
            for line in shown.splitlines():
                self.assertIn(line, journal)
            self.assertIn("WOULD BE REFUSED now; was refused", run.stdout)

        def page(self):
            with open(os.path.join(SOURCE, "docs/QUICKSTART.md"), encoding="utf-8") as file:
                return file.read()

        def test_line_to_copy(self):
            """The page, the Dockerfile and the manual's reader see the same line."""
            with open(os.path.join(SOURCE, "packaging/enclave/Dockerfile"), encoding="ascii") as file:
                entry = [line for line in file if line.startswith("ENTRYPOINT")]
            self.assertEqual(entry, ['ENTRYPOINT ["/vouchsafe-agent","run","--config",'
                                     '"/etc/vouchsafe-agent.conf","--"]\n'])
            self.assertIn(entry[0], self.page())

    return Quickstart


if __name__ == "__main__":
    if STATE is not None:
        STAND_INS[os.path.basename(sys.argv[0])](sys.argv[1:])
    else:
        if not os.path.isdir(SAMPLES):
            must = os.environ.get("CI") == "true"
            print(f"{'FAILED' if must else 'SKIPPED'}: no {SAMPLES} (set VOUCHSAFE_SHARED)",
                  file=sys.stderr)
            sys.exit(1 if must else 77)
        Quickstart = tests()
        unittest.main()
