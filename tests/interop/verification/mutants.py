"""Damaged documents: some of each kind without chance, and any number by a seed."""


# ---- CBOR, leniently: only what genuine documents are ----

def head(major, value):
    if value < 24:
        return bytes([major << 5 | value])
    size = 1 if value < 1 << 8 else 2 if value < 1 << 16 else 4 if value < 1 << 32 else 8
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size]]) + value.to_bytes(size, "big")


def string(content, major=2):
    return head(major, len(content)) + content


def take(data, at):
    """(major, value or None, where its content begins)"""
    info = data[at] & 31
    if info == 31:
        return data[at] >> 5, None, at + 1
    size = 1 << (info - 24) if info >= 24 else 0
    value = int.from_bytes(data[at + 1:at + 1 + size], "big") if size else info
    return data[at] >> 5, value, at + 1 + size


def item_end(data, at):
    major, value, at = take(data, at)
    if major in (2, 3):
        return at + value
    if major in (4, 5):
        for _ in range(value * (major - 3)):
            at = item_end(data, at)
    return at


class Document:
    """A valid document taken apart: encoded keys and values of the payload, in order."""

    def __init__(self, data):
        at = 1 if data[0] == 0x84 else 2
        self.front = data[:at]
        ends = [at]
        for _ in range(4):
            ends.append(item_end(data, ends[-1]))
        self.protected, self.unprotected, payload, self.signature = (
            data[ends[i]:ends[i + 1]] for i in range(4))
        payload = payload[take(payload, 0)[2]:]
        _, count, at = take(payload, 0)
        self.indefinite = count is None
        self.entries = []
        while at < len(payload) and payload[at] != 0xff:
            middle = item_end(payload, at)
            end = item_end(payload, middle)
            self.entries.append([payload[at:middle], payload[middle:end]])
            at = end

    def payload(self):
        body = b"".join(key + value for key, value in self.entries)
        return b"\xbf" + body + b"\xff" if self.indefinite else head(5, len(self.entries)) + body

    def build(self, payload=None):
        return self.front + self.protected + self.unprotected + \
            string(self.payload() if payload is None else payload) + self.signature

    def entry(self, name):
        return next(e for e in self.entries if e[0] == string(name.encode(), 3))

    def bundle(self):
        value = self.entry("cabundle")[1]
        _, count, at = take(value, 0)
        ders = []
        for _ in range(count):
            end = item_end(value, at)
            ders.append(value[take(value, at)[2]:end])
            at = end
        return ders

    def set_bundle(self, ders):
        self.entry("cabundle")[1] = head(4, len(ders)) + b"".join(map(string, ders))

    def certificates(self):
        value = self.entry("certificate")[1]
        return [*self.bundle(), value[take(value, 0)[2]:]]

    def set_certificates(self, ders):
        self.set_bundle(ders[:-1])
        self.entry("certificate")[1] = string(ders[-1])


# ---- bytes anywhere ----

def change_bytes(rng, data):
    data = bytearray(data)
    at = rng.randrange(len(data)) if data else 0
    how = rng.randrange(6)
    if how == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif how == 1:
        data[at] = rng.choice((0, 0x18, 0x5f, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xf6, 0xff,
                               rng.randrange(256)))
    elif how == 2:
        del data[at:at + rng.choice((1, 1, 2, 48))]
    elif how == 3:
        data[at:at] = rng.randbytes(rng.choice((1, 1, 2, 9)))
    elif how == 4:
        del data[at:]
    else:
        data += rng.randbytes(rng.randint(1, 3))
    return bytes(data)


# ---- CBOR items ----

