"""What the parent reads over vsock of an enclave that has no console, on its relay's standard
output with the enclave's CID; and what is settled before a verifier is asked.  What it reads of
failures is in the other tables."""
import hashlib

from scenario import ASK, ASK_UNSEEN, SECRET, TELL, TRUST, Scenario

DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()


def module(options):
    """A second one behind /dev/nsm-other, as such an enclave would have it."""
    return {"other": ("vouchsafe-nsm-sim --socket /run/other.sock --root-dir /run/nitro "
                      f"--image /vm/image {options}", "nsm_sim.ready"),
            "other-device": ("vouchsafe-nsm-cuse nsm-other /run/other.sock", "")}


ASK_OTHER = "until [ -c /dev/nsm-other ]; do sleep 0.1; done; " \
            f"vouchsafe-agent run {ASK} --nsm /dev/nsm-other"

SCENARIOS = [
    Scenario("seen-program", f"vouchsafe-agent run {ASK} --log-program -- "
                             "sh -c 'echo of the program; echo its errors >&2'",
             never=(SECRET, "enclave| of the program"),
             told=("vouchsafe-agent: received web/messages version 1", "of the program",
                   "its errors")),
    # Any program's lines, each as one that this enclave has said and no other one.
    Scenario("seen-lines", "printf 'a line\\ncid=7 vouchsafe-agent: another\\r\\nand a last' | "
                           "socat -u - VSOCK-CONNECT:1:5000",
             told=("a line", "cid=7 vouchsafe-agent: another", "and a last")),
    Scenario("seen-refusal", f"vouchsafe-agent run --verifier vsock:1:8443 {TRUST} {TELL} "
                             "--secret not/granted -- sh -c :", status=120,
             told=("vouchsafe-agent: refused (request ",
                   "): ask the verifier's admin to run 'vouchsafe explain ",
                   "  error code: refused", "  the verifier says: ", "  this enclave measures as:",
                   "  PCR0 ", "  PCR1 ", "  PCR2 "),
             parent_says={"verifier": ("ev=release.refused",)}),
    Scenario("seen-debug", f"{ASK_OTHER} -- sh -c :", parent=module("--debug"), status=120,
             told=("vouchsafe-agent: this enclave runs in debug mode: its measurements are zero "
                   "and differ from those that build-enclave printed",
                   ": start the enclave without --debug-mode", f"  PCR0 {'0' * 96}")),
    Scenario("seen-clock", f"{ASK_OTHER} -- sh -c :", parent=module("--timestamp-skew-s 20"),
             told=("vouchsafe-agent: this enclave's clock is ", " s behind the hypervisor's; "
                   "nothing here depends on it, a program's logic may",
                   "received web/messages version 1")),
    Scenario("seen-environment",
             f"vouchsafe-agent run {ASK} --allow-env --deliver web/messages=env:KEY -- "
             "sh -c 'printf %s \"$KEY\" | sha256sum'", says=(DIGEST,), never=(SECRET,),
             told=("warning: web/messages goes into the environment, as KEY: /proc/PID/environ "
                   "shows it", "received web/messages version 1")),
    Scenario("seen-pcrs", f"vouchsafe-agent pcrs {TELL}", says=("PCR0  ",),
             told=("vouchsafe-agent: NSM   i-0123456789abcdef0-enc", "vouchsafe-agent: PCR0  ",
                   "vouchsafe-agent: PCR8  ")),
    Scenario("seen-settings", "vouchsafe-agent run --config conf -- sh -c :",
             files={"conf": "verifer = x\nlog = vsock://1:5000\n"}, status=125,
             told=("vouchsafe-agent: config: line 1: unknown setting",)),
    Scenario("seen-nobody", f"vouchsafe-agent run {ASK_UNSEEN} --log vsock://1:5001 -- "
                            "sh -c 'echo on'",
             says=("2 lines did not reach the log at vsock://1:5001: cannot connect: ", "on"),
             hears=False),
    # The socket is taken, and never read.
    Scenario("seen-deaf", f"vouchsafe-agent run {ASK_UNSEEN} --log vsock://1:5001 -- "
                          "sh -c 'echo on'",
             parent={"deaf": ("socat -d -d -u VSOCK-LISTEN:5001,reuseaddr SYSTEM:'sleep 60'",
                              "listening on")}, says=("received web/messages version 1", "on"),
             hears=False),
    # A device of the kernel's keeps its PCRs: a second agent finds what the first has left.
    Scenario("seen-extended",
             f"vouchsafe-agent fetch {TRUST} {TELL} --verifier vsock:1:8443 --out - --extend "
             "17=config web/messages >/dev/null && vouchsafe-agent pcrs && "
             f"vouchsafe-agent run {ASK} --extend 17=config -- sh -c 'echo again' && "
             f"vouchsafe-agent run {ASK} --extend 17=other -- sh -c :",
             files={"config": "security-version = 3\n", "other": "security-version = 2\n"},
             status=123, never=("not locked", SECRET),
             says=("PCR17 788f11adf5bdb5fd11b0cdea7e4109914eca2276e93d2dc0332281", "again"),
             told=("pcr_mismatch: PCR17: 788f11adf5bdb5fd", "; the file gives ",
                   ": something else extended it")),
    Scenario("seen-cmdline",
             f"vouchsafe-agent run {ASK} --cmdline \"$(cat /proc/cmdline)\" -- sh -c 'echo same' && "
             f"vouchsafe-agent run {ASK} --cmdline quiet -- sh -c :", status=125, says=("same",),
             told=("the kernel was started with \"", "\", the settings say \"quiet\"")),
]
