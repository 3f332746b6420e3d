"""Goal of this test: what we seal opens in an independent implementation, pyhpke or cryptography,
and the reverse, in every format of PROTOCOL section 4 (P-384 has no RFC vector to check).

Run by run-in-venv; talks to wrap_tool, one JSON object a line.
"""

import json
import os
import subprocess
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey, OpenError

INFO = b"vouchsafe/1 wrap"
# (aad, plaintext): the sizes of secrets, PROTOCOL section 1, and none at all
MESSAGES = [
    (b"first", b"s"),
    (b"", b"database password"),
    (b"third", os.urandom(65536)),
    (b"fourth", b""),
]


class Hpke:
    """RFC 9180 base mode by pyhpke."""

    def __init__(self, name, kem, kdf, generate):
        self.name = self.label = name
        self.suite = CipherSuite.new(kem, kdf, AEADId.AES256_GCM)
        self.generate = generate

    def seal(self, public, messages):
        enc, context = self.suite.create_sender_context(
            KEMKey.from_pyca_cryptography_key(public), info=INFO
        )
        return enc, [context.seal(text, aad) for aad, text in messages]

    def open(self, private, enc, messages):
        context = self.suite.create_recipient_context(
            enc, KEMKey.from_pyca_cryptography_key(private), info=INFO
        )
        return [context.open(ciphertext, aad) for aad, ciphertext in messages]


class RsaOaep:
    """RSAES-OAEP and AES-256-GCM by cryptography, IV = 96-bit i."""

    name = "rsa-oaep-256"
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)

    def __init__(self, bits):
        self.label = f"{self.name} of {bits} bits"
        self.generate = lambda: rsa.generate_private_key(65537, bits)

    def seal(self, public, messages):
        key = os.urandom(32)
        gcm = AESGCM(key)
        return public.encrypt(key, self.oaep), [
            gcm.encrypt(i.to_bytes(12, "big"), text, aad)
            for i, (aad, text) in enumerate(messages)
        ]

    def open(self, private, enc, messages):
        gcm = AESGCM(private.decrypt(enc, self.oaep))
        return [
            gcm.decrypt(i.to_bytes(12, "big"), ciphertext, aad)
            for i, (aad, ciphertext) in enumerate(messages)
        ]


PEERS = [
    Hpke(
        "hpke-x25519",
        KEMId.DHKEM_X25519_HKDF_SHA256,
        KDFId.HKDF_SHA256,
        x25519.X25519PrivateKey.generate,
    ),
    Hpke(
        "hpke-p256",
        KEMId.DHKEM_P256_HKDF_SHA256,
        KDFId.HKDF_SHA256,
        lambda: ec.generate_private_key(ec.SECP256R1()),
    ),
    Hpke(
        "hpke-p384",
        KEMId.DHKEM_P384_HKDF_SHA384,
        KDFId.HKDF_SHA384,
        lambda: ec.generate_private_key(ec.SECP384R1()),
    ),
    RsaOaep(2048),
    RsaOaep(3072),
    RsaOaep(4096),
]


class Tool:
    """Our side."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            [path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        return self.process.wait(timeout=10)


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def ours_opened_by_them(tool, peer):
    private = peer.generate()
    spki = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    answer = tool.ask(
        do="seal",
        spki=spki.hex(),
        info=INFO.hex(),
        messages=[{"aad": a.hex(), "plaintext": t.hex()} for a, t in MESSAGES],
    )
    check("error" not in answer, f"{peer.label}: our seal: {answer.get('error')}")
    check(answer["format"] == peer.name, f"{peer.name}: we called it {answer['format']}")
    enc = bytes.fromhex(answer["enc"])
    sealed = [
        (aad, bytes.fromhex(row["ciphertext"]))
        for (aad, _), row in zip(MESSAGES, answer["messages"], strict=True)
    ]
    opened = peer.open(private, enc, sealed)
    check(opened == [text for _, text in MESSAGES], f"{peer.label}: ours, opened by them")
    try:
        peer.open(private, enc, [(flipped(b"first"), sealed[0][1])])
    except (OpenError, InvalidTag):
        return
    check(False, f"{peer.label}: they opened ours under another AAD")


def open_by_us(tool, enc, messages):
    return tool.ask(
        do="open",
        enc=enc.hex(),
        info=INFO.hex(),
        messages=[{"aad": a.hex(), "ciphertext": c.hex()} for a, c in messages],
    )


def theirs_opened_by_us(tool, peer):
    spki = bytes.fromhex(tool.ask(do="generate", format=peer.name)["spki"])
    public = serialization.load_der_public_key(spki)
    enc, ciphertexts = peer.seal(public, MESSAGES)
    sealed = [(aad, c) for (aad, _), c in zip(MESSAGES, ciphertexts, strict=True)]
    answer = open_by_us(tool, enc, sealed)
    check("error" not in answer, f"{peer.label}: our open: {answer.get('error')}")
    opened = [row.get("plaintext") for row in answer["messages"]]
    check(opened == [text.hex() for _, text in MESSAGES], f"{peer.name}: theirs, opened by us")

    refused = {"error": "crypto_failed"}
    first = sealed[0]
    for what, bad in {
        "another AAD": (flipped(first[0]), first[1]),
        "an altered tag": (first[0], flipped(first[1])),
        "another sequence number": sealed[1],
    }.items():
        # The right one still opens after it: what fails does not advance.
        rows = open_by_us(tool, enc, [bad, first])["messages"]
        check(rows[0] == refused, f"{peer.name}: we opened theirs under {what}")
        check(rows[1] == {"plaintext": MESSAGES[0][1].hex()}, f"{peer.name}: after {what}")


def main():
    tool = Tool(sys.argv[1])
    reversed_too = set()
    for peer in PEERS:
        ours_opened_by_them(tool, peer)
        print(f"{peer.label}: sealed by us, opened by them")
        if peer.name not in reversed_too:  # our own RSA keys have one size
            theirs_opened_by_us(tool, peer)
            print(f"{peer.label}: sealed by them, opened by us")
            reversed_too.add(peer.name)
    check(tool.close() == 0, "wrap_tool's exit status")


main()