ITEMS = [bytes.fromhex(h) for h in (
    "00", "1817", "1903e8", "1b8000000000000000", "1b7fffffffffffffff", "1bffffffffffffffff", "20",
    "40", "4100", "5800", "5f4100ff", "590000", "58", "60", "6100", "61ff", "62c328", "7f6161ff",
    "80", "8100", "9f00ff", "9800", "9bffffffffffffffff", "a0", "a10000", "bfff", "b800",
    "a2000000", "c000", "c0", "d200", "d81200", "f4", "f5", "f6", "f7", "e0", "f800", "f820", "f97e00",
    "fa00000000", "fb0000000000000000", "fc", "fd", "fe", "ff", "1c", "1f", "3f", "5c", "df00",
    "665348413338", "66534841333834", "66534841353132")]
KEYS = (b"module_id", b"digest", b"timestamp", b"pcrs", b"nitrotpm_pcrs", b"certificate",
        b"cabundle", b"public_key", b"user_data", b"nonce", b"", b"Nonce", b"x", b"pcr", b"my_PCRs",
        b"p\0c", b"\xc3\xbc", b"pCr" + b"y" * 80, b"z" * 300)

FRONTS = (b"\x83", b"\x85", b"\xd2\x83", b"\xd1\x84", b"\xd2\xd2\x84", b"\x9f", b"\xd8\x12\x84",
          b"\x98\x04", b"", b"\xa2", b"\x9b")


def long_head(rng, item):
    """The same item with its argument in a longer form."""
    major, value, at = take(item, 0)
    if value is None:
        return item
    size = rng.choice([s for s in (1, 2, 4, 8) if s >= at and value < 1 << 8 * s] or [8])
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size]]) + \
        value.to_bytes(size, "big") + item[at:]


def any_item(rng, old):
    return rng.choice((
        lambda: rng.choice(ITEMS), lambda: rng.choice(ITEMS), lambda: long_head(rng, old),
        lambda: string(rng.randbytes(rng.choice((0, 1, 47, 48, 49, 512, 1024, 1025)))),
        lambda: change_bytes(rng, old), lambda: old + rng.choice(ITEMS),
        lambda: bytes([0xd2]) + old))()


def change_envelope(rng, d):
    part = rng.choice(("front", "protected", "unprotected", "signature", "payload", "end"))
    if part == "front":
        d.front = rng.choice(FRONTS)
    elif part == "payload":
        whole = d.build()
        old = string(d.payload())
        return whole.replace(old, rng.choice((
            b"\x40", b"\xf6", string(bytes(16384)), string(bytes(16385)), string(b"\xa0"),
            string(b""), long_head(rng, old), any_item(rng, old))), 1)
    elif part == "end":
        return d.build() + rng.randbytes(rng.choice((1, 40000)))
    else:
        setattr(d, part, any_item(rng, getattr(d, part)))
    return d.build()


def change_entries(rng, d):
    entries = d.entries
    i = rng.randrange(len(entries))
    how = rng.randrange(9)
    if how == 0:
        del entries[i]
    elif how == 1:
        entries.insert(rng.randrange(len(entries) + 1), list(entries[i]))
    elif how == 2:
        rng.shuffle(entries)
    elif how in (3, 4):
        entries[i][1] = any_item(rng, entries[i][1])
    elif how == 5:
        entries[i][0] = any_item(rng, entries[i][0])
    elif how == 6:
        entries[i][0] = string(rng.choice(KEYS), 3)
    elif how == 7:
        entries.insert(i, [string(rng.choice(KEYS), 3), any_item(rng, b"\xf6")])
    else:
        d.indefinite = not d.indefinite
        payload = d.payload()
        return d.build(rng.choice((payload, payload + b"\0", payload[:-1], payload[:-1] + b"\x79")))
    return d.build()


