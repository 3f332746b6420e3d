"""The whole release: /dev/nsm by its ioctl, vsock, the verifier, and the program."""
import hashlib

from scenario import ASK, HEARTBEAT, LOG, SECRET, TRUST, Scenario

DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()

PROCESS_1 = f"""
vouchsafe-nsm-cuse nsm-inside /run/nsm.sock &
echo $! >device.pid
until [ -c /dev/nsm-inside ]; do sleep 0.1; done
exec vouchsafe-agent run {ASK} --nsm /dev/nsm-inside -- sh -c '
echo process $$ is $(cat /proc/1/comm)
kill $(cat device.pid)
sleep 1
sha256sum <$WEB_MESSAGES_FILE
exit 7'
"""

SCENARIOS = [
    Scenario("release",
             f"vouchsafe-agent run {ASK} -- sh -c 'echo file $WEB_MESSAGES_FILE; "
             "sha256sum <$WEB_MESSAGES_FILE; exit 7'", status=7,
             says=("received web/messages version 1", "file /proc/self/fd/", DIGEST),
             never=(SECRET,),
             parent_says={"verifier": ("ev=release.granted",), "relay": ("accepting connection",)}),
    Scenario("fetch",
             f"vouchsafe-agent fetch --verifier vsock:1:8443 {TRUST} --out out web/messages && "
             "sha256sum out && stat -c 'mode %a' out",
             says=(DIGEST, "mode 600"), never=(SECRET,)),
    Scenario("refused",
             f"vouchsafe-agent run {ASK} --secret web/others -- true", status=120,
             says=("error code: refused",), parent_says={"verifier": ("ev=release.refused",)}),
    # What the other scenarios build on: the verifier stands on the other side of a wall.
    Scenario("no_network",
             f"vouchsafe-agent run --verifier http://127.0.0.1:8443 {TRUST} "
             "--timeout 1 --secret web/messages -- true", status=121,
             says=("unreachable", "Network is unreachable")),
    Scenario("no_relay",
             f"vouchsafe-agent run --verifier vsock:1:8444 {TRUST} "
             "--timeout 1 --secret web/messages -- true", status=121,
             says=("unreachable", "Connection reset by peer")),
    # The two listeners of the parent's side, for those who need them.
    Scenario("listeners",
             r"printf '\267' | socat - VSOCK-CONNECT:1:9000 | od -An -tx1; "
             "echo a line | socat -u - VSOCK-CONNECT:1:5000",
             says=(" b7",), parent={"heartbeat": HEARTBEAT, "log": LOG},
             parent_says={"heartbeat": (" b7",), "log": ("a line",)}),
    # As process 1 of a namespace, beside a child that it did not start: the server of its
    # own device, which ends while the program runs.
    Scenario("process_1", "exec unshare --pid --fork --kill-child --mount-proc sh process_1",
             files={"process_1": PROCESS_1}, status=7,
             says=("received web/messages version 1", "process 1 is sh", DIGEST),
             never=(SECRET,)),
]
