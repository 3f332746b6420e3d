"""The errors of the rules, read from docs/VERIFICATION.md: what that page does not say, this
verifier does not know."""
import re


class Refused(Exception):
    """One broken rule: its id, the field and the byte offset (None where there is none)."""

    def __init__(self, rule, field="", offset=None):
        super().__init__(rule)
        self.rule, self.offset = rule, offset
        # Section 1: each byte outside 0x20..0x7e is shown as a question mark.
        raw = field.encode() if isinstance(field, str) else field
        self.field = "".join(chr(b) if 0x20 <= b <= 0x7e else "?" for b in raw)


def codes_of_page(page):
    """Rule -> error, of each row of the tables."""
    found = {}
    for line in page.splitlines():
        cells = [c.strip() for c in line.split("|")[1:-1]]
        if cells and re.fullmatch(r"[A-Z]+-\d+", cells[0]):
            found[cells[0]] = re.search(r"`(\w+)`", cells[3]).group(1)
    return found


def defences_of_page(page):
    """The rules that no document can break while those before them hold."""
    return set(re.findall(r"^\| ([A-Z]+-\d+) \|.*\| defence[^|]*\|$", page, re.M))
