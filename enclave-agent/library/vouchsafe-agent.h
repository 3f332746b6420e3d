/* libvouchsafe-agent: secrets for a program in an enclave, straight into its locked memory.
 *
 *     struct vouchsafe_agent *agent = NULL;
 *     struct vouchsafe_agent_secrets *secrets = NULL;
 *     struct vouchsafe_agent_error error;
 *     if (vouchsafe_agent_new(&agent, &error) == VOUCHSAFE_AGENT_OK &&
 *         vouchsafe_agent_set(agent, "config", "/etc/vouchsafe-agent.conf", &error) ==
 *             VOUCHSAFE_AGENT_OK &&
 *         vouchsafe_agent_release(agent, &secrets, &error) == VOUCHSAFE_AGENT_OK) {
 *         size_t len = 0;
 *         const void *key = vouchsafe_agent_secrets_value(secrets, "web/key", &len, NULL);
 *         if (key != NULL)
 *             use(key, len);
 *     } else {
 *         fprintf(stderr, "%s: %s\n%s\n", error.code, error.sentence, error.advice);
 *     }
 *     vouchsafe_agent_secrets_free(secrets);
 *     vouchsafe_agent_free(agent);
 *
 * Each release is a whole one: a challenge, a key and a document of its own, an answer that is
 * compared with what must have been signed.  libvouchsafe-agent(3) says what is shared by the
 * whole process, OpenSSL's locked memory, and what is left to the program.
 *
 * Threads: an agent is for one thread at a time; several agents may be used by several threads at
 * once.  Secrets may be read by several threads at once, until one of them frees them.
 *
 * Pointers may be NULL where it says so.  Elsewhere NULL is VOUCHSAFE_AGENT_USAGE, or nothing. */
#ifndef VOUCHSAFE_AGENT_LIBRARY_H
#define VOUCHSAFE_AGENT_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whatever is not VOUCHSAFE_AGENT_OK is a failure, one of a later version's, too. */
enum vouchsafe_agent_status {
    VOUCHSAFE_AGENT_OK = 0,
    VOUCHSAFE_AGENT_REFUSED = 1,       /* the verifier refused; `request_id` names the request */
    VOUCHSAFE_AGENT_UNREACHABLE = 2,   /* no decision within the time */
    VOUCHSAFE_AGENT_NOT_AUTHENTIC = 3, /* an answer that no trusted verifier has given */
    VOUCHSAFE_AGENT_NSM = 4,           /* the enclave's security module failed */
    VOUCHSAFE_AGENT_USAGE = 5,         /* a setting, a file that one names, an argument is wrong */
    VOUCHSAFE_AGENT_MACHINE = 6,       /* memory, locked memory, cryptography */
};

/* The caller's; written where a function does not return VOUCHSAFE_AGENT_OK, and only there.
 * Texts are printable ASCII and end with a NUL.  They never hold a secret.  Programs decide by
 * `status`, or by `code`; the other texts are for people, and change. */
struct vouchsafe_agent_error {
    enum vouchsafe_agent_status status;
    char code[64];       /* as docs/ERRORS.md has it: "refused", "answer_not_authentic" */
    char request_id[64]; /* of a refusal: for `vouchsafe explain`; else empty */
    char sentence[512];  /* what was expected, what was found */
    char advice[512];    /* what to do; empty where the sentence ends with it */
};

struct vouchsafe_agent;         /* what is asked of whom */
struct vouchsafe_agent_secrets; /* what one release gave */

/* Progress and warnings, one sentence without an end of line and without a secret; valid until it
 * returns.  Called within vouchsafe_agent_release, in its thread.  It must return, and not use the
 * agent. */
typedef void vouchsafe_agent_log(void *context, const char *sentence);

/* "0.1.0" */
const char *vouchsafe_agent_version(void);

/* `error` may be NULL in all of them.  `*out` is written only with VOUCHSAFE_AGENT_OK, and is the
 * caller's: vouchsafe_agent_free. */
enum vouchsafe_agent_status vouchsafe_agent_new(struct vouchsafe_agent **out,
                                                struct vouchsafe_agent_error *error);
/* One setting: "verifier", "issuer", "secret" and the others of vouchsafe-agent.conf; "config"
 * names such a file, over which what is set here has precedence.  Copied; its name is judged at
 * once, its value by the release.  A setting stays set.  Where one fails so does every release by
 * this agent, in the same words: none is ever made without what was meant to bind it. */
enum vouchsafe_agent_status vouchsafe_agent_set(struct vouchsafe_agent *agent, const char *name,
                                                const char *value,
                                                struct vouchsafe_agent_error *error);
/* Who hears of progress and warnings; NULL, as at first: nobody.  The library writes to no log, no
 * standard error and no other place by itself.  `context` is handed on, and may be NULL. */
void vouchsafe_agent_set_log(struct vouchsafe_agent *agent, vouchsafe_agent_log *log,
                             void *context);

/* Asks the verifier, and again where that helps, for at most the seconds of "timeout".  All
 * secrets or none.  Goes on where a signal interrupts it, and is no cancellation point.  A later
 * release by the same agent never takes an older version than an earlier one gave.  `*out` is
 * written only with VOUCHSAFE_AGENT_OK, and is the caller's: vouchsafe_agent_secrets_free. */
enum vouchsafe_agent_status vouchsafe_agent_release(struct vouchsafe_agent *agent,
                                                    struct vouchsafe_agent_secrets **out,
                                                    struct vouchsafe_agent_error *error);

/* How many; 0 where `secrets` is NULL. */
size_t vouchsafe_agent_secrets_count(const struct vouchsafe_agent_secrets *secrets);
/* In the order in which they were set; valid as long as `secrets`.  NULL where there are not so
 * many. */
const char *vouchsafe_agent_secrets_name(const struct vouchsafe_agent_secrets *secrets,
                                         size_t index);
/* The value, in locked memory until vouchsafe_agent_secrets_free; NULL where there is none of
 * that name, and then nothing is written.  It does not end with a NUL.  `version` may be NULL,
 * `len` may not. */
const void *vouchsafe_agent_secrets_value(const struct vouchsafe_agent_secrets *secrets,
                                          const char *name, size_t *len, uint32_t *version);

/* Wipes and frees; both take NULL.  Secrets may outlive their agent. */
void vouchsafe_agent_secrets_free(struct vouchsafe_agent_secrets *secrets);
void vouchsafe_agent_free(struct vouchsafe_agent *agent);

#ifdef __cplusplus
}
#endif

#endif