def change_pcrs(rng, d):
    pcrs = [[head(0, i), string(bytes([i]) * 48)] for i in range(rng.choice((1, 2, 16, 32)))]
    pcr = rng.choice(pcrs)
    how = rng.randrange(7)
    if how == 0:
        pcr[0] = rng.choice((head(0, 32), head(0, 2**64 - 1), b"\x20", b"\x61\x30", b"\x18\x03",
                             head(0, rng.randrange(40)), b"\xff"))
    elif how == 1:
        pcr[1] = any_item(rng, pcr[1])
    elif how == 2:
        pcrs.append(list(pcr))
    elif how == 3:
        pcrs = [[head(0, i % 32), string(bytes(48))] for i in range(rng.choice((0, 33)))]
    elif how == 4:
        pcr[1] = string(bytes(rng.choice((0, 32, 47, 49, 64))))
    value = head(5, len(pcrs)) + b"".join(map(b"".join, pcrs))
    if how == 5:
        value = long_head(rng, value)
    elif how == 6:
        value = b"\xbf" + value[1:] + b"\xff"
    entry = d.entry("pcrs")
    entry[1] = value
    if rng.randrange(4) == 0:
        entry[0] = string(b"nitrotpm_pcrs", 3)
    return d.build()


# ---- certificates ----

def der_head(tag, length):
    if length < 0x80:
        return bytes([tag, length])
    return bytes([tag, 0x81, length]) if length < 0x100 else \
        bytes([tag, 0x82]) + length.to_bytes(2, "big")


def der_split(data):
    """[(tag, content)], of DER that is known to be good."""
    found, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7f
            length, at = int.from_bytes(data[at:at + size], "big"), at + size
        found.append((tag, data[at:at + length]))
        at += length
    return found


CONSTRUCTED = (0x30, 0x31, 0xa0, 0xa3)


def der_change(rng, data):
    """One element somewhere inside changed, the lengths around it put right."""
    elements = der_split(data)
    i = rng.randrange(len(elements))
    tag, content = elements[i]
    encoded = [der_head(t, len(c)) + c for t, c in elements]
    if tag in CONSTRUCTED and content and rng.randrange(6) != 0:
        inner = der_change(rng, content)
        encoded[i] = der_head(tag, len(inner)) + inner
    else:
        encoded[i] = der_element(rng, tag, content)
        if rng.randrange(8) == 0:
            encoded.insert(i, encoded[i])
        elif rng.randrange(8) == 0:
            del encoded[i]
    return b"".join(encoded)


def der_element(rng, tag, content):
    how = rng.randrange(6)
    if how == 0:
        return der_head(rng.choice((1, 2, 3, 4, 5, 6, 0x0c, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1e, 0x30,
                                    0x31, 0xa1, 0xa3)), len(content)) + content
    if how == 1:  # BER
        return rng.choice((bytes([tag, 0x81]) + bytes([len(content) & 0xff]) + content,
                           bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content,
                           bytes([tag, 0x83, 0]) + len(content).to_bytes(2, "big") + content,
                           bytes([tag, 0x80]) + content + b"\0\0"))
    if how == 2:
        content = rng.choice((b"", b"\0", b"\xff", b"\0\1", b"\x80", b"\x7f" * 21, b"\1" * 22,
                              content + b"\0", b"\0" + content))
    elif content:
        content = change_bytes(rng, content)
    return der_head(tag, len(content)) + content


TIMES = (b"491231235959Z", b"500101000000Z", b"240229000000Z", b"230229000000Z", b"261301000000Z",
         b"260100000000Z", b"260101240000Z", b"260101006000Z", b"260101000060Z", b"2601010000Z",
         b"260101000000+", b"26010100000aZ")
EXTENSIONS = [bytes.fromhex(h) for h in (
    "300c0603551d130101ff04023000", "300f0603551d130101ff040530030101ff",
    "30120603551d130101ff040830060101ff020100", "30120603551d130101ff040830060101ff0201ff",
    "300f0603551d130101ff04053003010100",
    "300f0603551d130101ff04053003010101", "30100603551d130101ff0406300401010105",
    "300c0603551d13040530030101ff", "300e0603551d0f0101ff040403020284",
    "300e0603551d0f0101ff040403020106",
    "300e0603551d0f0101ff040403020780", "300e0603551d0f0101ff040403020680",
    "300d0603551d0f0101ff0403030100", "300d0603551d0f0101ff0403030101",
    "300e0603551d0f0101ff040403020001", "300e0603551d0f0101ff040403020107",
    "300e0603551d0f0101ff040403020800", "300b0603551d0f040403020780",
    "300a0603551d1e0101ff0400", "30070603551d1e0400", "300d0603551d1304063004020200ff",
    "300d0603551d130406300402020080", "300c0603551d1304053003020100")]


