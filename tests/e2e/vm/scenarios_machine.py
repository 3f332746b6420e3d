"""The agent that stays beside its program, also as /init: then the machine ends with it."""
import hashlib

from scenario import ASK, SECRET, Scenario

DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()
SETTINGS = """
verifier = vsock:1:8443
issuer = /run/issuer.pem
root = /run/root.pem
secret = web/messages
parent-cid = 1
env = GREETING=hello
tmpfs = /run/secrets,mode=0700
deliver = web/messages=memfd
deliver = web/messages=template:/etc/template:/run/secrets/conf
exec = sh
exec = /etc/program
"""
# Its parent is process 1, which took the place of the script that started the device and
# the others; one of these ends, and is neither left dead nor taken for the program.
PROGRAM = """
echo $GREETING, child of $PPID
cat /dev/fd/3 3<$WEB_MESSAGES_FILE | sha256sum
sha256sum </run/secrets/conf
sed -n 's/^Seccomp:.*2/process 1 is filtered/p' /proc/1/status
kill $(cat /run/relay.pid)
until [ ! -e /proc/$(cat /run/relay.pid) ]; do sleep 0.1; done
echo reaped
sed 's/^/heartbeat /' /run/vm/heartbeat
cat /proc/mounts
exit 42
"""
# It finds its settings where they are in an image of its own, and is called as the kernel
# calls it, which hands on words that it does not know itself.
AS_INIT = "sh -c 'mkdir -p /etc && cp agent.conf /etc/vouchsafe-agent.conf && " \
          "cp program template /etc && cp /bin/agent-to-ship /run/init && exec /run/init nomodules'"

SCENARIOS = [
    Scenario("refresh",
             f"vouchsafe-agent run {ASK} --dir /run/secrets --refresh hup -- sh -c "
             "'sha256sum <$WEB_MESSAGES_FILE; kill -HUP $PPID; sleep 3; kill -TERM $$'",
             status=143, says=(DIGEST, "refreshed: nothing is new"), never=(SECRET,)),
    Scenario("init", AS_INIT,
             files={"agent.conf": SETTINGS, "program": PROGRAM,
                    "template": "<{{secret web/messages}}>"},
             parent={"heartbeat": ("socat -d -d -x VSOCK-LISTEN:9000,reuseaddr PIPE",
                                   "listening on")},
             says=("received web/messages version 1", "hello, child of 1", DIGEST,
                   hashlib.sha256(f"<{SECRET}>".encode()).hexdigest(), "process 1 is filtered",
                   "tmpfs /run/secrets tmpfs rw,nosuid,nodev,noexec", "reaped",
                   "heartbeat  b7", "devpts /dev/pts", "tmpfs /dev/shm",
                   "cgroup2 /sys/fs/cgroup", "ended with status 42; this machine stops"),
             never=(SECRET, "Kernel panic"), first_process=True),
]
