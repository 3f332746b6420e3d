"""Goal of this test: docs/VERIFICATION.md suffices to write another verifier, and two independent
decoders read every field of every valid document alike.

  compare.py SOURCE VERDICT_TOOL VOUCHSAFE MUTANTS

verifier.py, written from that page alone, and this program judge every recorded document (where
$VOUCHSAFE_SHARED has them), every one of our own and MUTANTS damaged ones: same verdict, same error,
same field, same offset; and each rule is broken by some. The seed is printed, and taken from $SEED.
Of the valid ones cbor2 and
cryptography then read every field, which must be what `vouchsafe verify --json` shows.
"""
import base64
import collections
import glob
import hashlib
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import cbor2  # noqa: E402
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives.serialization import Encoding  # noqa: E402

import maker  # noqa: E402
import mutants  # noqa: E402
import rules  # noqa: E402
import verifier  # noqa: E402

SEED = int(os.environ.get("SEED", "1"))
RECORDED_LEAST, OWN_LEAST, MADE = 81, 7, 54  # valid ones
SYSTEMATIC = "plain.cbor"  # the one that is broken in every place


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Set:
    """Documents under one root."""

    def __init__(self, name, root_pem, documents, least):
        self.name, self.root_pem, self.documents = name, root_pem, documents
        self.least = least  # valid ones
        self.too_long = {}  # by one byte, and else in order
        pem = read(root_pem)
        self.root = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def files(pattern):
    return {os.path.basename(p): read(p) for p in sorted(glob.glob(pattern))}


def made(directory):
    """Of shapes that nobody has recorded. Keys and signatures are new at each run."""
    chain, rng = maker.Chain(), random.Random(SEED)
    pem = os.path.join(directory, "root.pem")
    with open(pem, "wb") as file:
        file.write(chain.root.public_bytes(Encoding.PEM))
    of = Set("made", pem, {f"made {i}": maker.document(rng, chain, i) for i in range(MADE)}, MADE + 3)
    for i in range(3):
        of.documents[f"longest {i}"] = maker.document(rng, chain, i, maker.PAYLOAD_MAX)
        of.too_long[f"too long {i}"] = maker.document(rng, chain, i, maker.PAYLOAD_MAX + 1)
    return of


def sets(source):
    own = os.path.join(source, "tests/vectors/documents")
    yield Set("own", os.path.join(own, "root.pem"), files(own + "/*.cbor"), OWN_LEAST)
    recorded = os.path.join(os.environ.get("VOUCHSAFE_SHARED", os.path.join(source, "../shared")),
                            "attestation-docs")
    if os.path.isdir(recorded):
        yield Set("recorded", os.path.join(source, "certs/aws-nitro-root/root.pem"),
                  files(recorded + "/*.cbor"), RECORDED_LEAST)
    elif os.environ.get("CI") == "true":
        sys.exit(f"FAILED: no recorded documents at {recorded} (set VOUCHSAFE_SHARED)")
    else:
        print(f"SKIPPED in part: no recorded documents at {recorded} (set VOUCHSAFE_SHARED)")


# ---- verdicts ----

def program_verdicts(tool, root_pem, documents):
    framed = b"".join(struct.pack(">I", len(d)) + d for d in documents)
    done = subprocess.run([tool, root_pem], input=framed, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"FAILED: verdict_tool: {done.stderr.decode()}")
    for line in done.stdout.decode().splitlines():
        code, field, offset = line.split("\t")
        yield code, field, None if offset == "-" else int(offset)


def verdict(document, root, codes, seen):
    """As the program's, and the rule, from the page."""
    try:
        verifier.verify(document, root)
    except rules.Refused as refused:
        seen[refused.rule] += 1
        return codes[refused.rule], refused.field, refused.offset
    seen["valid"] += 1
    return "ok", "", None


def compare_verdicts(tool, of, named, codes, seen):
    """How many of the documents are valid; complains about each difference."""
    documents = list(named.values())
    theirs = list(program_verdicts(tool, of.root_pem, documents))
    assert len(theirs) == len(documents)
    valid, wrong = [], 0
    for (name, document), their in zip(named.items(), theirs):
        ours = verdict(document, of.root, codes, seen)
        if ours == ("ok", "", None) == their:
            valid.append(name)
        if ours == their:
            continue
        wrong += 1
        if wrong <= 10:
            with open(f"difference-{of.name}-{wrong}.cbor", "wb") as file:
                file.write(document)
            print(f"{of.name}: {name} ({file.name}): the program says {their}, the page {ours}")
    if wrong:
        sys.exit(f"FAILED: {wrong} of {len(documents)} differ (SEED={SEED})")
    return valid


def mutants_of(of, valid, count):
    """Each is of one valid document, and known by a number: the same seed gives the same."""
    names = sorted(valid)
    if of.name == "own":
        for i, document in enumerate(mutants.systematic(of.documents[SYSTEMATIC])):
            yield f"damage {i} of {SYSTEMATIC}", document
    for i in range(count):
        rng = random.Random(f"{SEED} {of.name} {i}")
        name = rng.choice(names)
        yield f"mutant {i} of {name}", mutants.mutant(rng, of.documents[name])


