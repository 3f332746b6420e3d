"""The two tables of tests/vectors, for tests of whole programs; tests/unit/vectors.h has the
rules. Files are named below the folder of published vectors."""
import collections
import fnmatch
import glob
import os
import sys

SOURCE = os.environ.get("VOUCHSAFE_SOURCE",
                        os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
FOLDER = os.path.join(os.environ.get("VOUCHSAFE_SHARED", os.path.join(SOURCE, "../shared")),
                      "vectors")
Row = collections.namedtuple("Row", "test file case theirs ours reason")


def demand():
    """Ends the program where the vectors are missing: a skip, and with CI=true a failure."""
    if os.path.isdir(FOLDER):
        return
    must = os.environ.get("CI") == "true"
    print(f"{'FAILED' if must else 'SKIPPED'}: no test data at {FOLDER} (set VOUCHSAFE_SHARED)",
          file=sys.stderr)
    sys.exit(1 if must else 77)


def table(name, columns, source=SOURCE):
    """The rows of tests/vectors/NAME.tsv, as lists; ValueError for another number of columns."""
    with open(os.path.join(source, "tests/vectors", name), encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    for row in rows:
        if len(row) != columns or not all(row):
            raise ValueError(f"{name}: not {columns} columns: {row}")
    return rows


def drivers(source=SOURCE):
    return [tuple(row) for row in table("drivers.tsv", 2, source)]


def rows(source=SOURCE):
    return [Row(*row) for row in table("verdicts.tsv", 6, source)]


def expand(pattern, folder=FOLDER):
    """What glob(3) makes of it: a star stays in its folder."""
    return [os.path.relpath(path, folder) for path in sorted(glob.glob(os.path.join(folder, pattern)))]


def read(name):
    with open(os.path.join(FOLDER, name), "rb") as file:
        return file.read()


class Judge:
    """Collects what a test says to its cases; `end` gives everything that is wrong."""

    def __init__(self, test):
        self.test = test
        self.files = [f for pattern, driven_by in drivers() if driven_by == test
                      for f in expand(pattern)]
        self.rows = [row for row in rows() if row.test == test]
        self.used = set()
        self.seen = set()
        self.wrong = [] if self.files else [f"{test} drives nothing"]
        self.cases = 0
        self.differ = 0

    def judge(self, file, case, theirs, usual, ours):
        """`usual`: what ours is without a row; None where only a row can say so."""
        self.cases += 1
        self.seen.add(file)
        for row in self.rows:
            if row.theirs == theirs and fnmatch.fnmatchcase(file, row.file) and \
                    fnmatch.fnmatchcase(case, row.case):
                self.differ += 1
                if row.ours != usual:
                    self.used.add(row)
                expected = row.ours
                break
        else:
            expected = usual
        if expected != ours:
            self.wrong.append(f"not as expected ({expected}):\n" +
                              "\t".join((self.test, file, case, theirs, ours)))

    def end(self):
        unused = [f"no case needs the row {row}" for row in self.rows if row not in self.used]
        print(f"{self.test}: {self.cases} cases of {len(self.files)} files, {self.differ} of them "
              f"by {len(self.rows)} rows")
        return self.wrong + unused + [f"{f}: no case in it" for f in self.files
                                      if f not in self.seen]
