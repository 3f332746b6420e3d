"""What the parent reads over vsock of an enclave that has no console; and what is settled before
a verifier is asked."""
from scenario import ASK, SECRET, TRUST, Scenario

# The parent's end, as any reader of lines does it.
LOG = {"log": ("socat -d -d -u VSOCK-LISTEN:5000,fork,reuseaddr STDOUT", "listening on")}
TELL = "--log vsock://1:5000"
# A second module, whose enclave was started with --debug-mode; and its device.
DEBUG = {
    "debug": ("vouchsafe-nsm-sim --socket /run/debug.sock --root-dir /run/nitro --debug",
              "nsm_sim.ready"),
    "debug-device": ("vouchsafe-nsm-cuse nsm-debug /run/debug.sock "
                     "/vm/seen-debug/no-faults", ""),
}
DEBUG_READY = "for i in 1 2 3 4 5 6 7 8 9; do [ -c /dev/nsm-debug ] || sleep 0.1; done; "

SCENARIOS = [
    Scenario("seen-release", f"vouchsafe-agent run {ASK} {TELL} -- sh -c 'echo of the program'",
             parent=LOG, says=("of the program",), never=(SECRET, "log| of the program"),
             parent_says={"log": ("vouchsafe-agent: received web/messages version 1",)}),
    Scenario("seen-program", f"vouchsafe-agent run {ASK} {TELL} --log-program -- "
                             "sh -c 'echo of the program; echo its errors >&2'",
             parent=LOG, never=(SECRET, "enclave| of the program"),
             parent_says={"log": ("vouchsafe-agent: received web/messages version 1",
                                  "of the program", "its errors")}),
    Scenario("seen-refusal", f"vouchsafe-agent run --verifier vsock:1:8443 {TRUST} {TELL} "
                             "--secret not/granted -- sh -c :",
             parent=LOG, status=120, says=("refused (request ",),
             parent_says={"log": ("vouchsafe-agent: refused (request ",
                                  "): ask the verifier's admin to run 'vouchsafe explain ",
                                  "  error code: refused", "  this enclave measures as:", "  PCR0 ",
                                  "  PCR1 ", "  PCR2 ")}),
    Scenario("seen-debug", DEBUG_READY + f"vouchsafe-agent run {ASK} {TELL} --nsm /dev/nsm-debug "
                           "-- sh -c :",
             parent={**LOG, **DEBUG}, status=120, files={"no-faults": ""},
             parent_says={"log": (
                 "vouchsafe-agent: this enclave runs in debug mode: its measurements are zero and "
                 "differ from those that build-enclave printed", f"  PCR0 {'0' * 96}")}),
    Scenario("seen-pcrs", f"vouchsafe-agent pcrs {TELL}", parent=LOG, says=("PCR0  ",),
             parent_says={"log": ("vouchsafe-agent: NSM   i-0123456789abcdef0-enc",
                                  "vouchsafe-agent: PCR0  ", "vouchsafe-agent: PCR8  ")}),
    Scenario("seen-settings", "vouchsafe-agent run --config conf -- sh -c :", parent=LOG,
             files={"conf": "verifer = x\nlog = vsock://1:5000\n"}, status=125,
             parent_says={"log": ("vouchsafe-agent: config: line 1: unknown setting",)}),
    Scenario("seen-nsm-error", f"vouchsafe-agent run {ASK} {TELL} -- sh -c :", parent=LOG,
             status=123, faults="Attestation error InternalError",
             parent_says={"log": ("nsm_failed: Attestation: the module refuses: InternalError: "
                                  "it failed inside: start the enclave again",)}),
    Scenario("seen-nsm-errno", f"vouchsafe-agent run {ASK} {TELL} -- sh -c :", parent=LOG,
             status=123, faults="GetRandom errno ETIMEDOUT",
             parent_says={"log": ("the device: Connection timed out: the module gave no answer for "
                                  "two minutes: start the enclave again",)}),
    Scenario("seen-nobody", f"vouchsafe-agent run {ASK} --log vsock://1:5001 -- sh -c 'echo on'",
             says=("2 lines did not reach the log at vsock://1:5001: cannot connect: ", "on")),
    # The socket is taken, and never read.
    Scenario("seen-deaf", f"vouchsafe-agent run {ASK} {TELL} -- sh -c 'echo on'",
             parent={"deaf": ("socat -d -d -u VSOCK-LISTEN:5000,reuseaddr SYSTEM:'sleep 60'",
                              "listening on")}, says=("received web/messages version 1", "on")),
    # A device of the kernel's keeps its PCRs: a second agent finds what the first has left.
    Scenario("seen-extended",
             f"vouchsafe-agent fetch {TRUST} --verifier vsock:1:8443 --out - --extend 17=config "
             "web/messages >/dev/null && vouchsafe-agent pcrs && "
             f"vouchsafe-agent run {ASK} --extend 17=config -- sh -c 'echo again' && "
             f"vouchsafe-agent run {ASK} {TELL} --extend 17=other -- sh -c :",
             files={"config": "security-version = 3\n", "other": "security-version = 2\n"},
             parent=LOG, status=123, never=("not locked", SECRET),
             says=("PCR17 788f11adf5bdb5fd11b0cdea7e4109914eca2276e93d2dc0332281", "again"),
             parent_says={"log": ("pcr_mismatch: PCR17: 788f11adf5bdb5fd", )}),
    Scenario("seen-cmdline",
             f"vouchsafe-agent run {ASK} --cmdline \"$(cat /proc/cmdline)\" -- sh -c 'echo same' && "
             f"vouchsafe-agent run {ASK} {TELL} --cmdline quiet -- sh -c :", parent=LOG, status=125,
             says=("same",), parent_says={"log": ("the kernel was started with \"",)}),
]
