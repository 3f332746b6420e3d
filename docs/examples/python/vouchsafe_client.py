"""Gets secrets from a Vouchsafe verifier, from inside a Nitro enclave.

Written from docs/PROTOCOL.md alone; "section N" is its section.  Every check that it demands of
a client is here: a copy that leaves one out takes secrets from whoever runs the parent instance.
As a library: Client(...).release([Wanted("db/main", min_version=3)]).
"""
import base64
import ctypes
import errno
import fcntl
import hashlib
import http.client
import json
import os
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass

import cbor2
import pyhpke
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils, x25519

# SHA-256 of the certificate of AWS's root (section 3).
AWS_ROOT = bytes.fromhex("641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b")
# Section 1, limits.
ANSWER_MAX = 2 * 1024 * 1024
CHALLENGE_LEN = 56
SECRET_MAX = 65536
SECRETS_MAX = 16
VERSION_MAX = 2**31 - 1
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*")
# Section 1, what an agent does with a refusal.
CHALLENGE_AGAIN = ("challenge_unknown", "challenge_expired", "challenge_redeemed")
CLOCK_AGAIN = ("document_stale", "document_from_future", "certificate_expired",
               "certificate_not_yet_valid")
PAUSE_S, PAUSE_MAX_S = 0.5, 16
# Section 4: the format that an X25519 key gives.
FORMAT = "hpke-x25519"
SUITE = pyhpke.CipherSuite.new(pyhpke.KEMId.DHKEM_X25519_HKDF_SHA256, pyhpke.KDFId.HKDF_SHA256,
                               pyhpke.AEADId.AES256_GCM)
# Section 3, the NSM.
NSM_IOCTL = 0xC0200A00
NSM_REPLY_MAX = 0x3000


class Error(Exception):
    """No secret.  `status` is what the program ends with, as vouchsafe-agent does."""
    status = 125


class Refused(Error):
    """The verifier says no, or somebody on the way does: it is advice, never proof."""
    status = 120

    def __init__(self, http_status, problem, retry_after_s):
        def text(member, otherwise):
            value = problem.get(member)
            return value if isinstance(value, str) else otherwise
        self.code = text("code", "")
        # Section 1: a code that this client does not know is judged by these.
        self.later = (problem.get("retryable") is True or http_status == 429
                      or http_status >= 500)
        self.retry_after_s = retry_after_s
        # A stranger's text: as Python writes strings, so that no control character is printed.
        super().__init__(f"refused: {self.code or http_status!r} {text('detail', '')!r} "
                         f"(request {text('request_id', '-')!r})")


class NotReached(Error):
    status = 121


class NotAuthentic(Error):
    """An answer that is not the verifier's, or not to this request."""
    status = 122


class NsmFailed(Error):
    status = 123


@dataclass(frozen=True)
class Wanted:
    name: str
    version: int | None = None
    min_version: int | None = None


@dataclass(frozen=True)
class Released:
    name: str
    version: int
    value: bytes
    deprecated: bool  # only a deprecated measurement granted it: time for a new build


def demand(condition, what):
    if not condition:
        raise NotAuthentic(f"answer not authentic: {what}")


# ---- CBOR and COSE: sections 1 and 5 ----

def encode(value):
    return cbor2.dumps(value, canonical=True)


def decode(data, what):
    """Deterministic CBOR only: whatever would be encoded in another way is refused, and with
    it keys that come twice and bytes after the end."""
    try:
        value = cbor2.loads(data)
        same = encode(value) == data
    except Exception as error:  # cbor2 raises what it likes on junk; all of it means the same
        raise NotAuthentic(f"answer not authentic: the {what} is no CBOR") from error
    demand(same, f"the {what} is not in deterministic CBOR")
    return value


def is_uint(value, least=0, most=2**64 - 1):
    return type(value) is int and least <= value <= most  # bool is an int in Python, but no number


