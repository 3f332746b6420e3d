"""The whole release: /dev/nsm by its ioctl, vsock, the verifier, and the program."""
import hashlib

from scenario import ASK, SECRET, TELL, TRUST, Scenario

DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()

PROCESS_1 = f"""
vouchsafe-nsm-cuse nsm-inside /run/nsm.sock &
echo $! >device.pid
until [ -c /dev/nsm-inside ]; do sleep 0.1; done
exec vouchsafe-agent run {ASK} --nsm /dev/nsm-inside -- sh -c '
echo process $$ is $(cat /proc/1/comm)
kill $(cat device.pid)
until ! kill -0 $(cat device.pid); do sleep 0.1; done
sha256sum <$WEB_MESSAGES_FILE
exit 7'
"""

SCENARIOS = [
    # The program's words are its own affair.
    Scenario("release",
             f"agent-to-ship run {ASK} -- sh -c 'echo file $WEB_MESSAGES_FILE; "
             "sha256sum <$WEB_MESSAGES_FILE; exit 7'", status=7,
             says=("file /proc/self/fd/", DIGEST), told=("received web/messages version 1",),
             never=(SECRET, "cid=1 file"), parent_says={"verifier": ("ev=release.granted",)}),
    Scenario("fetch",
             f"vouchsafe-agent fetch --verifier vsock:1:8443 {TRUST} {TELL} --out out web/messages "
             "&& sha256sum out && stat -c 'mode %a' out",
             says=(DIGEST, "mode 600"), told=("received web/messages version 1",), never=(SECRET,)),
    # Other programs of the parent's do, too: any relay of bytes, and any reader of lines.
    Scenario("socat",
             f"vouchsafe-agent run --verifier vsock://1:8444 {TRUST} --timeout 20 "
             "--log vsock://1:5001 --secret web/messages -- sh -c 'sha256sum <$WEB_MESSAGES_FILE'",
             says=(DIGEST,), never=(SECRET,), hears=False,
             parent={"other": ("socat -d -d VSOCK-LISTEN:8444,fork,reuseaddr TCP:127.0.0.1:8443",
                               "listening on"),
                     "log": ("socat -d -d -u VSOCK-LISTEN:5001,fork,reuseaddr STDOUT",
                             "listening on")},
             parent_says={"other": ("accepting connection",),
                          "log": ("vouchsafe-agent: received web/messages version 1",),
                          "verifier": ("ev=release.granted",)}),
    # What the other scenarios build on: the verifier stands on the other side of a wall.
    Scenario("no_network",
             f"vouchsafe-agent run --verifier http://127.0.0.1:8443 {TRUST} {TELL} "
             "--timeout 1 --secret web/messages -- true", status=121,
             told=("unreachable: no decision within 1 s; last: unreachable: 127.0.0.1:8443: ",
                   "Network is unreachable")),
    # As process 1 of a namespace, beside a child that it did not start: the server of its
    # own device, which ends while the program runs.
    Scenario("process_1", "exec unshare --pid --fork --kill-child --mount-proc sh process_1",
             files={"process_1": PROCESS_1}, status=7, says=("process 1 is sh", DIGEST),
             told=("received web/messages version 1",), never=(SECRET,)),
]
