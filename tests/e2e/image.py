"""What `docker build` and an enclave's start make of packaging/enclave/Dockerfile, without Docker:
its instructions in a folder, and a chroot for the rest.
"""
import json
import os
import shlex
import shutil
import subprocess

# What stands for the base image, where no other root is given: a shell and what it needs.
TOOLS = ("/bin/sh", "/bin/cat")
# A whole Debian instead, by hand:
#   debootstrap --variant=minbase bookworm /tmp/root && VOUCHSAFE_IMAGE_ROOT=/tmp/root ...
BASE = os.environ.get("VOUCHSAFE_IMAGE_ROOT")


def put(file, root, at=None):
    """Copies a file, its mode too, to its place below root."""
    target = root + (at or file)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy(file, target)


def put_program(file, root, at=None):
    """With the libraries that it loads; a static one has none."""
    put(file, root, at)
    listed = subprocess.run(["ldd", file], capture_output=True, text=True, check=False).stdout
    for word in listed.split():
        if word.startswith("/") and not os.path.exists(root + word):
            put(word, root)


def instructions(path):
    with open(path, encoding="ascii") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                word, _, rest = line.strip().partition(" ")
                yield word, rest


def build(context, root):
    """Makes `root` of the Dockerfile in `context`; gives the command of its enclave."""
    entry, command = [], []
    for word, rest in instructions(os.path.join(context, "Dockerfile")):
        if word == "FROM":
            if BASE is not None:
                subprocess.run(["cp", "-a", BASE, root], check=True)
            elif rest != "scratch":
                for tool in TOOLS:
                    put_program(tool, root)
            # What nitro-cli makes in each image.
            for name in ("dev", "run", "sys", "var", "proc", "tmp"):
                os.makedirs(os.path.join(root, name), exist_ok=True)
        elif word == "COPY":
            source, target = rest.split()
            # The test's own agent need not be the static one.
            put_program(os.path.join(context, source), root, target)
        elif word == "ENTRYPOINT":
            entry = json.loads(rest)
        elif word == "CMD":
            command = json.loads(rest)
        else:
            raise ValueError(f"no Docker here, and nobody taught this test {word}")
    return entry + command


def run(root, command, **more):
    """The command in the root with a /proc, as AWS's init starts it; its descriptors are ours."""
    os.makedirs(root + "/proc", exist_ok=True)
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    script = f"mount --rbind /proc {shlex.quote(root)}/proc && exec chroot {shlex.quote(root)} \"$@\""
    return subprocess.run(["unshare", "--mount", *own, "sh", "-c", script, "sh", *command],
                          check=False, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, **more)