def spki(key):
    return key.public_bytes(serialization.Encoding.DER,
                            serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(key):
    return hashlib.sha256(spki(key)).digest()[:16]


@dataclass(frozen=True)
class Profile:
    """A row of section 5's table: nothing of it is taken from a message."""
    what: str
    header: bytes  # the protected header, as far as the kid
    aad: bytes
    hash: hashes.HashAlgorithm
    number_len: int  # of r and of s


RECEIPT = Profile("receipt", bytes.fromhex("a201260450"), b"vouchsafe/1 receipt",
                  hashes.SHA256(), 32)
DELEGATION = Profile("delegation", bytes.fromhex("a20138220450"), b"vouchsafe/1 delegation",
                     hashes.SHA384(), 48)


def verified_payload(profile, message, keys):
    """The payload of a COSE_Sign1 that one of `keys` signed: kid -> public key."""
    value = decode(message, profile.what)
    demand(isinstance(value, cbor2.CBORTag) and value.tag == 18 and isinstance(value.value, list)
           and len(value.value) == 4, f"the {profile.what} is no tagged COSE_Sign1")
    protected, unprotected, payload, signature = value.value
    demand(all(isinstance(part, bytes) for part in (protected, payload, signature))
           and unprotected == {}, f"the {profile.what} is no COSE_Sign1 of this profile")
    header, kid = protected[:len(profile.header)], protected[len(profile.header):]
    demand(header == profile.header and len(kid) == 16,
           f"the {profile.what}'s protected header is another one")
    demand(kid in keys, f"the {profile.what} is signed by a key that is not trusted")
    demand(len(signature) == 2 * profile.number_len, f"the {profile.what}'s signature is cut")
    r = int.from_bytes(signature[:profile.number_len], "big")
    s = int.from_bytes(signature[profile.number_len:], "big")
    signed = encode(["Signature1", protected, profile.aad, payload])  # RFC 9052 section 4.4
    try:
        keys[kid].verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(profile.hash))
    except InvalidSignature as error:
        raise NotAuthentic(f"answer not authentic: the {profile.what}'s signature") from error
    return payload


