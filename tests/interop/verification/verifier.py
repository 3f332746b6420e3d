"""Another verifier of attestation documents, written from docs/VERIFICATION.md alone."""
import certificates
from rules import Refused
from strict_cbor import ARRAY, BYTES, MAP, NULL, TAG, TEXT, UINT, Reader

OPTIONAL = ("public_key", "user_data", "nonce")
REQUIRED = ("module_id", "digest", "timestamp", "certificate", "cabundle")
KNOWN = (*REQUIRED, "pcrs", "nitrotpm_pcrs", *OPTIONAL)
ABSENT = "absent"


# ---- section 3 ----

def read_envelope(document):
    """(payload, its offset, signature)"""
    if len(document) > 32768:
        raise Refused("COSE-1")
    r = Reader(document, 0, "cose")
    item = r.item()
    if item.kind == TAG:
        if item.value != 18:
            raise Refused("COSE-2", "cose", item.offset)
        item = r.item()
    if item.kind != ARRAY or item.value != 4:
        raise Refused("COSE-3", "cose", item.offset)
    r.field = "cose.protected"
    item = r.expect(BYTES)
    if item.content != bytes.fromhex("a1013822"):
        raise Refused("COSE-4", r.field, r.pos - len(item.content))
    r.field = "cose.unprotected"
    item = r.expect(MAP)
    if item.value != 0:
        raise Refused("COSE-5", r.field, item.offset)
    r.field = "cose.payload"
    item = r.peek()
    if item.kind == NULL:
        raise Refused("COSE-6", r.field, item.offset)
    payload = r.expect(BYTES)
    if not payload.content:
        raise Refused("COSE-7", r.field, payload.offset)
    if len(payload.content) > 16384:
        raise Refused("COSE-8", r.field, payload.offset)
    start = r.pos - len(payload.content)
    r.field = "cose.signature"
    signature = r.expect(BYTES)
    if len(signature.content) != 96:
        raise Refused("COSE-9", r.field, signature.offset)
    r.field = "cose"
    r.end()
    return payload.content, start, signature.content


# ---- section 4 ----

class Payload:
    def __init__(self, data, base):
        self.fields = dict.fromkeys(OPTIONAL, ABSENT)
        self.r = Reader(data, base, "payload")
        seen = []
        outer = self.r.expect(MAP, indefinite_map=True)
        self.fields["map"] = "indefinite" if outer.indefinite else "definite"
        while self.r.more(outer, len(seen)):
            seen.append(self.read_entry(seen))
            self.r.field = "payload"
        self.r.end()
        for key in REQUIRED:
            if key not in seen:
                raise Refused("DOC-13", key, base)
        if "pcrs" not in self.fields:
            raise Refused("DOC-14", "pcrs", base)

    def read_entry(self, seen):
        key = self.r.expect(TEXT)
        name = key.content.decode()
        if name in KNOWN:
            if name in seen:
                raise Refused("DOC-1", name, key.offset)
            self.r.field = name
            if name in OPTIONAL:
                self.fields[name] = self.read_optional()
            elif name in ("pcrs", "nitrotpm_pcrs"):
                self.read_pcrs(name)
            else:
                self.fields[name] = getattr(self, "read_" + name)()
            return name
        # bytes.lower() is ASCII's alone, str.lower() is not.
        rule = "DOC-2" if b"pcr" in key.content.lower() else "DOC-4"
        raise Refused(rule, key.content[:64], key.offset)

    def read_bytes(self, least, most):
        item = self.r.expect(BYTES)
        if not least <= len(item.content) <= most:
            raise Refused("DOC-12", self.r.field, item.offset)
        return item.content

    def read_module_id(self):
        item = self.r.expect(TEXT)
        if not item.content:
            raise Refused("DOC-5", self.r.field, item.offset)
        return item.content.decode()

    def read_digest(self):
        item = self.r.expect(TEXT)
        if item.content != b"SHA384":
            raise Refused("DOC-6", self.r.field, item.offset)
        return "SHA384"

    def read_timestamp(self):
        item = self.r.expect(UINT)
        if not 1 <= item.value <= 2**63 - 1:
            raise Refused("DOC-7", self.r.field, item.offset)
        return item.value

    def read_pcrs(self, name):
        if "pcrs" in self.fields:
            raise Refused("DOC-8", name, self.r.base + self.r.pos)
        pcrs = self.fields["pcrs"] = {}
        self.fields["kind"] = "enclave" if name == "pcrs" else "nitrotpm"
        entries = self.r.expect(MAP)
        if not 1 <= entries.value <= 32:
            raise Refused("DOC-9", name, entries.offset)
        for _ in range(entries.value):
            self.r.field = name
            index = self.r.expect(UINT)
            self.r.field = f"{name}[{index.value}]"
            if index.value > 31:
                raise Refused("DOC-10", self.r.field, index.offset)
            if index.value in pcrs:
                raise Refused("DOC-11", self.r.field, index.offset)
            pcrs[index.value] = self.read_bytes(48, 48)

    def read_certificate(self):
        return self.read_bytes(1, 1024)

    def read_cabundle(self):
        entries = self.r.expect(ARRAY)
        if not 1 <= entries.value <= 8:
            raise Refused("DOC-9", self.r.field, entries.offset)
        bundle = []
        for i in range(entries.value):
            self.r.field = f"cabundle[{i}]"
            bundle.append(self.read_bytes(1, 1024))
        return bundle

    def read_optional(self):
        if self.r.peek().kind == NULL:
            self.r.item()
            return None
        return self.read_bytes(0, 1024)


# ---- all of it ----

def verify(document, root, kind="enclave", now_ms=None):
    """The fields of a document that is valid, at its own time unless one is given; raises
    Refused."""
    payload, start, signature = read_envelope(document)
    fields = Payload(payload, start).fields
    if fields["kind"] != kind:
        raise Refused("KIND-1", "pcrs" if fields["kind"] == "enclave" else "nitrotpm_pcrs")
    if fields["cabundle"][0] != root:
        raise Refused("ROOT-2", "cabundle[0]")
    chain = certificates.check_rules([*fields["cabundle"], fields["certificate"]])
    certificates.check_times(chain, fields["timestamp"] if now_ms is None else now_ms)
    certificates.check_signatures(chain)
    length = len(payload)
    head = bytes([0x40 | length]) if length < 24 else bytes([0x58, length]) if length < 256 else \
        b"\x59" + length.to_bytes(2, "big")
    message = b"\x84\x6aSignature1\x44" + bytes.fromhex("a1013822") + b"\x40" + head + payload
    certificates.check_document_signature(chain[-1], message, signature)
    return fields