def edit_tbs(der, position, edit):
    """`position` counts the fields of the tbs: 1 serial .. 6 key, 7 extensions."""
    certificate = der_split(der_split(der)[0][1])
    tbs = der_split(certificate[0][1])
    tbs[position] = (tbs[position][0], edit(tbs[position][1]))
    certificate[0] = (0x30, b"".join(der_head(t, len(c)) + c for t, c in tbs))
    body = b"".join(der_head(t, len(c)) + c for t, c in certificate)
    return der_head(0x30, len(body)) + body


def change_extensions(rng, content):
    entries = [der_head(t, len(c)) + c for t, c in der_split(der_split(content)[0][1])]
    how = rng.randrange(4)
    i = rng.randrange(len(entries))
    new = rng.choice(EXTENSIONS)
    same = [k for k, e in enumerate(entries) if e[4:7] == new[4:7]]
    if how == 0:
        del entries[i]
    elif how == 1:
        entries.insert(i, rng.choice((entries[i], new)))
    else:
        entries[same[0] if same else i] = new
    body = b"".join(entries)
    return der_head(0x30, len(body)) + body


def change_validity(rng, content):
    times = der_split(content)
    times[rng.randrange(2)] = rng.choice(((0x17, rng.choice(TIMES)),
                                          (0x18, b"20" + rng.choice(TIMES)),
                                          (0x18, rng.choice(TIMES))))
    return b"".join(der_head(t, len(c)) + c for t, c in times)


def change_key(rng, content):
    content = bytearray(content)
    content[rng.choice((0, 5, 20, 21, 22, 40, 80, len(content) - 1))] ^= 1 << rng.randrange(8)
    return bytes(content)


def change_certificate(rng, d):
    ders = d.certificates()
    i = rng.randrange(len(ders))
    if rng.randrange(8):
        i = rng.randrange(1, len(ders))  # not the root: it is compared whole
    how = rng.randrange(7)
    if how == 0:
        ders[i] = change_bytes(rng, ders[i])
    elif how == 1:
        ders[i] = edit_tbs(ders[i], 7, lambda c: change_extensions(rng, c))
    elif how == 2:
        ders[i] = edit_tbs(ders[i], 4, lambda c: change_validity(rng, c))
    elif how == 3:
        ders[i] = edit_tbs(ders[i], 6, lambda c: change_key(rng, c))
    elif how == 4:
        ders[i] = edit_tbs(ders[i], rng.choice((3, 5)), lambda c: rng.choice((b"", c + c)))
    else:
        ders[i] = der_change(rng, ders[i])
    d.set_certificates(ders)
    return d.build()


def change_chain(rng, d):
    ders = d.certificates()
    i, j = rng.randrange(len(ders)), rng.randrange(len(ders))
    how = rng.randrange(5)
    if how == 0:
        ders[i], ders[j] = ders[j], ders[i]
    elif how == 1 and len(ders) > 2:
        del ders[i]
    elif how == 2:
        ders.insert(i, ders[j])
    elif how == 3:
        ders[i] = ders[j]
    else:
        ders = [ders[0]] * rng.choice((1, 7, 8, 9)) + ders[1:]
    d.set_certificates(ders)
    return d.build()


def change_time(rng, d):
    stamp = d.entry("timestamp")
    value = take(stamp[1], 0)[1]
    stamp[1] = head(0, max(0, value + rng.choice((-1, 1)) * rng.choice(
        (1, 1000, 59000, 61000, 3 * 3600000, 10803000, 86400000, 30 * 86400000, 40 * 365 * 86400000))))
    return d.build()


