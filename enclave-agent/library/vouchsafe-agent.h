/* libvouchsafe-agent: secrets for a program in an enclave, straight into its locked memory.
 *
 *     struct vouchsafe_agent *agent = NULL;
 *     struct vouchsafe_agent_secrets *secrets = NULL;
 *     struct vouchsafe_agent_error error;
 *     if (vouchsafe_agent_new(&agent, &error) != VOUCHSAFE_AGENT_OK ||
 *         vouchsafe_agent_set(agent, "config", "/etc/vouchsafe-agent.conf", &error) != 0 ||
 *         vouchsafe_agent_release(agent, &secrets, &error) != VOUCHSAFE_AGENT_OK)
 *         fprintf(stderr, "%s\n", error.sentence);
 *
 * Each release is a whole one: a challenge, a key and a document of its own, an answer that is
 * compared with what must have been signed.  See libvouchsafe-agent(3) for what is shared by the
 * whole process: OpenSSL's locked memory, and nothing else.
 *
 * An agent is for one thread at a time; several agents may be used by several threads at once. */
#ifndef VOUCHSAFE_AGENT_LIBRARY_H
#define VOUCHSAFE_AGENT_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vouchsafe_agent_status {
    VOUCHSAFE_AGENT_OK = 0,
    VOUCHSAFE_AGENT_REFUSED = 1,       /* the verifier refused; `request_id` names the request */
    VOUCHSAFE_AGENT_UNREACHABLE = 2,   /* no decision within the time */
    VOUCHSAFE_AGENT_NOT_AUTHENTIC = 3, /* an answer that no trusted verifier has given */
    VOUCHSAFE_AGENT_NSM = 4,           /* the enclave's security module failed */
    VOUCHSAFE_AGENT_USAGE = 5,         /* a setting, or a file that one names, is wrong */
    VOUCHSAFE_AGENT_MACHINE = 6,       /* memory, locked memory, cryptography */
};

/* Filled where a function does not return VOUCHSAFE_AGENT_OK; never holds a secret.  Texts end
 * with a NUL; later versions write no more than fits. */
struct vouchsafe_agent_error {
    enum vouchsafe_agent_status status;
    char code[64];       /* as docs/ERRORS.md has it: "refused", "answer_not_authentic" */
    char request_id[64]; /* of a refusal: for `vouchsafe explain`; else empty */
    char sentence[512];  /* what was expected, what was found, what to do */
};

struct vouchsafe_agent;         /* what is asked of whom */
struct vouchsafe_agent_secrets; /* what one release gave */

/* Progress and warnings, one sentence without an end of line; called within
 * vouchsafe_agent_release, in its thread. */
typedef void vouchsafe_agent_log(void *context, const char *sentence);

/* "0.1.0" */
const char *vouchsafe_agent_version(void);

/* `error` may be NULL in all of them. */
enum vouchsafe_agent_status vouchsafe_agent_new(struct vouchsafe_agent **out,
                                                struct vouchsafe_agent_error *error);
/* One setting: "verifier", "issuer", "secret" and the others of vouchsafe-agent.conf; "config"
 * names such a file, over which what is set here has precedence.  Copied; judged by the
 * release, but for names that do not exist. */
enum vouchsafe_agent_status vouchsafe_agent_set(struct vouchsafe_agent *agent, const char *name,
                                                const char *value,
                                                struct vouchsafe_agent_error *error);
/* NULL: nobody listens. */
void vouchsafe_agent_set_log(struct vouchsafe_agent *agent, vouchsafe_agent_log *log,
                             void *context);

/* Asks the verifier, and again where that helps, for at most the seconds of "timeout".  A later
 * release by the same agent never takes an older version than an earlier one gave.  `*out` is
 * written only with VOUCHSAFE_AGENT_OK, and is the caller's. */
enum vouchsafe_agent_status vouchsafe_agent_release(struct vouchsafe_agent *agent,
                                                    struct vouchsafe_agent_secrets **out,
                                                    struct vouchsafe_agent_error *error);

/* In the order in which they were set. */
size_t vouchsafe_agent_secrets_count(const struct vouchsafe_agent_secrets *secrets);
/* NULL where there are not so many. */
const char *vouchsafe_agent_secrets_name(const struct vouchsafe_agent_secrets *secrets,
                                         size_t index);
/* The value, in locked memory until vouchsafe_agent_secrets_free; NULL where there is none of
 * that name.  It does not end with a NUL.  `version` may be NULL. */
const void *vouchsafe_agent_secrets_value(const struct vouchsafe_agent_secrets *secrets,
                                          const char *name, size_t *len, uint32_t *version);

/* Wipes and frees; both take NULL.  Secrets may outlive their agent. */
void vouchsafe_agent_secrets_free(struct vouchsafe_agent_secrets *secrets);
void vouchsafe_agent_free(struct vouchsafe_agent *agent);

#ifdef __cplusplus
}
#endif

#endif
