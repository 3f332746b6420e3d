"""A verifier that verifies nothing, written from PROTOCOL.md: its answers are honest, or honest
but for one thing.  A secret's value is its name; its version is the one asked for, or 7.

LIES is the table: what is changed, when, and what a client has to say about it.  A lie that is told
before something is signed is signed too: only the check that is meant can find it.
"""
import base64
import hashlib
import http.server
import json
import os
import socketserver
import threading
from types import SimpleNamespace

import cbor2
import pyhpke
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

SUITE = pyhpke.CipherSuite.new(pyhpke.KEMId.DHKEM_X25519_HKDF_SHA256, pyhpke.KDFId.HKDF_SHA256,
                               pyhpke.AEADId.AES256_GCM)
OPEN_VERSION = 7
DAY_MS = 86_400_000
LIES = {}  # name -> SimpleNamespace(stage, tell, says, status, advice)
# What vouchsafe-agent says is to be done, which people act on; where a lie's is another than its
# stage's, the lie names it.
ADVICE = {"challenge": "what answers gives no challenge: see that --verifier",
          "half": "; half an answer: see the verifier's log, and a proxy's between",
          "validity": "delegation to this verifier is over, or not yet valid: renew it with",
          "delegation": "speaks for another store, or only claims to be yours: compare --issuer and",
          "secrets": "not what was asked for, or older than it may be, or damaged; nothing of it was",
          "receipt": "receipt belongs to another request, or is not the verifier's: somebody on the",
          "answer": "no vouchsafe server answers so: see that --verifier"}
STAGES = {"keys": "delegation", "delegation": "delegation", "items": "secrets",
          "sealed": "secrets", "receipt": "receipt", "messages": "receipt", "answer": "answer",
          "body": "answer"}


def lie(stage, says, advice=None, status=122):
    def enter(tell):
        LIES[tell.__name__] = SimpleNamespace(stage=stage, tell=tell, says=says, status=status,
                                              advice=ADVICE[advice or STAGES[stage]])
        return tell
    return enter


def encode(value):
    return cbor2.dumps(value, canonical=True)


