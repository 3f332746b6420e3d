/* A Nitro Secure Module in software: request bytes in, reply bytes out.
 *
 * The requests and replies are those of /dev/nsm, CBOR as aws-nitro-enclaves-nsm-api
 * writes it; no socket, no clock and no file here.  What it signs proves nothing but
 * that a simulator signed it: it stands under a test root (sim_chain.h).  Requests are
 * strangers' bytes: every one of them gets a well-formed reply. */
#ifndef VOUCHSAFE_SIM_NSM_H
#define VOUCHSAFE_SIM_NSM_H

#include "sim_chain.h"

/* include/uapi/linux/nsm.h: NSM_REQUEST_MAX_SIZE, NSM_RESPONSE_MAX_SIZE. */
#define SIM_REQUEST_MAX 0x1000
#define SIM_REPLY_MAX   0x3000

#define SIM_PCR_FIRST_USER 16 /* 0..15 are locked from boot on */
#define SIM_TPM_PCRS       24
#define SIM_RANDOM_LEN     256

struct sim_nsm {
    enum attdoc_kind kind;   /* of the documents: NitroTPM's are an EC2 instance's */
    const char *module_id;   /* borrowed */
    struct sim_chain *chain; /* borrowed */
    int64_t skew_ms;         /* added to the timestamp of documents, not to certificates */
    uint32_t locked;         /* bit i: PCR i is locked, and so part of documents */
    uint8_t pcr[ATTDOC_PCR_COUNT][ATTDOC_PCR_LEN];
};

/* PCRs 0..15 locked, of NitroTPM 0..23, which is all that a TPM has; all values zero. */
void sim_nsm_init(struct sim_nsm *nsm, enum attdoc_kind kind, const char *module_id,
                  struct sim_chain *chain);

/* Appends the reply to `request` (any bytes, any length): the operation's answer or
 * {"Error": code}, at most SIM_REPLY_MAX bytes.  `now_ms` dates certificates and
 * documents.  Fails only where not even an error could be written: ERR_NO_MEMORY. */
MUST_CHECK enum err sim_nsm_handle(struct sim_nsm *nsm, int64_t now_ms, struct bytes request,
                                   struct buf *reply);

#endif