def change_signature(rng, d):
    n = bytes.fromhex("ffffffffffffffffffffffffffffffffffffffffffffffff"
                      "c7634d81f4372ddf581a0db248b0a77aecec196accc52973")
    half = rng.choice((bytes(48), n, b"\xff" * 48, n[:-1] + b"\x72", bytes(47) + b"\1"))
    raw = d.signature[-96:]
    d.signature = string(half + raw[48:] if rng.randrange(2) else raw[:48] + half)
    return d.build()


def mutant(rng, data):
    change = rng.choices(
        (change_envelope, change_entries, change_pcrs, change_certificate, change_chain, change_time,
         change_signature, None), (2, 4, 2, 8, 2, 1, 1, 3))[0]
    if change is None:
        return change_bytes(rng, data)
    return change(rng, Document(data))


# ---- without chance ----

CONTENTS = (b"", b"\0", b"\xff", b"\0\1", b"\x80", b"\x7f" * 21, b"\1" * 22)


def systematic(data):
    """At each place of a document each of the lists above: every rule is broken by one of these."""
    def with_entry(i, part, value):
        d = Document(data)
        d.entries[i][part] = value
        return d.build()

    def with_part(name, value):
        d = Document(data)
        setattr(d, name, value)
        return d.build()

    def with_certificate(i, der):
        d = Document(data)
        ders = d.certificates()
        ders[i] = der
        d.set_certificates(ders)
        return d.build()

    good = Document(data)
    pcr = string(bytes(48))
    for value in (b"\xa1\x18\x20" + pcr, b"\xa2\0" + pcr + b"\0" + pcr):
        yield with_entry([e[0] for e in good.entries].index(string(b"pcrs", 3)), 1, value)
    yield with_part("signature", string(bytes(96)))
    for i in range(len(good.entries)):
        yield with_part("entries", good.entries[:i] + good.entries[i + 1:])
        yield from (with_entry(i, 0, string(key, 3)) for key in KEYS)
        yield from (with_entry(i, part, item) for part in (0, 1) for item in ITEMS)
    for name in ("protected", "unprotected", "signature"):
        yield from (with_part(name, item) for item in ITEMS)
    yield from (with_part("front", front) for front in FRONTS)
    payload = string(good.payload())
    for item in (*ITEMS, string(bytes(16385)), string(good.payload() + b"\0"),
                 string(good.payload()[:-1] + b"\x79")):
        yield good.build().replace(payload, item, 1)
    yield good.build() + b"\0"
    yield good.build() + bytes(40000)
    for i, der in enumerate(good.certificates()):
        yield with_certificate(i, good.certificates()[i - 1])
        yield with_certificate(i, edit_tbs(der, 0, lambda _: b"\2\1\1"))
        yield with_certificate(i, edit_tbs(der, 6, lambda c: c[:-1] + bytes([c[-1] ^ 1])))
        for position in range(1, 8):
            yield from (with_certificate(i, edit_tbs(der, position, lambda _, c=c: c))
                        for c in CONTENTS)
        yield from (with_certificate(i, edit_tbs(der, 4, lambda _, t=t: der_head(0x17, len(t)) + t +
                                                 der_head(0x17, 13) + b"491231235959Z"))
                    for t in TIMES)
        for new in EXTENSIONS:
            yield with_certificate(i, edit_tbs(der, 7, lambda c, new=new: replace_extension(c, new)))
            yield with_certificate(i, edit_tbs(der, 7, lambda c, new=new: add_extension(c, new)))


def extension_list(content):
    return [der_head(t, len(c)) + c for t, c in der_split(der_split(content)[0][1])]


def add_extension(content, new):
    body = b"".join([*extension_list(content), new])
    return der_head(0x30, len(body)) + body


def replace_extension(content, new):
    body = b"".join(new if e[4:7] == new[4:7] else e for e in extension_list(content))
    return der_head(0x30, len(body)) + body
