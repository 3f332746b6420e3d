#!/usr/bin/env python3
"""Goal of this test: the agent does its job where it lives: by /dev/nsm's own ioctl, over
vsock and without another network, also as the first process.

    tests/e2e/vm/vm.py            everything, as meson runs it
    tests/e2e/vm/vm.py NAME...    these scenarios, with the console on the terminal
    tests/e2e/vm/vm.py --shell    a shell in there, once everything stands
    tests/e2e/vm/vm.py --initramfs FILE NAME...    writes what these would boot with, without
                                                   Debian's modules
"""
import collections
import importlib
import glob
import os
import re
import sys
import unittest

import machine
from scenario import CID, SECRET

MARK = re.compile(r"@vm (begin|end|broken:) ?(.*)")
SAID = re.compile(r"([a-z][a-z0-9_-]*)\| (.*)")
AGENT = "vouchsafe-agent: "


def all_scenarios():
    """Of every table beside this file."""
    tables = sorted(glob.glob(os.path.join(machine.HERE, "scenarios_*.py")))
    names = [os.path.splitext(os.path.basename(path))[0] for path in tables]
    return [one for name in names for one in importlib.import_module(name).SCENARIOS]


def boots(scenarios):
    """Those for one boot each: nothing can come behind a scenario that ends the machine."""
    ordinary = [one for one in scenarios if not one.first_process]
    last = [one for one in scenarios if one.first_process]
    yield ordinary + last[:1]
    yield from ([one] for one in last[1:])


def files_for(scenarios, end=""):
    """What the machine needs for them, one after the other."""
    with open(os.path.join(machine.HERE, "guest.sh"), encoding="ascii") as file:
        lines = [file.read(), "nsm", "parent", "say ready"]
    files = {"vm/image": "the program's image", "vm/secret": SECRET}
    for one in scenarios:
        files[f"vm/{one.name}/name"] = one.name
        files.update({f"vm/{one.name}/{name}": text for name, text in one.files.items()})
        lines += one.script()
        if one.first_process:
            files["vm/last"] = f"#!/bin/sh\ncd /vm/{one.name}\nexec {one.enclave}\n"
    files["vm/main"] = "\n".join([*lines, end, ""])
    return files


def sort_lines(lines):
    """Scenario -> program -> its lines, and scenario -> status, of a console."""
    said, statuses, current = {}, {}, ""
    for line in lines:
        mark, words = MARK.search(line), SAID.match(line)
        if mark and mark[1] == "begin":
            current = mark[2]
        elif mark and mark[1] == "end":
            name, status = re.match(r"(\S+) status=(\d+) ", mark[2]).groups()
            statuses[name] = int(status)
        elif words:
            said.setdefault(current, {}).setdefault(words[1], []).append(words[2])
        said.setdefault(current, {}).setdefault("console", []).append(line)
    return said, statuses


def agent_lines(lines):
    """What the agent said among them: its lines, and those that belong to one of them."""
    of_agent = False
    for line in lines:
        of_agent = line.startswith(AGENT) or (of_agent and line.startswith("  "))
        if of_agent:
            yield line


class Machine(unittest.TestCase):
    """One test for each scenario (below); one boot for nearly all of them."""
    scenarios = all_scenarios()
    show = False

    @classmethod
    def setUpClass(cls):
        cls.said, cls.statuses = {}, {}
        for scenarios in boots(cls.scenarios):
            with machine.needed():
                lines = machine.boot(machine.equipped(files_for(scenarios)), cls.show)
            said, statuses = sort_lines(lines)
            cls.said.update(said)
            cls.statuses.update(statuses)

    def check(self, one):
        said = self.said.get(one.name)
        self.assertIsNotNone(said, "it was not reached:\n" + "\n".join(self.said[""]["console"]))
        console = "\n".join(said["console"])
        if not one.first_process:
            self.assertEqual(self.statuses.get(one.name), one.status, console)
        mine = said.get("console" if one.first_process else "enclave", [])
        heard = [line.removeprefix(CID) for line in
                 (mine if one.first_process else said.get("relay", [])) if line.startswith(CID)]
        for name, texts, lines in (
                ("enclave", one.says, mine), ("the agent, to its parent,", one.told, heard),
                *((name, texts, said.get(name, [])) for name, texts in one.parent_says.items())):
            for text in texts:
                self.assertTrue(any(text in line for line in lines),
                                f"{name} never said {text!r}:\n{console}")
        for text in one.never:
            self.assertNotIn(text, console)
        if one.hears:
            unheard = collections.Counter(agent_lines(mine)) - collections.Counter(heard)
            self.assertFalse(unheard, f"the parent did not read these lines of:\n{console}")


def add_tests():
    for one in Machine.scenarios:
        setattr(Machine, f"test_{one.name}", lambda self, one=one: self.check(one))


def main():
    words = sys.argv[1:]
    if words == ["--shell"]:
        machine.boot(machine.equipped(files_for([], end="sh -i || true")), by_hand=True)
        return
    image = words[1] if words[:1] == ["--initramfs"] and len(words) > 2 else None
    names = words[2:] if image else words
    known = {one.name: one for one in Machine.scenarios}
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"no scenario {unknown[0]}; there are {' '.join(known)}")
    if names:
        Machine.scenarios = [known[name] for name in names]
        Machine.show = True
    if image:
        machine.write_initramfs(image, machine.equipped(files_for(Machine.scenarios),
                                                        modules=False))
        return
    add_tests()
    unittest.main(argv=sys.argv[:1])


if __name__ == "__main__":
    main()
