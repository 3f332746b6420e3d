/* Chains that break one rule each, signed by whoever has to, under the trusted root:
 * every other rule holds, the document's signature included. */
#include <openssl/x509v3.h>
#include <stdio.h>

#include "draft.h"

/* Of these a seeded one of so many for each document: the chains are all alike, and keys
 * for a new one take as long as ten cases.  A share of the run has a quarter of them, whatever
 * else it leaves out: each rule is still broken somewhere. */
#define RULES_SHARE      8
#define RULES_PART_SHARE 32

enum place { ON_CA = 1, ON_LEAF = 2, ON_ANY = ON_CA | ON_LEAF };

#define SECOND_MS INT64_C(1000)

static void no_constraints(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->basic_constraints = false;
}

static void no_ca(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->ca = false;
    c->pathlen = -1;
}

static void a_ca(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->ca = true;
}

static void a_path_length(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->pathlen = 0;
}

static void no_path_length(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->pathlen = -1;
}

static void no_usage(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->key_usage = 0;
}

static void signs_only(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->key_usage = X509v3_KU_DIGITAL_SIGNATURE | X509v3_KU_CRL_SIGN;
}

static void certifies(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->key_usage = X509v3_KU_DIGITAL_SIGNATURE | X509v3_KU_KEY_CERT_SIGN;
}

static void encrypts(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->key_usage = X509v3_KU_KEY_ENCIPHERMENT | X509v3_KU_KEY_AGREEMENT;
}

static void unknown_critical(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->unknown_critical_extension = true;
}

static void extension_twice(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->duplicate_extension = true;
}

static void other_curve(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->curve = "P-256";
}

static void other_digest(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->digest = "SHA256";
}

static void version_2(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->x509_version = 2;
}

static void other_issuer(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->issuer_cn = "aws.nitro-enclaves";
}

static void self_signed(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->self_signed = true;
}

static void broken_signature(struct mkdoc_cert *c, int64_t now_ms)
{
    (void)now_ms;
    c->break_signature = true;
}

/* Certificates count whole seconds: the last second of the validity, and what is over
 * by the time, or too early by one more than the leeway. */
static void ends_now(struct mkdoc_cert *c, int64_t now_ms)
{
    c->until_ms = now_ms + SECOND_MS;
}

static void ended(struct mkdoc_cert *c, int64_t now_ms)
{
    c->until_ms = now_ms - SECOND_MS;
}

static void begins_within_leeway(struct mkdoc_cert *c, int64_t now_ms)
{
    c->from_ms = now_ms + ATTEST_LEEWAY_MS;
}

static void begins_later(struct mkdoc_cert *c, int64_t now_ms)
{
    c->from_ms = now_ms + ATTEST_LEEWAY_MS + SECOND_MS;
}

static void ends_before_it_begins(struct mkdoc_cert *c, int64_t now_ms)
{
    c->from_ms = now_ms - SECOND_MS;
    c->until_ms = c->from_ms - SECOND_MS;
}

/* docs/DESIGN.md section 4, "Certificate rules", "Validity", "Signatures". */
static const struct breakage {
    const char *what;
    void (*apply)(struct mkdoc_cert *c, int64_t now_ms);
    unsigned places;
    enum err code;
} breakages[] = {
    {"no basicConstraints", no_constraints, ON_CA, ERR_CERT_NOT_CA},
    {"no basicConstraints", no_constraints, ON_LEAF, ERR_OK},
    {"cA false", no_ca, ON_CA, ERR_CERT_NOT_CA},
    {"cA true", a_ca, ON_LEAF, ERR_CERT_LEAF_CA},
    {"a path length of a leaf's", a_path_length, ON_LEAF, ERR_CERT_PATHLEN},
    {"no path length", no_path_length, ON_CA, ERR_OK},
    {"no keyUsage", no_usage, ON_ANY, ERR_CERT_KEY_USAGE},
    {"a keyUsage without keyCertSign", signs_only, ON_CA, ERR_CERT_KEY_USAGE},
    {"a keyUsage with keyCertSign", certifies, ON_LEAF, ERR_CERT_KEY_USAGE},
    {"a keyUsage without digitalSignature", encrypts, ON_ANY, ERR_CERT_KEY_USAGE},
    {"an unknown critical extension", unknown_critical, ON_ANY, ERR_CERT_EXTENSION},
    {"an extension twice", extension_twice, ON_ANY, ERR_CERT_EXTENSION},
    {"a key on P-256", other_curve, ON_ANY, ERR_CERT_ALGORITHM},
    {"a signature with SHA-256", other_digest, ON_ANY, ERR_CERT_ALGORITHM},
    {"X.509 v2", version_2, ON_ANY, ERR_CERT_VERSION},
    {"another issuer", other_issuer, ON_ANY, ERR_CERT_NAME},
    {"its own signature", self_signed, ON_ANY, ERR_CERT_SIGNATURE},
    {"a broken signature", broken_signature, ON_ANY, ERR_CERT_SIGNATURE},
    {"the last second of its validity", ends_now, ON_ANY, ERR_OK},
    {"a validity that has ended", ended, ON_ANY, ERR_CERT_EXPIRED},
    {"a validity that begins within the leeway", begins_within_leeway, ON_ANY, ERR_OK},
    {"a validity that begins later", begins_later, ON_ANY, ERR_CERT_NOT_YET_VALID},
    {"a validity that ends before it begins", ends_before_it_begins, ON_ANY, ERR_CERT_MALFORMED},
};

static void break_rule(struct forge *f, const struct draft *d, const struct mkdoc_chain_spec *good,
                       size_t i, const struct breakage *b)
{
    const struct mkdoc_chain *own = &f->s->chain;
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain broken = {0};
    struct mkdoc_chain_spec spec = *good;
    struct certs certs;
    struct expectation e;
    b->apply(&spec.cert[i], f->s->now_ms);
    MUST(mkdoc_chain_extend(own, i, &spec, &broken));
    certs_of_chain(&broken, &certs);
    if (b->code == ERR_OK)
        expect_ok(&e, bytes_of("", 0));
    else
        expect_cert(&e, b->code, own->len - 1, i);
    f->signer = &broken;
    forge_certs(f, d, &certs, &e, "certificate %zu with %s", i, b->what);
    f->signer = own;
}

void break_rules(struct run *run, const struct task *task)
{
    const struct subject *s = task->s;
    struct run whole = *run; /* what is made here was chosen here */
    struct forge f = {.run = &whole, .s = s, .signer = &s->chain, .group = task->what};
    const unsigned one_in = run->share <= 1 ? RULES_SHARE : RULES_PART_SHARE;
    struct draft d;
    struct mkdoc_chain_spec spec;
    whole.share = 1;
    subject_chain_spec(s, &spec);
    draft_of(s, &d);
    size_t n = 0;
    for (size_t b = 0; b < ARRAY_LEN(breakages); b++) {
        for (size_t i = 1; i < spec.len; i++) {
            const unsigned place = i + 1 == spec.len ? ON_LEAF : ON_CA;
            if ((breakages[b].places & place) != 0 && run_random(run, s, "rule", n++) % one_in == 0)
                break_rule(&f, &d, &spec, i, &breakages[b]);
        }
    }
}
