"""Valid documents of every shape that docs/VERIFICATION.md allows, under a root of their own, made
by cbor2 and cryptography: what no recorded one looks like must be read as well."""
import datetime

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NOW = datetime.datetime(2026, 11, 23, tzinfo=datetime.timezone.utc)
NOW_MS = int(NOW.timestamp()) * 1000
HEADER = bytes.fromhex("a1013822")
PAYLOAD_MAX = 16384  # COSE-8: the only bound that module_id has
SERIALS = (1, 0x7f, 0x80, 2**159 - 1, 2**160 - 1)


def name_of(i):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"),
                      x509.NameAttribute(NameOID.COMMON_NAME, f"vouchsafe-test {i}")])


def usage_of(**true):
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: name in true for name in names})


class Chain:
    """A root and, under it, bundles of any length."""

    def __init__(self):
        self.root_key = ec.generate_private_key(ec.SECP384R1())
        self.root = self.certificate(0, self.root_key, self.root_key, SERIALS[0], True)

    @staticmethod
    def certificate(i, key, parent_key, serial, ca, path_length=None):
        # Beyond 2049 a time is a GeneralizedTime (RFC 5280 section 4.1.2.5).
        days = 365 * 30 if i % 2 else 20
        builder = x509.CertificateBuilder(
            name_of(max(0, i - 1)), name_of(i), key.public_key(), serial,
            NOW - datetime.timedelta(seconds=3), NOW + datetime.timedelta(days=days), [])
        if ca:
            builder = builder.add_extension(x509.BasicConstraints(True, path_length), True)
            builder = builder.add_extension(usage_of(key_cert_sign=1, crl_sign=1), i % 2 == 0)
        else:
            if path_length is None:
                builder = builder.add_extension(x509.BasicConstraints(False, None), False)
            builder = builder.add_extension(usage_of(digital_signature=1), False)
        return builder.sign(parent_key, hashes.SHA384())

    def bundle(self, rng, count):
        """(DER of `count` CA certificates and a leaf, the leaf's key)"""
        certificates, key = [self.root], self.root_key
        for i in range(1, count + 1):
            ca = i < count
            own = ec.generate_private_key(ec.SECP384R1())
            length = rng.choice((None, count - 1 - i, count + 5)) if ca else rng.choice((None, 0))
            certificates.append(self.certificate(i, own, key, rng.choice(SERIALS), ca, length))
            key = own
        return [c.public_bytes(Encoding.DER) for c in certificates], key


def encode_map(entries, indefinite):
    body = b"".join(cbor2.dumps(k) + cbor2.dumps(v) for k, v in entries.items())
    if indefinite:
        return b"\xbf" + body + b"\xff"
    return bytes([0xa0 | len(entries)]) + body


def encode_payload(rng, entries, length=None):
    """Definite or not, in any order; with a length, of that one, by the module_id."""
    entries = dict(rng.sample(list(entries.items()), len(entries)))
    indefinite = rng.randrange(2)
    if length is not None:
        entries["module_id"] = "i" * 256  # from there on the string's head keeps its size
        entries["module_id"] += "i" * (length - len(encode_map(entries, indefinite)))
        assert len(encode_map(entries, indefinite)) == length
    return encode_map(entries, indefinite)


def document(rng, chain, number, length=None):
    """One document; the optional fields go through their states with `number`."""
    ders, key = chain.bundle(rng, rng.choice((1, 4, 8)))
    entries = {
        "module_id": rng.choice(("i", "i-0123456789abcdef0-enc0123456789abcdef", "m\u00f6dul",
                                 "i" * 23, "i" * 24, "i" * 255, "i" * 256)),
        "digest": "SHA384",
        "timestamp": NOW_MS + rng.choice((0, 1, 999)),
        "pcrs": {i: rng.randbytes(48) for i in sorted(rng.sample(range(32), rng.choice((1, 16, 32))))},
        "certificate": ders[-1],
        "cabundle": ders[:-1],
    }
    for place, name in enumerate(("public_key", "user_data", "nonce")):
        state = (number // 3**place) % 3 if number % 2 else rng.randrange(3)
        if state:
            entries[name] = None if state == 1 else rng.randbytes(rng.choice((0, 1, 23, 24, 256, 1024)))
    payload = encode_payload(rng, entries, length)
    message = cbor2.dumps(["Signature1", HEADER, b"", payload])
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA384())))
    envelope = cbor2.dumps([HEADER, {}, payload, r.to_bytes(48, "big") + s.to_bytes(48, "big")])
    return b"\xd2" + envelope if rng.randrange(2) else envelope