def load_issuers(path):
    """Section 5, issuer file: kid -> key.  The file must be part of the measured image."""
    with open(path, encoding="ascii") as file:
        text = file.read()
    block = r"-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----"
    if not re.fullmatch(rf"\s*({block}\s*){{1,4}}", text):
        raise Error(f"{path}: expected 1 to 4 public keys in PEM and nothing else")
    keys = [serialization.load_pem_public_key(pem.encode()) for pem in re.findall(block, text)]
    for key in keys:
        if not (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp384r1"):
            raise Error(f"{path}: expected keys of P-384")
    issuers = {key_id(key): key for key in keys}
    if len(issuers) != len(keys):
        raise Error(f"{path}: a key stands there twice")
    return issuers


# ---- The Nitro Secure Module: section 3 ----

def nsm_exchange(where, request):
    if where.startswith("unix:"):  # vouchsafe-nsm-sim(1): a packet each way
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(10)
            sock.connect(where[len("unix:"):])
            sock.send(request)
            return sock.recv(NSM_REPLY_MAX)
    out = ctypes.create_string_buffer(request, len(request))
    back = ctypes.create_string_buffer(NSM_REPLY_MAX)
    raw = bytearray(struct.pack("=4Q", ctypes.addressof(out), len(request),
                                ctypes.addressof(back), NSM_REPLY_MAX))
    fd = os.open(where, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, NSM_IOCTL, raw)
    finally:
        os.close(fd)
    length = struct.unpack("=4Q", raw)[3]
    if length > NSM_REPLY_MAX:
        raise OSError(errno.EPROTO, "the NSM's reply is longer than the buffer")
    return back.raw[:length]


def nsm(where, request, name, member):
    """One request; the byte string that is `member` of the reply of that name."""
    try:
        reply = cbor2.loads(nsm_exchange(where, cbor2.dumps(request)))
        value = reply[name][member]
    except OSError as error:
        raise NsmFailed(f"the NSM at {where}: {error}") from error
    except Exception as error:  # {"Error": "..."} has no such member
        raise NsmFailed(f"the NSM at {where} did not answer {name}") from error
    if not isinstance(value, bytes):
        raise NsmFailed(f"the NSM at {where}: {name} gave no bytes")
    return value


def new_key(where):
    """A fresh X25519 key.  An enclave has little randomness of its own at its start: the
    hypervisor's goes in as well, and one good half is enough."""
    random = nsm(where, "GetRandom", "GetRandom", "random")
    if len(random) < 32:
        raise NsmFailed(f"the NSM at {where} gave {len(random)} random bytes")
    return x25519.X25519PrivateKey.from_private_bytes(
        hashlib.sha256(os.urandom(32) + random).digest())


class Document:
    """This enclave's own attestation document, which came from the NSM and nobody else: its
    signature is the verifier's to check."""

    def __init__(self, where, nonce, public_key, user_data):
        asked = {"nonce": nonce, "public_key": public_key, "user_data": user_data}
        self.bytes = nsm(where, {"Attestation": asked}, "Attestation", "document")
        try:
            payload = cbor2.loads(self.bytes)[2]  # untagged COSE_Sign1; the payload is the third
            self.digest = hashlib.sha384(payload).digest()
            content = cbor2.loads(payload)
            self.timestamp_ms = content["timestamp"]
            self.root = hashlib.sha256(content["cabundle"][0]).digest()
            self.pcrs = content["pcrs"]
            echoed = all(content[member] == value for member, value in asked.items())
        except Exception as error:
            raise NsmFailed("the NSM's document cannot be read") from error
        if not (echoed and is_uint(self.timestamp_ms)):
            raise NsmFailed("the NSM's document is not the one that was asked for")


# ---- HTTP: section 1 ----

def read_url(url):
    """The family, None where a name has to be resolved, and the address; Error where it is none."""
    kind, _, rest = url.partition(":")
    if kind == "unix" and rest:
        return socket.AF_UNIX, rest
    vsock = re.fullmatch(r"//([0-9]{1,10}):([0-9]{1,10})", rest) if kind == "vsock" else None
    if vsock and max(numbers := tuple(map(int, vsock.groups()))) < 2**32:
        return socket.AF_VSOCK, numbers
    tcp = (re.fullmatch(r"//(?:([^/:@\[\]]+)|\[([^/@\[\]]+)\]):([0-9]{1,5})", rest)
           if kind == "http" else None)
    if tcp and int(tcp[3]) < 2**16:
        return None, (tcp[1] or tcp[2], int(tcp[3]))
    raise Error(f"{url!r} is no address of a verifier: unix:/PATH, vsock://CID:PORT or "
                "http://HOST:PORT")


class Connection(http.client.HTTPConnection):
    """unix:/PATH, vsock://CID:PORT or http://HOST:PORT.  TLS would hide the secrets' names
    from the parent; what makes an answer authentic is its receipt."""

    def __init__(self, url, timeout_s):
        self.at, self.opened = read_url(url), None
        super().__init__("verifier", timeout=timeout_s)

    def connect(self):
        family, address = self.at
        if family is None:
            self.sock = self.opened = socket.create_connection(address, self.timeout)
            return
        self.sock = self.opened = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(address)

    def cut(self):
        """At the deadline: whoever waits for bytes sees the end of them."""
        try:
            if self.opened is not None:
                self.opened.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended already


def members(pairs):
    """Section 1: no member twice."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a member stands there twice")
    return dict(pairs)


def post(url, path, body, deadline):
    """The object that a 200 answers.  Everything else raises."""
    left_s = max(deadline - time.monotonic(), 0.1)
    connection = Connection(url, left_s)
    # A socket's timeout starts anew with each byte; this one ends even a drip.
    cut = threading.Timer(left_s, connection.cut)
    cut.daemon = True
    cut.start()
    try:
        connection.request("POST", path, body,
                           {"Content-Type": "application/json"} if body is not None else {})
        with connection.getresponse() as response:
            data = response.read(ANSWER_MAX + 1)
            if response.length and len(data) <= ANSWER_MAX:
                raise http.client.IncompleteRead(data)
    finally:
        cut.cancel()
        connection.close()
    demand(len(data) <= ANSWER_MAX, f"it has more than {ANSWER_MAX} bytes")
    try:
        answer = json.loads(data, object_pairs_hook=members)
        if not isinstance(answer, dict):
            raise ValueError("no object")
    except (ValueError, RecursionError) as error:
        if response.status == 200:
            raise NotAuthentic("answer not authentic: it is no JSON object") from error
        answer = {}
    if response.status != 200:
        wait = response.getheader("Retry-After", "")
        raise Refused(response.status, answer, int(wait) if re.fullmatch(r"\d{1,6}", wait) else 0)
    return answer


def binary(answer, member):
    """Section 1: base64 in one spelling only."""
    text = answer.get(member)
    try:
        data = base64.b64decode(text, validate=True)
        same = base64.b64encode(data).decode() == text
    except (TypeError, ValueError) as error:
        raise NotAuthentic(f"answer not authentic: {member} is no base64") from error
    demand(same, f"{member} is no base64 of the standard's")
    return data


# ---- The protocol: sections 2 to 5 ----

def check_wanted(wanted):
    names = [item.name for item in wanted]
    if not 1 <= len(names) <= SECRETS_MAX or len(set(names)) != len(names):
        raise Error(f"ask for 1 to {SECRETS_MAX} secrets, each once")
    for item in wanted:
        if len(item.name) > 128 or not NAME.fullmatch(item.name):
            raise Error(f"{item.name!r} is no secret's name")
        for number in (item.version, item.min_version):
            if number is not None and not is_uint(number, 1, VERSION_MAX):
                raise Error(f"{item.name}: versions are 1 to {VERSION_MAX}")


def request_text(wanted):
    """Section 3: what the document binds."""
    def number(value):
        return "-" if value is None else str(value)
    return "".join(f"{item.name} {number(item.version)} {number(item.min_version)}\n"
                   for item in wanted).encode()


def request_body(document, wanted):
    secrets = [{key: value for key, value in vars(item).items() if value is not None}
               for item in wanted]
    return json.dumps({"attestation_document": base64.b64encode(document.bytes).decode(),
                       "secrets": secrets})


class Client:
    """`issuers` from load_issuers; `root` SHA-256 of the root certificate; `store` the id of the
    only store whose answers are taken; None: the first one that answers.  All of it, and the floors, belong
    into the measured image: whoever chooses them chooses the secrets."""

    def __init__(self, verifier, issuers, root=AWS_ROOT, store=None, nsm_at="/dev/nsm",
                 application=b"", timeout_s=120):
        read_url(verifier)
        self.verifier, self.issuers, self.root, self.store = verifier, issuers, root, store
        self.nsm_at, self.application, self.timeout_s = nsm_at, application, timeout_s
        self.held = {}  # name -> the highest version that this process has held

    def release(self, wanted):
        """All of `wanted`, or an Error.  Tries again as section 1 says."""
        check_wanted(wanted)
        deadline = time.monotonic() + self.timeout_s
        challenges, clocks, pause_s = 3, 1, PAUSE_S
        while True:
            try:
                return self.attempt(wanted, deadline)
            except Refused as refusal:
                if refusal.code in CHALLENGE_AGAIN and challenges > 0:
                    challenges -= 1
                    continue
                if refusal.code in CLOCK_AGAIN and clocks > 0:
                    clocks -= 1
                    continue
                if refusal.code in CHALLENGE_AGAIN + CLOCK_AGAIN or not refusal.later:
                    raise
                why, wait_s = refusal, max(pause_s, refusal.retry_after_s)
            except (OSError, http.client.HTTPException) as error:
                why, wait_s = error, pause_s
            if time.monotonic() + wait_s >= deadline:
                raise NotReached(f"no decision in {self.timeout_s} s; last: {why}") from why
            time.sleep(wait_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    def attempt(self, wanted, deadline):
        """A challenge, a key and a document of its own."""
        challenge = binary(post(self.verifier, "/v1/challenge", None, deadline), "challenge")
        # Section 2: nothing of another length gets into a document.
        demand(len(challenge) == CHALLENGE_LEN, f"a challenge of {len(challenge)} bytes")
        key = new_key(self.nsm_at)
        user_data = (b"vouchsafe/1 release" + hashlib.sha256(request_text(wanted)).digest()
                     + self.application)
        document = Document(self.nsm_at, challenge, spki(key.public_key()), user_data)
        # Section 5, 5, second half: before anything is sent.
        if document.root != self.root:
            raise NsmFailed("the NSM's document stands under another root than the trusted one: "
                            f"SHA-256 {document.root.hex()}")
        try:
            answer = post(self.verifier, "/v1/release", request_body(document, wanted), deadline)
        except Refused as refusal:
            if refusal.code == "refused":
                refusal.args = ("\n  ".join([str(refusal)] + [
                    f"PCR{i} {document.pcrs[i].hex()}" for i in range(3)]),)
            raise
        released = self.accept(wanted, answer, challenge, document, key)
        for item in released:
            self.held[item.name] = max(item.version, self.held.get(item.name, 0))
        return released

    def accept(self, wanted, answer, challenge, document, key):
        """Section 5, "The enclave accepts an answer": its numbers are in the comments."""
        # 1
        payload = verified_payload(DELEGATION, binary(answer, "delegation"), self.issuers)
        delegation = decode(payload, "delegation's payload")
        demand(isinstance(delegation, dict) and list(delegation) == [1, 2, 3, 4, 5]
               and is_uint(delegation[1]) and delegation[1] == 1
               and isinstance(delegation[2], bytes) and isinstance(delegation[5], bytes)
               and len(delegation[5]) == 16, "the delegation is not of version 1")
        demand(is_uint(delegation[3]) and is_uint(delegation[4])
               and delegation[3] <= document.timestamp_ms <= delegation[4],
               "the delegation is not valid at the time of this enclave's document")
        store = delegation[5]
        demand(self.store is None or store == self.store,
               f"it comes from store {store.hex()}, which is not the pinned one")
        try:
            receipt_key = serialization.load_der_public_key(delegation[2])
        except Exception as error:
            raise NotAuthentic("answer not authentic: the delegation's key") from error
        demand(isinstance(receipt_key, ec.EllipticCurvePublicKey)
               and receipt_key.curve.name == "secp256r1" and spki(receipt_key) == delegation[2],
               "the delegated key is not of P-256")
        # 2
        receipt = verified_payload(RECEIPT, binary(answer, "receipt"),
                                   {key_id(receipt_key): receipt_key})
        # 7
        demand(answer.get("format") == FORMAT, f"its format is not {FORMAT}")
        secrets = answer.get("secrets")
        demand(isinstance(secrets, list) and len(secrets) == len(wanted)
               and all(isinstance(item, dict) and item.get("name") == asked.name
                       and is_uint(item.get("version"), 1, VERSION_MAX)
                       for item, asked in zip(secrets, wanted)),
               "its secrets are not those that were asked for, in order")
        # 3, with 5 (the root) and 6 (the store)
        enc = binary(answer, "enc")
        ciphertexts = [binary(item, "ciphertext") for item in secrets]
        flags = self.check_receipt(receipt, challenge, document, store, [
            [item["name"], item["version"], hashlib.sha256(enc + ciphertext).digest()]
            for item, ciphertext in zip(secrets, ciphertexts)])
        # 4
        for item, asked in zip(secrets, wanted):
            self.check_version(asked, item["version"])
        # Section 4: one context; secret i has sequence number i.
        released = []
        try:
            context = SUITE.create_recipient_context(
                enc, pyhpke.KEMKey.from_pyca_cryptography_key(key), info=b"vouchsafe/1 wrap")
            for item, ciphertext, flag in zip(secrets, ciphertexts, flags):
                aad = encode(["vouchsafe/1 wrap", FORMAT, document.digest, item["name"],
                              item["version"]])
                released.append(Released(item["name"], item["version"],
                                         context.open(ciphertext, aad), bool(flag & 1)))
        except Exception as error:  # of pyhpke, or of what lies under it
            raise NotAuthentic("answer not authentic: a secret does not open") from error
        demand(all(1 <= len(item.value) <= SECRET_MAX for item in released),
               "a secret's size is out of bounds")
        self.store = store  # an issuer may have delegated to several: from now on it is this one
        return released

    @staticmethod
    def check_receipt(receipt, challenge, document, store, contents):
        """3: what was sent and received, encoded again, is what was signed.  Gives the flags."""
        claimed = decode(receipt, "receipt's payload")
        demand(isinstance(claimed, dict) and list(claimed) == list(range(1, 10))
               and isinstance(claimed[8], list) and len(claimed[8]) == len(contents)
               and all(isinstance(entry, list) and len(entry) == 4 and is_uint(entry[3])
                       for entry in claimed[8])
               and is_uint(claimed[2]) and is_uint(claimed[7]), "the receipt is not of version 1")
        images = claimed[9]
        demand(isinstance(images, list) and len(images) <= 16
               and all(isinstance(image, str) for image in images)
               and images == sorted(set(images), key=str.encode),
               "the receipt's measurements are not in order")
        flags = [entry[3] for entry in claimed[8]]
        expected = {1: 1, 2: claimed[2], 3: challenge, 4: document.digest, 5: document.root,
                    6: store, 7: claimed[7],
                    8: [[*content, flag] for content, flag in zip(contents, flags)], 9: images}
        for number, what in ((3, "challenge"), (4, "document"), (5, "root"), (6, "store"),
                             (8, "list of secrets")):
            demand(claimed[number] == expected[number], f"the receipt's {what} is another one")
        demand(encode(expected) == receipt, "the receipt does not say what was received")
        return flags

    def check_version(self, asked, version):
        if asked.version is not None:
            demand(version == asked.version,
                   f"{asked.name} has version {version}, asked for was {asked.version}")
        else:
            held = self.held.get(asked.name, 0)
            demand(version >= held, f"{asked.name} has version {version}, held before was {held}")
        demand(version >= (asked.min_version or 1),
               f"{asked.name} has version {version}, demanded was {asked.min_version} at least")
