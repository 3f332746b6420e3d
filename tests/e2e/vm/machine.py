"""An enclave-like machine: QEMU without hardware's help, Debian's own kernel, and in it the
programs of this tree, a /dev/nsm that the simulator answers, and vsock to itself (CID 1).

Nothing is installed for it and nothing needs root: the initramfs is written here, byte by
byte, from files that this machine has.  What happens inside leaves by the console, line by
line, and nothing is judged by how QEMU ends (a panic of the kernel ends it with 0).
"""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("VOUCHSAFE_SOURCE", os.path.join(HERE, "../../.."))
BUILD = os.environ.get("VOUCHSAFE_BUILD", os.path.join(SOURCE, "build/plain"))
KERNEL = os.path.join(SOURCE, "build/vm-kernel")
QEMU = "qemu-system-x86_64"
# Of one boot, of which half a minute is work, on a machine with much else to do: less than the
# test has, which then ends with what the console said.
TIMEOUT_S = 800

# In /bin: of this tree, by their place in the build; then this machine's own.
OURS = {
    "vouchsafe": "verifier/cli/vouchsafe",
    "vouchsafe-agent": "enclave-agent/vouchsafe-agent",
    "vouchsafe-nsm-sim": "enclave-agent/nsm-sim/vouchsafe-nsm-sim",
    "vouchsafe-nsm-cuse": "enclave-agent/nsm-sim/vouchsafe-nsm-cuse",
    "vouchsafe-vsock-relay": "enclave-agent/relay/vouchsafe-vsock-relay",
    "vm-ioctl": "tests/e2e/vm/vm-ioctl",
    "agent-peer": "tests/e2e/agent_peer",
}
# What an image ships, where it is built (-Dagent_static=true, as scripts/test has it).
STATIC = "enclave-agent/static/vouchsafe-agent"
OURS["agent-to-ship"] = (STATIC if os.path.exists(os.path.join(BUILD, STATIC))
                         else OURS["vouchsafe-agent"])
INIT = "tests/e2e/vm/vm-init"
THEIRS = ("cat", "chmod", "cp", "env", "ln", "mkdir", "rm", "sed", "setpriv", "sha256sum", "sleep",
          "socat", "stat", "timeout", "true", "unshare")

# Time is what the processor's instructions take, two nanoseconds each, and nobody waits for
# it to pass: what happens in there does not depend on what else this machine does, and a
# sleep costs nothing.
CPU = ("-cpu", "qemu64,+rdrand", "-icount", "shift=1,sleep=off")
# The kernel's tests of its own ciphers are as long as all the rest of its start; and where
# every process lies at the same addresses, QEMU translates each piece of code once, not for
# every process again, which is more than half of its work.  The last word is of AWS's command
# line, and Debian's kernel hands it to its /init, as it does with what it does not know.
PARAMETERS = "console=ttyS0 panic=-1 reboot=t cryptomgr.notests mitigations=off " \
             "random.trust_cpu=on norandmaps nomodules"


class Missing(Exception):
    """Something that scripts/setup would install."""


@contextlib.contextmanager
def needed():
    """Where something is missing a test of it is skipped; with CI=true it fails."""
    try:
        yield
    except Missing as missing:
        if os.environ.get("CI") == "true":
            raise
        raise unittest.SkipTest(str(missing)) from None


def find(name):
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        raise Missing(f"no {name} here: scripts/setup installs it")
    return path


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise Missing(f"no {path}: scripts/setup, then ninja, make it") from None


def libraries(program):
    """All that it loads, and the loader."""
    said = subprocess.run(["ldd", program], capture_output=True, check=False, text=True).stdout
    return re.findall(r"(/\S+) \(0x", said)


def programs():
    """Path inside -> content, for everything in /bin and what it loads."""
    here = {f"bin/{name}": os.path.join(BUILD, path) for name, path in OURS.items()}
    here.update({f"bin/{name}": find(name) for name in THEIRS})
    here.update({"bin/sh": find("dash"), "init": os.path.join(BUILD, INIT)})
    files = {name: read(path) for name, path in here.items()}
    for library in {library for path in here.values() for library in libraries(path)}:
        files[library.lstrip("/")] = read(library)
    return files


def kernel():
    """The folder that it lies in, with its modules."""
    if not os.path.isdir(KERNEL):
        raise Missing(f"no {KERNEL}: scripts/setup makes it")
    return KERNEL


def kernel_modules():
    return {f"lib/modules/{name}": read(os.path.join(KERNEL, name))
            for name in os.listdir(kernel()) if name.endswith(".ko")}


def equipped(files, modules=True):
    """All the programs, and these files besides (path -> text): path -> content."""
    return {**programs(), **(kernel_modules() if modules else {}),
            **{name: text.encode() for name, text in files.items()}}


def initramfs(files):
    """A cpio archive, "newc" (Documentation/driver-api/early-userspace in Linux): each file
    readable and executable by all, and the folders above them."""
    folders = {"dev"}
    for name in files:
        while name := os.path.dirname(name):
            folders.add(name)
    entries = [(name, 0o040755, b"") for name in sorted(folders)]
    entries += [(name, 0o100755, content) for name, content in sorted(files.items())]
    archive = bytearray()
    for inode, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        path = name.encode() + b"\0"
        numbers = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
        archive += b"070701" + "".join(f"{n:08X}" for n in numbers).encode() + path
        archive += b"\0" * (-len(archive) % 4) + content
        archive += b"\0" * (-len(archive) % 4)
    return bytes(archive)


def write_initramfs(path, files):
    with open(path, "wb") as file:
        file.write(initramfs(files))


def boot(files, show=False, by_hand=False):
    """Starts a machine with these files and no others (path -> content), and gives what its
    console said, all of it; `show` prints that as it comes.  `by_hand` leaves the console to
    the caller's terminal."""
    qemu = find(QEMU)
    with tempfile.TemporaryDirectory(prefix="vouchsafe-vm-") as folder:
        path = os.path.join(folder, "initramfs")
        write_initramfs(path, files)
        words = [qemu, "-M", "microvm,rtc=on,accel=tcg", *CPU, "-m", "256", "-nodefaults",
                 "-no-user-config", "-no-reboot", "-display", "none", "-serial",
                 "mon:stdio" if by_hand else "stdio",
                 "-kernel", os.path.join(kernel(), "vmlinuz"), "-initrd", path,
                 "-append", f"{PARAMETERS} loglevel={4 if show else 1}"]
        if by_hand:
            subprocess.run(words, check=False)
            return []
        return console(words, show)


def console(words, show):
    lines = []
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as machine:
        watchdog = threading.Timer(TIMEOUT_S, machine.kill)
        watchdog.daemon = True
        watchdog.start()
        for line in machine.stdout:
            text = line.decode(errors="backslashreplace").rstrip("\r\n")
            lines.append(text)
            if show:
                print(text, file=sys.stderr)
        watchdog.cancel()
        if machine.wait() != 0:
            lines.append(f"@vm broken: {words[0]} ended with {machine.returncode} after "
                         f"{TIMEOUT_S} s or less")
    return lines
