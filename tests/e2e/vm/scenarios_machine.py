"""The agent that stays beside its program, also as /init: then the machine ends with it."""
import hashlib

from scenario import ASK, SECRET, TELL, TRUST, Scenario

DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()
RELAY = "vouchsafe-vsock-relay --listen vsock:8446 --to 127.0.0.1:8443"

# What lies in its file is no longer what was released: that is put back, and it is told.
REFRESHED = """
trap 'echo told; sha256sum <$WEB_MESSAGES_FILE; kill -HUP $PPID; sleep 2; kill -TERM $$' HUP
sha256sum <$WEB_MESSAGES_FILE
echo damaged >$WEB_MESSAGES_FILE
kill -HUP $PPID
while true; do sleep 0.1; done
"""
# The verifier is gone for good: what it has serves for a time.
STALE = """
trap '[ -e $WEB_MESSAGES_FILE ] || echo it is gone; exit' TERM
kill $(cat /run/own-relay.pid)
sleep 1.5
sha256sum <$WEB_MESSAGES_FILE
while true; do sleep 0.1; done
"""

SETTINGS = """
verifier = vsock:1:8443
issuer = /run/issuer.pem
root = /run/root.pem
secret = web/messages
parent-cid = 1
"""
# Its parent is process 1, which took the place of the script that started the device and
# the others; one of these ends, and is neither left dead nor taken for the program.  What is
# long comes before a pause: a relay does not wait for a console that is busy.
PROGRAM = """
echo $GREETING, child of $PPID
cat /dev/fd/3 3<$WEB_MESSAGES_FILE | sha256sum
sha256sum </run/secrets/conf
sed -n 's/^Seccomp:.*2/process 1 is filtered/p' /proc/1/status
sed -n 's/^crc7 /loaded &/p' /proc/modules
cat /proc/mounts
sed 's/^/heartbeat /' /run/vm/heartbeat
kill $(cat /run/relay.pid)
sleep 0.1
until [ ! -e /proc/$(cat /run/relay.pid) ]; do sleep 0.1; done
echo reaped
exit 42
"""
PROGRAM_SETTINGS = """
env = GREETING=hello
tmpfs = /run/secrets,mode=0700
deliver = web/messages=memfd
deliver = web/messages=template:/etc/template:/run/secrets/conf
exec = sh
exec = /etc/program
"""
# It finds its settings where they are in an image of its own, and is called as the kernel
# calls it, which hands on words that it does not know itself.  The driver is some module that
# this kernel takes.
AS_INIT = "sh -c 'mkdir -p /etc && cp agent.conf /etc/vouchsafe-agent.conf && " \
          "cp program template /etc && cp /bin/agent-to-ship /run/init && " \
          "cp /lib/modules/crc7.ko /nsm.ko && rm -f /dev/fd && exec /run/init nomodules'"


def fails(name, status, *told, driver=None, **more):
    """Where it is /init of a namespace and no start succeeds.  The end of that machine is
    the end of all in there, by SIGHUP."""
    return Scenario(name, "mkdir -p /etc && cp agent.conf /etc/vouchsafe-agent.conf && "
                    f"ln -s /bin/agent-to-ship init && {f'cp {driver} /nsm.ko;' if driver else ''} "
                    "unshare --pid --fork --kill-child --mount-proc ./init; "
                    "status=$?; rm -f /nsm.ko; exit $status",
                    files={"agent.conf": f"{SETTINGS}log = vsock://1:5000\nexec = true\n"},
                    status=129, never=("received", "Kernel panic"),
                    told=(*told, f"ended with status {status}; this machine stops"), **more)


SCENARIOS = [
    Scenario("refresh",
             f"vouchsafe-agent run {ASK} --dir /run/secrets --refresh hup -- sh refreshed",
             files={"refreshed": REFRESHED}, status=143, says=(DIGEST, "told"), never=(SECRET,),
             told=("received web/messages version 1", "refreshed: nothing is new",
                   "refreshed: there are new files, and the program got signal 1 (Hangup)")),
    Scenario("refresh-fails",
             f"vouchsafe-agent run --verifier vsock:1:8446 {TRUST} {TELL} --timeout 1 --secret "
             "web/messages --dir /run/secrets --refresh 1s --max-staleness 4s -- sh stale",
             files={"stale": STALE}, status=121, says=(DIGEST, "it is gone"), never=(SECRET,),
             parent={"own-relay": (RELAY, "relay.ready")},
             told=("unreachable: no decision within 1 s; last: unreachable: 1:8446: ",
                   "does vouchsafe-vsock-relay listen on that port of the parent instance?",
                   "not refreshed: the program keeps what it got ", "more at most; ",
                   "no refresh succeeded for 4 s: the secrets' files are removed, and the program "
                   "is to end", "unreachable: no refresh succeeded for 4 s, and max-staleness "
                   "allows 4: the program was ended")),
    fails("init-driver", 123, "nsm_failed: the driver /nsm.ko cannot be loaded: Exec format error; "
          "it must be built for this very kernel", driver="agent.conf"),
    fails("init-no-launcher", 121, "unreachable: nobody takes the heartbeat at vsock port 9000 of "
          "the parent, CID 1: Connection reset by peer; nitro-cli run-enclave does, and another "
          "launcher must"),
    fails("init-no-echo", 121, "unreachable: the parent took the heartbeat and hung up: nothing "
          "came back",
          parent={"heartbeat": ("socat -d -d -U VSOCK-LISTEN:9000,reuseaddr SYSTEM:'sleep 0.5'",
                                "listening on")}),
    Scenario("init", AS_INIT,
             files={"agent.conf": f"{SETTINGS}{PROGRAM_SETTINGS}log = vsock://1:5001\n",
                    "program": PROGRAM, "template": "<{{secret web/messages}}>"},
             parent={"heartbeat": ("socat -d -d -x VSOCK-LISTEN:9000,reuseaddr PIPE",
                                   "listening on"),
                     "witness": ("vouchsafe-vsock-relay --listen vsock:8447 --to 127.0.0.1:8443 "
                                 "--log-port 5001 >/dev/console", "relay.ready")},
             says=("hello, child of 1", DIGEST,
                   hashlib.sha256(f"<{SECRET}>".encode()).hexdigest(), "process 1 is filtered",
                   "loaded crc7 ", "tmpfs /run/secrets tmpfs rw,nosuid,nodev,noexec", "reaped",
                   "heartbeat  b7", "devpts /dev/pts", "tmpfs /dev/shm",
                   "cgroup2 /sys/fs/cgroup", "reboot: Restarting system"),
             told=("received web/messages version 1",
                   "ended with status 42; this machine stops"),
             never=(SECRET, "Kernel panic"), first_process=True),
]
