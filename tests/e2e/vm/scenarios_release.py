"""The whole release: /dev/nsm by its ioctl, vsock, the verifier, and the program."""
import hashlib

from scenario import ASK, SECRET, TRUST, Scenario

DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()

SCENARIOS = [
    Scenario("release",
             f"vouchsafe-agent run {ASK} -- sh -c 'echo file $WEB_MESSAGES_FILE; "
             "sha256sum <$WEB_MESSAGES_FILE'",
             says=("received web/messages version 1", "file /proc/self/fd/", DIGEST),
             never=(SECRET,),
             parent_says={"verifier": ("ev=release.granted",), "relay": ("accepting connection",)}),
    Scenario("fetch", f"vouchsafe-agent fetch --verifier vsock:1:8443 {TRUST} --out out "
                      "web/messages && sha256sum out && stat -c %a out",
             says=(DIGEST, "600")),
]
