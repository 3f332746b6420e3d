"""Section 2 of docs/VERIFICATION.md: CBOR, item by item."""
from rules import Refused

UINT, NINT, BYTES, TEXT, ARRAY, MAP, TAG, NULL, BREAK, OTHER = range(10)


class Item:
    def __init__(self, kind, offset, value=0, content=b"", indefinite=False):
        self.kind, self.offset, self.value = kind, offset, value
        self.content, self.indefinite = content, indefinite


class Reader:
    """`base` is where `data` begins in the document; `field` what is being read."""

    def __init__(self, data, base, field):
        self.data, self.base, self.field, self.pos = data, base, field, 0

    def refuse(self, rule, pos):
        raise Refused(rule, self.field, self.base + pos)

    def item(self, break_here=False, indefinite_map=False):
        data, at = self.data, self.pos
        if at >= len(data):
            self.refuse("CBOR-1", at)
        major, info = data[at] >> 5, data[at] & 31
        if 28 <= info <= 30:
            self.refuse("CBOR-2", at)
        head = 1 + (1 << (info - 24) if 24 <= info <= 27 else 0)
        if at + head > len(data):
            self.refuse("CBOR-3", at)
        if info == 31:
            return self.indefinite(major, at, break_here, indefinite_map)
        value = info if info < 24 else int.from_bytes(data[at + 1:at + head], "big")
        left = len(data) - at - head
        content = b""
        if major in (2, 3):
            if value > left:
                self.refuse("CBOR-7", at)
            content = data[at + head:at + head + value]
        if major == 7 and info == 24 and value < 32:
            self.refuse("CBOR-9", at)
        if (major == 4 and value > left) or (major == 5 and value > left // 2) or \
                (major == 6 and left == 0):
            self.refuse("CBOR-10", at)
        shortest = 1 if value < 24 else 2 if value < 1 << 8 else 3 if value < 1 << 16 else \
            5 if value < 1 << 32 else 9
        if major != 7 and head != shortest:
            self.refuse("CBOR-11", at)
        if major == 3:
            try:
                content.decode("utf-8", "strict")
            except UnicodeDecodeError:
                self.refuse("CBOR-12", at)
        self.pos = at + head + len(content)
        kind = major if major < 7 else NULL if info == 22 else OTHER
        return Item(kind, self.base + at, value, content)

    def indefinite(self, major, at, break_here, indefinite_map):
        if major in (2, 3, 4) or (major == 5 and not indefinite_map):
            self.refuse("CBOR-4", at)
        if major == 7 and not break_here:
            self.refuse("CBOR-5", at)
        if major in (0, 1, 6):
            self.refuse("CBOR-6", at)
        self.pos = at + 1
        return Item(MAP if major == 5 else BREAK, self.base + at, indefinite=True)

    def expect(self, kind, **allowed):
        at = self.pos
        item = self.item(**allowed)
        if item.kind != kind:
            self.refuse("CBOR-13", at)
        return item

    def peek(self):
        at = self.pos
        item = self.item()
        self.pos = at
        return item

    def more(self, outer, done):
        """Whether another key of the map `outer` follows, of which `done` were read."""
        if not outer.indefinite:
            return done < outer.value
        at = self.pos
        if self.item(break_here=True).kind == BREAK:
            return False
        self.pos = at
        return True

    def end(self):
        if self.pos != len(self.data):
            self.refuse("CBOR-15", self.pos)
