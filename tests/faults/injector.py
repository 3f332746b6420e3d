"""Steers the fault injector in another process (inject.h), and looks into its memory."""
import mmap
import os
import re
import struct

SOURCE = os.environ.get("VOUCHSAFE_SOURCE",
                        os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
LIBRARY = os.environ.get("VOUCHSAFE_INJECT_LIBRARY",
                         os.path.join(SOURCE, "build/plain/tests/faults/libinject.so"))
SEED = int(os.environ.get("FAULTS_SEED", "1"))
STRIDE = int(os.environ.get("FAULTS_STRIDE", "1"))

ALLOC, OPENSSL, SQLITE, FILE, NET, SYSTEM, HTTP = (1 << i for i in range(7))
NAMES = {ALLOC: "alloc", OPENSSL: "openssl", SQLITE: "sqlite", FILE: "file", NET: "net",
         SYSTEM: "system", HTTP: "http"}

# struct inject_control: numbers of 64 bits, then the last failure in words.
FIELDS = ("classes", "at", "rate", "seed", "variant", "own", "stop", "calls", "failed")
LAST_LEN = 256


def sanitizers_second(closely=False):
    """For a process that loads the injector before all else: a sanitizer's own library is not the
    first then, and would end the process for it, with status 1 and nothing of its own said.
    Closely: through libraries without frame pointers, which is slow, so that what they leak
    themselves is told from what we leak."""
    options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    if not closely:
        return {"ASAN_OPTIONS": options}
    return {"ASAN_OPTIONS": options + ":fast_unwind_on_malloc=0",
            "LSAN_OPTIONS": "print_suppressions=0:suppressions="
                            + os.path.join(SOURCE, "tests/faults/lsan.supp")}


class Injector:
    """One control block in a file, for one process at a time."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.write(bytes(8 * len(FIELDS) + LAST_LEN))
        with open(path, "r+b") as file:
            self.block = mmap.mmap(file.fileno(), 0)

    def environment(self):
        """For the process that is to be steered."""
        return {"LD_PRELOAD": LIBRARY, "INJECT_FILE": self.path,
                **sanitizers_second(closely=self.get("classes") == ALLOC)}

    def get(self, name):
        return struct.unpack_from("=Q", self.block, 8 * FIELDS.index(name))[0]

    def set(self, name, value):
        struct.pack_into("=Q", self.block, 8 * FIELDS.index(name), value)

    def arm(self, classes, **settings):
        """Begins anew; what is not named is 0.  The classes come last: they arm it."""
        self.set("classes", 0)
        for name in FIELDS[1:]:
            self.set(name, settings.get(name, 0))
        self.block[8 * len(FIELDS):] = bytes(LAST_LEN)
        self.set("classes", classes)

    def disarm(self):
        """How many calls there were, and whether one failed."""
        self.set("classes", 0)
        return self.get("calls"), self.get("failed") > 0

    @property
    def last(self):
        return self.block[8 * len(FIELDS):].split(b"\0")[0].decode()


def places(calls, wanted, seed=SEED):
    """About `wanted` of the numbers 1..calls, evenly, beginning where the seed says; all
    of them where there are no more."""
    step = max(1, calls * STRIDE // wanted)
    return range(1 + seed % step, calls + 1, step)


PART = 16  # bytes: a part as long as this is a find


def parts(value):
    """From the beginning, the middle and the end of a value."""
    middle = len(value) // 2
    return {value[:PART], value[middle:middle + PART], value[-PART:]}


class Memory:
    """What a process has mapped and may read.  Root alone may look, for the programs are
    not dumpable."""

    def __init__(self, pid):
        self.pid = pid

    def mappings(self):
        """(from, to, line, whether it is the locked arena)"""
        with open(f"/proc/{self.pid}/smaps", encoding="utf-8") as file:
            text = file.read()
        for entry in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", text, flags=re.M)[1:]:
            begin, end, mode = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", entry).groups()
            flags = re.search(r"^VmFlags:(.*)$", entry, re.M)[1].split()
            if "r" in mode:
                yield (int(begin, 16), int(end, 16), entry.splitlines()[0],
                       "lo" in flags and "dd" in flags)

    def find(self, *values):
        """{(value's number, whether in the arena, mapping)} of all places that hold a part
        of one."""
        found = set()
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as file:
            for begin, end, line, arena in self.mappings():
                try:
                    file.seek(begin)
                    data = file.read(end - begin)
                except (OSError, ValueError, OverflowError):
                    continue  # the kernel's own pages
                for number, value in enumerate(values):
                    if any(part in data for part in parts(value)):
                        found.add((number, arena, line))
        return found


