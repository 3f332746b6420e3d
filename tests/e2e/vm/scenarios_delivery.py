"""Where secrets go in an enclave: memory that the agent mounts, a template, and no dump of a
program that crashes."""
import base64
import hashlib

from scenario import ASK, SECRET, Scenario

PLAIN = hashlib.sha256(SECRET.encode()).hexdigest()
RENDERED = f'p = "{SECRET}" {base64.b64encode(SECRET.encode()).decode()}\n'
TEMPLATE = "p = {{secret web/messages | json}} {{secret web/messages | base64}}\n"
# The kernel hands dumps to cp; a program that nobody cared for proves it.
DUMPS = """
echo '|/bin/cp /proc/self/fd/0 /run/dumped' >/proc/sys/kernel/core_pattern
dumped() { sleep 1; if [ -s /run/dumped ]; then echo $1: dumped; else echo $1: no dump; fi; }
sh -c 'kill -SEGV $$'
dumped alone
rm -f /run/dumped
"""

SCENARIOS = [
    Scenario("tmpfs",
             f"vouchsafe-agent run {ASK} --tmpfs /run/mine,size=1m "
             "--deliver web/messages=file:/run/mine/key,mode=0440,owner=7:8 -- sh -c "
             "'sha256sum <$WEB_MESSAGES_FILE; stat -c \"%a %u:%g of %n\" /run/mine/key; cat /proc/mounts'",
             says=(PLAIN, "440 7:8 of /run/mine/key",
                   "tmpfs /run/mine tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k"),
             told=("received web/messages version 1",), never=(SECRET, "warning: /run")),
    Scenario("template",
             f"vouchsafe-agent run {ASK} --deliver "
             "web/messages=template:template:/run/conf -- sh -c 'sha256sum </run/conf'",
             files={"template": TEMPLATE}, says=(hashlib.sha256(RENDERED.encode()).hexdigest(),),
             told=("received web/messages version 1",),
             never=(SECRET, base64.b64encode(SECRET.encode()).decode())),
    Scenario("dumps",
             f"{DUMPS}\nvouchsafe-agent run {ASK} -- sh -c 'kill -SEGV $$'; status=$?; "
             "dumped released; exit $status",
             status=139, says=("alone: dumped", "released: no dump"), never=(SECRET,),
             told=("received web/messages version 1",)),
]
