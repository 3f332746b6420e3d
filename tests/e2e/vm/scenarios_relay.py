"""The parent's own relay, over real vsock: it knows the enclave's CID, which here is the
machine's own."""
import hashlib

from scenario import SECRET, TRUST, Scenario

DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()
# The world's relay is socat, on port 8443; this one has its own.
RELAY = ("vouchsafe-vsock-relay --listen vsock:8445 --to 127.0.0.1:8443 --log-port 5001",
         "relay.ready")

SCENARIOS = [
    Scenario("own_relay",
             f"agent-to-ship run --verifier vsock://1:8445 {TRUST} --timeout 20 "
             "--log vsock://1:5001 "
             "--secret web/messages -- sh -c 'sha256sum <$WEB_MESSAGES_FILE'; "
             "echo a line of the log | socat -u - VSOCK-CONNECT:1:5001",
             says=(DIGEST,), never=(SECRET,), parent={"own-relay": RELAY},
             parent_says={"own-relay": ("cid=1 a line of the log", "cid=1 vouchsafe-agent: received"),
                          "verifier": ("ev=release.granted",)}),
]
