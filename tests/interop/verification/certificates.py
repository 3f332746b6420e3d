"""Sections 6 to 8 of docs/VERIFICATION.md: certificates, time, signatures."""
import functools

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from rules import Refused

VERSION = bytes.fromhex("a003020102")
ALGORITHM = bytes.fromhex("300a06082a8648ce3d040303")
KEY = bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004")
BASIC_CONSTRAINTS, KEY_USAGE = bytes.fromhex("551d13"), bytes.fromhex("551d0f")

# P-384, SEC 2 section 2.5.1
P = 2**384 - 2**128 - 2**96 + 2**32 - 1
B = 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef
N = 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973


class NotDer(Exception):
    pass


class Der:
    """Takes strict DER elements off the front of some bytes."""

    def __init__(self, data):
        self.data = data

    def next_is(self, tag):
        return self.data[:1] == bytes([tag])

    def take(self, tag):
        """(whole, content)"""
        data = self.data
        if len(data) < 2 or data[0] != tag:
            raise NotDer
        head, length = 2, data[1]
        if length in (0x81, 0x82):
            head += length - 0x80
            length = int.from_bytes(data[2:head], "big")
            if len(data) < head or length < (0x80 if head == 3 else 0x100):
                raise NotDer
        elif length >= 0x80:
            raise NotDer
        if len(data) < head + length:
            raise NotDer
        self.data = data[head + length:]
        return data[:head + length], data[head:head + length]

    def content(self, tag):
        return self.take(tag)[1]

    def end(self):
        if self.data:
            raise NotDer


def oid(der):
    content = der.content(0x06)
    if not content or content[-1] >= 0x80:
        raise NotDer
    for i, byte in enumerate(content):
        if byte == 0x80 and (i == 0 or content[i - 1] < 0x80):
            raise NotDer
    return content


def check_name(content):
    name = Der(content)
    while name.data:
        attributes = Der(name.content(0x31))
        if not attributes.data:
            raise NotDer
        while attributes.data:
            attribute = Der(attributes.content(0x30))
            oid(attribute)
            if attribute.next_is(0x0c):
                try:
                    attribute.content(0x0c).decode("utf-8", "strict")
                except UnicodeDecodeError as e:
                    raise NotDer from e
            else:
                attribute.content(0x13 if attribute.next_is(0x13) else 0x16)
            attribute.end()


def take_time(der):
    if der.next_is(0x17):
        text = der.content(0x17)
        if len(text) != 13:
            raise NotDer
    else:
        text = der.content(0x18)
        if len(text) != 15:
            raise NotDer
    return text


def read_extensions(content):
    """[(oid, critical, value)]"""
    outer = Der(content)
    entries = Der(outer.content(0x30))
    outer.end()
    if not entries.data:
        raise NotDer
    found = []
    while entries.data:
        entry = Der(entries.content(0x30))
        name, critical = oid(entry), False
        if entry.next_is(0x01):
            if entry.content(0x01) != b"\xff":
                raise NotDer
            critical = True
        found.append((name, critical, entry.content(0x04)))
        entry.end()
    return found