def spki(key):
    return key.public_key().public_bytes(serialization.Encoding.DER,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


def kid(key):
    return hashlib.sha256(spki(key)).digest()[:16]


def sign(message):
    """COSE_Sign1 of what `message` says; section 5."""
    protected = message.header + message.kid
    der = message.key.sign(encode(["Signature1", protected, message.aad, message.payload]),
                           ec.ECDSA(message.hash))
    length = message.key.curve.key_size // 8
    signature = b"".join(n.to_bytes(length, "big") for n in utils.decode_dss_signature(der))
    return encode(cbor2.CBORTag(18, [protected, {}, message.payload, signature]))


def b64(data):
    return base64.b64encode(data).decode()


class Liar(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves at the Unix socket `path` until it is closed."""

    daemon_threads = True

    def __init__(self, path):
        self.issuer, self.receipt_key = (ec.generate_private_key(curve())
                                         for curve in (ec.SECP384R1, ec.SECP256R1))
        self.store = os.urandom(16)
        self.lie = None  # the name of the one that is told
        self.challenge = b""
        self.releases = 0
        self.before = None  # the last body that was sent
        super().__init__(path, Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()

    def issuer_pem(self):
        return self.issuer.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def tell(self, stage, w):
        told = LIES.get(self.lie)
        if told is not None and told.stage == stage:
            told.tell(w)

    def release(self, request):
        """The body of the answer, as bytes."""
        payload = cbor2.loads(base64.b64decode(request["attestation_document"]))[2]
        document = cbor2.loads(payload)
        w = SimpleNamespace(peer=self, now=document["timestamp"], before=self.before)
        w.delegation_message = SimpleNamespace(
            header=bytes.fromhex("a20138220450"), kid=kid(self.issuer), key=self.issuer,
            aad=b"vouchsafe/1 delegation", hash=hashes.SHA384())
        w.receipt_message = SimpleNamespace(
            header=bytes.fromhex("a201260450"), kid=kid(self.receipt_key), key=self.receipt_key,
            aad=b"vouchsafe/1 receipt", hash=hashes.SHA256())
        self.tell("keys", w)
        w.delegation = {1: 1, 2: spki(self.receipt_key), 3: w.now - 3_600_000, 4: w.now + DAY_MS,
                        5: self.store}
        self.tell("delegation", w)
        w.items = [SimpleNamespace(name=item["name"], version=item.get("version", OPEN_VERSION),
                                   value=item["name"].encode()) for item in request["secrets"]]
        w.digest = hashlib.sha384(payload).digest()
        w.info, w.format, w.skipped = b"vouchsafe/1 wrap", "hpke-x25519", 0
        self.tell("items", w)
        w.enc, context = SUITE.create_sender_context(
            SUITE.kem.deserialize_public_key(document["public_key"][-32:]), info=w.info)
        for _ in range(w.skipped):
            context.seal(b"")
        for item in w.items:
            item.ciphertext = context.seal(item.value, encode(
                ["vouchsafe/1 wrap", w.format, w.digest, item.name, item.version]))
        self.tell("sealed", w)
        w.receipt = {1: 1, 2: w.now, 3: self.challenge, 4: hashlib.sha384(payload).digest(),
                     5: hashlib.sha256(document["cabundle"][0]).digest(), 6: self.store, 7: 1,
                     8: [[item.name, item.version,
                          hashlib.sha256(w.enc + item.ciphertext).digest(), 0]
                         for item in w.items], 9: ["web@1", "web@2"]}
        self.tell("receipt", w)
        w.delegation_message.payload = encode(w.delegation)
        w.receipt_message.payload = encode(w.receipt)
        if self.lie == "receipt_not_shortest":  # 7 as two bytes: the map stays the same
            w.receipt_message.payload = w.receipt_message.payload.replace(b"\x07\x01\x08",
                                                                          b"\x07\x18\x01\x08")
        w.signed = SimpleNamespace(delegation=sign(w.delegation_message),
                                   receipt=sign(w.receipt_message))
        self.tell("messages", w)
        w.answer = {"receipt": b64(w.signed.receipt), "delegation": b64(w.signed.delegation),
                    "format": w.format, "enc": b64(w.enc),
                    "secrets": [{"name": item.name, "version": item.version,
                                 "ciphertext": b64(item.ciphertext)} for item in w.items]}
        self.tell("answer", w)
        w.body = json.dumps(w.answer).encode()
        self.before = w.body
        self.tell("body", w)
        self.releases += 1
        return w.body


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/v1/challenge":
            self.server.challenge = os.urandom(55 if self.server.lie == "short_challenge" else 56)
            body = json.dumps({"challenge": b64(self.server.challenge),
                               "expires_in_s": 120}).encode()
        else:
            body = self.server.release(json.loads(asked))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body[:len(body) // 2] if self.server.lie == "half_an_answer" else body)
        except BrokenPipeError:
            pass  # a client need not hear a long answer to its end

    def address_string(self):
        return "client"

    def log_message(self, *args):
        pass


# ---- The lies ----

def other(data):
    return bytes([data[0] ^ 1]) + data[1:]


@lie("none", "challenge of 55 bytes", "challenge")
def short_challenge(w):
    pass  # told by the handler


@lie("none", "no decision in", "half", status=121)
def half_an_answer(w):
    pass  # told by the handler: a connection that ends early is one that fails


@lie("none", "receipt's payload is not in deterministic CBOR", "receipt")
def receipt_not_shortest(w):
    pass  # told by release(), which encodes


@lie("keys", "delegation is signed by a key that is not trusted")
def stranger_as_issuer(w):
    w.delegation_message.key = ec.generate_private_key(ec.SECP384R1())
    w.delegation_message.kid = kid(w.delegation_message.key)


@lie("keys", "the delegation's signature$")
def stranger_with_the_issuers_kid(w):
    w.delegation_message.key = ec.generate_private_key(ec.SECP384R1())


@lie("keys", "the delegation's signature$")
def delegation_for_another_purpose(w):
    w.delegation_message.aad = b"vouchsafe/1 receipt"


@lie("keys", "receipt is signed by a key that is not trusted", "receipt")
def receipt_by_a_stranger(w):
    w.receipt_message.key = ec.generate_private_key(ec.SECP256R1())
    w.receipt_message.kid = kid(w.receipt_message.key)


@lie("keys", "the receipt's signature$", "receipt")
def receipt_by_a_stranger_with_the_kid(w):
    w.receipt_message.key = ec.generate_private_key(ec.SECP256R1())


@lie("keys", "the receipt's signature$", "receipt")
def receipt_for_another_purpose(w):
    w.receipt_message.aad = b"vouchsafe/1 checkpoint"


@lie("keys", "receipt's (protected header is another one|headers are others)", "receipt")
def receipt_of_another_algorithm(w):
    w.receipt_message.header = bytes.fromhex("a20138220450")


@lie("delegation", "not valid at the time of this enclave's document", "validity")
def delegation_over(w):
    w.delegation[4] = w.now - 1


@lie("delegation", "not valid at the time of this enclave's document", "validity")
def delegation_to_come(w):
    w.delegation[3] = w.now + 1


@lie("delegation", "delegation is not of version 1")
def delegation_of_version_2(w):
    w.delegation[1] = 2


@lie("delegation", "delegation")
def delegation_with_more(w):
    w.delegation[6] = 1


@lie("delegation", "delegated key is not of P-256")
def delegated_key_of_p384(w):
    w.delegation[2] = spki(w.peer.issuer)


@lie("delegation", "receipt's store is another one", "receipt")
def delegation_of_another_store(w):
    w.delegation[5] = other(w.delegation[5])


@lie("items", "db/named has version 4, asked for was 3")
def another_version_than_named(w):
    w.items[1].version = 4


@lie("items", "web/key has version 4, demanded was 5 at least")
def below_the_floor(w):
    w.items[0].version = 4


@lie("items", "not those that were asked for, in order")
def two_secrets_swapped(w):
    w.items.reverse()


@lie("items", "not those that were asked for, in order")
def another_secret(w):
    w.items[0].name = "web/other"


@lie("items", "secrets")
def one_secret_too_few(w):
    w.items.pop()


@lie("items", "secrets")
def one_secret_too_many(w):
    w.items.append(SimpleNamespace(name="a/b", version=1, value=b"1"))


@lie("items", "does(n't| not) open")
def sealed_for_another_document(w):
    w.digest = other(w.digest)


@lie("items", "does(n't| not) open")
def sealed_for_another_purpose(w):
    w.info = b"vouchsafe/1 put"


@lie("items", "does(n't| not) open")
def sealed_out_of_sequence(w):
    w.skipped = 1


@lie("items", "its format is not|its format is \"hpke-p256\"", "answer")
def another_format(w):
    w.format = "hpke-p256"


@lie("items", "size is out of bounds|does not open", "answer")
def empty_secret(w):
    w.items[0].value = b""


@lie("items", "size is out of bounds|does not open", "answer")
def secret_too_long(w):
    w.items[0].value = bytes(65537)


@lie("sealed", "does(n't| not) open")
def two_values_swapped(w):
    first, second = w.items
    first.ciphertext, second.ciphertext = second.ciphertext, first.ciphertext


@lie("sealed", "does(n't| not) open|encapsulation", "answer")
def encapsulation_of_low_order(w):
    w.enc = bytes(32)


@lie("receipt", "receipt's challenge is another one")
def receipt_for_another_challenge(w):
    w.receipt[3] = other(w.receipt[3])


@lie("receipt", "receipt's document is another one")
def receipt_for_another_document(w):
    w.receipt[4] = other(w.receipt[4])


@lie("receipt", "receipt's root is another one")
def receipt_under_another_root(w):
    w.receipt[5] = other(w.receipt[5])


@lie("receipt", "receipt's store is another one")
def receipt_of_another_store(w):
    w.receipt[6] = other(w.receipt[6])


@lie("receipt", "does not say what was received")
def receipt_of_version_2(w):
    w.receipt[1] = 2


@lie("receipt", "list of secrets is another one|does not say what was received")
def receipt_of_another_content(w):
    w.receipt[8][0][2] = other(w.receipt[8][0][2])


@lie("receipt", "list of secrets is another one|does not say what was received")
def receipt_of_another_version(w):
    w.receipt[8][0][1] += 1


@lie("receipt", "list of secrets is another one|receipt is not of version 1")
def receipt_with_one_secret_more(w):
    w.receipt[8].append(w.receipt[8][0])


@lie("receipt", "receipt('s payload| is not of version 1)")
def receipt_with_more(w):
    w.receipt[10] = 1


@lie("receipt", "receipt('s payload| is not of version 1)")
def receipt_with_less(w):
    del w.receipt[7]


@lie("receipt", "measurements are not in order")
def receipt_of_measurements_in_disorder(w):
    w.receipt[9].reverse()


@lie("receipt", "measurements are not in order")
def receipt_of_a_measurement_twice(w):
    w.receipt[9][1] = w.receipt[9][0]


@lie("messages", "no tagged COSE_Sign1")
def receipt_without_tag(w):
    w.signed.receipt = w.signed.receipt[1:]


@lie("messages", "the receipt")
def receipt_with_bytes_behind(w):
    w.signed.receipt += b"\0"


@lie("messages", "receipt")
def receipt_with_an_unprotected_header(w):
    tagged = cbor2.loads(w.signed.receipt)
    tagged.value[1] = {1: -7}
    w.signed.receipt = encode(tagged)


@lie("messages", "signature is cut")
def receipt_with_half_a_signature(w):
    tagged = cbor2.loads(w.signed.receipt)
    tagged.value[3] = tagged.value[3][:32]
    w.signed.receipt = encode(tagged)


@lie("messages", "delegation", "delegation")
def delegation_that_is_junk(w):
    w.signed.delegation = b"\xd2\x84" * 2000


@lie("answer", "list of secrets is another one|does not say what was received", "receipt")
def ciphertext_flipped(w):
    item = w.answer["secrets"][0]
    item["ciphertext"] = b64(other(base64.b64decode(item["ciphertext"])))


@lie("answer", "list of secrets is another one|does not say what was received", "receipt")
def encapsulation_flipped(w):
    w.answer["enc"] = b64(other(base64.b64decode(w.answer["enc"])))


@lie("answer", "list of secrets is another one|does not say what was received", "receipt")
def version_raised_on_the_way(w):
    w.answer["secrets"][0]["version"] += 1


@lie("answer", "not those that were asked for|no JSON object of this protocol")
def version_with_a_fraction(w):
    w.answer["secrets"][0]["version"] = 7.5


@lie("answer", "base64")
def base64_over_lines(w):
    w.answer["enc"] = w.answer["enc"][:4] + "\n" + w.answer["enc"][4:]


@lie("answer", "base64")
def base64_with_unused_bits(w):
    text = w.answer["enc"]  # 32 bytes: the last digit has two bits that say nothing
    w.answer["enc"] = text[:-2] + chr(ord(text[-2]) + 1) + text[-1]


@lie("answer", "receipt")
def no_receipt(w):
    del w.answer["receipt"]


@lie("answer", "it has more than 2097152 bytes")
def answer_too_long(w):
    w.answer["more"] = "x" * (2 * 1024 * 1024)


@lie("body", "no JSON object")
def member_twice(w):
    w.body = w.body[:-1] + b', "format": "hpke-x25519"}'


@lie("body", "no JSON object|not those that were asked for")
def member_in_letters_that_look_alike(w):
    """Unicode's simple case folding makes an "s" of it."""
    w.body = w.body.replace(b'"secrets"', '"\u017fecrets"'.encode())


@lie("body", "no JSON object")
def answer_that_is_no_object(w):
    w.body = b"[" + w.body + b"]"


@lie("body", "receipt's challenge is another one", "receipt")
def answer_from_before(w):
    if w.before is not None:  # the first time it is honest
        w.body = w.before
