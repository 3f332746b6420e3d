"""The device: that it is like the kernel's own driver, and what the agent makes of a
security module that fails."""
from scenario import ASK, TELL, TRUST, Scenario

RUN = f"vouchsafe-agent run {ASK} -- true"

# What goes wrong -> what the agent says of it.  The cheapest command that asks at all.
FAULTS = {
    "errno EFAULT": "the device: Bad address",
    "errno EINVAL": "the device: Invalid argument",
    "errno EIO": "the device: Input/output error",
    "errno EMSGSIZE": "the device: Message too long",
    "errno ENODATA": "the device: No data available",
    "errno ETIMEDOUT": "the device: Connection timed out",
    **{f"error {code}": f"DescribePCR: the module refuses: {code}: " for code in (
        "InvalidArgument", "InvalidIndex", "InvalidResponse", "ReadOnlyIndex",
        "InvalidOperation", "BufferTooSmall", "InputTooLarge", "InternalError")},
    "cut 0": "DescribePCR",
    "cut 20": "DescribePCR",
    "claim 12289": "the device claims a reply of 12289 bytes",
}

ODD = "the module's reply is cut or damaged, or of another interface than this agent knows: start " \
      "the enclave again"

# What drivers/misc/nsm.c of Linux 6.8 does.
DRIVER = (
    "random: 278 of 12288, 278 written, begins a169",
    "little room: 10 of 10, 10 written, begins a169",
    "no room: 0 of 0, 0 written",
    "much room: 278 of 16384, 278 written",
    "wrong number: EINVAL",
    "bad request: EFAULT",
    "bad reply: EFAULT",
    "crossing: 164 of 12288, 164 written, begins a16b",
    "longest: 23 of 12288",
    "too long: EMSGSIZE",
)

SCENARIOS = [
    Scenario("device", "vm-ioctl; stat -c 'mode %a' /dev/nsm", says=(*DRIVER, "mode 666")),
    # PCR4, the instance's, is another one each time.
    Scenario("pcrs", f"vouchsafe-agent pcrs {TELL}; vouchsafe-nsm-sim --image /vm/image "
                     "--print-measurements",
             says=("PCR0  ", "PCR1  ", "PCR2  ", "PCR3  " + 96 * "0", "PCR4  ")),
    *[Scenario("pcrs_" + what.lower().replace(" ", "_"), f"vouchsafe-agent pcrs {TELL}",
               faults=f"GetRandom errno EIO\nDescribePCR {what}", status=3,
               told=("nsm_failed: " + said,)) for what, said in FAULTS.items()],
    # Nothing is asked of the verifier where the keys would lack the module's randomness.
    Scenario("random_fails", RUN, faults="GetRandom errno ETIMEDOUT", status=123,
             told=("nsm_failed: the device: Connection timed out: the module gave no answer for two "
                   "minutes: start the enclave again",), never=("challenge",)),
    Scenario("random_short", RUN, faults="GetRandom cut 20", status=123,
             told=("nsm_failed: GetRandom", ODD)),
    Scenario("attestation_fails", RUN, faults="Attestation errno EIO", status=123,
             told=("nsm_failed: the device: Input/output error: the module did not take the "
                   "request: start the enclave again",)),
    Scenario("attestation_refused", RUN, faults="Attestation error InternalError", status=123,
             told=("nsm_failed: Attestation: the module refuses: InternalError: it failed inside: "
                   "start the enclave again",)),
    Scenario("attestation_short", RUN, faults="Attestation cut 4000", status=123,
             told=("nsm_failed: Attestation", ODD)),
    # Between the agent's first question and its last, as only the parent can time it.
    Scenario("device_goes",
             f"vouchsafe-agent run --verifier vsock:1:8444 {TRUST} {TELL} --secret web/messages "
             "-- true", status=123,
             told=("nsm_failed: the device: Transport endpoint is not connected",),
             parent={"late": ("socat -d -d VSOCK-LISTEN:8444,fork,reuseaddr "
                              "SYSTEM:'kill $(cat /run/device.pid); "
                              "exec socat - TCP\\:127.0.0.1\\:8443'", "listening on")}),
    Scenario("no_device", "kill $(cat /run/device.pid); until [ ! -e /dev/nsm ]; do sleep 0.1; "
                          f"done; vouchsafe-agent pcrs {TELL}", status=3,
             told=("/dev/nsm: No such file or directory: is this an enclave? The driver is nsm.ko, "
                   "or in the kernel from 6.8 on",)),
    Scenario("wrong_faults", f"vouchsafe-agent pcrs {TELL}", faults="DescribePCR errno ESUCH",
             status=3, told=("the device: Input/output error",),
             parent_says={"device": ('"DescribePCR errno ESUCH": not OPERATION',)}),
]
