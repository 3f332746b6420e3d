/* PROTOCOL.md sections 1 to 4: limits, names, what a request is bound to, and the
 * JSON of requests and answers; shared by both programs, so that neither can drift. */
#ifndef VOUCHSAFE_PROTOCOL_H
#define VOUCHSAFE_PROTOCOL_H

#include "bytes.h"
#include "cose_sign1.h"

#define PROTOCOL_VERSION         1
#define PROTOCOL_CHALLENGE_LEN   56
#define PROTOCOL_CHALLENGE_TTL_S 120
#define PROTOCOL_SECRETS_MAX     16
#define PROTOCOL_SECRET_MAX      65536                        /* bytes of one secret, at least 1 */
#define PROTOCOL_NAME_MAX        128                          /* bytes of a secret's name */
#define PROTOCOL_IMAGE_MAX       63                           /* image and version alike */
#define PROTOCOL_PERSON_MAX      63                           /* bytes of a person's name */
#define PROTOCOL_BUILD_MAX       (2 * PROTOCOL_IMAGE_MAX + 1) /* image@version */
#define PROTOCOL_VERSION_MAX     2147483647                   /* of a secret; 1 is the first */
#define PROTOCOL_BOUND_LEN       51                           /* of user_data: label and hash */
#define PROTOCOL_APPLICATION_MAX 256                          /* of user_data: what follows */
#define PROTOCOL_STORE_ID_LEN    16
#define PROTOCOL_REQUEST_ID_MAX  32
#define PROTOCOL_TAG_LEN         16 /* of AES-GCM: what a ciphertext is longer by */
#define PROTOCOL_CODE_MAX        47 /* bytes of a problem's `code` */
#define PROTOCOL_BODY_RELEASE    65536
#define PROTOCOL_BODY_ADMIN      1048576
#define PROTOCOL_ANSWER_MAX      2097152

/* `[a-z0-9][a-z0-9._-]*` segments joined by single `/`, at most 128 bytes. */
bool protocol_name_valid(struct bytes name);
/* Image: `[a-z0-9][a-z0-9._-]{0,62}`; version: `[A-Za-z0-9][A-Za-z0-9._+-]{0,62}`. */
bool protocol_image_valid(struct bytes image);
bool protocol_image_version_valid(struct bytes version);
/* A person: UTF-8 without blanks and control characters. */
bool protocol_person_valid(struct bytes person);
/* Both, joined by `@`. */
bool protocol_build_valid(struct bytes build);
/* "payments@1.4.2" in its two parts; ERR_USAGE says what is wrong with it. */
MUST_CHECK enum err protocol_build_split(const char *text,
                                         char image[static PROTOCOL_IMAGE_MAX + 1],
                                         char version[static PROTOCOL_IMAGE_MAX + 1],
                                         struct fault *fault);

/* What is asked for, in request order.  0: absent. */
struct wanted {
    char name[PROTOCOL_NAME_MAX + 1];
    uint32_t version;
    uint32_t min_version;
};
struct wanted_list {
    size_t count; /* 1..PROTOCOL_SECRETS_MAX, names distinct */
    struct wanted item[PROTOCOL_SECRETS_MAX];
};
/* Adds one; ERR_MALFORMED (bad name, twice, too many, version out of range).  A floor
 * above the version is no syntax error: policy refuses it. */
MUST_CHECK enum err wanted_add(struct wanted_list *list, struct bytes name, uint64_t version,
                               uint64_t min_version, struct fault *fault);

/* Section 3: the request text, and user_data = label | SHA-256(text) | application
 * (ERR_TOO_LARGE beyond PROTOCOL_APPLICATION_MAX).  Both append. */
#define PROTOCOL_RELEASE_LABEL "vouchsafe/1 release"
MUST_CHECK enum err protocol_request_text(const struct wanted_list *wanted, struct buf *out);
MUST_CHECK enum err protocol_user_data(const struct wanted_list *wanted, struct bytes application,
                                       struct buf *out);
/* ERR_NOT_BOUND unless `user_data` names exactly this request; `*application` is a
 * view of the 0..256 bytes after it.  An absent user_data is an empty view. */
