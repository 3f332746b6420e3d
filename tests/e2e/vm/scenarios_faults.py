"""What may be down, slow or lie between an enclave and its secrets, over real vsock and through the
parent's own relay.  The same without vsock, and what the page has of it: tests/e2e/agent_faults.py.
"""
import os
import subprocess
import tempfile

from scenario import ASK, SECRET, TELL, TRUST, Scenario

RELAY = "vouchsafe-vsock-relay --listen vsock:8446 --to "
NAME = "verifier.example"


def certificate():
    """Of NAME, by itself: (certificate, with its key)."""
    with tempfile.TemporaryDirectory() as folder:
        key, cert = (os.path.join(folder, name) for name in ("key", "cert"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-subj",
                        f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-days", "2"],
                       check=True, capture_output=True)
        with open(key, encoding="ascii") as a, open(cert, encoding="ascii") as b:
            return (text := b.read()), text + a.read()


def run(issuer="peer.pem", options="--secret web/messages", port=8446):
    return (f"vouchsafe-agent run --verifier vsock:1:{port} --issuer {issuer} --root /run/root.pem "
            f"{TELL} --timeout 1 {options} -- sh -c 'echo it ran'")


def peer(mode, status, *told, says=(), never=(), **more):
    """One that answers in its own way, behind the relay."""
    name = "faults-" + mode
    return Scenario(name, run(**more), status=status, says=says, told=told, never=never,
                    parent={"peer": (f"agent-peer peer peer.pem {mode}", "ready"),
                            "own-relay": (f"{RELAY} unix:/vm/{name}/peer", "relay.ready")})


def liar(mode, status, *told, **more):
    return peer(mode, status, *told, never=("it ran", "received"), **more)


def tls(name, options, status, *told, says=()):
    """TLS from the enclave to the verifier: the relay carries it, and has no part in it."""
    return Scenario(name, f"vouchsafe-agent run --verifier vsock:1:8446 {TRUST} {TELL} --timeout 1 "
                          f"--cacert cert --secret web/messages {options} -- sh -c 'echo it ran'",
                    files={"cert": CERT, "both": BOTH}, status=status, says=says, told=told,
                    never=(SECRET, *(("it ran",) if status else ())),
                    parent={"door": ("socat -d -d OPENSSL-LISTEN:9443,fork,reuseaddr,cert=both,"
                                     "verify=0 TCP:127.0.0.1:8443", "listening on"),
                            "own-relay": (f"{RELAY} 127.0.0.1:9443", "relay.ready")})


CERT, BOTH = certificate()

SCENARIOS = [
    Scenario("faults-relay-down", run("/run/issuer.pem", port=8444), status=121, never=("it ran",),
             told=("last: unreachable: 1:8444: cannot connect: Connection reset by peer; does "
                   "vouchsafe-vsock-relay listen on that port of the parent instance?",)),
    Scenario("faults-verifier-down", run("/run/issuer.pem"), status=121, never=("it ran",),
             told=("the server ended the connection without an answer: ",
                   "; the relay is up, is the verifier behind it? The relay's journal says why"),
             parent={"own-relay": (f"{RELAY} 127.0.0.1:9", "relay.ready")},
             parent_says={"own-relay": ("ev=relay.unreachable to=127.0.0.1:9",
                                        "for=cid=1", "is the verifier up")}),
    liar("silent", 121, "last: timeout: ", "; the verifier or its relay is slow or silent: see "
         "their logs, or give more --timeout"),
    liar("half", 121, "the server ended the connection in the middle of its answer",
         "; half an answer: see the logs of the relay and the verifier"),
    liar("honest", 122, "delegation: answer_not_authentic: the delegation is signed under none of "
         "the pinned issuer keys", "it speaks for another store, or only claims to be yours",
         issuer="/run/issuer.pem"),
    liar("wrong-challenge", 122, "receipt: challenge: expected ",
         "the receipt belongs to another request"),
    liar("swapped", 122, "receipt: secrets[0] content: expected ",
         "the receipt belongs to another request", options="--secret a --secret b"),
    liar("falling", 122, "expected version 8 of a or newer, found version 7",
         "this is not what was asked for, or older", options="--secret a --min-version a=8"),
    liar("oversized", 122, "the answer has a body of 2097153 bytes",
         "no vouchsafe server answers so"),
    peer("deprecated", 0, "received web/messages version 7", "warning: only a deprecated "
         "measurement granted web/messages: this build will be refused one day",
         says=("it ran",)),
    tls("faults-tls", f"--tls-name {NAME}", 0, "received web/messages version 1",
        says=("it ran",)),
    tls("faults-tls-name", "--tls-name other.example", 121, "unreachable: TLS: the server's "
        "certificate was refused", "; see --cacert and --tls-name, and what answers there"),
    # On the enclave's own side.
    Scenario("faults-no-lock", "ulimit -l 64; exec setpriv --bounding-set -ipc_lock --inh-caps "
             f"-ipc_lock vouchsafe-agent run {ASK} -- sh -c 'echo it ran'", status=124,
             never=("it ran", "ev=release."),
             told=("no_memory: 4096 KiB of memory could not be locked; raise the limit on locked "
                   "memory (ulimit -l, LimitMEMLOCK=)",)),
    Scenario("faults-no-program", f"vouchsafe-agent run {ASK} -- no-such-program", status=127,
             never=("ev=release.",),
             told=("not_found: no-such-program is not found: is it in the image, and its folder in "
                   "PATH?",)),
    Scenario("faults-not-executable", f"chmod 644 plain; vouchsafe-agent run {ASK} -- ./plain",
             status=126, files={"plain": "#!/bin/sh\n"}, never=("ev=release.",),
             told=("plain is not executable: a file of the image with execute permission is needed "
                   "(chmod +x)",)),
    Scenario("faults-no-loader", f"vouchsafe-agent run {ASK} -- ./plain", status=127,
             files={"plain": "#!/no/such/interpreter\n"}, never=(SECRET,),
             told=("received web/messages version 1", "plain cannot be executed: No such file or "
                   "directory: is its interpreter or loader (ldd, or its first line) in the "
                   "image?")),
]
