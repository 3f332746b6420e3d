/* How the Nitro Secure Module and its driver fail, and what to do about it. */
#include <errno.h>

#include "nsm.h"

/* ErrorCode of aws-nitro-enclaves-nsm-api, src/api/mod.rs; its words, and what they ask for. */
static const struct {
    const char *name;
    const char *advice;
} module_errors[] = {
    {"InvalidArgument", "an argument is none that it takes: this agent and the module do not know "
                        "the same requests; report it"},
    {"InvalidIndex", "it has no PCR of that number: an enclave's own are 16 to 31"},
    {"InvalidResponse", "its answer was to another request: start the enclave again"},
    {"ReadOnlyIndex", "the PCR is locked until the enclave is started again: let nothing lock it "
                      "before this agent runs, or extend another one"},
    {"InvalidOperation", "it does not have this operation: see that this is an enclave's module, "
                         "and not older than this agent"},
    {"BufferTooSmall", "its answer does not fit: ask for less, such as shorter application bytes"},
    {"InputTooLarge", "the request is too large: ask for less, such as shorter application bytes"},
    {"InternalError", "it failed inside: start the enclave again, and where it stays, on another "
                      "instance"},
    {"Success", "it calls that an error: this is no Nitro Secure Module; see --nsm"},
};

/* drivers/misc/nsm.c of Linux 6.8 and of AWS's kernels. */
static const struct {
    int error;
    const char *advice;
} driver_errors[] = {
    {EFAULT, "the driver could not reach the request: a fault of this agent; report it"},
    {EINVAL, "the driver does not know the request: another device than the NSM, or another "
             "driver; see --nsm"},
    {ENOTTY, "this is no Nitro Secure Module; see --nsm"},
    {EIO, "the module did not take the request: start the enclave again, and where it stays, on "
          "another instance"},
    {ENODATA, "the module gave an empty answer: start the enclave again"},
    {ETIMEDOUT, "the module gave no answer for two minutes: start the enclave again, and where "
                "it stays, on another instance"},
    {EMSGSIZE, "the request is too large: ask for less, such as shorter application bytes"},
    {ENOTCONN, "what emulates the device has ended: start it again"},
};

const char *nsm_error_advice(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(module_errors); i++) {
        if (bytes_equal_text(name, module_errors[i].name))
            return module_errors[i].advice;
    }
    return "no reason that this agent knows: the module is newer; update the agent";
}

const char *nsm_errno_advice(int error)
{
    for (size_t i = 0; i < ARRAY_LEN(driver_errors); i++) {
        if (error == driver_errors[i].error)
            return driver_errors[i].advice;
    }
    return "start the enclave again";
}
