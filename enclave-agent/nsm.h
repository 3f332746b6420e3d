/* The Nitro Secure Module: what is asked of it, what it answers, and how both travel.
 *
 * Encoding and decoding are pure (nsm.c); the transports, /dev/nsm and the simulator's
 * socket, are nsm_transport.c's.  The CBOR is that of aws-nitro-enclaves-nsm-api: an
 * operation's name around a map of its members, in any order, `{"Error": name}` for a
 * refusal.  The device is the hypervisor's and trusted; its replies are read strictly
 * all the same.  Every failure is ERR_NSM, names the operation and the member at fault, and
 * says what to do; what the module refuses with and what the driver fails with have a sentence
 * each (nsm_error.c). */
#ifndef VOUCHSAFE_AGENT_NSM_H
#define VOUCHSAFE_AGENT_NSM_H

#include "common/attdoc.h"

/* include/uapi/linux/nsm.h: NSM_REQUEST_MAX_SIZE, NSM_RESPONSE_MAX_SIZE. */
#define NSM_REQUEST_MAX 0x1000
#define NSM_REPLY_MAX   0x3000
#define NSM_RANDOM_MIN  32 /* bytes; the hardware gives 256 */
#define NSM_DEVICE      "/dev/nsm"

struct nsm_pcr {
    bool locked;
    uint8_t value[ATTDOC_PCR_LEN];
};

#define NSM_MODULE_ID_MAX 128

/* What the module says of itself. */
struct nsm_about {
    char module_id[NSM_MODULE_ID_MAX + 1]; /* printable ASCII */
    unsigned version[3];                   /* major, minor, patch */
    unsigned pcr_count;
    uint32_t locked; /* bit i: PCR i */
};

/* What the document is to say, each at most ATTDOC_OPTIONAL_MAX bytes. */
struct nsm_question {
    struct bytes user_data;
    struct bytes nonce;
    struct bytes public_key;
};

/* Append one request. */
MUST_CHECK enum err nsm_request_random(struct buf *request);
MUST_CHECK enum err nsm_request_about(struct buf *request);
MUST_CHECK enum err nsm_request_pcr(unsigned index, struct buf *request);
MUST_CHECK enum err nsm_request_extend(unsigned index, struct bytes data, struct buf *request);
MUST_CHECK enum err nsm_request_lock(unsigned index, struct buf *request);
MUST_CHECK enum err nsm_request_document(const struct nsm_question *question, struct buf *request);

/* Read one reply; results are views into it. */
MUST_CHECK enum err nsm_reply_random(struct bytes reply, struct bytes *random, struct fault *fault);
/* Copied out, not a view.  ERR_NSM also where its digest is not SHA384. */
MUST_CHECK enum err nsm_reply_about(struct bytes reply, struct nsm_about *out, struct fault *fault);
MUST_CHECK enum err nsm_reply_pcr(struct bytes reply, struct nsm_pcr *out, struct fault *fault);
/* The PCR's new value. */
MUST_CHECK enum err nsm_reply_extend(struct bytes reply, uint8_t value[static ATTDOC_PCR_LEN],
                                     struct fault *fault);
MUST_CHECK enum err nsm_reply_lock(struct bytes reply, struct fault *fault);
/* 1..ATTDOC_LEN_MAX bytes, otherwise unread. */
MUST_CHECK enum err nsm_reply_document(struct bytes reply, struct bytes *document,
                                       struct fault *fault);

/* What to do about a name in {"Error": name}, and about an errno of the device: one sentence;
 * for those that are not known, a general one. */
const char *nsm_error_advice(struct bytes name);
const char *nsm_errno_advice(int error);

/* An open module.  `exchange` appends the reply to one request; tests put their own. */
struct nsm {
    int fd;
    enum err (*exchange)(const struct nsm *nsm, struct bytes request, struct buf *reply,
                         struct fault *fault);
    void *context; /* of a test's own exchange */
};

/* A device's path, or "unix:/path" of a simulator (SOCK_SEQPACKET).  ERR_USAGE for
 * anything else. */
MUST_CHECK enum err nsm_open(const char *where, struct nsm *out, struct fault *fault);
/* For CLEANUP; accepts {.fd = -1}. */
void nsm_close(struct nsm *nsm);

/* Mixes the module's randomness into OpenSSL's generator. */
MUST_CHECK enum err nsm_mix_random(const struct nsm *nsm, struct fault *fault);
MUST_CHECK enum err nsm_describe(const struct nsm *nsm, struct nsm_about *out, struct fault *fault);
MUST_CHECK enum err nsm_describe_pcr(const struct nsm *nsm, unsigned index, struct nsm_pcr *out,
                                     struct fault *fault);
/* PCR `index` becomes SHA-384(PCR | data), which is `value`. */
MUST_CHECK enum err nsm_extend_pcr(const struct nsm *nsm, unsigned index, struct bytes data,
                                   uint8_t value[static ATTDOC_PCR_LEN], struct fault *fault);
/* For as long as the enclave runs. */
MUST_CHECK enum err nsm_lock_pcr(const struct nsm *nsm, unsigned index, struct fault *fault);
/* Appends the document. */
MUST_CHECK enum err nsm_attest(const struct nsm *nsm, const struct nsm_question *question,
                               struct buf *document, struct fault *fault);

#endif