MUST_CHECK enum err protocol_user_data_check(const struct wanted_list *wanted,
                                             struct bytes user_data, struct bytes *application,
                                             struct fault *fault);
/* The application bytes of whatever request user_data names; false where it names none. */
bool protocol_application(struct bytes user_data, struct bytes *application);

/* Section 4: HPKE's info, and the AAD of one wrapped secret, appended. */
#define PROTOCOL_WRAP_INFO "vouchsafe/1 wrap"
#define PROTOCOL_PUT_INFO  "vouchsafe/1 put"
MUST_CHECK enum err protocol_wrap_aad(const char *format,
                                      const uint8_t document_digest[static SHA384_LEN],
                                      const char *name, uint32_t version, struct buf *out);
/* Section 6: the AAD of a sealed put. */
#define PROTOCOL_PUT_CHALLENGE_LEN 32
MUST_CHECK enum err protocol_put_aad(const uint8_t store_id[static PROTOCOL_STORE_ID_LEN],
                                     const char *name, uint32_t version,
                                     const uint8_t challenge[static PROTOCOL_PUT_CHALLENGE_LEN],
                                     struct buf *out);

/* `POST /v1/release`, the body.  Parsing makes what the caller frees; the document is
 * 1..ATTDOC_LEN_MAX bytes (ERR_TOO_LARGE) and otherwise unread.  ERR_MALFORMED,
 * ERR_UNKNOWN_MEMBER, ERR_BASE64.  All `append` functions below give ERR_INTERNAL for
 * a value that the parser would refuse, and append nothing then. */
struct release_request {
    struct buf document;
    struct wanted_list wanted;
};
void release_request_free(struct release_request *request);
MUST_CHECK enum err release_request_parse(struct bytes json, struct release_request *out,
                                          struct fault *fault);
MUST_CHECK enum err release_request_append(const struct release_request *request, struct buf *json);

/* Its answer; ciphertexts in request order, tag included.  Whether it is the answer to
 * what was asked is the receipt's to prove. */
struct released {
    char name[PROTOCOL_NAME_MAX + 1];
    uint32_t version;
    struct buf ciphertext;
};
struct release_answer {
    struct buf receipt;
    struct buf delegation;
    struct buf enc;
    char format[24];
    size_t count;
    struct released item[PROTOCOL_SECRETS_MAX];
};
void release_answer_free(struct release_answer *answer);
/* Takes the text, as json_reader_take does: up to 1.4 MB of it, in an enclave with little memory.
 */
MUST_CHECK enum err release_answer_parse(struct buf *json, struct release_answer *out,
                                         struct fault *fault);
MUST_CHECK enum err release_answer_append(const struct release_answer *answer, struct buf *json);

/* `POST /v1/challenge`, the answer. */
MUST_CHECK enum err challenge_answer_parse(struct bytes json,
                                           uint8_t challenge[static PROTOCOL_CHALLENGE_LEN],
                                           struct fault *fault);
MUST_CHECK enum err challenge_answer_append(const uint8_t challenge[static PROTOCOL_CHALLENGE_LEN],
                                            uint64_t expires_in_s, struct buf *json);

/* A refusal: problem+json (RFC 9457), its type "urn:vouchsafe:error:" and the code.
 * `status` is front's to choose.  A refusal is unsigned: advice, never proof.  The
 * texts are made printable ASCII and cut to size: they are shown on terminals. */
struct problem {
    int status;    /* 400..599 */
    enum err code; /* ERR_OK where a newer server's code is unknown here */
    char code_wire[PROTOCOL_CODE_MAX + 1];
    char detail[384];
    char request_id[PROTOCOL_REQUEST_ID_MAX + 1];
    char field[96]; /* "" where the problem names none */
    size_t offset;  /* FAULT_NO_OFFSET likewise */
    bool retryable; /* the server's word; false where it does not say */
};
/* `status` and `code` are required: ERR_MALFORMED for what some proxy answered. */
MUST_CHECK enum err problem_parse(struct bytes json, struct problem *out, struct fault *fault);
/* `field` and `offset` of the fault become members where they are set; without a
 * detail the code's sentence stands in.  `request_id` may be NULL. */
MUST_CHECK enum err problem_append(int status, const struct fault *fault, const char *request_id,
                                   struct buf *json);

#endif
