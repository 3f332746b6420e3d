/* A made chain, a document's view of it, and what chain_verify is to say: shared by
 * the tests of its rules (test_chain.c, _forms, _extensions) and of its use (_use). */
#ifndef VOUCHSAFE_CHAIN_FIXTURE_H
#define VOUCHSAFE_CHAIN_FIXTURE_H

#include <check.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "tests/lib/mkdoc.h"
#include "unit.h"
#include "verifier/attest/chain.h"

#define NOW_MS    INT64_C(1795392000000) /* 2026-11-23T00:00:00Z */
#define LEEWAY_MS INT64_C(60000)
#define MODULE    "i-0123456789abcdef0-enc0123456789abcdef"
#define REGION    "eu-west-1"

struct fixture {
    struct mkdoc_chain_spec spec;
    struct mkdoc_chain chain;
    struct bytes root; /* what is pinned: the chain's own root */
    struct attdoc doc;
    int64_t now_ms;
    struct chain_cache *cache; /* borrowed */
    struct chain_validity validity;
};

static inline void fixture_free(struct fixture *f)
{
    mkdoc_chain_free(&f->chain);
}

/* The field path of certificate `i` of five. */
static inline const char *fixture_field(size_t i)
{
    static const char *const fields[] = {"cabundle[0]", "cabundle[1]", "cabundle[2]", "cabundle[3]",
                                         "certificate"};
    return fields[i];
}

/* AWS's shape; a test then changes one member of f->spec. */
static inline void fixture_spec(struct fixture *f)
{
    mkdoc_chain_defaults(&f->spec, NOW_MS, MODULE, REGION);
    f->now_ms = NOW_MS;
}

/* Points the document at the chain as it is now. */
static inline void fixture_view(struct fixture *f)
{
    f->root = bytes_of_buf(&f->chain.der[0]);
    f->doc.cabundle_len = f->chain.len - 1;
    for (size_t i = 0; i < f->doc.cabundle_len && i < ATTDOC_BUNDLE_MAX; i++)
        f->doc.cabundle[i] = bytes_of_buf(&f->chain.der[i]);
    f->doc.certificate = bytes_of_buf(&f->chain.der[f->chain.len - 1]);
}

static inline void fixture_make_spec(struct fixture *f)
{
    ck_ok(mkdoc_chain_make(&f->spec, &f->chain));
    fixture_view(f);
}

static inline void fixture_make(struct fixture *f)
{
    fixture_spec(f);
    fixture_make_spec(f);
}

static inline enum err fixture_verify(struct fixture *f, enum chain_stage *stage,
                                      struct fault *fault)
{
    EVP_PKEY *key = NULL;
    const enum err err = chain_verify(&f->doc, f->root, f->now_ms, LEEWAY_MS, f->cache, &key,
                                      &f->validity, stage, fault);
    ck_assert_msg((err == ERR_OK) == (key != NULL), "a key with %s", err_wire(err));
    if (err == ERR_OK)
        ck_assert_int_eq(EVP_PKEY_eq(key, f->chain.key[f->chain.len - 1]), 1);
    EVP_PKEY_free(key);
    return err;
}

static inline void fixture_expect_ok(struct fixture *f)
{
    struct fault fault = FAULT_NONE;
    enum chain_stage stage = CHAIN_ROOT;
    const enum err err = fixture_verify(f, &stage, &fault);
    ck_assert_msg(err == ERR_OK, "%s [%s]: %s", err_wire(err), fault.field, fault.detail);
    ck_assert_int_eq(stage, CHAIN_DONE);
}

static inline void fixture_expect(struct fixture *f, enum err code, const char *field,
                                  enum chain_stage expected_stage)
{
    struct fault fault = FAULT_NONE;
    enum chain_stage stage = CHAIN_DONE;
    const enum err err = fixture_verify(f, &stage, &fault);
    ck_assert_msg(err == code, "%s: got %s [%s] \"%s\", expected %s", field, err_wire(err),
                  fault.field, fault.detail, err_wire(code));
    ck_assert_str_eq(fault.field, field);
    ck_assert_int_eq(fault.code, code);
    ck_assert_str_ne(fault.detail, "");
    ck_assert_int_eq(stage, expected_stage);
}

/* Makes f->spec, which is broken in one place, and expects exactly that. */
static inline void fixture_refuse(struct fixture *f, enum err code, const char *field,
                                  enum chain_stage stage)
{
    fixture_make_spec(f);
    fixture_expect(f, code, field, stage);
}

static inline void fixture_accept(struct fixture *f)
{
    fixture_make_spec(f);
    fixture_expect_ok(f);
}

/* Certificate `i` changed through OpenSSL and signed again by its parent: for what the
 * maker has no switch for. */
static inline void fixture_remake(struct fixture *f, size_t i, void (*change)(X509 *x))
{
    const uint8_t *der = f->chain.der[i].ptr;
    X509 *x = d2i_X509(NULL, &der, (long)f->chain.der[i].len);
    ck_assert(x != NULL);
    change(x);
    ck_assert_int_gt(X509_sign(x, f->chain.key[i == 0 ? 0 : i - 1], EVP_sha384()), 0);
    uint8_t *again = NULL;
    const int len = i2d_X509(x, &again);
    ck_assert_int_gt(len, 0);
    f->chain.der[i].len = 0;
    ck_ok(buf_append(&f->chain.der[i], bytes_of(again, (size_t)len)));
    OPENSSL_free(again);
    X509_free(x);
    fixture_view(f);
}

#endif