def milliseconds(text):
    """CERT-10; None where it is no time."""
    if text[-1:] != b"Z" or not text[:-1].isdigit():
        return None
    digits = text[:-1].decode()
    if len(digits) == 12:
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    year, month, day, hour, minute, second = (int(digits[:4]), *(int(digits[i:i + 2])
                                                                  for i in range(4, 14, 2)))
    if not (1 <= month <= 12 and hour <= 23 and minute <= 59 and second <= 59):
        return None
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = (31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]
    if not 1 <= day <= days:
        return None
    before = year - 1
    whole_days = (before * 365 + before // 4 - before // 100 + before // 400 - 719162 +
                  sum((31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[:month - 1]) +
                  day - 1)
    return ((whole_days * 24 + hour) * 60 + minute) * 60000 + second * 1000


def integer(content):
    """A DER INTEGER's content."""
    if not content or (len(content) > 1 and ((content[0] == 0 and content[1] < 0x80) or
                                             (content[0] == 0xff and content[1] >= 0x80))):
        raise NotDer
    return int.from_bytes(content, "big", signed=True)


class Certificate:
    """All CERT rules; a rule that is broken is kept, so that the same bytes are read once."""

    def __init__(self, der):
        self.is_ca = self.critical = self.may_sign = self.may_sign_certificates = False
        self.path_length = None
        self.broken = None
        try:
            self.read(der)
        except Refused as refused:
            self.broken = refused.rule

    def read(self, der):
        whole = Der(der)
        try:
            outer = Der(whole.content(0x30))
            whole.end()
            self.tbs, tbs = outer.take(0x30)
            outer_algorithm = outer.take(0x30)[0]
            signature = outer.content(0x03)
            outer.end()
            if signature[:1] != b"\0":
                raise NotDer
        except NotDer as e:
            raise Refused("CERT-1") from e
        self.signature = signature[1:]
        if not tbs.startswith(VERSION):
            raise Refused("CERT-2")
        try:
            extensions, times = self.read_fields(tbs[len(VERSION):])
        except NotDer as e:
            raise Refused("CERT-3") from e
        if self.algorithm != ALGORITHM or outer_algorithm != ALGORITHM:
            raise Refused("CERT-4")
        if len(self.key) != 120 or not self.key.startswith(KEY):
            raise Refused("CERT-5")
        serial = self.serial
        if not 1 <= len(serial) <= 21 or serial[0] >= 0x80 or \
                (len(serial) > 1 and serial[0] == 0 and serial[1] < 0x80):
            raise Refused("CERT-6")
        if b"\x30\x00" in (self.issuer, self.subject):
            raise Refused("CERT-7")
        self.x, self.y = (int.from_bytes(self.key[i:i + 48], "big") for i in (24, 72))
        if self.x >= P or self.y >= P or (self.y**2 - self.x**3 + 3 * self.x - B) % P != 0:
            raise Refused("CERT-9")
        self.not_before, self.not_after = (milliseconds(t) for t in times)
        if self.not_before is None or self.not_after is None or self.not_before > self.not_after:
            raise Refused("CERT-10")
        self.read_extensions(extensions)

    def read_fields(self, data):
        tbs = Der(data)
        self.serial = tbs.content(0x02)
        self.algorithm = tbs.take(0x30)[0]
        self.issuer, issuer = tbs.take(0x30)
        check_name(issuer)
        validity = Der(tbs.content(0x30))
        times = take_time(validity), take_time(validity)
        validity.end()
        self.subject, subject = tbs.take(0x30)
        check_name(subject)
        self.key = tbs.take(0x30)[0]
        extensions = read_extensions(tbs.content(0xa3)) if tbs.data else []
        tbs.end()
        return extensions, times

    def read_extensions(self, extensions):
        for i, (name, critical, _) in enumerate(extensions):
            if name in (other[0] for other in extensions[:i]):
                raise Refused("CERT-11")
            if critical and name not in (BASIC_CONSTRAINTS, KEY_USAGE):
                raise Refused("CERT-12")
        known = {name: (critical, value) for name, critical, value in extensions}
        if BASIC_CONSTRAINTS in known:
            self.critical, value = known[BASIC_CONSTRAINTS]
            self.read_basic_constraints(value)
        if KEY_USAGE in known:
            self.read_key_usage(known[KEY_USAGE][1])

    def read_basic_constraints(self, value):
        try:
            whole = Der(value)
            content = Der(whole.content(0x30))
            whole.end()
            if content.next_is(0x01):
                if content.content(0x01) != b"\xff":
                    raise NotDer
                self.is_ca = True
            length = integer(content.content(0x02)) if content.data else None
            content.end()
        except NotDer as e:
            raise Refused("CERT-13") from e
        if length is not None and not 0 <= length < 2**63:
            raise Refused("CERT-14")
        self.path_length = length

    def read_key_usage(self, value):
        try:
            whole = Der(value)
            content = whole.content(0x03)
            whole.end()
        except NotDer as e:
            raise Refused("CERT-15") from e
        if not content or content[0] > 7 or (len(content) == 1 and content[0] != 0) or \
                (len(content) > 1 and content[-1] & ((1 << content[0]) - 1)):
            raise Refused("CERT-15")
        bits = content[1] if len(content) > 1 else 0
        self.may_sign, self.may_sign_certificates = bool(bits & 0x80), bool(bits & 0x04)


@functools.lru_cache(4096)
def certificate_of(der):
    return Certificate(der)


def field_of(i, count):
    return "certificate" if i == count else f"cabundle[{i}]"


def check_rules(ders):
    """Section 6 over the bundle and, at the end, the leaf."""
    count = len(ders) - 1
    certificates = [certificate_of(der) for der in ders]
    for i, c in enumerate(certificates):
        def refuse(rule, field=field_of(i, count)):
            raise Refused(rule, field)
        if c.broken:
            refuse(c.broken)
        if i > 0 and (c.issuer != certificates[i - 1].subject or c.subject == c.issuer):
            refuse("CHAIN-1")
        if i < count:
            if not c.is_ca:
                refuse("CHAIN-2")
            if not c.critical:
                refuse("CHAIN-3")
            if not c.may_sign_certificates:
                refuse("CHAIN-4")
            if c.path_length is not None and c.path_length < count - 1 - i:
                refuse("CHAIN-5")
        else:
            if c.is_ca:
                refuse("CHAIN-6")
            if c.path_length is not None:
                refuse("CHAIN-7")
            if not c.may_sign:
                refuse("CHAIN-8")
            if c.may_sign_certificates:
                refuse("CHAIN-9")
    return certificates


def check_times(certificates, now_ms):
    for i, c in enumerate(certificates):
        field = field_of(i, len(certificates) - 1)
        if now_ms < c.not_before - 60000:
            raise Refused("TIME-1", field)
        if now_ms > c.not_after:
            raise Refused("TIME-2", field)


@functools.lru_cache(4096)
def verifies(x, y, r, s, message):
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1()).public_key()
    try:
        key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA384()))
    except InvalidSignature:
        return False
    return True


def signed(parent, certificate):
    try:
        whole = Der(certificate.signature)
        content = Der(whole.content(0x30))
        whole.end()
        r, s = integer(content.content(0x02)), integer(content.content(0x02))
        content.end()
    except NotDer:
        return False
    return 0 < r < N and 0 < s < N and verifies(parent.x, parent.y, r, s, certificate.tbs)


def check_signatures(certificates):
    for i in range(1, len(certificates)):
        if not signed(certificates[i - 1], certificates[i]):
            raise Refused("SIG-1", field_of(i, len(certificates) - 1))


def check_document_signature(leaf, message, signature):
    r, s = int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big")
    if not 0 < r < N or not 0 < s < N:
        raise Refused("SIG-4", "cose.signature")
    if not verifies(leaf.x, leaf.y, r, s, message):
        raise Refused("SIG-5", "cose.signature")
