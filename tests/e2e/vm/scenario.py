"""What happens in the test machine, scenario by scenario; how to write one is told here, and
the tables are scenarios_*.py."""
import dataclasses
import shlex

SECRET = "no program but the granted one has seen this"
# The agent's words that nearly every scenario needs: the CID is the machine's own, since
# there is no other one in there.
TRUST = "--issuer /run/issuer.pem --root /run/root.pem"
TELL = "--log vsock://1:5000"
ASK_UNSEEN = f"--verifier vsock:1:8443 {TRUST} --timeout 20 --secret web/messages"
ASK = f"{ASK_UNSEEN} {TELL}"
# What the relay writes in front of each line of that log.
CID = "cid=1 "


@dataclasses.dataclass
class Scenario:
    """One command on the enclave's side, with no network but vsock, and what is expected.

    There already: /dev/nsm, behind it the simulator of /vm/image; a verifier that grants
    SECRET to that image as web/messages; the relay between vsock port 8443 and the verifier,
    which takes logs at port 5000.  What these say is seen as that of `simulator`, `device`,
    `verifier` and `relay`.

    A production enclave has no console: whatever an agent says on this one, its parent must
    have read as well, line by line, and each scenario is checked for it.
    """
    name: str
    enclave: str                # for sh, in a folder of the scenario's own
    status: int = 0             # what the command ends with
    says: tuple = ()            # texts, each in some line of the command's output
    told: tuple = ()            # texts, each in some line that the relay wrote of this enclave
    hears: bool = True          # the parent, all that the agent says
    never: tuple = ()           # texts that nobody may have said
    files: dict = dataclasses.field(default_factory=dict)    # name in the folder -> text
    faults: str = ""            # what goes wrong with /dev/nsm (cuse_faults.h)
    # On the parent's side: name -> (command for sh, what it says once it is ready)
    parent: dict = dataclasses.field(default_factory=dict)
    parent_says: dict = dataclasses.field(default_factory=dict)  # program -> texts
    # The command becomes process 1 of the machine, in place of the script, and ends the
    # machine.  All that the console says then is the command's output, and a relay must write
    # there what it is told; no status is seen, but for the kernel's in its panic.
    first_process: bool = False

    def script(self):
        """The lines of /vm/main for it."""
        yield f"begin {self.name}"
        if self.faults:
            yield f"printf '%s\\n' {shlex.quote(self.faults)} >/run/faults"
        for name, (command, ready) in self.parent.items():
            yield f"start {name} {shlex.quote(ready)} {shlex.quote(command)}"
        if self.first_process:
            return
        yield f"enclave {shlex.quote(self.enclave)}"
        for name, texts in (("relay", self.told), *self.parent_says.items()):
            yield from (f"await {name} {shlex.quote(text)}" for text in texts)
        if self.parent:
            yield f"stop {' '.join(reversed(self.parent))}"
        if self.faults:
            yield ": >/run/faults"
        yield f"end {self.name}"