# ---- fields ----


def expected_json(document):
    """What `verify --json` shows of a valid document, read by cbor2 and cryptography."""
    message = cbor2.loads(document)
    _, _, payload, _ = message.value if isinstance(message, cbor2.CBORTag) else message
    doc = cbor2.loads(payload)
    certificates = [x509.load_der_x509_certificate(der)
                    for der in [*doc["cabundle"], doc["certificate"]]]
    shown = {
        "module_id": doc["module_id"],
        "digest": doc["digest"],
        "timestamp_ms": doc["timestamp"],
        "document_digest": hashlib.sha384(payload).hexdigest(),
        "pcrs": {str(i): value.hex() for i, value in doc["pcrs"].items()},
        "map": "indefinite" if payload[0] == 0xbf else "definite",
        "certificates": [{
            "sha256": hashlib.sha256(der).hexdigest(),
            "serial": f"{c.serial_number:x}".zfill((c.serial_number.bit_length() + 7) // 8 * 2),
            "not_before": c.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "not_after": c.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        } for der, c in zip([*doc["cabundle"], doc["certificate"]], certificates)],
        "valid_from": max(c.not_valid_before_utc for c in certificates).strftime(
            "%Y-%m-%dT%H:%M:%SZ"),
        "valid_until": min(c.not_valid_after_utc for c in certificates).strftime(
            "%Y-%m-%dT%H:%M:%SZ"),
    }
    for name in ("public_key", "user_data", "nonce"):
        if name in doc:
            value = doc[name]
            shown[name] = None if value is None else base64.b64encode(value).decode()
    return shown


def check_fields(vouchsafe, of, name):
    done = subprocess.run([vouchsafe, "verify", "--json", "--at", "document", "--root", of.root_pem,
                           "-"], input=of.documents[name], capture_output=True, check=False)
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["valid"] is True, f"{name}: {done.stderr.decode()}"
    found = answer["document"]
    expected = expected_json(of.documents[name])
    for key, value in expected.items():
        shown = found.get(key, "absent")
        if key == "certificates":
            shown = [{k: c[k] for k in value[0]} for c in shown]
        assert shown == value, f"{name}: {key}: {shown} is not {value}"
    for key in ("public_key", "user_data", "nonce"):
        assert (key in found) == (key in expected), f"{name}: {key}"
    return {(key, "absent" if key not in expected else "null" if expected[key] is None else
             "empty" if expected[key] == "" else "bytes")
            for key in ("public_key", "user_data", "nonce")} | {("map", expected["map"])}


# ---- all of it ----

def main(source, tool, vouchsafe, count):
    page = read(os.path.join(source, "docs/VERIFICATION.md")).decode()
    codes = rules.codes_of_page(page)
    seen = collections.Counter()
    shapes, fields = set(), 0
    with tempfile.TemporaryDirectory() as directory:
        all_sets = [*sets(source), made(directory)]
        for of in all_sets:
            valid = compare_verdicts(tool, of, of.documents, codes, seen)
            assert len(valid) >= of.least, f"{of.name}: only {len(valid)} valid documents"
            for name in valid:
                shapes |= check_fields(vouchsafe, of, name)
            fields += len(valid)
            before = seen["COSE-8"]
            compare_verdicts(tool, of, of.too_long, codes, seen)
            assert seen["COSE-8"] - before == len(of.too_long)
            damaged = dict(mutants_of(of, valid, int(count) // len(all_sets)))
            compare_verdicts(tool, of, damaged, codes, seen)
            print(f"{of.name}: {len(of.documents)} documents ({len(valid)} valid), {len(damaged)} "
                  "mutants: the page and the program agree")
    judged = {rule for rule in codes if rule.split("-")[0] in
              ("CBOR", "COSE", "DOC", "KIND", "ROOT", "CERT", "CHAIN", "TIME", "SIG")}
    never = judged - rules.defences_of_page(page) - set(seen) - TOLERATED
    print(f"SEED={SEED}; {len(judged & set(seen))} rules were broken, {seen['valid']} documents valid")
    if never:
        sys.exit(f"FAILED: no document broke {', '.join(sorted(never))}")
    missing = WANTED_SHAPES - shapes
    if missing:
        sys.exit(f"FAILED: no valid document with {sorted(missing)}")
    print(f"cbor2 and cryptography agree on every field of {fields} valid documents")


# Of tolerated keys, of which there are none here.
TOLERATED = {"CBOR-14", "DOC-3"}
WANTED_SHAPES = {(key, state) for key in ("public_key", "user_data", "nonce")
                 for state in ("absent", "null", "empty", "bytes")} | \
    {("map", "definite"), ("map", "indefinite")}

if __name__ == "__main__":
    main(*sys.argv[1:])
